/** A tun device of the kernel: IP packets to and from its stack (Linux, Documentation/networking/tuntap.rst). */
import type { Batch } from "../../lib/batch.ts";
import { type Cidr, prefixMask } from "../../lib/cidr.ts";
import type { IpAddress } from "../../lib/ip.ts";
import { HEADROOM, TAILROOM } from "../../lib/slab.ts";
import { AF_INET, O_CLOEXEC, O_NONBLOCK, O_RDWR, SOCK_CLOEXEC, SOCK_DGRAM } from "../sys/constants.ts";
import { libc } from "../sys/libc.ts";
import type { NativeMemory, Piece } from "../sys/memory.ts";
import { IFREQ_DATA, ifreq, writePointer } from "../sys/struct.ts";
import { close, ioctlStruct, open, socket } from "../sys/syscalls.ts";
import { setInterfaceUp } from "./interface.ts";

/** linux/if_tun.h */
const TUNSETIFF = 0x400454ca;
const IFF_TUN = 1;
/** Packets come without a header of the device. */
const IFF_NO_PI = 0x1000;
/** linux/sockios.h */
const SIOCADDRT = 0x890b;
const SIOCDELRT = 0x890c;
const SIOCSIFADDR = 0x8916;
const SIOCSIFDSTADDR = 0x8918;
const SIOCSIFNETMASK = 0x891c;
const SIOCSIFMTU = 0x8922;

/** struct rtentry (linux/route.h) on 64-bit machines. */
const RTENTRY_BYTES = 120;
const RT_DST = 8;
const RT_GENMASK = 40;
const RT_FLAGS = 56;
const RT_METRIC = 80;
const RT_DEV = 88;
const RTF_UP = 1;

/** Packets that are read at once, and the longest one. */
export const TUN_DEVICE_SLOTS = 32;
const MAX_PACKET = 65_535;
const SLOT_BYTES = (HEADROOM + MAX_PACKET + TAILROOM + 63) & ~63;
const NAME_BYTES = 16;

export const TUN_DEVICE_BYTES = TUN_DEVICE_SLOTS * SLOT_BYTES + NAME_BYTES + 128;

export class TunDevice {
  readonly name: string;
  readonly fd: number;
  /** Packets that the kernel did not take (a wrong version, or the device is down). */
  refused = 0;
  readonly #memory: NativeMemory;
  readonly #slots: Piece;
  readonly #name: Piece;

  /**
   * Opens a device, which ends with this object or the process unless it was there before.
   * @param name "tun3", or with %d for the first that is free @throws SysError
   */
  constructor(memory: NativeMemory, name: string) {
    this.#memory = memory;
    this.#slots = memory.take(TUN_DEVICE_SLOTS * SLOT_BYTES, 64);
    this.#name = memory.take(NAME_BYTES);
    this.fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    const request = ifreq(name);
    request.view.setUint16(IFREQ_DATA, IFF_TUN | IFF_NO_PI, true);
    ioctlStruct(this.fd, TUNSETIFF, request.bytes, name);
    const given = request.bytes.subarray(0, request.bytes.indexOf(0));
    this.name = new TextDecoder().decode(given);
    memory.bytes.fill(0, this.#name.at, this.#name.at + NAME_BYTES);
    memory.bytes.set(given, this.#name.at);
  }

  /** Gives the device its address and MTU and brings it up. @param peer of a point-to-point address @throws SysError */
  configure(address: Cidr, peer: IpAddress | undefined, mtu: number): void {
    const fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    try {
      this.#set(fd, SIOCSIFADDR, address.address.w3);
      if (peer !== undefined) this.#set(fd, SIOCSIFDSTADDR, peer.w3);
      this.#set(fd, SIOCSIFNETMASK, prefixMask(address.prefix));
      const request = ifreq(this.name);
      request.view.setInt32(IFREQ_DATA, mtu, true);
      ioctlStruct(fd, SIOCSIFMTU, request.bytes, this.name);
    } finally {
      close(fd);
    }
    setInterfaceUp(this.name, true);
  }

  /**
   * Routes a network into the device, once it is up.
   * @throws SysError, EEXIST where this device has this very route
   */
  addRoute(network: Cidr, metric: number): void {
    this.#route(SIOCADDRT, network, metric);
  }

  /** @throws SysError, ESRCH where there is no such route */
  removeRoute(network: Cidr, metric: number): void {
    this.#route(SIOCDELRT, network, metric);
  }

  #set(fd: number, command: number, word: number): void {
    const request = ifreq(this.name);
    sockaddrIn(request.view, IFREQ_DATA, word);
    ioctlStruct(fd, command, request.bytes, this.name);
  }

  #route(command: number, network: Cidr, metric: number): void {
    const entry = new DataView(new ArrayBuffer(RTENTRY_BYTES));
    sockaddrIn(entry, RT_DST, network.network.address.w3);
    sockaddrIn(entry, RT_GENMASK, prefixMask(network.prefix));
    entry.setUint16(RT_FLAGS, RTF_UP, true);
    // The kernel subtracts 1 from it (net/ipv4/fib_frontend.c, rtentry_to_fib_config).
    entry.setInt16(RT_METRIC, Math.min(metric, 0x7ffe) + 1, true);
    writePointer(entry, RT_DEV, this.#name.pointer);
    const fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    try {
      ioctlStruct(fd, command, new Uint8Array(entry.buffer), `${network}`);
    } finally {
      close(fd);
    }
  }

  /** Takes the address, the routes and the traffic away. @throws SysError, ENODEV where the device is gone */
  takeDown(): void {
    const fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    try {
      this.#set(fd, SIOCSIFADDR, 0);
    } finally {
      close(fd);
    }
    setInterfaceUp(this.name, false);
  }

  /** Replaces the rows of `batch` by packets that wait; they are valid until the next call. @returns how many there are */
  receive(batch: Batch): number {
    batch.clear();
    for (let slot = 0; slot < TUN_DEVICE_SLOTS && batch.room > 0; slot++) {
      const offset = slot * SLOT_BYTES + HEADROOM;
      const n = libc.read(this.fd, this.#slots.pointer + offset, MAX_PACKET);
      if (n <= 0) break;
      batch.push(this.#slots.at + offset, n);
    }
    return batch.count;
  }

  /** Hands every packet of the batch to the kernel's stack. */
  send(batch: Batch): void {
    const { pointer } = this.#memory;
    for (let i = 0; i < batch.count; i++)
      if (libc.write(this.fd, pointer + batch.at[i]!, batch.len[i]!) < 0) this.refused++;
  }

  close(): void {
    close(this.fd);
  }
}

/** struct sockaddr_in without a port. */
function sockaddrIn(view: DataView, at: number, word: number): void {
  view.setUint16(at, AF_INET, true);
  view.setInt32(at + 4, word);
}
