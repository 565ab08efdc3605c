/** dev and dev-type, and what a server makes of dev tap. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { asWritten } from "../../../test/support/as-written.ts";
import { commonPush } from "../push/common-push.ts";
import { formatConfig } from "./format.ts";
import { parseConfig } from "./parse.ts";
import type { Config, ServerConfig } from "./types.ts";

const FILES = new URL("../../../test/configs/", import.meta.url);
const MATERIAL = ["ca ca.crt", "cert client.crt", "key client.key"];

function parse(lines: readonly string[], isHost = false) {
  const text = [...lines, ...MATERIAL].join("\n");
  return parseConfig({ file: "f", text }, (name) => new Uint8Array(readFileSync(new URL(name, FILES))), { isHost });
}

function good(lines: readonly string[]): Config {
  const result = parse(lines);
  if (!result.ok) throw new Error(JSON.stringify(result.problems));
  return result.config;
}

const bad = (lines: readonly string[]): string[] => {
  const result = parse(lines);
  return result.ok
    ? []
    : result.problems.map(({ origin, directive, problem }) => `${origin.line} ${directive}: ${problem}`);
};

const withoutOrigins = (value: unknown): unknown =>
  JSON.parse(
    JSON.stringify(value, (key, it) => (["origin", "origins", "material", "label"].includes(key) ? undefined : it)),
  );
const again = (config: Config): Config => {
  const result = parseConfig({ file: "f", text: formatConfig(config) }, () => undefined);
  if (!result.ok) throw new Error(JSON.stringify(result.problems));
  return result.config;
};

const CLIENT = ["client", "remote vpn.example 1194"];
const SERVER = ["tls-server", "mode server", "dev tap", "dh none"];
const server = (...lines: string[]): ServerConfig => good([...SERVER, ...lines]) as ServerConfig;

test.each([
  ["dev tap", "tap", "tap"],
  ["dev tap3", "tap3", "tap"],
  ["dev tun", "tun", "tun"],
  ["dev office\ndev-type tap", "office", "tap"],
  ["dev tun7\ndev-type tap", "tun7", "tap"],
  ["dev tap7\ndev-type tun", "tap7", "tun"],
  ["dev-type tap", "tap", "tap"],
] as const)("%j is the device %s of type %s, and is written so", (text, device, deviceType) => {
  const config = good([...CLIENT, ...text.split("\n")]);
  expect(config).toMatchObject({ device, deviceType });
  expect(again(config)).toMatchObject({ device, deviceType });
});

test("a name that says nothing needs dev-type, and null carries nothing", () => {
  expect(bad([...CLIENT, "dev office"])).toEqual([expect.stringContaining("3 dev: ")]);
  expect(bad([...CLIENT, "dev null"])).toEqual([expect.stringContaining("3 dev: null")]);
});

test("server-bridge with a pool: addresses of the LAN's network and its gateway, none of which is the server's", () => {
  const config = server("server-bridge 10.8.0.4 255.255.255.0 10.8.0.128 10.8.0.254");
  expect(`${config.network.address} ${config.network.pool?.first} ${config.network.pool?.last}`).toBe(
    "10.8.0.0/24 10.8.0.128 10.8.0.254",
  );
  expect(config.network.topology).toBe("subnet");
  expect(config.network.push).toEqual(["route-gateway 10.8.0.4"]);
  expect(formatConfig(config)).not.toMatch(/^ifconfig /m);
});

test("server-bridge without a pool: clients ask by DHCP, and with nogw nothing is said of a gateway", () => {
  expect(server("server-bridge")).toMatchObject({ network: { topology: "subnet", push: ["route-gateway dhcp"] } });
  expect(server("server-bridge").network.pool).toBeUndefined();
  expect(commonPush(server("server-bridge nogw"))).toEqual([]);
});

test("server with dev tap is one subnet, whatever topology says; its first address is not ours, which is told", () => {
  const lines = [...SERVER, "server 10.8.0.0 255.255.255.0", "topology net30"];
  const config = good(lines) as ServerConfig;
  expect(`${config.network.address} ${config.network.pool?.first}`).toBe("10.8.0.1/24 10.8.0.2");
  expect(config.network.push).toEqual(["route-gateway 10.8.0.1"]);
  expect(
    parse(lines)
      .warnings.map(({ problem }) => problem)
      .join(),
  ).toContain("10.8.0.1 is for a host of the LAN");
  expect(parse(lines, true)).toMatchObject({ ok: true, warnings: [] });
});

test.each([
  "server-bridge 10.8.0.4 255.255.255.0 10.8.0.128 10.8.0.254",
  "server-bridge\nkeepalive 10 60",
  "server-bridge nogw",
  "server 10.8.0.0 255.255.255.0\nclient-to-client",
  'ifconfig-pool 10.8.0.128 10.8.0.254 255.255.255.0\npush "route-gateway 10.8.0.4"',
])("%j is written so that it is read the same", (text) => {
  const config = server(...text.split("\n"));
  expect(withoutOrigins(asWritten(again(config)))).toEqual(withoutOrigins(asWritten(config)));
});

test.each([
  ["server-bridge 10.8.0.4 255.255.255.0", "needs GATEWAY NETMASK FIRST LAST"],
  ["server-bridge x 255.255.255.0 10.8.0.5 10.8.0.9", '"x" is no IPv4 address of a host'],
  ["server-bridge 10.8.0.4 255.0.255.0 10.8.0.5 10.8.0.9", "is no netmask"],
  ["server-bridge 10.8.0.4 255.255.255.0 10.8.0.9 10.8.0.5", "10.8.0.5 comes before 10.8.0.9"],
  ["server-bridge 10.8.0.4 255.255.255.0 10.8.0.9 10.8.1.5", "10.8.1.5 is not of the network 10.8.0.0/24"],
  ["server-bridge 10.9.0.4 255.255.255.0 10.8.0.5 10.8.0.9", "10.9.0.4 is not of the network 10.8.0.0/24"],
  ["server-bridge 10.0.0.4 255.0.0.0 10.0.0.5 10.9.0.9", "are more than 65536"],
  ["server-bridge other", "other"],
])("%j is a problem", (line, text) => {
  expect(bad([...SERVER, line])).toEqual([expect.stringContaining(text)]);
});

test("server-bridge needs dev tap, and stands beside no other pool", () => {
  expect(bad(["dev tun", "server-bridge nogw", "topology subnet"]).join()).toContain("2 server-bridge: bridges frames");
  expect(bad([...SERVER, "server-bridge nogw", "server 10.8.0.0 255.255.255.0"])).toEqual([
    expect.stringContaining("6 server: cannot stand beside server-bridge"),
  ]);
});
