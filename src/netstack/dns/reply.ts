/**
 * Answers to LAN hosts, written into one buffer: refusals, local names, and messages of a server with the asker's own id and letters. An
 * answer that is longer than the asker's room is cut to nothing but the question, with TC (RFC 2181 9).
 */
import type { IpAddress } from "../../lib/ip.ts";
import {
  DNS_AA,
  DNS_CD,
  DNS_CLASS_IN,
  DNS_HEADER_LEN,
  DNS_MAX_LEN,
  DNS_OPCODE,
  DNS_OPT_LEN,
  DNS_QR,
  DNS_RA,
  DNS_RCODE,
  DNS_RD,
  DNS_TC,
  DnsRcode,
  DnsType,
  dnsEmitExtendedError,
  dnsEmitHeader,
  dnsEmitOpt,
  dnsFlags,
  dnsNameBytes,
  dnsSetAdditionals,
  dnsSetFlags,
  dnsSetId,
  dnsTtl,
} from "../wire/dns-message.ts";
import type { LocalAnswer } from "./names.ts";
import { EDNS_SIZE } from "./query.ts";

/** Of whom an answer depends beside its content. */
export interface Asked {
  readonly id: number;
  readonly flags: number;
  /** Where name and question end in the message; 0: they could not be read. */
  readonly nameEnd: number;
  readonly questionEnd: number;
  readonly type: number;
  readonly hasEdns: boolean;
  readonly dnssecOk: boolean;
  /** Bytes that the answer may have. */
  readonly room: number;
}

/** Our choice, s: a host may have another address soon. */
const LOCAL_TTL = 30;
/** More addresses than this has no host of a LAN; they fit into any answer. */
const MAX_ADDRESSES = 8;
const POINTER = 0xc000;
/** The owner of a local zone is nobody (RFC 6303 3). */
const RNAME = dnsNameBytes("nobody.invalid");

export class ReplyWriter {
  readonly bytes = new Uint8Array(DNS_MAX_LEN + 64);
  readonly #d = new DataView(this.bytes.buffer);

  /** @param message with the question @param extended extended error, 0: none. @returns its length */
  refusal(asked: Asked, message: Uint8Array, rcode: number, extended: number): number {
    const d = this.#d;
    const end = this.#begin(asked, message, DNS_RA | (rcode & DNS_RCODE));
    if (!asked.hasEdns) return end;
    dnsSetAdditionals(d, 1);
    const optEnd = dnsEmitOpt(d, end, EDNS_SIZE, rcode, asked.dnssecOk);
    return extended === 0 ? optEnd : dnsEmitExtendedError(d, optEnd, extended);
  }

  /** Nothing but the question: the asker comes again by TCP. */
  truncated(asked: Asked, message: Uint8Array): number {
    const end = this.#begin(asked, message, DNS_RA | DNS_TC);
    return this.#finish(asked, end, 0);
  }

  local(asked: Asked, message: Uint8Array, { exists, addresses, target, zone }: LocalAnswer): number {
    const d = this.#d;
    let p = this.#begin(asked, message, DNS_AA | DNS_RA | (exists ? 0 : DnsRcode.NxDomain));
    const given = addresses.slice(0, MAX_ADDRESSES);
    for (const address of given) p = this.#address(p, address);
    if (target !== undefined) p = this.#record(p, POINTER | DNS_HEADER_LEN, DnsType.PTR, dnsNameBytes(target));
    const answers = given.length + (target === undefined ? 0 : 1);
    if (answers === 0) p = this.#soa(p, POINTER | zoneAt(message, zone));
    dnsEmitHeader(d, asked.id, dnsFlags(d), answers, answers === 0 ? 1 : 0, 0);
    return p + (asked.hasEdns ? DNS_OPT_LEN : 0) > asked.room
      ? this.truncated(asked, message)
      : this.#finish(asked, p, 0);
  }

