import { expect, test } from "bun:test";
import { parseIpv4 } from "../../lib/ip.ts";
import { clientNatRule, MAX_CLIENT_NAT } from "./client-nat.ts";
import { parseTunnelOptions } from "./tunnel-options.ts";

const IFCONFIG = "ifconfig 10.8.0.2 255.255.255.0";
const LINE = "client-nat snat 192.168.50.0 255.255.255.0 10.64.7.0";
const word = (text: string): number | undefined => parseIpv4(text)?.w3;

test("a rule of the profile and pushed ones add up, to OpenVPN's bound", () => {
  const local = [
    { words: ["client-nat", "dnat", "10.1.0.0", "255.255.0.0", "10.2.0.0"], origin: { file: "f", line: 3 } },
  ];
  const result = parseTunnelOptions([IFCONFIG, LINE], local, { lan: [] });
  expect(result.ok && result.tunnel.clientNat).toEqual([
    { kind: "dnat", network: word("10.1.0.0"), mask: word("255.255.0.0"), alias: word("10.2.0.0") },
    { kind: "snat", network: word("192.168.50.0"), mask: word("255.255.255.0"), alias: word("10.64.7.0") },
  ] as never);
  const many = parseTunnelOptions([IFCONFIG, ...Array<string>(70).fill(LINE)], [], { lan: [] });
  expect(many.ok && many.tunnel.clientNat).toHaveLength(MAX_CLIENT_NAT);
  expect(many.ok && many.tunnel.notes.filter(({ level }) => level === "warn")).toHaveLength(6);
});

test("what is no rule says why", () => {
  for (const [words, why] of [
    ["nat 10.1.0.0 255.255.0.0 10.2.0.0", /neither snat nor dnat/],
    ["snat banana 255.255.0.0 10.2.0.0", /wanted/],
    ["snat 10.1.0.0 255.255.0.0", /wanted/],
    ["snat 10.1.0.1 255.255.0.0 10.2.0.0", /bits beyond the netmask/],
    ["snat 10.1.0.0 255.255.0.0 10.2.3.0", /bits beyond the netmask/],
  ] as const)
    expect(clientNatRule(["client-nat", ...words.split(" ")])).toMatch(why);
});
