import { expect, test } from "bun:test";
import { type IpAddress, parseIp } from "../lib/ip.ts";
import { remarkOnResolvconf } from "./dns.ts";

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
