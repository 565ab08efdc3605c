/**
 * What lines of the tunnel, of the profile or pushed, ask for that this version does not have: IPv6 in the tunnel, DNS over TLS or
 * HTTPS. block-ipv6 asks for what is so anyway.
 */
type Missing = "ipv6" | "dns-transport";

const TEXTS: Readonly<Record<Missing, string>> = {
  ipv6: "IPv6 in the tunnel is not available yet; IPv6 of the LAN stays blocked",
  "dns-transport": "DNS over TLS or HTTPS is not available; the server is not asked",
};

/** @returns one entry for each kind that is missing: which line is the first of it, and a sentence */
export function unavailable(
  lines: readonly (readonly string[])[],
): readonly { readonly index: number; readonly text: string }[] {
  const isBlocked = lines.some(([name]) => name === "block-ipv6");
  const kinds = lines.map((words) => missingOf(words, isBlocked));
  return (["ipv6", "dns-transport"] as const)
    .map((kind) => ({ index: kinds.indexOf(kind), text: TEXTS[kind] }))
    .filter(({ index }) => index >= 0);
}

function missingOf([name, first = "", ...rest]: readonly string[], isBlocked: boolean): Missing | undefined {
  switch (name) {
    case "ifconfig-ipv6":
    case "route-ipv6":
    case "route-ipv6-gateway":
      return "ipv6";
    case "redirect-gateway":
    case "redirect-private":
      // Profiles have both to keep IPv6 from going anywhere.
      return !isBlocked && [first, ...rest].includes("ipv6") ? "ipv6" : undefined;
    case "dns":
      if (rest[1] === "transport") return rest[2] === "plain" ? undefined : "dns-transport";
      return rest[1] === "address" && rest.slice(2).every(isIpv6Endpoint) ? "ipv6" : undefined;
    case "dhcp-option":
      return /^DNS6?$/i.test(first) && isIpv6Endpoint(rest[0] ?? "") ? "ipv6" : undefined;
    default:
      return undefined;
  }
}

/** An IPv6 address, or one with a port. */
const isIpv6Endpoint = (text: string): boolean => text.split(":").length > 2;
