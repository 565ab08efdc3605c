import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type Cidr, parseCidr } from "../../lib/cidr.ts";
import { type IpAddress, parseIp, parseIpv4 } from "../../lib/ip.ts";
import { parseMac } from "../../lib/mac.ts";
import type { DhcpSettings } from "./dhcp.ts";
import { parseSettings } from "./parse.ts";
import { DEFAULT_SETTINGS, type Settings } from "./settings.ts";

const good = (text: string): Settings => {
  const result = parseSettings("appliance.toml", text);
  expect(result).toMatchObject({ ok: true });
  return (result as { settings: Settings }).settings;
};

/** Each problem as LINE: key: text. */
const bad = (text: string): string[] => {
  const result = parseSettings("appliance.toml", text);
  return result.ok ? [] : result.problems.map((p) => `${p.origin.line}: ${p.directive}: ${p.problem}`);
};

test("no file, an empty file and the documented defaults are the same", () => {
  const written = `\ufeffhostname = "morgana"
[wan]
address = "dhcp"
address6 = "auto"
mtu = 1500
[lan]
address = "192.168.50.1/24"
dhcp = true
address6 = "auto"
dns = true
[vpn]
nat = true
[log]
level = "info"
`;
  expect(good("")).toEqual(DEFAULT_SETTINGS);
  expect(good(written)).toEqual(DEFAULT_SETTINGS);
  expect(parseSettings("appliance.toml", undefined)).toMatchObject({ ok: true, settings: DEFAULT_SETTINGS });
});

test("text without quotes, another word for true, and an unknown name come with what to write", () => {
  expect(bad("[wan]\naddress = 203.0.113.5/24 # static\n")).toEqual([
    '2: syntax: Must be a newline; text stands in quotes: address = "203.0.113.5/24"',
  ]);
  for (const row of ["vpn.nat = flase", "server.internet = ja", "status.enabled = ture", "lan.dhcp = onn"])
    expect(bad(row)).toEqual([expect.stringMatching(/; write true or false$/)]);
  expect(bad("hostname = \u201cgate\u201d")).toEqual([expect.stringContaining('in quotes: hostname = "gate"')]);
  expect(bad("[vpn]\nnat = yes\n")).toEqual([expect.stringContaining("; write true or false")]);
  expect(bad("[wan]\nmtu = 1400\nmtu = 1500\n")).toEqual([expect.not.stringContaining(";")]);
  expect(bad('[wan]\naddress = "DHCP"\n')).toEqual([expect.stringContaining('"DHCP" is neither "dhcp" nor')]);
  expect(bad("[log]\nfile = 1\n")).toEqual(["2: log.file: unknown key; [log] has level, syslog"]);
  expect(bad("[vlan]\nfile = 1\n")).toEqual(["1: vlan: unknown table; there are wan, lan, vpn, server, status, log"]);
  expect(bad("name = 1\n")).toEqual([expect.stringContaining("there is only hostname")]);
});

test("[server] says who its clients are and what they reach", () => {
  expect(bad('[server]\nlan = "open"\ninternet = "yes"\nusers = "/etc/users"\n')).toEqual([
    '2: server.lan: "open" is none of routed, translated, closed',
    "3: server.internet: must be true or false",
    expect.stringMatching(/^4: server\.users: "\/etc\/users" is no file name/),
  ]);
  expect(bad("[server]\nport = 1\n")).toEqual(["2: server.port: unknown key; [server] has lan, internet, users"]);
  const ofClient = parseSettings("appliance.toml", '[server]\nlan = "closed"\n', "client");
  expect(ofClient).toMatchObject({ ok: false, problems: [{ origin: { line: 2 }, directive: "server.lan" }] });
});

