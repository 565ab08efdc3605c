import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { formatEndpoint } from "./endpoint.ts";
import { formatIpv4, IpAddress, parseIp, parseIpv4, parseIpv6 } from "./ip.ts";

const word = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
/** Words as they occur: many zeros, so that "::" has something to choose from. */
const sparse = fc.oneof(word, fc.constantFrom(0, 1, 0x10000, -1));

/** RFC 5952 by another way: every run of zero groups is tried, and the shortest text, the leftmost of equals, is right. */
function printedByTrial(groups: readonly number[]): string {
  const hex = groups.map((g) => g.toString(16));
  let best = hex.join(":");
  let bestRun = 1;
  for (let i = 0; i < 8; i++) {
    for (let j = i + 2; j <= 8; j++) {
      if (j - i <= bestRun || groups.slice(i, j).some((g) => g !== 0)) continue;
      best = `${hex.slice(0, i).join(":")}::${hex.slice(j).join(":")}`;
      bestRun = j - i;
    }
  }
  return best;
}

describe("IPv4", () => {
  test("round trips through its word", () => {
    fc.assert(
      fc.property(word, (w) => {
        const address = parseIp(formatIpv4(w))!;
        expect([address.w3, address.isIpv4, address.bits]).toEqual([w, true, 32]);
        expect(`${address}`).toBe(formatIpv4(w));
      }),
    );
    expect(parseIp("192.168.50.1")!.w3).toBe(0xc0a83201 | 0);
  });

  test.each([
    "",
    "1.2.3",
    "1.2.3.4.5",
    "1.2.3.256",
    "01.2.3.4",
    "1.2.3.4 ",
    "a.b.c.d",
    "1..2.3",
    "0x1.2.3.4",
    "-1.2.3.4",
  ])("%p is no address", (bad) => {
    expect(parseIp(bad)).toBeUndefined();
  });
});

describe("IPv6", () => {
  test("what is printed is as RFC 5952 4 says, and reads back to the same words", () => {
    fc.assert(
      fc.property(sparse, sparse, sparse, sparse, (...words) => {
        const address = new IpAddress(...words);
        if (!address.isIpv4) expect(`${address}`).toBe(printedByTrial(words.flatMap((w) => [w >>> 16, w & 0xffff])));
        expect(parseIp(`${address}`)!.equals(address)).toBe(true);
      }),
      { numRuns: 1000 },
    );
  });

  // RFC 4291 2.2 and RFC 5952 1 to 5: what is written, and how it is printed.
  test.each([
    ["ABCD:EF01:2345:6789:ABCD:EF01:2345:6789", "abcd:ef01:2345:6789:abcd:ef01:2345:6789"],
    ["2001:DB8:0:0:8:800:200C:417A", "2001:db8::8:800:200c:417a"],
    ["FF01:0:0:0:0:0:0:101", "ff01::101"],
    ["0:0:0:0:0:0:0:1", "::1"],
    ["0:0:0:0:0:0:0:0", "::"],
    ["0:0:0:0:0:0:13.1.68.3", "::d01:4403"],
    ["::FFFF:129.144.52.38", "129.144.52.38"],
    ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
    ["2001:0:0:1:0:0:0:1", "2001:0:0:1::1"],
    ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    ["2001:db8::", "2001:db8::"],
    ["64:ff9b::192.0.2.33", "64:ff9b::c000:221"],
  ])("%s is printed as %s", (written, printed) => {
    expect(`${parseIp(written)}`).toBe(printed);
  });

  test.each([
    ":",
    ":::",
    "1::2::3",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "1:2:3:4:5:6:7::8:9",
    "1:2:3:4:5:6:7:8::",
    "12345::",
    "::g",
    "::1.2.3",
    "1.2.3.4::",
    "::1.2.3.4:5",
    "fe80::1%eth0",
    "[::1]",
    " ::1",
    "1:",
    ":1",
  ])("%p is no address", (bad) => {
    expect(parseIp(bad)).toBeUndefined();
  });
});

test("bytes in network order give the same value as text", () => {
  expect(IpAddress.fromBytes(Uint8Array.of(192, 0, 2, 1)).equals(parseIp("192.0.2.1")!)).toBe(true);
  const bytes = new Uint8Array(18);
  bytes.set([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff], 1);
  expect(`${IpAddress.fromBytes(bytes.subarray(1, 17))}`).toBe("2001:db8::ff");
});

test("which text is of which family", () => {
  expect([parseIpv4("::1"), parseIpv4("::ffff:1.2.3.4"), parseIpv6("1.2.3.4")]).toEqual([
    undefined,
    undefined,
    undefined,
  ]);
  expect([`${parseIpv4("1.2.3.4")}`, `${parseIpv6("::1")}`]).toEqual(["1.2.3.4", "::1"]);
});

test.each([
  ["0.0.0.0", "unspecified"],
  ["::", "unspecified"],
  ["127.255.0.1", "loopback"],
  ["::1", "loopback"],
  ["224.0.0.1", "multicast"],
  ["239.255.255.255", "multicast"],
  ["ff02::1", "multicast"],
  ["0.1.2.3", "neither"],
  ["240.0.0.1", "neither"],
  ["255.255.255.255", "neither"],
  ["223.255.255.254", "host"],
  ["10.0.0.1", "host"],
  ["fe80::1", "host"],
  ["2001:db8::1", "host"],
])("%s is %s", (text, kind) => {
  const a = parseIp(text)!;
  const kinds = { unspecified: a.isUnspecified, loopback: a.isLoopback, multicast: a.isMulticast, host: a.isHost };
  expect(Object.entries(kinds).filter(([, is]) => is)).toEqual(kind === "neither" ? [] : [[kind, true]]);
});

test("an endpoint of IPv6 has brackets", () => {
  expect(formatEndpoint({ address: parseIp("192.0.2.1")!, port: 1194 })).toBe("192.0.2.1:1194");
  expect(formatEndpoint({ address: parseIp("2001:db8::1")!, port: 1194 })).toBe("[2001:db8::1]:1194");
});
