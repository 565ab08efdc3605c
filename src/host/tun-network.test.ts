import { expect, test } from "bun:test";
import type { Log } from "../lib/log.ts";
import type { RouteChange } from "./change.ts";
import type { Changes, Held, NetworkChange } from "./changes.ts";
import type { ServerRoute } from "./server-route.ts";
import { type HostTunnel, isKillRoute, TunNetwork } from "./tun-network.ts";

const TUNNEL = {
  mtu: 1500,
  options: {
    ...{ address: undefined, address6: undefined, peer: undefined, routes: [] },
    around: { table: undefined, routes: [], bypassDns: false, blockLocal: false, blockIpv6: false },
  },
} as HostTunnel;

/** On a host whose kernel does, or does not, what it is told. */
function network(mayChange: boolean) {
  const said: string[] = [];
  const undone: string[] = [];
  const changes = {
    network: (change: NetworkChange): Held | undefined => (mayChange ? { change, id: 1 } : undefined),
    undo: ({ change }: Held) => undone.push((change as RouteChange).network),
    takeRefused: () => [],
  } as unknown as Changes;
  const made = new TunNetwork({
    device: { index: 1, name: "lo" },
    deviceChanges: changes,
    hostChanges: changes,
    serverRoute: { cover: () => {} } as unknown as ServerRoute,
    log: { enabled: () => true, write: (_level: string, event: string) => said.push(event) } as unknown as Log,
    ...{ withRoutes: true, killSwitch: true, resolvers: () => [] },
  });
  return { made, said, undone };
}

const kill = (network: string): Held => ({
  id: 7,
  change: {
    ...{ kind: "route", device: undefined, network, type: "unreachable", gateway: undefined },
    ...{ metric: 0x7fff_ffff, table: 254, protocol: 109 },
  },
});

test("a kill switch that could not be made is not said to be on, and the tunnel is not used", () => {
  const { made, said } = network(false);
  expect(made.open(TUNNEL)).toMatch(/there is no kill switch.*0\.0\.0\.0\/1.*128\.0\.0\.0\/1/);
  expect(said).toEqual([]);
});

test("one that was made is said to be on once, and goes at the end", () => {
  const { made, said, undone } = network(true);
  expect([made.open(TUNNEL), made.open(TUNNEL)]).toEqual([undefined, undefined]);
  expect(said).toEqual(["killswitch.on"]);
  made.end();
  expect(undone.filter((network) => network !== undefined)).toEqual(["0.0.0.0/1", "128.0.0.0/1", "::/1", "8000::/1"]);
});

test("one that was taken over is on before there is a tunnel, and goes at the end", () => {
  const { made, said, undone } = network(true);
  made.takeOver([kill("192.0.2.0/24")]);
  expect(said).toEqual(["killswitch.on"]);
  made.end();
  expect(undone).toContain("192.0.2.0/24");
});

test("routes of a kill switch are told from those of block-ipv6 and of the tunnel", () => {
  const { change } = kill("::/1") as { change: RouteChange };
  expect(isKillRoute(change)).toBe(true);
  expect(isKillRoute({ ...change, metric: 1 })).toBe(false);
  expect(isKillRoute({ ...change, type: "unicast" })).toBe(false);
});
