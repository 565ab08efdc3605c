import { expect, test } from "bun:test";
import { parseCidr } from "../../lib/cidr.ts";
import { parseClientFile } from "./client-file.ts";
import { checkClientFiles } from "./client-file-check.ts";
import type { ClientFile, ServerNetworkConfig, Topology } from "./server-types.ts";
import type { DeviceType } from "./types.ts";

const network = (topology: Topology): ServerNetworkConfig => ({
  topology,
  address: parseCidr("10.8.0.1/24"),
  pool: undefined,
  address6: parseCidr("fd00:8::1/64"),
  pool6: undefined,
  persist: undefined,
  routes: ["192.168.70.0/23", "192.168.72.0/24", "fd00:70::/48"].map((text) => parseCidr(text)!),
  push: [],
});

const said = (topology: Topology, ...texts: string[]): string[] => saidOf("tun", topology, texts);

function saidOf(deviceType: DeviceType, topology: Topology, texts: readonly string[]): string[] {
  const files = texts.map((text, i): ClientFile => {
    const result = parseClientFile({ file: `ccd/c${i + 1}`, text }, () => undefined);
    if (!result.ok) throw new Error(JSON.stringify(result.problems));
    return result.file;
  });
  return checkClientFiles(network(topology), deviceType, files).map(
    ({ origin, directive, problem }) => `${origin.file}:${origin.line} ${directive}: ${problem}`,
  );
}

test.each([
  ["subnet", "ifconfig-push 10.8.0.77 255.255.255.0"],
  ["net30", "ifconfig-push 10.8.0.78 10.8.0.77"],
  ["p2p", "ifconfig-push 10.8.0.78 10.8.0.1"],
  ["subnet", "ifconfig-ipv6-push fd00:8::77/64"],
  ["subnet", "disable"],
  ["subnet", "iroute 192.168.71.0 255.255.255.0"],
  // A part of it is routed.
  ["subnet", "iroute 192.168.64.0 255.255.224.0"],
  ["subnet", "iroute-ipv6 fd00:70:0:5::/64"],
] as const)("what is right in topology %s is not spoken of: %s", (topology, text) => {
  expect(said(topology, text)).toEqual([]);
});

test.each([
  ["subnet", "ifconfig-push 10.8.0.78 10.8.0.77", "10.8.0.77 is not the netmask"],
  ["subnet", "ifconfig-push 10.8.0.78 255.255.0.0", "255.255.0.0 is not the netmask"],
  ["net30", "ifconfig-push 10.8.0.78 255.255.255.0", "255.255.255.0 is a netmask; topology net30 needs"],
  ["subnet", "ifconfig-push 10.9.0.78 255.255.255.0", "10.9.0.78 is not of the tunnel's network, 10.8.0.0/24"],
  ["subnet", "ifconfig-push 10.8.0.1 255.255.255.0", "10.8.0.1 is the server's own address"],
  ["subnet", "ifconfig-ipv6-push fd00:9::5/64", "fd00:9::5 is not of the tunnel's network, fd00:8::/64"],
  ["subnet", "ifconfig-ipv6-push fd00:8::1/64", "fd00:8::1 is the server's own address"],
] as const)("in topology %s %s is told", (topology, text, wanted) => {
  expect(said(topology, text)).toEqual([expect.stringContaining(`ccd/c1:1 ${text.split(" ")[0]}: ${wanted}`)]);
});

test("an address that two files have is told of the second", () => {
  const text = "ifconfig-push 10.8.0.77 255.255.255.0\nifconfig-ipv6-push fd00:8::77/64\n";
  expect(said("subnet", text, text)).toEqual([
    "ccd/c2:1 ifconfig-push: 10.8.0.77 is in ccd/c1 as well: only one of the two can be in",
    "ccd/c2:2 ifconfig-ipv6-push: fd00:8::77 is in ccd/c1 as well: only one of the two can be in",
  ]);
});

test("a network behind a client that no route of the server's profile leads to is told at its line, with the route", () => {
  const text = "disable\niroute 192.168.77.0 255.255.255.0\niroute-ipv6 fd00:77::/48\niroute 192.168.74.1\n";
  const missing = "so that openvpn and morgana server send nothing there; add";
  expect(said("subnet", text)).toEqual([
    `ccd/c1:2 iroute: no route in the server's profile leads to 192.168.77.0/24, ${missing} route 192.168.77.0 255.255.255.0 to it`,
    `ccd/c1:3 iroute-ipv6: no route in the server's profile leads to fd00:77::/48, ${missing} route-ipv6 fd00:77::/48 to it`,
    `ccd/c1:4 iroute: no route in the server's profile leads to 192.168.74.1/32, ${missing} route 192.168.74.1 255.255.255.255 to it`,
  ]);
  expect(saidOf("tap", "subnet", [text])).toEqual([]);
});

test("a network within the tunnel's own is told, and one that two files have", () => {
  const own = "is given by ifconfig-push";
  expect(said("subnet", "iroute 10.8.0.64 255.255.255.192\niroute-ipv6 fd00:8::40/122\n")).toEqual([
    `ccd/c1:1 iroute: 10.8.0.64/26 lies within the tunnel's own network 10.8.0.0/24; a client's address there ${own}`,
    `ccd/c1:2 iroute-ipv6: fd00:8::40/122 lies within the tunnel's own network fd00:8::/64; a client's address there ${own}`,
  ]);
  const text = "iroute 192.168.72.0 255.255.255.0\n";
  expect(said("subnet", text, text)).toEqual([
    "ccd/c2:1 iroute: 192.168.72.0/24 is in ccd/c1 as well: whoever of the two comes first has it",
  ]);
});
