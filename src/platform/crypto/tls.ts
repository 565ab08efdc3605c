/**
 * TLS by OpenSSL's libssl over memory BIOs: what OpenVPN itself uses, with its rules for certificates. Everything is
 * synchronous: the verify callback runs inside the call that feeds the engine.
 *
 * Owners: a context owns its SSL_CTX, an engine its SSL, which owns the two BIOs. Both free what they own in close().
 */
import { JSCallback } from "bun:ffi";
import { assert } from "../../lib/assert.ts";
import { parseIp } from "../../lib/ip.ts";
import type {
  AcceptPeer,
  TlsContext,
  TlsContextFactory,
  TlsEngine,
  TlsFailure,
  TlsParameters,
} from "../../protocol/ports.ts";
import { type OpenSsl, openSsl } from "./libssl.ts";
import {
  failureOf,
  NO_CERTIFICATE,
  takeErrors,
  verifyCode,
  X509_V_ERR_CERT_CHAIN_TOO_LONG,
  X509_V_ERR_CERT_REJECTED,
  X509_V_ERR_UNABLE_TO_GET_CRL,
} from "./tls-error.ts";
import { type Loaded, loadMaterial } from "./tls-material.ts";
import { applySettings } from "./tls-settings.ts";

/** include/openssl/ssl.h */
const SSL_VERIFY_PEER = 1;
const SSL_VERIFY_FAIL_IF_NO_PEER_CERT = 2;
const SSL_CTRL_SET_TLSEXT_HOSTNAME = 55;
const SSL_ERROR_WANT_READ = 2;
const SSL_ERROR_ZERO_RETURN = 6;
/** include/openssl/x509v3.h: no common name in the place of a subjectAltName, no "www*.example". */
const X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS = 4;
const X509_CHECK_FLAG_NEVER_CHECK_SUBJECT = 0x20;
/** OpenVPN's MAX_CERT_DEPTH. */
const MAX_DEPTH = 16;
/** What one SSL_read or SSL_write moves: a record. */
const RECORD = 16384;

export const libsslTls: TlsContextFactory = { context: (parameters) => new LibsslContext(parameters) };

/** The engine whose call runs: the callback belongs to it. */
let calling: LibsslEngine | undefined;

/** One for the process, never freed: contexts hold its address. */
let verifyCallback: JSCallback | undefined;

function onVerify(ok: number, store: number): number {
  return calling?.verify(ok === 1, store) ? 1 : 0;
}

export class LibsslContext implements TlsContext {
  /** What was loaded of the parameters. */
  readonly loaded: Loaded;
  readonly #openssl: OpenSsl;
  readonly #parameters: TlsParameters;
  #context: number;

