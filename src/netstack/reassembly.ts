/**
 * Reassembly of fragments (RFC 791 3.2, RFC 815, RFC 8200 4.5) with bounds: packets, bytes, fragments of a packet, time, and
 * shares that neither a busy source nor a crowd of them exceeds. Fragments that overlap are refused with their whole packet
 * (RFC 5722; of IPv4 nothing honest makes them either); an exact repetition is dropped alone. Fragments are of one packet when they
 * agree in source, destination and identification, and come from the same neighbour; what else a family asks for is part of
 * its identification. One instance a family, by its {@link FragmentFormat}.
 */
import type { Counters } from "../lib/counters.ts";
import type { Arena, Slab } from "../lib/slab.ts";
import { isAddressAt, readAddress, type Stride } from "../lib/words.ts";
import { Drop, type DropCode, type DropName, dropCounters } from "./drop.ts";
import { costOf, FragmentStore } from "./fragment-store.ts";
import { ECN_CE, ECN_NOT_ECT } from "./wire/ipv4.ts";

const NONE = -1;
const MARKED = 1 << ECN_CE;

/** Our choice within the 15 s of RFC 791 and the 60 s of RFC 1122 3.3.2 and RFC 8200 4.5. */
export const REASSEMBLY_MS = 20_000;
const MAX_PACKETS = 128;
const MAX_BYTES = 2 * 1024 * 1024;
/** Enough for 65,535 bytes at an MTU of 576; a packet in more pieces is an attack. */
const MAX_FRAGMENTS = 192;

/** One fragment, as a family's format reads it. A record that is reused. */
export class Fragment {
  /** Of its data in the packet's, in bytes. */
  start = 0;
  isLast = false;
  /** Where its data is, and its bytes. */
  dataAt = 0;
  len = 0;
  /** Of the header that a whole packet has in front of the data. */
  headerLen = 0;
  /** RFC 3168 5. */
  ecn = 0;
  /** What its siblings have too, as an exact number. */
  id = 0;
}

/** What a family's fragments have of their own. Packets have been checked. */
export interface FragmentFormat {
  /** Words of an address, and where in the header source and destination are. */
  readonly stride: Stride;
  readonly src: number;
  readonly dst: number;
  /** Bytes of a packet at most. */
  readonly maxLen: number;
  read(d: DataView, at: number, fragment: Fragment): void;
  /** The first fragment's headers at `at` become those of a packet: what stands behind `headerLen` goes. */
  strip(d: DataView, at: number, headerLen: number): void;
  /** Marks the header at `at`: congestion experienced. */
  mark(d: DataView, at: number): void;
  /** Gives the header at `at`, of a packet that was put together, its length. */
  finish(d: DataView, at: number, len: number): void;
}

/** What one sender holds here. */
class Source {
  readonly words: Int32Array;
  neighbour = 0;
  packets = 0;

  constructor(stride: Stride) {
    this.words = new Int32Array(stride);
  }
}

/** A packet of which fragments are there. Records are used again. */
class Partial {
  source: Source;
  readonly dst: Int32Array;
  id = 0;
  expiresAt = 0;
  /** Its fragments in the order of their offsets: where their data begins and ends in the packet's, and where it is kept. */
  readonly starts = new Int32Array(MAX_FRAGMENTS);
  readonly ends = new Int32Array(MAX_FRAGMENTS);
  readonly chains = new Int32Array(MAX_FRAGMENTS);
  count = 0;
  /** The headers of fragment 0 as it came: where they are kept, and their bytes, without and with what only a fragment has. */
  first = NONE;
  headerLen = 0;
  firstLen = 0;
  /** Data bytes that are there, and in all (-1: the last fragment has not been seen). */
  have = 0;
  total = -1;
  /** The largest of its fragments, with their headers. */
  largest = 0;
  cost = 0;
  /** The ECN codepoints that were seen, a bit for each. */
  ecn = 0;
  /** False: it was given up, or has become whole. */
  isHeld = false;
  /** Refused: what still comes of it is dropped until it expires. */
  dead = false;

  constructor(source: Source, stride: Stride) {
    this.source = source;
    this.dst = new Int32Array(stride);
  }

  begin(source: Source, id: number, expiresAt: number): void {
    this.source = source;
    this.id = id;
    this.expiresAt = expiresAt;
    this.have = 0;
    this.total = -1;
    this.largest = 0;
    this.ecn = 0;
    this.dead = false;
    this.isHeld = true;
  }

  get end(): number {
    return this.count === 0 ? 0 : (this.ends[this.count - 1] as number);
  }

  /** The first of its fragments that begins at `start` or behind it. */
  indexOf(start: number): number {
    let i = this.count;
    while (i > 0 && (this.starts[i - 1] as number) >= start) i--;
    return i;
  }

  insert(i: number, start: number, end: number, chain: number): void {
    this.starts.copyWithin(i + 1, i, this.count);
    this.ends.copyWithin(i + 1, i, this.count);
    this.chains.copyWithin(i + 1, i, this.count);
    this.starts[i] = start;
    this.ends[i] = end;
    this.chains[i] = chain;
    this.count++;
  }
}

