/**
 * Datagrams of the kernel's UDP sockets by batches (udp(7)): recvmmsg fills slots of native memory, sendmmsg sends the rows of a
 * batch from where they lie. Where the kernel has them, datagrams of one sender and size come and go as one (UDP_GRO, UDP_SEGMENT).
 *
 * One object serves one socket at a time; the memory is its own for the life of the process.
 */
import type { Batch } from "../../lib/batch.ts";
import { Counters } from "../../lib/counters.ts";
import { HEADROOM, TAILROOM } from "../../lib/slab.ts";
import {
  IP_PKTINFO,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPPROTO_UDP,
  IPV6_PKTINFO,
  MSG_DONTWAIT,
  MSG_TRUNC,
  UDP_GRO,
  UDP_SEGMENT,
} from "../sys/constants.ts";
import {
  EAGAIN,
  ECONNREFUSED,
  EHOSTUNREACH,
  EINTR,
  EINVAL,
  EIO,
  EMSGSIZE,
  ENETUNREACH,
  ENOBUFS,
} from "../sys/errno.ts";
import { errno, libc } from "../sys/libc.ts";
import type { NativeMemory, Piece } from "../sys/memory.ts";
import {
  CMSGHDR_BYTES,
  CMSGHDR_LEVEL,
  CMSGHDR_TYPE,
  IOVEC_BYTES,
  MMSGHDR_BYTES,
  MMSGHDR_CONTROL,
  MMSGHDR_CONTROLLEN,
  MMSGHDR_FLAGS,
  MMSGHDR_IOV,
  MMSGHDR_IOVLEN,
  MMSGHDR_LEN,
  MMSGHDR_NAME,
  MMSGHDR_NAMELEN,
  writeIovec,
  writePointer,
} from "../sys/struct.ts";
import { readSockaddr, SOCKADDR_BYTES } from "./sockaddr.ts";

/** Datagrams, or runs of them, that are read at once. */
const RX_SLOTS = 32;
/** UDP_GRO hands over up to 64 KiB at once. */
const MAX_RUN = 65_535;
const SLOT_BYTES = (HEADROOM + MAX_RUN + TAILROOM + 63) & ~63;
const CONTROL_BYTES = 64;
const TX_MESSAGES = 64;
const TX_IOVECS = 1024;
/** linux/udp.h of every kernel that has UDP_SEGMENT: UDP_MAX_SEGMENTS, and what fits a datagram of either family. */
const MAX_SEGMENTS = 64;
const MAX_SUPER = 65_000;
/** The word before the last of an IPv4 address in four words. */
const MAPPED = 0xffff;
/** sockaddr, padded. */
const NAME_CELL = 32;

export const DATAGRAMS_BYTES =
  RX_SLOTS * (SLOT_BYTES + IOVEC_BYTES + MMSGHDR_BYTES + NAME_CELL + CONTROL_BYTES) +
  TX_MESSAGES * (MMSGHDR_BYTES + CONTROL_BYTES) +
  TX_IOVECS * IOVEC_BYTES +
  1024;

/** Where the rows of a batch came from: of row i the four words of an IpAddress at 4 * i, and the port. */
export class DatagramSources {
  readonly words: Int32Array;
  readonly port: Uint16Array;
  /** Which address of ours they came to, as `words`; zeros where the socket is bound to one. */
  readonly own: Int32Array;

  constructor(rows: number) {
    this.words = new Int32Array(4 * rows);
    this.port = new Uint16Array(rows);
    this.own = new Int32Array(4 * rows);
  }
}

/** Index into `drops`. */
const D = { busy: 0, truncated: 1, tooLong: 2, noWay: 3, refused: 4, failed: 5 } as const;

export class Datagrams {
  /** Datagrams that went nowhere, by why. */
  readonly drops = new Counters([
    "socket-buffer-full",
    "datagram-truncated",
    "datagram-too-long",
    "network-unreachable",
    "socket-refused",
    "socket-error",
  ]);
  /** Runs that were received: datagrams that came as one, or by themselves. */
  runs = 0;
  /** Told of each error that the network, or the kernel for it, has for a socket: its number. */
  onError: (number: number) => void = () => {};
  readonly #memory: NativeMemory;
  readonly #slots: Piece;
  readonly #rxMessages: Piece;
  readonly #rxNames: Piece;
  readonly #rxControls: Piece;
  readonly #txMessages: Piece;
  readonly #txControls: Piece;
  readonly #txIovecs: Piece;
  /** Rows of each message of the current sendmmsg, and the first of them. */
  readonly #txRows = new Int32Array(TX_MESSAGES);
  readonly #txFirst = new Int32Array(TX_MESSAGES);
  /** Whether the kernel and the way out take UDP_SEGMENT. */
  #segments = true;
  #got = 0;
  #next = 0;
  /** Of the datagram in slot #next, how many bytes were handed over. */
  #done = 0;
  /** What came beside it: bytes of each datagram where it has several, else 0; the address of ours that it came to. */
  #size = 0;
  readonly #own = new Int32Array(4);
  /** Bytes of the control message that names the address to send from. */
  #ownBytes = 0;

