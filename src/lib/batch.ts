/**
 * A batch of packets as a struct of arrays: row i is the bytes [at[i], at[i] + len[i]) of the slab, with the fields
 * of Linux's virtio_net_hdr (include/uapi/linux/virtio_net.h) beside it. What the bytes are (Ethernet frame, IP packet,
 * UDP payload) is said by whoever passes the batch on.
 */
export const VNET_NEEDS_CSUM = 1;
export const VNET_DATA_VALID = 2;
export const GSO_NONE = 0;
export const GSO_TCPV4 = 1;
export const GSO_UDP = 3;
export const GSO_TCPV6 = 4;
export const GSO_UDP_L4 = 5;
/** Bit in gsoType: the TCP flow uses ECN (CWR only on the first segment). */
export const GSO_ECN = 0x80;

/**
 * Packets of a super-frame at most; one that would make more is a drop. 64 KiB in 256 packets are 256 bytes each: every host
 * takes 536 (RFC 9293 3.7.1), Linux believes no path MTU below 552 (net.ipv4.route.min_pmtu) and puts at most 128 datagrams
 * into one UDP super-frame (UDP_MAX_SEGMENTS), so whoever sends more means to keep us busy.
 */
export const MAX_SEGMENTS = 256;
/** A frame without a segment size is counted by what an ordinary MTU makes of it. */
const ORDINARY_FRAME = 1514;
/** Rows of one frame at most (Batch.more), well within the 1,024 pieces that sendmsg takes (UIO_MAXIOV). */
export const MAX_PIECES = 512;

export class Batch {
  readonly capacity: number;
  count = 0;
  /** How often it was emptied: the index of a row means that row only while this is the same. */
  generation = 0;
  readonly at: Int32Array;
  readonly len: Int32Array;
  /** VNET_NEEDS_CSUM: the checksum field at csumStart + csumOffset holds only the pseudo-header sum; VNET_DATA_VALID: already verified. */
  readonly flags: Uint8Array;
  readonly gsoType: Uint8Array;
  /** Payload bytes of each segment of a super-frame; of another frame (gsoType GSO_NONE) anything. */
  readonly gsoSize: Uint16Array;
  /** Bytes of headers in front of the payload of a super-frame, a hint; of another frame anything. */
  readonly hdrLen: Uint16Array;
  /** From the start of the frame; without VNET_NEEDS_CSUM anything, as csumOffset. */
  readonly csumStart: Uint16Array;
  readonly csumOffset: Uint16Array;
  /** 1: the next row is the continuation of the same frame (gathered when it is sent; its own vnet fields do not count). */
  readonly more: Uint8Array;
  /** Whose packet it is: the tunnel's peer that it came from, or that it goes to; 0 where there is but one. */
  readonly peer: Int32Array;

  constructor(capacity: number) {
    this.capacity = capacity;
    this.at = new Int32Array(capacity);
    this.len = new Int32Array(capacity);
    this.flags = new Uint8Array(capacity);
    this.gsoType = new Uint8Array(capacity);
    this.gsoSize = new Uint16Array(capacity);
    this.hdrLen = new Uint16Array(capacity);
    this.csumStart = new Uint16Array(capacity);
    this.csumOffset = new Uint16Array(capacity);
    this.more = new Uint8Array(capacity);
    this.peer = new Int32Array(capacity);
  }

  /** Adds a plain row (no offload) and returns its index, or -1 when the batch is full. */
  push(at: number, len: number): number {
    const i = this.count;
    if (i === this.capacity) return -1;
    this.at[i] = at;
    this.len[i] = len;
    this.flags[i] = 0;
    this.gsoType[i] = GSO_NONE;
    this.more[i] = 0;
    this.peer[i] = 0;
    this.count = i + 1;
    return i;
  }

  /** Adds the rows [from, end) of another batch as plain rows, for which there is room. */
  pushPlain({ at, len }: Batch, from: number, end: number): void {
    for (let i = from; i < end; i++) this.push(at[i]!, len[i]!);
  }

  /** The end of the rows from `first` on that are of one peer. */
  peerEnd(first: number): number {
    const peer = this.peer[first];
    let end = first + 1;
    while (end < this.count && this.peer[end] === peer) end++;
    return end;
  }

  clear(): void {
    this.count = 0;
    this.generation++;
  }

  get room(): number {
    return this.capacity - this.count;
  }
}

/**
 * The work that a received frame means, in packets: those that it becomes, at most MAX_SEGMENTS. Splitting, sealing and
 * sending cost about the same for each packet, whatever the frame was.
 */
export function segmentsOf(len: number, gsoType: number, gsoSize: number): number {
  if (len <= ORDINARY_FRAME) return gsoType === GSO_NONE || gsoSize >= len ? 1 : split(len, gsoSize);
  return split(len, gsoType === GSO_NONE ? ORDINARY_FRAME : Math.min(gsoSize, ORDINARY_FRAME));
}

const split = (len: number, size: number): number => Math.min(MAX_SEGMENTS, Math.ceil(len / Math.max(size, 1)));
