/**
 * Capabilities of this process (capabilities(7)), which reads whatever comes from outside: those that are not needed are dropped, and
 * no program that it starts gets one back.
 *
 * The kernel keeps capabilities by thread, and the runtime has threads of its own before a line of ours runs. So the dropping is
 * followed by a new start of the same program: execve(2) ends all other threads, and what begins has what this thread had.
 */
import { readFileSync } from "node:fs";
import { arch } from "node:process";
import { check } from "./errno.ts";
import { libc } from "./libc.ts";
import { NativeMemory } from "./memory.ts";
import { writePointer } from "./struct.ts";

/** linux/capability.h */
export const CAP_DAC_READ_SEARCH = 2;
export const CAP_NET_BIND_SERVICE = 10;
export const CAP_NET_ADMIN = 12;

/**
 * How a file gets capabilities, for messages. Whoever may run it can have the runtime in it run any code (its environment variables),
 * so that nothing in it can keep the capability to what it does itself.
 */
export const setcapAdvice = (capabilities: string): string =>
  "where only those whom you trust with the whole network may run the binary " +
  `(chown root:GROUP, then chmod 0750): setcap ${capabilities} on it`;

const VERSION_3 = 0x20080522;
const [CAPGET, CAPSET] = arch === "arm64" ? [90, 91] : [125, 126];
const PR_SET_NO_NEW_PRIVS = 38;
/** struct __user_cap_data_struct { u32 effective, permitted, inheritable }, twice: the lower 32 capabilities, and the others. */
const DATA_AT = 16;
const SET_BYTES = 12;

/**
 * Of the capabilities that this process has, it keeps these. Where it has others it begins anew, and this call does not return; so it
 * comes before anything that is not to be done twice. @param keep numbers below 32 @throws SysError
 */
export function keepCapabilities(keep: readonly number[]): void {
  const { view, pointer } = new NativeMemory(64);
  view.setUint32(0, VERSION_3, true);
  check("capget", libc.syscall(CAPGET, pointer, pointer + DATA_AT, 0));
  const mask = keep.reduce((bits, number) => bits | (1 << number), 0);
  let isMore = false;
  for (let set = 0; set < 2; set++)
    for (let at = DATA_AT + set * SET_BYTES; at < DATA_AT + (set + 1) * SET_BYTES; at += 4) {
      const before = view.getUint32(at, true);
      const after = (before & (set === 0 ? mask : 0)) >>> 0;
      isMore ||= after !== before;
      view.setUint32(at, after, true);
    }
  // With it execve(2) gives root, and a file with capabilities, no more than is there.
  check("prctl", libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
  if (!isMore) return;
  check("capset", libc.syscall(CAPSET, pointer, pointer + DATA_AT, 0));
  beginAnew();
}

/** This program with the words and the environment that it was started with. @throws SysError */
function beginAnew(): never {
  const path = new TextEncoder().encode(`${process.execPath}\0`);
  const words = readFileSync("/proc/self/cmdline");
  const starts = [0, ...[...words.keys()].filter((at) => words[at] === 0).map((at) => at + 1)].slice(0, -1);
  const listAt = (path.length + words.length + 7) & ~7;
  const { bytes, view, pointer } = new NativeMemory(listAt + 8 * (starts.length + 1));
  bytes.set(path);
  bytes.set(words, path.length);
  starts.forEach((start, index) => {
    writePointer(view, listAt + 8 * index, pointer + path.length + start);
  });
  check("execv", libc.execv(pointer, pointer + listAt), process.execPath);
  throw new Error("execv has returned");
}
