/** TCP sockets of the kernel that never wait (tcp(7)): batches of pieces out from where they lie, bytes in to where they are wanted. */
import type { Batch } from "../../lib/batch.ts";
import type { Endpoint } from "../../lib/endpoint.ts";
import { IpAddress } from "../../lib/ip.ts";
import {
  AF_INET6,
  IPPROTO_IPV6,
  IPPROTO_TCP,
  IPV6_V6ONLY,
  MSG_NOSIGNAL,
  SO_ERROR,
  SO_REUSEADDR,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  SOL_SOCKET,
  TCP_NODELAY,
  TCP_NOTSENT_LOWAT,
} from "../sys/constants.ts";
import { check, EAGAIN, EINPROGRESS, EINTR, SysError } from "../sys/errno.ts";
import { errno, libc } from "../sys/libc.ts";
import { NativeMemory, type Piece } from "../sys/memory.ts";
import { Messages, messagesBytes } from "../sys/messages.ts";
import { bind, close, connect, setSocketOption, socket, socketOption } from "../sys/syscalls.ts";
import { everyAddress, type Family, familyNumber, readSockaddr, SOCKADDR_BYTES, sockaddr } from "./sockaddr.ts";

/**
 * Our choice: what the kernel keeps without having sent it. Together with the queue here it is what a packet waits behind on a
 * slow path.
 */
const UNSENT_BYTES = 128 << 10;
const IOVECS = 256;
/** Our choice: handshakes that are over in one turn. */
const BACKLOG = 256;

/** Native memory of a sender whose queue has so many bytes. */
export const STREAM_SENDER_BYTES = (queueBytes: number): number => messagesBytes(1, IOVECS) + queueBytes + 256;

