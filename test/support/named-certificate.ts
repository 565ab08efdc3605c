/** A certificate of X.509 with a subject of one's own and a signature that nobody made, for what only reads its names (RFC 5280 4.1). */

type Bytes = Uint8Array<ArrayBuffer>;

function der(tag: number, ...content: readonly Uint8Array[]): Bytes {
  const body = Buffer.concat(content);
  const length = body.length < 128 ? [body.length] : [0x82, body.length >> 8, body.length & 255];
  return Uint8Array.from([tag, ...length, ...body]);
}

const hex = (text: string): Bytes => Uint8Array.from(Buffer.from(text, "hex"));
const utf8 = (text: string): Bytes => der(0x0c, Buffer.from(text));
const ECDSA_SHA256 = der(0x30, hex("06082a8648ce3d040302"));
const P256 = der(0x30, hex("06072a8648ce3d0201"), hex("06082a8648ce3d030107"));
/** Any point: nothing is computed with it. */
const KEY = der(0x30, P256, der(0x03, new Uint8Array(66).fill(4, 1)));
const VALIDITY = der(0x30, der(0x17, Buffer.from("250101000000Z")), der(0x17, Buffer.from("450101000000Z")));
const ORGANIZATION = "060355040a";
const COMMON_NAME = "0603550403";

const rdn = (oid: string, value: string): Bytes => der(0x31, der(0x30, hex(oid), utf8(value)));

/** @param name its CN; undefined: its subject has only an organization @returns DER */
export function namedCertificate(name: string | undefined, serial = 1): Bytes {
  const cn = name === undefined ? [] : [rdn(COMMON_NAME, name)];
  const subject = der(0x30, rdn(ORGANIZATION, "Example"), ...cn);
  const issuer = der(0x30, rdn(COMMON_NAME, "ca"));
  const version = der(0xa0, hex("020102"));
  const toBeSigned = der(0x30, version, der(0x02, Uint8Array.of(serial)), ECDSA_SHA256, issuer, VALIDITY, subject, KEY);
  return der(0x30, toBeSigned, ECDSA_SHA256, der(0x03, new Uint8Array(65)));
}
