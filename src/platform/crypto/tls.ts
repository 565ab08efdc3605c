/**
 * TlsEngine on Bun's node:tls (BoringSSL) over a Duplex that ends in two queues instead of a socket.
 *
 * Facts that the code relies on (Bun 1.4.5, each held by tls.test.ts):
 * - the chain is checked after the handshake: a client that refuses its peer still emits "secure", with
 *   `authorized` false, and then "error"; no alert leaves for it. Established is therefore "secureConnect" on the
 *   client and an authorized "secure" on the server.
 * - a server emits "_tlsError" and "error" with the same error; alerts that BoringSSL makes are written to the Duplex
 *   in the same turn.
 * - exportKeyingMaterial without a third argument is the exporter without context (RFC 5705), which OpenVPN uses;
 *   an empty context gives other bytes under TLS 1.2.
 */
import type { X509Certificate } from "node:crypto";
import { Duplex } from "node:stream";
import { connect, TLSSocket } from "node:tls";
import type { TlsEngine, TlsEngineFactory, TlsFailure, TlsParameters } from "../../protocol/ports.ts";
import { secureContext } from "./tls-material.ts";

/** Turns of the event loop after which everything that a record causes has come out: one was measured. */
const SETTLE_TURNS = 2;

export const nodeTls: TlsEngineFactory = {
  create: (parameters, onActivity) => new NodeTlsEngine(parameters, onActivity),
};

function isSignedBy(subject: X509Certificate, issuer: X509Certificate): boolean {
  try {
    return subject.checkIssued(issuer) && subject.verify(issuer.publicKey);
  } catch {
    return false; // a key that the library cannot read
  }
}

/** What BoringSSL reads from and writes to: pushes come from the owner, writes go into a queue. */
class Wire extends Duplex {
  readonly written: Uint8Array[] = [];
  readonly #onWrite: () => void;

  constructor(onWrite: () => void) {
    super();
    this.#onWrite = onWrite;
  }
  override _read(): void {}
  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.written.push(new Uint8Array(chunk));
    done();
    this.#onWrite();
  }
  override _final(done: (error?: Error | null) => void): void {
    done();
  }
}

class NodeTlsEngine implements TlsEngine {
  state: TlsEngine["state"] = "handshake";
  failure: TlsFailure | undefined;
  readonly #wire: Wire;
  readonly #socket: TLSSocket;
  readonly #onActivity: () => void;
  readonly #received: Uint8Array[] = [];
  #turnsLeft = 0;

