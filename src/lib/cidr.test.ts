import { expect, test } from "bun:test";
import fc from "fast-check";
import { Cidr, maskPrefix, parseCidr, prefixMask } from "./cidr.ts";
import { IpAddress, parseIp } from "./ip.ts";

const word = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
const ipv4 = word.map((w) => IpAddress.fromIpv4(w));
const ipv6 = fc
  .tuple(word, word, word, word)
  .map((w) => new IpAddress(...w))
  .filter((a) => !a.isIpv4);
const cidr = fc.oneof(
  fc.tuple(ipv4, fc.nat(32)).map(([a, p]) => new Cidr(a, p)),
  fc.tuple(ipv6, fc.nat(128)).map(([a, p]) => new Cidr(a, p)),
);

/** The bits of an address as text: what a network is, said another way. */
const bits = (a: IpAddress): string =>
  (a.isIpv4 ? [a.w3] : [a.w0, a.w1, a.w2, a.w3]).map((w) => (w >>> 0).toString(2).padStart(32, "0")).join("");

test("netmasks and prefix lengths are each other's inverse, and a mask with holes is none", () => {
  for (let p = 0; p <= 32; p++) expect(maskPrefix(prefixMask(p))).toBe(p);
  expect(maskPrefix(parseIp("255.0.255.0")!.w3)).toBeUndefined();
  expect(prefixMask(24)).toBe(parseIp("255.255.255.0")!.w3);
});

test("a network holds the addresses that begin with its bits, of its own family", () => {
  fc.assert(
    fc.property(cidr, fc.oneof(ipv4, ipv6), fc.nat(128), (net, other, flip) => {
      // An address that differs in one bit at most, and one that has nothing to do with it.
      const at = flip % net.address.bits;
      const near = bits(net.address).split("");
      near[at] = near[at] === "0" ? "1" : "0";
      const words = (near.join("").match(/.{32}/g) as string[]).map((b) => Number.parseInt(b, 2) | 0);
      const neighbour = net.isIpv4
        ? IpAddress.fromIpv4(words[0]!)
        : new IpAddress(words[0]!, words[1]!, words[2]!, words[3]!);
      for (const a of [neighbour, other]) {
        const right = a.isIpv4 === net.isIpv4 && bits(a).startsWith(bits(net.address).slice(0, net.prefix));
        expect(net.contains(a)).toBe(right);
      }
      expect(net.contains(net.address)).toBe(true);
    }),
  );
});

test("the network has no host bits; two networks overlap where one holds the other", () => {
  fc.assert(
    fc.property(cidr, cidr, (a, b) => {
      const own = bits(a.network.address);
      expect(own).toBe(bits(a.address).slice(0, a.prefix).padEnd(own.length, "0"));
      const [wide, narrow] = a.prefix <= b.prefix ? [a, b] : [b, a];
      expect(a.overlaps(b)).toBe(wide.contains(narrow.network.address));
      expect(b.overlaps(a)).toBe(a.overlaps(b));
    }),
  );
});

test("text reads back, host bits kept", () => {
  fc.assert(fc.property(cidr, (c) => parseCidr(`${c}`)?.equals(c) === true));
  expect(`${parseCidr("10.1.2.3/8")}`).toBe("10.1.2.3/8");
  expect(`${parseCidr("::ffff:10.1.2.3/104")}`).toBe("10.1.2.3/8");
});

test.each(["10.1.2.3", "10.1.2.3/33", "10.1.2.3/", "10.1.2.3/-1", "/8", "::/129", "::ffff:1.2.3.4/95", "10.0.0.1/8/9"])(
  "%p is no network",
  (bad) => {
    expect(parseCidr(bad)).toBeUndefined();
  },
);

test("the first and the last address of an IPv4 network are no hosts, but for /31 and /32 (RFC 3021)", () => {
  const is = (net: string, a: string): boolean => parseCidr(net)!.isNetworkOrBroadcast(parseIp(a)!);
  expect([is("10.0.0.9/24", "10.0.0.0"), is("10.0.0.9/24", "10.0.0.255")]).toEqual([true, true]);
  expect([is("10.0.0.9/24", "10.0.0.1"), is("10.0.0.9/24", "10.0.1.255")]).toEqual([false, false]);
  expect([is("10.0.0.0/31", "10.0.0.0"), is("10.0.0.0/32", "10.0.0.0"), is("fd00::/64", "fd00::")]).toEqual([
    false,
    false,
    false,
  ]);
});
