/** pull-filter and route-nopull (man openvpn): what of the pushed options is heeded at all. */
import { printable } from "../config/lexer.ts";
import type { PullFilter } from "../config/types.ts";

export type FilterResult =
  | { readonly ok: true; readonly options: readonly string[] }
  /** A `pull-filter reject` matched: the session ends and is tried again. */
  | { readonly ok: false; readonly problem: string };

/**
 * What route-nopull bars: OpenVPN 2.6's option classes "routes" and "DHCP and DNS". route-gateway is not of them (local
 * `route` lines use the pushed one), nor are topology and ifconfig.
 */
const NO_PULL: ReadonlySet<string> = new Set([
  "route",
  "route-ipv6",
  "route-metric",
  "redirect-gateway",
  "redirect-private",
  "client-nat",
  "block-ipv6",
  "block-outside-dns",
  "dhcp-option",
  "dns",
]);

/** Filters compare with the text as pushed; the first that matches decides, and what none matches is accepted. */
export function applyPullFilter(
  options: readonly string[],
  filters: readonly PullFilter[],
  routeNoPull: boolean,
): FilterResult {
  const kept: string[] = [];
  for (const option of options) {
    const filter = filters.find((f) => option.startsWith(f.prefix));
    if (filter?.action === "reject") {
      return {
        ok: false,
        problem: `the server pushed "${nameOf(option)}", which pull-filter reject "${printable(filter.prefix)}" forbids`,
      };
    }
    const barred = routeNoPull && NO_PULL.has(nameOf(option));
    if (filter?.action !== "ignore" && !barred) kept.push(option);
  }
  return { ok: true, options: kept };
}

/** Only the name: the values may be secret (auth-token). */
const nameOf = (option: string): string => printable(/^\S*/.exec(option)![0]);
