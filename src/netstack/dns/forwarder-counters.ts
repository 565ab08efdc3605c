/**
 * What became of questions, and of what came as answers, as counters with names. A question is one of: refused by name, answered
 * at once (local, cached), joined to one that is under way, or asked of a server; those two end as answered or failed.
 */
import { Counters } from "../../lib/counters.ts";
import { DnsRcode } from "../wire/dns-message.ts";

export const Dns = Object.freeze({
  None: 0,
  /** All that came to our port. */
  Asked: 1,
  Local: 2,
  Cached: 3,
  Joined: 4,
  Forwarded: 5,
  Answered: 6,
  Truncated: 7,
  // Questions that get no answer.
  Short: 8,
  Long: 9,
  Response: 10,
  ForeignAsker: 11,
  RateLimited: 12,
  // Questions that are refused.
  Opcode: 13,
  QuestionCount: 14,
  BadName: 15,
  BadQuery: 16,
  EdnsVersion: 17,
  Class: 18,
  Type: 19,
  Loop: 20,
  Busy: 21,
  NoServer: 22,
  // How a question that was asked on failed.
  Unanswered: 23,
  ServerFailure: 24,
  PrivateAnswer: 25,
  TooLongForUdp: 26,
  // What came as an answer and was none.
  Unexpected: 27,
  WrongServer: 28,
  WrongId: 29,
  WrongQuestion: 30,
  WrongCase: 31,
  BadAnswer: 32,
} as const);

export type DnsName = Exclude<keyof typeof Dns, "None">;
export type DnsCode = (typeof Dns)[keyof typeof Dns];

/** What an operator should think of each that is no answer. */
export const DNS_TEXT: Readonly<Partial<Record<DnsName, string>>> = {
  Short: "Shorter than a DNS header",
  Long: "Longer than any question",
  Response: "An answer came to the port for questions; whoever sends it tries to start a loop",
  ForeignAsker: "A question from an address that is not of the LAN",
  RateLimited: "A host asked more often than anybody needs; it is not answered for a moment",
  Opcode: "Not a query (a dynamic update, a notification); not answered by this forwarder",
  QuestionCount: "A message with no question, with several, or with records in front of the additional ones",
  BadName: "The name of a question cannot be read",
  BadQuery: "The records behind a question cannot be read",
  EdnsVersion: "A version of EDNS that does not exist yet",
  Class: "A class other than IN",
  Type: "ANY, a zone transfer, or a type that is no type of a record",
  Loop: "Our own question came back from the LAN: a host of the LAN asks this gateway for what the server behind the tunnel asks it",
  Busy: "More names at once than are looked up; one host has a part of them",
  NoServer: "No DNS server is there: no tunnel, or it brought none and [lan] dns names none",
  Unanswered: "The DNS servers behind the tunnel did not answer in time",
  ServerFailure: "The DNS servers behind the tunnel could not answer (SERVFAIL, REFUSED)",
  PrivateAnswer:
    "A public name with a private address was refused (DNS rebinding); if the name is yours, [lan] dns = { private } names its domain",
  TooLongForUdp: "An answer that its server gives by TCP only",
  Unexpected: "An answer to nothing that is asked",
  WrongServer: "An answer from somebody who was not asked: an attempt to forge it",
  WrongId: "An answer with the wrong id: an attempt to forge it",
  WrongQuestion: "An answer to another question: an attempt to forge it",
  WrongCase:
    "An answer without the capitals of the question: an attempt to forge it, or a server that does not keep them",
  BadAnswer: "An answer that cannot be read",
};

export const dnsCounters = (): Counters<DnsName> =>
  new Counters(Object.keys(Dns) as (keyof typeof Dns)[]) as Counters<DnsName>;

/** The RCODE that tells an asker of it; -1: it gets no answer. */
export function rcodeOf(code: DnsCode): number {
  switch (code) {
    case Dns.Opcode:
      return DnsRcode.NotImp;
    case Dns.QuestionCount:
    case Dns.BadName:
    case Dns.BadQuery:
      return DnsRcode.FormErr;
    case Dns.EdnsVersion:
      return DnsRcode.BadVers;
    case Dns.Class:
    case Dns.Type:
    case Dns.Loop:
    case Dns.PrivateAnswer:
      return DnsRcode.Refused;
    case Dns.Busy:
    case Dns.NoServer:
    case Dns.Unanswered:
    case Dns.ServerFailure:
    case Dns.TooLongForUdp:
      return DnsRcode.ServFail;
    default:
      return -1;
  }
}

/** The extended error that says more (RFC 8914 4), 0: none. */
export function extendedErrorOf(code: DnsCode): number {
  switch (code) {
    case Dns.NoServer:
      return 14; // not ready
    case Dns.PrivateAnswer:
      return 15; // blocked
    case Dns.Unanswered:
      return 22; // no reachable authority
    default:
      return 0;
  }
}
