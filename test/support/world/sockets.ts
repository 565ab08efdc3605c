/**
 * Blocking sockets of the kernel for the neighbours of the router: what Bun's own cannot do (path MTU options, raw frames).
 * Not the appliance's own devices, on purpose: the judge does not use the code that it judges.
 */
import { dlopen, FFIType, type Pointer, read, toArrayBuffer } from "bun:ffi";

const { i32, u32, u64, ptr, i64, cstring } = FFIType;

const libc = dlopen("libc.so.6", {
  mmap: { args: [u64, u64, i32, i32, i32, i64], returns: u64 },
  socket: { args: [i32, i32, i32], returns: i32 },
  bind: { args: [i32, u64, u32], returns: i32 },
  connect: { args: [i32, u64, u32], returns: i32 },
  setsockopt: { args: [i32, i32, i32, u64, u32], returns: i32 },
  getsockopt: { args: [i32, i32, i32, u64, u64], returns: i32 },
  sendto: { args: [i32, u64, u64, i32, u64, u32], returns: i64 },
  recvfrom: { args: [i32, u64, u64, i32, u64, u64], returns: i64 },
  poll: { args: [u64, u64, i32], returns: i32 },
  close: { args: [i32], returns: i32 },
  if_nametoindex: { args: [cstring], returns: u32 },
  __errno_location: { args: [], returns: ptr },
}).symbols;

/** Memory that stays where it is while the kernel writes to it. */
class Native {
  readonly at: number;
  readonly bytes: Uint8Array;
  readonly view: DataView;

  constructor(length: number) {
    this.at = Number(libc.mmap(0, length, 3, 0x22, -1, 0));
    const buffer = toArrayBuffer(this.at as Pointer, 0, length);
    this.bytes = new Uint8Array(buffer);
    this.view = new DataView(buffer);
  }
}

const errno = (): number => read.i32(libc.__errno_location() as Pointer, 0);

export const ECONNREFUSED = 111;
export const EAGAIN = 11;
export const EMSGSIZE = 90;
/** Values of IP_MTU_DISCOVER (ip(7)). */
export const PMTUDISC_DONT = 0;
export const PMTUDISC_DO = 2;

const SOL_SOCKET = 1;
const SO_RCVBUFFORCE = 33;
const SO_SNDBUF = 7;
const SO_RCVTIMEO = 20;
const IP_MTU_DISCOVER = 10;
const IP_MTU = 14;

class Socket {
  readonly fd: number;
  private readonly buffer = new Native(1 << 17);
  private readonly address = new Native(4096);
  private readonly option = new Native(4096);

  constructor(domain: number, type: number, protocol: number) {
    this.fd = libc.socket(domain, type, protocol);
    if (this.fd < 0) throw new Error(`socket: errno ${errno()}`);
    this.set(SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20, false);
    this.set(SOL_SOCKET, SO_SNDBUF, 1 << 20, false);
  }

  set(level: number, name: number, value: number, strict = true): void {
    this.option.view.setInt32(0, value, true);
    if (libc.setsockopt(this.fd, level, name, this.option.at, 4) < 0 && strict)
      throw new Error(`setsockopt ${name}: errno ${errno()}`);
  }

  get(level: number, name: number): number {
    this.option.view.setInt32(8, 4, true);
    libc.getsockopt(this.fd, level, name, this.option.at, this.option.at + 8);
    return this.option.view.getInt32(0, true);
  }

  setRaw(level: number, name: number, value: Uint8Array): void {
    this.option.bytes.set(value);
    libc.setsockopt(this.fd, level, name, this.option.at, value.length);
  }

  protected call(which: "bind" | "connect", address: Uint8Array): void {
    this.address.bytes.set(address);
    if (libc[which](this.fd, this.address.at, address.length) < 0) throw new Error(`${which}: errno ${errno()}`);
  }

  /** Bytes sent, or minus the errno. */
  send(data: Uint8Array, to?: Uint8Array): number {
    this.buffer.bytes.set(data);
    if (to !== undefined) this.address.bytes.set(to);
    const n = Number(libc.sendto(this.fd, this.buffer.at, data.length, 0, to ? this.address.at : 0, to?.length ?? 0));
    return n < 0 ? -errno() : n;
  }

  /** What {@link sendOut} sends: 128 KiB that the caller writes. */
  get out(): Uint8Array {
    return this.buffer.bytes;
  }

  /** Bytes sent of what the caller has written into `out`, or minus the errno. Does not wait. */
  sendOut(length: number): number {
    const n = Number(libc.sendto(this.fd, this.buffer.at, length, DONT_WAIT, 0, 0));
    return n < 0 ? -errno() : n;
  }

