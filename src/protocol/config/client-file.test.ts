import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { parseClientFile } from "./client-file.ts";
import type { ClientFile } from "./server-types.ts";

const parse = (text: string) => parseClientFile({ file: "ccd/c1", text }, () => undefined);
const shown = (list: readonly { origin: { line: number }; directive: string; problem: string }[]): string[] =>
  list.map(({ origin, directive, problem }) => `${origin.line} ${directive}: ${problem}`);
const problems = (text: string): string[] => {
  const result = parse(text);
  return result.ok ? [] : shown(result.problems);
};
const warnings = (text: string): string[] => shown(parse(text).warnings);

function good(text: string): ClientFile {
  const result = parse(text);
  expect(result.ok ? [] : shown(result.problems)).toEqual([]);
  return (result as { file: ClientFile }).file;
}

const NOTHING: ClientFile = {
  file: "ccd/c1",
  isDisabled: false,
  address: undefined,
  address6: undefined,
  networks: [],
  push: [],
  lines: new Map(),
};

test("an empty file says nothing of its client", () => {
  expect(good("")).toEqual(NOTHING);
  expect(good("# nothing\n\n; yet\n")).toEqual(NOTHING);
});

test("what a file says of its client", () => {
  const file = good(
    [
      "ifconfig-push 10.8.0.77 255.255.255.0",
      "ifconfig-ipv6-push fd00:8::77/64 fd00:8::1",
      "iroute 192.168.77.0 255.255.255.0",
      "iroute 192.168.78.5",
      "iroute-ipv6 fd00:77::/48",
      'push "route 10.99.0.0 255.255.0.0"',
      "push 'dhcp-option DOMAIN \"x\"'",
      "push-remove 'route '",
      "push-remove ifconfig-ipv6",
      "push-reset",
      "disable",
      "sndbuf 0",
    ].join("\r\n"),
  );
  expect(`${file.address?.local} ${file.address?.second}`).toBe("10.8.0.77 255.255.255.0");
  expect(`${file.address6?.local} ${file.address6?.gateway}`).toBe("fd00:8::77/64 fd00:8::1");
  expect(file.networks.map(String)).toEqual(["192.168.77.0/24", "192.168.78.5/32", "fd00:77::/48"]);
  expect([...file.lines]).toEqual([
    ["ifconfig-push", 1],
    ["ifconfig-ipv6-push", 2],
    ["192.168.77.0/24", 3],
    ["192.168.78.5/32", 4],
    ["fd00:77::/48", 5],
  ]);
  expect(file).toMatchObject({
    isDisabled: true,
    push: [
      { kind: "add", option: "route 10.99.0.0 255.255.0.0" },
      { kind: "add", option: 'dhcp-option DOMAIN "x"' },
      { kind: "remove", start: "route " },
      { kind: "remove", start: "ifconfig-ipv6" },
      { kind: "reset" },
    ],
  });
});

test("an IPv6 address without a prefix has OpenVPN's, and a gateway need not be", () => {
  const { address6 } = good("ifconfig-ipv6-push fd00:8::77");
  expect(`${address6?.local} ${address6?.gateway}`).toBe("fd00:8::77/64 undefined");
});

test("the last of two addresses counts, and a network with an address in its middle is taken whole: both are told", () => {
  const text = "ifconfig-push 10.8.0.5 10.8.0.6\nifconfig-push 10.8.0.9 10.8.0.10\niroute 10.1.2.3 255.255.255.0\n";
  const file = good(text);
  expect(`${file.address?.local}`).toBe("10.8.0.9");
  expect(file.networks.map(String)).toEqual(["10.1.2.0/24"]);
  expect(warnings(text)).toEqual([
    "1 ifconfig-push: ignored: line 2 says otherwise, and the last one counts",
    "3 iroute: 10.1.2.3 is in the middle of a network; 10.1.2.0/24 is taken",
  ]);
});

describe("a problem at its line", () => {
  test.each([
    ["disable\nifconfig-push 10.8.0.300 255.255.255.0", "2 ifconfig-push: "],
    ["ifconfig-push 10.8.0.3", "1 ifconfig-push: 1 parameters, but it takes at least 2"],
    ["ifconfig-push 10.8.0.3 host.example", "1 ifconfig-push: "],
    ["ifconfig-push 0.0.0.0 255.255.255.0", "1 ifconfig-push: "],
    ["ifconfig-ipv6-push 10.8.0.3/24", "1 ifconfig-ipv6-push: "],
    ["ifconfig-ipv6-push fd00::5/64 10.8.0.1", "1 ifconfig-ipv6-push: "],
    ["iroute 10.0.0.0 255.0.255.0", "1 iroute: "],
    ["iroute host.example", "1 iroute: "],
    ["iroute-ipv6 10.0.0.0/8", "1 iroute-ipv6: "],
    ["push route 10.0.0.0", "1 push: what is pushed stands in quotes"],
    ['push "a,b"', "1 push: "],
    ["keepalive 10 60", "1 keepalive: cannot stand in a file of client-config-dir, which holds disable, "],
    ["config other", "1 config: cannot stand in a file of client-config-dir"],
    ["client-to-client", "1 client-to-client: cannot stand in"],
    ["tls-verify /bin/true", "1 tls-verify: cannot stand in"],
    ["ifconfig-posh 10.8.0.3 255.255.255.0", "1 ifconfig-posh: unknown directive; ifconfig-push may be meant"],
    ["<ca>\nx\n</ca>", "1 ca: cannot stand in"],
    ["<connection>\nremote x\n</connection>", "1 connection: cannot stand in"],
    ['push "open', '1 push: the quote " is not closed'],
  ])("%j", (text, wanted) => {
    const found = problems(text);
    expect(found).toHaveLength(1);
    expect(found[0]).toStartWith(wanted);
  });

  test("each of several, and a file that is too large", () => {
    expect(problems("iroute x\nfoo\nkeepalive 1 2\n").map((p) => p.split(":")[0])).toEqual([
      "1 iroute",
      "2 foo",
      "3 keepalive",
    ]);
    expect(problems("#".repeat(300_000))).toEqual([expect.stringMatching(/^1 file: larger than 256 KiB/)]);
  });
});

test("whatever a file holds, it is a client's file or problems, and never an exception", () => {
  const words = fc.constantFrom(
    ...["ifconfig-push", "iroute", "iroute-ipv6", "push", "10.8.0.3", "255.0.0.0", "::1/64"],
  );
  const text = fc.array(fc.oneof(words, fc.string({ unit: "binary" }), fc.constantFrom(" ", "\n", '"', "<", ">")));
  fc.assert(
    fc.property(text, (pieces) => {
      const result = parse(pieces.join(""));
      const told = result.ok ? result.warnings : [...result.problems, ...result.warnings];
      for (const { directive, problem } of told) expect(`${directive}: ${problem}`).not.toMatch(/[^ -~\u00a0-\uffff]/);
    }),
  );
});

test("what would name a client otherwise, or put it into a VLAN, is a problem that says what to do", () => {
  expect(problems("vlan-pvid 7\noverride-username ann")).toEqual([
    expect.stringMatching(/^1 vlan-pvid: VLANs are not told apart: .*have a server for each VLAN/),
    expect.stringMatching(/^2 override-username: a client is called as its certificate or its login says/),
  ]);
});
