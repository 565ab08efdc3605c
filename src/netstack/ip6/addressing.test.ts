import { expect, test } from "bun:test";
import fc from "fast-check";
import { Cidr } from "../../lib/cidr.ts";
import { IpAddress, wordsOf } from "../../lib/ip.ts";
import { cidr } from "../testing/bed.ts";
import { addr6, words6 } from "../testing/bed6.ts";
import { Ip6Addressing, type Ip6Config, MAX_ADDRESSES } from "./addressing.ts";

const placed = (text: string): DataView => {
  const d = new DataView(new ArrayBuffer(16));
  words6(text).forEach((word, k) => {
    d.setInt32(4 * k, word);
  });
  return d;
};
const up = (config: Ip6Config): Ip6Addressing => {
  const own = new Ip6Addressing();
  for (const address of own.configure(config)) address.state = "usable";
  return own;
};
const hop = (own: Ip6Addressing, dst: string): string | undefined => {
  const out = new Int32Array(4);
  return own.nextHop(words6(dst), out) ? new IpAddress(out[0]!, out[1]!, out[2]!, out[3]!).toString() : undefined;
};

test("next hops: the link, prefixes on it, routes and the gateway, the longest prefix first", () => {
  const own = up({
    addresses: [{ address: cidr("2001:db8::1/128") }],
    onLink: [cidr("2001:db8::/64")],
    gateway: addr6("fe80::9"),
    routes: [
      { network: cidr("2001:db8::/80"), gateway: addr6("fe80::8") },
      { network: cidr("fd00::/8"), gateway: addr6("fe80::7") },
    ],
  });
  expect(hop(own, "fe80::5")).toBe("fe80::5");
  expect(hop(own, "2001:db8::1:0:0:5")).toBe("2001:db8::1:0:0:5");
  expect(hop(own, "2001:db8::5")).toBe("fe80::8");
  expect(hop(own, "fd12::5")).toBe("fe80::7");
  expect(hop(own, "2a00::5")).toBe("fe80::9");
  expect([
    own.onLink(words6("2001:db8::1:0:0:5")),
    own.onLink(words6("2001:db8::5")),
    own.onLink(words6("fe80::1")),
  ]).toEqual([true, false, true]);
});

test("no gateway: no way; no address: none at all", () => {
  const own = up({ addresses: [{ address: cidr("2001:db8::1/64") }] });
  expect([hop(own, "2001:db8::5"), hop(own, "fe80::5")]).toEqual([undefined, "fe80::5"]); // a prefix is not the link
  own.unconfigure();
  expect([own.isOn, hop(own, "fe80::5")]).toEqual([false, undefined]);
});

test("an address that stays keeps its state, whatever else changes", () => {
  const own = up({ addresses: [{ address: cidr("2001:db8::1/64") }] });
  const fresh = own.configure({
    addresses: [{ address: cidr("2001:db8::1/128"), isDeprecated: true }, { address: cidr("2001:db8::2/64") }],
  });
  expect(fresh.map(({ value }) => `${value}`)).toEqual(["2001:db8::2"]);
  expect(
    own.addresses.map(({ value, prefix, state, isDeprecated }) => [`${value}`, prefix, state, isDeprecated]),
  ).toEqual([
    ["2001:db8::1", 128, "usable", true],
    ["2001:db8::2", 64, "tentative", false],
  ]);
  expect([own.isOwn(placed("2001:db8::1"), 0), own.isOwn(placed("2001:db8::2"), 0)]).toEqual([true, false]);
  expect(own.source(words6("2001:db8::9"))?.value.toString()).toBe("2001:db8::1");
});

test("the number of addresses is bounded", () => {
  const addresses = Array.from({ length: 40 }, (_, i) => ({ address: cidr(`2001:db8::${i + 1}/64`) }));
  expect(up({ addresses }).addresses).toHaveLength(MAX_ADDRESSES);
});

test("groups: all nodes, those of our addresses, all routers for a router; of other scopes none", () => {
  const own = up({ addresses: [{ address: cidr("2001:db8::12:3456/64") }] });
  const heard = (text: string): boolean => own.isListening(placed(text), 0);
  expect([heard("ff02::1"), heard("ff02::1:ff12:3456"), heard("ff02::2"), heard("ff02::1:ff12:3457")]).toEqual([
    true,
    true,
    false,
    false,
  ]);
  expect([heard("ff05::1"), heard("ff02::fb"), heard("ff02:1::1"), heard("ff02::1:0:1")]).toEqual(Array(4).fill(false));
  own.configure({ addresses: [{ address: cidr("2001:db8::12:3456/64") }], isRouter: true });
  expect([heard("ff02::2"), heard("ff05::2")]).toEqual([true, false]);
  own.addresses[0]!.state = "taken";
  expect(heard("ff02::1:ff12:3456")).toBe(false);
});

test("addresses of other interfaces are answered for too", () => {
  const own = up({ addresses: [{ address: cidr("2001:db8::1/64") }] });
  own.others = [words6("fd00::5")];
  expect([own.isOwn(placed("fd00::5"), 0), own.isOwn(placed("fd00::6"), 0)]).toEqual([true, false]);
});

test("next hops are those of a search through all routes by value", () => {
  const address = fc
    .tuple(fc.constantFrom(0x20010db8, 0xfd000000), fc.nat(3), fc.constant(0), fc.nat(3))
    .map(([a, b, c, e]) => new IpAddress(a, b << 30, c, e));
  const network = fc
    .tuple(address, fc.constantFrom(0, 8, 32, 33, 34, 64, 126, 127, 128))
    .map(([a, n]) => new Cidr(a, n).network);
  fc.assert(
    fc.property(
      fc.array(network, { maxLength: 12 }),
      fc.array(address, { minLength: 1, maxLength: 12 }),
      (nets, all) => {
        const gateways = nets.map((_, i) => new IpAddress(0xfe800000, 0, 0, i + 1));
        const routes = nets.map((net, i) => ({ network: net, gateway: gateways[i] }));
        const own = up({ addresses: [{ address: cidr("2001:db8::1/64") }], routes });
        const out = new Int32Array(4);
        for (const dst of all) {
          const best = routes
            .filter((route) => route.network.contains(dst))
            .reduce<number>((most, route) => Math.max(most, route.network.prefix), -1);
          const found = own.nextHop(wordsOf(dst), out);
          expect(found).toBe(best >= 0);
          if (found) {
            const chosen = routes[out[3]! - 1]!;
            expect([chosen.network.prefix, chosen.network.contains(dst)]).toEqual([best, true]);
          }
        }
      },
    ),
  );
});
