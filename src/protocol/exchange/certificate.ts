/**
 * An X.509 certificate (RFC 5280 4.1), as far as profiles ask about it: who it is of, its number and its extensions. That it is genuine
 * is the TLS library's work. What is not asked for is not read, so that a handshake costs little.
 *
 *     Certificate  [ tbsCertificate  [ version?  serialNumber  signature  issuer  validity  subject  subjectPublicKeyInfo
 *                                      issuerUniqueID?  subjectUniqueID?  extensions? ]  signatureAlgorithm  signatureValue ]
 */
import { bytesToHex } from "@noble/hashes/utils.js";
import {
  bitsOf,
  DER_BIT_STRING,
  DER_BOOLEAN,
  DER_INTEGER,
  DER_OCTET_STRING,
  DER_OID,
  DER_SEQUENCE,
  DER_SET,
  type DerElement,
  DerElements,
  MalformedDer,
  oidText,
} from "./der.ts";
import { textOf } from "./der-text.ts";

const VERSION = 0xa0;
const ISSUER_UNIQUE_ID = 0x81;
const SUBJECT_UNIQUE_ID = 0x82;
const EXTENSIONS = 0xa3;
const IA5_STRING = 22;
/** GeneralName: rfc822Name (RFC 5280 4.2.1.6). */
const EMAIL_NAME = 0x81;

const KEY_USAGE = "2.5.29.15";
const SUBJECT_ALT_NAME = "2.5.29.17";
const EXTENDED_KEY_USAGE = "2.5.29.37";
/** Of Netscape: a bit string with client 0x80 and server 0x40. */
const CERTIFICATE_TYPE = "2.16.840.1.113730.1.1";

/** One attribute of a name: its type in dotted numbers, and its value. */
export interface NameAttribute {
  readonly type: string;
  readonly value: DerElement;
}

/** Each question throws MalformedDer where what it is about cannot be read. */
export class Certificate {
  readonly #serial: Uint8Array;
  readonly #subject: Uint8Array;
  readonly #extensions: Uint8Array | undefined;
  #byType: ReadonlyMap<string, Uint8Array> | undefined;

  /** @param der one certificate, nothing behind it @throws MalformedDer */
  constructor(der: Uint8Array) {
    const whole = onlyElement(der, DER_SEQUENCE);
    const outer = new DerElements(whole);
    const fields = new DerElements(outer.take(DER_SEQUENCE));
    outer.take(DER_SEQUENCE);
    outer.take(DER_BIT_STRING);
    if (!outer.isAtEnd) throw new MalformedDer("more than a certificate");
    fields.takeIf(VERSION);
    this.#serial = fields.take(DER_INTEGER);
    fields.take(DER_SEQUENCE);
    fields.take(DER_SEQUENCE);
    fields.take(DER_SEQUENCE);
    this.#subject = fields.take(DER_SEQUENCE);
    fields.take(DER_SEQUENCE);
    fields.takeIf(ISSUER_UNIQUE_ID);
    fields.takeIf(SUBJECT_UNIQUE_ID);
    this.#extensions = fields.takeIf(EXTENSIONS);
    if (!fields.isAtEnd) throw new MalformedDer("more than a certificate");
  }

  /** Its number as BN_bn2hex writes it: whole bytes in capitals, "-" in front of a negative one. */
  get serial(): string {
    return integerText(this.#serial);
  }

  /** The relative distinguished names in order, each with its attributes (nearly always one). */
  get subject(): readonly (readonly NameAttribute[])[] {
    return [...new DerElements(this.#subject).rest()].map((name) => {
      if (name.tag !== DER_SET) throw new MalformedDer("no relative distinguished name");
      return [...new DerElements(name.content).rest()].map(({ tag, content }) => {
        const attribute = new DerElements(content);
        if (tag !== DER_SEQUENCE) throw new MalformedDer("no attribute");
        return { type: oidText(attribute.take(DER_OID)), value: attribute.next() };
      });
    });
  }

  /** The first 16 bits of the key usage as OpenVPN writes them: digitalSignature is 0x80, decipherOnly 0x8000; undefined: it has none. */
  get keyUsage(): number | undefined {
    const value = this.#extension(KEY_USAGE);
    if (value === undefined) return undefined;
    const [low = 0, high = 0] = bitsOf(onlyElement(value, DER_BIT_STRING));
    return (high << 8) | low;
  }

  /** In dotted numbers; none where it has no such extension. */
  get extendedKeyUsages(): readonly string[] {
    const value = this.#extension(EXTENDED_KEY_USAGE);
    if (value === undefined) return [];
    return [...new DerElements(onlyElement(value, DER_SEQUENCE)).rest()].map(({ tag, content }) => {
      if (tag !== DER_OID) throw new MalformedDer("no key purpose");
      return oidText(content);
    });
  }

  /** Netscape's certificate type; undefined: it has none. */
  get netscapeType(): number | undefined {
    const value = this.#extension(CERTIFICATE_TYPE);
    return value === undefined ? undefined : (bitsOf(onlyElement(value, DER_BIT_STRING))[0] ?? 0);
  }

  /** The e-mail addresses of its subjectAltName. */
  get emailNames(): readonly string[] {
    const value = this.#extension(SUBJECT_ALT_NAME);
    if (value === undefined) return [];
    return [...new DerElements(onlyElement(value, DER_SEQUENCE)).rest()]
      .filter(({ tag }) => tag === EMAIL_NAME)
      .map(({ content }) => textOf({ tag: IA5_STRING, content }));
  }

  /** What an extension holds. Two of one type are malformed (RFC 5280 4.2). */
  #extension(type: string): Uint8Array | undefined {
    this.#byType ??= extensionsByType(this.#extensions);
    return this.#byType.get(type);
  }
}

function onlyElement(bytes: Uint8Array, tag: number): Uint8Array {
  const elements = new DerElements(bytes);
  const content = elements.take(tag);
  if (!elements.isAtEnd) throw new MalformedDer("bytes behind the end");
  return content;
}

function extensionsByType(explicit: Uint8Array | undefined): ReadonlyMap<string, Uint8Array> {
  const byType = new Map<string, Uint8Array>();
  if (explicit === undefined) return byType;
  for (const { tag, content } of new DerElements(onlyElement(explicit, DER_SEQUENCE)).rest()) {
    if (tag !== DER_SEQUENCE) throw new MalformedDer("no extension");
    const extension = new DerElements(content);
    const type = oidText(extension.take(DER_OID));
    extension.takeIf(DER_BOOLEAN);
    const value = extension.take(DER_OCTET_STRING);
    if (!extension.isAtEnd || byType.has(type)) throw new MalformedDer("an extension twice");
    byType.set(type, value);
  }
  return byType;
}

function integerText(content: Uint8Array): string {
  if (content.length === 0) throw new MalformedDer("no integer");
  const isNegative = content[0]! >= 0x80;
  const bytes = content.slice();
  // Two's complement.
  if (isNegative)
    for (let i = bytes.length - 1, carry = 1; i >= 0; i--) {
      const inverted = (~content[i]! & 0xff) + carry;
      bytes[i] = inverted;
      carry = inverted >> 8;
    }
  const start = bytes.findIndex((byte) => byte !== 0);
  const digits = bytesToHex(bytes.subarray(Math.max(0, start))).toUpperCase();
  return start < 0 ? "0" : `${isNegative ? "-" : ""}${digits}`;
}
