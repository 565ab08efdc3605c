import { expect, test } from "bun:test";
import fc from "fast-check";
import { DNS_A, DNS_AAAA, type DnsResponse, dnsAddresses, dnsNameValid, dnsParse, dnsQuery } from "./dns.ts";

const hex = (text: string): Uint8Array =>
  Uint8Array.from(text.replace(/\s+/g, "").match(/../g) ?? [], (b) => Number.parseInt(b, 16));

/** An answer to vpn.example/A: alias (compressed) to gw.example, two addresses; written out by hand after RFC 1035 4.1. */
const CHAIN = hex(`
  1234 8180 0001 0003 0000 0000
  0376706e 076578616d706c65 00 0001 0001
  c00c 0005 0001 0000003c 0005 026777 c010
  c029 0001 0001 00000e10 0004 c6336407
  c029 0001 0001 00000708 0004 c6336408`);

test("a query is the bytes of RFC 1035 4.1, with EDNS0 of RFC 6891 6.1.2 where it is asked for", () => {
  const plain = "1234 0100 0001 0000 0000 0000 0376706e 076578616d706c65 00 001c 0001";
  expect(dnsQuery(0x1234, "vpn.example.", DNS_AAAA, false)).toEqual(hex(plain));
  const edns = "1234 0100 0001 0000 0000 0001 0376706e 076578616d706c65 00 0001 0001 00 0029 04d0 00000000 0000";
  expect(dnsQuery(0x1234, "vpn.example", DNS_A, true)).toEqual(hex(edns));
});

test("an answer with compression and an alias gives its addresses and the least TTL on the way", () => {
  const r = dnsParse(CHAIN) as DnsResponse;
  expect(r).toMatchObject({ id: 0x1234, rcode: 0, truncated: false, question: { name: "vpn.example", type: DNS_A } });
  expect(dnsAddresses(r)).toEqual({
    addresses: [Uint8Array.of(198, 51, 100, 7), Uint8Array.of(198, 51, 100, 8)],
    ttl: 60,
  });
  // The order of the records says nothing.
  const turned = { ...r, answers: [...r.answers].reverse() };
  expect(dnsAddresses(turned).addresses).toHaveLength(2);
});

test("records of other classes and of other lengths are no addresses", () => {
  const b = CHAIN.slice();
  b[CHAIN.length - 11] = 3; // the class of the last record: CH
  expect(dnsAddresses(dnsParse(b) as DnsResponse).addresses).toHaveLength(1);
  const short = CHAIN.slice(0, -1);
  short[short.length - 4] = 3;
  expect(dnsAddresses(dnsParse(short) as DnsResponse).addresses).toHaveLength(1);
});

test("every cut is refused; with TC the whole records before it are used (RFC 2181 9)", () => {
  for (let n = 0; n < CHAIN.length; n++) expect(typeof dnsParse(CHAIN.subarray(0, n))).toBe("string");
  const cut = CHAIN.slice(0, CHAIN.length - 5);
  cut[2] = 0x83;
  const r = dnsParse(cut) as DnsResponse;
  expect([r.truncated, dnsAddresses(r).addresses.length]).toEqual([true, 1]);
});

test("loops of pointers, of aliases, and pointers forward or into the header end in a refusal or in nothing", () => {
  const name = (bytes: string): unknown => dnsParse(hex(`1234 8180 0001 0000 0000 0000 ${bytes} 0001 0001`));
  expect(name("c00c")).toBe("bad-name");
  expect(name("0161 c00c")).toBe("bad-name");
  expect(name("c00e 00")).toBe("bad-name");
  expect(name("c000")).toBe("bad-name");
  expect(name("4161 00")).toBe("bad-name");
  expect(name("ff")).toBe("bad-name");
  const loop = dnsParse(
    hex("1234 8180 0001 0001 0000 0000 0161 00 0001 0001 c00c 0005 0001 0000003c 0002 c00c"),
  ) as DnsResponse;
  expect(dnsAddresses(loop)).toEqual({ addresses: [], ttl: 0 });
});

test("a name is at most 255 bytes, also when pointers build it (RFC 1035 2.3.4)", () => {
  const label = `3f${"61".repeat(63)}`;
  const made = (labels: number, last: string): unknown =>
    dnsParse(hex(`1234 8180 0001 0000 0000 0000 ${label.repeat(labels)} ${last} 00 0001 0001`));
  expect(typeof made(3, `3d${"61".repeat(61)}`)).toBe("object");
  expect(made(3, `3e${"61".repeat(62)}`)).toBe("bad-name");
});

test("bytes that no host name has do not look like one", () => {
  const r = dnsParse(hex("1234 8180 0001 0000 0000 0000 03612e62 00 0001 0001")) as DnsResponse;
  expect(r.question.name).toBe("a\\046b");
});

test("queries, other opcodes, classes and numbers of questions are refused by name", () => {
  const change = (at: number, value: number): unknown => {
    const b = CHAIN.slice();
    b[at] = value;
    return dnsParse(b);
  };
  expect(change(2, 0x01)).toBe("not-a-response");
  expect(change(2, 0xa9)).toBe("not-a-response");
  expect(change(5, 0)).toBe("bad-question");
  expect(change(5, 2)).toBe("bad-question");
  expect(change(28, 3)).toBe("bad-question");
});

test("a message longer than what was offered is refused unread: 64 KiB of pointers to pointers are work (RFC 6891 6.2.3)", () => {
  const room = (n: number): Uint8Array => {
    const out = new Uint8Array(n);
    out.set(CHAIN);
    return out;
  };
  expect(dnsParse(room(1232))).toMatchObject({ id: 0x1234 });
  expect(dnsParse(room(1233))).toBe("too-long");
});

test("names of hosts (RFC 1123 2.1)", () => {
  for (const good of [
    "vpn.example",
    "a",
    "a.",
    "_x.example",
    "xn--bcher-kva.example",
    "1.2.3.example",
    "a".repeat(63),
  ]) {
    expect([good, dnsNameValid(good)]).toEqual([good, true]);
  }
  for (const bad of [
    "",
    ".",
    "a..b",
    "-a",
    "a-",
    "a b",
    "bücher",
    "a/b",
    `${"a".repeat(64)}.b`,
    `${"a.".repeat(127)}a`,
    "a\n",
  ]) {
    expect([bad, dnsNameValid(bad)]).toEqual([bad, false]);
  }
});

test("a question comes back as it was asked, and no bytes make the parser throw", () => {
  const label = fc.stringMatching(/^[a-z0-9]{1,20}$/);
  fc.assert(
    fc.property(fc.array(label, { minLength: 1, maxLength: 8 }), fc.integer({ min: 0, max: 65535 }), (labels, id) => {
      const q = dnsQuery(id, labels.join("."), DNS_A, false);
      q[2] = 0x80;
      expect(dnsParse(q)).toMatchObject({ id, question: { name: labels.join("."), type: DNS_A }, answers: [] });
    }),
  );
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(CHAIN.length - 1), fc.integer({ min: 0, max: 255 })), { maxLength: 6 }),
      (edits) => {
        const b = CHAIN.slice();
        for (const [at, value] of edits) b[at] = value;
        const r = dnsParse(b);
        if (typeof r !== "string") dnsAddresses(r);
      },
    ),
    { numRuns: 2000 },
  );
});
