/** A server's profiles: what they resolve to, what is reported at which line, and what the real openvpn says to each. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { folderReader } from "../../src/appliance/config-source.ts";
import { DIRECTIVES } from "../../src/protocol/config/directives.ts";
import { formatConfig } from "../../src/protocol/config/format.ts";
import { parseConfig } from "../../src/protocol/config/parse.ts";
import type { ConfigProblem, ConfigResult, ServerConfig } from "../../src/protocol/config/types.ts";
import { commonPush } from "../../src/protocol/push/common-push.ts";
import { asWritten } from "../support/as-written.ts";
import { OPENVPN, objections } from "../support/openvpn-objections.ts";

const FOLDER = join(import.meta.dir, "server");
const { read } = folderReader(FOLDER);
const PROFILES = readdirSync(FOLDER).filter((name) => name.endsWith(".conf"));

const parse = (text: string): ConfigResult<"server"> => parseConfig({ file: "f", text }, read, { roles: ["server"] });
const shown = (problems: readonly ConfigProblem[]): string[] =>
  problems.map((p) => `${p.origin.line} ${p.directive}: ${p.problem}`);
const problems = (text: string): string[] => {
  const result = parse(text);
  return result.ok ? [] : shown(result.problems);
};

function accepted(text: string): ServerConfig {
  const result = parse(text);
  expect(result.ok ? [] : shown(result.problems)).toEqual([]);
  return (result as { config: ServerConfig }).config;
}

const profile = (name: string): string => readFileSync(join(FOLDER, name), "utf8");

/** Addresses as text, without where things stand. */
const plain = (value: unknown): unknown =>
  JSON.parse(
    JSON.stringify(value, (key, each) => {
      if (["origin", "origins", "label", "file"].includes(key)) return undefined;
      if (each instanceof Uint8Array) return Buffer.from(each).toString("hex");
      if (typeof each === "object" && each !== null && "w3" in each) return `${each}`;
      return typeof each === "object" && each !== null && "prefix" in each ? `${each}` : each;
    }),
  );

describe.each(PROFILES)("%s", (name) => {
  test("resolves, and the resolved text means the same", () => {
    const config = accepted(profile(name));
    const text = formatConfig(config);
    expect(plain(asWritten(accepted(text)))).toEqual(plain(asWritten(config)));
    expect(formatConfig(accepted(text))).toBe(text);
  });
});

const OWN = "dev tun\nca ca.crt\ncert server.crt\nkey server.key\ndh none\n";
const SUBNET = `server 10.8.0.0 255.255.255.0\ntopology subnet\n${OWN}`;
const part = <K extends keyof ServerConfig>(text: string, key: K): unknown => plain(accepted(text)[key]);

