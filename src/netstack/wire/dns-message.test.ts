import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { AnswerView } from "../dns/answer.ts";
import { QueryView } from "../dns/query.ts";
import { encodeDns, nameBytes } from "../testing/dns.ts";
import { GuardedView } from "../testing/guarded.ts";
import {
  DNS_HEADER_LEN,
  DnsRecordView,
  dnsEmitHeader,
  dnsEmitOpt,
  dnsLabels,
  dnsNameBytes,
  dnsNameEnd,
  dnsQuestionNameEnd,
  dnsSameName,
  dnsTtl,
} from "./dns-message.ts";

/** A header of zeros and these bytes. */
const message = (...bytes: number[]): Uint8Array<ArrayBuffer> =>
  Uint8Array.from([...new Array<number>(DNS_HEADER_LEN).fill(0), ...bytes]);
const viewOf = (bytes: Uint8Array<ArrayBuffer>): DataView => new GuardedView(bytes, 0, bytes.length);
const nameEnd = (...bytes: number[]): number => {
  const all = message(...bytes);
  return dnsNameEnd(viewOf(all), DNS_HEADER_LEN, all.length);
};

describe("names", () => {
  test("end behind the root label (RFC 1035 3.1)", () => {
    expect(nameEnd(...nameBytes("www.example"), 9)).toBe(DNS_HEADER_LEN + 13);
    expect(nameEnd(0)).toBe(DNS_HEADER_LEN + 1);
  });

  test("end behind their first pointer (RFC 1035 4.1.4)", () => {
    const bytes = message(...nameBytes("example"), 3, 119, 119, 119, 0xc0, 12, 7);
    expect(dnsNameEnd(viewOf(bytes), DNS_HEADER_LEN + 9, bytes.length)).toBe(DNS_HEADER_LEN + 15);
  });

  test.each([
    ["a pointer to itself", [0xc0, 12]],
    ["a pointer ahead", [0xc0, 14, 0]],
    ["a pointer into the header", [0xc0, 4]],
    ["a loop of two", [1, 97, 0xc0, 12]],
    ["a label of 64", [64, ...new Array<number>(64).fill(97), 0]],
    ["a label type that does not exist", [0x80, 1, 0]],
    ["no end", [3, 97, 97]],
    ["half a pointer", [0xc0]],
    ["256 bytes", [...new Array<number[]>(127).fill([1, 97]).flat(), 1, 97, 0]],
  ])("%s is none", (_what, bytes) => {
    expect(nameEnd(...bytes)).toBe(-1);
  });

  test("255 bytes are the most, in one piece or through pointers (RFC 1035 2.3.4)", () => {
    const full = [...new Array<number[]>(127).fill([1, 97]).flat(), 0];
    expect(nameEnd(...full)).toBe(DNS_HEADER_LEN + 255);
    const bytes = message(...full, 1, 98, 0xc0, 12);
    expect(dnsNameEnd(viewOf(bytes), DNS_HEADER_LEN + 255, bytes.length)).toBe(-1);
  });

  test("a chain of pointers has an end", () => {
    const chain = [0, ...new Array<number>(200).fill(0).flatMap((_, i) => [0xc0, i === 0 ? 12 : 11 + 2 * i])];
    const bytes = message(...chain.map((byte) => byte & 255));
    expect(dnsNameEnd(viewOf(bytes), bytes.length - 2, bytes.length)).toBe(-1);
    expect(dnsNameEnd(viewOf(bytes), DNS_HEADER_LEN + 5, bytes.length)).toBe(DNS_HEADER_LEN + 7);
  });

  test("a question has no pointers", () => {
    const bytes = message(1, 97, 0xc0, 12);
    expect(dnsQuestionNameEnd(viewOf(bytes), DNS_HEADER_LEN, bytes.length)).toBe(-1);
    const full = message(...new Array<number[]>(127).fill([1, 97]).flat(), 0);
    expect(dnsQuestionNameEnd(viewOf(full), DNS_HEADER_LEN, full.length)).toBe(DNS_HEADER_LEN + 255);
    const long = message(...new Array<number[]>(128).fill([1, 97]).flat(), 0);
    expect(dnsQuestionNameEnd(viewOf(long), DNS_HEADER_LEN, long.length)).toBe(-1);
  });

  test("are the same whatever the case of ASCII letters, and no others (RFC 4343 3)", () => {
    const same = (a: string, b: string): boolean =>
      dnsSameName(dnsNameBytes(a), 0, dnsNameBytes(b), 0, dnsNameBytes(a).length);
    expect(same("wWw.eXample", "WwW.example")).toBe(true);
    expect(same("a[b", "a{b")).toBe(false);
    expect(same("ab", "ac")).toBe(false);
  });

  test("as text every byte that no host name has is escaped, so that no label looks like two", () => {
    expect(dnsLabels(message(3, 97, 46, 66, 2, 0, 255, 0), DNS_HEADER_LEN)).toEqual(["a\\046b", "\\000\\255"]);
  });
});

