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
import { HEADROOM, type Slab, TAILROOM } from "../../lib/slab.ts";
import { Drop, type DropCode, dropCounters } from "../drop.ts";
import { ip4Check } from "../ip4/check.ts";
import { ip6Check } from "../ip6/check.ts";
import { Packet } from "../packet.ts";
import { PROTO_TCP, PROTO_UDP } from "../wire/ipv4.ts";
import { ExtensionChain } from "../wire/ipv6-ext.ts";
import { TCP_SYN, tcpCheck, tcpFlags } from "../wire/tcp.ts";
import { TcpCoalescer } from "./coalesce.ts";
import { clampMss } from "./mss.ts";
import { completeChecksum } from "./partial.ts";
import { segmentCount, tcpSegmentCopy, tcpSuperHeaderLen, udpSegmentCopy, udpSuperHeaderLen } from "./split.ts";
import { mustFit, TOO_BIG_MAX, writeTooBig } from "./too-big.ts";

/** mssfix is about IPv4; the header of IPv6 is so much longer (OpenVPN's mss.c, mss_fixup_ipv6). */
const IPV6_LONGER = 20;

export class RawIp {
  /** Packets that went no further, by why. */
  readonly drops = dropCounters();
  /** Of packets into the tunnel. */
  mtu = 1500;
  /** Of the packet at that place, where the way to whom it is for takes less than {@link mtu}; undefined: nobody's does. */
  mtuOf: ((at: number, isV6: boolean) => number) | undefined;
  /** The largest TCP payload that a SYN announces, either way; 0: as it is. */
  mssClamp = 0;
  /** Of the SYN at that place, in the place of {@link mssClamp}; undefined: one for all. */
  mssOf: ((at: number, isV6: boolean) => number) | undefined;
  /** Takes what the sender of a packet that was too big for {@link mtuOf} is told: a packet with HEADROOM in front, until it returns. */
  tell: (at: number, len: number) => void = () => {};
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
    const { mtuOf } = this;
    if (mtuOf !== undefined && !this.#mayLeave(p.len, mtuOf(p.at, p.isV6))) return Drop.TooBig;
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
    const mtu = Math.min(this.mtu, this.mtuOf?.(p.at, p.isV6) ?? this.mtu);
    const size = isTcp ? Math.min(p.gsoSize, mtu - headerLen) : p.gsoSize;
    if (size <= 0 || headerLen + size > this.mtu) return Drop.TooBig;
    if (!isTcp && !this.#mayLeave(headerLen + size, mtu)) return Drop.TooBig;
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

  /** Whether a packet of so many bytes goes, in pieces outside the tunnel where it has to; else its sender is told. */
  #mayLeave(len: number, mtu: number): boolean {
    const p = this.#packet;
    if (len <= mtu || !mustFit(this.#slab.view, p)) return true;
    const out = this.#toTunnel;
    ensureRoom(out, 0, TOO_BIG_MAX + HEADROOM + TAILROOM + 8);
    const { mark } = out.arena;
    const to = out.arena.take(TOO_BIG_MAX);
    const told = writeTooBig(this.#slab, p, mtu, to);
    if (told > 0) this.tell(to, told);
    out.arena.reset(mark);
    return false;
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
    const { mssOf } = this;
    const p = this.#packet;
    if ((this.mssClamp === 0 && mssOf === undefined) || p.proto !== PROTO_TCP || p.isFragment) return;
    const d = this.#slab.view;
    if (tcpCheck(d, p.l4, p.at + p.len - p.l4) !== Drop.None || (tcpFlags(d, p.l4) & TCP_SYN) === 0) return;
    const mss = mssOf?.(p.at, p.isV6) ?? this.mssClamp;
    if (mss > 0) clampMss(d, p.l4, p.isV6 ? mss - IPV6_LONGER : mss);
  }
}
