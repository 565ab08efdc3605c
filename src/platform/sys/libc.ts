/**
 * The C library by FFI: the only place that loads it. Raw symbols, pointers are plain numbers; {@link syscalls.ts} has
 * the checked functions for everything that is not called per batch.
 *
 * Variadic functions (open, ioctl, syscall) are declared with the arguments that we pass: on x86-64 and arm64
 * Linux they travel like those of any other function.
 */
import { dlopen, FFIType, read } from "bun:ffi";

const { i32, u32, ptr, i64_fast, u64_fast } = FFIType;

export interface Libc {
  __errno_location(): number;
  mmap(address: number, length: number, prot: number, flags: number, fd: number, offset: number): number;
  socket(domain: number, type: number, protocol: number): number;
  bind(fd: number, address: number, length: number): number;
  connect(fd: number, address: number, length: number): number;
  setsockopt(fd: number, level: number, name: number, value: number, length: number): number;
  getsockopt(fd: number, level: number, name: number, value: number, lengthAt: number): number;
  recvmmsg(fd: number, messages: number, count: number, flags: number, timeout: number): number;
  sendmmsg(fd: number, messages: number, count: number, flags: number): number;
  poll(fds: number, count: number, timeoutMs: number): number;
  ioctl(fd: number, request: number, argument: number): number;
  open(path: number, flags: number, mode: number): number;
  read(fd: number, buffer: number, length: number): number;
  write(fd: number, buffer: number, length: number): number;
  writev(fd: number, iovecs: number, count: number): number;
  flock(fd: number, operation: number): number;
  listen(fd: number, backlog: number): number;
  accept4(fd: number, address: number, lengthAt: number, flags: number): number;
  epoll_create1(flags: number): number;
  epoll_ctl(epoll: number, operation: number, fd: number, event: number): number;
  epoll_wait(epoll: number, events: number, count: number, timeoutMs: number): number;
  close(fd: number): number;
  mount(source: number, target: number, type: number, flags: number, data: number): number;
  umount2(target: number, flags: number): number;
  reboot(command: number): number;
  swapon(path: number, flags: number): number;
  sync(): void;
  sethostname(name: number, length: number): number;
  clock_gettime(clock: number, timespec: number): number;
  if_nametoindex(name: number): number;
  setns(fd: number, type: number): number;
  syscall(number: number, a: number, b: number, c: number): number;
  usleep(us: number): number;
  prctl(option: number, a: number, b: number, c: number, d: number): number;
  execv(path: number, argv: number): number;
}

export const libc = dlopen("libc.so.6", {
  __errno_location: { args: [], returns: ptr },
  mmap: { args: [ptr, u64_fast, i32, i32, i32, i64_fast], returns: i64_fast },
  socket: { args: [i32, i32, i32], returns: i32 },
  bind: { args: [i32, ptr, u32], returns: i32 },
  connect: { args: [i32, ptr, u32], returns: i32 },
  setsockopt: { args: [i32, i32, i32, ptr, u32], returns: i32 },
  getsockopt: { args: [i32, i32, i32, ptr, ptr], returns: i32 },
  recvmmsg: { args: [i32, ptr, u32, i32, ptr], returns: i32 },
  sendmmsg: { args: [i32, ptr, u32, i32], returns: i32 },
  poll: { args: [ptr, u64_fast, i32], returns: i32 },
  ioctl: { args: [i32, u64_fast, ptr], returns: i32 },
  open: { args: [ptr, i32, u32], returns: i32 },
  read: { args: [i32, ptr, u64_fast], returns: i64_fast },
  write: { args: [i32, ptr, u64_fast], returns: i64_fast },
  writev: { args: [i32, ptr, i32], returns: i64_fast },
  flock: { args: [i32, i32], returns: i32 },
  listen: { args: [i32, i32], returns: i32 },
  accept4: { args: [i32, ptr, ptr, i32], returns: i32 },
  epoll_create1: { args: [i32], returns: i32 },
  epoll_ctl: { args: [i32, i32, i32, ptr], returns: i32 },
  epoll_wait: { args: [i32, ptr, i32, i32], returns: i32 },
  close: { args: [i32], returns: i32 },
  mount: { args: [ptr, ptr, ptr, u64_fast, ptr], returns: i32 },
  umount2: { args: [ptr, i32], returns: i32 },
  reboot: { args: [i32], returns: i32 },
  swapon: { args: [ptr, i32], returns: i32 },
  sync: { args: [], returns: FFIType.void },
  sethostname: { args: [ptr, u64_fast], returns: i32 },
  clock_gettime: { args: [i32, ptr], returns: i32 },
  if_nametoindex: { args: [ptr], returns: u32 },
  setns: { args: [i32, i32], returns: i32 },
  syscall: { args: [i64_fast, u64_fast, u64_fast, u64_fast], returns: i64_fast },
  usleep: { args: [u32], returns: i32 },
  prctl: { args: [i32, u64_fast, u64_fast, u64_fast, u64_fast], returns: i32 },
  execv: { args: [ptr, ptr], returns: i32 },
}).symbols as unknown as Libc;

let errnoAt = 0;

/** The error of the last call that failed on this thread; read it before anything else is called. */
export function errno(): number {
  // the location is fixed for a thread, so the call that finds it does not disturb it
  if (errnoAt === 0) errnoAt = libc.__errno_location();
  return read.i32(errnoAt as never, 0);
}
