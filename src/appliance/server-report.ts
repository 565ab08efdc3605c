/** What a server can tell whoever looks on: since when clients can come or not, and why not. */
import type { Listener } from "../tunnel/listener.ts";
import type { EndStatus } from "./vpn-end.ts";

export class ServerReport {
  readonly #listener: Pick<Listener, "isListening">;
  #wasListening = false;
  #hasNetwork = false;
  #since: number | undefined;
  /** Why there is no network, and why no port is open. */
  #lost: string | undefined;
  #problem: string | undefined;

  constructor(listener: Pick<Listener, "isListening">) {
    this.#listener = listener;
  }

  /** There is a network, or another one. */
  networkUp(now: number): void {
    if (!this.#hasNetwork && this.#wasListening) this.#since = now;
    this.#hasNetwork = true;
  }

  networkDown(now: number, reason: string): void {
    this.#hasNetwork = false;
    this.#since = now;
    this.#lost = reason;
  }

  /** Ports were to be opened. @param problem why none is; undefined: one is, or that was said before */
  opened(now: number, problem: string | undefined): void {
    const { isListening } = this.#listener;
    if (isListening && !this.#wasListening) this.#since = now;
    this.#wasListening = isListening;
    this.#problem = isListening ? undefined : (problem ?? this.#problem);
  }

  /** Open ports are of no use to anybody while there is no network. */
  get status(): Pick<EndStatus, "state" | "isUp" | "since" | "reason"> {
    const since = this.#since;
    if (!this.#hasNetwork) return { state: "waiting", isUp: false, since, reason: this.#lost };
    if (this.#listener.isListening) return { state: "listening", isUp: true, since, reason: undefined };
    return { state: this.#problem === undefined ? "waiting" : "failed", isUp: false, since, reason: this.#problem };
  }
}
