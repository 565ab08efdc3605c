import { expect, test } from "bun:test";
import { parseCidr } from "../../lib/cidr.ts";
import { parseClientFile } from "./client-file.ts";
import { checkClientFiles } from "./client-file-check.ts";
import type { ClientFile, ServerNetworkConfig, Topology } from "./server-types.ts";

const network = (topology: Topology): ServerNetworkConfig => ({
  topology,
  address: parseCidr("10.8.0.1/24"),
  pool: undefined,
  address6: parseCidr("fd00:8::1/64"),
  pool6: undefined,
  persist: undefined,
  routes: [],
});

function said(topology: Topology, ...texts: string[]): string[] {
  const files = texts.map((text, i): ClientFile => {
    const result = parseClientFile({ file: `ccd/c${i + 1}`, text }, () => undefined);
    if (!result.ok) throw new Error(JSON.stringify(result.problems));
    return result.file;
  });
  return checkClientFiles(network(topology), files).map((w) => `${w.origin.file} ${w.directive}: ${w.problem}`);
}

test.each([
  ["subnet", "ifconfig-push 10.8.0.77 255.255.255.0"],
  ["net30", "ifconfig-push 10.8.0.78 10.8.0.77"],
  ["p2p", "ifconfig-push 10.8.0.78 10.8.0.1"],
  ["subnet", "ifconfig-ipv6-push fd00:8::77/64"],
  ["subnet", "disable"],
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
  expect(said(topology, text)).toEqual([expect.stringContaining(`ccd/c1 ${text.split(" ")[0]}: ${wanted}`)]);
});

test("an address that two files have is told of the second", () => {
  const text = "ifconfig-push 10.8.0.77 255.255.255.0\nifconfig-ipv6-push fd00:8::77/64\n";
  expect(said("subnet", text, text)).toEqual([
    "ccd/c2 ifconfig-push: 10.8.0.77 is in ccd/c1 as well: only one of the two can be in",
    "ccd/c2 ifconfig-ipv6-push: fd00:8::77 is in ccd/c1 as well: only one of the two can be in",
  ]);
});
