/**
 * The server's side of TLS by node:tls (BoringSSL in Bun) over queues instead of a socket: another library than the one
 * that the client uses. It works in turns of the event loop: after each call `settle` until it has nothing more to do.
 */
import { Duplex } from "node:stream";
import { createSecureContext, TLSSocket } from "node:tls";
import type { PeerTls } from "./exchange.ts";

export interface NodeTlsOptions {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
  readonly version: "TLSv1.2" | "TLSv1.3";
}

/** Turns of the event loop after which everything that a record causes has come out. */
const SETTLE_TURNS = 3;

class Queues extends Duplex {
  readonly written: Buffer[] = [];
  override _read(): void {}
  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.written.push(Buffer.from(chunk));
    done();
  }
  override _final(done: (error?: Error | null) => void): void {
    done();
  }
}

export class NodePeerTls implements PeerTls {
  state: PeerTls["state"] = "handshake";
  problem: unknown;
  readonly #queues = new Queues();
  readonly #socket: TLSSocket;
  readonly #plain: Buffer[] = [];
  /** Something went in since the last settle. */
  #touched = false;

  constructor({ ca, cert, key, version }: NodeTlsOptions) {
    const secureContext = createSecureContext({ ca, cert, key, minVersion: version, maxVersion: version });
    const options = { isServer: true, requestCert: true, rejectUnauthorized: true, secureContext };
    this.#socket = new TLSSocket(this.#queues as never, options);
    this.#socket.on("secure", () => {
      if (this.#socket.authorized && this.state === "handshake") this.state = "established";
    });
    this.#socket.on("data", (chunk: Buffer) => this.#plain.push(Buffer.from(chunk)));
    for (const event of ["error", "_tlsError"]) this.#socket.on(event, (error) => this.#end("failed", error));
    for (const event of ["end", "close"]) this.#socket.on(event, () => this.#end("closed", undefined));
    this.#queues.on("error", () => {});
  }

  receive(records: Uint8Array): void {
    this.#touched = true;
    if (this.state !== "failed" && this.state !== "closed") this.#queues.push(Buffer.from(records));
  }

  send(plain: Uint8Array): void {
    this.#touched = true;
    if (this.state === "established") this.#socket.write(Buffer.from(plain));
  }

  pull(): Uint8Array | undefined {
    return this.#queues.written.shift();
  }

  read(): Uint8Array | undefined {
    return this.#plain.shift();
  }

  exportKeyingMaterial(label: string, length: number): Uint8Array {
    // the types ask for a context, which under TLS 1.2 would change the result
    const socket = this.#socket as unknown as { exportKeyingMaterial(length: number, label: string): Buffer };
    return socket.exportKeyingMaterial(length, label);
  }

  /** Lets the event loop do what the last calls asked for. @returns whether there was anything */
  async settle(): Promise<boolean> {
    const was = this.#touched;
    this.#touched = false;
    for (let turn = 0; was && turn < SETTLE_TURNS; turn++) await new Promise((done) => setImmediate(done));
    return was;
  }

  #end(state: "failed" | "closed", problem: unknown): void {
    if (this.state === "failed" || this.state === "closed") return;
    this.state = state;
    this.problem = problem;
  }
}