test("every key takes its value", () => {
  const text = `hostname = "gate-1"
wan = { mac = "52:54:00:12:34:56", address = "203.0.113.5/24", gateway = "203.0.113.1", address6 = "2001:db8::5/64", gateway6 = "fe80::1", dns = ["9.9.9.9", "2620:fe::9"], mtu = 1400 }
lan.mac = "52-54-00-12-34-57"
lan.address = "10.1.0.1/16"
lan.dhcp = { first = "10.1.9.1", last = "10.1.9.99", lease = 600, reserve = { "52:54:00:12:34:99" = "10.1.0.9" } }
lan.dns = false
lan.address6 = "fd12:3456:789a:1::1/64"
vpn.config = "sub/office.ovpn"
vpn.nat = false
server.lan = "translated"
server.internet = false
server.users = "users.txt"
status.enabled = true
status.port = 8080
status.commands = true
status.users = "operators.txt"
log.level = "debug"
log.syslog = "tcp://10.1.0.9:6514"
`;
  expect(good(text)).toEqual({
    hostname: "gate-1",
    wan: {
      mac: parseMac("52:54:00:12:34:56"),
      address: parseCidr("203.0.113.5/24") as Cidr,
      gateway: parseIpv4("203.0.113.1"),
      address6: parseCidr("2001:db8::5/64") as Cidr,
      gateway6: parseIp("fe80::1"),
      dns: [parseIp("9.9.9.9") as IpAddress, parseIp("2620:fe::9") as IpAddress],
      mtu: 1400,
    },
    lan: {
      mac: parseMac("52:54:00:12:34:57"),
      address: parseCidr("10.1.0.1/16") as Cidr,
      dhcp: {
        first: parseIpv4("10.1.9.1") as IpAddress,
        last: parseIpv4("10.1.9.99") as IpAddress,
        leaseSeconds: 600,
        reservations: [{ mac: parseMac("52:54:00:12:34:99")!, address: parseIpv4("10.1.0.9")! }],
      },
      dns: undefined,
      address6: parseCidr("fd12:3456:789a:1::1/64") as Cidr,
    },
    vpn: { config: "sub/office.ovpn", nat: false, forwards: [] },
    server: { lan: "translated", internet: false, users: "users.txt" },
    status: { enabled: true, port: 8080, commands: true, users: "operators.txt" },
    log: {
      level: "debug",
      syslog: { proto: "tcp", to: { address: parseIpv4("10.1.0.9")!, port: 6514 }, through: "lan", line: 18 },
    },
  });
});

test("a WAN address of its own network (/32) has its gateway outside, as a lease may (netctl, hosted machines)", () => {
  expect(good('[wan]\naddress = "203.0.113.60/32"\ngateway = "198.51.100.254"').wan).toMatchObject({
    address: parseCidr("203.0.113.60/32"),
    gateway: parseIpv4("198.51.100.254"),
  });
});

test("the pool is 100 to 200 of the LAN, the upper half of a small one, and the other address of a /30", () => {
  const pool = (lan: string, dhcp = "dhcp = true"): string => {
    const { first, last, leaseSeconds } = good(`[lan]\naddress = "${lan}"\n${dhcp}`).lan.dhcp as DhcpSettings;
    return `${first}-${last} ${leaseSeconds}`;
  };
  expect(pool("192.168.50.1/24")).toBe("192.168.50.100-192.168.50.200 3600");
  expect(pool("10.1.2.3/16", "")).toBe("10.1.0.100-10.1.0.200 3600");
  expect(pool("192.168.50.1/25")).toBe("192.168.50.64-192.168.50.126 3600");
  expect(pool("192.168.50.129/29")).toBe("192.168.50.132-192.168.50.134 3600");
  expect(pool("192.168.50.1/30")).toBe("192.168.50.2-192.168.50.2 3600");
  expect(pool("192.168.50.2/30")).toBe("192.168.50.1-192.168.50.1 3600");
  expect(pool("192.168.50.1/24", 'dhcp = { first = "192.168.50.150" }')).toBe("192.168.50.150-192.168.50.200 3600");
  expect(good("[lan]\ndhcp = false").lan.dhcp).toBeUndefined();
});

test("where something is wrong with the LAN nobody is given a lease: it would outlive the mistake", () => {
  const dhcp = (text: string): unknown => parseSettings("f", text).settings.lan.dhcp;
  expect(dhcp("[wan]\nmtu = 5")).toEqual(DEFAULT_SETTINGS.lan.dhcp);
  for (const text of ["[lan]\nx = 1", "[lan]\ndhcp = 5", '[lan]\naddress = "x"', "[lan"])
    expect(dhcp(text)).toBeUndefined();
});

