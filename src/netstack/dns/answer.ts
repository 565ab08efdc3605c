/**
 * What a server answered, as bytes: every record is walked over once, which finds what the forwarder has to know of it. Nothing in it is
 * believed about any name but the one that was asked for: the message is kept and given as a whole, for its question only.
 */
import {
  DNS_CLASS_IN,
  DNS_HEADER_LEN,
  DNS_OPCODE,
  DNS_QR,
  DNS_RCODE,
  DNS_TC,
  DnsRcode,
  DnsRecordView,
  DnsType,
  dnsAdditionals,
  dnsAnswers,
  dnsAuthorities,
  dnsFlags,
  dnsId,
  dnsNameEnd,
  dnsQuestionNameEnd,
  dnsQuestions,
  dnsTtl,
} from "../wire/dns-message.ts";
import { isPrivateRecord } from "./private-answer.ts";

/** RFC 2308 5: what is not there is believed for three hours at most. */
const MAX_NEGATIVE_TTL_S = 10_800;
/** A message of 64 KiB has no more records than this: 11 bytes each at least. */
const MAX_RECORDS = 6000;
const SOA_NUMBERS_LEN = 20;

/**
 * How far a message is readable. header: too little to say of what it is an answer; refusal: a header that has an RCODE and no
 * question, as servers send that could not read theirs; whole
 */
export type AnswerForm = "unreadable" | "refusal" | "whole";

export class AnswerView {
  id = 0;
  flags = 0;
  /** With the upper bits of OPT. */
  rcode = 0;
  nameEnd = 0;
  questionEnd = 0;
  hasEdns = false;
  isTruncated = false;
  /** Up to which byte it is passed on: OPT is between two neighbours (RFC 6891 6.1.1), and was here the last record or is taken as such. */
  end = 0;
  /** Additional records in front of that. */
  additionals = 0;
  /** How long it may be given again, s; 0: not at all. */
  ttl = 0;
  /** Whether its answer section has an address that is of no public host. */
  isPrivate = false;
  /** Where its TTLs are: `ttlCount` of them. */
  readonly ttlAt = new Uint16Array(MAX_RECORDS);
  ttlCount = 0;
  readonly #record = new DnsRecordView();

  read(d: DataView, len: number): AnswerForm {
    if (len < DNS_HEADER_LEN) return "unreadable";
    const flags = dnsFlags(d);
    this.id = dnsId(d);
    this.flags = flags;
    this.rcode = flags & DNS_RCODE;
    this.isTruncated = (flags & DNS_TC) !== 0;
    this.hasEdns = false;
    this.isPrivate = false;
    this.ttl = 0;
    this.ttlCount = 0;
    this.nameEnd = 0;
    this.questionEnd = 0;
    this.end = 0;
    if ((flags & DNS_QR) === 0 || (flags & DNS_OPCODE) !== 0) return "unreadable";
    if (dnsQuestions(d) === 0 && this.rcode !== DnsRcode.NoError && len === DNS_HEADER_LEN) return "refusal";
    if (dnsQuestions(d) !== 1) return "unreadable";
    this.nameEnd = dnsQuestionNameEnd(d, DNS_HEADER_LEN, len);
    this.questionEnd = this.nameEnd + 4;
    if (this.nameEnd < 0 || this.questionEnd > len) return "unreadable";
    // Of a truncated message nothing but its header counts: RFC 2181 9.
    return this.isTruncated || this.#readRecords(d, len) ? "whole" : "unreadable";
  }

  #readRecords(d: DataView, len: number): boolean {
    const record = this.#record;
    const type = d.getUint16(this.nameEnd);
    const answers = dnsAnswers(d);
    const authorities = answers + dnsAuthorities(d);
    const all = authorities + dnsAdditionals(d);
    let least = Number.POSITIVE_INFINITY;
    let negative = -1;
    let isAnswered = false;
    let p = this.questionEnd;
    this.end = 0;
    this.additionals = all - authorities;
    for (let i = 0; i < all; i++) {
      if (!record.read(d, p, len)) return false;
      if (record.type === DnsType.OPT) {
        if (i < authorities || this.hasEdns) return false;
        this.hasEdns = true;
        this.rcode |= d.getUint8(record.ttlAt) << 4;
        this.end = p;
        this.additionals = i - authorities;
      } else if (!this.hasEdns) {
        const ttl = dnsTtl(d, record.ttlAt);
        least = Math.min(least, ttl);
        this.ttlAt[this.ttlCount++] = record.ttlAt;
        if (i < answers) {
          isAnswered ||= record.type === type;
          if (record.cls === DNS_CLASS_IN) this.isPrivate ||= isPrivateRecord(d, record);
        } else if (i < authorities && record.type === DnsType.SOA) {
          const minimum = soaMinimum(d, record, len);
          if (minimum < 0) return false;
          negative = Math.min(ttl, minimum, MAX_NEGATIVE_TTL_S);
        }
      }
      p = record.end;
    }
    if (this.end === 0) this.end = p;
    if (this.rcode === DnsRcode.NoError && isAnswered) this.ttl = least;
    // RFC 2308 5: a negative answer without SOA is not kept.
    else if ((this.rcode === DnsRcode.NoError || this.rcode === DnsRcode.NxDomain) && negative >= 0)
      this.ttl = Math.min(least, negative);
    return true;
  }
}

/** The last number of an SOA record's data (RFC 2308 4); -1: the data is none. */
function soaMinimum(d: DataView, record: DnsRecordView, len: number): number {
  const rname = dnsNameEnd(d, record.dataAt, len);
  const numbers = rname < 0 ? -1 : dnsNameEnd(d, rname, len);
  return numbers < 0 || numbers + SOA_NUMBERS_LEN !== record.end ? -1 : dnsTtl(d, record.end - 4);
}
