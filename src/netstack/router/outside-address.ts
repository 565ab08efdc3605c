/** Which IPv6 address of an interface a translator has outside. */
import type { IpAddress } from "../../lib/ip.ts";
import type { OwnAddress } from "../ip6/addressing.ts";

/**
 * The address that new sessions should have: the one that they have now, as long as it is usable and not deprecated; else a usable
 * one, of the internet rather than of a site (RFC 4193), and rather not a deprecated one. Undefined: there is none.
 */
export function outsideAddress(addresses: readonly OwnAddress[], now: IpAddress | undefined): IpAddress | undefined {
  let best: OwnAddress | undefined;
  let most = -1;
  for (const own of addresses) {
    if (own.state !== "usable" || own.value.isLinkLocal) continue;
    const worth =
      (own.isDeprecated ? 0 : 4) + (isOfSite(own.value) ? 0 : 2) + (now?.equals(own.value) === true ? 1 : 0);
    if (worth <= most) continue;
    best = own;
    most = worth;
  }
  return best?.value;
}

/** fc00::/7. */
const isOfSite = ({ w0 }: IpAddress): boolean => w0 >>> 25 === 0x7e;
