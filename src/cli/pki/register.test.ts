import { expect, test } from "bun:test";
import { formatRegister, parseRegister } from "./register.ts";

const ENTRIES = [
  { name: "server", serial: "4A", notAfter: new Date("2046-11-29T03:43:16Z"), revokedAt: undefined },
  {
    name: "ann",
    serial: "71A6",
    notAfter: new Date("2050-01-01T00:00:00Z"),
    revokedAt: new Date("2049-12-31T23:59:59Z"),
  },
];
const TEXT = "V\t461129034316Z\t\t4A\tunknown\t/CN=server\nR\t20500101000000Z\t491231235959Z\t71A6\tunknown\t/CN=ann\n";

test("entries are written as OpenSSL does, and read back", () => {
  expect(formatRegister(ENTRIES)).toBe(TEXT);
  expect(parseRegister("index.txt", TEXT)).toEqual(ENTRIES);
  expect(parseRegister("index.txt", "")).toEqual([]);
});

test("a revocation with its reason, and what OpenSSL has marked as expired, are read", () => {
  const text =
    "R\t361128034317Z\t261129034318Z,keyCompromise\t71A6\tunknown\t/CN=ann\nE\t200101000000Z\t\t72\tunknown\t/CN=bob\n";
  expect(parseRegister("index.txt", text)).toMatchObject([
    { name: "ann", revokedAt: new Date("2026-11-29T03:43:18Z") },
    { name: "bob", revokedAt: undefined },
  ]);
});

test("a line that is none is named", () => {
  const [first, second] = TEXT.split("\n") as [string, string];
  const bad = [
    "nonsense",
    first.replace("V", "X"),
    first.replace("4611", "4613"),
    first.replace("4A", "4"),
    first.replace("/CN", "/O"),
    second.replace("491231235959Z", ""),
  ];
  for (const line of bad)
    expect(() => parseRegister("vpn-ca/index.txt", `${first}\n${line}\n`)).toThrow(/^vpn-ca\/index\.txt:2: not a line/);
});
