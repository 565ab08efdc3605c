/**
 * The loop: read what has arrived, let timers and events act, send, and sleep until a device, a timer or a signal has
 * something. It yields to the event loop before it sleeps, and often enough for signals.
 */
import { EVENT_LOOP, type Poller } from "./sys/poller.ts";
import { bootTime } from "./sys/syscalls.ts";

export interface Turns {
  /** Receives and handles one batch of each device; true when more may wait. */
  receive(now: number): boolean;
  /** Timers, events and what they want sent. */
  control(now: number): void;
  /** When control() wants to be called next, absolute ms. */
  pollAt(): number;
  /** For so many us what comes is to gather before the next turn; 0, and without it: not at all. */
  restUs?(clock: Clock): number;
  /** The end has come. */
  done(): boolean;
  /** An error that a turn threw: our bug or a kernel that said no. The loop goes on. Must not throw. */
  failed(now: number, error: unknown, during: Part): void;
}

/** Parts of a turn that may fail: receive(), control(), and the looking at other descriptors. */
export type Part = "receive" | "control" | "ready";

/** Monotonic milliseconds. */
export type Clock = () => number;

export interface LoopOptions {
  readonly poller: Poller;
  readonly clock: Clock;
  /** Gets the bits of {@link Poller.wait}: for descriptors that the turns do not read themselves. */
  readonly onReady?: (bits: number) => void;
}

/** Longest time without a yield to the event loop (signal handlers run there). */
const YIELD_EVERY_MS = 20;
/** After a failure of control(), which may come at each turn: it must not take the whole processor. */
const FAILURE_PAUSE_MS = 100;

const eventLoop = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/**
 * Monotonic milliseconds, which go on while the machine is suspended: after it wakes up, whatever has run out meanwhile (leases,
 * neighbours, sessions) is seen at the first turn.
 */
export const monotonic: Clock = bootTime;

/** Runs turns until the end has come. Nothing that they throw ends it. */
export async function runLoop(turns: Turns, { poller, clock, onReady }: LoopOptions): Promise<void> {
  const wait = (ms: number): number => {
    const bits = poller.wait(ms);
    try {
      onReady?.(bits);
    } catch (error) {
      turns.failed(clock(), error, "ready");
    }
    return bits;
  };
  let yielded = clock();
  while (!turns.done()) {
    const now = clock();
    // A failure leaves it true: the rest of what was read from the device wakes no poll.
    let active = true;
    try {
      active = turns.receive(now);
    } catch (error) {
      turns.failed(now, error, "receive");
    }
    try {
      turns.control(now);
    } catch (error) {
      turns.failed(now, error, "control");
      await Bun.sleep(FAILURE_PAUSE_MS);
    }
    const rest = turns.restUs?.(clock) ?? 0;
    if (now - yielded >= YIELD_EVERY_MS) {
      // Under load the loop never sleeps, so it looks here.
      wait(0);
      await eventLoop();
      yielded = clock();
    } else if (rest > 0) {
      poller.rest(rest);
    } else if (!active) {
      // Before the sleep, not after it: what ends the sleep is most often a packet.
      await eventLoop();
      yielded = clock();
      // The end may have come in this very turn.
      const timeout = turns.done() ? 0 : turns.pollAt() - yielded;
      if (timeout <= 0) continue;
      if ((wait(timeout) & EVENT_LOOP) !== 0) await eventLoop();
    }
  }
}
