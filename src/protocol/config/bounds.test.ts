/** What a file may cost that is no profile, or a hostile one. */
import { expect, test } from "bun:test";
import { parseClientFile } from "./client-file.ts";
import { parseConfig } from "./parse.ts";
import { decodeUtf8, encodeUtf8 } from "./utf8.ts";

const START = "client\ndev tun\nremote 192.0.2.1\n";
const MIB = 1 << 20;
function parse(text: string) {
  // Of the processor, whatever else runs beside the test.
  const before = process.cpuUsage();
  const result = parseConfig({ file: "x.ovpn", text }, () => undefined);
  return { result, ms: process.cpuUsage(before).user / 1000 };
}
const texts = (text: string): string[] => {
  const { result } = parse(text);
  return result.ok ? [] : result.problems.map((p) => `${p.origin.line}: ${p.directive}: ${p.problem}`);
};

test("of problems and of warnings a thousand are listed, and how many more there are", () => {
  const { result } = parse(`${START}ignore-unknown-option zz\n${"zz a\n".repeat(20_000)}${"yy\n".repeat(3000)}`);
  expect(result.warnings).toHaveLength(1001);
  expect(result.warnings.at(-1)?.problem).toBe("and 19000 more warnings");
  const problems = result.ok ? [] : result.problems;
  expect(problems).toHaveLength(1001);
  expect(problems.at(-1)?.problem).toMatch(/^and 200\d more problems$/);
});

test("more text or more lines than any profile has is one problem", () => {
  expect(texts(START + "#".repeat(MIB))).toEqual([expect.stringMatching(/^1: file: larger than 1 MiB/)]);
  expect(texts(START + "zz\n".repeat(40_000))).toEqual(expect.arrayContaining(["32769: file: more than 32768 lines"]));
});

test("user and password for a SOCKS proxy have at most 255 bytes each (RFC 1929 2), however few characters those are", () => {
  const problems = (user: string, password: string): string[] => {
    const read = (name: string) => (name === "login.txt" ? encodeUtf8(`${user}\n${password}\n`) : undefined);
    const result = parseConfig({ file: "x.ovpn", text: `${START}socks-proxy 192.0.2.3 1080 login.txt\n` }, read);
    return result.ok ? [] : result.problems.flatMap((p) => (p.directive === "socks-proxy" ? [p.problem] : []));
  };
  const tooLong = ["login.txt: user or password is longer than 255 bytes"];
  expect(problems("a".repeat(255), `a${"\u00fc".repeat(127)}`)).toEqual([]);
  expect(problems("a".repeat(256), "pw")).toEqual(tooLong);
  expect(problems("\u00fc".repeat(128), "pw")).toEqual(tooLong);
  expect(problems("ann", "\u{1f600}".repeat(64))).toEqual(tooLong);
});

test("a profile of the largest size, whatever it holds, is read in a second", () => {
  const lines = 32_700;
  const fill = (part: string): string => START + part.repeat(Math.min(lines, Math.floor((MIB - 100) / part.length)));
  for (const text of [
    fill("zz aaaaaaaaaaaaaaaaaaaaaaaaaaa\n"),
    fill("remote 192.0.2.1 5\n"),
    fill("route 192.0.2.1\n"),
    START + "<connection>\nremote 1.2.3.4\n</connection>\n".repeat(lines / 3),
    `${START}<ca>\n${"-----BEGIN CERTIFICATE-----\n".repeat(32_000)}</ca>\n`,
    `${START}<ca>\n${"-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----\n".repeat(10_000)}</ca>\n`,
    START + "\0".repeat(MIB - 100),
    START + " ".repeat(MIB - 100),
    `${START}remote ${"a".repeat(MIB - 100)}`,
    Array.from({ length: lines }, (_, i) => `setenv UV_${i} x`).join("\n"),
    Array.from({ length: lines }, (_, i) => `ignore-unknown-option q${i}`).join("\n"),
  ])
    expect(parse(text).ms).toBeLessThan(1000);
});

test("so is a server's, and a file of client-config-dir", () => {
  const server = "server 10.8.0.0 255.255.0.0\ndev tun\n";
  const many = (line: (i: number) => string): string =>
    server + Array.from({ length: 32_000 }, (_, i) => line(i)).join("\n");
  for (const text of [
    many((i) => `local 10.1.${i >> 8}.${i & 255}`),
    many((i) => `push "route 10.1.${i & 255}.0"`),
    many((i) => `route 10.${i >> 8}.${i & 255}.0 255.255.255.0`),
  ])
    expect(parse(text).ms).toBeLessThan(1000);
  const before = process.cpuUsage();
  const routes = Array.from({ length: 9000 }, (_, i) => `iroute 10.${i >> 8}.${i & 255}.0 255.255.255.0`).join("\n");
  parseClientFile({ file: "ccd/c1", text: routes.slice(0, 256 << 10) }, () => undefined);
  expect(process.cpuUsage(before).user / 1000).toBeLessThan(1000);
});

test("text is decoded and encoded at a piece at a time as at once", () => {
  const text = `${"a".repeat(4095)}\u00fc\u20ac\u{1f600}${"\u{1f600}".repeat(5000)}`;
  expect(decodeUtf8(new TextEncoder().encode(text))).toBe(text);
  expect(encodeUtf8(text)).toEqual(new TextEncoder().encode(text));
});
