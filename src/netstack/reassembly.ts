/**
 * Reassembly of fragments (RFC 791 3.2, RFC 815, RFC 8200 4.5) with bounds: packets, bytes, fragments of a packet, time, and
 * shares that neither a busy source nor a crowd of them exceeds. Fragments that overlap are refused with their whole packet
 * (RFC 5722; of IPv4 nothing honest makes them either); an exact repetition is dropped alone. Fragments are of one packet when they
 * agree in source, destination and identification, and come from the same neighbour; what else a family asks for is part of
 * its identification. One instance a family, by its {@link FragmentFormat}.
 */
import { concat } from "../lib/bytes.ts";
import type { Counters } from "../lib/counters.ts";
import type { Arena, Slab } from "../lib/slab.ts";
import { isAddressAt, readAddress, type Stride } from "../lib/words.ts";
import { Drop, type DropCode, type DropName, dropCounters } from "./drop.ts";
import { ECN_CE, ECN_NOT_ECT } from "./wire/ipv4.ts";

/** Our choice within the 15 s of RFC 791 and the 60 s of RFC 1122 3.3.2 and RFC 8200 4.5. */
export const REASSEMBLY_MS = 20_000;
const MAX_PACKETS = 128;
const MAX_BYTES = 2 * 1024 * 1024;
/** Enough for 65,535 bytes at an MTU of 576; a packet in more pieces is an attack. */
const MAX_FRAGMENTS = 192;
/** What a fragment costs beside its bytes, roughly. */
const OVERHEAD = 128;

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
  /** The header of the first fragment at `at`, but for what makes it one's. */
  header(slab: Slab, at: number, headerLen: number): Uint8Array;
  /** Marks a header: congestion experienced. */
  mark(header: Uint8Array): void;
  /** Gives the header at `at`, of a packet that was put together, its length. */
  finish(d: DataView, at: number, len: number): void;
}

interface Extent {
  readonly start: number;
  readonly end: number;
  readonly bytes: Uint8Array;
}

/** What one sender holds here. */
interface Source {
  readonly words: Int32Array;
  readonly neighbour: number;
  packets: number;
}

class Partial {
  readonly source: Source;
  readonly dst: Int32Array;
  readonly id: number;
  readonly expiresAt: number;
  /** In the order of their offsets. */
  pieces: Extent[] = [];
  /** Of a whole packet, and of fragment 0 as it came. */
  header: Uint8Array | undefined;
  first: Uint8Array | undefined;
  /** Data bytes that are there, and in all (-1: the last fragment has not been seen). */
  have = 0;
  total = -1;
  /** The largest of its fragments, with their headers. */
  largest = 0;
  cost = 0;
  /** The ECN codepoints that were seen, a bit for each. */
  ecn = 0;
  /** Refused: what still comes of it is dropped until it expires. */
  dead = false;