  /** What came (valid until the next call) and from where, or minus the errno. */
  receive(flags = 0, limit = 1 << 17): { length: number; data: Uint8Array; from: Uint8Array } | number {
    this.option.view.setInt32(16, 32, true);
    const n = Number(libc.recvfrom(this.fd, this.buffer.at, limit, flags, this.address.at + 64, this.option.at + 16));
    if (n < 0) return -errno();
    const length = this.option.view.getInt32(16, true);
    return {
      length: n,
      data: this.buffer.bytes.subarray(0, Math.min(n, limit)),
      from: this.address.bytes.slice(64, 64 + length),
    };
  }

  close(): void {
    libc.close(this.fd);
  }
}

export class UdpSocket extends Socket {
  constructor(discover: number, timeoutSeconds = 15) {
    super(2, 2, 0);
    this.set(0, IP_MTU_DISCOVER, discover);
    const time = new Uint8Array(16);
    new DataView(time.buffer).setUint32(0, timeoutSeconds, true);
    this.setRaw(SOL_SOCKET, SO_RCVTIMEO, time);
  }

  bind(port: number): void {
    this.call("bind", inet("0.0.0.0", port));
  }

  connect(host: string, port: number): void {
    this.call("connect", inet(host, port));
  }

  /** The path MTU that the kernel knows for the connected peer. */
  get pathMtu(): number {
    return this.get(0, IP_MTU);
  }
}

const AF_PACKET = 17;
const ETH_P_ALL = 3;
const PACKET_OUTGOING = 4;
/** A flag of `receive`: MSG_DONTWAIT. */
export const DONT_WAIT = 0x40;
/** MSG_TRUNC: the length of the whole frame is told. */
const TRUNCATE = 0x20;

const SOL_PACKET = 263;
const PACKET_VNET_HDR = 15;
const PACKET_ADD_MEMBERSHIP = 1;

/** Whole Ethernet frames on one interface, both ways. */
export class FrameSocket extends Socket {
  /** @param virtioHeaders each frame has a virtio header of 10 bytes in front, both ways */
  constructor(device: string, virtioHeaders = false) {
    super(AF_PACKET, 3, (ETH_P_ALL << 8) & 0xffff);
    if (virtioHeaders) this.set(SOL_PACKET, PACKET_VNET_HDR, 1);
    const index = libc.if_nametoindex(new TextEncoder().encode(`${device}\0`) as never);
    if (index === 0) throw new Error(`${device}: no such interface`);
    const address = new Uint8Array(20);
    const view = new DataView(address.buffer);
    view.setUint16(0, AF_PACKET, true);
    view.setUint16(2, ETH_P_ALL);
    view.setInt32(4, index, true);
    this.call("bind", address);
    const promiscuous = new Uint8Array(16);
    const member = new DataView(promiscuous.buffer);
    member.setInt32(0, index, true);
    member.setUint16(4, 1, true);
    this.setRaw(SOL_PACKET, PACKET_ADD_MEMBERSHIP, promiscuous);
  }

  /** The next frame that came in from the wire, or undefined when there is none now. */
  next(): Uint8Array | undefined {
    for (;;) {
      const got = this.receive(DONT_WAIT);
      if (typeof got === "number") return undefined;
      if (got.from[10] !== PACKET_OUTGOING) return got.data;
    }
  }

  /** The first `limit` bytes of the next frame, whichever way it went, and its whole length. */
  head(limit: number): { data: Uint8Array; length: number } | undefined {
    const got = this.receive(DONT_WAIT | TRUNCATE, limit);
    return typeof got === "number" ? undefined : got;
  }
}

/** Waits until one of the sockets has something, at most `ms` (rounded up). */
export function waitFor(sockets: readonly { readonly fd: number }[], ms: number): void {
  sockets.forEach((socket, i) => {
    pollfds.view.setInt32(i * 8, socket.fd, true);
    pollfds.view.setInt32(i * 8 + 4, 1, true);
  });
  libc.poll(pollfds.at, sockets.length, Math.max(0, Math.ceil(ms)));
}

const pollfds = new Native(4096);

/** struct sockaddr_in. */
export function inet(host: string, port: number): Uint8Array {
  const bytes = new Uint8Array(16);
  bytes[0] = 2;
  bytes[2] = port >> 8;
  bytes[3] = port & 255;
  bytes.set(host.split(".").map(Number), 4);
  return bytes;
}
