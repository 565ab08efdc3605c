/**
 * A network interface as batches of Ethernet frames: AF_PACKET with virtio-net headers (packet(7), PACKET_VNET_HDR),
 * recvmmsg and sendmmsg over native memory. TCP super-frames come and go whole; checksums may be partial.
 *
 * Received frames lie in a ring of slots in the slab, with HEADROOM before and TAILROOM behind; the rows are valid
 * until the next receive(). Nothing is allocated per frame.
 */
import { release as kernelRelease } from "node:os";
import { type Batch, GSO_UDP_L4, MAX_PIECES, segmentsOf } from "../../lib/batch.ts";
import { Counters } from "../../lib/counters.ts";
import type { Mac } from "../../lib/mac.ts";
import { HEADROOM, TAILROOM } from "../../lib/slab.ts";
import {
  AF_PACKET,
  ETH_P_ALL,
  MSG_TRUNC,
  PACKET_STATISTICS,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOCK_RAW,
  SOL_PACKET,
} from "../sys/constants.ts";
import { EAGAIN, EINTR, EINVAL, EMSGSIZE, ENETDOWN, ENOBUFS, ENODEV, ENXIO, EPERM, SysError } from "../sys/errno.ts";
import { errno } from "../sys/libc.ts";
import type { NativeMemory, Piece } from "../sys/memory.ts";
import { Messages, messagesBytes } from "../sys/messages.ts";
import { setcapAdvice } from "../sys/privileges.ts";
import { CMSGHDR_BYTES, sockaddrLl, VNET_GSO_SIZE, VNET_GSO_TYPE, VNET_HDR_BYTES } from "../sys/struct.ts";
import { bind, close, interfaceIndex, socket, socketOption } from "../sys/syscalls.ts";
import type { FrameDevice } from "./frame-device.ts";
import { type InterfaceFacts, interfaceFacts, linkIsUp, linkMtu, setInterfaceUp } from "./interface.ts";
import { configureSocket, type Reach, VLAN_MARK } from "./packet-socket.ts";
import { readVnet, writeVnet } from "./vnet.ts";

/** The largest frame: 64 KiB of IPv4 packet behind an Ethernet header (a super-frame). */
const MAX_FRAME = 65550;
const ETHERNET_HEADER = 14;

export const RX_SLOTS = 64;
/** 2 bytes more than HEADROOM: the IP header behind 14 bytes of Ethernet is then 4-byte aligned. */
const SLOT_FRAME = HEADROOM + 2;
const SLOT_BYTES = (SLOT_FRAME + MAX_FRAME + TAILROOM + 63) & ~63;
/** struct tpacket_auxdata (linux/if_packet.h) behind its cmsghdr: what of it is read. */
const AUXDATA_CELL = 40;
const AUXDATA_STATUS = CMSGHDR_BYTES;
const AUXDATA_VLAN_TCI = CMSGHDR_BYTES + 16;
const AUXDATA_VLAN_TPID = CMSGHDR_BYTES + 18;
const TP_STATUS_VLAN_VALID = 1 << 4;
const TP_STATUS_VLAN_TPID_VALID = 1 << 6;
const ETHERTYPE_VLAN = 0x8100;
const VLAN_TAG_LEN = 4;
const MACS_LEN = 12;
const TX_MESSAGES = 128;
const TX_IOVECS = 1024;
/** A virtio header in a cell of its own. */
const VNET_CELL = 16;

/** Native memory that one device takes from the slab. */
export const PACKET_DEVICE_BYTES =
  RX_SLOTS * (SLOT_BYTES + VNET_CELL + AUXDATA_CELL) +
  TX_MESSAGES * VNET_CELL +
  messagesBytes(RX_SLOTS, 2 * RX_SLOTS) +
  messagesBytes(TX_MESSAGES, TX_IOVECS) +
  4096;

const DEVICE_COUNTERS = [
  "rxFrames",
  "rxBytes",
  "rxTruncated",
  "rxRunt",
  "rxVlan",
  "rxUnknownGso",
  "rxErrors",
  "rxLinkDown",
  "txFrames",
  "txBytes",
  "txBusy",
  "txQueueFull",
  "txTooLong",
  "txRefused",
  "txLinkDown",
  "txErrors",
] as const;
export type DeviceCounter = (typeof DEVICE_COUNTERS)[number];
const C = Object.fromEntries(DEVICE_COUNTERS.map((name, i) => [name, i])) as Record<DeviceCounter, number>;