/** Begins a connection. @param localPort that it comes from @throws SysError: it cannot be begun */
export function connectTcp(remote: Endpoint, localPort: number | undefined): number {
  const family = remote.address.isIpv4 ? "ipv4" : "ipv6";
  const fd = socket(familyNumber(family), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  try {
    prepareStream(fd);
    if (localPort !== undefined) {
      setSocketOption(fd, SOL_SOCKET, SO_REUSEADDR, 1);
      bind(fd, sockaddr({ address: everyAddress(family), port: localPort }), `port ${localPort}`);
    }
    const number = connect(fd, sockaddr(remote));
    if (number !== 0 && number !== EINPROGRESS) throw new SysError("connect", number);
    return fd;
  } catch (error) {
    close(fd);
    throw error;
  }
}

/** @param address a local one; undefined: all of them @throws SysError */
export function listenTcp(family: Family, port: number, address: IpAddress | undefined): number {
  const domain = familyNumber(family);
  const fd = socket(domain, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  try {
    setSocketOption(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (domain === AF_INET6) setSocketOption(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    bind(fd, sockaddr({ address: address ?? everyAddress(family), port }), `port ${port}`);
    check("listen", libc.listen(fd, BACKLOG), `port ${port}`);
    return fd;
  } catch (error) {
    close(fd);
    throw error;
  }
}

let acceptMemory: NativeMemory | undefined;

/** The next connection that waits; undefined: none does. */
export function acceptTcp(fd: number): { readonly fd: number; readonly from: Endpoint } | undefined {
  acceptMemory ??= new NativeMemory(64);
  const { view, pointer } = acceptMemory;
  view.setUint32(32, SOCKADDR_BYTES, true);
  const next = libc.accept4(fd, pointer, pointer + 32, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (next < 0) return undefined;
  prepareStream(next);
  const words = new Int32Array(4);
  const port = readSockaddr(view, 0, words, 0);
  return { fd: next, from: { address: new IpAddress(words[0]!, words[1]!, words[2]!, words[3]!), port } };
}

/** Small packets go at once, and little waits in the kernel. @throws SysError */
function prepareStream(fd: number): void {
  setSocketOption(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  setSocketOption(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, UNSENT_BYTES);
}

/** Why a connection could not be made; 0: there is one, or will be. @throws SysError */
export const connectionError = (fd: number): number => socketOption(fd, SOL_SOCKET, SO_ERROR, 4).getInt32(0, true);

/** The sending side of one connection at a time. What the kernel does not take waits here, in its order. */
export class StreamSender {
  readonly #memory: NativeMemory;
  readonly #message: Messages;
  readonly #queue: Piece;
  /** What waits, [head, tail), from the start of #queue. */
  #head = 0;
  #tail = 0;
  /** Error number of the last send that failed; 0: none has. */
  error = 0;

  constructor(memory: NativeMemory, queueBytes: number) {
    this.#memory = memory;
    this.#message = new Messages(memory, 1, IOVECS);
    this.#queue = memory.take(queueBytes, 64);
  }

  /** For the next connection. */
  reset(): void {
    this.#head = 0;
    this.#tail = 0;
    this.error = 0;
  }

  /** Bytes that wait. */
  get queued(): number {
    return this.#tail - this.#head;
  }

  /** Bytes for which there is room. */
  get room(): number {
    return this.#queue.length - this.queued;
  }

  /** Sends the rows, which have room. */
  send(fd: number, rows: Batch): void {
    let sent = 0;
    for (let first = 0; first < rows.count && this.queued === 0 && this.error === 0; ) {
      const end = Math.min(rows.count, first + IOVECS);
      const total = this.#describe(rows, first, end);
      const taken = this.#transmit(fd);
      sent += taken;
      if (taken < total) break;
      first = end;
    }
    this.#enqueueRows(rows, sent);
  }

  /** @returns whether there was room */
  sendBytes(fd: number, bytes: Uint8Array): boolean {
    if (bytes.length > this.room) return false;
    this.#compact(bytes.length);
    this.#memory.bytes.set(bytes, this.#queue.at + this.#tail);
    this.#tail += bytes.length;
    this.flush(fd);
    return true;
  }

  /** Sends what waits, as much as the kernel takes. */
  flush(fd: number): void {
    if (this.queued === 0 || this.error !== 0) return;
    this.#message.clear();
    this.#message.add(this.#queue.pointer + this.#head, this.queued);
    this.#head += this.#transmit(fd);
    if (this.queued === 0) {
      this.#head = 0;
      this.#tail = 0;
    }
  }

  #describe(rows: Batch, first: number, end: number): number {
    this.#message.clear();
    let total = 0;
    for (let i = first; i < end; i++) {
      this.#message.add(this.#memory.pointer + rows.at[i]!, rows.len[i]!);
      total += rows.len[i]!;
    }
    return total;
  }

  /** Sends the pieces that are described. @returns bytes that the kernel took */
  #transmit(fd: number): number {
    const message = this.#message.end();
    if (this.#message.send(fd, message, MSG_NOSIGNAL) === 1) return this.#message.length(message);
    const number = errno();
    if (number !== EAGAIN && number !== EINTR) this.error = number;
    return 0;
  }

  /** What is behind the first `sent` bytes of the rows waits. */
  #enqueueRows(rows: Batch, sent: number): void {
    let skip = sent;
    const { bytes } = this.#memory;
    for (let i = 0; i < rows.count; i++) {
      const len = rows.len[i]!;
      if (skip >= len) {
        skip -= len;
        continue;
      }
      const rest = len - skip;
      if (rest > this.room) return;
      this.#compact(rest);
      const at = rows.at[i]! + skip;
      bytes.copyWithin(this.#queue.at + this.#tail, at, at + rest);
      this.#tail += rest;
      skip = 0;
    }
  }

  /** Makes room for `len` bytes behind what waits. */
  #compact(len: number): void {
    if (this.#tail + len <= this.#queue.length) return;
    const { at } = this.#queue;
    this.#memory.bytes.copyWithin(at, at + this.#head, at + this.#tail);
    this.#tail -= this.#head;
    this.#head = 0;
  }
}

/** What came of a read: bytes, or that none wait; the peer has ended; an error. */
export const NOTHING = 0;
export const ENDED = -1;
export const FAILED = -2;

/** Reads up to `len` bytes to `pointer`. @returns how many; NOTHING, ENDED, FAILED (errno() says why) */
export function receiveBytes(fd: number, pointer: number, len: number): number {
  const n = libc.read(fd, pointer, len);
  if (n > 0) return n;
  if (n === 0) return ENDED;
  const number = errno();
  return number === EAGAIN || number === EINTR ? NOTHING : FAILED;
}
