/**
 * Own TLS material -> an OpenSSL context, with the meaning that OpenVPN 2.6 gives it (ssl_openssl.c tls_ctx_load_ca, _cert_file,
 * _priv_file, _pkcs12, _extra_certs, backend_tls_ctx_reload_crl), and failures in words that name the block or file.
 * Nothing touches a disk. Each object is freed by the function that made it; the context holds references of its own.
 */
import type { Material } from "../../protocol/config/types.ts";
import type { TlsParameters } from "../../protocol/ports.ts";
import type { OpenSsl } from "./libssl.ts";
import { nth, type PemBlock, pemBlocks } from "./pem.ts";
import { ERR_LIB_EVP, errorText, takeErrors } from "./tls-error.ts";
import { allowWeakOwn } from "./tls-own-weak.ts";
import { UnusableTls } from "./tls-unusable.ts";

/** include/openssl/ssl.h, x509_vfy.h */
const SSL_CTRL_EXTRA_CHAIN_CERT = 14;
const X509_V_FLAG_CRL_CHECK = 4;
const X509_V_FLAG_CRL_CHECK_ALL = 8;

/** Bits of strength that each security level asks for (man SSL_CTX_set_security_level). */
const STRENGTH = [0, 80, 112, 128, 192, 256];

/** The security level's objections to a certificate. */
const TOO_WEAK = /too small|too weak/;

const CERTIFICATE = /^(X509 )?CERTIFICATE$/;
/** A trusted certificate says beside what it may be trusted for (openssl x509 -trustout). */
const AUTHORITY = /^(X509 |TRUSTED )?CERTIFICATE$/;
const PRIVATE_KEY = /^([A-Z]+ )*PRIVATE KEY$/;

/** A certificate or a revocation list of the profile, and the dates in it. */
export interface Dated {
  readonly kind: "certificate" | "list";
  readonly directive: string;
  readonly material: Material;
  /** Of the certificate; of a list, who issued it. */
  readonly name: string;
  /** The peer's chain may end at it. */
  readonly isTrusted: boolean;
  /** Unix seconds; undefined where there is none, or it cannot be read. */
  readonly from: number | undefined;
  readonly until: number | undefined;
}

/** A certificate that the library finds too weak: an own one, or an authority, whose word then counts for nothing. */
export interface Weak {
  readonly isOwn: boolean;
  readonly directive: string;
  readonly material: Material;
  readonly name: string;
  /** As the library says it ("ca md too weak"), or what of it has how many bits of strength. */
  readonly reason: string;
}

export interface Loaded {
  /** Everything that has dates, in the order of the profile. */
  readonly dated: readonly Dated[];
  readonly weak: readonly Weak[];
}

/** @throws UnusableTls: bad PEM, wrong pass phrase, key of another certificate, no ca */
export function loadMaterial(openssl: OpenSsl, context: number, p: TlsParameters): Loaded {
  if (p.verifyChain && p.ca === undefined && p.pkcs12 === undefined) {
    throw new UnusableTls("ca", "no certificate authority to check the peer with; add a <ca> block");
  }
  const loader = new Loader(openssl, context, p);
  openssl.lib.ERR_clear_error();
  try {
    if (p.pkcs12 !== undefined) loader.pkcs12(p.pkcs12);
    if (p.cert !== undefined) loader.certificate(p.cert);
    if (p.key !== undefined) loader.key(p.key);
    if (p.ca !== undefined) loader.authorities(p.ca);
    if (p.extraCerts !== undefined) loader.extraCertificates(p.extraCerts);
    if (p.crl !== undefined) loader.lists(p.crl);
    return loader;
  } finally {
    openssl.wipe();
  }
}

class Loader implements Loaded {
  readonly dated: Dated[] = [];
  readonly weak: Weak[] = [];
  readonly #openssl: OpenSsl;
  readonly #context: number;
  readonly #p: TlsParameters;
  readonly #store: number;

  constructor(openssl: OpenSsl, context: number, p: TlsParameters) {
    this.#openssl = openssl;
    this.#context = context;
    this.#p = p;
    this.#store = openssl.lib.SSL_CTX_get_cert_store(context);
  }

