/**
 * A certificate authority of one VPN (RFC 5280): its own certificate, those that it gives a server and clients, and the list of those that it
 * takes back. P-256 with SHA-256, which OpenVPN 2.4 and later has with every TLS library.
 */
// @peculiar/x509 throws at load without it.
import "reflect-metadata";
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  cryptoProvider,
  ExtendedKeyUsageExtension,
  Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
  X509CrlGenerator,
  X509CrlReason,
} from "@peculiar/x509";
import { systemRandom } from "./random.ts";

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
/** id-kp-serverAuth, id-kp-clientAuth (RFC 5280 4.2.1.12). */
const USAGE = { server: "1.3.6.1.5.5.7.3.1", client: "1.3.6.1.5.5.7.3.2" } as const;
/** id-ce-cRLNumber (RFC 5280 5.2.3). */
const CRL_NUMBER = "2.5.29.20";

const DAY = 86_400_000;
/**
 * Our choice: nobody who has set up a VPN by a few commands should find it ended before the machines are. What is lost is taken back by
 * the list, not by time.
 */
const AUTHORITY_DAYS = 20 * 365 + 5;
const CLIENT_DAYS = 10 * 365 + 2;
/** A clock that is behind by less is no reason to refuse what was made just now. */
const CLOCK_SLACK = DAY;

/** A certificate with its private key (PKCS #8), in PEM. */
export interface Issued {
  readonly certificate: string;
  readonly key: string;
  /** Hexadecimal, upper case. */
  readonly serial: string;
  readonly notAfter: Date;
}

/** What was taken back. */
export interface Revoked {
  readonly serial: string;
  readonly at: Date;
}

/** Who a server's certificate is for: a host name or an address, as its subjectAltName. */
export interface ServerHost {
  readonly type: "dns" | "ip";
  readonly value: string;
}

export class Authority {
  readonly #certificate: X509Certificate;
  readonly #key: CryptoKey;

  private constructor(certificate: X509Certificate, key: CryptoKey) {
    this.#certificate = certificate;
    this.#key = key;
  }

  /** A new one, with what keeps it. @param now since 1970, ms */
  static async create(now: number): Promise<{ authority: Authority; certificate: string; key: string }> {
    cryptoProvider.set(crypto);
    const keys = await crypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
    const serialNumber = newSerial();
    const certificate = await X509CertificateGenerator.createSelfSigned({
      serialNumber,
      // A name of its own: where somebody has two VPNs, nothing takes one authority for the other.
      name: [{ CN: [`Morgana CA ${serialNumber.slice(0, 8)}`] }],
      notBefore: new Date(now - CLOCK_SLACK),
      notAfter: wholeSecond(now + AUTHORITY_DAYS * DAY),
      signingAlgorithm: ALGORITHM,
      keys,
      extensions: [
        new BasicConstraintsExtension(true, 0, true),
        new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
        await SubjectKeyIdentifierExtension.create(keys.publicKey),
      ],
    });
    return {
      authority: new Authority(certificate, keys.privateKey),
      certificate: `${certificate.toString("pem")}\n`,
      key: await keyText(keys.privateKey),
    };
  }

  /** @throws Error as the end of a sentence that begins with the names of both files: "do not belong together", ... */
  static async open(certificate: string, key: string): Promise<Authority> {
    cryptoProvider.set(crypto);
    let opened: Authority;
    let isOwn: boolean;
    try {
      const der = PemConverter.decodeFirst(key);
      const parsed = new X509Certificate(certificate);
      const signing = await crypto.subtle.importKey("pkcs8", der, ALGORITHM, false, ["sign"]);
      opened = new Authority(parsed, signing);
      const probe = new Uint8Array(1);
      const signature = await crypto.subtle.sign(ALGORITHM, signing, probe);
      const verifying = await parsed.publicKey.export(ALGORITHM, ["verify"], crypto);
      isOwn = await crypto.subtle.verify(ALGORITHM, verifying, signature, probe);
    } catch (error) {
      throw new Error(`are damaged, or not of an authority on P-256 (${(error as Error).message})`);
    }
    if (!isOwn) throw new Error("do not belong together: the key is not the certificate's");
    return opened;
  }

