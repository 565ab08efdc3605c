/**
 * DHCP messages (RFC 2131 2, RFC 2132), client and server side, as values:
 *   0 op | 1 htype | 2 hlen | 3 hops | 4 xid (4) | 8 secs (2) | 10 flags (2) | 12 ciaddr (4) | 16 yiaddr (4) | 20 siaddr (4)
 *   24 giaddr (4) | 28 chaddr (16) | 44 sname (64) | 108 file (128) | 236 magic cookie (4) | 240 options
 * Control plane: a handful of messages an hour, so they are parsed into objects.
 */
import type { Mac } from "../../lib/mac.ts";

const OP = 0;
const HTYPE = 1;
const HLEN = 2;
const XID = 4;
const SECS = 8;
const FLAGS = 10;
const CIADDR = 12;
const YIADDR = 16;
const SIADDR = 20;
const GIADDR = 24;
const CHADDR = 28;
const SNAME = 44;
const SNAME_LEN = 64;
const FILE = 108;
const FILE_LEN = 128;
const COOKIE = 236;
const OPTIONS = 240;

export const DHCP_CLIENT_PORT = 68;
export const DHCP_SERVER_PORT = 67;
/** BOOTP messages have 300 bytes (RFC 1542 2.1); some relays and servers drop shorter ones. */
const DHCP_MIN_LEN = 300;
const MAGIC_COOKIE = 0x63825363;
const HTYPE_ETHERNET = 1;

export const BOOT_REQUEST = 1;
export const BOOT_REPLY = 2;
export const DHCP_FLAG_BROADCAST = 0x8000;

/** Values of option 53 (RFC 2132 9.6). */
export const DHCP_DISCOVER = 1;
export const DHCP_OFFER = 2;
export const DHCP_REQUEST = 3;
export const DHCP_DECLINE = 4;
export const DHCP_ACK = 5;
export const DHCP_NAK = 6;
export const DHCP_RELEASE = 7;
export const DHCP_INFORM = 8;

const OPTION_PAD = 0;
export const OPTION_SUBNET_MASK = 1;
export const OPTION_ROUTER = 3;
export const OPTION_DNS = 6;
export const OPTION_HOSTNAME = 12;
export const OPTION_DOMAIN = 15;
export const OPTION_MTU = 26;
export const OPTION_BROADCAST = 28;
export const OPTION_REQUESTED_ADDRESS = 50;
export const OPTION_LEASE_TIME = 51;
const OPTION_OVERLOAD = 52;
export const OPTION_MESSAGE_TYPE = 53;
export const OPTION_SERVER_ID = 54;
export const OPTION_PARAMETER_LIST = 55;
export const OPTION_MESSAGE = 56;
export const OPTION_MAX_MESSAGE = 57;
export const OPTION_T1 = 58;
export const OPTION_T2 = 59;
export const OPTION_CLIENT_ID = 61;
export const OPTION_CLASSLESS_ROUTES = 121;
const OPTION_END = 255;

export interface DhcpMessage {
  readonly op: number;
  /** int32 */
  readonly xid: number;
  readonly secs: number;
  readonly flags: number;
  readonly ciaddr: number;
  readonly yiaddr: number;
  readonly siaddr: number;
  readonly giaddr: number;
  readonly chaddr: Mac;
  /** By code, without pad and end; the parts of an option that was given several times are joined (RFC 3396). */
  readonly options: ReadonlyMap<number, Uint8Array>;
}

export type DhcpRefusal = "truncated" | "bad-hardware-type" | "bad-cookie" | "bad-options";

/** Parses a UDP payload; a string names why it was refused. Copies what it keeps. */
export function dhcpParse(message: Uint8Array): DhcpMessage | DhcpRefusal {
  if (message.length < OPTIONS) return "truncated";
  const d = new DataView(message.buffer, message.byteOffset, message.length);
  if (d.getUint8(HTYPE) !== HTYPE_ETHERNET || d.getUint8(HLEN) !== 6) return "bad-hardware-type";
  if (d.getUint32(COOKIE) !== MAGIC_COOKIE) return "bad-cookie";
  const options = new Map<number, Uint8Array>();
  if (!readOptions(message, OPTIONS, message.length, options)) return "bad-options";
  const overload = options.get(OPTION_OVERLOAD);
  if (overload) {
    // RFC 2131 4.1: the file field is read before the sname field.
    const which = overload.length === 1 ? (overload[0] as number) : 0;
    if (which < 1 || which > 3) return "bad-options";
    if ((which & 1) !== 0 && !readOptions(message, FILE, FILE + FILE_LEN, options)) return "bad-options";
    if ((which & 2) !== 0 && !readOptions(message, SNAME, SNAME + SNAME_LEN, options)) return "bad-options";
  }
  return {
    op: d.getUint8(OP),
    xid: d.getInt32(XID),
    secs: d.getUint16(SECS),
    flags: d.getUint16(FLAGS),
    ciaddr: d.getInt32(CIADDR),
    yiaddr: d.getInt32(YIADDR),
    siaddr: d.getInt32(SIADDR),
    giaddr: d.getInt32(GIADDR),
    chaddr: { hi: d.getUint16(CHADDR), lo: d.getInt32(CHADDR + 2) },
    options,
  };
}

