/**
 * Turns of a client or a server on the kernel of this machine: both of its sides by turns, commands, the goodbye, and failures of our own,
 * none of which ends it.
 *
 * Commands (leave, reconnect, askForStatistics) come from signal handlers: they are noted, and control() carries them out.
 */
import type { Counters } from "../lib/counters.ts";
import { FailureLog } from "../lib/failure-log.ts";
import type { Log } from "../lib/log.ts";
import type { Arena } from "../lib/slab.ts";
import type { TunDevice } from "../platform/dev/tun.ts";
import type { Clock, Part, Turns } from "../platform/loop.ts";
import { Pace, TURN_PACKETS } from "./pace.ts";

const NEVER = Number.POSITIVE_INFINITY;

/** The client (client.ts) or the server (server.ts) that the turns are for. */
export interface HostEnd {
  /** The plain side, for the statistics. */
  readonly side: { readonly drops: Counters; readonly raw: { readonly drops: Counters } };
  /** Room for packets of a turn. */
  readonly scratch: Arena;
  /** Longest goodbye, in ms. */
  readonly leaveWithinMs: number;
  /** Goodbye was said, or there was nobody to say it to. */
  readonly left: boolean;
  /** @returns false: it cannot, and has said why */
  start(now: number): boolean;
  /** Sends what the kernel has for the tunnel, about `budget` packets of it at most. @returns how many there were */
  fromKernel(now: number, budget: number): number;
  /** Hands over what has come from the other ends, about `budget` packets at most. @returns how many there were */
  fromNetwork(now: number, budget: number): number;
  /** Whether nothing is known to wait on either side, after it was looked at. */
  readonly kernelDrained: boolean;
  readonly networkDrained: boolean;
  /** In how many runs what has come from the other ends came so far (pace.ts). */
  readonly runs: number;
  /** Timers, events and what they want sent. */
  poll(now: number): void;
  pollAt(): number;
  /** Reads the profile again, and goes on with it; with problems in it what runs goes on. */
  reload(now: number): void;
  leave(now: number): void;
  /** Ends at once. */
  stop(now: number): void;
  /** Drops what was under way in a turn that failed. */
  discard(): void;
  /** After a failure that would come at every turn: lets go of what failed, and begins anew after a while. */
  giveUp(now: number): void;
  logStatistics(now: number): void;
  /** Takes back what this host was told. */
  close(): Promise<void>;
}

export interface HostTurnsParts {
  readonly log: Log;
  readonly device: Pick<TunDevice, "name" | "refused" | "isGone">;
}

export class HostTurns implements Turns {
  /** It ends because it cannot go on. */
  hasFailed = false;
  readonly #end: HostEnd;
  readonly #log: Log;
  readonly #device: HostTurnsParts["device"];
  readonly #failures: FailureLog;
  readonly #pace = new Pace();
  /** The last turn had something to do. */
  #wasActive = false;
  #reconnectWanted = false;
  #statisticsWanted = false;
  #leaveCause: string | undefined;
  #leaveBy = NEVER;
  #done = false;

  constructor({ log, device }: HostTurnsParts, end: HostEnd) {
    this.#log = log;
    this.#device = device;
    this.#end = end;
    this.#failures = new FailureLog(log);
  }

  start(now: number): void {
    if (!this.#end.start(now)) this.#fail(now);
  }

  receive(now: number): boolean {
    const end = this.#end;
    const { scratch } = end;
    const pace = this.#pace;
    const runs = end.runs;
    let [fromKernel, fromNetwork] = [pace.budget, TURN_PACKETS];
    for (let isMore = true; isMore; ) {
      const outward = fromKernel > 0 ? end.fromKernel(now, fromKernel) : 0;
      scratch.reset();
      const inward = fromNetwork > 0 ? end.fromNetwork(now, fromNetwork) : 0;
      scratch.reset();
      fromKernel -= outward;
      fromNetwork -= inward;
      isMore = (outward > 0 && !end.kernelDrained) || (inward > 0 && !end.networkDrained);
    }
    const [sent, received] = [pace.budget - fromKernel, TURN_PACKETS - fromNetwork];
    this.#wasActive = sent + received > 0;
    pace.note(now, sent, received, end.runs - runs);
    return this.#wasActive && !(end.kernelDrained && end.networkDrained);
  }

  restUs(clock: Clock): number {
    return this.#wasActive && this.#pace.isSmall ? this.#pace.restUs(clock(), this.#end.kernelDrained) : 0;
  }

  control(now: number): void {
    const end = this.#end;
    if (this.#leaveCause !== undefined && !this.#isLeaving) this.#leave(now, this.#leaveCause);
    if (this.#reconnectWanted) this.#reload(now);
    end.poll(now);
    if (this.#statisticsWanted) this.#logStatistics(now);
    end.scratch.reset();
    if (this.#device.isGone && !this.#done) this.#lose(now);
    if (this.#isLeaving && (end.left || now >= this.#leaveBy)) this.#finish(now);
  }

  pollAt(): number {
    const isAsked = this.#reconnectWanted || this.#statisticsWanted;
    if (isAsked || (this.#leaveCause !== undefined && !this.#isLeaving)) return Number.NEGATIVE_INFINITY;
    return Math.min(this.#end.pollAt(), this.#leaveBy);
  }

  done(): boolean {
    return this.#done;
  }

  failed(now: number, error: unknown, during: Part): void {
    this.#end.discard();
    this.#end.scratch.reset();
    this.#failures.write(now, error);
    if (now >= this.#leaveBy) this.#done = true;
    // A packet that failed is gone, but a timer or an event would fail again.
    else if (during === "control") this.#end.giveUp(now);
  }

  /** Command: say goodbye to the other end, take everything back, and end. */
  leave(cause: string): void {
    this.#leaveCause ??= cause;
  }

  /** Command: read the profile again. */
  reconnect(): void {
    this.#reconnectWanted = true;
  }

  /** Command: log the statistics. */
  askForStatistics(): void {
    this.#statisticsWanted = true;
  }

  /** Takes back what this host was told. */
  close(): Promise<void> {
    return this.#end.close();
  }

  get #isLeaving(): boolean {
    return this.#leaveBy !== NEVER;
  }

  #leave(now: number, cause: string): void {
    this.#leaveBy = now + this.#end.leaveWithinMs;
    this.#log.write("info", "shutdown", "", { cause });
    this.#end.leave(now);
  }

  #reload(now: number): void {
    this.#reconnectWanted = false;
    if (!this.#isLeaving) this.#end.reload(now);
  }

  #logStatistics(now: number): void {
    this.#statisticsWanted = false;
    const { name, refused } = this.#device;
    const { drops, raw } = this.#end.side;
    const lost = { ...drops.snapshot(), ...raw.drops.snapshot() };
    this.#log.write("info", "statistics.device", "", { device: name, refused, ...lost });
    this.#end.logStatistics(now);
  }

  /** Without its device it can do nothing: whoever watches over it starts it anew. */
  #lose(now: number): void {
    this.#log.write("error", "interface.lost", `${this.#device.name} was deleted by somebody else`);
    this.#fail(now);
  }

  #fail(now: number): void {
    this.hasFailed = true;
    this.#finish(now);
  }

  #finish(now: number): void {
    this.#end.stop(now);
    this.#done = true;
  }
}
