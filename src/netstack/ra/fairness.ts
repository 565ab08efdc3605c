/** Which entry of a full table gives way to one of another router, so that nobody fills it by inventing routers or what they offer. */
import type { IpAddress } from "../../lib/ip.ts";

/**
 * The newest entry of the router that has most, where that is two more than `router` has; what the gateway said gives way to nobody,
 * and all others to it.
 * @param entries oldest first
 */
export function givesWay<Entry extends { readonly router: IpAddress }>(
  entries: readonly Entry[],
  router: IpAddress,
  gateway: IpAddress | undefined,
): Entry | undefined {
  const isOf = (entry: Entry, other: IpAddress | undefined): boolean =>
    other !== undefined && entry.router.equals(other);
  const rivals = entries.filter((entry) => !isOf(entry, gateway));
  if (gateway?.equals(router) === true) return rivals.at(-1);
  const count = (of: IpAddress): number => rivals.filter((entry) => isOf(entry, of)).length;
  let victim: Entry | undefined;
  let most = count(router) + 1;
  for (const entry of rivals) {
    const n = count(entry.router);
    if (n > most || (victim !== undefined && n === most)) {
      victim = entry;
      most = n;
    }
  }
  return victim;
}
