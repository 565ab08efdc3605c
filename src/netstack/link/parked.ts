/** Packets that wait for their neighbour to answer, in bounds: of each neighbour and of all. */

/** A packet that waits, with the vnet fields that it is to be sent with. */
export interface Parked {
  readonly bytes: Uint8Array;
  readonly flags: number;
  readonly gsoType: number;
  readonly gsoSize: number;
  readonly hdrLen: number;
  readonly csumStart: number;
  readonly csumOffset: number;
}

/** One 64 KiB datagram in fragments of a small MTU fits. */
const MAX_PACKETS = 128;
const MAX_BYTES = 160 * 1024;
const MAX_BYTES_ALL = 1024 * 1024;

export class ParkedPackets {
  readonly #packets = new Map<number, Parked[]>();
  readonly #bytes: Int32Array;
  #bytesAll = 0;

  /** @param neighbours from 1 to this one */
  constructor(neighbours: number) {
    this.#bytes = new Int32Array(neighbours + 1);
  }

  has(n: number): boolean {
    return this.#packets.has(n);
  }

  /** Whether neighbour `n` can have a packet of so many bytes wait. */
  hasRoomFor(n: number, size: number): boolean {
    return (
      (this.#packets.get(n)?.length ?? 0) < MAX_PACKETS &&
      this.#bytes[n]! + size <= MAX_BYTES &&
      this.#bytesAll + size <= MAX_BYTES_ALL
    );
  }

  /** Takes the packet's bytes; there is room for it. */
  add(n: number, packet: Parked): void {
    const size = packet.bytes.length;
    const waiting = this.#packets.get(n);
    if (waiting === undefined) this.#packets.set(n, [packet]);
    else waiting.push(packet);
    this.#bytes[n]! += size;
    this.#bytesAll += size;
  }

  /** The packets of a neighbour that {@link has} some, in their order; they wait no longer. */
  take(n: number): readonly Parked[] {
    this.#bytesAll -= this.#bytes[n]!;
    this.#bytes[n] = 0;
    const packets = this.#packets.get(n)!;
    this.#packets.delete(n);
    return packets;
  }
}
