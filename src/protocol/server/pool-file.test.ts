import { expect, test } from "bun:test";
import fc from "fast-check";
import { IpAddress, parseIp } from "../../lib/ip.ts";
import { formatPoolFile, parsePoolFile } from "./pool-file.ts";

const parse = (text: string) => parsePoolFile({ file: "ipp.txt", text }, false);
const words = (text: string): string[] =>
  parse(text).leases.map(({ name, address, address6 }) => [name, address ?? "-", address6 ?? "-"].join("|"));

test("lines as OpenVPN writes them, of this year and of 2.3", () => {
  const text = "c1,10.8.0.2,\nc2,10.8.0.3,fd00::1001\nc3,,fd00::1002\r\n\n# note\n; note\nold client,10.8.0.4\n";
  expect(words(text)).toEqual(["c1|10.8.0.2|-", "c2|10.8.0.3|fd00::1001", "c3|-|fd00::1002", "old client|10.8.0.4|-"]);
});

test("a name may have commas in it", () => {
  expect(words("Doe, John,10.8.0.2,\na,b,10.8.0.3")).toEqual(["Doe, John|10.8.0.2|-", "a,b|10.8.0.3|-"]);
});

test("a line that is none is named, and the others count", () => {
  const { leases, problems } = parse("c1\nc2,10.8.0.300,\n,10.8.0.2,\nc3,,\nc4,10.8.0.2,\nc5,10.8.0.3,fd00::zz");
  expect(leases.map(({ name }) => name)).toEqual(["c4"]);
  expect(problems.map(({ origin }) => origin.line)).toEqual([1, 2, 3, 4, 6]);
});

test("a file that is only read fixes what it names", () => {
  const { leases } = parsePoolFile({ file: "ipp.txt", text: "c1,10.8.0.2," }, true);
  expect(leases).toEqual([
    { name: "c1", address: parseIp("10.8.0.2"), address6: undefined, releasedAt: undefined, isFixed: true },
  ]);
});

test("of net30 the first of four stands in the file", () => {
  const lease = { name: "c1", address: parseIp("10.8.0.6"), address6: undefined, releasedAt: 5 };
  expect(formatPoolFile([lease], true)).toBe("c1,10.8.0.4,\n");
  expect(formatPoolFile([lease], false)).toBe("c1,10.8.0.6,\n");
});

test("what is written is read back; a name that would not be is left out", () => {
  const address = fc.option(fc.integer().map(IpAddress.fromIpv4), { nil: undefined });
  const address6 = fc.option(
    fc.integer().map((n) => new IpAddress(0xfd000000, 0, 1, n)),
    { nil: undefined },
  );
  const lease = fc.record({
    name: fc.string({ unit: "binary" }),
    address,
    address6,
    releasedAt: fc.constant(undefined),
  });
  fc.assert(
    fc.property(fc.array(lease, { maxLength: 5 }), (leases) => {
      const { leases: read, problems } = parse(formatPoolFile(leases, false));
      expect(problems).toEqual([]);
      const written = leases.filter((l) => read.some((r) => r.name === l.name));
      expect(read).toEqual(written.filter((l) => (l.address ?? l.address6) !== undefined));
    }),
  );
  const odd = ["", "#a", "a\nb,10.8.0.9,", ",", "fd00::1"];
  expect(
    formatPoolFile(
      odd.map((name) => ({ name, address: parseIp("10.8.0.2"), address6: undefined, releasedAt: 1 })),
      false,
    ),
  ).toBe(",,10.8.0.2,\nfd00::1,10.8.0.2,\n");
});
