/**
 * Whole lines to a console, a pipe, a terminal or a file, without ever waiting for whoever reads there: what is not taken at
 * once waits in a queue of 64 KiB, and lines that find no room in it are lost and counted.
 */
import { constants, fstatSync, openSync } from "node:fs";
import { monotonic } from "../loop.ts";
import { POLLOUT } from "../sys/constants.ts";
import { EAGAIN, EINTR, SysError } from "../sys/errno.ts";
import { type Poller, pollOne } from "../sys/poller.ts";
import { write } from "../sys/syscalls.ts";

const QUEUE_BYTES = 64 * 1024;
/** PIPE_BUF: where poll says that there is room, a pipe or socket takes that much without waiting (POSIX, write). */
const CHUNK_BYTES = 4096;

export interface LineSinkOptions {
  readonly fd: number;
  /** Told when there is room again after lines were lost. */
  readonly onLost: (lines: number) => void;
}

export class LineSink {
  readonly #fd: number;
  readonly #onLost: (lines: number) => void;
  #poller: Poller | undefined;
  /** Where the poller watches for room; 0: nothing waits. */
  #bit = 0;
  readonly #queue: Uint8Array[] = [];
  #queued = 0;
  #lost = 0;

  constructor(options: LineSinkOptions) {
    this.#fd = options.fd;
    this.#onLost = options.onLost;
  }

  /** What waits goes on when this poller says that there is room ({@link onReady}). */
  attach(poller: Poller): void {
    this.#poller = poller;
    this.#watch();
  }

  /** @param line with its newline */
  write(line: string): void {
    const bytes = new TextEncoder().encode(line);
    if (this.#queued + bytes.length > QUEUE_BYTES) {
      this.#lost++;
      return;
    }
    this.#queue.push(bytes);
    this.#queued += bytes.length;
    if (this.#queue.length === 1) this.#flush();
  }

  /** @param bits of Poller.wait */
  onReady(bits: number): void {
    if ((bits & this.#bit) !== 0) this.#flush();
  }

  /** Waits at most `ms` until what is queued has been taken: for the last words of a program. */
  drain(ms: number): void {
    const by = monotonic() + ms;
    for (let left = ms; this.#queue.length > 0 && left > 0; left = by - monotonic()) {
      pollOne(this.#fd, POLLOUT, left);
      this.#flush();
    }
  }

  #flush(): void {
    try {
      while (this.#queue.length > 0 && pollOne(this.#fd, POLLOUT, 0)) this.#take();
    } catch (error) {
      if (!(error instanceof SysError) || (error.errno !== EAGAIN && error.errno !== EINTR)) this.#discard();
    }
    this.#watch();
    if (this.#queue.length === 0 && this.#lost > 0) {
      const lost = this.#lost;
      this.#lost = 0;
      this.#onLost(lost);
    }
  }

  /** Writes a piece of the first line. @throws SysError */
  #take(): void {
    const first = this.#queue[0] as Uint8Array;
    const taken = write(this.#fd, first.subarray(0, CHUNK_BYTES));
    this.#queued -= taken;
    if (taken < first.length) this.#queue[0] = first.subarray(taken);
    else this.#queue.shift();
  }

  /** The reader has gone. The router goes on without it, and the next line tries again. */
  #discard(): void {
    this.#queue.length = 0;
    this.#queued = 0;
  }

  #watch(): void {
    const waits = this.#queue.length > 0;
    if (this.#poller === undefined || waits === (this.#bit !== 0)) return;
    if (waits) this.#bit = this.#poller.add(this.#fd, POLLOUT);
    else {
      this.#poller.remove(this.#bit);
      this.#bit = 0;
    }
  }
}

/**
 * A descriptor for lines to where `fd` leads. It has a description of its own, so that it does not block although that of
 * others may; a file is taken as it is, because a new description would begin at its start, and so is what cannot be
 * opened again (a socket, another user's terminal).
 */
export function lineDescriptor(fd: number): number {
  try {
    const kind = fstatSync(fd);
    if (!kind.isFIFO() && !kind.isCharacterDevice()) return fd;
    return openSync(`/proc/self/fd/${fd}`, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch {
    return fd;
  }
}