  constructor(source: Source, dst: Int32Array, id: number, expiresAt: number) {
    this.source = source;
    this.dst = dst;
    this.id = id;
    this.expiresAt = expiresAt;
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

  /** In the order of arrival, which is that of expiry. */
  readonly #partials: Partial[] = [];
  /** What sources hold together that have so many packets each. */
  readonly #held = new Float64Array(MAX_PACKETS + 1);
  readonly #format: FragmentFormat;
  readonly #onTimeout: ReassemblyTimeout;
  readonly #fragment = new Fragment();
  #bytes = 0;
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
    return this.#bytes;
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
    return this.#complete === undefined ? 0 : this.#join(this.#complete, slab, scratch);
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
    if (p.pieces.length >= MAX_FRAGMENTS) return this.#kill(p, Drop.FragmentLimit);

    if (isLast) {
      if ((p.total >= 0 && p.total !== end) || this.#lastEnd(p) > end) return this.#kill(p, Drop.FragmentOverlap);
    } else if (p.total >= 0 && end > p.total) return this.#kill(p, Drop.FragmentOverlap);

    let i = p.pieces.length;
    while (i > 0 && (p.pieces[i - 1] as Extent).start >= start) i--;
    const before = p.pieces[i - 1];
    const after = p.pieces[i];
    if (after !== undefined && after.start === start && after.end === end) return Drop.FragmentRepeated;
    if ((before !== undefined && before.end > start) || (after !== undefined && after.start < end))
      return this.#kill(p, Drop.FragmentOverlap);

    if (isLast) p.total = end;
    p.pieces.splice(i, 0, { start, end, bytes: slab.bytes.slice(f.dataAt, f.dataAt + len) });
    if (start === 0) {
      p.first = slab.bytes.slice(at, f.dataAt);
      p.header = format.header(slab, at, f.headerLen);
    }
    p.ecn |= 1 << f.ecn;
    p.largest = Math.max(p.largest, f.dataAt - at + len);
    p.have += len;
    this.#account(p, len + OVERHEAD);
    if (p.have === p.total && p.header !== undefined) {
      if (p.total + p.header.length > format.maxLen) return this.#kill(p, Drop.FragmentTooLong);
      // RFC 3168 5.3: a mark on one fragment is one on the packet, unless another says that its sender does not know marks.
      if ((p.ecn & (1 << ECN_CE)) !== 0) {
        if ((p.ecn & (1 << ECN_NOT_ECT)) !== 0) return this.#kill(p, Drop.FragmentMixedEcn);
        format.mark(p.header);
      }
      this.#remove(p);
      this.#complete = p;
      this.largest = p.largest;
      return Drop.None;
    }
    while (this.#bytes > MAX_BYTES) this.#evict("bytes");
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
      this.#remove(p);
      if (p.dead) continue;
      this.lost.bump(Drop.FragmentTimeout);
      const data = p.pieces[0]?.bytes;
      if (p.first !== undefined && data !== undefined) this.#onTimeout(now, concat(p.first, data));
    }
  }

  /** Writes a complete packet to the scratch: its offset there, or minus a drop code. */
  #join({ pieces, total, header: first }: Partial, slab: Slab, scratch: Arena): number {
    const header = first as Uint8Array;
    const len = header.length + total;
    const to = scratch.take(len);
    if (to < 0) return -Drop.FragmentLimit;
    slab.bytes.set(header, to);
    for (const piece of pieces) slab.bytes.set(piece.bytes, to + header.length + piece.start);
    this.#format.finish(slab.view, to, len);
    return to;
  }

  #lastEnd(p: Partial): number {
    return p.pieces.at(-1)?.end ?? 0;
  }

  /** The packet that the fragment at `at` belongs to, a new one where it is the first. */
  #packetOf(now: number, d: DataView, at: number, id: number, neighbour: number): Partial {
    const { stride, src, dst } = this.#format;
    const list = this.#partials;
    for (let i = list.length - 1; i >= 0; i--) {
      const p = list[i] as Partial;
      if (p.id === id && isAddressAt(d, at + dst, p.dst, 0, stride) && this.#isFrom(p.source, d, at, neighbour))
        return p;
    }
    if (list.length >= MAX_PACKETS) this.#evict("packets");
    const source = list.find((p) => this.#isFrom(p.source, d, at, neighbour))?.source ?? {
      words: wordsAt(d, at + src, stride),
      neighbour,
      packets: 0,
    };
    source.packets++;
    const p = new Partial(source, wordsAt(d, at + dst, stride), id, now + REASSEMBLY_MS);
    list.push(p);
    return p;
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
    const victim = this.#partials.find((p) => p.source.packets === most);
    if (victim === undefined) return;
    if (!victim.dead) this.lost.bump(Drop.FragmentLimit);
    this.#remove(victim);
  }

  #kill(p: Partial, why: DropCode): DropCode {
    this.#account(p, -p.cost);
    p.pieces = [];
    p.header = undefined;
    p.first = undefined;
    p.dead = true;
    return why;
  }

  #remove(p: Partial): void {
    this.#partials.splice(this.#partials.indexOf(p), 1);
    this.#account(p, -p.cost);
    p.source.packets--;
  }

  #account(p: Partial, bytes: number): void {
    p.cost += bytes;
    this.#bytes += bytes;
  }
}

function wordsAt(d: DataView, at: number, stride: Stride): Int32Array {
  const words = new Int32Array(stride);
  readAddress(d, at, words, 0, stride);
  return words;
}
