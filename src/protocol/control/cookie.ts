/**
 * Session ids that a server knows again without having kept anything: each is an HMAC over the client's address, its session id
 * and the time. A client that names one has got the server's answer, so its address is its own. As OpenVPN (ssl_pkt.c,
 * calculate_session_id_hmac): a slice of time is half of hand-window, and the present and the two before it are good.
 */
import { concat } from "../../lib/bytes.ts";
import { equalConstantTime } from "../equal.ts";
import type { ControlPrimitives } from "../ports.ts";
import { SESSION_ID_LEN } from "./packet.ts";

const SLICES = 3;

export class SessionCookies {
  readonly #key: Uint8Array;
  readonly #slice: number;
  readonly #primitives: ControlPrimitives;

  /** @param key 32 random bytes of this server @param handWindow seconds */
  constructor(key: Uint8Array, handWindow: number, primitives: ControlPrimitives) {
    this.#key = key.slice();
    this.#slice = Math.max(1, Math.floor((handWindow + 1) / 2));
    this.#primitives = primitives;
  }

  /** The server's session id for this client. @param address of the client with its port, in any form that is one of a kind */
  issue(address: Uint8Array, clientSessionId: Uint8Array, unixSeconds: number): Uint8Array {
    return this.#make(address, clientSessionId, Math.floor(unixSeconds / this.#slice));
  }

  /** Whether a session id was issued to this client lately. */
  isOurs(sessionId: Uint8Array, address: Uint8Array, clientSessionId: Uint8Array, unixSeconds: number): boolean {
    const slice = Math.floor(unixSeconds / this.#slice);
    for (let age = 0; age < SLICES; age++)
      if (equalConstantTime(this.#make(address, clientSessionId, slice - age), sessionId)) return true;
    return false;
  }

  #make(address: Uint8Array, clientSessionId: Uint8Array, slice: number): Uint8Array {
    const time = new Uint8Array(8);
    new DataView(time.buffer).setFloat64(0, slice);
    const input = concat(time, clientSessionId, address);
    return this.#primitives.hmac("SHA256", this.#key, input).slice(0, SESSION_ID_LEN);
  }
}
