import { expect, test } from "bun:test";
import { parseSettings } from "./parse.ts";

const bad = (text: string): string[] => {
  const result = parseSettings("appliance.toml", text);
  return result.ok ? [] : result.problems.map((p) => `${p.origin.line}: ${p.directive}: ${p.problem}`);
};
const wan = (address: string, gateway?: string): string[] =>
  bad(`[wan]\naddress6 = "${address}"\n${gateway === undefined ? "" : `gateway6 = "${gateway}"\n`}`);
const lan = (address: string): string[] => bad(`[lan]\naddress6 = "${address}"\n`);

test("auto, off, and a static address with a gateway of its subnet, link-local, or anywhere for a /128", () => {
  expect(wan("auto")).toEqual([]);
  expect(wan("off")).toEqual([]);
  expect(wan("2001:db8::5/64", "2001:db8::1")).toEqual([]);
  expect(wan("2001:db8::5/64", "fe80::1")).toEqual([]);
  expect(wan("2001:db8::5/128", "2001:db8:1::1")).toEqual([]);
  expect(wan("2001:db8::/127", "2001:db8::1")).toEqual([]);
  expect(lan("auto")).toEqual([]);
  expect(lan("off")).toEqual([]);
  expect(lan("fd12:3456:789a:1::1/64")).toEqual([]);
  expect(lan("2001:db8:1::1/64")).toEqual([]);
});

test("what is no address of a host that others can reach is refused at its line", () => {
  for (const text of ["Auto", "", "2001:db8::5", "192.0.2.5/24", "::ffff:192.0.2.5/120", "2001:db8::5/129"])
    expect(wan(text, "fe80::1")).toEqual([
      expect.stringMatching(/^2: wan\.address6: ".*" is none of "auto", "off", and /),
    ]);
  for (const text of ["fe80::5/64", "ff02::1/64", "::1/64", "::/64"])
    expect(wan(text, "fe80::1")).toEqual([expect.stringContaining("is no address of a host that others can reach")]);
  expect(wan("2001:db8::/64", "fe80::1")).toEqual([
    "2: wan.address6: 2001:db8:: is the network's own address; a host has another one",
  ]);
  expect(wan("2001:db8::5/2", "fe80::1")).toEqual(["2: wan.address6: the prefix /2 is not between /3 and /128"]);
  expect(lan("fd12:3456:789a:1::1/56")).toEqual(["2: lan.address6: the prefix is /56; hosts need one of /64"]);
  expect(lan("fe80::1/64")).toEqual([expect.stringContaining("2: lan.address6: fe80::1 is no address")]);
  expect(bad("[wan]\naddress6 = true\n")).toEqual(["2: wan.address6: must be a string in quotes"]);
});

test("a gateway and its address belong together", () => {
  expect(wan("2001:db8::5/64")).toEqual(["2: wan.gateway6: missing: a static address6 needs it"]);
  expect(wan("auto", "fe80::1")).toEqual([
    "3: wan.gateway6: belongs to a static address6; with auto routers name themselves",
  ]);
  expect(wan("off", "fe80::1")).toEqual(["3: wan.gateway6: is of no use with address6 off"]);
  expect(wan("2001:db8::5/64", "2001:db8::5")).toEqual(["3: wan.gateway6: is the appliance's own address"]);
  expect(wan("2001:db8::5/64", "2001:db8:1::1")).toEqual([
    "3: wan.gateway6: 2001:db8:1::1 is neither in the subnet of wan.address6 nor link-local; where the provider really gives such a one, the address is 2001:db8::5/128",
  ]);
  for (const text of ["192.0.2.1", "ff02::1", "::", "gate"])
    expect(wan("2001:db8::5/64", text)).toEqual([`3: wan.gateway6: "${text}" is no IPv6 address of a host`]);
});

test("the networks of LAN and WAN do not overlap; with a problem about the WAN it has no IPv6 either", () => {
  const both = '[wan]\naddress6 = "2001:db8::5/56"\ngateway6 = "fe80::1"\n[lan]\naddress6 = "2001:db8:0:1::1/64"\n';
  expect(bad(both)).toEqual(["5: lan.address6: the networks of LAN and WAN overlap"]);
  const wrong = parseSettings("appliance.toml", '[wan]\naddress6 = "2001:db8::5/64"\nmtu = 1\ngateway6 = "fe80::1"\n');
  expect(wrong).toMatchObject({ ok: false, settings: { wan: { address6: "off", gateway6: undefined } } });
});
