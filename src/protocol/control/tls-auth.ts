/**
 * tls-auth: an HMAC over each control packet.
 *
 *     on the link:  opcode (1)  session id (8)  HMAC  replay id (4)  time (4)  rest
 *     HMAC input:   replay id  time  opcode  session id  rest
 *
 * Source: OpenVPN's ssl_pkt.c (swap_hmac) and packet_id.c; `man openvpn`, --tls-auth.
 */
import { concat } from "../../lib/bytes.ts";
import type { DigestName } from "../config/types.ts";
import { DROP_CONTROL_AUTHENTICATION, DROP_CONTROL_TRUNCATED } from "../drop.ts";
import { equalConstantTime } from "../equal.ts";
import type { ControlPrimitives } from "../ports.ts";
import { type ControlCrypto, type Opened, REPLAY_ID_LEN } from "./crypto.ts";
import { CONTROL_HEADER_LEN } from "./packet.ts";
import { hmacPart } from "./static-key.ts";

/** Bytes of a digest. */
export const DIGEST_LEN: Readonly<Record<DigestName, number>> = Object.freeze({
  MD5: 16,
  SHA1: 20,
  SHA224: 28,
  SHA256: 32,
  SHA384: 48,
  SHA512: 64,
});

export class TlsAuth implements ControlCrypto {
  readonly authenticates = true;
  readonly conceals = false;
  readonly overhead: number;
  readonly #digest: DigestName;
  readonly #sendKey: Uint8Array;
  readonly #receiveKey: Uint8Array;
  readonly #primitives: ControlPrimitives;

  /** @param direction key-direction of this side: 0 sends with key 0, 1 with key 1, undefined uses key 0 both ways */
  constructor(key: Uint8Array, direction: 0 | 1 | undefined, digest: DigestName, primitives: ControlPrimitives) {
    const macLen = DIGEST_LEN[digest];
    this.overhead = macLen + REPLAY_ID_LEN;
    this.#digest = digest;
    this.#sendKey = hmacPart(key, direction ?? 0, macLen).slice();
    this.#receiveKey = hmacPart(key, direction === 0 ? 1 : 0, macLen).slice();
    this.#primitives = primitives;
  }

  seal(plain: Uint8Array, id: number, time: number): Uint8Array {
    const input = new Uint8Array(REPLAY_ID_LEN + plain.length);
    const d = new DataView(input.buffer);
    d.setUint32(0, id);
    d.setUint32(4, time);
    input.set(plain, REPLAY_ID_LEN);
    const header = plain.subarray(0, CONTROL_HEADER_LEN);
    const mac = this.#primitives.hmac(this.#digest, this.#sendKey, input);
    return concat(header, mac, input.subarray(0, REPLAY_ID_LEN), plain.subarray(CONTROL_HEADER_LEN));
  }

  open(packet: Uint8Array): Opened | number {
    const bodyAt = CONTROL_HEADER_LEN + this.overhead;
    if (packet.length < bodyAt) return DROP_CONTROL_TRUNCATED;
    const replayAt = bodyAt - REPLAY_ID_LEN;
    const input = concat(
      packet.subarray(replayAt, bodyAt),
      packet.subarray(0, CONTROL_HEADER_LEN),
      packet.subarray(bodyAt),
    );
    const mac = this.#primitives.hmac(this.#digest, this.#receiveKey, input);
    if (!equalConstantTime(mac, packet.subarray(CONTROL_HEADER_LEN, replayAt))) return DROP_CONTROL_AUTHENTICATION;
    const d = new DataView(input.buffer);
    return { plain: input.subarray(REPLAY_ID_LEN), id: d.getUint32(0), time: d.getUint32(4) };
  }
}
