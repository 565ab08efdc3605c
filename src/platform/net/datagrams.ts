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
import { errno } from "../sys/libc.ts";
import type { NativeMemory, Piece } from "../sys/memory.ts";
import { Messages, messagesBytes } from "../sys/messages.ts";
import { CMSGHDR_BYTES, CMSGHDR_LEVEL, CMSGHDR_TYPE } from "../sys/struct.ts";
import { readSockaddr, SOCKADDR_BYTES, SOCKADDR_IN_BYTES } from "./sockaddr.ts";
import { takesSegments } from "./udp-socket.ts";

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
/**
 * Our choice: of IPv4 one datagram in so many runs goes by itself. Linux forbids routers to fragment it then, as it does not with a run
 * (net/ipv4/ip_output.c, __ip_make_skb), so that they tell how much the way takes.
 */
const LONE = 32;
/** RFC 791 3.1: what every host takes whole, but for IP and UDP header. */
const EVERY_HOST = 576 - 28;
/** The word before the last of an IPv4 address in four words. */
const MAPPED = 0xffff;
/** sockaddr, padded. */
const NAME_CELL = 32;

export const DATAGRAMS_BYTES =
  RX_SLOTS * (SLOT_BYTES + NAME_CELL + CONTROL_BYTES) +
  TX_MESSAGES * CONTROL_BYTES +
  messagesBytes(RX_SLOTS, RX_SLOTS) +
  messagesBytes(TX_MESSAGES, TX_IOVECS) +
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
  readonly #rx: Messages;
  readonly #rxNames: Piece;
  readonly #rxControls: Piece;
  readonly #tx: Messages;
  readonly #txControls: Piece;
  /** Whether the kernel and the way out take UDP_SEGMENT. */
  #segments = true;
  /** Of IPv4, and of more than every host takes. */
  #runsSent = 0;
  #got = 0;
  #next = 0;
  /** Slots that the last recvmmsg has written. */
  #written = 0;
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
    this.#rxNames = memory.take(RX_SLOTS * NAME_CELL);
    this.#rxControls = memory.take(RX_SLOTS * CONTROL_BYTES);
    this.#txControls = memory.take(TX_MESSAGES * CONTROL_BYTES);
    this.#rx = new Messages(memory, RX_SLOTS, RX_SLOTS);
    this.#tx = new Messages(memory, TX_MESSAGES, TX_IOVECS);
    for (let i = 0; i < RX_SLOTS; i++) {
      this.#rx.add(this.#slots.pointer + i * SLOT_BYTES + HEADROOM, MAX_RUN);
      this.#rx.end();
      this.#rx.setName(i, this.#rxNames.pointer + i * NAME_CELL, SOCKADDR_BYTES);
      this.#rx.setControl(i, this.#rxControls.pointer + i * CONTROL_BYTES, CONTROL_BYTES);
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
    const limit = Math.min(most, batch.capacity);
    while (this.#next < this.#got && batch.count < limit) {
      const i = this.#next;
      if ((this.#rx.flags(i) & MSG_TRUNC) !== 0) this.drops.values[D.truncated]!++;
      else if (!this.#handOver(i, batch, from, limit)) return batch.count;
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
    const tx = this.#tx;
    for (let row = 0; row < rows.count; ) {
      tx.clear();
      while (row < rows.count) {
        const end = this.#segments ? this.#runEnd(rows, row, nameLength) : row + 1;
        if (!tx.hasRoom(end - row)) break;
        this.#describe(rows, row, end, name, nameLength, own);
        row = end;
      }
      this.#transmit(fd);
    }
  }

  /** The end of the rows from `row` on that go as one; now and then it is the next one (LONE). */
  #runEnd(rows: Batch, row: number, nameLength: number): number {
    const end = runEnd(rows, row);
    const isLone = end > row + 1 && nameLength === SOCKADDR_IN_BYTES && rows.len[row]! > EVERY_HOST;
    return isLone && this.#runsSent++ % LONE === 0 ? row + 1 : end;
  }

  #refill(fd: number): void {
    this.#next = 0;
    this.#got = 0;
    this.#done = 0;
    // Of those that the call before did not fill nothing was written.
    for (let i = 0; i < this.#written; i++) this.#rx.renew(i, SOCKADDR_BYTES, CONTROL_BYTES);
    const got = this.#rx.receive(fd);
    this.#written = Math.max(0, got);
    if (got >= 0) {
      this.#got = got;
      return;
    }
    const number = errno();
    if (number !== EAGAIN && number !== EINTR) this.onError(number);
  }

  /** The datagrams of one slot become rows. @returns whether all of them found room */
  #handOver(slot: number, batch: Batch, from: DatagramSources, limit: number): boolean {
    const { view } = this.#memory;
    const length = this.#rx.length(slot);
    this.#readControl(slot);
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
  #readControl(slot: number): void {
    const { view } = this.#memory;
    const end = this.#rx.controlLength(slot);
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
    name: number,
    nameLength: number,
    own: Int32Array | undefined,
  ): void {
    const { view, pointer } = this.#memory;
    const tx = this.#tx;
    for (let i = row; i < end; i++) tx.add(pointer + rows.at[i]!, rows.len[i]!);
    const message = tx.end();
    tx.setName(message, name, nameLength);
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
    if (controlBytes > 0) tx.setControl(message, pointer + control, controlBytes);
  }

  /** Sends the messages that are described. */
  #transmit(fd: number): void {
    const { values } = this.drops;
    const tx = this.#tx;
    for (let done = 0, isAgain = false; done < tx.count; ) {
      const sent = tx.send(fd, done);
      if (sent > 0) {
        done += sent;
        isAgain = false;
        continue;
      }
      const number = errno();
      if (number === EINTR) continue;
      const count = tx.pieces(done);
      if (count > 1 && (number === EINVAL || number === EIO || number === EMSGSIZE)) {
        // The way out takes no segments, and each datagram goes by itself from here on; or none of this size (EINVAL, of later kernels
        // EMSGSIZE), which is so for whoever is behind a narrow way.
        if (number === EIO || (number === EINVAL && !takesSegments(fd))) this.#segments = false;
        this.onError(number);
        return this.#sendSingly(fd, done);
      }
      // An error of an earlier packet that waited to be told ends no later one.
      this.onError(number);
      if (!isAgain && isOfEarlier(number)) {
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
  }

  /** Sends what is left of the messages, from `done` on, datagram by datagram. */
  #sendSingly(fd: number, done: number): void {
    const { values } = this.drops;
    const tx = this.#tx;
    for (let message = done; message < tx.count; message++)
      for (let i = 0; i < tx.pieces(message); i++) {
        if (tx.sendPiece(fd, message, i, this.#ownBytes) > 0) continue;
        const number = errno();
        if (number !== EAGAIN) this.onError(number);
        if (isOfEarlier(number) && tx.sendPiece(fd, message, i, this.#ownBytes) > 0) continue;
        values[number === EMSGSIZE ? D.tooLong : number === EAGAIN ? D.busy : D.failed]!++;
      }
  }
}

/** Whether an error may be what the network said of an earlier datagram (ip(7), IP_RECVERR). */
const isOfEarlier = (number: number): boolean =>
  number === ECONNREFUSED || number === EHOSTUNREACH || number === EMSGSIZE;

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
