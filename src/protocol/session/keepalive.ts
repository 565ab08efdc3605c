/**
 * The timers of an established tunnel that depend on traffic: ping, ping-restart / ping-exit, inactive. They are not
 * re-armed per packet: the data path notes times, and the deadlines follow from them (man openvpn, --keepalive,
 * --inactive).
 */
import type { KeepaliveConfig } from "../config/types.ts";
import type { SessionOptions } from "../push/session-options.ts";
import type { SessionEnd } from "./events.ts";

export interface KeepaliveOptions {
  /** Seconds without a packet sent until a ping goes; 0 = off. */
  readonly ping: number;
  /** Seconds without an authentic packet from the peer until the session ends; 0 = off. */
  readonly timeout: number;
  readonly exit: boolean;
  readonly inactive: { readonly seconds: number; readonly bytes: number } | undefined;
}

/** What is pushed takes the place of the profile's. */
export function keepaliveOptions(own: KeepaliveConfig, pushed: SessionOptions): KeepaliveOptions {
  const timeout = pushed.pingExit ?? pushed.pingRestart;
  return {
    ping: pushed.ping ?? own.ping,
    timeout: timeout ?? own.timeout,
    exit: timeout === undefined ? own.action === "exit" : pushed.pingExit !== undefined,
    inactive: pushed.inactive ?? own.inactive,
  };
}

export class Keepalive {
  readonly options: KeepaliveOptions;
  #inactiveFrom: number;
  #inactiveBytes = 0;

  constructor(options: KeepaliveOptions, now: number) {
    this.options = options;
    this.#inactiveFrom = now;
  }

  pingAt(sentAt: number): number {
    return this.options.ping > 0 ? sentAt + this.options.ping * 1000 : Number.POSITIVE_INFINITY;
  }

  timeoutAt(receivedAt: number): number {
    return this.options.timeout > 0 ? receivedAt + this.options.timeout * 1000 : Number.POSITIVE_INFINITY;
  }

  inactiveAt(): number {
    const inactive = this.options.inactive;
    return inactive === undefined || inactive.seconds === 0
      ? Number.POSITIVE_INFINITY
      : this.#inactiveFrom + inactive.seconds * 1000;
  }

  /** The next of the three. @param sentAt,receivedAt times of the last packet each way */
  pollAt(sentAt: number, receivedAt: number): number {
    return Math.min(this.pingAt(sentAt), this.timeoutAt(receivedAt), this.inactiveAt());
  }

  /** Why the session is over, if it is. @param bytes bytes of the tunnel so far, both ways */
  expired(now: number, receivedAt: number, bytes: number): SessionEnd | undefined {
    const { timeout, exit } = this.options;
    if (now >= this.timeoutAt(receivedAt)) return { kind: "ping-timeout", seconds: timeout, exit };
    return now >= this.inactiveAt() && this.isInactive(now, bytes) ? { kind: "inactive" } : undefined;
  }

  /**
   * Whether the interval ended with fewer bytes than asked for; otherwise the next one starts.
   * @param bytes bytes of the tunnel so far, both ways
   */
  isInactive(now: number, bytes: number): boolean {
    const least = Math.max(1, this.options.inactive?.bytes ?? 0);
    if (bytes - this.#inactiveBytes < least) return now >= this.inactiveAt();
    this.#inactiveBytes = bytes;
    this.#inactiveFrom = now;
    return false;
  }
}
