/**
 * For tests: two whole stacks on one link that delays, drops, repeats, reorders and damages frames, from a seed, in virtual time.
 * Everything between them is bytes of Ethernet frames.
 */
import { Batch, GSO_ECN, GSO_NONE, GSO_TCPV4, GSO_TCPV6 } from "../../lib/batch.ts";
import { type IpAddress, parseIp } from "../../lib/ip.ts";
import type { Outlet } from "../../lib/outlet.ts";
import { seededRandom } from "../../lib/random.ts";
import { Arena, HEADROOM, type Slab, slabOver, TAILROOM } from "../../lib/slab.ts";
import { type EthernetInterface, ethernetInterface } from "../interface.ts";
import { PagePool } from "../tcp/pages.ts";
import type { Tcp, TcpOptions } from "../tcp/tcp.ts";
import { ETHERNET_HEADER_LEN } from "../wire/ethernet.ts";
import { cidr, mac } from "./bed.ts";

export interface LinkOptions {
  /** 6: both hosts have an IPv6 address as well, which is ready when the pair is. */
  readonly family?: 4 | 6;
  readonly mtu?: number;
  /** One way, ms. */
  readonly delay?: number;
  /** Chances of a frame, 0 to 1. */
  readonly loss?: number;
  readonly duplicate?: number;
  readonly corrupt?: number;
  /** Chance that a frame is late by up to `reorderMs`. */
  readonly reorder?: number;
  readonly reorderMs?: number;
  /** Chance that a frame overtakes all others: it leaves without the delay. */
  readonly overtake?: number;
  /** Frames of the same turn are handed over whole (as veth does), or split. */
  readonly superFrames?: boolean;
  /** Packets larger than that vanish without a word. */
  readonly blackHole?: number;
  /** Chance that a packet that may be marked is (RFC 3168). */
  readonly mark?: number;
  /** Bytes a ms, and how many may wait; Infinity: no bound. */
  readonly rate?: number;
  readonly queue?: number;
  readonly seed?: number;
  readonly pages?: number;
  readonly pageSize?: number;
  readonly tcp?: Omit<TcpOptions, "pool">;
}

/** Of a row (lib/batch.ts). */
interface Vnet {
  readonly flags: number;
  readonly gsoType: number;
  readonly gsoSize: number;
  readonly hdrLen: number;
  readonly csumStart: number;
  readonly csumOffset: number;
}

interface Frame extends Vnet {
  readonly at: number;
  readonly order: number;
  readonly to: Host;
  readonly bytes: Uint8Array;
}

const PLAIN: Vnet = { flags: 0, gsoType: GSO_NONE, gsoSize: 0, hdrLen: 0, csumStart: 0, csumOffset: 0 };
const ROWS = 256;
const RX_BYTES = 24 << 20;
const TX_BYTES = 4 << 20;
const SCRATCH_BYTES = 1 << 20;

export class Host {
  readonly it: EthernetInterface;
  readonly tcp: Tcp;
  readonly slab: Slab;
  readonly pool: PagePool;
  readonly rx = new Batch(ROWS);
  readonly #rxArena: Arena;
  /** Where a test may put bytes that it writes from the slab. */
  readonly scratchAt: number;
  readonly outlet: Outlet;

