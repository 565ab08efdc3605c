/**
 * Packets between a device without link headers that takes super-frames (a tun device of the kernel) and a tunnel, whose packets
 * are plain, complete, and no larger than its MTU. What is checked here is what the work needs: it is the kernel that decides what
 * passes, on either side.
 */
import {
  type Batch,
  GSO_ECN,
  GSO_NONE,
  GSO_TCPV4,
  GSO_TCPV6,
  GSO_UDP_L4,
  MAX_SEGMENTS,
  VNET_NEEDS_CSUM,
} from "../../lib/batch.ts";
import { ensureRoom, type Outlet } from "../../lib/outlet.ts";
import type { Slab } from "../../lib/slab.ts";
import { Drop, type DropCode, dropCounters } from "../drop.ts";
import { ip4Check } from "../ip4/check.ts";
import { ip6Check } from "../ip6/check.ts";
import { Packet } from "../packet.ts";
import { PROTO_TCP, PROTO_UDP } from "../wire/ipv4.ts";
import { ExtensionChain } from "../wire/ipv6-ext.ts";
import { tcpCheck } from "../wire/tcp.ts";
import { TcpCoalescer } from "./coalesce.ts";
import { clampMss } from "./mss.ts";
import { completeChecksum } from "./partial.ts";
import { segmentCount, tcpSegmentCopy, tcpSuperHeaderLen, udpSegmentCopy, udpSuperHeaderLen } from "./split.ts";

/** mssfix is about IPv4; the header of IPv6 is so much longer (OpenVPN's mss.c, mss_fixup_ipv6). */
const IPV6_LONGER = 20;

export class RawIp {
  /** Packets that went no further, by why. */
  readonly drops = dropCounters();
  /** Of packets into the tunnel. */
  mtu = 1500;
  /** The largest TCP payload that a SYN announces, either way; 0: as it is. */
  mssClamp = 0;
  readonly #slab: Slab;
  readonly #packet = new Packet();
  readonly #chain = new ExtensionChain();
  readonly #toTunnel: Outlet;
  readonly #toDevice: Outlet;
  readonly #coalescer: TcpCoalescer;

  /** @param toDevice its arena is not used: packets leave from where they lie */
  constructor(slab: Slab, toTunnel: Outlet, toDevice: Outlet) {
    this.#slab = slab;
    this.#toTunnel = toTunnel;
    this.#toDevice = toDevice;
    this.#coalescer = new TcpCoalescer(slab, toDevice.batch, 0);
  }

  /** Packets of the device, with HEADROOM in front, go to the tunnel: whole ones in place, super-frames in pieces. */
  intoTunnel(rx: Batch): void {
    for (let row = 0; row < rx.count; row++) {
      const drop = this.#enter(rx, row);
      if (drop !== Drop.None) this.drops.bump(drop);
    }
  }

  /** Plain packets of the tunnel go to the device, those of TCP that continue each other as one. */
  outOfTunnel(rows: Batch): void {
    const p = this.#packet;
    const { batch } = this.#toDevice;
    p.setPlain();
    for (let row = 0; row < rows.count; row++) {
      const drop = this.#read(rows, row);
      if (drop !== Drop.None) {
        this.drops.bump(drop);
        continue;
      }
      this.#clamp();
      if (this.#coalescer.join(p)) continue;
      if (batch.room === 0) this.#toDevice.flush();
      batch.push(p.at, p.len);
      this.#coalescer.start(p);
    }
  }

  #enter(rx: Batch, row: number): DropCode {
    const p = this.#packet;
    const drop = this.#read(rx, row);
    if (drop !== Drop.None) return drop;
    p.setRow(rx, row, rx.at[row]!);
    const gso = p.gsoType & ~GSO_ECN;
    if (gso !== GSO_NONE) return this.#split(gso);
    if ((p.flags & VNET_NEEDS_CSUM) !== 0) {
      const bad = completeChecksum(this.#slab.view, p);
      if (bad !== Drop.None) return bad;
    }
    this.#clamp();
    if (p.len > this.mtu) return Drop.TooBig;
    const out = this.#toTunnel;
    if (out.batch.room === 0) out.flush();
    out.batch.push(p.at, p.len);
    return Drop.None;
  }

  /** A super-frame, as packets that fit the tunnel. */
  #split(gso: number): DropCode {
    const p = this.#packet;
    const d = this.#slab.view;
    if (p.isFragment || p.gsoSize === 0) return Drop.GsoMalformed;
    const isTcp = gso === GSO_TCPV4 || gso === GSO_TCPV6;
    if (isTcp ? p.proto !== PROTO_TCP : gso !== GSO_UDP_L4 || p.proto !== PROTO_UDP) return Drop.GsoMalformed;
    if (isTcp && tcpCheck(d, p.l4, p.at + p.len - p.l4) !== Drop.None) return Drop.GsoMalformed;
    const headerLen = isTcp ? tcpSuperHeaderLen(d, p) : udpSuperHeaderLen(p);
    if (headerLen >= p.len) return Drop.GsoMalformed;
    const size = isTcp ? Math.min(p.gsoSize, this.mtu - headerLen) : p.gsoSize;
    if (size <= 0 || headerLen + size > this.mtu) return Drop.TooBig;
    const count = segmentCount(p.len, headerLen, size);
    if (count > MAX_SEGMENTS) return Drop.GsoTooManySegments;
    const out = this.#toTunnel;
    for (let i = 0; i < count; i++) {
      ensureRoom(out, 1, headerLen + size);
      const to = out.arena.take(headerLen + size);
      const len = isTcp
        ? tcpSegmentCopy(this.#slab, p, headerLen, size, i, to)
        : udpSegmentCopy(this.#slab, p, headerLen, size, i, to);
      out.batch.push(to, len);
    }
    return Drop.None;
  }

  #read(rows: Batch, row: number): DropCode {
    const p = this.#packet;
    const d = this.#slab.view;
    const at = rows.at[row]!;
    const len = rows.len[row]!;
    if (len > 0 && d.getUint8(at) >> 4 === 6) return ip6Check(d, p, this.#chain, at, len);
    p.isV6 = false;
    p.fragmentAt = 0;
    return ip4Check(d, p, at, len);
  }

  #clamp(): void {
    const { mssClamp } = this;
    const p = this.#packet;
    if (mssClamp === 0 || p.proto !== PROTO_TCP || p.isFragment) return;
    const d = this.#slab.view;
    const most = p.isV6 ? mssClamp - IPV6_LONGER : mssClamp;
    if (tcpCheck(d, p.l4, p.at + p.len - p.l4) === Drop.None) clampMss(d, p.l4, most);
  }
}
