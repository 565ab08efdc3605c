/**
 * The key-method 2 message, the first thing that each side says through TLS:
 *
 *     0 (4)  2 (1)  [pre-master secret (48), client only]  random 1 (32)  random 2 (32)
 *     options  user  password  peer info       each: length (2, with the final NUL)  bytes  NUL
 *
 * An absent string has length 0. Old peers end after the options. Source: OpenVPN's ssl.c (key_method_2_write).
 */
import { concat } from "../../lib/bytes.ts";
import { decodeUtf8, encodeUtf8 } from "../config/utf8.ts";
import type { Random } from "../ports.ts";
import type { Side } from "../side.ts";
import type { KeySource } from "./key-derive.ts";

const PRE_MASTER_LEN = 48;
export const RANDOM_LEN = 32;
const HEAD_LEN = 5;
/** What the peer's message may have at most: four strings and the fixed part. */
export const MAX_KEY_METHOD_LEN = 8192;
/** Strings are shorter than this; a control message that follows starts with two letters, which as a length are more. */
const MAX_STRING_LEN = 0x3fff;

/** What a key-method message says. */
export interface KeyMethodText {
  readonly options: string;
  readonly user: string | undefined;
  readonly password: string | undefined;
  readonly peerInfo: string | undefined;
}

export interface KeyMethodMessage extends KeyMethodText {
  readonly source: KeySource;
}

/** Fresh random values of one side; a server has no pre-master secret. */
export function makeKeySource(random: Random, side: Side): KeySource {
  const fresh = (length: number): Uint8Array => {
    const bytes = new Uint8Array(length);
    random.fill(bytes);
    return bytes;
  };
  return {
    preMaster: side === "server" ? new Uint8Array(0) : fresh(PRE_MASTER_LEN),
    random1: fresh(RANDOM_LEN),
    random2: fresh(RANDOM_LEN),
  };
}

export function keyMethodEmit(message: KeyMethodMessage): Uint8Array {
  const { source } = message;
  const strings = [message.options, message.user, message.password, message.peerInfo].map(encodeString);
  const parts = [Uint8Array.of(0, 0, 0, 0, 2), source.preMaster, source.random1, source.random2, ...strings];
  return concat(...parts);
}

export type KeyMethodResult =
  | { readonly kind: "message"; readonly message: KeyMethodMessage; readonly length: number }
  /** More bytes are needed, MAX_KEY_METHOD_LEN in all at most. */
  | { readonly kind: "incomplete" }
  | { readonly kind: "malformed"; readonly problem: string };

/**
 * Reads the message at the start of `bytes`. A client's is complete with all four strings: user and password may come in
 * another TLS record than the options, and must not be taken for absent. A server's may end after the options.
 * @param sender only a client sends a pre-master secret
 */
export function keyMethodRead(bytes: Uint8Array, sender: Side): KeyMethodResult {
  const d = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length >= HEAD_LEN && (d.getUint32(0) !== 0 || (bytes[4]! & 0x0f) !== 2)) {
    return { kind: "malformed", problem: "the peer does not use key method 2" };
  }
  const secretLen = sender === "client" ? PRE_MASTER_LEN : 0;
  const optionsAt = HEAD_LEN + secretLen + 2 * RANDOM_LEN;
  if (bytes.length < optionsAt + 2) return { kind: "incomplete" };
  let at = optionsAt;
  const strings: (string | undefined)[] = [];
  let isMessageNext = false;
  while (strings.length < 4 && at + 2 <= bytes.length) {
    const length = d.getUint16(at);
    isMessageNext = length > MAX_STRING_LEN;
    if (isMessageNext) break;
    if (at + 2 + length > bytes.length) {
      if (at + 2 + length > MAX_KEY_METHOD_LEN) return { kind: "malformed", problem: "a string is too long" };
      return { kind: "incomplete" };
    }
    strings.push(length === 0 ? undefined : decodeString(bytes.subarray(at + 2, at + 2 + length)));
    at += 2 + length;
  }
  if (sender === "client" && strings.length < 4 && !isMessageNext) return { kind: "incomplete" };
  if (strings.length === 0) return { kind: "malformed", problem: "the options string is missing" };
  const random1At = HEAD_LEN + secretLen;
  return {
    kind: "message",
    length: at,
    message: {
      source: {
        preMaster: bytes.slice(HEAD_LEN, random1At),
        random1: bytes.slice(random1At, random1At + RANDOM_LEN),
        random2: bytes.slice(random1At + RANDOM_LEN, optionsAt),
      },
      options: strings[0] ?? "",
      user: strings[1],
      password: strings[2],
      peerInfo: strings[3],
    },
  };
}

function encodeString(text: string | undefined): Uint8Array {
  if (text === undefined) return new Uint8Array(2);
  const bytes = encodeUtf8(text);
  const out = new Uint8Array(2 + bytes.length + 1);
  new DataView(out.buffer).setUint16(0, bytes.length + 1);
  out.set(bytes, 2);
  return out;
}

/** UTF-8, up to the first NUL. */
function decodeString(bytes: Uint8Array): string {
  const nul = bytes.indexOf(0);
  return decodeUtf8(nul < 0 ? bytes : bytes.subarray(0, nul));
}