/** What an operator should think of a counter that counts losses. */
export const DEVICE_TEXT = {
  kernelDropped: "Frames came faster than they were handled, and the receive buffer was full.",
  rxTruncated:
    "Frames of more than 64 KiB: the sender's kernel uses BIG TCP; on the sender: ip link set IF gso_max_size 65536.",
  rxRunt: "Frames shorter than an Ethernet header; the driver or the sender is broken.",
  rxVlan: "Frames of a VLAN; only untagged ones, and those whose tag is just a priority (VLAN 0), are for us.",
  rxUnknownGso:
    "Super-frames that this kernel cannot hand over: UDP segmentation before Linux 6.2; on the sender: ethtool -K IF tx-udp-segmentation off.",
  rxErrors: "The kernel reported an error in place of a frame.",
  rxLinkDown: "The interface went down.",
  txBusy: "The send buffer was full: more was to be sent than the interface takes.",
  txQueueFull: "The interface's own queue was full.",
  txTooLong: "A frame longer than the interface's MTU.",
  txRefused: "The kernel did not take a frame's virtio header.",
  txLinkDown: "The interface was down.",
  txErrors: "The kernel reported an error for a frame.",
} satisfies Partial<Record<DeviceCounter | "kernelDropped", string>>;

export class PacketDevice implements FrameDevice {
  readonly name: string;
  readonly fd: number;
  readonly index: number;
  readonly mac: Mac;
  readonly mtu: number;
  readonly counters = new Counters(DEVICE_COUNTERS);
  readonly #memory: NativeMemory;
  readonly #broughtUp: boolean;
  readonly #rxSlots: Piece;
  readonly #rxVnet: Piece;
  readonly #rx: Messages;
  /** Where the kernel says what tags frames had; undefined: those that have one are not wanted. */
  readonly #rxTags: Piece | undefined;
  readonly #txVnet: Piece;
  readonly #tx: Messages;
  /** Bytes and kind of each message of the current sendmmsg. */
  readonly #txBytes = new Int32Array(TX_MESSAGES);
  readonly #txGso = new Uint8Array(TX_MESSAGES);
  #udpGso: boolean;
  /** Messages of the last recvmmsg, and which of them is handed over next. */
  #got = 0;
  #next = 0;
  #kernelReceived = 0;
  #kernelDropped = 0;

  /**
   * Opens the interface, bringing it up if it is down.
   * @param memory the slab that frames live in; takes PACKET_DEVICE_BYTES of it
   * @param reach what it receives
   * @throws Error in words (no such interface, not Ethernet, missing privilege), SysError
   */
  static open(name: string, memory: NativeMemory, reach: Reach = "station"): PacketDevice {
    const facts = interfaceFacts(name);
    let fd: number;
    try {
      fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    } catch (error) {
      if (!(error instanceof SysError) || error.errno !== EPERM) throw error;
      throw new Error(
        `opening ${name} needs CAP_NET_RAW: run as root, or, ${setcapAdvice("cap_net_raw,cap_net_admin=ep")}`,
      );
    }
    try {
      if (!facts.up) setInterfaceUp(name, true);
      configureSocket(fd, facts.index, memory, reach);
      bind(fd, sockaddrLl(ETH_P_ALL, facts.index), name);
      return new PacketDevice(fd, facts, memory, reach);
    } catch (error) {
      close(fd);
      if (!facts.up) setInterfaceUp(name, false);
      throw error;
    }
  }

