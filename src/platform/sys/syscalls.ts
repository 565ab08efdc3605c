/** System calls for the control plane: text and numbers in, numbers out, SysError on failure. Not for the data path. */
import { arch } from "node:process";
import { check } from "./errno.ts";
import { errno, libc } from "./libc.ts";
import { NativeMemory } from "./memory.ts";

const SCRATCH_BYTES = 128 * 1024;
let scratchMemory: NativeMemory | undefined;
let scratchNext = 0;

/** Arguments of one call, in native memory that the next call uses again. */
function scratch(): NativeMemory {
  scratchMemory ??= new NativeMemory(SCRATCH_BYTES);
  return scratchMemory;
}

function cString(text: string): number {
  const memory = scratch();
  const encoded = new TextEncoder().encode(text);
  if (encoded.includes(0)) throw new Error("a string for the kernel holds a zero byte");
  if (scratchNext + encoded.length + 1 > SCRATCH_BYTES) throw new Error("arguments of a system call are too long");
  const at = scratchNext;
  memory.bytes.set(encoded, at);
  memory.bytes[at + encoded.length] = 0;
  scratchNext = at + encoded.length + 1;
  return memory.pointer + at;
}

export function open(path: string, flags: number, mode = 0): number {
  scratchNext = 0;
  return check("open", libc.open(cString(path), flags, mode), path);
}

export function close(fd: number): void {
  libc.close(fd);
}

/** Reads up to `out.length` bytes (at most 128 KiB); 0 at the end. */
export function read(fd: number, out: Uint8Array): number {
  const memory = scratch();
  const n = check("read", libc.read(fd, memory.pointer, Math.min(out.length, SCRATCH_BYTES)));
  out.set(memory.bytes.subarray(0, n));
  return n;
}

/** Writes up to 128 KiB and returns how much was taken. */
export function write(fd: number, bytes: Uint8Array): number {
  const memory = scratch();
  const length = Math.min(bytes.length, SCRATCH_BYTES);
  memory.bytes.set(bytes.subarray(0, length));
  return check("write", libc.write(fd, memory.pointer, length));
}

/** ioctl with a number as its argument. */
export function ioctl(fd: number, request: number, argument = 0, detail = ""): number {
  return check("ioctl", libc.ioctl(fd, request, argument), detail);
}

/** ioctl with a structure, which is passed and read back in place. */
export function ioctlStruct(fd: number, request: number, struct: Uint8Array, detail = ""): number {
  const memory = scratch();
  memory.bytes.set(struct);
  const result = check("ioctl", libc.ioctl(fd, request, memory.pointer), detail);
  struct.set(memory.bytes.subarray(0, struct.length));
  return result;
}

export function socket(domain: number, type: number, protocol: number): number {
  return check("socket", libc.socket(domain, type, protocol));
}

export function bind(fd: number, address: Uint8Array, detail = ""): void {
  const memory = scratch();
  memory.bytes.set(address);
  check("bind", libc.bind(fd, memory.pointer, address.length), detail);
}

/** @returns the error number, 0 where it is connected; EINPROGRESS of a socket that does not block: it will be */
export function connect(fd: number, address: Uint8Array): number {
  const memory = scratch();
  memory.bytes.set(address);
  return libc.connect(fd, memory.pointer, address.length) < 0 ? errno() : 0;
}

export function setSocketOption(fd: number, level: number, name: number, value: number): void {
  const memory = scratch();
  memory.view.setInt32(0, value, true);
  check("setsockopt", libc.setsockopt(fd, level, name, memory.pointer, 4), `${level}/${name}`);
}

/** Reads a socket option of up to `length` bytes. The result is a copy. */
export function socketOption(fd: number, level: number, name: number, length: number): DataView {
  const memory = scratch();
  memory.view.setUint32(0, length, true);
  memory.bytes.fill(0, 16, 16 + length);
  check("getsockopt", libc.getsockopt(fd, level, name, memory.pointer + 16, memory.pointer), `${level}/${name}`);
  return new DataView(memory.buffer.slice(16, 16 + length));
}

export const interfaceIndex = (name: string): number => {
  scratchNext = 0;
  return libc.if_nametoindex(cString(name));
};

/** @param type file system, "" for none (MS_MOVE, MS_REMOUNT) */
export function mount(source: string, target: string, type: string, flags = 0, data = ""): void {
  scratchNext = 0;
  const text = (value: string): number => (value === "" ? 0 : cString(value));
  check("mount", libc.mount(text(source), cString(target), text(type), flags, text(data)), `${source} on ${target}`);
}

export function unmount(target: string, flags = 0): void {
  scratchNext = 0;
  check("umount2", libc.umount2(cString(target), flags), target);
}

/** Loads a kernel module from an open file. @param parameters as on modprobe's command line */
export function finitModule(fd: number, parameters = "", flags = 0): void {
  scratchNext = 0;
  const FINIT_MODULE = arch === "arm64" ? 273 : 313;
  check("finit_module", libc.syscall(FINIT_MODULE, fd, cString(parameters), flags));
}

/** Has the kernel swap to a device that holds a swap area (mkswap(8)). */
export function swapon(path: string): void {
  scratchNext = 0;
  check("swapon", libc.swapon(cString(path), 0), path);
}

export const RB_POWER_OFF = 0x4321fedc;
export const RB_DISABLE_CAD = 0;
/** Power off, restart, or (RB_DISABLE_CAD) have Ctrl-Alt-Del sent to PID 1 as SIGINT. Call sync first. */
export function reboot(command: number): void {
  check("reboot", libc.reboot(command));
}

export function sync(): void {
  libc.sync();
}

export function setHostname(name: string): void {
  scratchNext = 0;
  check("sethostname", libc.sethostname(cString(name), new TextEncoder().encode(name).length));
}

/** Moves this thread to another network namespace, such as /run/netns/NAME; sockets made after that belong to it. */
export function enterNetworkNamespace(path: string): void {
  const CLONE_NEWNET = 0x40000000;
  const fd = open(path, 0x80000);
  try {
    check("setns", libc.setns(fd, CLONE_NEWNET), path);
  } finally {
    close(fd);
  }
}

/** Milliseconds since the machine was started, the time that it was suspended included (CLOCK_BOOTTIME); never goes back. */
export function bootTime(): number {
  const CLOCK_BOOTTIME = 7;
  const { view, pointer } = scratch();
  check("clock_gettime", libc.clock_gettime(CLOCK_BOOTTIME, pointer));
  return view.getUint32(0, true) * 1000 + view.getUint32(8, true) / 1e6;
}
