/**
 * rtnetlink(7): requests to the kernel about interfaces and their traffic control, one after the other, and what it answers.
 *
 * struct nlmsghdr { u32 length; u16 type, flags; u32 sequence, port }; then the header of the request's kind, then attributes,
 * struct rtattr { u16 length, type }, each padded to 4 bytes.
 */
import { AF_NETLINK, SOCK_CLOEXEC, SOCK_RAW } from "../sys/constants.ts";
import { SysError } from "../sys/errno.ts";
import { close, read, socket, write } from "../sys/syscalls.ts";

const HEADER = 16;
const TYPE = 4;
const FLAGS = 6;
const SEQUENCE = 8;
const NLM_F_REQUEST = 1;
const NLM_F_ACK = 4;
/** All that there is. */
export const NLM_F_DUMP = 0x300;
export const NLM_F_REPLACE = 0x100;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;
export const NLM_F_APPEND = 0x800;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const ATTRIBUTE = 4;
const REPLY_BYTES = 64 * 1024;

/** A message of the kernel's answer, from the header of its kind on. */
export interface NetlinkMessage {
  readonly type: number;
  readonly body: DataView;
}

export class Netlink {
  readonly #fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0);
  #sequence = 0;

  /** Opens one for the time of `use`. @throws SysError */
  static with<T>(use: (netlink: Netlink) => T): T {
    const netlink = new Netlink();
    try {
      return use(netlink);
    } finally {
      close(netlink.#fd);
    }
  }

  /**
   * Sends a request and waits for all of its answer.
   * @param body the header of its kind, and attributes @throws SysError as the kernel says, with `detail`
   */
  request(type: number, flags: number, body: Uint8Array, detail: string): NetlinkMessage[] {
    const message = new Uint8Array(HEADER + body.length);
    const view = new DataView(message.buffer);
    view.setUint32(0, message.length, true);
    view.setUint16(TYPE, type, true);
    view.setUint16(FLAGS, NLM_F_REQUEST | NLM_F_ACK | flags, true);
    view.setUint32(SEQUENCE, ++this.#sequence, true);
    message.set(body, HEADER);
    write(this.#fd, message);
    const answer: NetlinkMessage[] = [];
    for (;;) {
      const reply = new Uint8Array(REPLY_BYTES);
      const end = read(this.#fd, reply);
      if (this.#take(new DataView(reply.buffer, 0, end), answer, detail)) return answer;
    }
  }

  /** Adds the messages of one datagram. @returns whether the answer ends with it */
  #take(datagram: DataView, answer: NetlinkMessage[], detail: string): boolean {
    for (let at = 0; at + HEADER <= datagram.byteLength; ) {
      const length = datagram.getUint32(at, true);
      if (length < HEADER || at + length > datagram.byteLength) return true;
      const type = datagram.getUint16(at + TYPE, true);
      const body = new DataView(datagram.buffer, at + HEADER, length - HEADER);
      if (type === NLMSG_DONE) return true;
      if (type === NLMSG_ERROR) {
        const errno = -body.getInt32(0, true);
        if (errno !== 0) throw new SysError("netlink", errno, detail);
        return true;
      }
      answer.push({ type, body });
      at += (length + 3) & ~3;
    }
    return false;
  }
}

/** The attributes of a message behind the header of its kind, by their type. */
export function attributes(body: DataView, headerBytes: number): Map<number, DataView> {
  const found = new Map<number, DataView>();
  for (let at = headerBytes; at + ATTRIBUTE <= body.byteLength; ) {
    const length = body.getUint16(at, true);
    if (length < ATTRIBUTE || at + length > body.byteLength) break;
    const start = body.byteOffset + at + ATTRIBUTE;
    found.set(body.getUint16(at + 2, true), new DataView(body.buffer, start, length - ATTRIBUTE));
    at += (length + 3) & ~3;
  }
  return found;
}

/** An attribute, or several in one. */
export function attribute(type: number, ...values: readonly Uint8Array[]): Uint8Array {
  const length = values.reduce((sum, value) => sum + value.length, ATTRIBUTE);
  const bytes = new Uint8Array((length + 3) & ~3);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, length, true);
  view.setUint16(2, type, true);
  let at = ATTRIBUTE;
  for (const value of values) {
    bytes.set(value, at);
    at += value.length;
  }
  return bytes;
}

/** Text of an attribute, up to its zero byte. */
export const textOf = (value: DataView): string => new TextDecoder().decode(value).replace(/\0.*/s, "");
