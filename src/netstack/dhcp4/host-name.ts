/** The name that a DHCP client gives itself (option 12, RFC 2132 3.14), as a label that can stand in DNS (RFC 1123 2.1). */

const MAX_LABEL = 63;
/** Whoever has one of these names is asked for the proxy of a browser or for a router of IPv6 (RFC 5214 8), or is oneself. */
const NOT_FOR_HOSTS: ReadonlySet<string> = new Set(["wpad", "isatap", "localhost", "gateway"]);

/**
 * The first label in lower case, with dashes for what cannot stand in it; undefined where nothing is left, and for a name
 * that no host may give itself.
 * @param taken the gateway's own name
 */
export function hostNameOf(option: Uint8Array | undefined, taken: string): string | undefined {
  if (option === undefined) return undefined;
  let text = "";
  for (const byte of option.subarray(0, 255)) text += byte === 0 ? "" : String.fromCharCode(byte);
  const [first = ""] = text.toLowerCase().split(".");
  const label = first
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-/, "")
    .slice(0, MAX_LABEL)
    .replace(/-$/, "");
  return label === "" || label === taken || NOT_FOR_HOSTS.has(label) ? undefined : label;
}
