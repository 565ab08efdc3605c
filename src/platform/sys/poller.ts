/**
 * Sleeping until a device, an event or the runtime has something: one poll(2) over a few descriptors. JavaScript does
 * not run meanwhile, so Bun's own epoll descriptor is in the set: a signal, a timer or a socket of the runtime ends the
 * sleep, and the caller then yields to the event loop.
 */
import { readdirSync, readlinkSync } from "node:fs";
import { assert } from "../../lib/assert.ts";
import { POLLIN } from "./constants.ts";
import { EINTR, SysError } from "./errno.ts";
import { errno, libc } from "./libc.ts";
import { NativeMemory } from "./memory.ts";
import { POLLFD_BYTES, POLLFD_EVENTS, POLLFD_REVENTS } from "./struct.ts";

/** In the result of wait: the event loop has work (or a signal came), so yield to it. */
export const EVENT_LOOP = 1 << 30;
const MAX_DESCRIPTORS = 24;
const PR_SET_TIMERSLACK = 29;
const TIMER_SLACK_NS = 1000;
/** poll's timeout is an int; longer sleeps are cut to this and simply wake up early. */
const MAX_TIMEOUT_MS = 3_600_000;

export class Poller {
  readonly #memory = new NativeMemory((MAX_DESCRIPTORS + 8) * POLLFD_BYTES);
  readonly #loops: number;
  #count = 0;

  constructor() {
    // What rests for microseconds is not to sleep 50 longer (prctl(2)).
    libc.prctl(PR_SET_TIMERSLACK, TIMER_SLACK_NS, 0, 0, 0);
    const loops = eventLoopDescriptors().slice(0, 8);
    for (const fd of loops) this.#put(this.#count++, fd, POLLIN);
    this.#loops = loops.length;
  }

  /** Watches a descriptor. @returns its bit in the result of wait */
  add(fd: number, events = POLLIN): number {
    let index = 0;
    while (this.#loops + index < this.#count && !this.#isFree(index)) index++;
    assert(index < MAX_DESCRIPTORS, "too many descriptors to poll");
    this.#count = Math.max(this.#count, this.#loops + index + 1);
    this.#put(this.#loops + index, fd, events);
    return 1 << index;
  }

  /** Stops watching; the bit is free for another descriptor. */
  remove(bit: number): void {
    this.#memory.view.setInt32(this.#entry(bit), -1, true);
  }

  /** Which events the last wait saw at a bit (POLLIN, POLLOUT, POLLERR, ...). */
  events(bit: number): number {
    return this.#memory.view.getInt16(this.#entry(bit) + POLLFD_REVENTS, true);
  }

  /**
   * Sleeps until something is ready, at most `timeoutMs` (rounded up; Infinity: no limit; 0 or less: only looks).
   * @returns the bits of what is ready, EVENT_LOOP among them; 0 when the time is over
   */
  wait(timeoutMs: number): number {
    const timeout = timeoutMs <= 0 ? 0 : Math.min(Math.ceil(timeoutMs), MAX_TIMEOUT_MS);
    const ready = libc.poll(this.#memory.pointer, this.#count, timeout);
    if (ready === 0) return 0;
    if (ready < 0) {
      const number = errno();
      if (number !== EINTR) throw new SysError("poll", number);
      return EVENT_LOOP;
    }
    const view = this.#memory.view;
    let bits = 0;
    for (let i = 0; i < this.#count; i++) {
      if (view.getInt16(i * POLLFD_BYTES + POLLFD_REVENTS, true) !== 0) {
        bits |= i < this.#loops ? EVENT_LOOP : 1 << (i - this.#loops);
      }
    }
    return bits;
  }

  /** Sleeps, whatever is ready meanwhile. */
  rest(us: number): void {
    libc.usleep(us);
  }

  #put(index: number, fd: number, events: number): void {
    this.#memory.view.setInt32(index * POLLFD_BYTES, fd, true);
    this.#memory.view.setInt16(index * POLLFD_BYTES + POLLFD_EVENTS, events, true);
  }

  #isFree(index: number): boolean {
    return this.#memory.view.getInt32((this.#loops + index) * POLLFD_BYTES, true) < 0;
  }

  #entry(bit: number): number {
    return (31 - Math.clz32(bit) + this.#loops) * POLLFD_BYTES;
  }
}

let oneMemory: NativeMemory | undefined;

/** Waits at most `timeoutMs` for one descriptor. @returns whether it is ready, or has failed: then the next call on it says how */
export function pollOne(fd: number, events: number, timeoutMs: number): boolean {
  oneMemory ??= new NativeMemory(POLLFD_BYTES);
  const { view, pointer } = oneMemory;
  view.setInt32(0, fd, true);
  view.setInt16(POLLFD_EVENTS, events, true);
  return libc.poll(pointer, 1, Math.ceil(timeoutMs)) > 0;
}

/** Bun's epoll descriptors: those of the main thread and of whatever else waits in this process. */
function eventLoopDescriptors(): number[] {
  const found: number[] = [];
  for (const name of readdirSync("/proc/self/fd")) {
    try {
      if (readlinkSync(`/proc/self/fd/${name}`) === "anon_inode:[eventpoll]") found.push(Number(name));
    } catch {
      // the descriptor of the listing itself is gone by now
    }
  }
  return found;
}
