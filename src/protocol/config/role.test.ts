import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { asWritten } from "../../../test/support/as-written.ts";
import { DIRECTIVES } from "./directives.ts";
import { formatConfig } from "./format.ts";
import { lex } from "./lexer.ts";
import { parseConfig } from "./parse.ts";
import { decideRole } from "./role.ts";
import { plainLine } from "./select.ts";
import type { Config, ConfigResult, Role } from "./types.ts";

const decided = (text: string): string => {
  const { role, line } = decideRole(lex(text).lines.map(plainLine));
  return `${role} ${line?.line}`;
};

test.each([
  ["dev tun\nclient", "client 2"],
  ["tls-client\npull", "client 1"],
  ["setenv opt client", "client 1"],
  ["dev tun\nserver 10.8.0.0 255.255.255.0", "server 2"],
  ["server-bridge", "server 1"],
  ["tls-server\nmode server", "server 2"],
  ["mode p2p\ntls-server", "p2p 2"],
  ["secret x\ntls-server", "p2p 2"],
  ["dev tun\nsecret x", "static 2"],
  ["client\nserver 10.8.0.0 255.255.255.0", "server 2"],
  ["tls-server\nclient", "client 2"],
  ["dev tun", "client undefined"],
])("%j is decided as %s", (text, wanted) => {
  expect(decided(text)).toBe(wanted);
});

const FILES = new URL("../../../test/configs/", import.meta.url);
const read = (name: string): Uint8Array => new Uint8Array(readFileSync(new URL(name, FILES)));
const parse = (text: string): ConfigResult => parseConfig({ file: "f", text }, read);
const problems = (result: ConfigResult): string[] =>
  result.ok ? [] : result.problems.map((p) => `${p.origin.line} ${p.directive}: ${p.problem}`);

const OWN = "dev tun\nca ca.crt\ncert client.crt\nkey client.key\n";
const PROFILES: Readonly<Record<Role, string>> = {
  client: `client\n${OWN}remote vpn.example\nauth-user-pass login.txt\n`,
  server: `server 10.8.0.0 255.255.255.0\ntopology subnet\n${OWN}keepalive 10 60\ntls-crypt ta.key\n`,
  p2p: `tls-server\n${OWN}tls-auth ta.key 0\nifconfig 10.9.0.1 10.9.0.2\n`,
  static:
    "dev tun\nremote vpn.example\nsecret ta.key 1\ncipher AES-256-CBC\nreplay-window 128\nping 10\nifconfig 10.9.0.1 10.9.0.2\n",
};

describe.each(Object.entries(PROFILES) as [Role, string][])("a profile of the role %s", (role, text) => {
  test("becomes a configuration of that role, which formats to text of the same meaning", () => {
    const first = parse(text);
    expect(problems(first)).toEqual([]);
    if (!first.ok) return;
    expect(first.config.role).toBe(role);
    const second = parse(formatConfig(first.config));
    expect(second.ok ? meaning(second.config) : problems(second)).toEqual(meaning(first.config));
  });

  test("is a problem at the line that decides where it is not asked for", () => {
    const others: Role[] = (["client", "server", "p2p", "static"] as const).filter((other) => other !== role);
    const expected = parseConfig({ file: "f", text }, read, { expected: others[0] });
    expect(problems(expected as ConfigResult)).toEqual([
      expect.stringMatching(/^\d (client|server|tls-server|secret): this is /),
    ]);
    if (role === "client") return;
    const unavailable = parseConfig({ file: "f", text }, read, { roles: ["client"] });
    expect(problems(unavailable as ConfigResult)).toEqual([expect.stringMatching(/^\d .* is not for this program/)]);
  });
});

const meaning = (config: Config): unknown =>
  JSON.parse(
    JSON.stringify({ ...asWritten(config), file: "" }, (key, value) =>
      ["origin", "origins", "label"].includes(key) ? undefined : value instanceof Map ? [...value] : value,
    ),
  );

test("a server that has keepalive gives its clients time to notice silence first", () => {
  const result = parse(PROFILES.server);
  expect(result).toMatchObject({
    ok: true,
    config: { keepalive: { ping: 10, timeout: 120 }, link: { localPort: 1194 } },
  });
});

