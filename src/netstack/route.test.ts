import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Cidr, parseCidr } from "../lib/cidr.ts";
import { IpAddress, parseIp, wordsOf } from "../lib/ip.ts";
import { RouteTable, type RouteTarget } from "./route.ts";

const to = (neighbour: number): RouteTarget => ({ side: neighbour % 3, neighbour, refusal: 0 });

/** Addresses that share long prefixes, so that many routes cover one. */
const few = fc.integer({ min: 0, max: 63 }).map((x) => (x << 26) | (x << 3));
const ipv4 = few.map((w) => IpAddress.fromIpv4(w));
const ipv6 = fc.tuple(few, few, few, few).map((w) => new IpAddress(w[0] | 0x20000000, w[1], w[2], w[3]));

describe.each([
  [1, 32, ipv4],
  [4, 128, ipv6],
] as const)("stride %d", (stride, bits, address) => {
  const words = (a: IpAddress): Int32Array => (stride === 1 ? Int32Array.of(a.w3) : wordsOf(a));

  test("the longest prefix wins, then the lowest metric, then the first, whatever was removed: as a linear scan over all routes", () => {
    const route = fc.record({
      network: fc.tuple(address, fc.nat(bits)).map(([a, prefix]) => new Cidr(a, prefix)),
      metric: fc.nat(5),
    });
    /** Adds a route, or removes the one that was added so many steps ago, if it is there. */
    const step = fc.oneof({ arbitrary: route, weight: 3 }, { arbitrary: fc.nat(20), weight: 1 });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.array(address, { maxLength: 20 }), (steps, addresses) => {
        const table = new RouteTable(stride, 99);
        const d = new DataView(new ArrayBuffer(32));
        const all: { network: Cidr; metric: number; i: number }[] = [];
        const there = new Set<(typeof all)[number]>();
        for (const [i, what] of steps.entries()) {
          if (typeof what === "number") {
            const one = all.at(-what);
            if (one === undefined) continue;
            const { side, neighbour } = to(one.i);
            expect(table.remove(one.network, side, neighbour)).toBe(there.delete(one));
          } else {
            all.push({ ...what, i });
            there.add(all.at(-1)!);
            table.add(what.network, what.metric, to(i));
          }
          for (const dst of [...addresses, ...all.map((x) => x.network.address)]) {
            let best: (typeof all)[number] | undefined;
            for (const one of there) {
              if (!one.network.contains(dst)) continue;
              const longer = best === undefined ? 1 : one.network.prefix - best.network.prefix;
              if (longer > 0 || (longer === 0 && one.metric < best!.metric)) best = one;
            }
            const found = table.find(words(dst), 0);
            expect(found < 0 ? -1 : table.neighbour[found]).toBe(best?.i ?? -1);
            if (best !== undefined) expect(table.exact(best.network)).toBe(found);
            words(dst).forEach((word, k) => {
              d.setInt32(3 + 4 * k, word);
            });
            expect(table.lookup(d, 3)).toBe(found);
          }
          expect(table.size).toBe(there.size);
        }
        table.clear();
        for (const r of all) expect(table.find(words(r.network.address), 0)).toBe(-1);
      }),
      { numRuns: 60 },
    );
  });
});

test("redirect-gateway def1's two halves cover everything, and an empty table nothing", () => {
  const table = new RouteTable(1, 99);
  const find = (a: string): number => table.find(Int32Array.of(parseIp(a)!.w3), 0);
  expect(find("0.0.0.1")).toBe(-1);
  table.add(parseCidr("0.0.0.0/1")!, 0, to(7));
  table.add(parseCidr("128.0.0.0/1")!, 0, to(8));
  for (const a of ["0.0.0.1", "127.255.255.255"]) expect(table.neighbour[find(a)]).toBe(7);
  for (const a of ["128.0.0.0", "255.255.255.255"]) expect(table.neighbour[find(a)]).toBe(8);
});

test("10,000 joins and leaves among 1,000 peers with ten networks each cost what their own networks cost", () => {
  const table = new RouteTable(1, 99);
  const networks = (peer: number): Cidr[] =>
    Array.from({ length: 10 }, (_, i) => new Cidr(IpAddress.fromIpv4(0x0a000000 | (peer << 12) | (i << 8)), 24));
  for (let peer = 0; peer < 1000; peer++) for (const network of networks(peer)) table.add(network, 0, to(peer));
  const rows = table.side.length;
  for (let n = 0; n < 10_000; n++) {
    const peer = (n * 7) % 1000;
    for (const network of networks(peer)) expect(table.remove(network, peer % 3, peer)).toBe(true);
    for (const network of networks(peer)) table.add(network, 0, to(peer));
  }
  expect([table.size, table.side.length]).toEqual([10_000, rows]);
  for (let peer = 0; peer < 1000; peer++)
    for (const network of networks(peer))
      expect(table.neighbour[table.find(Int32Array.of(network.address.w3 | 9), 0)]).toBe(peer);
});
