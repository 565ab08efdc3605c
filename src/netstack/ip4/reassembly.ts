/**
 * IPv4 reassembly (RFC 791 3.2, RFC 815) with bounds: packets, bytes, fragments of a packet, time, and a fair share for
 * each source. Fragments that overlap are refused with their whole packet (RFC 5722, which is for IPv6; nothing honest
 * makes them); an exact repetition is ignored.
 */
import type { Counters } from "../../lib/counters.ts";
import type { Arena, Slab } from "../../lib/slab.ts";
import { Drop, type DropCode, type DropName, dropCounters } from "../drop.ts";
import {
  ECN_CE,
  ECN_NOT_ECT,
  IPV4_MAX_LEN,
  IPV4_TOS,
  ipv4Dst,
  ipv4Ecn,
  ipv4FragmentOffset,
  ipv4HeaderLen,
  ipv4Id,
  ipv4MoreFragments,
  ipv4Protocol,
  ipv4RefreshChecksum,
  ipv4Src,
  ipv4TotalLen,
} from "../wire/ipv4.ts";

/** Our choice within the 15 s of RFC 791 and the 60 s of RFC 1122 3.3.2. */
export const REASSEMBLY_MS = 20_000;
const MAX_PACKETS = 128;
const MAX_BYTES = 2 * 1024 * 1024;
/** Enough for 65,535 bytes at an MTU of 576; a packet in more pieces is an attack. */
const MAX_FRAGMENTS = 192;
/** What a fragment costs beside its bytes, roughly. */
const OVERHEAD = 128;

interface Piece {
  readonly start: number;
  readonly end: number;
  readonly bytes: Uint8Array;
}

/** What one sender holds here. */
interface Source {
  packets: number;
  bytes: number;
}

class Partial {
  readonly hash: number;
  readonly src: number;
  readonly source: Source;
  readonly dst: number;
  readonly idProtocol: number;
  readonly expiresAt: number;
  /** In the order of their offsets. */
  pieces: Piece[] = [];
  header: Uint8Array | undefined;
  /** Data bytes that are there, and in all (-1: the last fragment has not been seen). */
  have = 0;
  total = -1;
  cost = 0;
  /** The ECN codepoints that were seen, a bit for each. */
  ecn = 0;
  /** Refused: what still comes of it is dropped until it expires. */
  dead = false;

  constructor(hash: number, src: number, source: Source, dst: number, idProtocol: number, expiresAt: number) {
    this.hash = hash;
    this.src = src;
    this.source = source;
    this.dst = dst;
    this.idProtocol = idProtocol;
    this.expiresAt = expiresAt;
  }
}

/**
 * Told of each packet that was given up for the time, of which fragment 0 is there: whether its sender hears of it is the
 * side's policy (RFC 1122 3.3.2: time exceeded, code 1). `first` is that fragment as it came.
 */
export type ReassemblyTimeout = (now: number, first: Uint8Array) => void;

export class Reassembler {
  /** Length of the packet that the last `offer` completed, else 0; fetch it with {@link copyOut} before the next offer. */
  completeLen = 0;
  /** Packets that were given up while their fragments were kept: by the bounds (FragmentLimit), by time (FragmentTimeout). */
  readonly lost: Counters<DropName>;

  /** In the order of arrival, which is that of expiry. */
  readonly #partials: Partial[] = [];
  /** Of each address with a packet in that list. */
  readonly #sources = new Map<number, Source>();
  readonly #onTimeout: ReassemblyTimeout;
  #bytes = 0;
  #complete: Partial | undefined;

