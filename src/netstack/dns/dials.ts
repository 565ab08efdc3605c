/** Questions for servers by TCP. The machines here do not dial: whoever owns one takes them, and tells it what came of each. */
import type { Endpoint } from "../../lib/endpoint.ts";
import type { DnsTls } from "./upstreams.ts";

/** A question for a server by TCP. What comes of it is told to handleMessage() or handleDialEnd(). */
export interface Dial {
  readonly id: number;
  readonly server: Endpoint;
  /** undefined: in the clear. */
  readonly tls: DnsTls | undefined;
  readonly question: Uint8Array;
}

export class Dials {
  readonly #waiting: Dial[] = [];
  readonly #hangUps: number[] = [];

  /** Nothing is to be dialed, and nothing hung up. */
  get isEmpty(): boolean {
    return this.#waiting.length === 0 && this.#hangUps.length === 0;
  }

  add(dial: Dial): void {
    this.#waiting.push(dial);
  }

  /** Nobody needs its answer any more: it is not dialed, or, where it was, it is to be hung up. */
  withdraw(id: number): void {
    const at = this.#waiting.findIndex((dial) => dial.id === id);
    if (at >= 0) this.#waiting.splice(at, 1);
    else this.#hangUps.push(id);
  }

  /** A question to put to a server, or undefined. */
  poll(): Dial | undefined {
    return this.#waiting.shift();
  }

  /** The number of a dial that nobody needs any more, or undefined. */
  pollHangUp(): number | undefined {
    return this.#hangUps.shift();
  }
}
