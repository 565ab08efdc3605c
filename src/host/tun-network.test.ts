import { expect, test } from "bun:test";
import { parseCidr } from "../lib/cidr.ts";
import type { Log } from "../lib/log.ts";
import { ENETUNREACH, SysError } from "../platform/sys/errno.ts";
import { describe, type RouteChange } from "./change.ts";
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

const SERVER_ROUTE: Held = {
  id: 3,
  change: {
    ...{
      kind: "route",
      device: { index: 2, name: "w0" },
      network: "192.0.2.9/32",
      type: "unicast",
      gateway: "192.0.2.1",
    },
    ...{ metric: 0, table: 254, protocol: 109 },
  },
};

/** On a host whose kernel does, or does not, what it is told. */
function network(mayChange: boolean) {
  const said: string[] = [];
  const undone: string[] = [];
  /** What somebody has taken away, and what was made in the place of that. */
  const lost: string[] = [];
  const again: string[] = [];
  const changes = {
    network: (change: NetworkChange): Held | undefined => (mayChange ? { change, id: 1 } : undefined),
    lost: (all: readonly NetworkChange[]) => all.filter((change) => lost.includes(describe(change))),
    again: ({ change }: Held): boolean => {
      if (describe(change).includes("10.99.")) throw new SysError("route", ENETUNREACH);
      again.push(describe(change));
      return true;
    },
    undo: ({ change }: Held) => undone.push((change as RouteChange).network),
    takeRefused: () => [],
  } as unknown as Changes;
  const made = new TunNetwork({
    device: { index: 1, name: "lo" },
    deviceChanges: changes,
    hostChanges: changes,
    serverRoute: { cover: () => {}, held: [SERVER_ROUTE] } as unknown as ServerRoute,
    log: { enabled: () => true, write: (_level: string, event: string) => said.push(event) } as unknown as Log,
    ...{ withRoutes: true, killSwitch: true, resolvers: () => [] },
  });
  return { made, said, undone, lost, again };
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

/** With routes of its own. */
const routed = (...networks: string[]): HostTunnel => ({
  ...TUNNEL,
  options: {
    ...TUNNEL.options,
    routes: networks.map((network) => ({ network: parseCidr(network)!, metric: 0, via: undefined })),
  } as HostTunnel["options"],
});

test("what somebody else takes away of the tunnel, of the kill switch and of the way to the server is there again, and said", () => {
  const { made, said, lost, again } = network(true);
  made.open(routed("10.60.0.0/16", "10.61.0.0/16"));
  expect(made.mend(1000)).toBe(Number.POSITIVE_INFINITY);
  const routes = [
    "ip route add unreachable 0.0.0.0/1 metric 2147483647",
    "ip route add 192.0.2.9/32 via 192.0.2.1 dev w0",
    "ip route add 10.61.0.0/16 dev lo",
  ];
  lost.push(...routes);
  expect(made.mend(1000)).toBe(2000);
  expect(again).toEqual(routes);
  expect(said).toEqual(["killswitch.on", "host.restored"]);
  lost.length = 0;
  expect(made.mend(2000)).toBe(Number.POSITIVE_INFINITY);
});

test("against somebody who takes it away each time it is put back after longer and longer pauses, at most once a minute", () => {
  const { made, lost, again } = network(true);
  made.open(routed("10.60.0.0/16"));
  lost.push("ip route add 10.60.0.0/16 dev lo");
  const at: number[] = [];
  for (let now = 0; now < 600_000; now += 100) {
    const before = again.length;
    made.mend(now);
    if (again.length > before) at.push(now / 1000);
  }
  expect(at).toEqual([0, 1, 3, 7, 15, 31, 63, 123, 183, 243, 303, 363, 423, 483, 543]);
});

test("a route by a network that is not there now is not tried without end: there will be a change when it is", () => {
  const { made, said, lost } = network(true);
  made.open(routed("10.99.0.0/16"));
  lost.push("ip route add 10.99.0.0/16 dev lo");
  expect(made.mend(0)).toBe(Number.POSITIVE_INFINITY);
  expect(said).toEqual(["killswitch.on"]);
});
