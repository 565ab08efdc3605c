import { expect, test } from "bun:test";
import fc from "fast-check";
import { Cidr, parseCidr } from "../../lib/cidr.ts";
import { IpAddress, parseIp } from "../../lib/ip.ts";
import { domainListBuild, domainListParse } from "./domain-list.ts";
import {
  type Preference,
  type RouterAdvert,
  routerAdvertBuild,
  routerAdvertParse,
  routerSolicitBuild,
  routerSolicitParse,
} from "./router-advert.ts";

const MAC = { hi: 0x5254, lo: 0x00ab_cdef };
const EMPTY: RouterAdvert = {
  hopLimit: 64,
  managed: false,
  other: false,
  preference: 0,
  lifetime: 1800,
  reachableTime: 0,
  retransTimer: 0,
  mac: undefined,
  mtu: undefined,
  prefixes: [],
  routes: [],
  rdnss: [],
  dnssl: [],
};
const hex = (text: string): Uint8Array => Uint8Array.fromHex(text.replace(/\s/g, ""));
const address = (text: string): IpAddress => parseIp(text) as IpAddress;
const network = (text: string): Cidr => parseCidr(text) as Cidr;

// Byte by byte after the figures of the RFCs, in the order in which radvd sends them; the checksum is left out.
const RADVD = hex(`
  86 00 0000 40 c8 0708 00000000 00000000
  03 04 40 c0 00015180 00003840 00000000 20010db8000100000000000000000000
  18 03 30 08 00000708 20010db8abcd00000000000000000000
  19 03 0000 00000258 20010db8000100000000000000000053
  1f 03 0000 00000258 03 6c616e 07 6578616d706c65 00 000000
  05 01 0000 000005dc
  01 01 525400abcdef`);

test("an advertisement with everything in it (RFC 4861 4.2, RFC 4191, RFC 8106)", () => {
  expect(routerAdvertParse(RADVD)).toEqual({
    hopLimit: 64,
    managed: true,
    other: true,
    preference: 1,
    lifetime: 1800,
    reachableTime: 0,
    retransTimer: 0,
    mac: MAC,
    mtu: 1500,
    prefixes: [
      { prefix: network("2001:db8:1::/64"), onLink: true, autonomous: true, valid: 86_400, preferred: 14_400 },
    ],
    routes: [{ prefix: network("2001:db8:abcd::/48"), preference: 1, lifetime: 1800 }],
    rdnss: [{ servers: [address("2001:db8:1::53")], lifetime: 600 }],
    dnssl: [{ domains: ["lan.example"], lifetime: 600 }],
  });
});

const lifetime = fc.oneof(fc.constant(Number.POSITIVE_INFINITY), fc.integer({ min: 0, max: 0xffff_fffe }));
const word = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
const anyAddress = fc.tuple(word, word, word, word).map(([a, b, c, d]) => new IpAddress(a, b, c, d));
const anyPrefix = fc.tuple(anyAddress, fc.integer({ min: 0, max: 128 })).map(([a, n]) => new Cidr(a, n));
const preference = fc.constantFrom<Preference>(-1, 0, 1);
const label = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?$/);
const anyAdvert: fc.Arbitrary<RouterAdvert> = fc.record({
  hopLimit: fc.nat(255),
  managed: fc.boolean(),
  other: fc.boolean(),
  preference,
  lifetime: fc.nat(65_535),
  reachableTime: fc.nat(0xffff_ffff),
  retransTimer: fc.nat(0xffff_ffff),
  mac: fc.constantFrom(undefined, MAC),
  mtu: fc.option(fc.nat(0xffff_ffff), { nil: undefined }),
  prefixes: fc.array(
    fc.record({
      prefix: anyPrefix,
      onLink: fc.boolean(),
      autonomous: fc.boolean(),
      valid: lifetime,
      preferred: lifetime,
    }),
    { maxLength: 3 },
  ),
  routes: fc.array(fc.record({ prefix: anyPrefix.map((p) => p.network), preference, lifetime }), { maxLength: 3 }),
  rdnss: fc.array(fc.record({ servers: fc.array(anyAddress, { minLength: 1, maxLength: 3 }), lifetime }), {
    maxLength: 2,
  }),
  dnssl: fc.array(
    fc.record({
      domains: fc.array(
        fc.array(label, { minLength: 1, maxLength: 4 }).map((l) => l.join(".")),
        { minLength: 1, maxLength: 3 },
      ),
      lifetime,
    }),
    { maxLength: 2 },
  ),
});