/**
 * Told of each packet that was given up for the time, of which fragment 0 is there: whether its sender hears of it is the
 * side's policy (RFC 1122 3.3.2, RFC 8200 4.5: time exceeded, code 1). `first` is that fragment as it came.
 */
export type ReassemblyTimeout = (now: number, first: Uint8Array) => void;

export class Reassembler {
  /** Packets that were given up while their fragments were kept: by the bounds (FragmentLimit), by time (FragmentTimeout). */
  readonly lost: Counters<DropName>;

  /** In the order of arrival, which is that of expiry; the others' records are spare. */
  readonly #partials: Partial[] = [];
  readonly #sparePartials: Partial[] = [];
  readonly #spareSources: Source[] = [];
  readonly #store = new FragmentStore(MAX_BYTES);
  /** What sources hold together that have so many packets each. */
  readonly #held = new Float64Array(MAX_PACKETS + 1);
  readonly #format: FragmentFormat;
  readonly #onTimeout: ReassemblyTimeout;
  readonly #fragment = new Fragment();
  /** The largest fragment, as a packet, of the packet that was completed last. */
  largest = 0;
  /** What the last fragment completed. */
  #complete: Partial | undefined;

  constructor(
    format: FragmentFormat,
    lost: Counters<DropName> = dropCounters(),
    onTimeout: ReassemblyTimeout = () => {},
  ) {
    this.#format = format;
    this.lost = lost;
    this.#onTimeout = onTimeout;
  }

  get packets(): number {
    return this.#partials.length;
  }

  get bytes(): number {
    return this.#store.used;
  }

  /**
   * Takes (copies) a fragment whose headers have been checked. Returns the offset of the packet that it completed, in
   * `scratch`, with a header that is no fragment's; 0 when it is kept; or minus a drop code.
   * @param neighbour that it came from: peers of a tunnel may have the same addresses
   */
  add(now: number, slab: Slab, at: number, neighbour: number, scratch: Arena): number {
    this.#complete = undefined;
    const drop = this.#keep(now, slab, at, neighbour);
    if (drop !== Drop.None) return -drop;
    const whole = this.#complete;
    if (whole === undefined) return 0;
    const result = this.#join(whole, slab, scratch);
    this.#remove(whole);
    return result;
  }

  /** None: kept or completing; else why it was refused. */
  #keep(now: number, slab: Slab, at: number, neighbour: number): DropCode {
    const d = slab.view;
    this.#expire(now);
    const format = this.#format;
    const f = this.#fragment;
    format.read(d, at, f);
    const { start, len, isLast } = f;
    const end = start + len;
    if (len === 0 || (!isLast && (len & 7) !== 0)) return Drop.FragmentBadLength;
    if (end + f.headerLen > format.maxLen) return Drop.FragmentTooLong;
    const p = this.#packetOf(now, d, at, f.id, neighbour);
    if (p.dead) return Drop.FragmentOverlap;
    if (p.count >= MAX_FRAGMENTS) return this.#kill(p, Drop.FragmentLimit);

    if (isLast) {
      if ((p.total >= 0 && p.total !== end) || p.end > end) return this.#kill(p, Drop.FragmentOverlap);
    } else if (p.total >= 0 && end > p.total) return this.#kill(p, Drop.FragmentOverlap);

    const i = p.indexOf(start);
    const isBefore = i < p.count;
    if (isBefore && p.starts[i] === start && p.ends[i] === end) return Drop.FragmentRepeated;
    if ((i > 0 && (p.ends[i - 1] as number) > start) || (isBefore && (p.starts[i] as number) < end))
      return this.#kill(p, Drop.FragmentOverlap);

    const headers = start === 0 ? f.dataAt - at : 0;
    const cost = costOf(len) + costOf(headers);
    while (this.#store.room < cost) this.#evict("bytes");
    if (!p.isHeld) return Drop.FragmentLimit; // its packet gave way itself
    if (isLast) p.total = end;
    p.insert(i, start, end, this.#store.put(slab.bytes, f.dataAt, len));
    if (start === 0) {
      p.first = this.#store.put(slab.bytes, at, headers);
      p.headerLen = f.headerLen;
      p.firstLen = headers;
    }
    p.cost += cost;
    p.ecn |= 1 << f.ecn;
    p.largest = Math.max(p.largest, f.dataAt - at + len);
    p.have += len;
    if (p.have !== p.total || p.first === NONE) return Drop.None;
    if (p.total + p.headerLen > format.maxLen) return this.#kill(p, Drop.FragmentTooLong);
    // RFC 3168 5.3: a mark on one fragment is one on the packet, unless another says that its sender does not know marks.
    if ((p.ecn & MARKED) !== 0 && (p.ecn & (1 << ECN_NOT_ECT)) !== 0) return this.#kill(p, Drop.FragmentMixedEcn);
    this.#complete = p;
    this.largest = p.largest;
    return Drop.None;
  }

  pollAt(): number {
    return this.#partials[0]?.expiresAt ?? Number.POSITIVE_INFINITY;
  }

  handleTimeout(now: number): void {
    this.#expire(now);
  }

  #expire(now: number): void {
    for (let p = this.#partials[0]; p !== undefined && p.expiresAt <= now; p = this.#partials[0]) {
      const first = p.count > 0 && p.first !== NONE ? this.#firstOf(p) : undefined;
      if (!p.dead) this.lost.bump(Drop.FragmentTimeout);
      this.#remove(p);
      if (first !== undefined) this.#onTimeout(now, first);
    }
  }

