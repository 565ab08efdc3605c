/**
 * The timers of an established tunnel: ping, ping-restart / ping-exit, inactive, session-timeout. Those that depend on traffic
 * are not set anew per packet: the data path notes times, and the deadlines follow from them (man openvpn, --keepalive,
 * --inactive, --session-timeout).
 */
import type { KeepaliveConfig } from "../config/types.ts";
import type { SessionOptions } from "../push/session-options.ts";
import type { AssociationEnd } from "./events.ts";

/** What is pushed takes the place of the profile's. */
export function pushedKeepalive(own: KeepaliveConfig, pushed: SessionOptions): KeepaliveConfig {
  const timeout = pushed.pingExit ?? pushed.pingRestart;
  const action = pushed.pingExit === undefined ? "restart" : "exit";
  return {
    ping: pushed.ping ?? own.ping,
    timeout: timeout ?? own.timeout,
    action: timeout === undefined ? own.action : action,
    inactive: pushed.inactive ?? own.inactive,
    sessionTimeout: pushed.sessionTimeout ?? own.sessionTimeout,
  };
}

export class Keepalive {
  readonly #config: KeepaliveConfig;
  readonly #endsAt: number;
  #inactiveFrom: number;
  #inactiveBytes = 0;

  /** @param now when the tunnel came up */
  constructor(config: KeepaliveConfig, now: number) {
    this.#config = config;
    this.#endsAt = after(now, config.sessionTimeout);
    this.#inactiveFrom = now;
  }

  pingAt(sentAt: number): number {
    return after(sentAt, this.#config.ping);
  }

  timeoutAt(receivedAt: number): number {
    return after(receivedAt, this.#config.timeout);
  }

  inactiveAt(): number {
    return after(this.#inactiveFrom, this.#config.inactive?.seconds ?? 0);
  }

  /** The next of all of them. @param sentAt,receivedAt times of the last packet each way */
  pollAt(sentAt: number, receivedAt: number): number {
    return Math.min(this.pingAt(sentAt), this.timeoutAt(receivedAt), this.inactiveAt(), this.#endsAt);
  }

  /** Why the session is over, if it is. @param bytes bytes of the tunnel so far, both ways */
  expired(now: number, receivedAt: number, bytes: number): AssociationEnd | undefined {
    const { timeout, action } = this.#config;
    if (now >= this.timeoutAt(receivedAt)) return { kind: "ping-timeout", seconds: timeout, exit: action === "exit" };
    if (now >= this.#endsAt) return { kind: "session-timeout" };
    return now >= this.inactiveAt() && this.isInactive(now, bytes) ? { kind: "inactive" } : undefined;
  }

  /**
   * Whether the interval ended with fewer bytes than asked for; otherwise the next one starts.
   * @param bytes bytes of the tunnel so far, both ways
   */
  isInactive(now: number, bytes: number): boolean {
    const least = Math.max(1, this.#config.inactive?.bytes ?? 0);
    if (bytes - this.#inactiveBytes < least) return now >= this.inactiveAt();
    this.#inactiveBytes = bytes;
    this.#inactiveFrom = now;
    return false;
  }
}

/** @param seconds 0 = off */
const after = (at: number, seconds: number): number => (seconds > 0 ? at + seconds * 1000 : Number.POSITIVE_INFINITY);