/** The same bytes within others. */
function within(bytes: Uint8Array): Uint8Array {
  const dirty = new Uint8Array(bytes.length + 64).fill(0xa5);
  dirty.set(bytes, 32);
  return dirty.subarray(32, 32 + bytes.length);
}

test("an advertisement is read back as it was built, whatever memory it is in", () => {
  fc.assert(
    fc.property(anyAdvert, (advert) => {
      const built = routerAdvertBuild(advert);
      expect(built.length % 8).toBe(0);
      expect(routerAdvertParse(within(built))).toEqual(advert);
    }),
  );
});

test("every cut of a message is refused, or read without the options behind it; nothing throws", () => {
  const seen = new Set<string>();
  for (let n = 0; n < RADVD.length; n++) {
    const advert = routerAdvertParse(within(RADVD.subarray(0, n)));
    seen.add(typeof advert === "string" ? advert : "read");
    if (n < 16) expect(advert).toBe("truncated");
  }
  expect([...seen].sort()).toEqual(["bad-options", "read", "truncated"]);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (tail) => {
      const message = new Uint8Array(16 + tail.length);
      message[0] = 134;
      message.set(tail, 16);
      routerAdvertParse(message);
      message[0] = 133;
      routerSolicitParse(message);
    }),
  );
});

test("an option of length 0, or one that runs over the end, refuses the message (RFC 4861 4.6, 6.1.2)", () => {
  const advert = routerAdvertBuild(EMPTY);
  const withTail = (tail: string): unknown => routerAdvertParse(Uint8Array.of(...advert, ...hex(tail)));
  expect(withTail("0e 00 000000000000")).toBe("bad-options");
  expect(withTail("0e 02 000000000000")).toBe("bad-options");
  expect(withTail("0e")).toBe("bad-options");
  expect(withTail("0e 01 000000000000")).toEqual(EMPTY);
});

test("type and code are checked (RFC 4861 6.1.1, 6.1.2)", () => {
  const advert = routerAdvertBuild(EMPTY);
  expect(routerAdvertParse(Uint8Array.of(135, ...advert.subarray(1)))).toBe("bad-type");
  expect(routerAdvertParse(Uint8Array.of(134, 1, ...advert.subarray(2)))).toBe("bad-code");
  expect(routerSolicitParse(advert)).toBe("bad-type");
  expect(routerSolicitParse(Uint8Array.of(133, 1, 0, 0, 0, 0, 0, 0))).toBe("bad-code");
});

test("options whose length does not fit what they are do not count, and those behind them do", () => {
  const advert = routerAdvertBuild(EMPTY);
  const odd = [
    "01 02 525400abcdef 0000000000000000", // a MAC of 14 bytes
    "03 03 40c0 ffffffff ffffffff 00000000 20010db800000000", // a prefix that is cut
    "03 04 81c0 ffffffff ffffffff 00000000 20010db8000000000000000000000000", // /129
    "05 02 0000 000005dc 0000000000000000",
    "18 02 4108 00000708 20010db8abcd0000", // /65 in 8 bytes
    "18 03 3010 00000708 20010db8abcd00000000000000000000", // the reserved preference (RFC 4191 2.3)
    "18 04 3000 00000708 20010db8abcd00000000000000000000 0000000000000000",
    "19 01 0000 00000258",
    "19 04 0000 00000258 20010db8000100000000000000000053 0000000000000000",
    "1f 01 0000 00000258",
    "1f 02 0000 00000258 09 6162630000 0000",
  ];
  for (const option of odd) {
    const message = Uint8Array.of(...advert, ...hex(option), ...hex("05 01 0000 00000578"));
    expect([option, routerAdvertParse(message)]).toEqual([option, { ...EMPTY, mtu: 1400 }]);
  }
});