/** Adds the options of one field; false when one runs over its end. A missing end option is forgiven. */
function readOptions(m: Uint8Array, from: number, end: number, into: Map<number, Uint8Array>): boolean {
  for (let p = from; p < end; ) {
    const code = m[p++] as number;
    if (code === OPTION_PAD) continue;
    if (code === OPTION_END) return true;
    if (p >= end) return false;
    const len = m[p++] as number;
    if (p + len > end) return false;
    const part = m.slice(p, p + len);
    const before = into.get(code);
    into.set(code, before ? joined(before, part) : part);
    p += len;
  }
  return true;
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const out = new Uint8Array(a.length + b.length);
  out.set(a);
  out.set(b, a.length);
  return out;
}

/** Builds a message of at least DHCP_MIN_LEN bytes; options over 255 bytes are split (RFC 3396). */
export function dhcpBuild(message: DhcpMessage): Uint8Array {
  let size = OPTIONS + 1;
  for (const value of message.options.values()) size += value.length + 2 * Math.max(1, Math.ceil(value.length / 255));
  const out = new Uint8Array(Math.max(size, DHCP_MIN_LEN));
  const d = new DataView(out.buffer);
  d.setUint8(OP, message.op);
  d.setUint8(HTYPE, HTYPE_ETHERNET);
  d.setUint8(HLEN, 6);
  d.setInt32(XID, message.xid);
  d.setUint16(SECS, message.secs);
  d.setUint16(FLAGS, message.flags);
  d.setInt32(CIADDR, message.ciaddr);
  d.setInt32(YIADDR, message.yiaddr);
  d.setInt32(SIADDR, message.siaddr);
  d.setInt32(GIADDR, message.giaddr);
  d.setUint16(CHADDR, message.chaddr.hi);
  d.setInt32(CHADDR + 2, message.chaddr.lo);
  d.setUint32(COOKIE, MAGIC_COOKIE);
  let p = OPTIONS;
  for (const [code, value] of message.options) {
    let done = 0;
    do {
      const part = value.subarray(done, done + 255);
      out[p++] = code;
      out[p++] = part.length;
      out.set(part, p);
      p += part.length;
      done += part.length;
    } while (done < value.length);
  }
  out[p] = OPTION_END;
  return out;
}

/** The value of an option that must have exactly 1, 2 or 4 bytes: unsigned, or undefined. */
export function dhcpNumber(message: DhcpMessage, code: number, bytes: 1 | 2 | 4): number | undefined {
  const value = message.options.get(code);
  if (value?.length !== bytes) return undefined;
  return value.reduce((sum, byte) => sum * 256 + byte, 0);
}

/** The addresses (int32) of an option that is a list of them; undefined when it is absent, empty or not a multiple of 4. */
export function dhcpAddresses(message: DhcpMessage, code: number): number[] | undefined {
  const value = message.options.get(code);
  if (!value || value.length === 0 || value.length % 4 !== 0) return undefined;
  const out: number[] = [];
  for (let p = 0; p < value.length; p += 4) out.push(int32At(value, p));
  return out;
}

export interface DhcpRoute {
  readonly network: number;
  readonly prefix: number;
  /** 0: the destination is on the link itself (RFC 3442). */
  readonly gateway: number;
}

/** Option 121 (RFC 3442): undefined when absent or malformed anywhere. */
export function dhcpClasslessRoutes(message: DhcpMessage): DhcpRoute[] | undefined {
  const value = message.options.get(OPTION_CLASSLESS_ROUTES);
  if (!value || value.length === 0) return undefined;
  const out: DhcpRoute[] = [];
  for (let p = 0; p < value.length; ) {
    const prefix = value[p++] as number;
    const significant = (prefix + 7) >> 3;
    if (prefix > 32 || p + significant + 4 > value.length) return undefined;
    let network = 0;
    for (let i = 0; i < significant; i++) network |= (value[p + i] as number) << (24 - 8 * i);
    p += significant;
    out.push({ network: prefix === 0 ? 0 : network & (-1 << (32 - prefix)), prefix, gateway: int32At(value, p) });
    p += 4;
  }
  return out;
}

/** 4 bytes of an option's value, from an int32. */
export const dhcpInt32 = (value: number): Uint8Array =>
  Uint8Array.of((value >>> 24) & 255, (value >>> 16) & 255, (value >>> 8) & 255, value & 255);

const int32At = (b: Uint8Array, p: number): number =>
  ((b[p] as number) << 24) | ((b[p + 1] as number) << 16) | ((b[p + 2] as number) << 8) | (b[p + 3] as number);