test("DNS for the LAN: on by default, off, or with servers and domains of its own", () => {
  const dns = (text: string) => good(`[lan]\n${text}`).lan.dns;
  const usual = { servers: [], domain: "lan", private: [] };
  expect(["", "dns = true", "dns = {}"].map(dns)).toEqual([usual, usual, usual]);
  expect(dns("dns = false")).toBeUndefined();
  expect(dns('dns = { servers = ["9.9.9.9", "2620:fe::fe"], domain = "Home.", private = [".Corp.example"] }')).toEqual({
    servers: [parseIp("9.9.9.9") as IpAddress, parseIp("2620:fe::fe") as IpAddress],
    domain: "home",
    private: ["corp.example"],
  });
});

describe("problems have a line", () => {
  const cases: [string, string[]][] = [
    ["nat = true", ["1: nat: unknown key"]],
    ["[wan]\nadress = 1", ["2: wan.adress: unknown key"]],
    ["[wan]\n[extra]\nx = 1", ["2: extra: unknown table"]],
    ["[[wan]]\nmtu = 1400", ["1: wan: is one table"]],
    ["wan = 5", ["1: wan: is a table"]],
    ["hostname = 5", ["1: hostname: must be a string"]],
    ['hostname = "-x"', ["1: hostname:"]],
    ['[wan]\nmtu = "1500"', ["2: wan.mtu: must be a whole number"]],
    ["[wan]\nmtu = 1500.0", ["2: wan.mtu: must be a whole number"]],
    ["[wan]\nmtu = 100", ["2: wan.mtu: 100 is not between"]],
    ['[vpn]\nnat = "yes"', ["2: vpn.nat: must be true or false"]],
    ['[vpn]\nconfig = "../../x"', ["2: vpn.config:"]],
    ['[log]\nlevel = "loud"', ["2: log.level:"]],
    ["[status]\nport = 0", ["2: status.port: 0 is not between 1 and 65535"]],
    ["[status]\nport = 53", ["2: status.port: 53 is the port of the LAN's DNS"]],
    ["[status]\nenabled = 1", ["2: status.enabled: must be true or false"]],
    ["[status]\nenabled = false\ncommands = true", ["3: status.commands: needs enabled = true"]],
    ['[status]\nusers = "u.txt"', ["2: status.users: says who may give commands, and there are none"]],
    ['[status]\ncommands = "yes"\nusers = "u.txt"', ["2: status.commands: must be true or false"]],
    ['[status]\ncommands = true\nusers = "../u"', ["3: status.users:"]],
    ["[status]\nhost = 1", ["2: status.host: unknown key; [status] has enabled, port, commands, users"]],
    ['[lan]\ndhcp = "yes"', ["2: lan.dhcp: must be true, false, or a table"]],
    ["[lan]\ndhcp = { from = 1 }", ["2: lan.dhcp: unknown key from; dhcp has first, last, lease, reserve"]],
    ["[lan]\ndhcp = { first = 1 }", ["2: lan.dhcp: first must be an address in quotes"]],
    ['[lan]\ndhcp = { first = "x" }', ['2: lan.dhcp: first: "x" is no IPv4 address']],
    [
      '[lan]\ndhcp = { last = "192.168.51.9" }',
      ["2: lan.dhcp: last: 192.168.51.9 is outside of the LAN 192.168.50.0/24"],
    ],
    [
      '[lan]\ndhcp = { last = "192.168.50.255" }',
      ["2: lan.dhcp: last: 192.168.50.255 is the network's or the broadcast"],
    ],
    [
      '[lan]\ndhcp = { last = "192.168.50.99" }',
      ["2: lan.dhcp: the pool's last address 192.168.50.99 is before its first"],
    ],
    [
      '[lan]\ndhcp = { first = "192.168.50.1" }',
      ["2: lan.dhcp: the gateway's own address 192.168.50.1 is in the pool"],
    ],
    [
      '[lan]\naddress = "10.0.0.1/8"\ndhcp = { first = "10.0.1.0", last = "10.0.17.0" }',
      ["3: lan.dhcp: the pool has 4097 addresses; there can be 4096"],
    ],
    ['[lan]\ndhcp = { lease = "1h" }', ["2: lan.dhcp: lease must be a whole number of seconds"]],
    ["[lan]\ndhcp = { lease = 59 }", ["2: lan.dhcp: lease: 59 s is not between 60 and"]],
    ["[lan]\ndhcp = { reserve = 5 }", ["2: lan.dhcp: reserve must be a table"]],
    ['[lan]\ndhcp = { reserve = { "x" = "192.168.50.9" } }', ['2: lan.dhcp: reserve: "x" is no MAC address']],
    [
      '[lan]\ndhcp = { reserve = { "52:54:00:12:34:56" = "192.168.51.9" } }',
      ["2: lan.dhcp: reserve: 192.168.51.9 is outside of the LAN"],
    ],
    [
      '[lan]\ndhcp = { reserve = { "52:54:00:12:34:56" = "192.168.50.1" } }',
      ["2: lan.dhcp: reserve: 192.168.50.1 is for 52:54:00:12:34:56 and for the gateway"],
    ],
    [
      '[lan]\ndhcp = { reserve = { "52:54:00:12:34:56" = "192.168.50.9", "52-54-00-12-34-56" = "192.168.50.8" } }',
      ["2: lan.dhcp: reserve: 52:54:00:12:34:56 has two reservations"],
    ],
    [
      '[lan]\ndhcp = { reserve = { "52:54:00:12:34:56" = "192.168.50.9", "52:54:00:12:34:57" = "192.168.50.9" } }',
      ["2: lan.dhcp: reserve: 192.168.50.9 is for 52:54:00:12:34:57 and for 52:54:00:12:34:56"],
    ],
    ['[lan]\naddress = "x"\ndhcp = { first = "192.168.50.1" }', ["2: lan.address:"]],
    ['[lan]\n\ndns = "yes"', ["3: lan.dns: must be true, false, or a table"]],
    ['[lan]\ndns = { server = ["9.9.9.9"] }', ["2: lan.dns: unknown key server; dns has servers, domain, private"]],
    ['[lan]\ndns = { servers = "9.9.9.9" }', ["2: lan.dns: servers must be a list"]],
    ['[lan]\ndns = { servers = ["9.9.9.9", "x", 5] }', ['2: lan.dns: "x" is no', "2: lan.dns: servers must be a list"]],
    ['[lan]\ndns = { servers = ["127.0.0.1"] }', ['2: lan.dns: "127.0.0.1" is no address of a host']],
    ["[lan]\ndns = { domain = 5 }", ["2: lan.dns: domain must be a string"]],
    ['[lan]\ndns = { domain = "a b" }', ['2: lan.dns: "a b" is no domain']],
    ['[lan]\ndns = { domain = "my.onion" }', ['2: lan.dns: "my.onion" cannot be the domain of hosts']],
    ['[lan]\ndns = { private = ["a..b"] }', ['2: lan.dns: "a..b" is no domain']],
    ['[lan]\naddress = "192.168.50.1"', ["2: lan.address:"]],
    ['[lan]\naddress = "192.168.50.0/24"', ["2: lan.address: 192.168.50.0 is the network's"]],
    ['[lan]\naddress = "192.168.50.255/24"', ["2: lan.address: 192.168.50.255 is the network's or the broadcast"]],
    ['[lan]\naddress = "192.168.50.1/31"', ["2: lan.address: the prefix"]],
    ['[lan]\naddress = "127.0.0.1/8"', ["2: lan.address: 127.0.0.1"]],
    ['[lan]\naddress = "224.0.0.1/24"', ["2: lan.address: 224.0.0.1"]],
    ['[wan]\nmac = "53:54:00:12:34:56"', ["2: wan.mac: is no MAC address of a NIC"]],
    ['[wan]\nmac = "banana"', ["2: wan.mac:"]],
    ['[wan]\ndns = "9.9.9.9"', ["2: wan.dns: must be a list"]],
    ['[wan]\ndns = [\n"9.9.9.9",\n"x", 5]', ["4: wan.dns: x is no", "4: wan.dns: must be a list"]],
    ['[wan]\ngateway = "203.0.113.1"', ["2: wan.gateway: belongs to a static address"]],
    ['[wan]\naddress = "203.0.113.5/24"', ["2: wan.gateway: missing"]],
    [
      '[wan]\naddress = "203.0.113.5/24"\ngateway = "203.0.114.1"',
      ["3: wan.gateway: 203.0.114.1 is not in the subnet"],
    ],
    // One mistake, one problem.
    ['[wan]\naddress = "203.0.113.5/33"\ngateway = "203.0.113.1"', ["2: wan.address:"]],
    ['[wan]\naddress = "203.0.113.5"\ngateway = "203.0.113.1"\n[lan]\naddress = "203.0.113.9/24"', ["2: wan.address:"]],
    ['[wan]\naddress = "192.168.50.5/24"\ngateway = "192.168.50.9"\n[lan]\naddress = "x"', ["5: lan.address:"]],
    ['[wan]\naddress = "203.0.113.5/32"\ngateway = "203.0.113.5"', ["3: wan.gateway: is the appliance's own"]],
    ['[wan]\naddress = "203.0.113.5/32"\ngateway = "127.0.0.1"', ["3: wan.gateway:"]],
    ['[wan]\naddress = "203.0.113.5/24"\ngateway = "203.0.113.5"', ["3: wan.gateway: is the appliance's own"]],
    ['[wan]\naddress = "203.0.113.5/24"\ngateway = "203.0.113.255"', ["3: wan.gateway: is the network's"]],
    [
      '[wan]\naddress = "192.168.5.5/16"\ngateway = "192.168.0.1"',
      [
        "2: wan.address: the networks of LAN (192.168.50.1/24) and WAN (192.168.5.5/16) overlap; give the LAN another one",
      ],
    ],
    ["[wan]\rmtu = 1400\r[lan]\rmtu = 1\r", ["4: lan.mtu: unknown key"]],
    ['wan.mac = "52:54:00:12:34:56"\nlan.mac = "52:54:00:12:34:56"', ["2: lan.mac: is the same"]],
    ['hostname = "a"\nhostname = "b"', ["2: syntax:"]],
    ["[wan]\nmtu = \n", ["2: syntax:"]],
    ["[wan\n", ["1: syntax:"]],
    ['a = 1\nb = 2\n[log]\nlevel = "x"', ["1: a: unknown key", "2: b: unknown key", "4: log.level:"]],
  ];
  for (const [text, expected] of cases) {
    test(JSON.stringify(text), () => {
      const found = bad(text);
      expect(found).toHaveLength(expected.length);
      for (const [i, beginning] of expected.entries()) expect(found[i]?.slice(0, beginning.length)).toBe(beginning);
    });
  }
});

