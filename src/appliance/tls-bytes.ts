/** A TLS session over one of our own TCP connections, read and written as the connection itself would be. */
import type { Connection } from "../netstack/tcp/connection.ts";
import type { TlsEngine } from "../protocol/ports.ts";

/** A record and its header. */
const PIECE = 16_640;

export class TlsBytes {
  readonly connection: Connection;
  readonly engine: TlsEngine;
  readonly #piece = new Uint8Array(PIECE);
  /** What the engine has read, and who reads has not. */
  #plain: Uint8Array | undefined;
  /** Records that the connection had no room for. */
  #unsent: Uint8Array | undefined;

  /** @param engine a client's, closed by close() */
  constructor(connection: Connection, engine: TlsEngine) {
    this.connection = connection;
    this.engine = engine;
  }

  get isEstablished(): boolean {
    return this.engine.state === "established";
  }

  /** Moves records both ways, as far as they go. */
  pump(): void {
    for (;;) {
      const n = this.connection.read(this.#piece);
      if (n === 0) break;
      this.engine.receive(this.#piece.subarray(0, n));
    }
    this.#flush();
  }

  /** @returns bytes that were put into `into` */
  read(into: Uint8Array): number {
    let done = 0;
    while (done < into.length) {
      this.#plain ??= this.engine.read();
      const plain = this.#plain;
      if (plain === undefined) break;
      const n = Math.min(plain.length, into.length - done);
      into.set(plain.subarray(0, n), done);
      this.#plain = n < plain.length ? plain.subarray(n) : undefined;
      done += n;
    }
    return done;
  }

  /** @returns how many of the bytes are on their way: all, or none where there is no room */
  writeBytes(bytes: Uint8Array): number {
    if (!this.isEstablished) return 0;
    this.engine.send(bytes);
    this.#flush();
    return this.#unsent === undefined ? bytes.length : 0;
  }

  /** Frees the session; the connection is the owner's. */
  close(): void {
    this.engine.close();
  }

  #flush(): void {
    for (;;) {
      this.#unsent ??= this.engine.pull();
      const records = this.#unsent;
      if (records === undefined) return;
      const n = this.connection.writeBytes(records);
      this.#unsent = n < records.length ? records.subarray(n) : undefined;
      if (n < records.length) return;
    }
  }
}