  constructor(memory: NativeMemory) {
    this.#memory = memory;
    this.#slots = memory.take(RX_SLOTS * SLOT_BYTES, 64);
    this.#rxMessages = memory.take(RX_SLOTS * MMSGHDR_BYTES, 64);
    this.#rxNames = memory.take(RX_SLOTS * NAME_CELL);
    this.#rxControls = memory.take(RX_SLOTS * CONTROL_BYTES);
    this.#txMessages = memory.take(TX_MESSAGES * MMSGHDR_BYTES, 64);
    this.#txControls = memory.take(TX_MESSAGES * CONTROL_BYTES);
    this.#txIovecs = memory.take(TX_IOVECS * IOVEC_BYTES);
    const iovecs = memory.take(RX_SLOTS * IOVEC_BYTES);
    const { view } = memory;
    for (let i = 0; i < RX_SLOTS; i++) {
      const iovec = iovecs.at + i * IOVEC_BYTES;
      writeIovec(view, iovec, this.#slots.pointer + i * SLOT_BYTES + HEADROOM, MAX_RUN);
      const message = this.#rxMessages.at + i * MMSGHDR_BYTES;
      writePointer(view, message + MMSGHDR_IOV, memory.pointer + iovec);
      view.setUint32(message + MMSGHDR_IOVLEN, 1, true);
      writePointer(view, message + MMSGHDR_NAME, this.#rxNames.pointer + i * NAME_CELL);
      writePointer(view, message + MMSGHDR_CONTROL, this.#rxControls.pointer + i * CONTROL_BYTES);
    }
  }

  /** Forgets what was read and not handed over: for the next socket. */
  reset(): void {
    this.#got = 0;
    this.#next = 0;
    this.#done = 0;
    this.onError = () => {};
  }

  /** Whether nothing is known to wait. */
  get drained(): boolean {
    return this.#next === this.#got && this.#got < RX_SLOTS;
  }

  /**
   * Replaces the rows of `batch` by datagrams that wait, at most `most` of them; they are valid until the next call.
   * @returns how many there are
   */
  receive(fd: number, batch: Batch, from: DatagramSources, most: number): number {
    batch.clear();
    if (this.#next === this.#got) this.#refill(fd);
    const { view } = this.#memory;
    const limit = Math.min(most, batch.capacity);
    while (this.#next < this.#got && batch.count < limit) {
      const i = this.#next;
      const message = this.#rxMessages.at + i * MMSGHDR_BYTES;
      const length = view.getUint32(message + MMSGHDR_LEN, true);
      if ((view.getInt32(message + MMSGHDR_FLAGS, true) & MSG_TRUNC) !== 0) this.drops.values[D.truncated]!++;
      else if (!this.#handOver(i, message, length, batch, from, limit)) return batch.count;
      this.#next++;
      this.#done = 0;
      this.runs++;
    }
    return batch.count;
  }

  /**
   * Sends the rows to one address, in place.
   * @param name pointer to its sockaddr, of `nameLength` bytes
   * @param own the four words of the address of ours to send from; undefined: the kernel's choice
   */
  send(fd: number, name: number, nameLength: number, rows: Batch, own?: Int32Array): void {
    this.#ownBytes = own === undefined ? 0 : own[0] === 0 && own[1] === 0 && own[2] === MAPPED ? 32 : 40;
    for (let row = 0; row < rows.count; ) {
      let messages = 0;
      let iovecs = 0;
      while (row < rows.count && messages < TX_MESSAGES) {
        const end = this.#segments ? runEnd(rows, row) : row + 1;
        if (iovecs + end - row > TX_IOVECS) break;
        this.#describe(rows, row, end, messages, iovecs, name, nameLength, own);
        iovecs += end - row;
        messages++;
        row = end;
      }
      row = this.#transmit(fd, messages, row);
    }
  }

  #refill(fd: number): void {
    this.#next = 0;
    this.#got = 0;
    this.#done = 0;
    const { view } = this.#memory;
    for (let i = 0; i < RX_SLOTS; i++) {
      const message = this.#rxMessages.at + i * MMSGHDR_BYTES;
      view.setUint32(message + MMSGHDR_NAMELEN, SOCKADDR_BYTES, true);
      view.setUint32(message + MMSGHDR_CONTROLLEN, CONTROL_BYTES, true);
    }
    const got = libc.recvmmsg(fd, this.#rxMessages.pointer, RX_SLOTS, MSG_DONTWAIT, 0);
    if (got >= 0) {
      this.#got = got;
      return;
    }
    const number = errno();
    if (number !== EAGAIN && number !== EINTR) this.onError(number);
  }

  /** The datagrams of one slot become rows. @returns whether all of them found room */
  #handOver(
    slot: number,
    message: number,
    length: number,
    batch: Batch,
    from: DatagramSources,
    limit: number,
  ): boolean {
    const { view } = this.#memory;
    this.#readControl(slot, message);
    const size = this.#size || length;
    const start = this.#slots.at + slot * SLOT_BYTES + HEADROOM;
    // A datagram without a byte is one all the same.
    do {
      if (batch.count >= limit) return false;
      const row = batch.push(start + this.#done, Math.min(size, length - this.#done));
      from.port[row] = readSockaddr(view, this.#rxNames.at + slot * NAME_CELL, from.words, row);
      for (let k = 0; k < 4; k++) from.own[4 * row + k] = this.#own[k]!;
      this.#done += size;
    } while (this.#done < length);
    return true;
  }

  /** Reads what came beside a datagram into #size and #own. */
  #readControl(slot: number, message: number): void {
    const { view } = this.#memory;
    const end = view.getUint32(message + MMSGHDR_CONTROLLEN, true);
    const control = this.#rxControls.at + slot * CONTROL_BYTES;
    this.#size = 0;
    this.#own.fill(0);
    for (let at = 0; at + CMSGHDR_BYTES <= end; ) {
      const length = view.getUint32(control + at, true);
      if (length < CMSGHDR_BYTES) return;
      const level = view.getInt32(control + at + CMSGHDR_LEVEL, true);
      const type = view.getInt32(control + at + CMSGHDR_TYPE, true);
      const data = control + at + CMSGHDR_BYTES;
      if (level === IPPROTO_UDP && type === UDP_GRO) this.#size = view.getInt32(data, true);
      else if (level === IPPROTO_IP && type === IP_PKTINFO) {
        // struct in_pktinfo { int index; struct in_addr ours, destination }
        this.#own[2] = MAPPED;
        this.#own[3] = view.getInt32(data + 4);
      } else if (level === IPPROTO_IPV6 && type === IPV6_PKTINFO)
        for (let k = 0; k < 4; k++) this.#own[k] = view.getInt32(data + 4 * k);
      at += (length + 7) & ~7;
    }
  }

  /** The control message that names the address to send from, at `at`. */
  #writeOwn(at: number, own: Int32Array): void {
    const { view, bytes } = this.#memory;
    const isIpv4 = this.#ownBytes === 32;
    bytes.fill(0, at, at + this.#ownBytes);
    view.setUint32(at, CMSGHDR_BYTES + (isIpv4 ? 12 : 20), true);
    view.setInt32(at + CMSGHDR_LEVEL, isIpv4 ? IPPROTO_IP : IPPROTO_IPV6, true);
    view.setInt32(at + CMSGHDR_TYPE, isIpv4 ? IP_PKTINFO : IPV6_PKTINFO, true);
    if (isIpv4) view.setInt32(at + CMSGHDR_BYTES + 4, own[3]!);
    else for (let k = 0; k < 4; k++) view.setInt32(at + CMSGHDR_BYTES + 4 * k, own[k]!);
  }

  /** Writes the message of the rows [row, end), which are one datagram or one run. */
  #describe(
    rows: Batch,
    row: number,
    end: number,
    message: number,
    iovec: number,
    name: number,
    nameLength: number,
    own: Int32Array | undefined,
  ): void {
    const { view, pointer } = this.#memory;
    const first = this.#txIovecs.at + iovec * IOVEC_BYTES;
    for (let i = row, at = first; i < end; i++, at += IOVEC_BYTES)
      writeIovec(view, at, pointer + rows.at[i]!, rows.len[i]!);
    const header = this.#txMessages.at + message * MMSGHDR_BYTES;
    writePointer(view, header + MMSGHDR_NAME, name);
    view.setUint32(header + MMSGHDR_NAMELEN, nameLength, true);
    writePointer(view, header + MMSGHDR_IOV, pointer + first);
    view.setUint32(header + MMSGHDR_IOVLEN, end - row, true);
    const control = this.#txControls.at + message * CONTROL_BYTES;
    if (own !== undefined) this.#writeOwn(control, own);
    const isRun = end - row > 1;
    if (isRun) {
      const at = control + this.#ownBytes;
      view.setUint32(at, CMSGHDR_BYTES + 2, true);
      view.setUint32(at + 4, 0, true);
      view.setInt32(at + CMSGHDR_LEVEL, IPPROTO_UDP, true);
      view.setInt32(at + CMSGHDR_TYPE, UDP_SEGMENT, true);
      view.setUint16(at + CMSGHDR_BYTES, rows.len[row]!, true);
    }
    const controlBytes = this.#ownBytes + (isRun ? CMSGHDR_BYTES + 8 : 0);
    writePointer(view, header + MMSGHDR_CONTROL, controlBytes > 0 ? pointer + control : 0);
    view.setUint32(header + MMSGHDR_CONTROLLEN, controlBytes, true);
    this.#txFirst[message] = row;
    this.#txRows[message] = end - row;
  }

  /** Sends the messages that are described. @returns the row to go on with: `next`, or an earlier one that has to go without segments */
  #transmit(fd: number, messages: number, next: number): number {
    const { values } = this.drops;
    for (let done = 0, isAgain = false; done < messages; ) {
      const pointer = this.#txMessages.pointer + done * MMSGHDR_BYTES;
      const sent = libc.sendmmsg(fd, pointer, messages - done, MSG_DONTWAIT);
      if (sent > 0) {
        done += sent;
        isAgain = false;
        continue;
      }
      const number = errno();
      if (number === EINTR) continue;
      const count = this.#txRows[done]!;
      if (count > 1 && (number === EINVAL || number === EIO || number === EMSGSIZE)) {
        // The way out takes no segments, or none of this size: from here on each datagram goes by itself.
        this.#segments = number === EMSGSIZE && this.#segments;
        return this.#sendSingly(fd, done, messages, next);
      }
      // An error of an earlier packet that waited to be told ends no later one.
      this.onError(number);
      if (!isAgain && (number === ECONNREFUSED || number === EHOSTUNREACH)) {
        isAgain = true;
        continue;
      }
      isAgain = false;
      if (number === EAGAIN || number === ENOBUFS) values[D.busy]! += count;
      else if (number === EMSGSIZE) values[D.tooLong]! += count;
      else if (number === ENETUNREACH || number === EHOSTUNREACH) values[D.noWay]! += count;
      else if (number === ECONNREFUSED) values[D.refused]! += count;
      else values[D.failed]! += count;
      done++;
    }
    return next;
  }

  /** Sends what is left of the messages, from `done` on, datagram by datagram. @returns `next` */
  #sendSingly(fd: number, done: number, messages: number, next: number): number {
    const { view } = this.#memory;
    const { values } = this.drops;
    for (let message = done; message < messages; message++) {
      const header = this.#txMessages.at + message * MMSGHDR_BYTES;
      const low = view.getUint32(header + MMSGHDR_IOV, true);
      const high = view.getUint32(header + MMSGHDR_IOV + 4, true);
      const first = high * 0x1_0000_0000 + low;
      view.setUint32(header + MMSGHDR_CONTROLLEN, this.#ownBytes, true);
      view.setUint32(header + MMSGHDR_IOVLEN, 1, true);
      for (let i = 0; i < this.#txRows[message]!; i++) {
        writePointer(view, header + MMSGHDR_IOV, first + i * IOVEC_BYTES);
        const pointer = this.#txMessages.pointer + message * MMSGHDR_BYTES;
        if (libc.sendmmsg(fd, pointer, 1, MSG_DONTWAIT) > 0) continue;
        const number = errno();
        values[number === EMSGSIZE ? D.tooLong : number === EAGAIN ? D.busy : D.failed]!++;
        if (number !== EAGAIN) this.onError(number);
      }
    }
    return next;
  }
}

/** The end of the rows from `row` on that can go as one: all of one size, but that the last may be shorter. */
function runEnd(rows: Batch, row: number): number {
  const { len, count } = rows;
  const size = len[row]!;
  let total = size;
  let end = row + 1;
  while (end < count && end - row < MAX_SEGMENTS && len[end - 1] === size && len[end]! <= size) {
    total += len[end]!;
    if (total > MAX_SUPER || len[end] === 0) break;
    end++;
  }
  return end;
}
