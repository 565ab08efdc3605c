/**
 * IPv4 reassembly (RFC 791 3.2, RFC 815) with bounds: packets, bytes, fragments of a packet, time, and shares that
 * neither a busy source nor a crowd of them exceeds. Fragments that overlap are refused with their whole packet (RFC 5722, which
 * is for IPv6; nothing honest makes them); an exact repetition is dropped alone. Fragments are of one packet when they agree in
 * source, destination, identification and protocol, and come from the same neighbour.
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

interface Extent {
  readonly start: number;
  readonly end: number;
  readonly bytes: Uint8Array;
}

/** What one sender holds here. */
interface Source {
  readonly word: number;
  readonly neighbour: number;
  packets: number;
}

class Partial {
  readonly source: Source;
  readonly dst: number;
  readonly idProtocol: number;
  readonly expiresAt: number;
  /** In the order of their offsets. */
  pieces: Extent[] = [];
  header: Uint8Array | undefined;
  /** Data bytes that are there, and in all (-1: the last fragment has not been seen). */
  have = 0;
  total = -1;
  cost = 0;
  /** The ECN codepoints that were seen, a bit for each. */
  ecn = 0;
  /** Refused: what still comes of it is dropped until it expires. */
  dead = false;

  constructor(source: Source, dst: number, idProtocol: number, expiresAt: number) {
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
  /** Packets that were given up while their fragments were kept: by the bounds (FragmentLimit), by time (FragmentTimeout). */
  readonly lost: Counters<DropName>;

  /** In the order of arrival, which is that of expiry. */
  readonly #partials: Partial[] = [];
  /** What sources hold together that have so many packets each. */
  readonly #held = new Float64Array(MAX_PACKETS + 1);
  readonly #onTimeout: ReassemblyTimeout;
  #bytes = 0;
  /** What the last fragment completed. */
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
   * `scratch`, with a header that is no fragment's; 0 when it is kept; or minus a drop code.
   * @param neighbour that it came from: peers of a tunnel may have the same addresses
   */
  add(now: number, slab: Slab, at: number, neighbour: number, scratch: Arena): number {
    this.#complete = undefined;
    const drop = this.#keep(now, slab, at, neighbour);
    if (drop !== Drop.None) return -drop;
    return this.#complete === undefined ? 0 : join(this.#complete, slab, scratch);
  }

  /** None: kept or completing; else why it was refused. */
  #keep(now: number, slab: Slab, at: number, neighbour: number): DropCode {
    const d = slab.view;
    this.#expire(now);
    const headerLen = ipv4HeaderLen(d, at);
    const start = ipv4FragmentOffset(d, at);
    const len = ipv4TotalLen(d, at) - headerLen;
    const end = start + len;
    const more = ipv4MoreFragments(d, at);
    if (len === 0 || (more && (len & 7) !== 0)) return Drop.FragmentBadLength;
    if (end + headerLen > IPV4_MAX_LEN) return Drop.FragmentTooLong;
    const p = this.#packetOf(now, d, at, neighbour);
    if (p.dead) return Drop.FragmentOverlap;
    if (p.pieces.length >= MAX_FRAGMENTS) return this.#kill(p, Drop.FragmentLimit);

    if (!more) {
      if ((p.total >= 0 && p.total !== end) || this.#lastEnd(p) > end) return this.#kill(p, Drop.FragmentOverlap);
    } else if (p.total >= 0 && end > p.total) return this.#kill(p, Drop.FragmentOverlap);

    let i = p.pieces.length;
    while (i > 0 && (p.pieces[i - 1] as Extent).start >= start) i--;
    const before = p.pieces[i - 1];
    const after = p.pieces[i];
    if (after !== undefined && after.start === start && after.end === end) return Drop.FragmentRepeated;
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
      if (p.header !== undefined && data !== undefined) this.#onTimeout(now, concat(p.header, data));
    }
  }

  #lastEnd(p: Partial): number {
    return p.pieces.at(-1)?.end ?? 0;
  }

  /** The packet that the fragment at `at` belongs to, a new one where it is the first. */
  #packetOf(now: number, d: DataView, at: number, neighbour: number): Partial {
    const src = ipv4Src(d, at);
    const dst = ipv4Dst(d, at);
    const idProtocol = (ipv4Id(d, at) << 8) | ipv4Protocol(d, at);
    const list = this.#partials;
    for (let i = list.length - 1; i >= 0; i--) {
      const p = list[i] as Partial;
      const { source } = p;
      if (p.idProtocol === idProtocol && source.word === src && p.dst === dst && source.neighbour === neighbour)
        return p;
    }
    if (list.length >= MAX_PACKETS) this.#evict("packets");
    const source = this.#sourceOf(src, neighbour);
    source.packets++;
    const p = new Partial(source, dst, idProtocol, now + REASSEMBLY_MS);
    list.push(p);
    return p;
  }

  #sourceOf(word: number, neighbour: number): Source {
    for (const { source } of this.#partials) if (source.word === word && source.neighbour === neighbour) return source;
    return { word, neighbour, packets: 0 };
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

/** Writes a complete packet to the scratch: its offset there, or minus a drop code. */
function join({ pieces, total, header: first }: Partial, slab: Slab, scratch: Arena): number {
  const header = first as Uint8Array;
  const len = header.length + total;
  const to = scratch.take(len);
  if (to < 0) return -Drop.FragmentLimit;
  slab.bytes.set(header, to);
  for (const piece of pieces) slab.bytes.set(piece.bytes, to + header.length + piece.start);
  slab.view.setUint16(to + 2, len);
  slab.view.setUint16(to + 6, 0);
  ipv4RefreshChecksum(slab.view, to);
  return to;
}

function concat(a: Uint8Array, b: Uint8Array): Uint8Array {
  const out = new Uint8Array(a.length + b.length);
  out.set(a);
  out.set(b, a.length);
  return out;
}