  constructor(address: string, macText: string, options: LinkOptions, seed: number, send: (host: Host) => void) {
    const { pages = 2048, pageSize = 4096, mtu = 1500 } = options;
    const slab = slabOver(new ArrayBuffer(RX_BYTES + TX_BYTES + 2 * SCRATCH_BYTES + pages * pageSize));
    slab.bytes.fill(0xa5);
    this.slab = slab;
    let at = 0;
    const region = (bytes: number): Arena => {
      const arena = new Arena(slab, at, at + bytes);
      at += bytes;
      return arena;
    };
    this.#rxArena = region(RX_BYTES);
    const outlet = {
      batch: new Batch(ROWS),
      arena: region(TX_BYTES),
      flush: () => {
        send(this);
        outlet.batch.clear();
        outlet.arena.reset();
      },
    };
    this.outlet = outlet;
    this.it = ethernetInterface({
      slab,
      outlet,
      arena: outlet.arena,
      scratch: region(SCRATCH_BYTES),
      name: "lan",
      mac: mac(macText),
      mtu,
      random: seededRandom(seed),
      policy: { echo: true, errors: true, announce: false },
    });
    this.scratchAt = at;
    at += SCRATCH_BYTES;
    this.pool = new PagePool(slab, at, pageSize, pages);
    this.tcp = this.it.openTcp({ pool: this.pool, ...options.tcp });
    this.it.configure({ address: cidr(address) });
    if (options.family === 6)
      this.it.configure6(0, {
        addresses: [{ address: cidr(`fd00::${address.slice(7, 8)}/64`) }],
        onLink: [cidr("fd00::/64")],
      });
  }

  /** Hands over frames as a device does. */
  receive(now: number, frames: readonly Frame[]): void {
    for (let i = 0; i < frames.length; ) {
      this.rx.clear();
      this.#rxArena.reset();
      for (; i < frames.length && this.rx.room > 0; i++) {
        const f = frames[i] as Frame;
        if (this.#rxArena.room < f.bytes.length + HEADROOM + TAILROOM + 8) break;
        const to = this.#rxArena.take(f.bytes.length);
        this.slab.bytes.set(f.bytes, to);
        const row = this.rx.push(to, f.bytes.length);
        this.rx.flags[row] = f.flags;
        this.rx.gsoType[row] = f.gsoType;
        this.rx.gsoSize[row] = f.gsoSize;
        this.rx.hdrLen[row] = f.hdrLen;
        this.rx.csumStart[row] = f.csumStart;
        this.rx.csumOffset[row] = f.csumOffset;
      }
      this.it.ingest(now, this.rx);
      this.outlet.flush();
    }
  }
}

export class TcpPair {
  now = 1000;
  readonly a: Host;
  readonly b: Host;
  /** Nothing gets through any more. */
  cut = false;
  /** Frames that went over the link. */
  carried = 0;
  readonly #options: LinkOptions;
  readonly #random: () => number;
  #queue: Frame[] = [];
  #order = 0;
  readonly #freeAt = new Map<Host, number>();
  /** Told of each frame that is sent, before anything happens to it. */
  onFrame: (from: Host, bytes: Uint8Array) => void = () => {};

  constructor(options: LinkOptions = {}) {
    this.#options = options;
    const { seed = 1 } = options;
    const random = seededRandom(seed);
    const word = new Uint8Array(4);
    this.#random = () => {
      random.fill(word);
      return new DataView(word.buffer).getUint32(0) / 2 ** 32;
    };
    const send = (host: Host): void => this.#take(host);
    this.a = new Host("10.0.0.1/24", "52:54:00:00:00:0a", options, seed * 2 + 1, send);
    this.b = new Host("10.0.0.2/24", "52:54:00:00:00:0b", options, seed * 2 + 2, send);
    // Until nobody has objected to the addresses (RFC 4862 5.4).
    if (options.family === 6) this.pass(5000);
  }

