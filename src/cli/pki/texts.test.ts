import { expect, test } from "bun:test";
import { parsePlace } from "./texts.ts";

test("a server's place is a host name or an address, with a port where it is not 1194", () => {
  const places: [string, string, number][] = [
    ["vpn.example.com", "vpn.example.com", 1194],
    ["vpn.example.com:443", "vpn.example.com", 443],
    ["a_b-c", "a_b-c", 1194],
    ["192.0.2.1", "192.0.2.1", 1194],
    ["192.0.2.1:65535", "192.0.2.1", 65_535],
    ["2001:db8::1", "2001:db8::1", 1194],
    ["[2001:db8::1]", "2001:db8::1", 1194],
    ["[2001:db8::1]:443", "2001:db8::1", 443],
  ];
  for (const [text, host, port] of places) expect([text, parsePlace(text)]).toEqual([text, { host, port }]);
});

test("what is none would be no line of a profile either", () => {
  const bad = [
    "",
    ":443",
    "a:0",
    "a:65536",
    "a:x",
    "a:1:2",
    "a b",
    "-a",
    "a-",
    "a..b",
    ".a",
    "192.0.2.300",
    "[192.0.2.1]",
    "[x]:1",
  ];
  for (const text of [
    ...bad,
    "a\nb",
    'a"b',
    "a;b",
    "zoë.example",
    "x".repeat(64),
    `${"x.".repeat(127)}x`,
    "[2001:db8::1",
  ])
    expect([text, parsePlace(text)]).toEqual([text, undefined]);
});