test("a directive of another role is a problem at its line, or a warning where openvpn passes over it", () => {
  const result = parse(`${PROFILES.client}client-to-client\npush "route 10.0.0.0 255.0.0.0"\ntls-server\n`);
  expect(problems(result)).toEqual([
    "8 client-to-client: belongs to a server's profile, and this is a client's profile",
    "10 tls-server: belongs to a server's profile, and this is a client's profile",
  ]);
  expect(result.warnings.map((w) => `${w.origin.line} ${w.directive}: ${w.problem}`)).toContain(
    "9 push: ignored: it belongs to a server's profile",
  );
  expect(problems(parse(`${PROFILES.server}remote vpn.example\n`))).toEqual([
    "9 remote: belongs to a client's profile, and this is a server's profile",
  ]);
});

test("no two rows of the table say what one directive is in one role", () => {
  const seen = new Set<string>();
  for (const { name, roles } of DIRECTIVES) {
    for (const role of roles) {
      expect(seen.has(`${role} ${name}`) ? name : "").toBe("");
      seen.add(`${role} ${name}`);
    }
  }
});

const P2P = PROFILES.p2p;
const STATIC = PROFILES.static.replace("remote vpn.example\n", "");

describe("an end of a tunnel of two", () => {
  const place = (text: string): unknown => {
    const result = parse(text);
    if (!result.ok) return problems(result);
    const { config } = result;
    if (config.role !== "p2p" && config.role !== "static") return config.role;
    const { listen, remotes } = config;
    const where = listen && `${listen.address ?? "*"} ${listen.port} ${listen.protocol} ${listen.family}`;
    const again = parse(formatConfig(config));
    expect(again.ok ? meaning(again.config) : problems(again)).toEqual(meaning(config));
    return [where, ...remotes.map(({ host, port, protocol }) => `${host} ${port} ${protocol}`)];
  };

  test.each([
    [P2P, ["* 1194 udp any"]],
    [`${P2P}port 4000\nlocal 192.0.2.1\n`, ["192.0.2.1 4000 udp ipv4"]],
    [`${P2P}lport 4000\nproto tcp-server\n`, ["* 4000 tcp any"]],
    [`${P2P}proto tcp\n`, ["* 1194 tcp any"]],
    [`${P2P}proto udp6\nbind ipv6only\n`, ["* 1194 udp ipv6"]],
    // Where it can be heard a peer that is started anew is found out at once.
    [`${P2P}remote vpn.example 4000\n`, ["* 1194 udp any", "vpn.example 4000 udp"]],
    [`${P2P}remote vpn.example\nnobind\n`, [undefined, "vpn.example 1194 udp"]],
    [`${P2P}remote vpn.example\nsocks-proxy 192.0.2.9\n`, [undefined, "vpn.example 1194 udp"]],
    [`${P2P}remote vpn.example\nproto tcp-client\nhttp-proxy 192.0.2.9 80\n`, [undefined, "vpn.example 1194 tcp"]],
    [`${P2P}remote vpn.example\nproto tcp-client\n`, [undefined, "vpn.example 1194 tcp"]],
    [`${P2P}remote vpn.example\nproto tcp-server\n`, ["* 1194 tcp any", "vpn.example 1194 tcp"]],
    [`${P2P}remote vpn.example 1194 tcp4-server\n`, ["* 1194 tcp any", "vpn.example 1194 tcp"]],
    [STATIC, ["* 1194 udp any"]],
    [`${STATIC}proto tcp4-server\nport 7\n`, ["* 7 tcp ipv4"]],
    [PROFILES.static, [undefined, "vpn.example 1194 udp"]],
  ])("%j waits, or goes, as it says", (text, wanted) => {
    expect(place(text)).toEqual(wanted);
  });

  test.each([
    [`${P2P}nobind\n`, /^8 nobind: without a remote this end waits on its port/],
    [`${P2P}lport 0\n`, /^8 lport: 0 is no port/],
    [`${P2P}proto tcp-client\n`, /remote: missing: no server is named/],
    [`${P2P}local vpn.example\n`, /^8 local: "vpn.example" is no address/],
    [`${P2P}tls-crypt-v2 v2.key\n`, /^8 tls-crypt-v2: .* give both ends the same key by tls-crypt/],
    [`${P2P}socks-proxy 192.0.2.9\n`, /^8 socks-proxy: without a remote/],
    [`${P2P}remote a.example\nproto tcp-server\nhttp-proxy 192.0.2.9 80\n`, /^10 http-proxy: .* write tcp-client/],
    [`${STATIC}proto tcp-server\nfragment 1200\n`, /^8 fragment: is only for UDP/],
    [P2P.replace("ifconfig 10.9.0.1 10.9.0.2\n", ""), /^1 tls-server: without pull .* no ifconfig; write mode server/],
    [
      PROFILES.static.replace("ifconfig 10.9.0.1 10.9.0.2\n", ""),
      /^3 secret: with a static key .* no ifconfig; write ifconfig LOCAL REMOTE/,
    ],
    [
      P2P.replace("cert client.crt\nkey client.key\n", ""),
      /^1 cert: missing: the TLS server shows its peer a certificate/,
    ],
    [`${PROFILES.client}proto tcp-server\n`, /tcp-server is a server's/],
  ])("%j is a problem that names the remedy", (text, wanted) => {
    expect(problems(parse(text))).toContainEqual(expect.stringMatching(wanted));
  });
});

test.each([
  ["ifconfig-ipv6 fd00:9::1/64 fd00:9::2\n", []],
  ["dev-type tap\n", []],
  // What is the matter is another thing then.
  ["ifconfig 10.9.0.1\n", [/^7 ifconfig: /]],
  ["<ca>\n", [/^7 ca: /]],
  ["ifconfig 10.9.0.1 10.9.0.1\n", [/^7 ifconfig: 10\.9\.0\.1 cannot be both ends' address/]],
])("an address of a static key's tunnel is not missed with %j", (text, wanted) => {
  const profile = PROFILES.static.replace("ifconfig 10.9.0.1 10.9.0.2\n", text);
  expect(problems(parse(profile))).toEqual(wanted.map((each) => expect.stringMatching(each)));
});

test.each([
  ["ifconfig 224.0.0.1 10.9.0.2", "ifconfig", "224.0.0.1 cannot be a host's address"],
  ["ifconfig 10.9.0.1 0.0.0.0", "ifconfig", "0.0.0.0 cannot be the peer's address, which topology net30 needs"],
  ["topology subnet\nifconfig 10.9.0.1 10.9.0.2", "ifconfig", "10.9.0.2 is not a netmask, which topology subnet needs"],
  ["ifconfig-ipv6 ff02::1/64 fd00:9::2", "ifconfig-ipv6", "ff02::1 cannot be a host's address"],
])(
  "an end that is told its addresses by nobody cannot have those of %j, which a server may replace",
  (lines, directive, problem) => {
    const tlsClient = `tls-client\n${OWN}remote vpn.example\nifconfig 10.9.0.1 10.9.0.2\n`;
    for (const profile of [PROFILES.static, PROFILES.p2p, tlsClient]) {
      const text = profile.replace("ifconfig 10.9.0.1 10.9.0.2", lines);
      expect(problems(parse(text))).toEqual([expect.stringMatching(new RegExp(`^\\d+ ${directive}: ${problem}`))]);
    }
    expect(problems(parse(`${PROFILES.client}${lines}\n`))).toEqual([]);
  },
);

test.each([
  [PROFILES.static, 1194, undefined],
  [`${PROFILES.static}proto tcp-client\n`, 1194, undefined],
  [`${PROFILES.static}port 4000\n`, 4000, undefined],
  [`${PROFILES.static}lport 4000\n`, 4000, 4000],
  [`${PROFILES.static}bind\nport 4000\n`, 4000, 4000],
  [`${PROFILES.static}nobind\n`, undefined, undefined],
  [PROFILES.client, undefined, undefined],
  [`${PROFILES.client}lport 4000\n`, 4000, 4000],
  [PROFILES.server, 1194, 1194],
])("%j: datagrams have the local port %p, connections %p (OpenVPN's options.c)", (text, localPort, streamPort) => {
  const parsed = (own: string): Config => {
    const result = parse(own);
    if (!result.ok) throw new Error(problems(result).join());
    return result.config;
  };
  const config = parsed(text);
  expect(config.link).toMatchObject({ localPort, streamPort });
  expect(parsed(formatConfig(config)).link).toEqual(config.link);
});

test("replay-persist is a warning where a key outlives the program, and nothing elsewhere", () => {
  const warned = (role: Role): string[] =>
    parse(`${PROFILES[role]}replay-persist file\n`)
      .warnings.filter(({ directive }) => directive === "replay-persist")
      .map(({ problem }) => problem);
  expect([warned("client"), warned("static")]).toEqual([
    [],
    ["ignored: ids of packets are kept over a reconnect, but not over a restart or SIGUSR1"],
  ]);
});
