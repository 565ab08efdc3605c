/**
 * For tests: two whole stacks on one link that delays, drops, repeats, reorders and damages frames, from a seed, in virtual time.
 * Everything between them is bytes of Ethernet frames.
 */
import { Batch, GSO_ECN, GSO_NONE, VNET_NEEDS_CSUM } from "../../lib/batch.ts";
import type { Outlet } from "../../lib/outlet.ts";
import { seededRandom } from "../../lib/random.ts";
import { Arena, HEADROOM, type Slab, slabOver, TAILROOM } from "../../lib/slab.ts";
import { type EthernetInterface, ethernetInterface } from "../interface.ts";
import { ip4Read } from "../ip4/check.ts";
import { completeChecksum } from "../offload/partial.ts";
import { segmentCount, tcpSegmentCopy, tcpSuperHeaderLen } from "../offload/split.ts";
import { Packet } from "../packet.ts";
import { PagePool } from "../tcp/pages.ts";
import type { Tcp, TcpOptions } from "../tcp/tcp.ts";
import { ETHERNET_HEADER_LEN } from "../wire/ethernet.ts";
import { cidr, mac } from "./bed.ts";

export interface LinkOptions {
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

interface Frame {
  readonly at: number;
  readonly order: number;
  readonly to: Host;
  readonly bytes: Uint8Array;
  readonly flags: number;
  readonly gsoType: number;
  readonly gsoSize: number;
  readonly hdrLen: number;
  readonly csumStart: number;
  readonly csumOffset: number;
}

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
      const p = new Packet();
      const slab = slabOver(bytes.buffer);
      const isIp = slab.view.getUint16(HEADROOM + 12) === 0x0800;
      if (isIp) {
        ip4Read(slab.view, p, HEADROOM + ETHERNET_HEADER_LEN);
        p.setRow(Object.assign(new Batch(1), { at: [HEADROOM] }) as unknown as Batch, 0, p.at);
        p.flags = b.flags[first]!;
        p.gsoType = b.gsoType[first]!;
        p.gsoSize = b.gsoSize[first]!;
        p.hdrLen = b.hdrLen[first]! - ETHERNET_HEADER_LEN;
        p.csumStart = b.csumStart[first]! - ETHERNET_HEADER_LEN;
        p.csumOffset = b.csumOffset[first]!;
      }
      const frame = bytes.subarray(HEADROOM, HEADROOM + len);
      this.onFrame(host, frame);
      if (isIp && p.gsoType !== GSO_NONE && this.#options.superFrames !== true) this.#split(to, slab, p);
      else {
        if (isIp && p.gsoType === GSO_NONE && (p.flags & VNET_NEEDS_CSUM) !== 0 && this.#options.superFrames !== true) {
          completeChecksum(slab.view, p);
          p.flags = 0;
        }
        const head = isIp ? ETHERNET_HEADER_LEN : 0;
        this.#send(to, frame, p.flags, p.gsoType, p.gsoSize, p.hdrLen + head, p.csumStart + head, p.csumOffset);
      }
    }
  }

  #split(to: Host, slab: Slab, p: Packet): void {
    const headerLen = tcpSuperHeaderLen(slab.view, p);
    const size = p.gsoSize;
    const n = segmentCount(p.len, headerLen, size);
    if ((p.gsoType & ~GSO_ECN) !== 1) throw new Error(`super-frame of kind ${p.gsoType}`);
    const room = slabOver(new ArrayBuffer(slab.bytes.length + HEADROOM + headerLen + size));
    room.bytes.set(slab.bytes);
    const at = slab.bytes.length + ETHERNET_HEADER_LEN;
    for (let i = 0; i < n; i++) {
      const len = tcpSegmentCopy(room, p, headerLen, size, i, at);
      room.bytes.copyWithin(at - ETHERNET_HEADER_LEN, HEADROOM, HEADROOM + ETHERNET_HEADER_LEN);
      this.#send(to, room.bytes.slice(at - ETHERNET_HEADER_LEN, at + len), 0, 0, 0, 0, 0, 0);
    }
  }

  #send(
    to: Host,
    bytes: Uint8Array,
    flags: number,
    gsoType: number,
    gsoSize: number,
    hdrLen: number,
    csumStart: number,
    csumOffset: number,
  ): void {
    const o = this.#options;
    this.carried++;
    const isArp = bytes[12] === 0x08 && bytes[13] === 0x06;
    const { delay = 1, rate = Number.POSITIVE_INFINITY, queue = Number.POSITIVE_INFINITY } = o;
    let copy = bytes;
    if (this.cut) return;
    if (!isArp) {
      if (o.blackHole !== undefined && bytes.length - ETHERNET_HEADER_LEN > o.blackHole) return;
      if (o.loss !== undefined && this.#random() < o.loss) return;
      // Damage within a machine, where the checksum is not there yet, nobody could see.
      if (o.corrupt !== undefined && flags === 0 && this.#random() < o.corrupt) {
        copy = Uint8Array.from(bytes);
        const bit = Math.floor(this.#random() * 8 * (copy.length - ETHERNET_HEADER_LEN)) + 8 * ETHERNET_HEADER_LEN;
        copy[bit >> 3]! ^= 1 << (bit & 7);
      }
      if (o.mark !== undefined && (copy[15]! & 3) === 2 && this.#random() < o.mark) {
        copy = Uint8Array.from(copy);
        mark(copy);
      }
    }
    let free = Math.max(this.now, this.#freeAt.get(to) ?? 0);
    if (!isArp && (free - this.now) * rate > queue) return;
    free += bytes.length / rate;
    this.#freeAt.set(to, free);
    const late = o.reorder !== undefined && this.#random() < o.reorder ? this.#random() * (o.reorderMs ?? 5) : 0;
    const vnet = { to, flags, gsoType, gsoSize, hdrLen, csumStart, csumOffset };
    this.#queue.push({ ...vnet, at: free + delay + late, order: this.#order++, bytes: copy });
    if (!isArp && o.duplicate !== undefined && this.#random() < o.duplicate)
      this.#queue.push({ ...vnet, at: free + delay + this.#random() * 3, order: this.#order++, bytes: copy });
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
