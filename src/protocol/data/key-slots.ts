/**
 * The data-channel keys of a session: the one that packets are sent with, a fresh one that waits to take over, and an
 * old one that still opens packets (lame duck). Packets are opened with whichever has their key id.
 *
 * When a renegotiation ends, the peer may still be finishing it (a server may take long to check the login) and would
 * drop packets of the new key. So sending moves to it when the first packet of the new key arrives, or after a delay.
 * The old key opens packets for tran-window from then on. Source: `man openvpn`, --tran-window; OpenVPN's ssl.c.
 */

import { KEY_ID_MASK } from "../control/opcode.ts";
import type { DataKey } from "./key.ts";

export class KeySlots {
  readonly #byId: (DataKey | undefined)[] = new Array(KEY_ID_MASK + 1).fill(undefined);
  readonly #tranWindowMs: number;
  readonly #switchDelayMs: number;
  #sending: DataKey | undefined;
  #next: DataKey | undefined;
  #old: DataKey | undefined;
  #switchAt = Number.POSITIVE_INFINITY;
  #oldEndsAt = Number.POSITIVE_INFINITY;
  #switches = 0;

  /** @param switchDelayMs how long a new key waits for the peer's first packet of it */
  constructor(tranWindowMs: number, switchDelayMs: number) {
    this.#tranWindowMs = tranWindowMs;
    this.#switchDelayMs = switchDelayMs;
  }

  /** How often sending has gone over to another key: {@link pollAt} is another one then. */
  get switches(): number {
    return this.#switches;
  }

  /** The key to send with. */
  get sending(): DataKey | undefined {
    return this.#sending;
  }

  /** The key to send with, where the peer has it for sure: no other one waits. */
  get settled(): DataKey | undefined {
    return this.#next === undefined ? this.#sending : undefined;
  }

  /** The youngest key. */
  get newest(): DataKey | undefined {
    return this.#next ?? this.#sending;
  }

  /** The key that opens packets with this key id. */
  opener(keyId: number): DataKey | undefined {
    return this.#byId[keyId];
  }

  /**
   * A key that this side can use from now on. The first one is sent with at once.
   * @param begunAt when its renegotiation began: the delay counts from there (OpenVPN's ssl.c, session_move_pre_start)
   */
  install(key: DataKey, now: number, begunAt: number): void {
    if (this.#sending === undefined) {
      this.#put(key);
      this.#sending = key;
      return;
    }
    // the one before never took over: it does now, and is the old one next
    this.takeOver(now);
    this.#put(key);
    this.#next = key;
    this.#switchAt = Math.max(now, begunAt + this.#switchDelayMs);
  }

  /** A packet was opened with `key`: the peer sends with it, so it has it. */
  opened(key: DataKey, now: number): void {
    if (key === this.#next) this.takeOver(now);
  }

  /**
   * The key that waits, if any, is sent with from now on. Also when another renegotiation begins: who begins one keeps
   * the youngest key only beside the coming one (OpenVPN has two slots; its ssl.c, key_state_soft_reset).
   */
  takeOver(now: number): void {
    if (this.#next === undefined) return;
    this.#dropOld();
    this.#old = this.#sending;
    this.#oldEndsAt = now + this.#tranWindowMs;
    this.#sending = this.#next;
    this.#switches++;
    this.#next = undefined;
    this.#switchAt = Number.POSITIVE_INFINITY;
  }

  handleTimeout(now: number): void {
    if (now >= this.#switchAt) this.takeOver(now);
    if (now >= this.#oldEndsAt) this.#dropOld();
  }

  pollAt(): number {
    return Math.min(this.#switchAt, this.#oldEndsAt);
  }

  closeAll(): void {
    for (let i = 0; i < this.#byId.length; i++) {
      this.#byId[i]?.close();
      this.#byId[i] = undefined;
    }
    this.#sending = undefined;
    this.#next = undefined;
    this.#old = undefined;
    this.#switchAt = Number.POSITIVE_INFINITY;
    this.#oldEndsAt = Number.POSITIVE_INFINITY;
  }

  #put(key: DataKey): void {
    const before = this.#byId[key.keyId];
    if (before !== undefined) {
      before.close();
      if (before === this.#old) {
        this.#old = undefined;
        this.#oldEndsAt = Number.POSITIVE_INFINITY;
      }
    }
    this.#byId[key.keyId] = key;
  }

  #dropOld(): void {
    this.#oldEndsAt = Number.POSITIVE_INFINITY;
    if (this.#old === undefined) return;
    this.#old.close();
    if (this.#byId[this.#old.keyId] === this.#old) this.#byId[this.#old.keyId] = undefined;
    this.#old = undefined;
  }
}
