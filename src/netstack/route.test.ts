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

  test("the longest prefix wins, then the lowest metric, then the first: as a linear scan over all routes", () => {
    const route = fc.record({
      network: fc.tuple(address, fc.nat(bits)).map(([a, prefix]) => new Cidr(a, prefix)),
      metric: fc.nat(5),
    });
    fc.assert(
      fc.property(fc.array(route, { maxLength: 60 }), fc.array(address, { maxLength: 20 }), (routes, addresses) => {
        const table = new RouteTable(stride, 99);
        const d = new DataView(new ArrayBuffer(32));
        for (const [i, r] of routes.entries()) {
          table.add(r.network, r.metric, to(i));
          for (const dst of [...addresses, ...routes.map((x) => x.network.address)]) {
            let best = -1;
            for (let k = 0; k <= i; k++) {
              const one = routes[k]!;
              if (!one.network.contains(dst)) continue;
              const so = routes[best];
              const longer = so === undefined ? 1 : one.network.prefix - so.network.prefix;
              if (longer > 0 || (longer === 0 && one.metric < so!.metric)) best = k;
            }
            const found = table.find(words(dst), 0);
            expect(found < 0 ? -1 : table.neighbour[found]).toBe(best);
            words(dst).forEach((word, k) => {
              d.setInt32(3 + 4 * k, word);
            });
            expect(table.lookup(d, 3)).toBe(found);
          }
        }
        expect(table.size).toBe(new Set(routes.map((r) => `${r.network.network}`)).size);
        table.clear();
        for (const r of routes) expect(table.find(words(r.network.address), 0)).toBe(-1);
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
