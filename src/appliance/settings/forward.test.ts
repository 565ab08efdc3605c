import { describe, expect, test } from "bun:test";
import { formatEndpoint } from "../../lib/endpoint.ts";
import { parseSettings } from "./parse.ts";

const read = (text: string) => parseSettings("appliance.toml", text);
const bad = (text: string): string[] => {
  const result = read(text);
  return result.ok ? [] : result.problems.map((p) => `${p.origin.line}: ${p.directive}: ${p.problem}`);
};
const forwards = (text: string): string[] => {
  const result = read(text);
  expect(bad(text)).toEqual([]);
  return result.settings.vpn.forwards.map((f) => `${f.line} ${f.proto} ${f.port} ${formatEndpoint(f.to)}`);
};
const forward = (rest: string): string => `[[vpn.forward]]\n${rest}\n`;
const to = (target: string, port: number | string = 8080, proto = "tcp"): string =>
  forward(`proto = "${proto}"\nport = ${port}\nto = "${target}"`);

test("a list of tables, or of inline ones; both families and both protocols may have one port", () => {
  const text = to("192.168.50.20:80") + to("192.168.50.20:80", 8080, "udp") + to("[fd12:3456:789a:1::20]:80");
  expect(forwards(text)).toEqual([
    "1 tcp 8080 192.168.50.20:80",
    "5 udp 8080 192.168.50.20:80",
    "9 tcp 8080 [fd12:3456:789a:1::20]:80",
  ]);
  expect(forwards('[vpn]\nforward = [{ proto = "udp", port = 7000, to = "192.168.50.20:7007" }]\n')).toEqual([
    "2 udp 7000 192.168.50.20:7007",
  ]);
  expect(forwards("[vpn]\nforward = []")).toEqual([]);
  expect(forwards(`[lan]\naddress = "10.1.0.1/16"\n${to("10.1.200.9:22", 22)}`)).toEqual(["3 tcp 22 10.1.200.9:22"]);
});

describe("problems have a line", () => {
  const form = 'an address and a port such as "192.168.50.20:80" or "[fd12:3456:789a:1::20]:80"';
  const cases: [string, string[]][] = [
    [forward(""), ["1: vpn.forward: proto, port, to missing"]],
    [forward("port = 1\nhost = 5"), ["1: vpn.forward: proto, to missing", "3: vpn.forward: unknown key host"]],
    [to("192.168.50.20:80", 8080, "sctp"), ['2: vpn.forward: proto is neither "tcp" nor "udp"']],
    [to("192.168.50.20:80", 0), ["3: vpn.forward: port must be a whole number from 1 to 65535"]],
    [to("192.168.50.20:80", 65536), ["3: vpn.forward: port must be"]],
    [to("192.168.50.20:80", '"80"'), ["3: vpn.forward: port must be"]],
    ...["192.168.50.20", "192.168.50.20:0", "192.168.50.20:65536", "nas:80", "fd12::20:80", "[192.168.50.20]:80"].map(
      (target): [string, string[]] => [to(target), [`4: vpn.forward: to "${target}" is not ${form}`]],
    ),
    [forward('proto = "tcp"\nport = 1\nto = 80'), [`4: vpn.forward: to must be ${form}`]],
    [
      to("192.168.51.20:80"),
      ["4: vpn.forward: to 192.168.51.20 is not of the LAN, 192.168.50.0/24; name a host of it"],
    ],
    [to("192.168.50.1:80"), ["4: vpn.forward: to 192.168.50.1 is the gateway itself; name a host"]],
    [to("192.168.50.255:80"), ["4: vpn.forward: to 192.168.50.255 is the network's or the broadcast address"]],
    [to("192.168.50.0:80"), ["4: vpn.forward: to 192.168.50.0 is the network's"]],
    [to("224.0.0.9:80"), ["4: vpn.forward: to 224.0.0.9 is no address of a LAN host"]],
    [to("[fe80::1]:80"), ["4: vpn.forward: to fe80::1 is no address of a LAN host"]],
    [
      `[lan]\naddress6 = "fd12:3456:789a:1::1/64"\n${to("[fd12:3456:789a:2::20]:80")}`,
      ["6: vpn.forward: to fd12:3456:789a:2::20 is not of the LAN, fd12:3456:789a:1::/64"],
    ],
    [
      `[lan]\naddress6 = "fd12:3456:789a:1::1/64"\n${to("[fd12:3456:789a:1::1]:80")}`,
      ["6: vpn.forward: to fd12:3456:789a:1::1 is the gateway itself"],
    ],
    [
      `[lan]\naddress6 = "off"\n${to("[fd12:3456:789a:1::20]:80")}`,
      ['6: vpn.forward: to fd12:3456:789a:1::20 cannot be reached: lan.address6 is "off"'],
    ],
    [
      to("192.168.50.20:80") + to("192.168.50.21:80"),
      ["5: vpn.forward: tcp port 8080 leads to 192.168.50.20:80 already (line 1); choose another port"],
    ],
    [`[vpn]\nnat = false\n${to("192.168.50.20:80")}`, ["3: vpn.forward: needs nat = true: without translation"]],
    ['[vpn.forward]\nproto = "tcp"', ["1: vpn.forward: is a list of tables: write [[vpn.forward]]"]],
    ["[vpn]\nforward = 8080", ["2: vpn.forward: is a list of tables"]],
    ["[vpn]\nforward = [8080]", ["2: vpn.forward: is a list of tables"]],
    ["[vpn]\nforwards = 1", ["2: vpn.forwards: unknown key; [vpn] has config, nat, forward"]],
    [
      Array.from({ length: 257 }, (_, i) => `[[vpn.forward]]\nproto="tcp"\nport=${i + 1}\nto="192.168.50.9:1"\n`).join(
        "",
      ),
      ["1025: vpn.forward: is one too many; there can be 256 forwards"],
    ],
  ];
  test.each(cases)("%p", (text, expected) => {
    expect(bad(text)).toEqual(expected.map((part) => expect.stringContaining(part)));
  });

  test("a LAN address that is wrong itself is not held against a forward too", () => {
    expect(bad(`[lan]\naddress = "x"\n${to("10.9.9.9:80")}`)).toEqual([expect.stringContaining("2: lan.address")]);
  });
});