  /** @throws UnusableTls where material or a setting cannot be used */
  constructor(parameters: TlsParameters) {
    const openssl = openSsl();
    const { lib } = openssl;
    this.#openssl = openssl;
    this.#parameters = parameters;
    this.#context = lib.SSL_CTX_new(lib.TLS_method());
    if (this.#context === 0) throw new Error("OpenSSL is out of memory");
    try {
      applySettings(openssl, this.#context, parameters);
      this.loaded = loadMaterial(openssl, this.#context, parameters);
    } catch (error) {
      this.close();
      throw error;
    }
    verifyCallback ??= new JSCallback(onVerify, { args: ["i32", "ptr"], returns: "i32" });
    lib.SSL_CTX_set_verify(this.#context, verifyMode(parameters), Number(verifyCallback.ptr));
  }

  engine(accept: AcceptPeer, name?: string): TlsEngine {
    assert(this.#context !== 0, "the TLS context is closed");
    return new LibsslEngine(this.#openssl, this.#context, this.#parameters, accept, name);
  }

  close(): void {
    if (this.#context !== 0) this.#openssl.lib.SSL_CTX_free(this.#context);
    this.#context = 0;
  }
}

function verifyMode({ isServer, clientCert }: TlsParameters): number {
  if (!isServer || clientCert === "require") return SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
  return clientCert === "optional" ? SSL_VERIFY_PEER : 0;
}

class LibsslEngine implements TlsEngine {
  state: TlsEngine["state"] = "handshake";
  failure: TlsFailure | undefined;
  readonly warnings: string[] = [];
  readonly #openssl: OpenSsl;
  readonly #parameters: TlsParameters;
  readonly #accept: AcceptPeer;
  readonly #input: number;
  readonly #output: number;
  readonly #received: Uint8Array[] = [];
  #ssl: number;
  /** What the owner said to the peer's chain, once it was asked. */
  #accepted: boolean | undefined;
  /** What was wrong with the chain. */
  #refused: TlsFailure | undefined;
  /** What the callback threw: it must not go through C. */
  #thrown: unknown;

  constructor(
    openssl: OpenSsl,
    context: number,
    parameters: TlsParameters,
    accept: AcceptPeer,
    name: string | undefined,
  ) {
    const { lib } = openssl;
    this.#openssl = openssl;
    this.#parameters = parameters;
    this.#accept = accept;
    this.#ssl = lib.SSL_new(context);
    if (this.#ssl === 0) throw new Error("OpenSSL is out of memory");
    this.#input = openssl.bio();
    this.#output = openssl.bio();
    lib.SSL_set_bio(this.#ssl, this.#input, this.#output);
    if (parameters.isServer) lib.SSL_set_accept_state(this.#ssl);
    else lib.SSL_set_connect_state(this.#ssl);
    if (name !== undefined) this.#expect(name);
    this.#advance();
  }

  /** Whom the peer has to be. */
  #expect(name: string): void {
    const { lib } = this.#openssl;
    const text = this.#openssl.text(name);
    lib.SSL_set_hostflags(this.#ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    const isTaken =
      lib.SSL_set1_host(this.#ssl, text) === 1 &&
      (parseIp(name) !== undefined || lib.SSL_ctrl(this.#ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, 0, text) === 1);
    assert(isTaken, "no name of a host");
  }

  receive(ciphertext: Uint8Array): void {
    if (this.#isOver) return;
    this.#openssl.write(this.#input, ciphertext);
    this.#advance();
  }

  pull(): Uint8Array | undefined {
    return this.#ssl === 0 ? undefined : this.#openssl.take(this.#output);
  }

  send(plaintext: Uint8Array): void {
    if (this.state !== "established") return;
    const { lib, memory } = this.#openssl;
    for (let at = 0; at < plaintext.length; at += RECORD) {
      const part = plaintext.subarray(at, at + RECORD);
      memory.bytes.set(part);
      const written = this.#call(() => lib.SSL_write(this.#ssl, memory.pointer, part.length));
      this.#openssl.wipe(part.length);
      if (written <= 0) return this.#fail(written);
    }
  }

  read(): Uint8Array | undefined {
    return this.#received.shift();
  }

  exportKeyingMaterial(label: string, length: number): Uint8Array {
    assert(this.#ssl !== 0 && length <= RECORD / 2, "nothing can be exported");
    const { lib, memory } = this.#openssl;
    const labelAt = RECORD / 2;
    const { written } = new TextEncoder().encodeInto(label, memory.bytes.subarray(labelAt));
    const { pointer } = memory;
    const done = lib.SSL_export_keying_material(this.#ssl, pointer, length, pointer + labelAt, written, 0, 0, 0);
    const out = memory.bytes.slice(0, length);
    this.#openssl.wipe(length);
    if (done !== 1) throw new Error("TLS exports no keying material");
    return out;
  }

  peerCertificates(): readonly Uint8Array[] {
    if (this.#ssl === 0) return [];
    const { lib } = this.#openssl;
    const chain = this.#openssl.stack(lib.SSL_get0_verified_chain(this.#ssl));
    const own = lib.SSL_get0_peer_certificate(this.#ssl);
    return (chain.length > 0 || own === 0 ? chain : [own]).map((x509) => this.#openssl.der(x509));
  }

  describe(): string {
    if (this.#ssl === 0) return "TLS";
    const { lib } = this.#openssl;
    const cipher = lib.SSL_get_current_cipher(this.#ssl);
    const version = this.#openssl.string(lib.SSL_get_version(this.#ssl));
    return `${version} ${cipher === 0 ? "" : this.#openssl.string(lib.SSL_CIPHER_get_name(cipher))}`.trim();
  }

  close(): void {
    if (this.#ssl === 0) return;
    assert(calling !== this, "a TLS engine is closed inside of its own call");
    if (!this.#isOver) this.state = "closed";
    this.#openssl.lib.SSL_free(this.#ssl); // and both BIOs
    this.#ssl = 0;
    for (const plaintext of this.#received) plaintext.fill(0);
    this.#received.length = 0;
  }

  /**
   * Called by the library for each certificate of the chain, from the root end to the leaf, and for each thing that is wrong.
   * The rules are those of OpenVPN's verify_callback (ssl_verify_openssl.c). @param ok it holds so far
   */
  verify(ok: boolean, store: number): boolean {
    try {
      return this.#verify(ok, store);
    } catch (error) {
      this.#thrown = error;
      return false;
    }
  }

  #verify(ok: boolean, store: number): boolean {
    const { lib } = this.#openssl;
    const depth = lib.X509_STORE_CTX_get_error_depth(store);
    const code = lib.X509_STORE_CTX_get_error(store);
    if (!ok && this.#parameters.verifyChain) {
      const subject = this.#openssl.subject(lib.X509_STORE_CTX_get_current_cert(store));
      if (code === X509_V_ERR_UNABLE_TO_GET_CRL) {
        this.warnings.push(`crl-verify has no list that says whether ${subject} is revoked; it is taken as good`);
        return true;
      }
      return this.#refuse(code, { subject, depth });
    }
    if (depth >= MAX_DEPTH) {
      lib.X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_CHAIN_TOO_LONG);
      const subject = this.#openssl.subject(lib.X509_STORE_CTX_get_current_cert(store));
      return this.#refuse(X509_V_ERR_CERT_CHAIN_TOO_LONG, { subject, depth });
    }
    if (depth > 0) return true;
    const chain = this.#openssl.stack(lib.X509_STORE_CTX_get0_chain(store));
    this.#accepted ??= this.#accept(chain.map((x509) => this.#openssl.der(x509)));
    if (this.#accepted) return true;
    lib.X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);
    const subject = this.#openssl.subject(lib.X509_STORE_CTX_get_current_cert(store));
    return this.#refuse(X509_V_ERR_CERT_REJECTED, { subject, depth });
  }

  #refuse(code: number, certificate: NonNullable<TlsFailure["certificate"]>): false {
    const message = this.#openssl.string(this.#openssl.lib.X509_verify_cert_error_string(code));
    this.#refused = { kind: "certificate", code: verifyCode(code), message, certificate };
    return false;
  }

  get #isOver(): boolean {
    return this.state === "failed" || this.state === "closed";
  }

  /** Lets the handshake go on, and reads what there is to read. */
  #advance(): void {
    const { lib } = this.#openssl;
    if (this.state === "handshake") {
      const done = this.#call(() => lib.SSL_do_handshake(this.#ssl));
      if (done !== 1) return this.#fail(done);
      if (this.#wantsPeer && this.#accepted !== true) {
        // a suite without certificates, which only a list with aNULL allows
        this.state = "failed";
        this.failure = { kind: "certificate", code: NO_CERTIFICATE, message: "the peer showed no certificate" };
        return;
      }
      this.state = "established";
    }
    while (this.state === "established") {
      const { memory } = this.#openssl;
      const n = this.#call(() => lib.SSL_read(this.#ssl, memory.pointer, RECORD));
      if (n <= 0) return this.#fail(n);
      this.#received.push(memory.bytes.slice(0, n));
      this.#openssl.wipe(n);
    }
  }

  get #wantsPeer(): boolean {
    return !this.#parameters.isServer || this.#parameters.clientCert === "require";
  }

  /** A call of the record or handshake layer: an empty error queue before it, and the callback's owner known during it. */
  #call(call: () => number): number {
    this.#openssl.lib.ERR_clear_error();
    const outer = calling;
    calling = this;
    try {
      return call();
    } finally {
      calling = outer;
      if (this.#thrown !== undefined) {
        const error = this.#thrown;
        this.#thrown = undefined;
        this.state = "failed";
        // biome-ignore lint/correctness/noUnsafeFinally: it is the callback's own error, which C could not pass on
        throw error;
      }
    }
  }

  /** @param result of the call that did not succeed; that more has to come first is no failure */
  #fail(result: number): void {
    const kind = this.#openssl.lib.SSL_get_error(this.#ssl, result);
    if (kind === SSL_ERROR_WANT_READ) return;
    const errors = takeErrors(this.#openssl);
    this.state = "failed";
    if (kind === SSL_ERROR_ZERO_RETURN) {
      this.failure = { kind: "closed", code: "close_notify", message: "the peer ended the TLS session" };
    } else {
      const failure = failureOf(errors);
      this.failure = failure.kind === "alert" ? failure : (this.#refused ?? failure);
    }
  }
}
