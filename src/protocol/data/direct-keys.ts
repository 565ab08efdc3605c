/**
 * The short way of data packets: from the number of a peer straight to the key that they are opened with. A server's session is made of two
 * dozen objects, and with a thousand sessions none of them is in the processor's cache when a packet comes; most packets need only the
 * key and two counters. Whatever is out of the ordinary (another key id, framing, fragments, a key that nears its end) goes through the
 * session, and whoever changes anything in a session takes its key out of here first.
 *
 * The data path: no allocation, offsets into the slab.
 */
import type { Batch } from "../../lib/batch.ts";
import type { Slab } from "../../lib/slab.ts";
import { DATA_V2, firstByte } from "../control/opcode.ts";
import type { SessionDrops } from "../drop.ts";
import type { Traffic } from "./channel.ts";
import type { DataKey } from "./key.ts";
import { PAYLOAD_EXIT, PAYLOAD_PACKET, payloadKind } from "./magic.ts";
import { DATA_V2_HEADER_LEN } from "./packet.ts";

/** What the packets of a peer need, while nothing is out of the ordinary. */
export interface Direct {
  readonly key: DataKey;
  readonly traffic: Traffic;
  readonly drops: SessionDrops;
}

export class DirectKeys {
  readonly #slab: Slab;
  /** By peer. */
  readonly #keys: (DataKey | undefined)[];
  readonly #traffic: (Traffic | undefined)[];
  readonly #drops: (SessionDrops | undefined)[];
  /** How its packets begin. */
  readonly #headers: Int32Array;
  readonly #sum = new Float64Array(1);
  /** The last call of {@link open} has stopped behind a message by which the peer leaves. */
  hasExit = false;

  /** @param peers are less than that */
  constructor(slab: Slab, peers: number) {
    this.#slab = slab;
    this.#keys = new Array(peers).fill(undefined);
    this.#traffic = new Array(peers).fill(undefined);
    this.#drops = new Array(peers).fill(undefined);
    this.#headers = new Int32Array(peers);
  }

  set(peer: number, { key, traffic, drops }: Direct): void {
    this.#keys[peer] = key;
    this.#traffic[peer] = traffic;
    this.#drops[peer] = drops;
    this.#headers[peer] = (firstByte(DATA_V2, key.keyId) << 24) | peer;
  }

  clear(peer: number): void {
    this.#keys[peer] = this.#traffic[peer] = this.#drops[peer] = undefined;
  }

  /** Reads what the packets of these peers need ({@link DataKey.touch}). @param count of `peers` */
  touch(peers: Int32Array, count: number): void {
    let sum = 0;
    for (let i = 0; i < count; i++) {
      const key = this.#keys[peers[i]!];
      if (key !== undefined) sum += key.touch() + this.#traffic[peers[i]!]!.opened;
    }
    // Kept, or the compiler would leave out what it is made of.
    this.#sum[0] = sum;
  }

  /**
   * Opens the rows [from, end) of a peer in place into rows of `plain`, which has room for all. What is dropped is counted.
   * @returns the first row that has to go the long way; `from`: the peer has no key here
   */
  open(now: number, peer: number, rows: Batch, from: number, end: number, plain: Batch): number {
    const key = this.#keys[peer];
    const traffic = this.#traffic[peer];
    this.hasExit = false;
    if (key === undefined || traffic === undefined) return from;
    const { bytes, view } = this.#slab;
    const header = this.#headers[peer]!;
    for (let i = from; i < end; i++) {
      const at = rows.at[i]!;
      const len = rows.len[i]!;
      if (len < DATA_V2_HEADER_LEN || view.getInt32(at) !== header || key.isWorn) return i;
      const payloadAt = key.open(now, at, len, true);
      traffic.datagrams++;
      if (payloadAt < 0) {
        this.#drops[peer]?.drop(payloadAt);
        continue;
      }
      traffic.openedAt = now;
      const payloadLen = key.openedLen;
      const kind = payloadKind(bytes, payloadAt, payloadLen);
      if (kind === PAYLOAD_PACKET) {
        plain.push(payloadAt, payloadLen);
        traffic.opened++;
        traffic.openedBytes += payloadLen;
      } else {
        traffic.pings++;
        if (kind !== PAYLOAD_EXIT) continue;
        this.hasExit = true;
        return i + 1;
      }
    }
    return end;
  }
}
