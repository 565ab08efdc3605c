import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { formatEndpoint } from "../../lib/endpoint.ts";
import { parseSettings } from "./parse.ts";

const LAN = '[lan]\naddress6 = "fd12:3456:789a:1::1/64"\n';

/** The collector as PROTO ADDRESS:PORT, or each problem as LINE: text. */
function read(value: string, before = LAN): string | string[] {
  const result = parseSettings("appliance.toml", `${before}[log]\nsyslog = ${value}\n`);
  if (!result.ok) return result.problems.map((p) => `${p.origin.line}: ${p.directive}: ${p.problem}`);
  const { syslog } = result.settings.log;
  if (syslog === undefined) return "none";
  const { proto, to, through, line } = syslog;
  return `${proto} ${formatEndpoint(to)} ${line}${through === "tunnel" ? " tunnel" : ""}`;
}

test.each([
  ["192.168.50.10", "udp 192.168.50.10:514"],
  ["192.168.50.10:5140", "udp 192.168.50.10:5140"],
  ["udp://192.168.50.10", "udp 192.168.50.10:514"],
  ["udp://192.168.50.10:5140", "udp 192.168.50.10:5140"],
  ["tcp://192.168.50.10", "tcp 192.168.50.10:601"],
  ["TCP://192.168.50.10:65535", "tcp 192.168.50.10:65535"],
  ["fd12:3456:789a:1::10", "udp [fd12:3456:789a:1::10]:514"],
  ["[fd12:3456:789a:1::10]", "udp [fd12:3456:789a:1::10]:514"],
  ["tcp://[fd12:3456:789a:1::10]:6514", "tcp [fd12:3456:789a:1::10]:6514"],
])("%s is %s", (text, endpoint) => {
  expect(read(`"${text}"`)).toBe(`${endpoint} 4`);
});

describe("a collector that cannot be is a problem at its line, with what to write", () => {
  const example = /such as "192\.168\.50\.10", "tcp:\/\/192\.168\.50\.10:601" or/;
  test.each([
    ['"loghost"', /"loghost" is a name; write the collector's address instead/],
    ['"tcp://log.example.com:601"', /is a name; write the collector's address instead/],
    ['""', example],
    ['"192.168.50.10:0"', example],
    ['"192.168.50.10:65536"', example],
    ['"192.168.50.10:x"', example],
    ['"[192.168.50.10]:514"', example],
    ['"udp://"', example],
    ['"192.168.50.10:514/x"', example],
    ['"tls://192.168.50.10"', /"tls:\/\/" is neither udp:\/\/ nor tcp:\/\/; .*none with TLS/],
    ["514", /must be an address in quotes such as .*, or a table such as \{ to = /],
    [
      '"203.0.113.9"',
      /203\.0\.113\.9 is not of the LAN, 192\.168\.50\.0\/24, and the WAN leads to no collector; name a host of the LAN, or, for one beyond a client's tunnel, write \{ to = /,
    ],
    ['"10.8.0.1"', /10\.8\.0\.1 is not of the LAN/],
    ['"fd99::1"', /fd99::1 is not of the LAN, fd12:3456:789a:1::\/64/],
    ['"192.168.50.1"', /is the gateway itself; name a host of the LAN/],
    ['"192.168.50.255"', /is the network's or the broadcast address/],
    ['"255.255.255.255"', /is no address of a collector/],
    ['"224.0.0.1"', /is no address of a collector/],
    ['"fe80::10"', /is no address of a collector/],
    ['"127.0.0.1"', /is no address of a collector/],
  ])("%s", (value, problem) => {
    expect(read(value)).toEqual([expect.stringMatching(/^4: log\.syslog: /)]);
    expect(read(value)).toEqual([expect.stringMatching(problem)]);
  });
});

test("beyond the tunnel it is where that is said, at any address that is not of the LAN", () => {
  expect(read('{ to = "10.1.0.5", through = "tunnel" }')).toBe("udp 10.1.0.5:514 4 tunnel");
  expect(read('{ to = "tcp://[2001:db8::5]:6514", through = "tunnel" }')).toBe("tcp [2001:db8::5]:6514 4 tunnel");
  expect(read('{ to = "192.168.50.10" }')).toBe("udp 192.168.50.10:514 4");
  expect(read('{ to = "192.168.50.10", through = "lan" }')).toBe("udp 192.168.50.10:514 4");
  for (const [value, problem] of [
    ['{ to = "192.168.50.10", through = "tunnel" }', /is of the LAN, .*; leave through = "tunnel" out/],
    ['{ to = "fd12:3456:789a:1::10", through = "tunnel" }', /is of the LAN, .*; leave through = "tunnel" out/],
    ['{ to = "10.1.0.5" }', /is not of the LAN/],
    ['{ to = "10.1.0.5", through = "wan" }', /through is neither "lan" nor "tunnel"/],
    ['{ to = "10.1.0.5", through = 1 }', /through is neither "lan" nor "tunnel"/],
    ['{ through = "tunnel" }', /to missing: write \{ to = /],
    ['{ to = 5, through = "tunnel" }', /is no address of a collector/],
    ['{ to = "127.0.0.1", through = "tunnel" }', /is no address of a collector/],
    ['{ to = "10.1.0.5", through = "tunnel", port = 5 }', /unknown key port; syslog has to, through/],
  ] as const)
    expect([value, read(value)]).toEqual([value, [expect.stringMatching(problem)]]);
  const server = parseSettings("appliance.toml", '[log]\nsyslog = { to = "10.1.0.5", through = "tunnel" }\n', "server");
  expect(server.ok ? [] : server.problems.map((p) => `${p.origin.line}: ${p.problem}`)).toEqual([
    '2: through = "tunnel" belongs to a client\'s profile; name a host of the LAN',
  ]);
});

test("what is wrong with the LAN itself is told once, and a network that is not known yet is taken as it is", () => {
  expect(read('"10.9.0.5"', '[lan]\naddress = "10.9.0.1"\n')).toEqual([expect.stringMatching(/^2: lan\.address: /)]);
  expect(read('"fd99::1"', "")).toBe("udp [fd99::1]:514 2");
  expect(read('"fd99::1"', '[lan]\naddress6 = "off"\n')).toEqual([expect.stringMatching(/lan\.address6 is "off"/)]);
});

test("with dev tap there is no address to send from", () => {
  const result = parseSettings("appliance.toml", '[log]\nsyslog = "192.168.50.10"\n', "client", "tap");
  expect(result.ok ? [] : result.problems.map((p) => `${p.origin.line}: ${p.directive}`)).toEqual(["2: log.syslog"]);
});

test("whatever is written there, it is a collector of the LAN or a problem", () => {
  const unit = fc.constantFrom(..."0123456789abcdef.:/[]tcpudx-".split(""));
  fc.assert(
    fc.property(fc.string({ unit, maxLength: 40 }), (text) => {
      const found = read(JSON.stringify(text));
      if (typeof found === "string") expect(found).toMatch(/^(udp|tcp) (192\.168\.50\.|\[fd12:3456:789a:1:).* 4$/);
    }),
  );
});
