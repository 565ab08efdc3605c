/**
 * Addresses of IPv4 networks one to one on their way through the tunnel (man openvpn, --client-nat; OpenVPN's clinat.c): the far end
 * knows a network of this side by another one (snat), or this side one of the far end (dnat). It has no state. As with OpenVPN,
 * packets that ICMP errors quote stay as they are.
 */
import type { Batch } from "../../lib/batch.ts";
import type { Slab } from "../../lib/slab.ts";
import { change32 } from "../wire/checksum.ts";
import {
  IPV4_DST,
  IPV4_HEADER_LEN,
  IPV4_OFFSET_MASK,
  IPV4_SRC,
  ipv4FragmentField,
  ipv4HeaderLen,
  ipv4Protocol,
  ipv4RewriteDst,
  ipv4RewriteSrc,
  PROTO_TCP,
  PROTO_UDP,
} from "../wire/ipv4.ts";
import { mendChecksum } from "./l4.ts";

/** Addresses and masks as int32 words. */
export interface NetmapRule {
  readonly kind: "snat" | "dnat";
  /** As this side knows it. */
  readonly network: number;
  readonly mask: number;
  /** As the far end knows it. */
  readonly alias: number;
}

export class Netmap {
  readonly #slab: Slab;
  readonly #rules: readonly NetmapRule[];

  constructor(slab: Slab, rules: readonly NetmapRule[]) {
    this.#slab = slab;
    this.#rules = rules;
  }

  /** Packets into the tunnel, in place. */
  outgoing(rows: Batch): void {
    for (let row = 0; row < rows.count; row++) this.#translate(rows.at[row]!, rows.len[row]!, true);
  }

  /** Packets out of the tunnel, in place. They may be anything. */
  incoming(rows: Batch): void {
    for (let row = 0; row < rows.count; row++) this.#translate(rows.at[row]!, rows.len[row]!, false);
  }

  #translate(at: number, len: number, isOutgoing: boolean): void {
    const d = this.#slab.view;
    if (d.getUint8(at) >> 4 !== 4) return;
    const headerLen = ipv4HeaderLen(d, at);
    if (headerLen < IPV4_HEADER_LEN || headerLen > len) return;
    const src = this.#mapped(d.getInt32(at + IPV4_SRC), isOutgoing, isOutgoing ? "snat" : "dnat");
    const dst = this.#mapped(d.getInt32(at + IPV4_DST), isOutgoing, isOutgoing ? "dnat" : "snat");
    if (src === d.getInt32(at + IPV4_SRC) && dst === d.getInt32(at + IPV4_DST)) return;
    const change = change32(d.getInt32(at + IPV4_SRC), src) + change32(d.getInt32(at + IPV4_DST), dst);
    ipv4RewriteSrc(d, at, src);
    ipv4RewriteDst(d, at, dst);
    const proto = ipv4Protocol(d, at);
    const isFirst = (ipv4FragmentField(d, at) & IPV4_OFFSET_MASK) === 0;
    if (isFirst && (proto === PROTO_TCP || proto === PROTO_UDP))
      mendChecksum(d, at + headerLen, len - headerLen, proto, change);
  }

  /** What the first rule for it makes of an address. */
  #mapped(address: number, isOutgoing: boolean, kind: NetmapRule["kind"]): number {
    for (const rule of this.#rules) {
      const from = isOutgoing ? rule.network : rule.alias;
      if (rule.kind === kind && (address & rule.mask) === from)
        return (address & ~rule.mask) | (isOutgoing ? rule.alias : rule.network);
    }
    return address;
  }
}
