/** Failures of system calls as exceptions with the call, the number and the usual name. */
import { errno } from "./libc.ts";

export const EPERM = 1;
export const ESRCH = 3;
export const ENOENT = 2;
export const EINTR = 4;
export const ENXIO = 6;
export const EAGAIN = 11;
export const EIO = 5;
export const EACCES = 13;
export const EBUSY = 16;
export const EEXIST = 17;
export const ENODEV = 19;
export const EINVAL = 22;
export const EBADFD = 77;
export const EMSGSIZE = 90;
export const EOPNOTSUPP = 95;
export const EAFNOSUPPORT = 97;
export const EADDRINUSE = 98;
export const EADDRNOTAVAIL = 99;
export const ENETDOWN = 100;
export const ENETUNREACH = 101;
export const ECONNRESET = 104;
export const ENOBUFS = 105;
export const ETIMEDOUT = 110;
export const ECONNREFUSED = 111;
export const EHOSTUNREACH = 113;
export const EINPROGRESS = 115;

const NAMES: Readonly<Record<number, string>> = {
  1: "EPERM",
  2: "ENOENT",
  3: "ESRCH",
  4: "EINTR",
  5: "EIO",
  6: "ENXIO",
  8: "ENOEXEC",
  9: "EBADF",
  11: "EAGAIN",
  12: "ENOMEM",
  13: "EACCES",
  14: "EFAULT",
  15: "ENOTBLK",
  16: "EBUSY",
  17: "EEXIST",
  19: "ENODEV",
  20: "ENOTDIR",
  21: "EISDIR",
  22: "EINVAL",
  25: "ENOTTY",
  28: "ENOSPC",
  30: "EROFS",
  38: "ENOSYS",
  90: "EMSGSIZE",
  92: "ENOPROTOOPT",
  93: "EPROTONOSUPPORT",
  95: "EOPNOTSUPP",
  97: "EAFNOSUPPORT",
  98: "EADDRINUSE",
  99: "EADDRNOTAVAIL",
  100: "ENETDOWN",
  101: "ENETUNREACH",
  104: "ECONNRESET",
  105: "ENOBUFS",
  110: "ETIMEDOUT",
  111: "ECONNREFUSED",
  113: "EHOSTUNREACH",
  115: "EINPROGRESS",
};

const errnoName = (number: number): string => NAMES[number] ?? `errno ${number}`;

/** The kernel said no. */
export class SysError extends Error {
  readonly call: string;
  readonly errno: number;
  /** "EPERM" */
  readonly code: string;

  /** @param detail what it was about, such as a path or an interface */
  constructor(call: string, number: number, detail = "") {
    super(`${call}${detail === "" ? "" : ` ${detail}`}: ${errnoName(number)}`);
    this.name = "SysError";
    this.call = call;
    this.errno = number;
    this.code = errnoName(number);
  }
}

/** The result of a call that returns a negative number on failure. @throws SysError */
export function check(call: string, result: number, detail = ""): number {
  if (result < 0) throw new SysError(call, errno(), detail);
  return result;
}
