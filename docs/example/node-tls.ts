/**
 * TLS by node:tls for the protocol library, on Node.js and on Bun. It works between the library's calls: `news` is called when it
 * has done something, and leads to the session's handleTls(). The peer's certificate is judged when node:tls has finished
 * its handshake, so that a peer that is refused sees the connection end, and not why. Buffers of Node.js do not leave this file: their
 * slice() is no copy.
 */
import { Duplex } from "node:stream";
import { type ConnectionOptions, connect, type TLSSocket } from "node:tls";
import type {
  AcceptPeer,
  Material,
  TlsContext,
  TlsEngine,
  TlsFailure,
  TlsParameters,
} from "../../src/protocol/index.ts";

/** For a client. @throws Error where the profile asks for what is not here */
export function nodeTls(parameters: TlsParameters, news: () => void): TlsContext {
  const { cipherList, cipherSuites, groups, certProfile } = parameters;
  if (parameters.isServer || cipherList || cipherSuites || groups || certProfile !== "legacy")
    throw new Error("tls-cipher, tls-ciphersuites, tls-groups and tls-cert-profile are not for node:tls");
  // Also with authorities in PKCS #12, beside which Node.js would take them.
  if (parameters.verifyChain && !parameters.ca) throw new Error("without ca the authorities of the system would count");
  return { engine: (accept) => new NodeTls(parameters, accept, news), close() {} };
}

const VERSIONS = { "1.0": "TLSv1", "1.1": "TLSv1.1", "1.2": "TLSv1.2", "1.3": "TLSv1.3" } as const;

const text = (material: Material | undefined): string => (material ? new TextDecoder().decode(material.bytes) : "");

class NodeTls implements TlsEngine {
  state: TlsEngine["state"] = "handshake";
  failure: TlsFailure | undefined;
  readonly warnings = [];
  readonly #socket: TLSSocket;
  readonly #records: Uint8Array[] = [];
  readonly #plain: Uint8Array[] = [];
  readonly #link = new Duplex({
    read() {},
    write: (chunk: Uint8Array, _encoding, done) => {
      this.#tell(() => this.#records.push(new Uint8Array(chunk)));
      done();
    },
  });
  readonly #news: () => void;

  constructor(p: TlsParameters, accept: AcceptPeer, news: () => void) {
    this.#news = news;
    const options: ConnectionOptions = {
      socket: this.#link,
      ...(p.ca && { ca: text(p.ca) }),
      ...(p.cert && { cert: text(p.cert) + text(p.extraCerts), key: text(p.key) }),
      ...(p.pkcs12 && { pfx: p.pkcs12.bytes as Buffer }),
      ...(p.passphrase !== undefined && { passphrase: p.passphrase }),
      // Bun reads only the first list of a string.
      ...(p.crl && { crl: text(p.crl).split(/(?<=-----END X509 CRL-----\n)(?=.)/s) }),
      minVersion: VERSIONS[p.minVersion],
      maxVersion: VERSIONS[p.maxVersion],
      // said, because the environment can say otherwise
      rejectUnauthorized: p.verifyChain,
      // as OpenVPN: who the server is, `accept` says
      checkServerIdentity: () => undefined,
    };
    this.#socket = connect(options);
    this.#socket.on("secureConnect", () => {
      if (accept(this.peerCertificates())) this.#tell(() => (this.state = "established"));
      else this.#end({ kind: "certificate", code: "REJECTED", message: "the certificate is refused" });
    });
    this.#socket.on("data", (chunk: Uint8Array) => this.#tell(() => this.#plain.push(new Uint8Array(chunk))));
    this.#socket.on("error", (error: Error & { code?: string }) => {
      const kind = this.#socket.authorizationError ? "certificate" : "protocol";
      this.#end({ kind, code: error.code ?? "", message: error.message });
    });
    this.#socket.on("close", () => this.#end({ kind: "closed", code: "closed", message: "the peer ended TLS" }));
  }

  receive(ciphertext: Uint8Array): void {
    this.#link.push(ciphertext);
  }

  pull(): Uint8Array | undefined {
    return this.#records.shift();
  }

  send(plaintext: Uint8Array): void {
    this.#socket.write(plaintext.slice());
  }

  read(): Uint8Array | undefined {
    return this.#plain.shift();
  }

  exportKeyingMaterial(label: string, length: number): Uint8Array {
    // The types ask for a context, which under TLS 1.2 changes the result.
    const exporter = this.#socket as unknown as { exportKeyingMaterial(length: number, label: string): Buffer };
    return new Uint8Array(exporter.exportKeyingMaterial(length, label));
  }

  peerCertificates(): readonly Uint8Array[] {
    const chain: Uint8Array[] = [];
    let certificate = this.#socket.getPeerCertificate(true);
    for (
      ;
      certificate?.raw && !chain.some((known) => certificate.raw.equals(known));
      certificate = certificate.issuerCertificate
    )
      chain.push(new Uint8Array(certificate.raw));
    return chain;
  }

  describe(): string {
    return `${this.#socket.getProtocol()}, ${this.#socket.getCipher().name}`;
  }

  close(): void {
    this.state = "closed";
    this.#socket.destroy();
  }

  #end(failure: TlsFailure): void {
    if (this.state === "failed" || this.state === "closed") return;
    this.failure = failure;
    this.#tell(() => (this.state = "failed"));
    this.#socket.destroy();
  }

  /** Never within a call of the library. */
  #tell(change: () => unknown): void {
    change();
    setImmediate(this.#news);
  }
}
