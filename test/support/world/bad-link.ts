/**
 * A bad network: relays Ethernet frames between two interfaces with faults from a seed, each direction with its own random stream.
 * `bun bad-link.ts A B [--loss %] [--delay ms] [--jitter ms] [--reorder %] [--duplicate %] [--corrupt %] [--seed n]`. Prints "ready";
 * on SIGTERM one line of JSON with what it did. A reordered frame overtakes: it leaves without the delay.
 * Both far ends must send plain frames (no segmentation or checksum offload).
 */
import { parseArgs } from "node:util";
import { Xorshift } from "./rng.ts";
import { FrameSocket, waitFor } from "./sockets.ts";

interface Faults {
  readonly loss: number;
  readonly delay: number;
  readonly jitter: number;
  readonly reorder: number;
  readonly duplicate: number;
  readonly corrupt: number;
}

const QUEUE_LIMIT = 4000;
const count = { relayed: 0, lost: 0, reordered: 0, duplicated: 0, corrupted: 0, overrun: 0 };

/** One way: takes frames, keeps them until they are due. */
class Direction {
  private readonly source: FrameSocket;
  private readonly sink: FrameSocket;
  private readonly random: Xorshift;
  private readonly faults: Faults;
  private readonly queue: { due: number; frame: Uint8Array }[] = [];

  constructor(source: FrameSocket, sink: FrameSocket, random: Xorshift, faults: Faults) {
    this.source = source;
    this.sink = sink;
    this.random = random;
    this.faults = faults;
  }

  get due(): number {
    return this.queue[0]?.due ?? Number.POSITIVE_INFINITY;
  }

  take(now: number): void {
    for (let i = 0; i < 64; i++) {
      const frame = this.source.next();
      if (frame === undefined) return;
      if (this.hit(this.faults.loss)) {
        count.lost++;
        continue;
      }
      this.keep(now, frame);
      if (this.hit(this.faults.duplicate)) {
        count.duplicated++;
        this.keep(now, frame);
      }
    }
  }

  give(now: number): void {
    while (this.due <= now) {
      if (this.sink.send(this.queue.shift()!.frame) >= 0) count.relayed++;
      else count.overrun++;
    }
  }

  private keep(now: number, frame: Uint8Array): void {
    if (this.queue.length >= QUEUE_LIMIT) {
      count.overrun++;
      return;
    }
    const copy = frame.slice();
    if (this.hit(this.faults.corrupt)) {
      copy[14 + this.random.below(copy.length - 14)]! ^= 1 << this.random.below(8);
      count.corrupted++;
    }
    let due = now;
    if (this.hit(this.faults.reorder)) count.reordered++;
    else due += this.faults.delay + (this.random.unit() * 2 - 1) * this.faults.jitter;
    let at = this.queue.length;
    while (at > 0 && this.queue[at - 1]!.due > due) at--;
    this.queue.splice(at, 0, { due, frame: copy });
  }

  private hit(percent: number): boolean {
    return percent > 0 && this.random.unit() * 100 < percent;
  }
}

const text = { type: "string" } as const;
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { loss: text, delay: text, jitter: text, reorder: text, duplicate: text, corrupt: text, seed: text },
});
const value = (name: keyof typeof values): number => Number(values[name] ?? 0);
const faults: Faults = {
  loss: value("loss"),
  delay: value("delay"),
  jitter: value("jitter"),
  reorder: value("reorder"),
  duplicate: value("duplicate"),
  corrupt: value("corrupt"),
};
const seed = value("seed") || 1;
const [a, b] = [new FrameSocket(positionals[0]!), new FrameSocket(positionals[1]!)];
const ways = [new Direction(a, b, new Xorshift(seed), faults), new Direction(b, a, new Xorshift(seed + 1), faults)];
let ending = false;
for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => (ending = true));
console.log("ready");
while (!ending) {
  const now = performance.now();
  waitFor([a, b], Math.min(20, Math.min(...ways.map((way) => way.due)) - now));
  for (const way of ways) {
    way.take(performance.now());
    way.give(performance.now());
  }
  await new Promise(setImmediate);
}
console.log(JSON.stringify(count));
process.exit(0);