describe("what openvpn makes of server and its kin (helper.c)", () => {
  const network = (text: string): unknown => {
    const { topology, address, pool, address6, pool6 } = accepted(`${text}\n${OWN}`).network;
    return [topology, `${address}`, pool && `${pool.first} ${pool.last}`, address6 && `${address6} ${pool6}`];
  };
  test.each([
    ["server 10.8.0.0 255.255.255.0", ["net30", "10.8.0.1/24", "10.8.0.4 10.8.0.251", undefined]],
    ["server 10.8.0.0 255.255.255.248", ["net30", "10.8.0.1/29", "10.8.0.4 10.8.0.7", undefined]],
    ["server 10.8.0.0 255.255.0.0\ntopology p2p", ["p2p", "10.8.0.1/16", "10.8.0.4 10.8.255.251", undefined]],
    ["server 10.8.0.0 255.255.255.0\nifconfig-pool-linear", ["p2p", "10.8.0.1/24", "10.8.0.4 10.8.0.251", undefined]],
    ["server 10.8.0.0 255.255.255.0\ntopology subnet", ["subnet", "10.8.0.1/24", "10.8.0.2 10.8.0.254", undefined]],
    ["server 10.8.0.0 255.255.255.248\ntopology subnet", ["subnet", "10.8.0.1/29", "10.8.0.2 10.8.0.6", undefined]],
    ["server 10.8.0.0 255.255.255.0 nopool\ntopology subnet", ["subnet", "10.8.0.1/24", undefined, undefined]],
    ["server-ipv6 fd00:8::/64", ["net30", "undefined", undefined, "fd00:8::1/64 fd00:8::1000/64"]],
    ["server-ipv6 fd00:8::/112\ntopology subnet", ["subnet", "undefined", undefined, "fd00:8::1/112 fd00:8::2/112"]],
  ])("%j", (text, wanted) => {
    expect(network(text)).toEqual(wanted);
  });

  const push = (lines: string): unknown => commonPush(accepted(`${lines}\n${OWN}`));
  test.each([
    ["topology subnet", ["route-gateway 10.8.0.1", "topology subnet"]],
    ["topology net30", ["route 10.8.0.1", "topology net30"]],
    ["topology net30\nclient-to-client", ["route 10.8.0.0 255.255.255.0", "topology net30"]],
    ["topology p2p", ["topology p2p"]],
    ["topology p2p\nserver-ipv6 fd00:8::/64", ["tun-ipv6", "topology p2p"]],
    ["topology p2p\nkeepalive 10 60\npush x", ["x", "topology p2p", "ping 10", "ping-restart 60"]],
    ["topology p2p\nkeepalive 0 0\ntcp-nodelay", ["topology p2p", "socket-flags TCP_NODELAY"]],
  ])("clients are pushed what follows from %j", (lines, wanted) => {
    expect(push(`server 10.8.0.0 255.255.255.0\n${lines}`)).toEqual(wanted);
  });

  test("keepalive: the server itself waits twice as long", () => {
    expect(part(`${SUBNET}keepalive 10 60\n`, "keepalive")).toMatchObject({ ping: 10, timeout: 120 });
  });
});

describe("what the profiles say", () => {
  test("logins.conf: who may come in", () => {
    const { entry, limits, wrappedKeys, verify, listen, exitNotify, keepalive } = accepted(profile("logins.conf"));
    expect(entry).toMatchObject({
      clientCert: "optional",
      usernameAsCommonName: true,
      passwordOptional: true,
      token: { lifetime: 0, renewal: 600 },
      duplicateNames: true,
      clientFolder: { name: "ccd", origin: { line: 19 } },
      clientFileNeeded: true,
      origins: { "verify-client-cert": { line: 12 }, "auth-gen-token": { line: 15 } },
    });
    expect(limits).toMatchObject({
      connectFreq: { count: 5, seconds: 10 },
      connectFreqInitial: { count: 50, seconds: 5 },
    });
    expect(wrappedKeys).toMatchObject({ forceCookie: true, maxAgeDays: 90 });
    const bytes = (name: string): Uint8Array =>
      Uint8Array.fromBase64(
        profile(name)
          .replace(/-----.*-----/g, "")
          .replace(/\s+/g, ""),
      );
    expect(entry.token?.secret).toEqual(bytes("at.key"));
    expect(wrappedKeys?.serverKey).toEqual(bytes("v2s.key"));
    expect(verify.usernameFields).toEqual(["OU"]);
    expect(listen).toMatchObject([{ address: undefined, port: 5000, protocol: "udp", family: "ipv6" }]);
    expect([exitNotify, keepalive.inactive, keepalive.sessionTimeout]).toEqual([
      1,
      { seconds: 3600, bytes: 1_000_000 },
      86_400,
    ]);
  });

  test("office.conf: networks behind clients, and what bounds them", () => {
    const { network, limits, clientToClient, control, verify } = accepted(profile("office.conf"));
    expect(network.routes.map(String)).toEqual(["192.168.40.128/29", "fd00:40::/48"]);
    expect(network.persist).toEqual({ file: "/var/log/openvpn/ipp.txt", seconds: 0 });
    expect(limits).toMatchObject({ maxClients: 100, maxRoutesPerClient: 8 });
    expect(clientToClient).toBe(true);
    expect(control.wrap).toMatchObject({ kind: "tls-auth", direction: 0, digest: "SHA1" });
    expect(verify.remoteCertTls).toBe("client");
  });

  test("by-hand.conf: a pool of whole fours, and the first IPv6 address left out, which is every router's", () => {
    const { address, pool, pool6 } = accepted(profile("by-hand.conf")).network;
    expect([`${address}`, `${pool?.first} ${pool?.last}`, `${pool6}`]).toEqual([
      "10.20.0.1/16",
      "10.20.0.4 10.20.0.31",
      "fd00:20::1/112",
    ]);
  });

  test("without a word OpenVPN's defaults count", () => {
    const { entry, limits, wrappedKeys, clientToClient } = accepted(SUBNET);
    expect(entry).toMatchObject({ clientCert: "require", usernameAsCommonName: false, passwordOptional: false });
    expect([entry.token, entry.clientFolder, entry.duplicateNames, entry.clientFileNeeded]).toEqual([
      undefined,
      undefined,
      false,
      false,
    ]);
    expect(limits).toEqual({
      maxClients: 1024,
      connectFreq: undefined,
      connectFreqInitial: { count: 100, seconds: 10 },
      maxRoutesPerClient: 256,
    });
    expect([wrappedKeys, clientToClient]).toEqual([undefined, false]);
    expect(accepted(`${SUBNET}tls-crypt-v2 v2s.key\n`).wrappedKeys).toMatchObject({ forceCookie: false });
    expect(accepted(`${SUBNET}auth-gen-token\nreneg-sec 900\n`).entry.token).toMatchObject({
      lifetime: 0,
      renewal: 900,
    });
  });
});

