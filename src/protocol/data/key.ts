/**
 * One data-channel key, both directions: what seals and opens packets in place. Keys differ in what follows the header of a
 * data packet (where tag and packet id stand, and how many bytes that adds), so all of this is theirs.
 */
export interface DataKey {
  readonly keyId: number;
  /** The cipher's name, for the log. */
  readonly cipher: string;
  /** Bytes that sealing adds to a payload at most. */
  readonly overhead: number;
  /** The largest payload that becomes a packet of at most `size` bytes; less than 1: none does. */
  payloadMax(size: number): number;
  /**
   * Encrypts the payload [at, at + len) where it stands and writes everything else around it.
   * @returns the offset of the whole packet, which has `sealedLen` bytes, or the drop code when the key is used up
   */
  seal(at: number, len: number): number;
  /** Bytes of the packet that was sealed last. */
  readonly sealedLen: number;
  /**
   * Opens the packet [at, at + len), whose header was checked, where it stands. Only an authentic packet changes anything.
   * @returns the offset of the payload, which has `openedLen` bytes, or the drop code
   */
  open(now: number, at: number, len: number, isV2: boolean): number;
  /** Bytes of the payload that was opened last. */
  readonly openedLen: number;
  /** Payload bytes and packets in both directions, for reneg-bytes and reneg-pkts. */
  readonly bytes: number;
  readonly packets: number;
  /** The key nears the end of its packet ids or of what it may encrypt: it should be replaced soon. */
  readonly isWorn: boolean;
  /**
   * Reads what opening a packet needs, so that it is in the processor's cache by then: done for many keys in a row, all of them are
   * fetched at the same time.
   * @returns a number that means nothing
   */
  touch(): number;
  close(): void;
}
