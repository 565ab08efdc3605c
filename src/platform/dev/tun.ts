/**
 * A tun or tap device of the kernel: IP packets or frames to and from its stack (Linux, Documentation/networking/tuntap.rst), with a virtio header
 * each, so that TCP and UDP super-frames of up to 64 KiB go both ways and checksums are left to whoever sends on.
 */
import { type Batch, MAX_PIECES, segmentsOf } from "../../lib/batch.ts";
import { HEADROOM, TAILROOM } from "../../lib/slab.ts";
import { O_CLOEXEC, O_NONBLOCK, O_RDWR } from "../sys/constants.ts";
import { EACCES, EBADFD, EBUSY, EINVAL, ENOENT, EPERM, SysError } from "../sys/errno.ts";
import { errno, libc } from "../sys/libc.ts";
import type { NativeMemory, Piece } from "../sys/memory.ts";
import { setcapAdvice } from "../sys/privileges.ts";
import { IFREQ_DATA, IOVEC_BYTES, ifreq, VNET_HDR_BYTES, writeIovec } from "../sys/struct.ts";
import { close, interfaceIndex, ioctl, ioctlStruct, open } from "../sys/syscalls.ts";
import { readVnet, writeVnet } from "./vnet.ts";

/** linux/if_tun.h */
const TUNSETIFF = 0x400454ca;
const TUNSETOFFLOAD = 0x400454d0;
const TUNSETVNETHDRSZ = 0x400454d8;
const IFF_TUN = 1;
const IFF_TAP = 2;
/** Packets come without a header of the device. */
const IFF_NO_PI = 0x1000;
const IFF_VNET_HDR = 0x4000;
/** TUN_F_*: partial checksums, super-frames of TCP over IPv4, over IPv6, with ECN; of UDP over both (Linux 6.2). */
const OFFLOAD_TCP = 1 | 2 | 4 | 8;
const OFFLOAD_UDP = 0x20 | 0x40;

/** Packets that are read at once, and the longest one. */
export const TUN_DEVICE_SLOTS = 32;
const MAX_PACKET = 65_535;
const SLOT_BYTES = (HEADROOM + MAX_PACKET + TAILROOM + 63) & ~63;
const VNET_CELL = 16;

export const TUN_DEVICE_BYTES = TUN_DEVICE_SLOTS * SLOT_BYTES + VNET_CELL + (MAX_PIECES + 1) * IOVEC_BYTES + 16 + 256;

export class TunDevice {
  readonly name: string;
  readonly index: number;
  readonly fd: number;
  /** It was there before, and stays when this object ends. */
  readonly isPersistent: boolean;
  /** The last look found nothing more that waits. */
  drained = true;
  /** Somebody has deleted it. */
  isGone = false;
  /** Packets that the kernel did not take (a wrong version, or the device is down). */
  refused = 0;
  readonly #memory: NativeMemory;
  readonly #slots: Piece;
  readonly #vnet: Piece;
  readonly #iovecs: Piece;

  /**
   * Opens a device, which ends with this object or the process unless it was there before.
   * @param name "tun3", or with %d for the first that is free @param type tap: of frames
   * @throws Error in words where somebody else has it, or a privilege is missing; SysError
   */
  constructor(memory: NativeMemory, name: string, type: "tun" | "tap" = "tun") {
    this.#memory = memory;
    this.#slots = memory.take(TUN_DEVICE_SLOTS * SLOT_BYTES, 64);
    this.#vnet = memory.take(VNET_CELL);
    this.#iovecs = memory.take((MAX_PIECES + 1) * IOVEC_BYTES);
    this.isPersistent = interfaceIndex(name) !== 0;
    this.fd = openControl();
    const request = ifreq(name);
    request.view.setUint16(IFREQ_DATA, (type === "tap" ? IFF_TAP : IFF_TUN) | IFF_NO_PI | IFF_VNET_HDR, true);
    try {
      ioctlStruct(this.fd, TUNSETIFF, request.bytes, name);
      this.#offload(OFFLOAD_TCP | OFFLOAD_UDP);
    } catch (error) {
      close(this.fd);
      throw inWords(error, name, type);
    }
    const size = new Uint8Array(4);
    size[0] = VNET_HDR_BYTES;
    ioctlStruct(this.fd, TUNSETVNETHDRSZ, size, name);
    this.name = new TextDecoder().decode(request.bytes.subarray(0, request.bytes.indexOf(0)));
    this.index = interfaceIndex(this.name);
  }

