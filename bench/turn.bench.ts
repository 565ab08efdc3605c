/**
 * The longest turn of the data path, sealing included, system calls not: `bun bench/turn.bench.ts`. A LAN host sends
 * super-frames of 64 KiB without end, with ever smaller segments. Processor time of the thread that does it, the collector's on it
 * included: neither a busy machine nor the compiler's threads lengthen it.
 */
import { dlopen, FFIType } from "bun:ffi";
import { NativeMemory } from "../src/platform/sys/memory.ts";
import { Loopback } from "../test/support/loopback.ts";

const TURNS = 3000;
/** Turns until the compiler has seen everything. */
const WARM_UP = 1000;

const CLOCK_THREAD_CPUTIME_ID = 3;
const time = new NativeMemory(16);
const libc = dlopen("libc.so.6", { clock_gettime: { args: [FFIType.i32, FFIType.ptr], returns: FFIType.i32 } }).symbols;

/** ms */
function threadTime(): number {
  libc.clock_gettime(CLOCK_THREAD_CPUTIME_ID, time.pointer as never);
  return time.view.getUint32(0, true) * 1000 + time.view.getUint32(8, true) / 1e6;
}

const loopback = new Loopback("AES-256-GCM");
loopback.wan.deaf = true; // the server's work is not ours
for (const gsoSize of [1400, 536, 257, 200, 36, 1]) {
  loopback.lan.floodWith(65_000, gsoSize);
  const times: number[] = [];
  for (let i = 0; i < TURNS; i++) {
    loopback.now += 0.05;
    const start = threadTime();
    loopback.path.receive(loopback.now);
    if (i >= WARM_UP) times.push(threadTime() - start);
  }
  times.sort((a, b) => a - b);
  const at = (share: number): string => times[Math.floor(share * (times.length - 1))]!.toFixed(3);
  console.log(`gso_size ${`${gsoSize}`.padStart(4)}: median ${at(0.5)} ms, p99 ${at(0.99)} ms, longest ${at(1)} ms`);
}
console.log(JSON.stringify(loopback.path.router.lan!.drops.snapshot()));
