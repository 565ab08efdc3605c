import { expect, test } from "bun:test";
import { parseCidr } from "../lib/cidr.ts";
import type { Log } from "../lib/log.ts";
import { ENETUNREACH, ENOBUFS, SysError } from "../platform/sys/errno.ts";
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

/**
 * On a host whose kernel does what it is told, or has some of that already ("there") and else refuses it.
 * @param may whether it does
 */
function network(may: boolean | "there", killSwitch = true) {
  const said: string[] = [];
  const texts: string[] = [];
  const undone: string[] = [];
  /** What somebody has taken away, and what was made in the place of that. */
  const lost: string[] = [];
  const again: string[] = [];
  let refused: string[] = [];
  const kernel = { isSilent: false };
  const changes = {
    network: (change: NetworkChange): Held | undefined => {
      if (may === true) return { change, id: 1 };
      if (may === "there" && lost.includes(describe(change))) {
        again.push(describe(change));
        return { change, id: 2 };
      }
      if (may === false) refused.push(describe(change));
      return undefined;
    },
    lost: (all: readonly NetworkChange[]) => {
      if (kernel.isSilent) throw new SysError("netlink", ENOBUFS);
      return all.filter((change) => may === false || lost.includes(describe(change)));
    },
    again: ({ change }: Held): boolean => {
      if (describe(change).includes("10.99.")) throw new SysError("route", ENETUNREACH);
      again.push(describe(change));
      return true;
    },
    undo: ({ change }: Held) => undone.push((change as RouteChange).network),
    takeRefused: () => {
      const some = refused;
      refused = [];
      return some;
    },
  } as unknown as Changes;
  const made = new TunNetwork({
    device: { index: 1, name: "lo" },
    deviceChanges: changes,
    hostChanges: changes,
    serverRoute: { cover: () => {}, held: may === true ? [SERVER_ROUTE] : [] } as unknown as ServerRoute,
    log: {
      enabled: () => true,
      write: (_level: string, event: string, text: string) => {
        said.push(event);
        texts.push(text);
      },
    } as unknown as Log,
    ...{ withRoutes: true, killSwitch, resolvers: () => [] },
  });
  return { made, said, texts, undone, lost, again, kernel };
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
  expect(said).toEqual(["host.refused"]);
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

test("what this user may not make, and never was there, is not said to have been taken away", () => {
  const { made, said, texts } = network(false, false);
  made.open(routed("10.60.0.0/16"));
  expect(texts).toEqual([expect.stringContaining("somebody who may has to run: ip link set lo")]);
  expect([made.mend(1000), said]).toEqual([Number.POSITIVE_INFINITY, ["host.refused"]]);
});

test("routes that somebody else has made are put back as well, are ours from then on, and go at the end", () => {
  const { made, said, lost, again, undone } = network("there", false);
  made.open(routed("10.60.0.0/16"));
  lost.push("ip route add 10.60.0.0/16 dev lo");
  made.mend(1000);
  expect([again, said]).toEqual([lost, ["host.restored"]]);
  made.end();
  expect(undone).toEqual(["10.60.0.0/16"]);
});

test("a network that the kernel cannot be asked for is looked at again, and that it could not is said once", () => {
  const { made, said, lost, again, kernel } = network(true);
  made.open(routed("10.60.0.0/16"));
  lost.push("ip route add 10.60.0.0/16 dev lo");
  kernel.isSilent = true;
  expect([made.mend(1000), made.mend(2000)]).toEqual([2000, 4000]);
  expect(said).toEqual(["killswitch.on", "host.lost"]);
  kernel.isSilent = false;
  made.mend(4000);
  expect(again).toEqual(lost);
});

test("a kill switch that somebody else has made is put back when he takes it away, and is ours from then on", () => {
  const { made, lost, again, said, undone } = network("there");
  expect(made.open(TUNNEL)).toBeUndefined();
  lost.push("ip route add unreachable 0.0.0.0/1 metric 2147483647");
  made.mend(1000);
  expect([again, said]).toEqual([lost, ["killswitch.on", "host.restored"]]);
  made.end();
  expect(undone).toEqual(["0.0.0.0/1"]);
});