  constructor(parameters: TlsParameters, onActivity: () => void) {
    const context = secureContext(parameters);
    this.#onActivity = onActivity;
    this.#wire = new Wire(() => this.#active());
    const verify = parameters.verifyChain;
    if (parameters.isServer) {
      // a Duplex where the types want a net.Socket: node:tls takes any stream
      const socket = new TLSSocket(this.#wire as never, {
        isServer: true,
        requestCert: true,
        rejectUnauthorized: verify,
        secureContext: context,
      });
      socket.on("secure", () => {
        if (!verify || socket.authorized) this.#establish();
      });
      this.#socket = socket;
    } else {
      this.#socket = connect({
        socket: this.#wire as never,
        rejectUnauthorized: verify,
        secureContext: context,
        checkServerIdentity: () => undefined,
      });
      this.#socket.on("secureConnect", () => {
        if (!verify || this.#socket.authorized) this.#establish();
        else this.#fail({ code: String(this.#socket.authorizationError), message: "the certificate was not accepted" });
      });
    }
    this.#socket.on("error", (error) => this.#fail(error));
    this.#socket.on("_tlsError", (error) => this.#fail(error));
    this.#wire.on("error", () => {}); // the socket reports it
    this.#socket.on("data", (chunk: Buffer) => {
      this.#received.push(new Uint8Array(chunk));
      this.#active();
    });
    this.#socket.on("end", () => this.#ended());
    this.#socket.on("close", () => this.#ended());
    this.#settle();
  }

  get busy(): boolean {
    return this.#turnsLeft > 0;
  }

  receive(ciphertext: Uint8Array): void {
    if (this.#wire.destroyed || this.#wire.readableEnded || this.#isOver()) return;
    this.#settle();
    this.#wire.push(Buffer.from(ciphertext));
  }

  pull(): Uint8Array | undefined {
    return joined(this.#wire.written);
  }

  send(plaintext: Uint8Array): void {
    if (this.state !== "established") return;
    this.#settle();
    this.#socket.write(Buffer.from(plaintext));
  }

  read(): Uint8Array | undefined {
    return joined(this.#received);
  }

  exportKeyingMaterial(label: string, length: number): Uint8Array {
    // the types ask for a context, which would change the result under TLS 1.2
    const exporter = this.#socket as unknown as { exportKeyingMaterial(length: number, label: string): Buffer };
    return new Uint8Array(exporter.exportKeyingMaterial(length, label));
  }

  /**
   * Each one signed by the next. What the peer sends is not taken at its word: between its certificate and the CA it may
   * put any other, such as the one that verify-hash asks for.
   */
  peerCertificates(): readonly Uint8Array[] {
    const others: X509Certificate[] = [];
    const leaf = this.#socket.getPeerX509Certificate();
    const seen = new Set<string>();
    for (let next = leaf; next !== undefined && !seen.has(next.fingerprint256); next = next.issuerCertificate) {
      if (seen.size > 0) others.push(next);
      seen.add(next.fingerprint256);
    }
    const chain: Uint8Array[] = [];
    for (let certificate = leaf; certificate !== undefined; ) {
      chain.push(new Uint8Array(certificate.raw));
      const subject: X509Certificate = certificate;
      const at = others.findIndex((issuer) => isSignedBy(subject, issuer));
      certificate = others.splice(at, at < 0 ? 0 : 1)[0];
    }
    return chain;
  }

  describe(): string {
    return `${this.#socket.getProtocol() ?? "TLS"} ${this.#socket.getCipher()?.name ?? ""}`.trim();
  }

  close(): void {
    if (!this.#isOver()) this.state = "closed";
    this.#turnsLeft = 0;
    this.#socket.destroy();
    this.#wire.destroy();
  }

  #isOver(): boolean {
    return this.state === "failed" || this.state === "closed";
  }

  #establish(): void {
    if (this.state !== "handshake") return;
    this.state = "established";
    this.#active();
  }

  #fail(error: unknown): void {
    if (this.#isOver()) return;
    this.state = "failed";
    this.failure = failureOf(error);
    this.#active();
  }

  #ended(): void {
    if (this.#isOver()) return;
    this.state = "failed";
    this.failure = { kind: "closed", code: "close_notify", message: "the peer ended the TLS session" };
    this.#active();
  }

  /** Something came out: the owner polls again, and more may follow in the next turns. */
  #active(): void {
    this.#onActivity();
  }

  #settle(): void {
    const idle = this.#turnsLeft === 0;
    this.#turnsLeft = SETTLE_TURNS;
    if (idle) setImmediate(this.#turn);
  }

  readonly #turn = (): void => {
    if (this.#turnsLeft > 0 && --this.#turnsLeft > 0) setImmediate(this.#turn);
  };
}

/** Every chunk as one array, and the queue emptied; undefined when it was empty. */
function joined(chunks: Uint8Array[]): Uint8Array | undefined {
  if (chunks.length < 2) return chunks.pop();
  const whole = new Uint8Array(chunks.reduce((n, c) => n + c.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  chunks.length = 0;
  return whole;
}

/** OpenSSL reasons that are about the peer's certificate although they are no verification result. */
const CERTIFICATE_REASONS = new Set(["PEER_DID_NOT_RETURN_A_CERTIFICATE", "CERTIFICATE_VERIFY_FAILED"]);

/**
 * Verification results have node's plain codes (CERT_HAS_EXPIRED); everything of the record and handshake layers has
 * ERR_SSL_ before it, with ..._ALERT_NAME for an alert that the peer sent.
 */
function failureOf(error: unknown): TlsFailure {
  const code = String((error as { code?: unknown } | null)?.code ?? "UNKNOWN");
  const text = (error as { message?: unknown } | null)?.message;
  const message = typeof text === "string" ? text.replace(/^error:[0-9a-f]+:[^:]*:OPENSSL_internal:/i, "") : code;
  const alert = /^ERR_SSL_(?:SSLV3|TLSV1|TLSV13)_ALERT_(.+)$/.exec(code);
  if (alert) return { kind: "alert", code: (alert[1] as string).toLowerCase(), message };
  const reason = code.replace(/^ERR_SSL_/, "");
  if (code === "ECONNRESET" || code === "EPIPE") return { kind: "closed", code, message };
  if (!code.startsWith("ERR_")) return { kind: "certificate", code, message };
  return { kind: CERTIFICATE_REASONS.has(reason) ? "certificate" : "protocol", code: reason, message };
}
