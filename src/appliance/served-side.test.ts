/** The router as a server's side: what it refuses to serve, whose networks are whose, and that nothing is left when it closes. */
import { beforeEach, expect, test } from "bun:test";
import { parseCidr } from "../lib/cidr.ts";
import type { ServedTunnel } from "../tunnel/server-side.ts";
import { ServedSide } from "./served-side.ts";
import type { RouterPath } from "./wiring/router.ts";

const LAN = ["192.168.50.0/24", "fd00:50::/64"].map((text) => parseCidr(text)!);
const TUNNEL: ServedTunnel = {
  address: parseCidr("10.8.0.1/24"),
  address6: parseCidr("fd00:8::1/64"),
  mtu: 1500,
  routes: [],
  clientToClient: true,
};

let calls: unknown[][];
let lines: string[];
let changes: number;
let side: ServedSide;

beforeEach(() => {
  calls = [];
  lines = [];
  changes = 0;
  const router = {
    openTunnel: (_now: number, tunnel: unknown) => void calls.push(["open", tunnel]),
    closeTunnel: () => void calls.push(["close"]),
    join: (peer: number) => {
      calls.push(["join", peer]);
      return peer === 7 ? [{ network: parseCidr("192.168.77.0/24")!, of: 3 }] : [];
    },
    leave: (peer: number) => void calls.push(["leave", peer]),
  };
  const path = {
    router,
    setCarrier: (carrier: unknown, peer: number) => calls.push(["carrier", peer, carrier !== undefined]),
  };
  side = new ServedSide({
    path: path as unknown as RouterPath,
    lan: LAN,
    log: { enabled: () => true, write: (level, event, text) => void lines.push(`${level} ${event} ${text}`) },
    changed: () => void changes++,
  });
});

const networksOf = (): unknown => {
  const tunnel = calls[0]?.[1] as { served: { networks: readonly unknown[]; peerToPeer: boolean } };
  return [tunnel.served.networks.map(String), tunnel.served.peerToPeer];
};

test("the tunnel's networks and those behind clients are the peers', but for what is the LAN's, which is said", () => {
  const routes = ["192.168.77.0/24", "192.168.0.0/16"].map((text) => parseCidr(text)!);
  expect(side.open(0, { ...TUNNEL, routes })).toBeUndefined();
  expect(networksOf()).toEqual([["10.8.0.0/24", "fd00:8::/64", "192.168.77.0/24"], true]);
  expect(lines).toEqual([expect.stringMatching(/^warn config\.warning route 192\.168\.0\.0\/16: it overlaps the LAN/)]);
});

test.each([
  [{ address: parseCidr("192.168.50.129/25") }, "192.168.50.128/25"],
  [{ address6: parseCidr("fd00:50::1/48") }, "fd00:50::/48"],
])("a tunnel whose network is the LAN's is not served: %j", (own, network) => {
  expect(side.open(0, { ...TUNNEL, ...own })).toContain(`the tunnel's network ${network} overlaps the LAN`);
  expect(calls).toEqual([]);
});

test("a client's way is there while it is, and what somebody else has is said", () => {
  side.open(0, TUNNEL);
  const client = { networks: [], mtu: 1500, mssClamp: 0, send: () => {} };
  side.join(0, 2, client);
  side.join(0, 7, client);
  expect(lines).toEqual([
    expect.stringContaining("a client does not get 192.168.77.0/24, which another client (3) has"),
  ]);
  side.leave(0, 2);
  side.close(0);
  expect(calls.slice(1)).toEqual([
    ["carrier", 2, true],
    ["join", 2],
    ["carrier", 7, true],
    ["join", 7],
    ["leave", 2],
    ["carrier", 2, false],
    ["leave", 7],
    ["carrier", 7, false],
    ["close"],
  ]);
  expect(changes).toBe(4);
});
