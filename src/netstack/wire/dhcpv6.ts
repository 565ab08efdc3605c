/**
 * DHCPv6 messages between client and server (RFC 8415 8, 21), as values; those of relays are refused.
 *   message    0 type | 1 transaction id (3) | 4 options
 *   option     0 code (2) | 2 length (2) | 4 value
 *     3 IA_NA: 0 IAID (4) | 4 T1 (4) | 8 T2 (4) | 12 options        5 IAADDR: 0 address (16) | 16 preferred (4) | 20 valid (4) | 24 options
 *     13 status: 0 code (2) | 2 text
 * Control plane: a handful of messages an hour, so they are parsed into objects.
 */
import { IpAddress } from "../../lib/ip.ts";
import type { Mac } from "../../lib/mac.ts";
import { domainListParse } from "./domain-list.ts";

const OPTIONS = 4;
const IA_OPTIONS = 12;
const IAADDR_OPTIONS = 24;
const INFINITE = 0xffffffff;

export const DHCP6_CLIENT_PORT = 546;
export const DHCP6_SERVER_PORT = 547;

/** Message types (RFC 8415 7.3). */
export const DHCP6_SOLICIT = 1;
export const DHCP6_ADVERTISE = 2;
export const DHCP6_REQUEST = 3;
export const DHCP6_CONFIRM = 4;
export const DHCP6_RENEW = 5;
export const DHCP6_REBIND = 6;
export const DHCP6_REPLY = 7;
export const DHCP6_RELEASE = 8;
export const DHCP6_DECLINE = 9;
const DHCP6_RECONFIGURE = 10;
export const DHCP6_INFORMATION_REQUEST = 11;

export const OPTION6_CLIENT_ID = 1;
export const OPTION6_SERVER_ID = 2;
const OPTION6_IA_NA = 3;
const OPTION6_IAADDR = 5;
export const OPTION6_REQUEST = 6;
export const OPTION6_PREFERENCE = 7;
export const OPTION6_ELAPSED_TIME = 8;
const OPTION6_STATUS = 13;
export const OPTION6_RAPID_COMMIT = 14;
export const OPTION6_DNS = 23;
export const OPTION6_DOMAINS = 24;
export const OPTION6_REFRESH_TIME = 32;
export const OPTION6_SOL_MAX_RT = 82;
export const OPTION6_INF_MAX_RT = 83;

/** Status codes (RFC 8415 21.13). */
export const STATUS6_SUCCESS = 0;
export const STATUS6_NO_BINDING = 3;
export const STATUS6_NOT_ON_LINK = 4;

/** By code; of an option that is there several times where it must be once, the first. */
export type Dhcp6Options = ReadonlyMap<number, readonly Uint8Array[]>;

export interface Dhcp6Message {
  readonly type: number;
  /** 24 bits */
  readonly xid: number;
  readonly options: Dhcp6Options;
}

export type Dhcp6Refusal = "truncated" | "bad-type" | "bad-options";

/** Parses a UDP payload; a string names why it was refused. Copies what it keeps. */
export function dhcp6Parse(message: Uint8Array): Dhcp6Message | Dhcp6Refusal {
  if (message.length < OPTIONS) return "truncated";
  const type = message[0] as number;
  // Who is not asked is not reconfigured (RFC 8415 18.2.11), and relays speak to relays and servers.
  if (type === 0 || type === DHCP6_RECONFIGURE || type > DHCP6_INFORMATION_REQUEST) return "bad-type";
  const options = readOptions(message, OPTIONS);
  if (options === undefined) return "bad-options";
  return { type, xid: (uint16(message, 1) << 8) | (message[3] as number), options };
}

/** Builds a message. */
export function dhcp6Build({ type, xid, options }: Dhcp6Message): Uint8Array {
  return Uint8Array.of(type, (xid >>> 16) & 255, (xid >>> 8) & 255, xid & 255, ...optionBytes(options));
}

/** The value of an option, undefined when it is absent. */
export const dhcp6Option = (options: Dhcp6Options, code: number): Uint8Array | undefined => options.get(code)?.[0];

/** The value of an option that must have exactly 1 or 4 bytes: unsigned, or undefined. */
export function dhcp6Number(options: Dhcp6Options, code: number, bytes: 1 | 4): number | undefined {
  const value = dhcp6Option(options, code);
  if (value?.length !== bytes) return undefined;
  return value.reduce((sum, byte) => sum * 256 + byte, 0);
}

/** The addresses of an option that is a list of them; undefined when it is absent, empty or not a multiple of 16. */
export function dhcp6Addresses(options: Dhcp6Options, code: number): IpAddress[] | undefined {
  const value = dhcp6Option(options, code);
  if (value === undefined || value.length === 0 || value.length % 16 !== 0) return undefined;
  return Array.from({ length: value.length / 16 }, (_, i) => IpAddress.fromBytes(value.subarray(16 * i, 16 * i + 16)));
}

/** The domain list (RFC 3646 4); undefined when it is absent or malformed. */
export function dhcp6Domains(options: Dhcp6Options): string[] | undefined {
  const value = dhcp6Option(options, OPTION6_DOMAINS);
  return value === undefined ? undefined : domainListParse(value, false);
}