test("never throws", () => {
  const piece = fc.constantFrom(
    "[wan]\n",
    "wan",
    "lan",
    ".",
    "=",
    '"',
    "'",
    "{",
    "}",
    "[",
    "]",
    "\n",
    "mtu = 5\n",
    "address",
    "true",
    "1979-05-27",
    "__proto__",
    "#",
  );
  fc.assert(
    fc.property(
      fc.oneof(
        fc.array(piece).map((p) => p.join("")),
        fc.string({ unit: "binary" }),
      ),
      (text) => {
        const result = parseSettings("f", text);
        if (!result.ok) expect(result.problems.length).toBeGreaterThan(0);
        else expect(result.settings.wan.mtu).toBeGreaterThanOrEqual(576);
      },
    ),
    { numRuns: 500 },
  );
});

test("what is nested deeper than the parser can bear, or larger than a person writes, is a problem at its line", () => {
  const hostile: [string, string][] = [
    [`hostname = "a"\nx = ${"[".repeat(15_000)}${"]".repeat(15_000)}\n`, "2: syntax: lists and tables within"],
    [`x = ${"{a=".repeat(7500)}1${"}".repeat(7500)}\n`, "1: syntax: lists and tables within"],
    [`[wan]\nmtu = ${"9".repeat(200_000)}\n`, "1: file: larger than 32 KiB"],
    [`# ${"[".repeat(20)}\nx = '''\n${"[".repeat(20)}'''\ny = ${"[".repeat(17)}`, "4: syntax: lists and tables within"],
  ];
  for (const [text, wanted] of hostile) {
    const result = parseSettings("appliance.toml", text);
    const found = result.ok ? [] : result.problems.map((p) => `${p.origin.line}: ${p.directive}: ${p.problem}`);
    expect(found).toEqual([expect.stringContaining(wanted)]);
    expect(result.settings.wan.address).toBe("none");
  }
  // Of brackets in strings and comments there may be any number.
  const harmless = `# ${"[".repeat(99)}\n[vpn]\nconfig = "${"[{".repeat(20)}"\n`;
  expect(parseSettings("appliance.toml", harmless).ok).toBe(true);
});