  /** Fragment 0 as it came. */
  #firstOf(p: Partial): Uint8Array {
    const len = p.ends[0] as number;
    const bytes = new Uint8Array(p.firstLen + len);
    this.#store.get(p.first, p.firstLen, bytes, 0);
    this.#store.get(p.chains[0] as number, len, bytes, p.firstLen);
    return bytes;
  }

  /** Writes a complete packet to the scratch: its offset there, or minus a drop code. */
  #join(p: Partial, slab: Slab, scratch: Arena): number {
    const { headerLen } = p;
    const len = headerLen + p.total;
    // What a first fragment has beyond the header, and no packet, is written over; for all of it there is the room behind a frame.
    const to = scratch.take(len);
    if (to < 0) return -Drop.FragmentLimit;
    const d = slab.view;
    this.#store.get(p.first, p.firstLen, slab.bytes, to);
    this.#format.strip(d, to, headerLen);
    for (let i = 0; i < p.count; i++) {
      const start = p.starts[i] as number;
      this.#store.get(p.chains[i] as number, (p.ends[i] as number) - start, slab.bytes, to + headerLen + start);
    }
    if ((p.ecn & MARKED) !== 0) this.#format.mark(d, to);
    this.#format.finish(d, to, len);
    return to;
  }

  /** The packet that the fragment at `at` belongs to, a new one where it is the first. */
  #packetOf(now: number, d: DataView, at: number, id: number, neighbour: number): Partial {
    const { stride, dst } = this.#format;
    const list = this.#partials;
    for (let i = list.length - 1; i >= 0; i--) {
      const p = list[i] as Partial;
      if (p.id === id && isAddressAt(d, at + dst, p.dst, 0, stride) && this.#isFrom(p.source, d, at, neighbour))
        return p;
    }
    if (list.length >= MAX_PACKETS) this.#evict("packets");
    const source = this.#sourceOf(d, at, neighbour);
    source.packets++;
    const p = this.#sparePartials.pop() ?? new Partial(source, stride);
    p.begin(source, id, now + REASSEMBLY_MS);
    readAddress(d, at + dst, p.dst, 0, stride);
    list.push(p);
    return p;
  }

  /** The sender of the fragment at `at`, one that is known where it holds something. */
  #sourceOf(d: DataView, at: number, neighbour: number): Source {
    for (const { source } of this.#partials) if (this.#isFrom(source, d, at, neighbour)) return source;
    const { stride, src } = this.#format;
    const source = this.#spareSources.pop() ?? new Source(stride);
    readAddress(d, at + src, source.words, 0, stride);
    source.neighbour = neighbour;
    return source;
  }

  #isFrom(source: Source, d: DataView, at: number, neighbour: number): boolean {
    const { src, stride } = this.#format;
    return source.neighbour === neighbour && isAddressAt(d, at + src, source.words, 0, stride);
  }

  /**
   * Gives up the oldest packet of those sources that together hold the most of what is short, taken together by how many
   * packets each of them has. So neither one source with many packets nor many sources with few each, as of a forger of
   * addresses, push out who has another number of them.
   */
  #evict(what: "packets" | "bytes"): void {
    const held = this.#held.fill(0);
    // Each packet adds what is its own.
    for (const p of this.#partials) held[p.source.packets]! += what === "packets" ? 1 : p.cost;
    let most = 0;
    for (let n = 1; n < held.length; n++) if (held[n]! > held[most]!) most = n;
    for (const victim of this.#partials)
      if (victim.source.packets === most) {
        if (!victim.dead) this.lost.bump(Drop.FragmentLimit);
        this.#remove(victim);
        return;
      }
  }

  #kill(p: Partial, why: DropCode): DropCode {
    this.#empty(p);
    p.dead = true;
    return why;
  }

  #remove(p: Partial): void {
    this.#empty(p);
    p.isHeld = false;
    const list = this.#partials;
    for (let i = list.indexOf(p) + 1; i < list.length; i++) list[i - 1] = list[i] as Partial;
    list.pop();
    this.#sparePartials.push(p);
    if (--p.source.packets === 0) this.#spareSources.push(p.source);
  }

  /** Gives back what is kept of its bytes. */
  #empty(p: Partial): void {
    for (let i = 0; i < p.count; i++) this.#store.drop(p.chains[i] as number);
    if (p.first !== NONE) this.#store.drop(p.first);
    p.count = 0;
    p.first = NONE;
    p.cost = 0;
  }
}