  private constructor(fd: number, facts: InterfaceFacts, memory: NativeMemory, reach: Reach) {
    this.fd = fd;
    this.name = facts.name;
    this.index = facts.index;
    this.mac = facts.mac;
    this.mtu = facts.mtu;
    this.#broughtUp = !facts.up;
    this.#memory = memory;
    this.#udpGso = kernelHasUdpGso();
    this.#rxSlots = memory.take(RX_SLOTS * SLOT_BYTES, 64);
    this.#rxVnet = memory.take(RX_SLOTS * VNET_CELL);
    this.#rxTags = reach === "all" ? memory.take(RX_SLOTS * AUXDATA_CELL, 8) : undefined;
    this.#txVnet = memory.take(TX_MESSAGES * VNET_CELL);
    this.#rx = new Messages(memory, RX_SLOTS, 2 * RX_SLOTS);
    this.#tx = new Messages(memory, TX_MESSAGES, TX_IOVECS);
    for (let i = 0; i < RX_SLOTS; i++) {
      this.#rx.add(this.#rxVnet.pointer + i * VNET_CELL, VNET_HDR_BYTES);
      this.#rx.add(this.#rxSlots.pointer + i * SLOT_BYTES + SLOT_FRAME, MAX_FRAME);
      this.#rx.end();
      if (this.#rxTags) this.#rx.setControl(i, this.#rxTags.pointer + i * AUXDATA_CELL, AUXDATA_CELL);
    }
  }

  /**
   * Whether UDP super-frames (GSO_UDP_L4) may be sent. Linux takes them through AF_PACKET from 6.2 on; should the
   * kernel refuse one after all, that frame is dropped (txRefused) and this becomes false.
   */
  get udpGso(): boolean {
    return this.#udpGso;
  }

  get drained(): boolean {
    return this.#next === this.#got && this.#got < RX_SLOTS;
  }

  receive(batch: Batch, budget: number): number {
    batch.clear();
    if (this.#next === this.#got) this.#refill();
    const view = this.#memory.view;
    const counts = this.counters.values;
    let work = 0;
    let bytes = 0;
    for (; this.#next < this.#got && batch.room > 0; this.#next++) {
      const i = this.#next;
      const vnet = this.#rxVnet.at + i * VNET_CELL;
      const length = this.#rx.length(i) - VNET_HDR_BYTES;
      const gsoType = view.getUint8(vnet + VNET_GSO_TYPE);
      const gsoSize = view.getUint16(vnet + VNET_GSO_SIZE, true);
      const segments = segmentsOf(length, gsoType, gsoSize);
      if (work + segments > budget) break;
      work += segments;
      if ((this.#rx.flags(i) & MSG_TRUNC) !== 0) {
        counts[C.rxTruncated]!++;
        continue;
      }
      if (length < ETHERNET_HEADER) {
        counts[length === VLAN_MARK ? C.rxVlan : C.rxRunt]!++;
        continue;
      }
      const at = this.#rxSlots.at + i * SLOT_BYTES + SLOT_FRAME;
      const tag = this.#rxTags === undefined ? 0 : this.#putTagBack(i, this.#rxTags.at + i * AUXDATA_CELL, at);
      readVnet(view, vnet, batch, batch.push(at - tag, length + tag), tag);
      bytes += length;
    }
    counts[C.rxFrames]! += batch.count;
    counts[C.rxBytes]! += bytes;
    return work;
  }

  /** The kernel took a VLAN's tag out of the frame at `at`: it stands in its place again. @returns by how much the frame begins earlier */
  #putTagBack(slot: number, aux: number, at: number): number {
    const view = this.#memory.view;
    if (this.#rx.controlLength(slot) < AUXDATA_VLAN_TPID + 2) return 0;
    const status = view.getUint32(aux + AUXDATA_STATUS, true);
    if ((status & TP_STATUS_VLAN_VALID) === 0) return 0;
    const hasType = (status & TP_STATUS_VLAN_TPID_VALID) !== 0;
    const start = at - VLAN_TAG_LEN;
    this.#memory.bytes.copyWithin(start, at, at + MACS_LEN);
    view.setUint16(start + MACS_LEN, hasType ? view.getUint16(aux + AUXDATA_VLAN_TPID, true) : ETHERTYPE_VLAN);
    view.setUint16(start + MACS_LEN + 2, view.getUint16(aux + AUXDATA_VLAN_TCI, true));
    return VLAN_TAG_LEN;
  }

  /** Fills the ring anew; what was handed over before is gone. */
  #refill(): void {
    this.#next = 0;
    this.#got = 0;
    if (this.#rxTags !== undefined) for (let i = 0; i < RX_SLOTS; i++) this.#rx.renew(i, 0, AUXDATA_CELL);
    const got = this.#rx.receive(this.fd);
    if (got >= 0) {
      this.#got = got;
      return;
    }
    const number = errno();
    if (number === EAGAIN || number === EINTR) return;
    // An error belongs to one frame or one change of the link; the frames behind it are still there.
    const counter = number === ENETDOWN ? C.rxLinkDown : number === EINVAL ? C.rxUnknownGso : C.rxErrors;
    this.counters.bump(counter);
  }

  /**
   * Sends every frame of the batch (rows joined by `more` as one). What the interface does not take is dropped and
   * counted at once: the send buffer is the queue, and the other direction must not wait for it. The batch is left as it is.
   * @returns the frames that were sent
   */
  send(batch: Batch): number {
    const before = this.counters.values[C.txFrames]!;
    const count = batch.count;
    const tx = this.#tx;
    for (let row = 0; row < count; ) {
      tx.clear();
      while (row < count) {
        let end = row + 1;
        while (end < count && batch.more[end - 1] === 1) end++;
        const pieces = end - row;
        if (pieces > MAX_PIECES) this.counters.values[C.txRefused]!++;
        else if (tx.hasRoom(pieces + 1)) this.#describe(batch, row, end);
        else break;
        row = end;
      }
      this.#transmit();
    }
    return this.counters.values[C.txFrames]! - before;
  }

  /** Administratively up and with carrier; false when another interface has its name now. Cheap, for a look each second. */
  linkUp(): boolean {
    return interfaceIndex(this.name) === this.index && linkIsUp(this.fd, this.name);
  }

  /** As cheap; undefined when the interface is gone, or another one has its name. */
  mtuNow(): number | undefined {
    return interfaceIndex(this.name) === this.index ? linkMtu(this.fd, this.name) : undefined;
  }

  /** What the kernel had for this socket since it was opened: frames handed over, and frames that found no room. */
  statistics(): { readonly received: number; readonly dropped: number } {
    // struct tpacket_stats { packets, drops }; reading it sets the kernel's counts to zero, and packets include drops
    const stats = socketOption(this.fd, SOL_PACKET, PACKET_STATISTICS, 8);
    const dropped = stats.getUint32(4, true);
    this.#kernelDropped += dropped;
    this.#kernelReceived += stats.getUint32(0, true) - dropped;
    return { received: this.#kernelReceived, dropped: this.#kernelDropped };
  }

  /** Closes the device; an interface that it brought up goes down again. Its part of the slab is not given back. */
  close(): void {
    close(this.fd);
    if (!this.#broughtUp) return;
    try {
      setInterfaceUp(this.name, false);
    } catch {
      // the interface is gone, and with it what there was to restore
    }
  }

  /** Writes the message of the frame in rows [row, end). */
  #describe(batch: Batch, row: number, end: number): void {
    const tx = this.#tx;
    const at = tx.count * VNET_CELL;
    writeVnet(this.#memory.view, this.#txVnet.at + at, batch, row);
    tx.add(this.#txVnet.pointer + at, VNET_HDR_BYTES);
    let bytes = 0;
    for (let i = row; i < end; i++) {
      tx.add(this.#memory.pointer + batch.at[i]!, batch.len[i]!);
      bytes += batch.len[i]!;
    }
    const message = tx.end();
    this.#txBytes[message] = bytes;
    this.#txGso[message] = batch.gsoType[row]!;
  }

  #transmit(): void {
    const counts = this.counters.values;
    const messages = this.#tx.count;
    let done = 0;
    while (done < messages) {
      const sent = this.#tx.send(this.fd, done);
      if (sent > 0) {
        counts[C.txFrames]! += sent;
        for (const end = done + sent; done < end; done++) counts[C.txBytes]! += this.#txBytes[done]!;
        continue;
      }
      const number = errno();
      switch (number) {
        case EINTR:
          continue;
        case EAGAIN:
          counts[C.txBusy]! += messages - done;
          return;
        case ENETDOWN:
        case ENXIO:
        case ENODEV:
          counts[C.txLinkDown]! += messages - done;
          return;
        case ENOBUFS:
          counts[C.txQueueFull]!++;
          break;
        case EMSGSIZE:
          counts[C.txTooLong]!++;
          break;
        case EINVAL:
          // The kernel does not take this virtio header, of the first message that is left.
          if (this.#txGso[done] === GSO_UDP_L4) this.#udpGso = false;
          counts[C.txRefused]!++;
          break;
        default:
          counts[C.txErrors]!++;
      }
      done++;
    }
  }
}

/** Linux 6.2 added UDP segmentation to virtio headers of packet sockets. */
function kernelHasUdpGso(): boolean {
  const [major = 0, minor = 0] = kernelRelease().split(".").map(Number);
  return major > 6 || (major === 6 && minor >= 2);
}
