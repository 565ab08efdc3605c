import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { canMakeNamespaces, makeVethWorld, type VethWorld } from "../../test/support/veth.ts";
import { parseCidr } from "../lib/cidr.ts";
import { parseIp } from "../lib/ip.ts";
import type { KernelRoute } from "../platform/net/rtnetlink.ts";
import { Changes } from "./changes.ts";
import { bestRoute, ServerRoute } from "./server-route.ts";

const route = (network: string, device: number, metric = 0): KernelRoute => ({
  ...{ network: parseCidr(network)!, type: "unicast", device, gateway: undefined },
  ...{ metric, table: 254, protocol: 3 },
});

test("the longest prefix wins, then the lowest metric, then the first", () => {
  const routes = [
    route("0.0.0.0/0", 1, 100),
    route("0.0.0.0/0", 2, 50),
    route("192.0.2.0/24", 3, 900),
    route("192.0.2.0/24", 4, 900),
  ];
  const device = (address: string): number | undefined => bestRoute(routes, parseIp(address)!)?.device;
  expect([device("198.51.100.1"), device("192.0.2.9"), device("2001:db8::1")]).toEqual([2, 3, undefined]);
});

describe.skipIf(!canMakeNamespaces)("the kernel's routes", () => {
  let world: VethWorld;
  const halves = ["0.0.0.0/1", "128.0.0.0/1"].map((text) => parseCidr(text)!);
  beforeAll(() => {
    world = makeVethWorld("sr");
    world.run("a", "ip addr add 203.0.113.22/32 dev b0");
  });
  afterAll(() => world?.remove());

  test("where no address says that the gateway is a neighbour (onlink), the route to the server says it too", () => {
    world.run("a", "ip route add default via 198.51.100.1 dev b0 onlink");
    const changes = new Changes({ enabled: () => false, write: () => {} }, undefined);
    const serverRoute = new ServerRoute(changes, () => 1);
    serverRoute.prepare(parseIp("192.0.2.9")!);
    serverRoute.cover(halves);
    expect(world.run("a", "ip route show 192.0.2.9")).toMatch(/^192\.0\.2\.9 via 198\.51\.100\.1 dev b0 .*onlink/);
    serverRoute.cover([]);
    expect(world.run("a", "ip route")).toMatch(/^default via 198\.51\.100\.1 dev b0 onlink\s*$/);
  });

  test("while the gateway's network is not there the way is none, and that is no failure of ours; then it is there again", () => {
    world.run(
      "a",
      "ip route flush proto boot; ip addr add 10.99.0.1/24 dev b0; ip route add default via 10.99.0.2 dev b0",
    );
    const server = parseIp("192.0.2.9")!;
    const changes = new Changes({ enabled: () => false, write: () => {} }, undefined);
    const serverRoute = new ServerRoute(changes, () => 1);
    expect(serverRoute.prepare(server)).toMatchObject({ name: "b0" });
    serverRoute.cover(halves);
    // Another address stays, so that the kernel keeps the default route.
    world.run("a", "ip addr del 10.99.0.1/24 dev b0; ip route del 192.0.2.9");
    expect(serverRoute.prepare(server)).toBeUndefined();
    expect(serverRoute.look()).toBe("same");
    world.run("a", "ip addr add 10.99.0.1/24 dev b0");
    expect(serverRoute.look()).toBe("moved");
    expect(world.run("a", "ip route show 192.0.2.9")).toContain("via 10.99.0.2 dev b0");
    serverRoute.cover([]);
  });
});
