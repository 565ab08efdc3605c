/** What the router tells senders of their packets that did not pass: ICMP and ICMPv6 errors, and whom it tells nothing. */
import type { Slab } from "../../lib/slab.ts";
import { Drop, type DropCode } from "../drop.ts";
import type { IcmpError } from "../family.ts";
import type { Packet } from "../packet.ts";
import type { Half, Translation } from "./half.ts";
import { ipOf, type Side, TUNNEL, WAN } from "./side.ts";

export class RouterErrors {
  readonly #slab: Slab;
  readonly #ipv4: Half;
  readonly #ipv6: Half;
  readonly #sides: readonly (Side | undefined)[];

  /** @param sides by index */
  constructor(slab: Slab, ipv4: Half, ipv6: Half, sides: readonly (Side | undefined)[]) {
    this.#slab = slab;
    this.#ipv4 = ipv4;
    this.#ipv6 = ipv6;
    this.#sides = sides;
  }

  /**
   * Tells the sender. Outside of a client's translator, and on the WAN, only what belongs to a mapping is answered: nobody there
   * is to learn more of us.
   * @param inward the translator that the packet came to the address of, if it did
   */
  tell(now: number, from: Side, error: IcmpError, rest: number, p: Packet, inward: Translation | undefined): void {
    const source = ipOf(from, p);
    const isDiscreet = source.isTranslated || from.index === WAN;
    const isMapped = isDiscreet && inward?.nat.isExpected(now, p) === true;
    if (isMapped || !isDiscreet) source.sendError(now, error[0], error[1], rest, p, isMapped);
  }

  /** Tells the sender of a refusal that it should know of. @returns the refusal */
  refuse(now: number, from: Side, { family }: Half, drop: DropCode, p: Packet): DropCode {
    const { errors } = family;
    if (drop === Drop.NoRoute || drop === Drop.TunnelClosed || drop === Drop.NotConfigured)
      this.tell(now, from, errors.noRoute, 0, p, undefined);
    else if (drop === Drop.NeighborUnreachable) this.tell(now, from, errors.unreachable, 0, p, undefined);
    else if (isProhibited(drop)) this.tell(now, from, errors.prohibited, 0, p, undefined);
    return drop;
  }

  /** Tells the sender that its packet may have `mtu` bytes at most. @returns why the packet did not pass */
  tooBig(now: number, from: Side, { family }: Half, mtu: number, p: Packet, inward: Translation | undefined): DropCode {
    const { tooBig } = family.errors;
    if (from.index === WAN) this.tell(now, from, tooBig, mtu, p, inward);
    else ipOf(from, p).sendError(now, tooBig[0], tooBig[1], mtu, p);
    return Drop.TooBig;
  }

  /**
   * A packet has waited in vain for a host of the side with this index: its sender is told (RFC 1812 4.3.3.1, RFC 4861 7.2.2),
   * unless that was this host.
   */
  undeliverable(now: number, index: number, packet: Uint8Array, isV6: boolean): void {
    const { translations, routes, family } = isV6 ? this.#ipv6 : this.#ipv4;
    const side = this.#sides[index]!;
    const outward = translations[index];
    const inward = translations[TUNNEL];
    (isV6 ? side.face.v6 : side.face.v4).withKept(packet, (p) => {
      const d = this.#slab.view;
      let isMapped = false;
      if (family.hasTransport(d, p)) {
        outward?.nat.undoKeptOutbound(now, p);
        isMapped = inward?.inside === side && inward.nat.undoKeptInbound(now, p);
      }
      const back = routes.lookup(d, p.at + family.srcAt);
      const from = back < 0 || routes.refusal[back] !== Drop.None ? undefined : this.#sides[routes.side[back]!];
      if (from === undefined) return;
      const source = ipOf(from, p);
      p.neighbour = source.output.onLink(now, p.at + family.srcAt);
      const [type, code] = family.errors.unreachable;
      if (isMapped || !source.isTranslated) source.sendError(now, type, code, 0, p);
    });
  }
}

/** Whether a refusal is one by policy, which its sender should know of (RFC 1812 5.3.9). */
const isProhibited = (drop: DropCode): boolean =>
  drop === Drop.LanClosed || drop === Drop.PeerToPeer || drop === Drop.WanAddress;
