import { expect, test } from "bun:test";
import fc from "fast-check";
import {
  formatIpv4,
  formatMac,
  inSubnet,
  maskPrefix,
  parseIpv4,
  parseIpv4Cidr,
  parseMac,
  prefixMask,
} from "./address.ts";

test("IPv4 addresses round trip through int32", () => {
  fc.assert(fc.property(fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }), (a) => parseIpv4(formatIpv4(a)) === a));
  expect(parseIpv4("192.168.50.1")).toBe(0xc0a83201 | 0);
});

test("what is not exactly four decimal octets is no address", () => {
  for (const bad of [
    "",
    "1.2.3",
    "1.2.3.4.5",
    "1.2.3.256",
    "01.2.3.4",
    "1.2.3.4 ",
    "a.b.c.d",
    "1..2.3",
    "0x1.2.3.4",
    "-1.2.3.4",
  ]) {
    expect(parseIpv4(bad)).toBeUndefined();
  }
});

test("netmasks and prefix lengths are each other's inverse, and a mask with holes is none", () => {
  for (let p = 0; p <= 32; p++) expect(maskPrefix(prefixMask(p))).toBe(p);
  expect(maskPrefix(parseIpv4("255.0.255.0") as number)).toBeUndefined();
  expect(prefixMask(24)).toBe(parseIpv4("255.255.255.0") as number);
});

test("CIDR keeps the host bits and refuses a bad prefix", () => {
  expect(parseIpv4Cidr("10.1.2.3/8")).toEqual({ address: 0x0a010203, prefix: 8 });
  for (const bad of ["10.1.2.3", "10.1.2.3/33", "10.1.2.3/", "10.1.2.3/-1", "/8"])
    expect(parseIpv4Cidr(bad)).toBeUndefined();
});

test("a subnet holds its hosts and nothing else", () => {
  const net = parseIpv4("192.168.50.0") as number;
  expect(inSubnet(parseIpv4("192.168.50.255") as number, net, 24)).toBe(true);
  expect(inSubnet(parseIpv4("192.168.51.0") as number, net, 24)).toBe(false);
  expect(inSubnet(parseIpv4("8.8.8.8") as number, net, 0)).toBe(true);
});

test("MAC addresses round trip in lower case with colons", () => {
  expect(formatMac(parseMac("52-54-00-AB-cd-0f") as { hi: number; lo: number })).toBe("52:54:00:ab:cd:0f");
  for (const bad of ["52:54:00:ab:cd", "52:54:00:ab:cd:0g", "525400abcd0f"]) expect(parseMac(bad)).toBeUndefined();
});
