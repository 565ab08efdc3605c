import { expect, test } from "bun:test";
import { type IpAddress, parseIp } from "../lib/ip.ts";
import type { Log } from "../lib/log.ts";
import { Changes } from "./changes.ts";
import { HostDns, type NameHost, remarkOnResolvconf } from "./dns.ts";

const SILENT: Log = { enabled: () => false, write: () => {} };

test("what could not be set is tried again with the next tunnel; what was set is not set twice", async () => {
  const told: string[] = [];
  let refuses = true;
  const host: NameHost = {
    manager: () => "resolved",
    run: async (argv) => {
      told.push(argv[1]!);
      return refuses && argv[1] === "domain" ? "status 1" : undefined;
    },
  };
  const device = { index: 0x7fff_0000, name: "no-device" };
  const dns = new HostDns({ device, changes: new Changes(SILENT, undefined), log: SILENT, host });
  const address = { address: parseIp("10.8.0.1")!, port: 53 };
  const server = { addresses: [address], domains: [], transport: "plain", serverName: undefined } as const;
  const said = async (): Promise<string> => {
    await dns.set({ servers: [server], searchDomains: [] });
    return told.splice(0).join(" ");
  };
  expect([await said(), await said()]).toEqual(["dns domain", "dns domain"]);
  refuses = false;
  expect([await said(), await said()]).toEqual(["dns domain default-route flush-caches", ""]);
});

test.each([
  ["it asks the tunnel's alone", "10.8.0.1", "10.8.0.1", "", undefined],
  ["it asks the tunnel's first", "10.8.0.1 192.0.2.1", "10.8.0.1", "", /names 192\.0\.2\.1 as well/],
  ["it does not ask the tunnel's", "192.0.2.1", "10.8.0.1", "", /and not the tunnel's/],
  ["it asks one of its own", "127.0.0.1 192.0.2.1", "10.8.0.1", "", undefined],
  ["it asks nobody else for some names", "192.0.2.1", "10.8.0.1", "a.example", /below a\.example .* only where/],
  ["it asks one of its own for some names", "::1", "10.8.0.1", "a.example", undefined],
] as const)("what resolvconf has made of a host: %s", (_name, found, own, domains, remark) => {
  const all = (words: string): IpAddress[] => words.split(" ").map((word) => parseIp(word)!);
  const said = remarkOnResolvconf(all(found), all(own), domains === "" ? [] : [domains]);
  if (remark === undefined) expect(said).toBeUndefined();
  else expect(said).toMatch(remark);
});
