/**
 * The rows of a turn by peer: those of one peer stand together and keep their order, so that what they all need is looked up once, and what
 * they become can leave as one. Nothing is allocated after construction.
 */
import { Batch } from "../../lib/batch.ts";

export class RowGroups {
  /** at and len of the rows that were taken, group by group; the other columns are not filled. */
  readonly rows: Batch;
  /** Groups that there are. */
  count = 0;
  /** By group, in the order in which the peers came first: whose it is, and where it ends in {@link rows}; it begins where the one before ends. */
  readonly peer: Int32Array;
  readonly end: Int32Array;
  /** By row that was taken. */
  readonly #peerOf: Int32Array;
  readonly #at: Int32Array;
  readonly #len: Int32Array;
  #taken = 0;
  /** By peer: its rows; 0 but between take and close. Then where its next row goes. */
  readonly #size: Int32Array;
  readonly #next: Int32Array;

  /** @param peers are less than that @param rows at most at once */
  constructor(peers: number, rows: number) {
    this.rows = new Batch(rows);
    this.peer = new Int32Array(rows);
    this.end = new Int32Array(rows);
    this.#peerOf = new Int32Array(rows);
    this.#at = new Int32Array(rows);
    this.#len = new Int32Array(rows);
    this.#size = new Int32Array(peers);
    this.#next = new Int32Array(peers);
  }

  /** Takes a row, for which there is room. */
  take(peer: number, at: number, len: number): void {
    const row = this.#taken++;
    this.#peerOf[row] = peer;
    this.#at[row] = at;
    this.#len[row] = len;
    if (this.#size[peer]!++ === 0) this.peer[this.count++] = peer;
  }

  get isFull(): boolean {
    return this.#taken === this.rows.capacity;
  }

  /** Nothing more comes: the groups are as they are until the next {@link open}. */
  close(): void {
    const { rows } = this;
    let end = 0;
    for (let group = 0; group < this.count; group++) {
      const peer = this.peer[group]!;
      this.#next[peer] = end;
      end += this.#size[peer]!;
      this.end[group] = end;
      this.#size[peer] = 0;
    }
    for (let row = 0; row < end; row++) {
      const to = this.#next[this.#peerOf[row]!]!++;
      rows.at[to] = this.#at[row]!;
      rows.len[to] = this.#len[row]!;
    }
    rows.count = end;
  }

  /** There are no groups. */
  open(): void {
    this.count = 0;
    this.#taken = 0;
  }
}
