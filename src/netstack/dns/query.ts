/**
 * A question of a LAN host, as it lies in a buffer (RFC 1035 4.1.2, RFC 6891): checked once, then places and numbers. One
 * record is reused for all of them.
 */
import {
  DNS_AD,
  DNS_CD,
  DNS_CLASS_IN,
  DNS_DO,
  DNS_HEADER_LEN,
  DNS_MAX_LEN,
  DNS_OPCODE,
  DNS_OPT_LEN,
  DNS_QR,
  DNS_RD,
  DNS_UDP_LEN,
  DnsRecordView,
  DnsType,
  dnsAdditionals,
  dnsAnswers,
  dnsAuthorities,
  dnsFlags,
  dnsId,
  dnsQuestionNameEnd,
  dnsQuestions,
} from "../wire/dns-message.ts";
import { Dns, type DnsCode } from "./forwarder-counters.ts";

/** RFC 6891 6.2.5 and the DNS flag day of 2020: fits every path without fragments, and no victim gets more from us in one packet. */
export const EDNS_SIZE = 1232;

/** What of a question changes its answer beside name and type; bits of `QueryView.key`. */
export const KEY_DO = 1;
export const KEY_CD = 2;
export const KEY_AD = 4;
export const KEY_RD = 8;

/** From 128 on types are of questions, or of what is about a message (RFC 6895 3.1). */
const FIRST_META = 128;
const LAST_META = 255;

export class QueryView {
  id = 0;
  flags = 0;
  /** Where the name and the question end; they begin behind the header. 0: there is no question that can be repeated. */
  nameEnd = 0;
  questionEnd = 0;
  type = 0;
  hasEdns = false;
  /** KEY_ bits. */
  key = 0;
  /** How long its answer may be, over UDP. */
  room = DNS_UDP_LEN;
  readonly #record = new DnsRecordView();

  get dnssecOk(): boolean {
    return (this.key & KEY_DO) !== 0;
  }

  /**
   * Reads the message of `len` bytes, at least a header.
   * @param isStream it came over TCP
   */
  read(d: DataView, len: number, isStream: boolean): DnsCode {
    const flags = dnsFlags(d);
    this.id = dnsId(d);
    this.flags = flags;
    this.nameEnd = 0;
    this.questionEnd = 0;
    this.hasEdns = false;
    this.key = (flags & DNS_CD ? KEY_CD : 0) | (flags & DNS_AD ? KEY_AD : 0) | (flags & DNS_RD ? KEY_RD : 0);
    this.room = isStream ? DNS_MAX_LEN : DNS_UDP_LEN;
    if ((flags & DNS_QR) !== 0) return Dns.Response;
    if ((flags & DNS_OPCODE) !== 0) return Dns.Opcode;
    if (dnsQuestions(d) !== 1 || dnsAnswers(d) !== 0 || dnsAuthorities(d) !== 0) return Dns.QuestionCount;
    const nameEnd = dnsQuestionNameEnd(d, DNS_HEADER_LEN, len);
    if (nameEnd < 0 || nameEnd + 4 > len) return Dns.BadName;
    this.nameEnd = nameEnd;
    this.questionEnd = nameEnd + 4;
    this.type = d.getUint16(nameEnd);
    const bad = this.#readAdditionals(d, len, isStream);
    if (bad !== Dns.None) return bad;
    if (d.getUint16(nameEnd + 2) !== DNS_CLASS_IN) return Dns.Class;
    // RFC 8482 4 lets ANY be declined; zones are not ours to transfer (RFC 5936).
    if (this.type === 0 || this.type === DnsType.OPT || (this.type >= FIRST_META && this.type <= LAST_META))
      return Dns.Type;
    return Dns.None;
  }

  #readAdditionals(d: DataView, len: number, isStream: boolean): DnsCode {
    const record = this.#record;
    let p = this.questionEnd;
    let version = 0;
    for (let n = dnsAdditionals(d); n > 0; n--) {
      if (!record.read(d, p, len)) return Dns.BadQuery;
      p = record.end;
      if (record.type !== DnsType.OPT) continue;
      // RFC 6891 6.1.1: one, and of the root.
      if (this.hasEdns || record.dataAt - record.at !== DNS_OPT_LEN) return Dns.BadQuery;
      this.hasEdns = true;
      version = d.getUint8(record.ttlAt + 1);
      if ((d.getUint16(record.ttlAt + 2) & DNS_DO) !== 0) this.key |= KEY_DO;
      // RFC 6891 6.2.3: less than 512 counts as 512.
      if (!isStream) this.room = Math.min(EDNS_SIZE, Math.max(DNS_UDP_LEN, record.cls));
    }
    if (p !== len) return Dns.BadQuery;
    return version === 0 ? Dns.None : Dns.EdnsVersion;
  }
}