  get notAfter(): Date {
    return this.#certificate.notAfter;
  }

  /** For a VPN server; it ends with the authority. */
  server(now: number, name: string, host: ServerHost): Promise<Issued> {
    return this.#issue(now, name, "server", this.notAfter, [new SubjectAlternativeNameExtension([host])]);
  }

  client(now: number, name: string): Promise<Issued> {
    const end = Math.min(now + CLIENT_DAYS * DAY, this.notAfter.getTime());
    return this.#issue(now, name, "client", wholeSecond(end), []);
  }

  /**
   * The list of all that was taken back, in PEM. It is valid as long as the authority is: a server refuses everybody once its list is over,
   * and a newer list is there whenever somebody is revoked.
   */
  async revocationList(now: number, revoked: readonly Revoked[]): Promise<string> {
    const crl = await X509CrlGenerator.create({
      issuer: this.#certificate.subjectName,
      thisUpdate: new Date(now - CLOCK_SLACK),
      nextUpdate: this.notAfter,
      signingAlgorithm: ALGORITHM,
      signingKey: this.#key,
      // With a reason, as the library would write an empty list of extensions otherwise, which RFC 5280 does not allow.
      entries: revoked.map(({ serial, at }) => ({
        serialNumber: serial,
        revocationDate: at,
        reason: X509CrlReason.privilegeWithdrawn,
      })),
      extensions: [
        await AuthorityKeyIdentifierExtension.create(this.#certificate.publicKey),
        new Extension(CRL_NUMBER, false, integer(Math.floor(now / 1000))),
      ],
    });
    return `${PemConverter.encode(crl.rawData, "X509 CRL")}\n`;
  }

  async #issue(
    now: number,
    name: string,
    usage: keyof typeof USAGE,
    notAfter: Date,
    more: readonly Extension[],
  ): Promise<Issued> {
    const keys = await crypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
    const serial = newSerial();
    const certificate = await X509CertificateGenerator.create({
      serialNumber: serial,
      subject: [{ CN: [name] }],
      issuer: this.#certificate.subjectName,
      notBefore: new Date(now - CLOCK_SLACK),
      notAfter,
      signingAlgorithm: ALGORITHM,
      publicKey: keys.publicKey,
      signingKey: this.#key,
      extensions: [
        new BasicConstraintsExtension(false),
        new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
        new ExtendedKeyUsageExtension([USAGE[usage]]),
        await AuthorityKeyIdentifierExtension.create(this.#certificate.publicKey),
        await SubjectKeyIdentifierExtension.create(keys.publicKey),
        ...more,
      ],
    });
    return { certificate: `${certificate.toString("pem")}\n`, key: await keyText(keys.privateKey), serial, notAfter };
  }
}

/** 16 bytes, random but for the first two bits: positive and always of that length (RFC 5280 4.1.2.2). */
function newSerial(): string {
  const bytes = new Uint8Array(16);
  systemRandom.fill(bytes);
  bytes[0] = (bytes[0]! & 0x3f) | 0x40;
  return bytes.toHex().toUpperCase();
}

const wholeSecond = (time: number): Date => new Date(Math.floor(time / 1000) * 1000);

async function keyText(key: CryptoKey): Promise<string> {
  return `${PemConverter.encode(await crypto.subtle.exportKey("pkcs8", key), "PRIVATE KEY")}\n`;
}

/** DER of a positive INTEGER below 2^40. */
function integer(value: number): ArrayBuffer {
  const bytes = [value / 2 ** 32, value / 2 ** 24, value / 2 ** 16, value / 2 ** 8, value].map(
    (n) => Math.floor(n) % 256,
  );
  // The byte in front keeps it positive; what is not needed must not be there.
  const from = bytes.findIndex((byte) => byte !== 0);
  const digits = bytes.slice(from < 0 ? 4 : from);
  if (digits[0]! >= 0x80) digits.unshift(0);
  return Uint8Array.of(0x02, digits.length, ...digits).buffer;
}
