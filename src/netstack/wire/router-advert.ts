/**
 * Router discovery (RFC 4861 4.1, 4.2; ICMPv6 types 133 and 134), as values: a message is what lies behind the IPv6 header, and
 * whoever hands it in has verified its checksum.
 *   solicitation   0 type | 1 code | 2 checksum (2) | 4 reserved (4) | 8 options
 *   advertisement  0 type | 1 code | 2 checksum (2) | 4 hop limit | 5 M O H Prf(2) | 6 router lifetime (2)
 *                  8 reachable time (4) | 12 retransmission timer (4) | 16 options
 *   option         0 type | 1 length in units of 8 bytes, with these two | 2 ...
 *     1 source link-layer address: 2 MAC (6)
 *     3 prefix: 2 prefix length | 3 L A | 4 valid (4) | 8 preferred (4) | 12 reserved (4) | 16 prefix (16)
 *     5 MTU: 4 MTU (4)
 *    24 route (RFC 4191 2.3): 2 prefix length | 3 Prf at bit 3 | 4 lifetime (4) | 8 prefix (0, 8 or 16)
 *    25 RDNSS (RFC 8106 5.1): 4 lifetime (4) | 8 addresses (16 each)
 *    31 DNSSL (RFC 8106 5.2): 4 lifetime (4) | 8 names, padded with zeros
 * Control plane: a handful of messages a minute, so they are parsed into objects.
 */
import { Cidr } from "../../lib/cidr.ts";
import { IpAddress } from "../../lib/ip.ts";
import type { Mac } from "../../lib/mac.ts";
import { domainListBuild, domainListParse } from "./domain-list.ts";

const TYPE = 0;
const CODE = 1;
const HOP_LIMIT = 4;
const FLAGS = 5;
const LIFETIME = 6;
const REACHABLE_TIME = 8;
const RETRANS_TIMER = 12;
const SOLICIT_LEN = 8;
const ADVERT_LEN = 16;

const ROUTER_SOLICIT = 133;
const ROUTER_ADVERT = 134;
const FLAG_MANAGED = 0x80;
const FLAG_OTHER = 0x40;
/** Where the preference lies in its byte (RFC 4191 2.2, 2.3). */
const PREFERENCE_SHIFT = 3;

const OPTION_SOURCE_LINK = 1;
const OPTION_PREFIX = 3;
const OPTION_MTU = 5;
const OPTION_ROUTE = 24;
const OPTION_RDNSS = 25;
const OPTION_DNSSL = 31;
const PREFIX_ON_LINK = 0x80;
const PREFIX_AUTONOMOUS = 0x40;
const INFINITE = 0xffffffff;
/** Our choice, against messages that are made to keep us busy: a frame of 1,500 has room for 185 options, real ones have ten. */
const MAX_OPTIONS = 64;

/** Higher is better (RFC 4191 2.1). */
export const PREFERENCE_LOW = -1;
export const PREFERENCE_MEDIUM = 0;
export const PREFERENCE_HIGH = 1;
export type Preference = typeof PREFERENCE_LOW | typeof PREFERENCE_MEDIUM | typeof PREFERENCE_HIGH;

export interface AdvertisedPrefix {
  /** As it was sent: host bits may be set. */
  readonly prefix: Cidr;
  readonly onLink: boolean;
  readonly autonomous: boolean;
  /** Seconds, Infinity for ever. */
  readonly valid: number;
  readonly preferred: number;
}

export interface AdvertisedRoute {
  readonly prefix: Cidr;
  readonly preference: Preference;
  /** Seconds, Infinity for ever; 0: not any more. */
  readonly lifetime: number;
}

export interface RouterAdvert {
  /** 0: not said. */
  readonly hopLimit: number;
  /** Addresses by DHCPv6. */
  readonly managed: boolean;
  /** Other things, such as DNS servers, by DHCPv6. */
  readonly other: boolean;
  readonly preference: Preference;
  /** As a default router, in seconds; 0: it is none. */
  readonly lifetime: number;
  /** Milliseconds; 0: not said. */
  readonly reachableTime: number;
  readonly retransTimer: number;
  readonly mac: Mac | undefined;
  readonly mtu: number | undefined;
  readonly prefixes: readonly AdvertisedPrefix[];
  readonly routes: readonly AdvertisedRoute[];
  readonly rdnss: readonly { readonly servers: readonly IpAddress[]; readonly lifetime: number }[];
  readonly dnssl: readonly { readonly domains: readonly string[]; readonly lifetime: number }[];
}

export interface RouterSolicit {
  readonly mac: Mac | undefined;
}

export type RouterDiscoveryRefusal = "truncated" | "bad-type" | "bad-code" | "bad-options" | "too-many-options";

