/** What a dialer can tell whoever looks on: since when the tunnel is up or not, and why not. */
import type { CipherName } from "../protocol/ports.ts";
import type { Attempt } from "./attempt.ts";
import type { OpenTunnel } from "./side.ts";

export type DialState =
  | "waiting"
  | "backing-off"
  | "resolving"
  | "listening"
  | "connecting"
  | "up"
  | "leaving"
  | "stopped";

export interface DialStatus {
  readonly state: DialState;
  /** When the tunnel came up, or went down, in ms as `now`; undefined: neither has happened. */
  readonly since: number | undefined;
  /** Why there is no tunnel, in words; undefined: there is one, or nothing went wrong yet. */
  readonly reason: string | undefined;
  /** The server that is tried, or that the tunnel goes to: address and port. */
  readonly server: string | undefined;
  readonly protocol: "udp" | "tcp" | undefined;
  /** Of the tunnel, while it is up. */
  readonly tunnel: (Pick<OpenTunnel, "options" | "mtu"> & { readonly cipher: CipherName | undefined }) | undefined;
  /** A web page where the login goes on. */
  readonly loginPage: string | undefined;
}

/** Keeps what is past; what is now the dialer knows itself. */
export class DialReport {
  #since: number | undefined;
  #reason: string | undefined;
  #tunnel: DialStatus["tunnel"];

  up(now: number, cipher: CipherName): void {
    this.#since = now;
    this.#reason = undefined;
    if (this.#tunnel !== undefined) this.#tunnel = { ...this.#tunnel, cipher };
  }

  /** What the tunnel is, before it is up, and again when the server changes it. */
  opened({ options, mtu }: Pick<OpenTunnel, "options" | "mtu">): void {
    this.#tunnel = { options, mtu, cipher: this.#tunnel?.cipher };
  }

  down(now: number, reason: string): void {
    this.#since = now;
    this.#reason = reason;
    this.#tunnel = undefined;
  }

  /** What was tried came to nothing. */
  failed(reason: string): void {
    this.#reason = reason;
  }

  /** @param attempt that is under way, or that the tunnel goes over */
  status(state: DialState, attempt: Attempt | undefined): DialStatus {
    const isUp = state === "up";
    return {
      state,
      since: this.#since,
      reason: isUp ? undefined : this.#reason,
      server: attempt?.where()["server"],
      protocol: attempt?.way.remote.protocol,
      tunnel: isUp ? this.#tunnel : undefined,
      loginPage: state === "connecting" ? attempt?.loginPage : undefined,
    };
  }
}
