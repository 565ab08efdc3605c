/**
 * The loop: read what has arrived, let timers and events act, send, and sleep until a device, a timer or a signal has
 * something. It yields to the event loop before it sleeps, and often enough for signals.
 */
import { EVENT_LOOP, type Poller } from "./sys/poller.ts";
import { bootTime } from "./sys/syscalls.ts";

export interface Turns {
  /** Receives and handles one batch of each device; true when there was anything. */
  receive(now: number): boolean;
  /** Timers, events and what they want sent. */
  control(now: number): void;
  /** When control() wants to be called next, absolute ms. */
  pollAt(): number;
  /** The end has come. */
  done(): boolean;
  /** An error that a turn threw: our bug or a kernel that said no. The loop goes on. Must not throw. */
  failed(error: unknown, during: "receive" | "control"): void;
}

/** Longest time without a yield to the event loop (signal handlers run there). */
const YIELD_EVERY_MS = 20;
/** After a failure of control(), which may come at each turn: it must not take the whole processor. */
const FAILURE_PAUSE_MS = 100;

const eventLoop = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/**
 * Monotonic milliseconds, which go on while the machine is suspended: after it wakes up, whatever has run out meanwhile (leases,
 * neighbours, sessions) is seen at the first turn. An object, so that tests can put another clock in its place.
 */
export const clock = { now: bootTime };
export const monotonic = (): number => clock.now();

/** @param onReady gets the bits of {@link Poller.wait}: for descriptors that `turns` does not read itself */
export async function runLoop(turns: Turns, poller: Poller, onReady?: (bits: number) => void): Promise<void> {
  let yielded = monotonic();
  while (!turns.done()) {
    const now = monotonic();
    let active = false;
    try {
      active = turns.receive(now);
    } catch (error) {
      turns.failed(error, "receive");
    }
    try {
      turns.control(now);
    } catch (error) {
      turns.failed(error, "control");
      await Bun.sleep(FAILURE_PAUSE_MS);
    }
    if (now - yielded >= YIELD_EVERY_MS) {
      // Under load the loop never sleeps, so it looks here.
      onReady?.(poller.wait(0));
      await eventLoop();
      yielded = monotonic();
    } else if (!active) {
      // Before the sleep, not after it: what ends the sleep is most often a packet.
      await eventLoop();
      yielded = monotonic();
      // The end may have come in this very turn.
      const timeout = turns.done() ? 0 : turns.pollAt() - yielded;
      if (timeout <= 0) continue;
      const bits = poller.wait(timeout);
      onReady?.(bits);
      if ((bits & EVENT_LOOP) !== 0) await eventLoop();
    }
  }
}
