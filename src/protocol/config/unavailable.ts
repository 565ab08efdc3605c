/**
 * What lines of the tunnel, of the profile or pushed, ask for that this version does not have: IPv6 in the tunnel, and DNS
 * for the LAN. `dhcp-option DNS` with an IPv4 address is shown with tunnel.up, for people to enter; DISABLE-NBT is of
 * Windows, and block-ipv6 asks for what is so anyway.
 */
import { parseIpv4 } from "../../lib/ip.ts";

type Missing = "ipv6" | "dns";

const TEXTS: Readonly<Record<Missing, string>> = {
  ipv6: "IPv6 in the tunnel is not available yet; IPv6 of the LAN stays blocked",
  dns:
    "resolvers and domains for the LAN are not available yet; enter a resolver on its hosts " +
    "(tunnel.up in the log shows those of dhcp-option DNS with an IPv4 address)",
};

/** @returns one entry for each kind that is missing: which line is the first of it, and a sentence */
export function unavailable(
  lines: readonly (readonly string[])[],
): readonly { readonly index: number; readonly text: string }[] {
  const isBlocked = lines.some(([name]) => name === "block-ipv6");
  const kinds = lines.map((words) => missingOf(words, isBlocked));
  return (["ipv6", "dns"] as const)
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
      return "dns";
    case "dhcp-option": {
      const type = first.toUpperCase();
      if (type === "DISABLE-NBT") return undefined;
      return (type === "DNS" || type === "DNS6") && parseIpv4(rest[0] ?? "") !== undefined ? undefined : "dns";
    }
    default:
      return undefined;
  }
}
