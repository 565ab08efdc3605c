import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
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
  p2p: `tls-server\n${OWN}tls-auth ta.key 0\n`,
  static: "dev tun\nremote vpn.example\nsecret ta.key 1\ncipher AES-256-CBC\nreplay-window 128\nping 10\n",
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
    expect(problems(unavailable as ConfigResult)).toEqual([
      expect.stringMatching(/^\d .* is not (available yet|for this program)/),
    ]);
  });
});

const meaning = (config: Config): unknown =>
  JSON.parse(
    JSON.stringify({ ...config, file: "" }, (key, value) =>
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

test("what is not available yet of a tunnel between two ends is the TLS server's end, and the text names the others", () => {
  const result = parseConfig({ file: "f", text: PROFILES.p2p }, read, { roles: ["client", "static"] });
  expect(problems(result as ConfigResult)).toEqual([
    "1 tls-server: the TLS server's end of a tunnel is not available yet; this end can be tls-client, or secret",
  ]);
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