test("the largest hostile text within the bound is over in a second, and its problems are a thousand and their number", () => {
  const most = 32 * 1024;
  const texts = ["k=1\n", "[a]\n", "a.", "[[", '"""\\', "'''", "x=[\n", "x=9", "{a="].map((part) =>
    part.repeat(Math.floor(most / part.length)),
  );
  texts.push(`x=${"9".repeat(most - 2)}`, Array.from({ length: 3500 }, (_, i) => `k${i}=1`).join("\n"));
  for (const text of texts) {
    const before = process.cpuUsage();
    const result = parseSettings("appliance.toml", text);
    expect(process.cpuUsage(before).user / 1000).toBeLessThan(1000);
    expect(result.ok).toBe(false);
    if (!result.ok) expect(result.problems.length).toBeLessThanOrEqual(1001);
  }
  const last = parseSettings("appliance.toml", texts.at(-1) as string);
  expect(last.ok ? "" : last.problems.at(-1)?.problem).toBe("and 2500 more problems");
});

test("commands are a server's: in another role their keys are problems, the rest of [status] is everybody's", () => {
  const toml = '[status]\nenabled = true\nport = 81\ncommands = true\nusers = "o.txt"\n';
  expect(parseSettings("f", toml, "server").ok).toBe(true);
  for (const role of ["client", "p2p", "static"] as const) {
    const result = parseSettings("f", toml, role);
    expect(result.ok ? [] : result.problems.map(({ origin, directive }) => `${origin.line} ${directive}`)).toEqual([
      "4 status.commands",
      "5 status.users",
    ]);
  }
});

