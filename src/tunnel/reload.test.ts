/** What a running server goes by when it is given another profile. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { parseConfig } from "../protocol/config/parse.ts";
import type { ServerConfig } from "../protocol/config/types.ts";
import { commonPush } from "../protocol/push/common-push.ts";
import { effective, reloadProblems } from "./reload.ts";

const FILES = new URL("../../test/configs/", import.meta.url);
const STOCK = ["dev tun", "ca ca.crt", "cert client.crt", "key client.key", "dh none"];

function server(...lines: readonly string[]): ServerConfig {
  const text = [...STOCK, ...lines].join("\n");
  const read = (name: string): Uint8Array => new Uint8Array(readFileSync(new URL(name, FILES)));
  const result = parseConfig({ file: "server.conf", text }, read, { roles: ["server"] });
  if (!result.ok) throw new Error(JSON.stringify(result.problems));
  return result.config as ServerConfig;
}

const pushed = (before: ServerConfig, after: ServerConfig): readonly string[] =>
  commonPush(effective(before, after, before.limits.maxClients));

test("what clients are pushed because of the tunnel's networks stays with these; lines of push and timers are taken", () => {
  const before = server("server 10.8.0.0 255.255.255.0", "topology subnet", "keepalive 10 60", "push a");
  const gateway = ["route-gateway 10.8.0.1", "topology subnet"];
  expect(commonPush(before)).toEqual(["a", ...gateway, "ping 10", "ping-restart 60"]);
  const moved = server("server 10.9.0.0 255.255.255.0", "topology subnet", "keepalive 20 90", "push b");
  expect(pushed(before, moved)).toEqual(["b", ...gateway, "ping 20", "ping-restart 90"]);
  const net30 = server("server 10.8.0.0 255.255.255.0", "topology net30", "client-to-client");
  expect(pushed(before, net30)).toEqual(gateway);
  const both = server("server 10.8.0.0 255.255.255.0", "topology subnet", "server-ipv6 fd00:8::/64");
  expect(pushed(before, both)).toEqual(gateway);
  expect(pushed(both, before)).toContain("tun-ipv6");
});

test("max-clients: as many as there was room for at the start, however few it was in the meantime", () => {
  const of = (count: number): ServerConfig =>
    server("server 10.8.0.0 255.255.255.0", "topology subnet", `max-clients ${count}`);
  const fewer = effective(of(100), of(10), 100);
  expect(fewer.limits.maxClients).toBe(10);
  expect(reloadProblems(fewer, of(100), 100)).toEqual([]);
  expect(effective(fewer, of(100), 100).limits.maxClients).toBe(100);
  expect(reloadProblems(fewer, of(101), 100)).toEqual([expect.stringMatching(/^max-clients: .*next start/)]);
  expect(effective(fewer, of(101), 100).limits.maxClients).toBe(100);
});
