/**
 * Messages of recvmmsg(2) and sendmmsg(2): their headers, and the pieces that each is made of, in native memory. Those that receive are
 * written once, those that send for each call.
 */
import { MSG_DONTWAIT } from "./constants.ts";
import { libc } from "./libc.ts";
import type { NativeMemory, Piece } from "./memory.ts";
import {
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
} from "./struct.ts";

/** Native memory for so many of them, with so many pieces together. */
export const messagesBytes = (messages: number, pieces: number): number =>
  messages * MMSGHDR_BYTES + pieces * IOVEC_BYTES + 128;

export class Messages {
  readonly capacity: number;
  /** How many are written. */
  count = 0;
  readonly #memory: NativeMemory;
  readonly #headers: Piece;
  readonly #iovecs: Piece;
  readonly #maxPieces: number;
  /** Pieces that are written, and the first one of each message. */
  #pieces = 0;
  readonly #first: Int32Array;

  constructor(memory: NativeMemory, messages: number, pieces: number) {
    this.#memory = memory;
    this.capacity = messages;
    this.#maxPieces = pieces;
    this.#headers = memory.take(messages * MMSGHDR_BYTES, 64);
    this.#iovecs = memory.take(pieces * IOVEC_BYTES);
    this.#first = new Int32Array(messages + 1);
  }

  clear(): void {
    this.count = 0;
    this.#pieces = 0;
  }

  /** Whether another one of so many pieces finds room. */
  hasRoom(pieces: number): boolean {
    return this.count < this.capacity && this.#pieces + pieces <= this.#maxPieces;
  }

  /** Writes the next piece of the message that is being written. @param pointer where it lies in this process */
  add(pointer: number, length: number): void {
    writeIovec(this.#memory.view, this.#iovecs.at + this.#pieces * IOVEC_BYTES, pointer, length);
    this.#pieces++;
  }

  /** Makes a message of the pieces since the one before, without name and control messages. @returns its index */
  end(): number {
    const index = this.count;
    const first = this.#first[index]!;
    this.#setPieces(index, first, this.#pieces - first);
    this.setName(index, 0, 0);
    this.setControl(index, 0, 0);
    this.count = index + 1;
    this.#first[index + 1] = this.#pieces;
    return index;
  }

  /** Where the other end's address stands, or is to be written. */
  setName(index: number, pointer: number, length: number): void {
    const { view } = this.#memory;
    const header = this.#at(index);
    writePointer(view, header + MMSGHDR_NAME, pointer);
    view.setUint32(header + MMSGHDR_NAMELEN, length, true);
  }

  /** Where its control messages stand, or are to be written. */
  setControl(index: number, pointer: number, length: number): void {
    const { view } = this.#memory;
    const header = this.#at(index);
    writePointer(view, header + MMSGHDR_CONTROL, pointer);
    view.setUint32(header + MMSGHDR_CONTROLLEN, length, true);
  }

  /** Makes room again for what the kernel writes beside a message: it has noted there how much it wrote. */
  renew(index: number, nameLength: number, controlLength: number): void {
    const { view } = this.#memory;
    const header = this.#at(index);
    view.setUint32(header + MMSGHDR_NAMELEN, nameLength, true);
    view.setUint32(header + MMSGHDR_CONTROLLEN, controlLength, true);
  }

  /** Receives into them, without waiting. @returns how many were; below 0: errno says why none */
  receive(fd: number, flags = 0): number {
    return libc.recvmmsg(fd, this.#headers.pointer, this.count, MSG_DONTWAIT | flags, 0);
  }

  /** Sends those from `index` on, without waiting. @returns how many were; below 0: errno says why none */
  send(fd: number, index: number, flags = 0): number {
    const pointer = this.#headers.pointer + index * MMSGHDR_BYTES;
    return libc.sendmmsg(fd, pointer, this.count - index, MSG_DONTWAIT | flags);
  }

  /** Sends one piece of a message by itself, beside its name. @returns as send */
  sendPiece(fd: number, index: number, piece: number, controlLength: number): number {
    this.#setPieces(index, this.#first[index]! + piece, 1);
    this.#memory.view.setUint32(this.#at(index) + MMSGHDR_CONTROLLEN, controlLength, true);
    return libc.sendmmsg(fd, this.#headers.pointer + index * MMSGHDR_BYTES, 1, MSG_DONTWAIT);
  }

  /** Pieces of a message. */
  pieces(index: number): number {
    return this.#first[index + 1]! - this.#first[index]!;
  }

  /** Bytes that were received or sent. */
  length(index: number): number {
    return this.#memory.view.getUint32(this.#at(index) + MMSGHDR_LEN, true);
  }

  /** Bytes of the control messages that were received. */
  controlLength(index: number): number {
    return this.#memory.view.getUint32(this.#at(index) + MMSGHDR_CONTROLLEN, true);
  }

  /** What the kernel says of a message that was received (MSG_TRUNC). */
  flags(index: number): number {
    return this.#memory.view.getInt32(this.#at(index) + MMSGHDR_FLAGS, true);
  }

  #at(index: number): number {
    return this.#headers.at + index * MMSGHDR_BYTES;
  }

  #setPieces(index: number, first: number, count: number): void {
    const { view } = this.#memory;
    const header = this.#at(index);
    writePointer(view, header + MMSGHDR_IOV, this.#iovecs.pointer + first * IOVEC_BYTES);
    view.setUint32(header + MMSGHDR_IOVLEN, count, true);
  }
}