/** For each directive of a server's alone, what changes with it: a line, or a profile's lines and one more. */
const EFFECTS: readonly (string | readonly [lines: string, line: string])[] = [
  ["dev tun", "server 10.9.0.0 255.255.255.0"],
  ["dev tun", "server-ipv6 fd00::/64"],
  ["server 10.8.0.0 255.255.255.0 nopool", "ifconfig-pool 10.8.0.8 10.8.0.15"],
  ["server 10.8.0.0 255.255.255.0", "ifconfig-pool-linear"],
  ["server 10.8.0.0 255.255.255.0", "topology subnet"],
  ["mode server\ntls-server\nifconfig-ipv6 fd00::1/64 fd00::2", "ifconfig-ipv6-pool fd00::1000/64"],
  ["mode server\ntls-server", "ifconfig 10.8.0.1 10.8.0.2"],
  ["mode server\ntls-server", "ifconfig-ipv6 fd00::1/64 fd00::2"],
  ["mode server\nifconfig 10.8.0.1 10.8.0.2", "tls-server"],
  ...["push x", "local 192.0.2.1", "tcp-nodelay", "tls-crypt-v2 v2s.key", "verify-client-cert none"],
  ...["client-cert-not-required", "username-as-common-name", "auth-user-pass-optional", "auth-gen-token"],
  ...["duplicate-cn", "client-config-dir ccd", "ccd-exclusive", "max-clients 5", "connect-freq 5 5"],
  ...["connect-freq-initial 5 5", "max-routes-per-client 5", "client-to-client"],
  ...[
    "route 10.9.0.0 255.255.0.0",
    "route-ipv6 fd00::/64",
    "ifconfig-pool-persist x",
    "proto tcp",
    "port 5",
    "lport 5",
  ],
  ...["x509-username-field OU", "crl-verify crl.pem", "keepalive 10 60", "float", "explicit-exit-notify"],
  ["server 10.8.0.0 255.255.255.0\nauth-gen-token", "auth-gen-token-secret at.key"],
  ["server 10.8.0.0 255.255.255.0\ntls-crypt-v2 v2s.key", "tls-crypt-v2-max-age 5"],
  ["server 10.8.0.0 255.255.255.0\nproto udp6", "bind ipv6only"],
  ["mode server\ndev tap", "server-bridge nogw"],
];

