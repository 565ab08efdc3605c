/**
 * One at a time: two runs that make the same files would spoil each other's. The kernel holds the lock (flock(2)) and gives
 * it back when its holder ends, however that ends; so no lock is ever stale, and none has to be taken from anybody.
 */
import { dlopen, FFIType } from "bun:ffi";
import { closeSync, ftruncateSync, mkdirSync, openSync, readFileSync, writeSync } from "node:fs";
import { dirname } from "node:path";

/** <sys/file.h> */
const LOCK_EX = 2;
const LOCK_NB = 4;
const libc = dlopen("libc.so.6", { flock: { args: [FFIType.i32, FFIType.i32], returns: FFIType.i32 } }).symbols;

/**
 * Waits until no other process has the lock of this file. The result gives the lock back; the file stays, because a waiter may
 * have it open already.
 */
export async function lock(path: string): Promise<() => void> {
  mkdirSync(dirname(path), { recursive: true });
  // Closed in every program that this one starts (O_CLOEXEC): a child does not keep the lock.
  const fd = openSync(path, "a");
  for (let said = false; libc.flock(fd, LOCK_EX | LOCK_NB) !== 0; said = true) {
    if (!said) console.log(`waiting for process ${readFileSync(path, "utf8") || "?"}, which makes the same`);
    await Bun.sleep(200);
  }
  ftruncateSync(fd);
  writeSync(fd, `${process.pid}`);
  return () => closeSync(fd);
}
