/**
 * tls-auth: an HMAC over each control packet.
 *
 *     on the link:  opcode (1)  session id (8)  HMAC  replay id (4)  time (4)  rest
 *     HMAC input:   replay id  time  opcode  session id  rest
 *
 * Source: OpenVPN's ssl_pkt.c (swap_hmac) and packet_id.c; `man openvpn`, --tls-auth.
 */

import { hmac } from "@noble/hashes/hmac.js";
import { md5, sha1 } from "@noble/hashes/legacy.js";
import { sha224, sha256, sha384, sha512 } from "@noble/hashes/sha2.js";
import { concat } from "../../lib/bytes.ts";
import type { DigestName } from "../config/types.ts";
import { TimedReplayWindow } from "../data/replay.ts";
import { DROP_CONTROL_AUTHENTICATION, DROP_CONTROL_REPLAY, DROP_CONTROL_TRUNCATED } from "../drop.ts";
import { equalConstantTime } from "../equal.ts";
import type { ControlWrapper, WrapOptions } from "./crypto.ts";
import { CONTROL_HEADER_LEN } from "./packet.ts";
import { hmacPart } from "./static-key.ts";

const HASHES = { MD5: md5, SHA1: sha1, SHA224: sha224, SHA256: sha256, SHA384: sha384, SHA512: sha512 } as const;
const REPLAY_ID_LEN = 8;

export class TlsAuth implements ControlWrapper {
  readonly authenticates = true;
  readonly overhead: number;
  readonly #mac: (input: Uint8Array, key: Uint8Array) => Uint8Array;
  readonly #macLen: number;
  readonly #sendKey: Uint8Array;
  readonly #receiveKey: Uint8Array;
  readonly #time: number;
  readonly #window: TimedReplayWindow;
  #lastId = 0;

  /** @param direction key-direction of this side: 0 sends with key 0, 1 with key 1, undefined uses key 0 both ways */
  constructor(key: Uint8Array, direction: 0 | 1 | undefined, digest: DigestName, options: WrapOptions) {
    const hash = HASHES[digest];
    this.#macLen = hash.outputLen;
    this.overhead = this.#macLen + REPLAY_ID_LEN;
    this.#mac = (input, macKey) => hmac(hash, macKey, input);
    this.#sendKey = hmacPart(key, direction ?? 0, this.#macLen).slice();
    this.#receiveKey = hmacPart(key, direction === 0 ? 1 : 0, this.#macLen).slice();
    this.#time = options.unixSeconds >>> 0;
    this.#window = new TimedReplayWindow(options.replayWindow.packets, options.replayWindow.seconds);
  }

  wrap(plain: Uint8Array): Uint8Array {
    const replayId = new Uint8Array(REPLAY_ID_LEN);
    const d = new DataView(replayId.buffer);
    d.setUint32(0, ++this.#lastId);
    d.setUint32(4, this.#time);
    const out = new Uint8Array(plain.length + this.overhead);
    out.set(plain.subarray(0, CONTROL_HEADER_LEN));
    out.set(this.#mac(concat(replayId, plain), this.#sendKey), CONTROL_HEADER_LEN);
    out.set(replayId, CONTROL_HEADER_LEN + this.#macLen);
    out.set(plain.subarray(CONTROL_HEADER_LEN), CONTROL_HEADER_LEN + this.overhead);
    return out;
  }

  unwrap(packet: Uint8Array, now: number): Uint8Array | number {
    if (packet.length < CONTROL_HEADER_LEN + this.overhead) return DROP_CONTROL_TRUNCATED;
    const replayAt = CONTROL_HEADER_LEN + this.#macLen;
    const replayId = packet.subarray(replayAt, replayAt + REPLAY_ID_LEN);
    const plain = concat(packet.subarray(0, CONTROL_HEADER_LEN), packet.subarray(replayAt + REPLAY_ID_LEN));
    const mac = this.#mac(concat(replayId, plain), this.#receiveKey);
    if (!equalConstantTime(mac, packet.subarray(CONTROL_HEADER_LEN, replayAt))) return DROP_CONTROL_AUTHENTICATION;
    const d = new DataView(replayId.buffer, replayId.byteOffset, REPLAY_ID_LEN);
    if (!this.#window.check(d.getUint32(4), d.getUint32(0), now)) return DROP_CONTROL_REPLAY;
    return plain;
  }

  mark(now: number): void {
    this.#window.markChecked(now);
  }
}
