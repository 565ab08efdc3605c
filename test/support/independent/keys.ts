/**
 * How the data channel's keys are made: the key-method 2 messages, the TLS 1.0 PRF over them, and what of the 256 bytes
 * is for whom. The client sends with the first half (cipher, HMAC), the server with the second; with an AEAD the first 8
 * bytes of the HMAC part are the implicit IV.
 */
import { createHmac } from "node:crypto";

export const EXPORTER_LABEL = "EXPORTER-OpenVPN-datakeys";
export const DYNAMIC_LABEL = "EXPORTER-OpenVPN-dynamic-tls-crypt";
export const KEY_BLOCK = 256;

export interface ClientMessage {
  readonly preMaster: Buffer;
  readonly random1: Buffer;
  readonly random2: Buffer;
  readonly options: string;
  readonly user: string | undefined;
  readonly password: string | undefined;
  readonly peerInfo: string;
}

/** The client's key-method 2 message at the start of `bytes`, and its length; undefined while it is not whole. Throws where it is none. */
export function decodeClientMessage(bytes: Buffer): { message: ClientMessage; length: number } | undefined {
  if (bytes.length < 117) return undefined;
  if (bytes.readUInt32BE(0) !== 0 || bytes[4] !== 2) throw new Error("no key-method 2 message");
  const strings: (string | undefined)[] = [];
  let at = 117;
  while (strings.length < 4) {
    if (bytes.length < at + 2) return undefined;
    const length = bytes.readUInt16BE(at);
    if (bytes.length < at + 2 + length) return undefined;
    if (length > 0 && bytes[at + 1 + length] !== 0) throw new Error("a string of the key message has no NUL");
    strings.push(length === 0 ? undefined : bytes.toString("utf8", at + 2, at + 1 + length));
    at += 2 + length;
  }
  const [options, user, password, peerInfo] = strings;
  const message = {
    preMaster: bytes.subarray(5, 53),
    random1: bytes.subarray(53, 85),
    random2: bytes.subarray(85, 117),
    options: options ?? "",
    user,
    password,
    peerInfo: peerInfo ?? "",
  };
  return { message, length: at };
}

/** The server's: no pre-master secret, no login, no peer info. */
export function encodeServerMessage(random1: Buffer, random2: Buffer, options: string): Buffer {
  const text = Buffer.from(`${options}\0`);
  const length = Buffer.alloc(2);
  length.writeUInt16BE(text.length);
  return Buffer.concat([Buffer.from([0, 0, 0, 0, 2]), random1, random2, length, text, Buffer.alloc(6)]);
}

/** PRF of TLS 1.0 (RFC 2246 5): P_MD5 of the first half of the secret xor P_SHA1 of the second. */
export function prf(secret: Buffer, label: string, seed: Buffer, length: number): Buffer {
  const half = (secret.length + 1) >> 1;
  const input = Buffer.concat([Buffer.from(label), seed]);
  const left = pHash("md5", secret.subarray(0, half), input, length);
  const right = pHash("sha1", secret.subarray(secret.length - half), input, length);
  return Buffer.from(left.map((byte, i) => byte ^ (right[i] as number)));
}

function pHash(hash: string, secret: Buffer, seed: Buffer, length: number): Buffer {
  const blocks: Buffer[] = [];
  let a = seed;
  for (let have = 0; have < length; have += (blocks.at(-1) as Buffer).length) {
    a = createHmac(hash, secret).update(a).digest();
    blocks.push(
      createHmac(hash, secret)
        .update(Buffer.concat([a, seed]))
        .digest(),
    );
  }
  return Buffer.concat(blocks).subarray(0, length);
}

export function keysByPrf(
  client: ClientMessage,
  server: { readonly random1: Buffer; readonly random2: Buffer },
  clientSession: Buffer,
  serverSession: Buffer,
): Buffer {
  const firstSeed = Buffer.concat([client.random1, server.random1]);
  const master = prf(client.preMaster, "OpenVPN master secret", firstSeed, 48);
  const seed = Buffer.concat([client.random2, server.random2, clientSession, serverSession]);
  return prf(master, "OpenVPN key expansion", seed, KEY_BLOCK);
}