test("each directive of a server's alone that counts as implemented changes something", () => {
  const outcome = (text: string): string => {
    const result = parse(`${text}\n${OWN}`);
    const told = [...(result.ok ? [] : result.problems), ...result.warnings].map((p) => `${p.directive} ${p.problem}`);
    return JSON.stringify([told, result.ok && plain(result.config)]);
  };
  const pairs = EFFECTS.map((each) =>
    typeof each === "string" ? (["server 10.8.0.0 255.255.255.0\ntopology subnet", each] as const) : each,
  );
  expect(pairs.filter(([lines, line]) => outcome(lines) === outcome(`${lines}\n${line}`))).toEqual([]);
  const shown = new Set(pairs.map(([, line]) => line.split(" ")[0]));
  const own = DIRECTIVES.filter(({ support, roles }) => support === "implemented" && roles.join() === "server");
  expect(own.map(({ name }) => name).filter((name) => !shown.has(name))).toEqual([]);
});

test("a server that asks its clients for certificates of servers is told so", () => {
  const warnings = (line: string): string[] => shown(parse(`${SUBNET}${line}\n`).warnings);
  expect(warnings("remote-cert-tls client")).toEqual(warnings(""));
  expect(warnings("remote-cert-tls server")).toContainEqual(
    expect.stringMatching(/^8 remote-cert-tls: server: each client must then have a server's certificate/),
  );
});

describe("where it listens", () => {
  const listen = (lines: string): string[] =>
    accepted(`${SUBNET}${lines}\n`).listen.map(
      ({ address, port, protocol, family }) => `${address ?? "*"} ${port} ${protocol} ${family}`,
    );
  test.each([
    ["", ["* 1194 udp any"]],
    ["proto udp4\nport 53", ["* 53 udp ipv4"]],
    ["proto udp6", ["* 1194 udp any"]],
    ["proto udp6\nbind ipv6only", ["* 1194 udp ipv6"]],
    ["proto tcp\nlocal 192.0.2.1\nlport 443", ["192.0.2.1 443 tcp ipv4"]],
    ["proto tcp-server\nlocal 2001:db8::1", ["2001:db8::1 1194 tcp ipv6"]],
    ["local 0.0.0.0", ["* 1194 udp ipv4"]],
    ["local *\nlocal * 443 tcp", ["* 1194 udp any", "* 443 tcp any"]],
    ["local 192.0.2.1 5 udp\nlocal 192.0.2.2", ["192.0.2.1 5 udp ipv4", "192.0.2.2 1194 udp ipv4"]],
  ])("%j", (lines, wanted) => {
    expect(listen(lines)).toEqual(wanted);
  });
});

describe("problems", () => {
  // What is wrong, and how the first problem begins; the last line of the profile is the one that is named.
  test.each([
    ["server 10.8.0.0 255.255.0", `server: "255.255.0" is no netmask`],
    ["server 10.8.0.1 255.255.255.0", "server: 10.8.0.1 is not the first address"],
    ["server 10.8.0.0 255.0.255.0", "server: "],
    ["server 10.0.0.0 255.0.0.0", "server: a network of /8"],
    ["server 10.8.0.0 255.255.255.252", "server: a network of /30"],
    ["server 10.8.0.0 255.255.255.0 pool", `server: "pool" is none of nopool`],
    ["server-ipv6 fd00::/63", "server-ipv6: a prefix has 64 to 124"],
    ["server-ipv6 10.8.0.0/64", "server-ipv6: "],
    ["ifconfig-pool 10.8.0.5 10.8.0.9", "ifconfig-pool: cannot stand beside server"],
    ["ifconfig-ipv6-pool fd00::/64", "ifconfig-ipv6-pool: needs ifconfig-ipv6"],
    ["push route 10.0.0.0 255.0.0.0", 'push: what is pushed stands in quotes: push "route 10.0.0.0 255.0.0.0"'],
    ['push "dhcp-option DNS 9.9.9.9,route 10.0.0.0"', "push: "],
    ["push ''", "push: holds no option"],
    ["keepalive two 10", `keepalive: "two" is not a whole number`],
    ["local vpn.example", `local: "vpn.example" is no address`],
    ["local 2001:db8::1 1194 udp4", "local: "],
    ["local 192.0.2.1\nlocal 192.0.2.1 1194 udp", "local: says the same as line"],
    ["lport 0", "lport: "],
    [Array.from({ length: 65 }, (_, i) => `local 192.0.2.${i}`).join("\n"), "local: is one too many"],
    ["proto tcp-client", `proto: "tcp-client" is no protocol of a server`],
    ["verify-client-cert maybe", "verify-client-cert: "],
    ["ccd-exclusive", "ccd-exclusive: needs client-config-dir"],
    ["auth-gen-token 0 100", "auth-gen-token: renewal after 100 seconds"],
    ["reneg-sec 0\nauth-gen-token", "auth-gen-token: needs renegotiations"],
    ["auth-gen-token 1 200 2", `auth-gen-token: "2" is not external-auth`],
    ["auth-gen-token-secret tls-crypt.key", "auth-gen-token-secret: tls-crypt.key holds no"],
    ["tls-crypt-v2 at.key", "tls-crypt-v2: at.key holds no"],
    ["tls-crypt-v2 v2s.key maybe", "tls-crypt-v2: "],
    ["tls-auth tls-crypt.key 0\ntls-crypt tls-crypt.key", "tls-crypt: cannot stand beside tls-auth"],
    ["max-clients 0", "max-clients: "],
    ["max-clients 65281", "max-clients: "],
    ["connect-freq 5", "connect-freq: "],
    ["connect-freq-initial 0 5", "connect-freq-initial: "],
    ["crl-verify nowhere.pem", "crl-verify: "],
    ["nobind", "nobind: belongs to a client's profile"],
    ["remote vpn.example", "remote: belongs to a client's profile"],
    ["redirect-gateway def1", 'redirect-gateway: is what clients are told: write push "redirect-gateway def1"'],
    ["iroute 10.0.0.0 255.0.0.0", "iroute: belongs to a file of client-config-dir"],
    ["fragment 1300\nproto tcp\nfragment 1400", "fragment: "],
  ])("%j", (lines, wanted) => {
    const text = `${SUBNET}${lines}\n`.replace(/^server .*\n(?=[\s\S]*\nserver )/, "");
    const found = problems(text);
    expect(found).toHaveLength(1);
    expect(found[0]).toStartWith(`${text.split("\n").length - 1} ${wanted}`);
  });

  // By hand, with the line that is named.
  const HAND = `mode server\ntls-server\n${OWN}`;
  test.each([
    [
      "topology subnet\nifconfig 10.8.0.1 255.255.255.0\nifconfig-pool 10.9.0.5 10.9.0.9",
      "10 ifconfig-pool: is not inside",
    ],
    [
      "ifconfig 10.8.0.1 10.8.0.2\nifconfig-pool 10.8.0.4 10.9.255.255",
      "9 ifconfig-pool: 131068 addresses are more than",
    ],
    ["ifconfig 10.8.0.1 10.8.0.2\nifconfig-pool 10.8.0.9 10.8.0.4", "9 ifconfig-pool: 10.8.0.4 comes before 10.8.0.9"],
    ["ifconfig 10.8.0.1 10.8.0.2\nifconfig-pool 10.8.0.x 10.8.0.4", "9 ifconfig-pool: "],
    ["ifconfig 10.8.0.1 10.8.0.2\nifconfig-pool 10.8.0.4 10.8.0.9 255.255.255.0", "9 ifconfig-pool: a netmask is only"],
    ["topology subnet\nifconfig 10.8.0.1 10.8.0.2", "9 ifconfig: "],
    ["topology subnet\nifconfig 10.8.0.0 255.255.255.0", "9 ifconfig: 10.8.0.0 is the network's"],
    ["ifconfig 10.8.0.1 10.8.0.1", "8 ifconfig: the two addresses are the same"],
    ["ifconfig 0.0.0.0 10.8.0.1", "8 ifconfig: "],
    ["ifconfig-pool 10.8.0.4 10.8.0.9\nifconfig-ipv6 fd00::1/64 fd00::2", "8 ifconfig-pool: needs ifconfig"],
    ["ifconfig-ipv6 fd00::1/64 x", "8 ifconfig-ipv6: "],
    ["ifconfig-ipv6 fe80::1/64 fe80::2", "8 ifconfig-ipv6: fe80::1/64 is no network of hosts"],
    ["ifconfig-ipv6 fd00::1/64 fd00::2\nifconfig-ipv6-pool fd00:1::/64", "9 ifconfig-ipv6-pool: is not inside"],
    ["ifconfig 10.8.0.1 10.8.0.2\nifconfig-pool-persist x", "9 ifconfig-pool-persist: needs a pool"],
  ])("by hand: %j", (lines, wanted) => {
    const found = problems(`${HAND}${lines}\n`);
    expect(found).toHaveLength(1);
    expect(found[0]).toStartWith(wanted);
  });

  test("what decides who may connect is refused with what takes its place, in files of this machine", () => {
    const remedies = {
      "auth-user-pass-verify /etc/openvpn/check.sh via-file": /users\.txt.*morgana passwd/,
      "plugin /usr/lib/openvpn/openvpn-plugin-auth-pam.so login": /users\.txt/,
      "tls-verify /etc/openvpn/verify": /crl-verify/,
      "client-connect /etc/openvpn/hello.sh": /ccd/,
      "client-crresponse /etc/openvpn/answer.sh": /users\.txt/,
      "tls-crypt-v2-verify /etc/openvpn/check.sh": /crl-verify.*tls-crypt-v2-max-age/,
      "management-client-auth": /users\.txt/,
    };
    for (const [line, remedy] of Object.entries(remedies)) {
      const found = problems(`${SUBNET}${line}\n`);
      expect(found).toEqual([expect.stringMatching(remedy)]);
      expect(found[0]).toStartWith(`8 ${line.split(" ")[0]}: `);
    }
  });

  test("without a network, a certificate or a CA that is said, all at once", () => {
    expect(problems("mode server\ntls-server\ndev tun\n").map((p) => p.split(":")[0])).toEqual([
      "1 ca",
      "1 cert",
      "1 server",
    ]);
    const inFolder = SUBNET.replace("ca ca.crt", "capath /etc/openvpn/ca");
    expect(problems(inFolder).map((p) => p.split(":")[0])).toEqual(["4 capath"]);
    expect(problems(`mode server\nifconfig 10.8.0.1 255.255.255.0\ntopology subnet\n${OWN}`)).toEqual([
      "1 mode: server needs tls-server beside it",
    ]);
  });
});

describe.skipIf(OPENVPN === undefined)("the real openvpn", () => {
  let work: string;
  beforeAll(() => {
    work = mkdtempSync(join(tmpdir(), "morgana-server-"));
    cpSync(FOLDER, work, { recursive: true });
  });
  afterAll(() => rmSync(work, { recursive: true, force: true }));

  /** Whether openvpn takes it, and whether we do. */
  const both = (text: string): [boolean, boolean] => {
    writeFileSync(join(work, "server.conf"), text);
    return [objections(work, "server.conf").length === 0, parse(text).ok];
  };

  test.each([
    ["server 10.8.0.0 255.255.255.0", true],
    ["server 10.8.0.0 255.255.255.0 nopool", true],
    ["server 10.8.0.0 255.255.255.0 other", false],
    ["server 10.8.0.0", false],
    ["server 10.8.0.1 255.255.255.0", false],
    ["server 10.0.0.0 255.0.0.0", false],
    ["server 10.8.0.0 255.255.255.248", true],
    ["server 10.8.0.0 255.255.255.252", false],
    ["server 10.8.0.0 255.255.255.0\nclient", false],
    ["server 10.8.0.0 255.255.255.0\nifconfig-pool 10.8.0.5 10.8.0.9", false],
    ["server 10.8.0.0 255.255.255.0 nopool\ntopology subnet\nifconfig-pool 10.8.0.5 10.8.0.9", true],
    ["server-ipv6 fd00:8::/64", true],
    ["server-ipv6 fd00:8::/125", false],
    ["server 10.8.0.0 255.255.255.0 nopool\nserver-ipv6 fd00:8::/64", false],
    ["server-ipv6 fd00:8::/64\nifconfig-ipv6-pool fd00:8::5/64", false],
    ["mode server\nifconfig 10.8.0.1 255.255.255.0\ntopology subnet", false],
    ["mode server\ntls-server\nifconfig 10.8.0.1 255.255.255.0\ntopology subnet", true],
    ["mode server\ntls-server\nifconfig 10.8.0.1 10.8.0.2\nifconfig-pool 10.8.0.9 10.8.0.5", false],
    ["mode server\ntls-server\nifconfig 10.8.0.1 10.8.0.2\nifconfig-pool 10.8.0.5 10.8.0.9 255.255.255.0", false],
    ["mode server\ntls-server\nifconfig 10.8.0.1 10.8.0.2\nifconfig-ipv6-pool fd00::/64", false],
    ["mode server\ntls-server\nifconfig 10.8.0.1 10.8.0.2\nifconfig-pool-persist x", false],
    ["mode server\ntls-server\nifconfig 10.8.0.1 10.8.0.2\nifconfig-pool 10.8.0.4 10.9.255.255", false],
    ["mode server\ntls-server\nifconfig 10.8.0.1 10.8.0.1", false],
  ])("openvpn and we: %j is %p", (lines, isTaken) => {
    expect(both(`${lines}\n${OWN}`)).toEqual([isTaken, isTaken]);
  });

  test.each([
    ["push x,y", false],
    ['push "route 10.0.0.0 255.0.0.0"', true],
    ["push route 10.0.0.0", false],
    ["proto tcp", true],
    ["proto tcp-server", true],
    ["proto udp6\nbind ipv6only", true],
    ["proto tcp-client", false],
    ["proto udp4\nlocal 192.0.2.1\nlport 5", true],
    ["nobind", false],
    ["remote 192.0.2.1", false],
    ["redirect-gateway", false],
    ["auth-user-pass login.txt", false],
    ["pull", false],
    ["shaper 1000", false],
    ["ccd-exclusive", false],
    ["ccd-exclusive\nclient-config-dir ccd", true],
    ["client-to-client\nduplicate-cn\nmax-clients 5", true],
    ["max-clients 16777215", false],
    ["connect-freq 5 6\nconnect-freq-initial 7 8", true],
    ["connect-freq 5", false],
    ["verify-client-cert", true],
    ["verify-client-cert require", true],
    ["verify-client-cert maybe", false],
    ["auth-gen-token", true],
    ["auth-gen-token 600 300", true],
    ["auth-gen-token 600 30", false],
    ["auth-gen-token 600\nreneg-sec 0", false],
    ["auth-gen-token 600 300 external-auth", true],
    ["auth-gen-token-secret at.key\nauth-gen-token", true],
    ["tls-crypt-v2 v2s.key force-cookie", true],
    ["tls-crypt-v2 v2s.key\ntls-crypt tls-crypt.key", true],
    ["tls-auth tls-crypt.key 0\ntls-crypt tls-crypt.key", false],
    ["tls-auth tls-crypt.key 0\ntls-crypt-v2 v2s.key allow-noncookie", true],
    ["keepalive 10 60", true],
    ["keepalive 10 15", false],
    ["keepalive 10 60\nping 5", false],
    ["stale-routes-check 5", true],
    ["tcp-queue-limit 5\nmax-routes-per-client 5\nhash-size 5 5\nbcast-buffers 5", true],
    ["fragment 1300\nproto tcp", false],
    ["iroute 10.0.0.0", false],
    ["ifconfig-push 10.8.0.5 255.255.255.0", false],
    ["push-reset", false],
    ["crl-verify crl.pem", true],
    ["crl-verify nowhere.pem", false],
    ["explicit-exit-notify 1", true],
    ["route 10.9.0.0 255.255.0.0\nroute-ipv6 fd00:9::/64", true],
    ["vlan-tagging", false],
    ["learn-address /bin/true\nclient-disconnect /bin/true\nscript-security 2", true],
    ["multihome", true],
    ["opt-verify", true],
    ["ifconfig-pool-persist x 5", true],
    ["resolv-retry infinite", true],
  ])("beside a server that is good openvpn and we: %j is %p", (lines, isTaken) => {
    expect(both(`${SUBNET}${lines}\n`)).toEqual([isTaken, isTaken]);
  });

  /** What it says at --verb 4 of its settings, all of them behind its helpers; then it stops at a user that is not there. */
  const settings = (text: string): Map<string, string[]> => {
    writeFileSync(join(work, "verbose.conf"), `${text}verb 4\nuser nobody-of-this-name\n`);
    const run = Bun.spawnSync([OPENVPN as string, "--cd", work, "--config", "verbose.conf"], { timeout: 10_000 });
    const rows = run.stdout.toString().matchAll(/^\S+ \S+ us=\d+ {3}(\w+) = '?(.*?)'?$/gm);
    const found = [...rows].map(([, name, value]) => [name as string, value as string] as const);
    const byName = Map.groupBy(found, ([name]) => name);
    return new Map([...byName].map(([name, all]) => [name, all.map(([, value]) => value)]));
  };
  const TOPOLOGY: Readonly<Record<string, string>> = { net30: "1", p2p: "2", subnet: "3" };

  test.each([
    ...["", "topology subnet", "topology p2p", "topology net30\nclient-to-client", "topology subnet\nclient-to-client"],
    ...["keepalive 10 60", "keepalive 5 11\ntcp-nodelay", "server-ipv6 fd00:8::/64", "server-ipv6 fd00:8::/113"],
    ...["max-clients 7\nmax-routes-per-client 8", "connect-freq 5 6\nconnect-freq-initial 7 8"],
    ...["ifconfig-pool-persist x 9", 'push "route 10.1.0.0 255.255.0.0"\nping 5\nping-restart 30'],
  ])("resolves as we do beside server 10.8.0.0: %j", (lines) => {
    for (const mask of ["255.255.255.0", "255.255.240.0", "255.255.255.248"]) {
      const text = `server 10.8.0.0 ${mask}\n${OWN}${lines}\n`;
      const theirs = settings(text);
      const config = accepted(text);
      const { network, limits, keepalive } = config;
      const { topology, address, pool, address6, pool6, persist } = network;
      const said = (name: string): string | undefined => theirs.get(name)?.[0];
      expect(said("topology")).toBe(TOPOLOGY[topology]);
      expect(said("ifconfig_local")).toBe(`${address?.address}`);
      expect([said("ifconfig_pool_start"), said("ifconfig_pool_end")]).toEqual([`${pool?.first}`, `${pool?.last}`]);
      if (topology === "subnet") expect(said("ifconfig_pool_netmask")).toBe(mask);
      expect(said("ifconfig_ipv6_local")).toBe(address6 === undefined ? "[UNDEF]" : `${address6.address}`);
      if (pool6) expect(said("ifconfig_ipv6_pool_base")).toBe(`${pool6.address}`);
      if (pool6) expect(said("ifconfig_ipv6_pool_netbits")).toBe(`${pool6.prefix}`);
      expect(said("ifconfig_pool_persist_filename")).toBe(persist?.file ?? "[UNDEF]");
      expect(theirs.get("push_entry") ?? []).toEqual([...commonPush(config)]);
      expect([said("ping_send_timeout"), said("ping_rec_timeout")]).toEqual([
        `${keepalive.ping}`,
        `${keepalive.timeout}`,
      ]);
      const { count = 0, seconds = 0 } = limits.connectFreq ?? {};
      expect([said("cf_max"), said("cf_per")]).toEqual([`${count}`, `${seconds}`]);
      expect([said("max_clients"), said("max_routes_per_client")]).toEqual([
        `${limits.maxClients}`,
        `${limits.maxRoutesPerClient}`,
      ]);
    }
  });

  test("takes what check prints of each profile", () => {
    const refused = PROFILES.flatMap((name) => {
      // Several places are of 2.7, and without a password script 2.6 lets nobody in without a certificate.
      if (name === "several.conf") return [];
      const text = formatConfig(accepted(profile(name))).replace("/etc/openvpn/ccd", "ccd");
      const wants = name === "logins.conf" ? ["auth-user-pass-verify /bin/true via-file", "script-security 2", ""] : [];
      writeFileSync(join(work, "resolved.conf"), `${text}${wants.join("\n")}`);
      return objections(work, "resolved.conf").map((objection) => `${name}: ${objection}`);
    });
    expect(refused).toEqual([]);
  });
});