test("a route's prefix may be left out as far as it is zero (RFC 4191 2.3), a reserved preference of a router is medium (2.2)", () => {
  const advert = routerAdvertBuild(EMPTY);
  const routes = (option: string): unknown => {
    const read = routerAdvertParse(Uint8Array.of(...advert, ...hex(option)));
    return typeof read === "string" ? read : read.routes.map((r) => `${r.prefix} ${r.preference} ${r.lifetime}`);
  };
  expect(routes("18 01 0018 00000708")).toEqual(["::/0 -1 1800"]);
  expect(routes("18 02 3000 ffffffff 20010db8abcdffff")).toEqual(["2001:db8:abcd::/48 0 Infinity"]);
  advert[5] = 0x10;
  expect(routerAdvertParse(advert)).toMatchObject({ preference: 0 });
});

test("a message of more than 64 options is refused", () => {
  const option = hex("0e 01 000000000000");
  const message = (n: number): Uint8Array =>
    Uint8Array.of(...routerAdvertBuild(EMPTY), ...Array.from({ length: n }, () => [...option]).flat());
  expect(routerAdvertParse(message(64))).toEqual(EMPTY);
  expect(routerAdvertParse(message(65))).toBe("too-many-options");
});

test("solicitations with and without the sender's MAC", () => {
  expect(routerSolicitBuild(MAC)).toEqual(hex("85 00 0000 00000000 01 01 525400abcdef"));
  expect(routerSolicitBuild(undefined)).toEqual(hex("85 00 0000 00000000"));
  expect(routerSolicitParse(within(routerSolicitBuild(MAC)))).toEqual({ mac: MAC });
  expect(routerSolicitParse(routerSolicitBuild(undefined))).toEqual({ mac: undefined });
  expect(routerSolicitParse(new Uint8Array(7).fill(133))).toBe("truncated");
});

test("a list of names is read back; labels and names that are too long, cut or no host names are refused (RFC 1035 2.3.4)", () => {
  const text = (s: string): number[] => Array.from(s, (c) => c.charCodeAt(0));
  expect(domainListParse(domainListBuild(["Example.Test.", "a_b.c-d"]), false)).toEqual(["example.test", "a_b.c-d"]);
  expect(domainListParse(Uint8Array.of(1, 97, 0, 0, 0), true)).toEqual(["a"]);
  expect(domainListParse(Uint8Array.of(1, 97, 0, 0, 0), false)).toBeUndefined();
  expect(domainListParse(Uint8Array.of(1, 97, 0, 0, 1), true)).toBeUndefined();
  expect(domainListParse(Uint8Array.of(1, 97), true)).toBeUndefined();
  expect(domainListParse(Uint8Array.of(2, 97, 0), true)).toBeUndefined();
  expect(domainListParse(Uint8Array.of(1, 10, 0), true)).toBeUndefined();
  expect(domainListParse(Uint8Array.of(0xc0, 0), true)).toBeUndefined();
  const label = (n: number): number[] => [n, ...text("x".repeat(n))];
  const name = (last: number): Uint8Array => Uint8Array.of(...label(63), ...label(63), ...label(63), ...label(last), 0);
  expect(domainListParse(name(61), false)?.[0]).toHaveLength(253);
  expect(domainListParse(name(62), false)).toBeUndefined();
  expect(domainListParse(Uint8Array.of(64, ...text("x".repeat(64)), 0), false)).toBeUndefined();
});