  constructor(lost: Counters<DropName> = dropCounters(), onTimeout: ReassemblyTimeout = () => {}) {
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
   * Takes (copies) a fragment whose IPv4 header has been checked. Returns the offset of the packet that it completed, in
   * `scratch`, 0 when it is kept, or minus a drop code.
   */
  add(now: number, slab: Slab, at: number, scratch: Arena): number {
    const drop = this.offer(now, slab, at);
    if (drop !== Drop.None) return -drop;
    if (this.completeLen === 0) return 0;
    const whole = scratch.take(this.completeLen);
    if (whole < 0) return -Drop.FragmentLimit;
    this.copyOut(slab, whole);
    return whole;
  }

  /** Takes (copies) a fragment whose IPv4 header has been checked. None: kept or completing; else why it was refused. */
  offer(now: number, slab: Slab, at: number): DropCode {
    const d = slab.view;
    this.completeLen = 0;
    this.#complete = undefined;
    this.#expire(now);
    const headerLen = ipv4HeaderLen(d, at);
    const start = ipv4FragmentOffset(d, at);
    const len = ipv4TotalLen(d, at) - headerLen;
    const end = start + len;
    const more = ipv4MoreFragments(d, at);
    if (len === 0 || (more && (len & 7) !== 0)) return Drop.FragmentBadLength;
    if (end + headerLen > IPV4_MAX_LEN) return Drop.FragmentTooLong;
    const p = this.#find(d, at) ?? this.#start(now, d, at);
    if (p.dead) return Drop.FragmentOverlap;
    if (p.pieces.length >= MAX_FRAGMENTS) return this.#kill(p, Drop.FragmentLimit);

    if (!more) {
      if ((p.total >= 0 && p.total !== end) || this.#lastEnd(p) > end) return this.#kill(p, Drop.FragmentOverlap);
    } else if (p.total >= 0 && end > p.total) return this.#kill(p, Drop.FragmentOverlap);

    let i = p.pieces.length;
    while (i > 0 && (p.pieces[i - 1] as Piece).start >= start) i--;
    const before = p.pieces[i - 1];
    const after = p.pieces[i];
    if (after !== undefined && after.start === start && after.end === end) return Drop.FragmentOverlap; // a repetition
    if ((before !== undefined && before.end > start) || (after !== undefined && after.start < end))
      return this.#kill(p, Drop.FragmentOverlap);

    if (!more) p.total = end;
    const from = at + headerLen;
    p.pieces.splice(i, 0, { start, end, bytes: slab.bytes.slice(from, from + len) });
    if (start === 0) p.header = slab.bytes.slice(at, at + headerLen);
    p.ecn |= 1 << ipv4Ecn(d, at);
    p.have += len;
    this.#account(p, len + OVERHEAD);
    if (p.have === p.total && p.header !== undefined) {
      if (p.total + p.header.length > IPV4_MAX_LEN) return this.#kill(p, Drop.FragmentTooLong);
      // RFC 3168 5.3: a mark on one fragment is one on the packet, unless another says that its sender does not know marks.
      if ((p.ecn & (1 << ECN_CE)) !== 0) {
        if ((p.ecn & (1 << ECN_NOT_ECT)) !== 0) return this.#kill(p, Drop.FragmentMixedEcn);
        p.header[IPV4_TOS]! |= ECN_CE;
      }
      this.#remove(p);
      this.#complete = p;
      this.completeLen = p.total + p.header.length;
      return Drop.None;
    }
    while (this.#bytes > MAX_BYTES) this.#evict("bytes");
    return Drop.None;
  }

  /** Writes the completed packet (completeLen bytes) to `to`, with a header that is no fragment's. */
  copyOut(slab: Slab, to: number): void {
    const p = this.#complete as Partial;
    const header = p.header as Uint8Array;
    slab.bytes.set(header, to);
    for (const piece of p.pieces) slab.bytes.set(piece.bytes, to + header.length + piece.start);
    slab.view.setUint16(to + 2, this.completeLen);
    slab.view.setUint16(to + 6, 0);
    ipv4RefreshChecksum(slab.view, to);
    this.#complete = undefined;
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
      if (p.header !== undefined && data !== undefined) this.#onTimeout(now, concat(p.header, data));
    }
  }

  #lastEnd(p: Partial): number {
    return p.pieces.at(-1)?.end ?? 0;
  }

  #find(d: DataView, at: number): Partial | undefined {
    const src = ipv4Src(d, at);
    const dst = ipv4Dst(d, at);
    const idProtocol = (ipv4Id(d, at) << 8) | ipv4Protocol(d, at);
    const hash = src ^ (dst << 1) ^ Math.imul(idProtocol, 0x9e3779b1);
    const list = this.#partials;
    for (let i = list.length - 1; i >= 0; i--) {
      const p = list[i] as Partial;
      if (p.hash === hash && p.src === src && p.dst === dst && p.idProtocol === idProtocol) return p;
    }
    return undefined;
  }

  #start(now: number, d: DataView, at: number): Partial {
    const src = ipv4Src(d, at);
    const dst = ipv4Dst(d, at);
    const idProtocol = (ipv4Id(d, at) << 8) | ipv4Protocol(d, at);
    const hash = src ^ (dst << 1) ^ Math.imul(idProtocol, 0x9e3779b1);
    if (this.#partials.length >= MAX_PACKETS) this.#evict("packets");
    const known = this.#sources.get(src);
    const source = known ?? { packets: 0, bytes: 0 };
    if (known === undefined) this.#sources.set(src, source);
    source.packets++;
    const p = new Partial(hash, src, source, dst, idProtocol, now + REASSEMBLY_MS);
    this.#partials.push(p);
    return p;
  }

  /** Gives up the oldest packet of the source that holds the most of what is short. */
  #evict(what: keyof Source): void {
    let busiest: Source | undefined;
    for (const source of this.#sources.values())
      if (busiest === undefined || source[what] > busiest[what]) busiest = source;
    const victim = this.#partials.find((p) => p.source === busiest);
    if (victim === undefined) return;
    if (!victim.dead) this.lost.bump(Drop.FragmentLimit);
    this.#remove(victim);
  }

  #kill(p: Partial, why: DropCode): DropCode {
    this.#account(p, -p.cost);
    p.pieces = [];
    p.header = undefined;
    p.dead = true;
    return why;
  }

  #remove(p: Partial): void {
    this.#partials.splice(this.#partials.indexOf(p), 1);
    this.#account(p, -p.cost);
    p.source.packets--;
    if (p.source.packets === 0) this.#sources.delete(p.src);
  }

  #account(p: Partial, bytes: number): void {
    p.cost += bytes;
    p.source.bytes += bytes;
    this.#bytes += bytes;
  }
}

function concat(a: Uint8Array, b: Uint8Array): Uint8Array {
  const out = new Uint8Array(a.length + b.length);
  out.set(a);
  out.set(b, a.length);
  return out;
}
