/** DNS messages over a TCP connection, or TLS over one (RFC 1035 4.2.2, RFC 7766 8): each behind its length. */
import type { Connection } from "../tcp/connection.ts";
import { DNS_HEADER_LEN } from "../wire/dns-message.ts";

const LENGTH = 2;

/** What reads and writes as a connection does. */
export type DnsBytes = Pick<Connection, "read" | "writeBytes">;

export class DnsStream<Bytes extends DnsBytes = DnsBytes> {
  readonly connection: Bytes;
  /** A message came that is longer than any that is taken, or shorter than any that there is: the connection is of no use. */
  isBroken = false;
  readonly #longest: number;
  readonly #head = new Uint8Array(LENGTH);
  #message: Uint8Array = this.#head;
  #have = 0;

  /** @param longest message that is taken, bytes */
  constructor(connection: Bytes, longest: number) {
    this.connection = connection;
    this.#longest = longest;
  }

  /** The next whole message, the caller's own; undefined: it is not there yet. */
  next(): Uint8Array | undefined {
    if (this.isBroken) return undefined;
    if (this.#have < LENGTH) {
      this.#have += this.connection.read(this.#head.subarray(this.#have));
      if (this.#have < LENGTH) return undefined;
      const len = (this.#head[0]! << 8) | this.#head[1]!;
      if (len < DNS_HEADER_LEN || len > this.#longest) {
        this.isBroken = true;
        return undefined;
      }
      this.#message = new Uint8Array(len);
    }
    this.#have += this.connection.read(this.#message.subarray(this.#have - LENGTH));
    if (this.#have < LENGTH + this.#message.length) return undefined;
    this.#have = 0;
    return this.#message;
  }

  /** @returns false: the peer does not take what it was sent before */
  send(message: Uint8Array): boolean {
    const framed = new Uint8Array(LENGTH + message.length);
    framed[0] = message.length >> 8;
    framed[1] = message.length;
    framed.set(message, LENGTH);
    return this.connection.writeBytes(framed) === framed.length;
  }
}