  authorities(material: Material): void {
    for (const [index, block] of pemBlocks("ca", material, AUTHORITY, "certificate").entries()) {
      this.#certificate("ca", material, block, index, (x509) => this.#trust("ca", material, x509));
    }
  }

  certificate(material: Material): void {
    const [own, ...chain] = pemBlocks("cert", material, CERTIFICATE, "certificate");
    this.#certificate("cert", material, own as PemBlock, 0, (x509) => this.#own("cert", material, x509));
    for (const [index, block] of chain.entries())
      this.#certificate("cert", material, block, index + 1, (x509) => this.#sendAlong("cert", material, x509));
    if (this.#p.key === undefined)
      throw new UnusableTls("cert", `the certificate in ${material.label} has no key; add a <key> block`, material);
  }

  extraCertificates(material: Material): void {
    for (const [index, block] of pemBlocks("extra-certs", material, CERTIFICATE, "certificate").entries()) {
      const use = (x509: number): void => this.#sendAlong("extra-certs", material, x509);
      this.#certificate("extra-certs", material, block, index, use);
    }
  }

  lists(material: Material): void {
    const blocks = pemBlocks("crl-verify", material, /^X509 CRL$/, "certificate revocation list");
    for (const [index, block] of blocks.entries()) this.#list(material, block, index);
    this.#openssl.lib.X509_STORE_set_flags(this.#store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
  }

  key(material: Material): void {
    const { lib } = this.#openssl;
    if (this.#p.cert === undefined && this.#p.pkcs12 === undefined)
      throw new UnusableTls("key", `the key in ${material.label} has no certificate; add a <cert> block`, material);
    const block = pemBlocks("key", material, PRIVATE_KEY, "private key")[0] as PemBlock;
    const key = this.#openssl.withBio(new TextEncoder().encode(block.text), (bio) =>
      // An empty pass phrase rather than none: without one the library would ask on the terminal.
      lib.PEM_read_bio_PrivateKey(bio, 0, 0, this.#openssl.text(this.#p.passphrase ?? "")),
    );
    if (key === 0) {
      const isLocked = block.kind === "ENCRYPTED PRIVATE KEY" || /^Proc-Type: 4,ENCRYPTED/m.test(block.text);
      throw this.#unreadable("key", material, "private key", isLocked);
    }
    const used = lib.SSL_CTX_use_PrivateKey(this.#context, key);
    lib.EVP_PKEY_free(key);
    if (used !== 1) throw this.#mismatch("key", material, (this.#p.cert ?? this.#p.pkcs12)?.label ?? "the profile");
  }

  pkcs12(material: Material): void {
    const { lib } = this.#openssl;
    const openssl = this.#openssl;
    const p12 = openssl.withBio(material.bytes, (bio) => lib.d2i_PKCS12_bio(bio, 0));
    if (p12 === 0) throw this.#unreadable("pkcs12", material, "PKCS #12 file", false);
    const [KEY, CERTIFICATE_CELL, OTHERS] = [0, 1, 2];
    const parse = (passphrase: string): boolean => {
      for (const index of [KEY, CERTIFICATE_CELL, OTHERS]) openssl.setPointer(index, 0);
      const text = openssl.text(passphrase);
      return lib.PKCS12_parse(p12, text, openssl.cell(KEY), openssl.cell(CERTIFICATE_CELL), openssl.cell(OTHERS)) === 1;
    };
    // As OpenVPN: one without a pass phrase opens whatever askpass says.
    const isOpen = parse("") || (this.#p.passphrase !== undefined && parse(this.#p.passphrase));
    lib.PKCS12_free(p12);
    if (!isOpen) throw this.#unreadable("pkcs12", material, "PKCS #12 file", true);
    const [key, own, stack] = [KEY, CERTIFICATE_CELL, OTHERS].map((index) => openssl.pointerAt(index)) as [
      number,
      number,
      number,
    ];
    const others = openssl.stack(stack);
    try {
      if (key === 0 || own === 0) {
        const missing = own === 0 ? "certificate" : "private key";
        throw new UnusableTls("pkcs12", `the PKCS #12 file in ${material.label} holds no ${missing}`, material);
      }
      this.#remember("pkcs12", material, own, false);
      this.#own("pkcs12", material, own);
      if (lib.SSL_CTX_use_PrivateKey(this.#context, key) !== 1)
        throw this.#mismatch("pkcs12", material, material.label);
      for (const x509 of others) {
        // Beside a ca, whose word alone counts, the others of the file only complete our own chain.
        const isTrusted = this.#p.ca === undefined;
        this.#remember("pkcs12", material, x509, isTrusted);
        if (isTrusted) this.#trust("pkcs12", material, x509);
        else this.#sendAlong("pkcs12", material, x509);
      }
    } finally {
      for (const x509 of others) lib.X509_free(x509);
      if (stack !== 0) lib.OPENSSL_sk_free(stack);
      if (own !== 0) lib.X509_free(own);
      if (key !== 0) lib.EVP_PKEY_free(key);
    }
  }

  /** Reads one certificate, hands it to `use`, and frees it. */
  #certificate(
    directive: string,
    material: Material,
    block: PemBlock,
    index: number,
    use: (x509: number) => void,
  ): void {
    const { lib } = this.#openssl;
    const x509 = block.kind === "TRUSTED CERTIFICATE" ? this.#trusted(block.der) : this.#plain(block.der);
    if (x509 === 0) throw this.#unreadable(directive, material, nth(index, "certificate"), false);
    try {
      this.#remember(directive, material, x509, directive === "ca");
      use(x509);
    } finally {
      lib.X509_free(x509);
    }
  }

  #plain(der: Uint8Array): number {
    return this.#openssl.withBio(der, (bio) => this.#openssl.lib.d2i_X509_bio(bio, 0));
  }

  /** The certificate, and behind it what it is trusted for. */
  #trusted(der: Uint8Array): number {
    const openssl = this.#openssl;
    if (der.length > openssl.memory.bytes.length - 4096) return 0;
    openssl.memory.bytes.set(der);
    openssl.setPointer(0, openssl.memory.pointer);
    return openssl.lib.d2i_X509_AUX(0, openssl.cell(0), der.length);
  }

  #list(material: Material, block: PemBlock, index: number): void {
    const { lib } = this.#openssl;
    const crl = this.#openssl.withBio(block.der, (bio) => lib.d2i_X509_CRL_bio(bio, 0));
    if (crl === 0) throw this.#unreadable("crl-verify", material, nth(index, "revocation list"), false);
    try {
      this.dated.push({
        kind: "list",
        directive: "crl-verify",
        isTrusted: false,
        material,
        name: this.#openssl.name(lib.X509_CRL_get_issuer(crl)),
        from: this.#time(lib.X509_CRL_get0_lastUpdate(crl)),
        until: this.#time(lib.X509_CRL_get0_nextUpdate(crl)),
      });
      if (lib.X509_STORE_add_crl(this.#store, crl) !== 1)
        throw this.#unreadable("crl-verify", material, nth(index, "revocation list"), false);
    } finally {
      lib.X509_CRL_free(crl);
    }
  }

  #own(directive: string, material: Material, x509: number): void {
    const { lib } = this.#openssl;
    if (lib.SSL_CTX_use_certificate(this.#context, x509) === 1) return;
    const reason = errorText(takeErrors(this.#openssl));
    if (TOO_WEAK.test(reason)) {
      this.weak.push({ isOwn: true, directive, material, name: this.#openssl.subject(x509), reason });
      allowWeakOwn(this.#openssl, this.#context);
      if (lib.SSL_CTX_use_certificate(this.#context, x509) === 1) return;
    }
    throw this.#unusable(directive, material, x509, reason);
  }

  #trust(directive: string, material: Material, x509: number): void {
    const { lib } = this.#openssl;
    if (lib.X509_STORE_add_cert(this.#store, x509) !== 1) throw this.#unusable(directive, material, x509);
    const reason = this.#weakness(x509);
    if (reason !== undefined)
      this.weak.push({ isOwn: false, directive, material, name: this.#openssl.subject(x509), reason });
    // What a client is told to show a certificate of.
    if (this.#p.isServer && lib.SSL_CTX_add_client_CA(this.#context, x509) !== 1)
      throw this.#unusable(directive, material, x509);
  }

  /** Why a chain that ends at this authority, or goes through it, is refused at the security level. */
  #weakness(x509: number): string | undefined {
    const { lib, memory } = this.#openssl;
    const least = STRENGTH[lib.SSL_CTX_get_security_level(this.#context)] ?? 0;
    const text = (what: string, bits: number): string =>
      `${what} has the strength of ${bits} bits, ${least} are asked for`;
    const key = lib.X509_get0_pubkey(x509);
    if (key === 0) return "OpenSSL here does not know its kind of key";
    const bits = lib.EVP_PKEY_get_security_bits(key);
    if (bits < least) return text("its key", bits);
    // How the one at the end signed itself does not matter.
    if (lib.X509_check_issued(x509, x509) === 0) return undefined;
    const cell = this.#openssl.cell(0);
    if (lib.X509_get_signature_info(x509, 0, 0, cell, 0) !== 1) return undefined;
    const signature = memory.view.getInt32(cell - memory.pointer, true);
    return signature < least ? text("the signature on it", signature) : undefined;
  }

  /** Sends a certificate along with our own. */
  #sendAlong(directive: string, material: Material, x509: number): void {
    const { lib } = this.#openssl;
    lib.X509_up_ref(x509);
    if (lib.SSL_CTX_ctrl(this.#context, SSL_CTRL_EXTRA_CHAIN_CERT, 0, x509) === 1) return; // the context owns the reference
    lib.X509_free(x509);
    throw this.#unusable(directive, material, x509);
  }

  #remember(directive: string, material: Material, x509: number, isTrusted: boolean): void {
    const { lib } = this.#openssl;
    this.dated.push({
      kind: "certificate",
      directive,
      isTrusted,
      material,
      name: this.#openssl.subject(x509),
      from: this.#time(lib.X509_get0_notBefore(x509)),
      until: this.#time(lib.X509_get0_notAfter(x509)),
    });
  }

  /** ASN1_TIME -> Unix seconds. */
  #time(time: number): number | undefined {
    const { lib, memory } = this.#openssl;
    if (time === 0 || lib.ASN1_TIME_to_tm(time, memory.pointer) !== 1) return undefined;
    const [second, minute, hour, day, month, year] = [0, 4, 8, 12, 16, 20].map((at) => memory.view.getInt32(at, true));
    return Date.UTC(1900 + year!, month!, day!, hour!, minute!, second!) / 1000;
  }

  #unreadable(directive: string, material: Material, what: string, isLocked: boolean): UnusableTls {
    const errors = takeErrors(this.#openssl);
    const subject = `${what.startsWith("the ") ? what : `the ${what}`} in ${material.label}`;
    const text = errorText(errors);
    // RC2 and others of old exports are in OpenSSL's legacy provider, which neither OpenVPN nor this program loads.
    if (isLocked && errors.some((e) => e.lib === ERR_LIB_EVP && e.text === "unsupported")) {
      const remedy =
        "its encryption is too old for OpenSSL 3; convert it with openssl (pkcs12 or pkcs8, -legacy) or export it anew";
      return new UnusableTls(directive, `${subject} cannot be opened: ${remedy}`, material);
    }
    if (!isLocked) return new UnusableTls(directive, `${subject} cannot be read: ${text}`, material);
    const remedy =
      this.#p.passphrase === undefined
        ? "it needs a pass phrase (askpass FILE)"
        : "the pass phrase (askpass) is wrong or the file is damaged";
    return new UnusableTls(directive, `${subject} cannot be opened: ${remedy}`, material);
  }

  #mismatch(directive: string, material: Material, certificate: string): UnusableTls {
    const text = errorText(takeErrors(this.#openssl));
    const problem = /mismatch/.test(text)
      ? `the key in ${material.label} does not belong to the certificate in ${certificate}`
      : `the key in ${material.label} cannot be used: ${text}`;
    return new UnusableTls(directive, problem, material);
  }

  /** A certificate that can be read, and that something else in the library refuses. */
  #unusable(
    directive: string,
    material: Material,
    x509: number,
    reason = errorText(takeErrors(this.#openssl)),
  ): UnusableTls {
    const subject = `the certificate in ${material.label} (${this.#openssl.subject(x509)})`;
    return new UnusableTls(directive, `${subject} cannot be used: ${reason}`, material);
  }
}
