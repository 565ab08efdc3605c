import { expect, test } from "bun:test";
import fc from "fast-check";
import { Cidr, parseCidr } from "../lib/cidr.ts";
import { IpAddress, parseIpv4 } from "../lib/ip.ts";
import { type Route, RouteTable } from "./route.ts";

test("the longest prefix wins, then the lowest metric: as a linear scan over all routes", () => {
  const route = fc.record({
    network: fc
      .tuple(fc.integer({ min: 0, max: 63 }), fc.integer({ min: 0, max: 32 }))
      .map(([x, prefix]) => new Cidr(IpAddress.fromIpv4((x << 26) | (x << 3)), prefix)),
    metric: fc.nat(5),
  });
  fc.assert(
    fc.property(fc.array(route, { maxLength: 40 }), fc.array(fc.integer(), { maxLength: 20 }), (routes, addresses) => {
      const table = new RouteTable();
      for (const r of routes) table.add(r);
      for (const dst of [...addresses, ...routes.map((r) => r.network.address.w3)]) {
        let best: Route | undefined;
        for (const r of routes) {
          if (!r.network.contains(IpAddress.fromIpv4(dst))) continue;
          const longer = r.network.prefix - (best?.network.prefix ?? -1);
          if (!best || longer > 0 || (longer === 0 && r.metric < best.metric)) best = r;
        }
        expect(table.lookup(dst)).toBe(best?.metric ?? -1);
        expect(table.has(dst)).toBe(best !== undefined);
      }
    }),
  );
});

test("redirect-gateway def1's two halves cover everything, and an empty table nothing", () => {
  const table = new RouteTable();
  expect(table.has(1)).toBe(false);
  table.add({ network: parseCidr("0.0.0.0/1")!, metric: 0 });
  table.add({ network: parseCidr("128.0.0.0/1")!, metric: 0 });
  for (const a of ["0.0.0.1", "127.255.255.255", "128.0.0.0", "255.255.255.255"])
    expect(table.has(parseIpv4(a)!.w3)).toBe(true);
  expect(table.size).toBe(2);
  table.clear();
  expect(table.has(1)).toBe(false);
});