  /**
   * Replaces the rows of `batch` by packets that wait, as long as they are no more work than `budget` (segmentsOf) and one more;
   * they are valid until the next call. @returns the work, in packets
   */
  receive(batch: Batch, budget: number): number {
    batch.clear();
    const { view } = this.#memory;
    let work = 0;
    this.drained = false;
    for (let slot = 0; slot < TUN_DEVICE_SLOTS && batch.room > 0 && work < budget; slot++) {
      const offset = slot * SLOT_BYTES + HEADROOM;
      const read = libc.read(this.fd, this.#slots.pointer + offset - VNET_HDR_BYTES, MAX_PACKET + VNET_HDR_BYTES);
      if (read <= VNET_HDR_BYTES) {
        if (read < 0 && errno() === EBADFD) this.isGone = true;
        this.drained = true;
        break;
      }
      const at = this.#slots.at + offset;
      const vnet = at - VNET_HDR_BYTES;
      const length = read - VNET_HDR_BYTES;
      const row = batch.push(at, length);
      readVnet(view, vnet, batch, row);
      work += segmentsOf(length, batch.gsoType[row]!, batch.gsoSize[row]!);
    }
    return work;
  }

  /** Hands every packet of the batch (rows joined by `more` as one) to the kernel's stack. */
  send(batch: Batch): void {
    const { view, pointer } = this.#memory;
    const vnet = this.#vnet.at;
    writeIovec(view, this.#iovecs.at, this.#vnet.pointer, VNET_HDR_BYTES);
    for (let row = 0; row < batch.count; ) {
      writeVnet(view, vnet, batch, row);
      let pieces = 0;
      let isLast = false;
      for (; !isLast; row++) {
        isLast = row + 1 >= batch.count || batch.more[row] === 0;
        pieces++;
        writeIovec(view, this.#iovecs.at + pieces * IOVEC_BYTES, pointer + batch.at[row]!, batch.len[row]!);
      }
      if (libc.writev(this.fd, this.#iovecs.pointer, pieces + 1) < 0) this.refused++;
    }
  }

  close(): void {
    // Whoever opens it next may not know of super-frames.
    try {
      if (this.isPersistent) ioctl(this.fd, TUNSETOFFLOAD, 0);
    } catch {
      // The device is gone, and with it what there was to take back.
    }
    close(this.fd);
  }

  #offload(flags: number): void {
    try {
      ioctl(this.fd, TUNSETOFFLOAD, flags);
    } catch (error) {
      // Linux before 6.2 knows no super-frames of UDP.
      if (!(error instanceof SysError) || error.errno !== EINVAL || (flags & OFFLOAD_UDP) === 0) throw error;
      this.#offload(flags & ~OFFLOAD_UDP);
    }
  }
}

const CONTROL = "/dev/net/tun";

function openControl(): number {
  try {
    return open(CONTROL, O_RDWR | O_NONBLOCK | O_CLOEXEC);
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    if (error.errno === EACCES)
      throw new Error(
        `${CONTROL} may not be opened by this user; on most machines everybody may: chmod 666 ${CONTROL}`,
      );
    if (error.errno !== ENOENT) throw error;
    throw new Error(`there is no ${CONTROL}: load the kernel's module (modprobe tun), or give it to the container`);
  }
}

function inWords(error: unknown, name: string, type: "tun" | "tap"): unknown {
  if (!(error instanceof SysError)) return error;
  if (error.errno === EBUSY) return new Error(`${name} is in use: another program has it open; stop that one first`);
  if (error.errno === EINVAL)
    return new Error(`${name} cannot be opened as a ${type} device: it is one of another kind, or has several queues`);
  if (error.errno !== EPERM) return error;
  return new Error(
    `opening ${name} needs CAP_NET_ADMIN: run as root, or name an interface of your own in the profile (ip tuntap add dev ` +
      `${type}7 mode ${type} user $USER; dev ${type}7), or, ${setcapAdvice("cap_net_admin=ep")}`,
  );
}