/** The status code of a message, an IA or an address; what says nothing is a success (RFC 8415 21.13). */
export function dhcp6Status(options: Dhcp6Options): number {
  const value = dhcp6Option(options, OPTION6_STATUS);
  return value === undefined || value.length < 2 ? STATUS6_SUCCESS : uint16(value, 0);
}

/** What a status says besides its code, for a person: printable ASCII, at most 100 characters; "" without one. */
export function dhcp6StatusText(options: Dhcp6Options): string {
  const value = dhcp6Option(options, OPTION6_STATUS)?.subarray(2, 102) ?? [];
  return Array.from(value, (byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : "?")).join("");
}

export interface Dhcp6Address {
  readonly address: IpAddress;
  /** Seconds, Infinity for ever. */
  readonly preferred: number;
  readonly valid: number;
  readonly status: number;
}

export interface IaNa {
  /** int32 */
  readonly iaid: number;
  /** Seconds, Infinity for never; 0: the client's choice. */
  readonly t1: number;
  readonly t2: number;
  readonly status: number;
  readonly addresses: readonly Dhcp6Address[];
}

/** The identity associations for addresses (RFC 8415 21.4, 21.6); those that are malformed are not among them. */
export function dhcp6IaNa(options: Dhcp6Options): IaNa[] {
  const out: IaNa[] = [];
  for (const value of options.get(OPTION6_IA_NA) ?? []) {
    const inner = value.length < IA_OPTIONS ? undefined : readOptions(value, IA_OPTIONS);
    if (inner === undefined) continue;
    const addresses: Dhcp6Address[] = [];
    for (const a of inner.get(OPTION6_IAADDR) ?? []) {
      const more = a.length < IAADDR_OPTIONS ? undefined : readOptions(a, IAADDR_OPTIONS);
      if (more === undefined) continue;
      const address = IpAddress.fromBytes(a.subarray(0, 16));
      addresses.push({ address, preferred: seconds(a, 16), valid: seconds(a, 20), status: dhcp6Status(more) });
    }
    const iaid = uint32(value, 0) | 0;
    out.push({ iaid, t1: seconds(value, 4), t2: seconds(value, 8), status: dhcp6Status(inner), addresses });
  }
  return out;
}

/** An IA_NA as a client sends it: with the address that it has or wishes for, and no times (RFC 8415 18.2). */
export function dhcp6IaNaOption(iaid: number, address: IpAddress | undefined): readonly [number, Uint8Array] {
  const inner = address === undefined ? [] : [[OPTION6_IAADDR, addressValue(address)] as const];
  const options = optionBytes(dhcp6Options(inner));
  return [OPTION6_IA_NA, Uint8Array.of(...uint32Bytes(iaid), 0, 0, 0, 0, 0, 0, 0, 0, ...options)];
}

/** Options in the order in which they are to be sent. */
export function dhcp6Options(list: readonly (readonly [number, Uint8Array])[]): Dhcp6Options {
  const out = new Map<number, Uint8Array[]>();
  for (const [code, value] of list) {
    const before = out.get(code);
    if (before === undefined) out.set(code, [value]);
    else before.push(value);
  }
  return out;
}

/** The DUID of a station that knows nothing but its MAC, the same after every start (DUID-LL, RFC 8415 11.4). */
export const dhcp6Duid = ({ hi, lo }: Mac): Uint8Array =>
  Uint8Array.of(0, 3, 0, 1, hi >>> 8, hi & 255, ...uint32Bytes(lo));

/** A value of 2 bytes. */
export const dhcp6Uint16 = (value: number): Uint8Array => Uint8Array.of(value >>> 8, value & 255);

/** Undefined when an option runs over the end. */
function readOptions(m: Uint8Array, from: number): Dhcp6Options | undefined {
  const list: [number, Uint8Array][] = [];
  for (let p = from; p < m.length; ) {
    if (p + 4 > m.length) return undefined;
    const end = p + 4 + uint16(m, p + 2);
    if (end > m.length) return undefined;
    list.push([uint16(m, p), m.slice(p + 4, end)]);
    p = end;
  }
  return dhcp6Options(list);
}

function optionBytes(options: Dhcp6Options): number[] {
  const out: number[] = [];
  for (const [code, values] of options)
    for (const value of values) out.push(code >>> 8, code & 255, value.length >>> 8, value.length & 255, ...value);
  return out;
}

const addressValue = ({ w0, w1, w2, w3 }: IpAddress): Uint8Array =>
  Uint8Array.of(...[w0, w1, w2, w3].flatMap(uint32Bytes), 0, 0, 0, 0, 0, 0, 0, 0);

const uint16 = (b: Uint8Array, p: number): number => ((b[p] as number) << 8) | (b[p + 1] as number);

const uint32 = (b: Uint8Array, p: number): number => uint16(b, p) * 65536 + uint16(b, p + 2);

function seconds(b: Uint8Array, p: number): number {
  const value = uint32(b, p);
  return value === INFINITE ? Number.POSITIVE_INFINITY : value;
}

const uint32Bytes = (value: number): number[] => [
  (value >>> 24) & 255,
  (value >>> 16) & 255,
  (value >>> 8) & 255,
  value & 255,
];
