/**
 * tls-crypt: control packets encrypted and authenticated with a shared key.
 *
 *     on the link:  opcode (1)  session id (8)  replay id (4)  time (4)  tag (32)  AES-256-CTR(rest)
 *     tag = HMAC-SHA256(opcode  session id  replay id  time  rest in clear);  IV of the cipher = first half of the tag
 *
 * The server sends with key 0, the client with key 1. Source: OpenVPN's tls_crypt.h and packet_id.c.
 */
import { ctr } from "@noble/ciphers/aes.js";
import { hmac } from "@noble/hashes/hmac.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { TimedReplayWindow } from "../data/replay.ts";
import { DROP_CONTROL_AUTHENTICATION, DROP_CONTROL_REPLAY, DROP_CONTROL_TRUNCATED } from "../drop.ts";
import { equalConstantTime } from "../equal.ts";
import type { ControlWrapper, WrapOptions } from "./crypto.ts";
import { CONTROL_HEADER_LEN } from "./packet.ts";
import { cipherPart, hmacPart } from "./static-key.ts";

const KEY_LEN = 32;
const TAG_LEN = 32;
const IV_LEN = 16;
const REPLAY_ID_LEN = 8;
const TAG_AT = CONTROL_HEADER_LEN + REPLAY_ID_LEN;
const BODY_AT = TAG_AT + TAG_LEN;

export class TlsCrypt implements ControlWrapper {
  readonly authenticates = true;
  readonly overhead = REPLAY_ID_LEN + TAG_LEN;
  readonly #send: { readonly cipher: Uint8Array; readonly mac: Uint8Array };
  readonly #receive: { readonly cipher: Uint8Array; readonly mac: Uint8Array };
  readonly #time: number;
  readonly #window: TimedReplayWindow;
  #lastId = 0;

  constructor(key: Uint8Array, options: WrapOptions) {
    const part = (n: 0 | 1) => ({
      cipher: cipherPart(key, n, KEY_LEN).slice(),
      mac: hmacPart(key, n, KEY_LEN).slice(),
    });
    this.#send = part(options.isServer === true ? 0 : 1);
    this.#receive = part(options.isServer === true ? 1 : 0);
    this.#time = options.unixSeconds >>> 0;
    this.#window = new TimedReplayWindow(options.replayWindow.packets, options.replayWindow.seconds);
  }

  wrap(plain: Uint8Array): Uint8Array {
    const out = new Uint8Array(plain.length + this.overhead);
    const d = new DataView(out.buffer);
    out.set(plain.subarray(0, CONTROL_HEADER_LEN));
    d.setUint32(CONTROL_HEADER_LEN, ++this.#lastId);
    d.setUint32(CONTROL_HEADER_LEN + 4, this.#time);
    const body = plain.subarray(CONTROL_HEADER_LEN);
    const tag = tagOf(this.#send.mac, out.subarray(0, TAG_AT), body);
    out.set(tag, TAG_AT);
    out.set(ctr(this.#send.cipher, tag.slice(0, IV_LEN)).encrypt(body.slice()), BODY_AT);
    return out;
  }

  unwrap(packet: Uint8Array, now: number): Uint8Array | number {
    if (packet.length <= BODY_AT) return DROP_CONTROL_TRUNCATED;
    const tag = packet.subarray(TAG_AT, BODY_AT);
    const body = ctr(this.#receive.cipher, tag.slice(0, IV_LEN)).decrypt(packet.slice(BODY_AT));
    const header = packet.subarray(0, TAG_AT);
    if (!equalConstantTime(tagOf(this.#receive.mac, header, body), tag)) return DROP_CONTROL_AUTHENTICATION;
    const d = new DataView(packet.buffer, packet.byteOffset, packet.byteLength);
    const id = d.getUint32(CONTROL_HEADER_LEN);
    const time = d.getUint32(CONTROL_HEADER_LEN + 4);
    if (!this.#window.check(time, id, now)) return DROP_CONTROL_REPLAY;
    const plain = new Uint8Array(CONTROL_HEADER_LEN + body.length);
    plain.set(packet.subarray(0, CONTROL_HEADER_LEN));
    plain.set(body, CONTROL_HEADER_LEN);
    return plain;
  }

  mark(now: number): void {
    this.#window.markChecked(now);
  }
}

function tagOf(key: Uint8Array, header: Uint8Array, body: Uint8Array): Uint8Array {
  return hmac.create(sha256, key).update(header).update(body).digest();
}