/** Parses an advertisement; a string names why it was refused (RFC 4861 6.1.2). Options that are malformed by themselves are passed over. */
export function routerAdvertParse(message: Uint8Array): RouterAdvert | RouterDiscoveryRefusal {
  const bad = check(message, ROUTER_ADVERT, ADVERT_LEN);
  if (bad !== undefined) return bad;
  const d = new DataView(message.buffer, message.byteOffset, message.length);
  let mac: Mac | undefined;
  let mtu: number | undefined;
  const prefixes: AdvertisedPrefix[] = [];
  const routes: AdvertisedRoute[] = [];
  const rdnss: { servers: IpAddress[]; lifetime: number }[] = [];
  const dnssl: { domains: string[]; lifetime: number }[] = [];
  for (let p = ADVERT_LEN; p < message.length; p += optionLen(d, p)) {
    const len = optionLen(d, p);
    switch (d.getUint8(p)) {
      case OPTION_SOURCE_LINK:
        mac = readMac(d, p);
        break;
      case OPTION_MTU:
        if (len === 8) mtu = d.getUint32(p + 4);
        break;
      case OPTION_PREFIX: {
        const prefix = readPrefix(d, p);
        if (prefix !== undefined) prefixes.push(prefix);
        break;
      }
      case OPTION_ROUTE: {
        const route = readRoute(d, p);
        if (route !== undefined) routes.push(route);
        break;
      }
      case OPTION_RDNSS:
        // RFC 8106 5.3.1: at least one address, and nothing but whole ones.
        if (len >= 24 && len % 16 === 8) {
          const servers = Array.from({ length: (len - 8) / 16 }, (_, i) => readAddress(d, p + 8 + 16 * i, 16));
          rdnss.push({ servers, lifetime: seconds(d, p + 4) });
        }
        break;
      case OPTION_DNSSL: {
        const domains = len >= 16 ? domainListParse(message.subarray(p + 8, p + len), true) : undefined;
        if (domains !== undefined) dnssl.push({ domains, lifetime: seconds(d, p + 4) });
        break;
      }
    }
  }
  const flags = d.getUint8(FLAGS);
  const lifetime = d.getUint16(LIFETIME);
  return {
    hopLimit: d.getUint8(HOP_LIMIT),
    managed: (flags & FLAG_MANAGED) !== 0,
    other: (flags & FLAG_OTHER) !== 0,
    preference: preferenceOf(flags) ?? PREFERENCE_MEDIUM, // the reserved value counts as medium (RFC 4191 2.2)
    lifetime,
    reachableTime: d.getUint32(REACHABLE_TIME),
    retransTimer: d.getUint32(RETRANS_TIMER),
    mac,
    mtu,
    prefixes,
    routes,
    rdnss,
    dnssl,
  };
}

/** Parses a solicitation; a string names why it was refused (RFC 4861 6.1.1, but for the rule about its source address). */
export function routerSolicitParse(message: Uint8Array): RouterSolicit | RouterDiscoveryRefusal {
  const bad = check(message, ROUTER_SOLICIT, SOLICIT_LEN);
  if (bad !== undefined) return bad;
  const d = new DataView(message.buffer, message.byteOffset, message.length);
  let mac: Mac | undefined;
  for (let p = SOLICIT_LEN; p < message.length; p += optionLen(d, p))
    if (d.getUint8(p) === OPTION_SOURCE_LINK) mac = readMac(d, p);
  return { mac };
}

/** Builds a solicitation, with checksum 0. @param mac undefined where it is sent from the unspecified address */
export function routerSolicitBuild(mac: Mac | undefined): Uint8Array {
  const out = new Uint8Array(SOLICIT_LEN + (mac === undefined ? 0 : 8));
  out[TYPE] = ROUTER_SOLICIT;
  if (mac !== undefined) out.set(sourceLink(mac), SOLICIT_LEN);
  return out;
}

/** Builds an advertisement, with checksum 0. */
export function routerAdvertBuild(advert: RouterAdvert): Uint8Array {
  const options: Uint8Array[] = [];
  if (advert.mac !== undefined) options.push(sourceLink(advert.mac));
  if (advert.mtu !== undefined) {
    const d = option(options, OPTION_MTU, 8);
    d.setUint32(4, advert.mtu);
  }
  for (const { prefix, onLink, autonomous, valid, preferred } of advert.prefixes) {
    const d = option(options, OPTION_PREFIX, 32);
    d.setUint8(2, prefix.prefix);
    d.setUint8(3, (onLink ? PREFIX_ON_LINK : 0) | (autonomous ? PREFIX_AUTONOMOUS : 0));
    d.setUint32(4, lifetimeWord(valid));
    d.setUint32(8, lifetimeWord(preferred));
    writeAddress(d, 16, prefix.address);
  }
  for (const { prefix, preference, lifetime } of advert.routes) {
    const d = option(options, OPTION_ROUTE, 24);
    d.setUint8(2, prefix.prefix);
    d.setUint8(3, (preference & 3) << PREFERENCE_SHIFT);
    d.setUint32(4, lifetimeWord(lifetime));
    writeAddress(d, 8, prefix.address);
  }
  for (const { servers, lifetime } of advert.rdnss) {
    const d = option(options, OPTION_RDNSS, 8 + 16 * servers.length);
    d.setUint32(4, lifetimeWord(lifetime));
    for (const [i, server] of servers.entries()) writeAddress(d, 8 + 16 * i, server);
  }
  for (const { domains, lifetime } of advert.dnssl) {
    const names = domainListBuild(domains);
    const d = option(options, OPTION_DNSSL, 8 + Math.ceil(names.length / 8) * 8);
    d.setUint32(4, lifetimeWord(lifetime));
    (options.at(-1) as Uint8Array).set(names, 8);
  }
  const out = new Uint8Array(options.reduce((sum, part) => sum + part.length, ADVERT_LEN));
  const d = new DataView(out.buffer);
  d.setUint8(TYPE, ROUTER_ADVERT);
  d.setUint8(HOP_LIMIT, advert.hopLimit);
  const flags = (advert.managed ? FLAG_MANAGED : 0) | (advert.other ? FLAG_OTHER : 0);
  d.setUint8(FLAGS, flags | ((advert.preference & 3) << PREFERENCE_SHIFT));
  d.setUint16(LIFETIME, advert.lifetime);
  d.setUint32(REACHABLE_TIME, advert.reachableTime);
  d.setUint32(RETRANS_TIMER, advert.retransTimer);
  let p = ADVERT_LEN;
  for (const part of options) {
    out.set(part, p);
    p += part.length;
  }
  return out;
}

