import { expect, test } from "bun:test";
import { type IpAddress, parseIp } from "../lib/ip.ts";
import { remarkOnResolvconf, writerOf } from "./dns.ts";

test("a resolv.conf that another tunnel has written is known by its first line", () => {
  const text = (device: string) =>
    `# Written by morgana: the resolvers of the tunnel on ${device}. What was here before comes back when it ends.\nnameserver 10.8.0.1\n`;
  expect(writerOf(text("tun0"))).toBe("tun0");
  expect(writerOf(text("tun.5"))).toBe("tun.5");
  expect(writerOf(`nameserver 192.0.2.1\n${text("tun0")}`)).toBeUndefined();
  expect(writerOf("")).toBeUndefined();
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