test("a TTL with the top bit is 0 (RFC 2181 8)", () => {
  expect(dnsTtl(viewOf(Uint8Array.of(0x80, 0, 0, 1)), 0)).toBe(0);
  expect(dnsTtl(viewOf(Uint8Array.of(0x7f, 255, 255, 255)), 0)).toBe(0x7fffffff);
});

test("emitting writes every byte of a header and of OPT", () => {
  const bytes = new Uint8Array(DNS_HEADER_LEN + 11).fill(0xa5);
  const d = viewOf(bytes);
  dnsEmitHeader(d, 0x1234, 0x0100, 0, 0, 1);
  expect(dnsEmitOpt(d, DNS_HEADER_LEN, 1232, 0x10, true)).toBe(bytes.length);
  const built = encodeDns({ edns: { dnssecOk: true, rcode: 1 } });
  built[5] = 1; // encodeDns has no question, the header says one
  expect(bytes).toEqual(built as Uint8Array<ArrayBuffer>);
});

test("whatever lies in a message, nothing outside of it is read, and reading ends", () => {
  const query = new QueryView();
  const answer = new AnswerView();
  const record = new DnsRecordView();
  const piece = fc.oneof(
    fc.uint8Array({ maxLength: 12 }),
    fc.constantFrom(
      Uint8Array.of(0xc0, 12),
      Uint8Array.of(0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0),
      Uint8Array.of(1, 97, 0),
    ),
    fc.constantFrom(Uint8Array.of(0, 1, 0, 1), Uint8Array.of(0xc0, 12, 0, 1, 0, 1, 0, 0, 1, 44, 0, 4, 9, 9, 9, 9)),
    fc.constantFrom(Uint8Array.of(0xc0, 12, 0, 65, 0, 1, 0, 0, 1, 44, 0, 13, 0, 1, 0, 0, 4, 0, 4, 10, 0, 0, 1, 0, 6)),
  );
  const counts = fc.tuple(fc.nat(2), fc.nat(3), fc.nat(2), fc.nat(3));
  fc.assert(
    fc.property(fc.nat(65_535), counts, fc.array(piece, { maxLength: 12 }), fc.nat(200), (flags, four, pieces, cut) => {
      const body = pieces.flatMap((bytes) => [...bytes]);
      const whole = Uint8Array.from([1, 2, flags >> 8, flags & 255, ...four.flatMap((n) => [0, n]), ...body]);
      const bytes = whole.slice(0, Math.max(0, whole.length - (cut > 100 ? cut - 100 : 0)));
      const d = viewOf(bytes);
      if (bytes.length >= DNS_HEADER_LEN) {
        query.read(d, bytes.length, false);
        for (let at = DNS_HEADER_LEN; at < bytes.length; at++) record.read(d, at, bytes.length);
      }
      answer.read(d, bytes.length);
    }),
    { numRuns: 3000 },
  );
});