/** The one check: type, code, length, and that the options fill the message exactly. */
function check(message: Uint8Array, type: number, headerLen: number): RouterDiscoveryRefusal | undefined {
  if (message.length < headerLen) return "truncated";
  if (message[TYPE] !== type) return "bad-type";
  if (message[CODE] !== 0) return "bad-code";
  let count = 0;
  for (let p = headerLen; p < message.length; ) {
    if (p + 2 > message.length) return "bad-options";
    const len = (message[p + 1] as number) * 8;
    if (len === 0 || p + len > message.length) return "bad-options"; // RFC 4861 4.6
    if (++count > MAX_OPTIONS) return "too-many-options";
    p += len;
  }
  return undefined;
}

const optionLen = (d: DataView, p: number): number => d.getUint8(p + 1) * 8;

const readMac = (d: DataView, p: number): Mac | undefined =>
  optionLen(d, p) === 8 ? { hi: d.getUint16(p + 2), lo: d.getInt32(p + 4) } : undefined;

function readPrefix(d: DataView, p: number): AdvertisedPrefix | undefined {
  const length = d.getUint8(p + 2);
  if (optionLen(d, p) !== 32 || length > 128) return undefined;
  const flags = d.getUint8(p + 3);
  return {
    prefix: new Cidr(readAddress(d, p + 16, 16), length),
    onLink: (flags & PREFIX_ON_LINK) !== 0,
    autonomous: (flags & PREFIX_AUTONOMOUS) !== 0,
    valid: seconds(d, p + 4),
    preferred: seconds(d, p + 8),
  };
}

function readRoute(d: DataView, p: number): AdvertisedRoute | undefined {
  const len = optionLen(d, p);
  const length = d.getUint8(p + 2);
  const preference = preferenceOf(d.getUint8(p + 3));
  // RFC 4191 2.3: the prefix takes what it needs, at least; the reserved preference makes the option void.
  if (preference === undefined || length > 128 || len > 24 || len < 8 + 8 * Math.ceil(length / 64)) return undefined;
  return { prefix: new Cidr(readAddress(d, p + 8, len - 8), length).network, preference, lifetime: seconds(d, p + 4) };
}

/** An address of which only the first `len` bytes are there (0, 8 or 16). */
function readAddress(d: DataView, p: number, len: number): IpAddress {
  const word = (i: number): number => (4 * i < len ? d.getInt32(p + 4 * i) : 0);
  return new IpAddress(word(0), word(1), word(2), word(3));
}

function writeAddress(d: DataView, p: number, { w0, w1, w2, w3 }: IpAddress): void {
  d.setInt32(p, w0);
  d.setInt32(p + 4, w1);
  d.setInt32(p + 8, w2);
  d.setInt32(p + 12, w3);
}

/** The two bits as a signed number; undefined for the reserved value. */
function preferenceOf(byte: number): Preference | undefined {
  const bits = (byte >> PREFERENCE_SHIFT) & 3;
  return bits === 2 ? undefined : bits === 3 ? PREFERENCE_LOW : (bits as Preference);
}

function seconds(d: DataView, p: number): number {
  const value = d.getUint32(p);
  return value === INFINITE ? Number.POSITIVE_INFINITY : value;
}

const lifetimeWord = (s: number): number => Math.min(s, INFINITE);

function option(options: Uint8Array[], type: number, len: number): DataView {
  const part = new Uint8Array(len);
  part[0] = type;
  part[1] = len / 8;
  options.push(part);
  return new DataView(part.buffer);
}

const sourceLink = ({ hi, lo }: Mac): Uint8Array =>
  Uint8Array.of(
    OPTION_SOURCE_LINK,
    1,
    hi >>> 8,
    hi & 255,
    (lo >>> 24) & 255,
    (lo >>> 16) & 255,
    (lo >>> 8) & 255,
    lo & 255,
  );