test("with dev tap every key that only a router has is named; services that are off may say so, and the LAN overlaps nothing", () => {
  const toml = `wan.address = "192.168.50.9/24"
wan.gateway = "192.168.50.1"
lan.address = "10.0.0.1/24"
lan.address6 = "off"
lan.dhcp = true
lan.dns = true
vpn.nat = false
status.enabled = true
[[vpn.forward]]
proto = "tcp"
port = 80
to = "10.0.0.2:80"
`;
  const result = parseSettings("appliance.toml", toml, "client", "tap");
  const named = result.ok ? [] : result.problems.filter(({ problem }) => problem.includes("dev tap"));
  expect(named.map(({ origin, directive }) => `${origin.line} ${directive}`)).toEqual([
    ...["3 lan.address", "4 lan.address6", "5 lan.dhcp", "6 lan.dns", "7 vpn.nat", "8 status.enabled", "9 vpn.forward"],
  ]);
  const server = parseSettings("appliance.toml", '[server]\nlan = "closed"\ninternet = true', "server", "tap");
  expect(server.ok ? [] : server.problems.map(({ directive }) => directive)).toEqual(["server.lan", "server.internet"]);
  const plain =
    'wan.address = "192.168.50.9/24"\nwan.gateway = "192.168.50.1"\nlan.dhcp = false\nlan.dns = false\nstatus.enabled = false\n';
  expect(parseSettings("appliance.toml", plain, "client", "tap").ok).toBe(true);
  expect(parseSettings("appliance.toml", plain, "client", "tun").ok).toBe(false);
});