  /**
   * A server's answer.
   * @param ttls where its TTLs are @param age s, to count them down by @param isCached it was given before
   */
  stored(
    asked: Asked,
    message: Uint8Array,
    answer: Uint8Array,
    ttls: Uint16Array,
    age: number,
    isCached: boolean,
  ): number {
    const len = answer.length;
    if (len + (asked.hasEdns ? DNS_OPT_LEN : 0) > asked.room) return this.truncated(asked, message);
    const { bytes } = this;
    const d = this.#d;
    bytes.set(answer);
    dnsSetId(d, asked.id);
    // What is given again is not from the authority any more (RFC 1035 4.1.1).
    if (isCached) dnsSetFlags(d, dnsFlags(d) & ~DNS_AA);
    for (let i = DNS_HEADER_LEN; i < asked.nameEnd; i++) bytes[i] = message[i]!;
    if (age > 0) for (let i = 0; i < ttls.length; i++) d.setUint32(ttls[i]!, Math.max(0, dnsTtl(d, ttls[i]!) - age));
    return asked.hasEdns ? this.#finish(asked, len, d.getUint16(10)) : len;
  }

  /** Header and question, in the letters of whoever asked. @returns where they end */
  #begin(asked: Asked, message: Uint8Array, flags: number): number {
    const { bytes } = this;
    const d = this.#d;
    const own = asked.flags & (DNS_OPCODE | DNS_RD | DNS_CD);
    dnsEmitHeader(d, asked.id, DNS_QR | own | flags, 0, 0, 0);
    if (asked.questionEnd === 0) {
      d.setUint16(4, 0);
      return DNS_HEADER_LEN;
    }
    for (let i = DNS_HEADER_LEN; i < asked.questionEnd; i++) bytes[i] = message[i]!;
    return asked.questionEnd;
  }

  /** OPT for who sent one (RFC 6891 6.1.1). @param additionals that are there already */
  #finish(asked: Asked, end: number, additionals: number): number {
    if (!asked.hasEdns) return end;
    dnsSetAdditionals(this.#d, additionals + 1);
    return dnsEmitOpt(this.#d, end, EDNS_SIZE, 0, asked.dnssecOk);
  }

  #address(p: number, address: IpAddress): number {
    const data = new Uint8Array(address.isIpv4 ? 4 : 16);
    const d = new DataView(data.buffer);
    const words = address.isIpv4 ? [address.w3] : [address.w0, address.w1, address.w2, address.w3];
    for (const [i, word] of words.entries()) d.setInt32(4 * i, word);
    return this.#record(p, POINTER | DNS_HEADER_LEN, address.isIpv4 ? DnsType.A : DnsType.AAAA, data);
  }

  #record(p: number, owner: number, type: number, data: Uint8Array): number {
    const d = this.#d;
    d.setUint16(p, owner);
    d.setUint16(p + 2, type);
    d.setUint16(p + 4, DNS_CLASS_IN);
    d.setUint32(p + 6, LOCAL_TTL);
    d.setUint16(p + 10, data.length);
    this.bytes.set(data, p + 12);
    return p + 12 + data.length;
  }

  /** How long it may be remembered that something is not there (RFC 2308 3). */
  #soa(p: number, zone: number): number {
    const data = new Uint8Array(2 + RNAME.length + 20);
    const d = new DataView(data.buffer);
    d.setUint16(0, zone);
    data.set(RNAME, 2);
    // serial, refresh, retry, expire: nobody transfers it
    for (const [i, value] of [1, 3600, 1200, 604_800, LOCAL_TTL].entries())
      d.setUint32(2 + RNAME.length + 4 * i, value);
    return this.#record(p, zone, DnsType.SOA, data);
  }
}

/** Where the last `labels` labels of the question begin. */
function zoneAt(message: Uint8Array, labels: number): number {
  const starts: number[] = [];
  let p = DNS_HEADER_LEN;
  for (; message[p] !== 0; p += message[p]! + 1) starts.push(p);
  return starts[starts.length - labels] ?? p;
}