  /** Where b is, in the family of the pair. */
  get address(): IpAddress {
    return parseIp(this.#options.family === 6 ? "fd00::2" : "10.0.0.2") as IpAddress;
  }

  /** The next thing that happens; false: nothing will. */
  step(): boolean {
    this.#drive();
    let at = Math.min(this.a.it.pollAt(), this.b.it.pollAt());
    for (const f of this.#queue) if (f.at < at) at = f.at;
    if (at === Number.POSITIVE_INFINITY) return false;
    this.now = Math.max(this.now, at);
    const due = this.#queue.filter((f) => f.at <= this.now).sort((x, y) => x.at - y.at || x.order - y.order);
    if (due.length > 0) this.#queue = this.#queue.filter((f) => f.at > this.now);
    for (const host of [this.a, this.b]) {
      const frames = due.filter((f) => f.to === host);
      if (frames.length > 0) host.receive(this.now, frames);
    }
    this.#drive();
    return true;
  }

  /** Until `done`, or `ms` of virtual time are over; whether it was done. */
  run(done: () => boolean, ms = 600_000): boolean {
    const end = this.now + ms;
    while (!done()) {
      if (this.now > end || !this.step()) return done();
    }
    return true;
  }

  /** Lets `ms` pass. */
  pass(ms: number): void {
    const end = this.now + ms;
    for (;;) {
      this.#drive();
      let at = Math.min(this.a.it.pollAt(), this.b.it.pollAt());
      for (const f of this.#queue) if (f.at < at) at = f.at;
      if (at > end) break;
      this.step();
    }
    this.now = end;
  }

  #drive(): void {
    for (const host of [this.a, this.b]) {
      for (let turns = 0; host.it.pollAt() <= this.now && turns < 1000; turns++) {
        host.it.handleTimeout(this.now);
        host.outlet.flush();
      }
    }
  }

  /** What a host has sent, onto the link. */
  #take(host: Host): void {
    const b = host.outlet.batch;
    const to = host === this.a ? this.b : this.a;
    for (let i = 0; i < b.count; i++) {
      const first = i;
      let len = b.len[i]!;
      while (b.more[i] === 1) len += b.len[++i]!;
      const bytes = new Uint8Array(HEADROOM + len + TAILROOM);
      let end = HEADROOM;
      for (let row = first; row <= i; row++) {
        bytes.set(host.slab.bytes.subarray(b.at[row]!, b.at[row]! + b.len[row]!), end);
        end += b.len[row]!;
      }
      const frame = bytes.subarray(HEADROOM, HEADROOM + len);
      const slab = slabOver(bytes.buffer);
      this.onFrame(host, frame);
      const vnet: Vnet = {
        flags: b.flags[first]!,
        gsoType: b.gsoType[first]!,
        gsoSize: b.gsoSize[first]!,
        hdrLen: b.hdrLen[first]!,
        csumStart: b.csumStart[first]!,
        csumOffset: b.csumOffset[first]!,
      };
      if (this.#options.superFrames === true || vnet.flags === 0) this.#send(to, frame, vnet);
      else if (vnet.gsoType === GSO_NONE) {
        sumUp(slab.view, HEADROOM, len, vnet.csumStart);
        this.#send(to, frame, PLAIN);
      } else this.#split(to, slab.view, frame, vnet);
    }
  }

  /** Does what a device does with a TCP super-frame of either family (virtio 1.2 5.1.6.2). */
  #split(to: Host, d: DataView, frame: Uint8Array, { gsoType, gsoSize, csumStart }: Vnet): void {
    const isV6 = (gsoType & ~GSO_ECN) === GSO_TCPV6;
    if (!isV6 && (gsoType & ~GSO_ECN) !== GSO_TCPV4) throw new Error(`super-frame of kind ${gsoType}`);
    const headerLen = csumStart + (d.getUint8(HEADROOM + csumStart + 12) >> 4) * 4;
    for (let at = headerLen, i = 0; at < frame.length; at += gsoSize, i++) {
      const n = Math.min(gsoSize, frame.length - at);
      const part = new Uint8Array(headerLen + n);
      part.set(frame.subarray(0, headerLen));
      part.set(frame.subarray(at, at + n), headerLen);
      const v = new DataView(part.buffer);
      const ip = ETHERNET_HEADER_LEN;
      if (isV6) v.setUint16(ip + 4, part.length - ip - 40);
      else {
        v.setUint16(ip + 2, part.length - ip);
        v.setUint16(ip + 4, v.getUint16(ip + 4) + i);
        v.setUint16(ip + 10, 0);
        v.setUint16(ip + 10, ~onesSum(v, ip, csumStart - ip, 0) & 0xffff);
      }
      v.setUint32(csumStart + 4, v.getUint32(csumStart + 4) + at - headerLen);
      let flags = v.getUint8(csumStart + 13);
      if (i > 0) flags &= ~0x80; // CWR: once (RFC 3168 6.1.2)
      if (at + n < frame.length) flags &= ~0x09; // FIN, PSH: last
      v.setUint8(csumStart + 13, flags);
      const addresses = isV6 ? 32 : 8;
      const pseudo = onesSum(v, csumStart - addresses, addresses, 6 + part.length - csumStart);
      v.setUint16(csumStart + 16, pseudo);
      sumUp(v, 0, part.length, csumStart);
      this.#send(to, part, PLAIN);
    }
  }

  #send(to: Host, bytes: Uint8Array, vnet: Vnet): void {
    const o = this.#options;
    this.carried++;
    // Addresses are found out without harm: what is tried is TCP.
    const isArp = (bytes[12] === 0x08 && bytes[13] === 0x06) || (bytes[12] === 0x86 && bytes[20] !== 6);
    const isV6 = bytes[12] === 0x86;
    const { delay = 1, rate = Number.POSITIVE_INFINITY, queue = Number.POSITIVE_INFINITY } = o;
    let copy = bytes;
    if (this.cut) return;
    if (!isArp) {
      if (o.blackHole !== undefined && bytes.length - ETHERNET_HEADER_LEN > o.blackHole) return;
      if (o.loss !== undefined && this.#random() < o.loss) return;
      // Damage within a machine, where the checksum is not there yet, nobody could see.
      if (o.corrupt !== undefined && vnet.flags === 0 && this.#random() < o.corrupt) {
        copy = Uint8Array.from(bytes);
        const bit = Math.floor(this.#random() * 8 * (copy.length - ETHERNET_HEADER_LEN)) + 8 * ETHERNET_HEADER_LEN;
        copy[bit >> 3]! ^= 1 << (bit & 7);
      }
      const ecn = isV6 ? (copy[15]! >> 4) & 3 : copy[15]! & 3;
      if (o.mark !== undefined && ecn === 2 && this.#random() < o.mark) {
        copy = Uint8Array.from(copy);
        if (isV6) copy[15]! |= 0x30;
        else mark(copy);
      }
    }
    let free = Math.max(this.now, this.#freeAt.get(to) ?? 0);
    if (!isArp && (free - this.now) * rate > queue) return;
    free += bytes.length / rate;
    this.#freeAt.set(to, free);
    const late = o.reorder !== undefined && this.#random() < o.reorder ? this.#random() * (o.reorderMs ?? 5) : 0;
    const wait = !isArp && o.overtake !== undefined && this.#random() < o.overtake ? 0 : delay + late;
    this.#queue.push({ ...vnet, to, at: free + wait, order: this.#order++, bytes: copy });
    if (!isArp && o.duplicate !== undefined && this.#random() < o.duplicate)
      this.#queue.push({ ...vnet, to, at: free + delay + this.#random() * 3, order: this.#order++, bytes: copy });
  }
}

/** Sets Congestion Experienced, checksum kept right. */
function mark(frame: Uint8Array): void {
  const d = new DataView(frame.buffer, frame.byteOffset, frame.length);
  const before = d.getUint16(14);
  d.setUint16(14, before | 3);
  const sum = (~d.getUint16(24) & 0xffff) + (~before & 0xffff) + (before | 3);
  const folded = (sum & 0xffff) + (sum >>> 16);
  d.setUint16(24, ~((folded & 0xffff) + (folded >>> 16)) & 0xffff);
}

/** RFC 1071, word by word. */
function onesSum(d: DataView, at: number, len: number, start: number): number {
  let sum = start;
  for (let i = 0; i + 1 < len; i += 2) sum += d.getUint16(at + i);
  if (len % 2 === 1) sum += d.getUint8(at + len - 1) << 8;
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  return sum;
}

/** Completes the checksum of a frame of `len` bytes at `at`, whose field holds what the pseudo-header adds. */
function sumUp(d: DataView, at: number, len: number, csumStart: number): void {
  const sum = onesSum(d, at + csumStart, len - csumStart, 0);
  d.setUint16(at + csumStart + 16, ~sum & 0xffff);
}
