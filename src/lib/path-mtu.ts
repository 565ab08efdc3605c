/**
 * How large packets may be on the way to one address, as the network says (RFC 1191, RFC 8201). Anybody can say so who knows addresses and
 * ports: what is believed costs speed, never a packet, and not for ever.
 */
import type { IpAddress } from "./ip.ts";

/** RFC 1191 6.3, RFC 8201 4: after so long without a lower one an estimate is forgotten, so that a way that became wider is found. */
export const PATH_MTU_MS = 600_000;
/** Nothing below is believed: 576 is what every host takes (RFC 791 3.1), 1280 what every link does (RFC 8200 5). */
export const leastMtu = (isIpv4: boolean): number => (isIpv4 ? 576 : 1280);
/** Our choice: no way has so many narrow places one behind the other; whoever names more of them is believed the least at once. */
const MAX_FALLS = 8;
const NEVER = Number.POSITIVE_INFINITY;

/** The estimate for one address. It stands until {@link forget}, so that what was reckoned with it stays true. */
export class PathMtu {
  #mtu = NEVER;
  #forgetAt = NEVER;
  #falls = 0;

  /** Bytes of the largest packet, its own headers included; Infinity: nothing was said. */
  get mtu(): number {
    return this.#mtu;
  }

  get isNarrow(): boolean {
    return this.#mtu !== NEVER;
  }

  /** When it is due to be forgotten; Infinity: there is nothing to forget. */
  get forgetAt(): number {
    return this.#forgetAt;
  }

  /**
   * The network has said that the way takes packets of no more than `said` bytes.
   * @param to where it leads @param most what is sent at most as it is
   * @returns whether that is less than before
   */
  lower(now: number, to: IpAddress, said: number, most: number): boolean {
    const least = leastMtu(to.isIpv4);
    const believed = this.#falls >= MAX_FALLS ? least : Math.max(said, least);
    if (believed >= Math.min(most, this.#mtu)) return false;
    this.#falls++;
    this.#mtu = believed;
    this.#forgetAt = now + PATH_MTU_MS;
    return true;
  }

  /** Of a way whose time has come, or of one that is another one now. */
  forget(): void {
    this.#mtu = NEVER;
    this.#forgetAt = NEVER;
    this.#falls = 0;
  }
}
