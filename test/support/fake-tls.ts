/**
 * A TLS engine without cryptography, for simulations: deterministic, synchronous, with flights of the size that real
 * ones have. Records are type (1), length (2), body. Nothing is secret; both sides export the same keying material.
 */
import { sha256 } from "@noble/hashes/sha2.js";
import type { Random } from "../../src/lib/random.ts";
import type { AcceptPeer, TlsContext, TlsContextFactory, TlsEngine, TlsFailure } from "../../src/protocol/ports.ts";

const CLIENT_HELLO = 1;
const SERVER_FLIGHT = 2;
const CLIENT_FINISHED = 3;
const DATA = 23;
/** As OpenSSL 3 with an EC certificate and an intermediate sends them. */
const FLIGHT_LEN = { [CLIENT_HELLO]: 320, [SERVER_FLIGHT]: 3100, [CLIENT_FINISHED]: 2200 } as const;
const RANDOM_LEN = 32;

/** @param certificate DER of what each side shows to the other */
export function fakeTls(random: Random, certificate: Uint8Array): TlsContextFactory {
  return { context: ({ isServer }) => fakeTlsContext(isServer, random, certificate) };
}

export function fakeTlsContext(isServer: boolean, random: Random, certificate: Uint8Array): TlsContext {
  return { engine: (accept) => new FakeTls(isServer, random, certificate, accept), close: () => {} };
}

class FakeTls implements TlsEngine {
  state: TlsEngine["state"] = "handshake";
  failure: TlsFailure | undefined;
  readonly warnings: readonly string[] = [];
  readonly #isServer: boolean;
  readonly #own = new Uint8Array(RANDOM_LEN);
  readonly #certificate: Uint8Array;
  readonly #accept: AcceptPeer;
  #peer = new Uint8Array(RANDOM_LEN);
  #input = new Uint8Array(0);
  readonly #out: Uint8Array[] = [];
  readonly #plain: Uint8Array[] = [];

  constructor(isServer: boolean, random: Random, certificate: Uint8Array, accept: AcceptPeer) {
    this.#isServer = isServer;
    this.#certificate = certificate;
    this.#accept = accept;
    random.fill(this.#own);
    if (!isServer) this.#flight(CLIENT_HELLO);
  }

  receive(ciphertext: Uint8Array): void {
    this.#input = Uint8Array.from([...this.#input, ...ciphertext]);
    while (this.#input.length >= 3 && this.state !== "failed") {
      const end = 3 + ((this.#input[1]! << 8) | this.#input[2]!);
      if (this.#input.length < end) return;
      this.#take(this.#input[0]!, this.#input.slice(3, end));
      this.#input = this.#input.slice(end);
    }
  }

  pull(): Uint8Array | undefined {
    return this.#out.shift();
  }

  send(plaintext: Uint8Array): void {
    if (this.state === "established") this.#record(DATA, plaintext.slice());
    else if (this.state === "handshake") throw new Error("sent before TLS is established");
  }

  read(): Uint8Array | undefined {
    return this.#plain.shift();
  }

  exportKeyingMaterial(label: string, length: number): Uint8Array {
    if (this.state !== "established") throw new Error("TLS is not established");
    const [client, server] = this.#isServer ? [this.#peer, this.#own] : [this.#own, this.#peer];
    const out = new Uint8Array(length);
    for (let at = 0, n = 0; at < length; at += 32, n++) {
      const block = sha256(Uint8Array.from([n, ...client, ...server, ...new TextEncoder().encode(label)]));
      out.set(block.subarray(0, length - at), at);
    }
    return out;
  }

  peerCertificates(): readonly Uint8Array[] {
    return [this.#certificate];
  }

  describe(): string {
    return "fake";
  }

  close(): void {
    if (this.state !== "failed") this.state = "closed";
  }

  #take(type: number, body: Uint8Array): void {
    if (type === DATA && this.state === "established") this.#plain.push(body);
    else if (this.#isServer && this.state === "handshake" && type === CLIENT_HELLO) {
      this.#peer = body.slice(0, RANDOM_LEN);
      this.#flight(SERVER_FLIGHT);
    } else if (this.#isServer && this.state === "handshake" && type === CLIENT_FINISHED) this.#establish();
    else if (!this.#isServer && this.state === "handshake" && type === SERVER_FLIGHT) {
      this.#peer = body.slice(0, RANDOM_LEN);
      if (this.#establish()) this.#flight(CLIENT_FINISHED);
    } else {
      this.state = "failed";
      this.failure = { kind: "protocol", code: "unexpected_message", message: `record ${type} has no meaning now` };
    }
  }

  #establish(): boolean {
    const accepted = this.#accept([this.#certificate]);
    this.state = accepted ? "established" : "failed";
    if (!accepted) this.failure = { kind: "certificate", code: "CERT_REJECTED", message: "certificate rejected" };
    return accepted;
  }

  #flight(type: keyof typeof FLIGHT_LEN): void {
    const body = new Uint8Array(FLIGHT_LEN[type]);
    body.set(this.#own);
    this.#record(type, body);
  }

  #record(type: number, body: Uint8Array): void {
    this.#out.push(Uint8Array.from([type, body.length >> 8, body.length & 0xff, ...body]));
  }
}
