/**
 * What is done with a packet of somebody who is no client yet, and how much of that in all: how many first packets are answered
 * (connect-freq-initial), and how many sessions begin (connect-freq). What is over a limit costs next to nothing.
 */
import { CountLimit } from "../../lib/count-limit.ts";
import type { ServerLimits, ServerPart } from "../config/server-types.ts";
import type { ServerConfig } from "../config/types.ts";
import { SessionCookies } from "../control/cookie.ts";
import {
  ACK_V1,
  CONTROL_V1,
  CONTROL_WKC_V1,
  HARD_RESET_CLIENT_V2,
  HARD_RESET_CLIENT_V3,
  opcodeOf,
} from "../control/opcode.ts";
import { MAX_CONTROL_LEN } from "../control/packet.ts";
import { controlCrypto } from "../control/protection.ts";
import { DROP_CONTROL_OVERSIZE, DROP_CONTROL_REPLAY, DROP_OPCODE_UNKNOWN } from "../drop.ts";
import type { ControlPrimitives } from "../ports.ts";
import { type Admission, type AdmissionConfig, admit, admitStream } from "./admission.ts";
import type { Sources } from "./peer-link.ts";
import { UsedCookies } from "./used-cookies.ts";

/** The parts of a configuration that say who may begin. */
export type StrangersConfig = Pick<ServerConfig & ServerPart, "control" | "wrappedKeys"> & {
  readonly limits: Pick<ServerLimits, "connectFreq" | "connectFreqInitial">;
};

/** A first packet that is over the limit. */
export const LIMITED = 1;

export class Strangers {
  readonly #primitives: ControlPrimitives;
  readonly #cookies: SessionCookies;
  readonly #used = new UsedCookies();
  /** Of an address, for cookies: words and port. */
  readonly #address = new Uint8Array(18);
  readonly #addressView = new DataView(this.#address.buffer);
  #admission: AdmissionConfig;
  #answers: CountLimit;
  #sessions: CountLimit | undefined;

  /** @param cookieKey 32 random bytes: what strangers were answered is known again by it, also by another run */
  constructor(config: StrangersConfig, primitives: ControlPrimitives, cookieKey: Uint8Array) {
    this.#primitives = primitives;
    this.#cookies = new SessionCookies(cookieKey, config.control.handWindow, primitives);
    this.#admission = this.#admissionOf(config);
    this.#answers = new CountLimit(config.limits.connectFreqInitial);
    this.#sessions = config.limits.connectFreq && new CountLimit(config.limits.connectFreq);
  }

  /** From now on another configuration counts. What was answered already is known again, and limits begin anew. */
  reload(config: StrangersConfig): void {
    this.#admission = this.#admissionOf(config);
    this.#answers = new CountLimit(config.limits.connectFreqInitial);
    this.#sessions = config.limits.connectFreq && new CountLimit(config.limits.connectFreq);
  }

  /**
   * A control packet, `len` bytes at `at` of `bytes`, that came from where row `i` did.
   * @returns the drop code or LIMITED where it is nobody's
   */
  judge(
    now: number,
    unixSeconds: number,
    bytes: Uint8Array,
    at: number,
    len: number,
    from: Sources,
    i: number,
  ): Admission | number {
    const opcode = opcodeOf(bytes[at]!);
    const isReset = opcode === HARD_RESET_CLIENT_V2 || opcode === HARD_RESET_CLIENT_V3;
    if (!isReset && opcode !== CONTROL_V1 && opcode !== CONTROL_WKC_V1 && opcode !== ACK_V1) return DROP_OPCODE_UNKNOWN;
    if (len > MAX_CONTROL_LEN) return DROP_CONTROL_OVERSIZE;
    // Before the work of looking into it.
    if (isReset && !this.#answers.allows(now)) return LIMITED;
    const admission = admit(this.#admission, bytes.slice(at, at + len), this.#nameOf(from, i), unixSeconds);
    if (typeof admission === "number") return admission;
    if (isReset) this.#answers.take(now);
    if (admission.kind === "session" && this.#used.has(admission.resumed.ownSessionId)) return DROP_CONTROL_REPLAY;
    return admission;
  }

  /** A session begins. Until then it may be asked for again, as by a client for which there was no room yet. */
  begun(admission: Admission): void {
    if (admission.kind !== "session") return;
    this.#used.add(admission.resumed.ownSessionId);
    // It was answered before, and is nobody who made its address up: that answer is not counted.
    this.#answers.giveBack();
  }

  /** The first packet of a connection. @returns the drop code where it is nobody's */
  judgeStream(unixSeconds: number, packet: Uint8Array): ReturnType<typeof admitStream> {
    return admitStream(this.#admission, packet, unixSeconds);
  }

  /** Whether another session may begin now; it counts if it may. */
  mayBegin(now: number): boolean {
    return this.#sessions?.take(now) !== false;
  }

  #nameOf({ words, port }: Sources, i: number): Uint8Array {
    const d = this.#addressView;
    for (let k = 0; k < 4; k++) d.setInt32(4 * k, words[4 * i + k]!);
    d.setUint16(16, port[i]!);
    return this.#address;
  }

  #admissionOf({ control, wrappedKeys }: StrangersConfig): AdmissionConfig {
    const { wrap } = control;
    const primitives = this.#primitives;
    const crypto = controlCrypto(wrap, "server", primitives);
    return { wrap, crypto, wrappedKeys, primitives, cookies: this.#cookies };
  }
}
