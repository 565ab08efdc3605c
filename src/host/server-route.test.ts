import { expect, test } from "bun:test";
import { parseCidr } from "../lib/cidr.ts";
import { parseIp } from "../lib/ip.ts";
import type { KernelRoute } from "../platform/net/rtnetlink.ts";
import { bestRoute } from "./server-route.ts";

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
