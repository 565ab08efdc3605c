/**
 * tls-crypt: control packets encrypted and authenticated with a shared key.
 *
 *     on the link:  opcode (1)  session id (8)  replay id (4)  time (4)  tag (32)  AES-256-CTR(rest)
 *     tag = HMAC-SHA256(opcode  session id  replay id  time  rest in clear);  IV of the cipher = first half of the tag
 *
 * The tag is over the plain text, so a packet is decrypted first and verified before a byte of it is read. Source: OpenVPN's
 * tls_crypt.h and packet_id.c.
 */
import { concat } from "../../lib/bytes.ts";
import { DROP_CONTROL_AUTHENTICATION, DROP_CONTROL_TRUNCATED } from "../drop.ts";
import { equalConstantTime } from "../equal.ts";
import type { ControlPrimitives } from "../ports.ts";
import type { KeyNumber } from "../side.ts";
import { type ControlCrypto, type Opened, REPLAY_ID_LEN } from "./crypto.ts";
import { CONTROL_HEADER_LEN } from "./packet.ts";
import { cipherPart, hmacPart } from "./static-key.ts";

const KEY_LEN = 32;
const TAG_LEN = 32;
const IV_LEN = 16;
const TAG_AT = CONTROL_HEADER_LEN + REPLAY_ID_LEN;
const BODY_AT = TAG_AT + TAG_LEN;

interface DirectionKeys {
  readonly cipher: Uint8Array;
  readonly mac: Uint8Array;
}

export class TlsCrypt implements ControlCrypto {
  readonly authenticates = true;
  readonly conceals = true;
  readonly overhead = REPLAY_ID_LEN + TAG_LEN;
  readonly #send: DirectionKeys;
  readonly #receive: DirectionKeys;
  readonly #primitives: ControlPrimitives;

  /** @param sendKey which of the key's two parts this side sends with */
  constructor(key: Uint8Array, sendKey: KeyNumber, primitives: ControlPrimitives) {
    const part = (n: KeyNumber): DirectionKeys => ({
      cipher: cipherPart(key, n, KEY_LEN).slice(),
      mac: hmacPart(key, n, KEY_LEN).slice(),
    });
    this.#send = part(sendKey);
    this.#receive = part(sendKey === 0 ? 1 : 0);
    this.#primitives = primitives;
  }

  seal(plain: Uint8Array, id: number, time: number): Uint8Array {
    const header = new Uint8Array(TAG_AT);
    const d = new DataView(header.buffer);
    header.set(plain.subarray(0, CONTROL_HEADER_LEN));
    d.setUint32(CONTROL_HEADER_LEN, id);
    d.setUint32(CONTROL_HEADER_LEN + 4, time);
    const body = plain.subarray(CONTROL_HEADER_LEN);
    const tag = this.#primitives.hmac("SHA256", this.#send.mac, concat(header, body));
    return concat(header, tag, this.#primitives.ctr(this.#send.cipher, tag.subarray(0, IV_LEN), body));
  }

  open(packet: Uint8Array): Opened | number {
    if (packet.length <= BODY_AT) return DROP_CONTROL_TRUNCATED;
    const header = packet.subarray(0, TAG_AT);
    const tag = packet.subarray(TAG_AT, BODY_AT);
    const body = this.#primitives.ctr(this.#receive.cipher, tag.subarray(0, IV_LEN), packet.subarray(BODY_AT));
    const mac = this.#primitives.hmac("SHA256", this.#receive.mac, concat(header, body));
    if (!equalConstantTime(mac, tag)) return DROP_CONTROL_AUTHENTICATION;
    const d = new DataView(packet.buffer, packet.byteOffset, packet.byteLength);
    return {
      plain: concat(header.subarray(0, CONTROL_HEADER_LEN), body),
      id: d.getUint32(CONTROL_HEADER_LEN),
      time: d.getUint32(CONTROL_HEADER_LEN + 4),
    };
  }
}
