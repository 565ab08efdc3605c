/**
 * Capabilities of this thread (capabilities(7)), which carries every packet and reads whatever comes from outside: those that are not
 * needed any more are dropped, and no program that it starts gets one back.
 */
import { arch } from "node:process";
import { check } from "./errno.ts";
import { libc } from "./libc.ts";
import { NativeMemory } from "./memory.ts";

/** linux/capability.h */
export const CAP_DAC_READ_SEARCH = 2;
export const CAP_NET_BIND_SERVICE = 10;
export const CAP_NET_ADMIN = 12;

const VERSION_3 = 0x20080522;
const [CAPGET, CAPSET] = arch === "arm64" ? [90, 91] : [125, 126];
const PR_SET_NO_NEW_PRIVS = 38;
/** struct __user_cap_data_struct { u32 effective, permitted, inheritable }, twice: the lower 32 capabilities, and the others. */
const DATA_AT = 16;
const SET_BYTES = 12;

/** Of those that this thread has, it keeps these. @param keep numbers below 32 @throws SysError */
export function dropCapabilitiesBut(keep: readonly number[]): void {
  const { view, pointer } = new NativeMemory(64);
  view.setUint32(0, VERSION_3, true);
  check("capget", libc.syscall(CAPGET, pointer, pointer + DATA_AT, 0));
  const mask = keep.reduce((bits, number) => bits | (1 << number), 0);
  for (let set = 0; set < 2; set++)
    for (let at = DATA_AT + set * SET_BYTES; at < DATA_AT + (set + 1) * SET_BYTES; at += 4)
      view.setUint32(at, (view.getUint32(at, true) & (set === 0 ? mask : 0)) >>> 0, true);
  check("capset", libc.syscall(CAPSET, pointer, pointer + DATA_AT, 0));
  check("prctl", libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
}
