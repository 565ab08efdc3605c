/** A port on which connections are accepted. It is made by {@link Tcp.listen}. */
import { type Connection, type ConnectionOptions, firstWindow, windowShift } from "./connection.ts";

export interface ListenSocketOptions extends ConnectionOptions {
  /** Connections that wait to be accepted at most; further handshakes are not completed (default 64). */
  readonly backlog?: number;
  /** Whether connections are accepted at an address of ours: the four words of an address value. Default: at all of them. */
  readonly listensAt?: (words: Int32Array) => boolean;
}

const DEFAULT_BACKLOG = 64;

export class ListenSocket {
  readonly port: number;
  readonly options: ListenSocketOptions;
  /** Of the connections: the window at the beginning, and the shift of all. */
  readonly window: number;
  readonly windowScale: number;
  isClosed = false;
  readonly #waiting: Connection[] = [];

  constructor(port: number, options: ListenSocketOptions) {
    this.port = port;
    this.options = options;
    this.window = firstWindow(options);
    this.windowScale = windowShift(options);
  }

  /** The connection that has waited the longest, undefined: there is none. It may have ended meanwhile. The caller closes or aborts it in the end. */
  accept(): Connection | undefined {
    return this.#waiting.shift();
  }

  /** Connections that wait to be accepted. */
  get waiting(): number {
    return this.#waiting.length;
  }

  get hasRoom(): boolean {
    return !this.isClosed && this.#waiting.length < (this.options.backlog ?? DEFAULT_BACKLOG);
  }

  /** For backlog.ts. */
  push(c: Connection): void {
    this.#waiting.push(c);
  }
}
