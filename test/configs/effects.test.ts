/** No directive without an effect that says it has one, and no value of a configuration that nothing reads. */
import { expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { DIRECTIVES } from "../../src/protocol/config/directives.ts";
import { parseConfig } from "../../src/protocol/config/parse.ts";
import type { ConfigOf, ConfigResult } from "../../src/protocol/config/types.ts";
import { parseTunnelOptions } from "../../src/protocol/push/tunnel-options.ts";

const FOLDER = import.meta.dir;
const SOURCE = join(FOLDER, "../../src");

const BASE = "dev tun\nremote 192.0.2.1\nca ca.crt\n";
const CLIENT = `client\n${BASE}`;
const SHA256 = `${"00:".repeat(31)}00`;

/** For each directive a profile and a line that changes what becomes of it. A profile is CLIENT where none is given. */
const EXAMPLES: readonly (string | readonly [profile: string, line: string])[] = [
  [BASE, "client"],
  [`${CLIENT}verify-x509-name x name\n`, "x509-username-field UID"],
  [BASE, "tls-client"],
  [`tls-client\n${BASE}`, "pull"],
  [CLIENT, "mode server"],
  ["client\nremote 192.0.2.1\nca ca.crt\n", "dev tun"],
  ["client\ndev office\nremote 192.0.2.1\nca ca.crt\n", "dev-type tun"],
  ...["remote 192.0.2.2", "proto udp4", "port 5", "rport 5", "lport 5", "bind", "float", "remote-random"],
  [`${CLIENT}lport 5\n`, "nobind"],
  [`${CLIENT}remote 192.0.2.2 443 tcp\n`, "proto-force udp"],
  [`${CLIENT}proto tcp\n`, "http-proxy 192.0.2.3 3128"],
  [`${CLIENT}proto tcp\nhttp-proxy 192.0.2.3 3128\n`, "http-proxy-option AGENT a"],
  [`${CLIENT}proto tcp\nhttp-proxy 192.0.2.3 3128 auto\n`, "http-proxy-user-pass login.txt"],
  "socks-proxy 192.0.2.3",
  ...["remote-random-hostname", "connect-retry 3", "connect-timeout 9", "server-poll-timeout 9", "hand-window 9"],
  ...["tls-timeout 9", "tran-window 9", "extra-certs ca.crt", "crl-verify crl.pem", "tls-auth ta.key"],
  ["client\ndev tun\nremote 192.0.2.1\n", "ca ca.crt"],
  [`${CLIENT}key client.key\n`, "cert client.crt"],
  [`${CLIENT}cert client.crt\n`, "key client.key"],
  ...[
    "pkcs12 client.p12",
    "askpass passphrase.txt",
    "tls-crypt ta.key",
    "tls-crypt-v2 v2.key",
    "auth-user-pass login.txt",
    "push-peer-info",
  ],
  [`${CLIENT}tls-auth ta.key\n`, "key-direction 1"],
  [`${CLIENT}auth-user-pass login-otp.txt\n`, "static-challenge PIN 1"],
  ...["remote-cert-tls server", "remote-cert-eku 1.2.3", "remote-cert-ku a0", "ns-cert-type server"],
  ...["verify-x509-name x name", `verify-hash ${SHA256} SHA256`],
  [`client\ndev tun\nremote 192.0.2.1\n`, `peer-fingerprint ${SHA256}`],
  ...["tls-version-min 1.3", "tls-version-max 1.2", "tls-cipher DEFAULT", "tls-ciphersuites TLS_AES_256_GCM_SHA384"],
  ...["tls-groups X25519", "tls-cert-profile preferred", "cipher AES-256-CBC", "data-ciphers AES-128-GCM"],
  ...["ncp-ciphers AES-128-GCM", "data-ciphers-fallback AES-256-CBC", "ncp-disable", "key-method 1", "auth SHA512"],
  ...["reneg-sec 60", "reneg-bytes 9", "reneg-pkts 9", "replay-window 128", "comp-lzo no", "compress", "fragment 1300"],
  "allow-compression asym",
  ...["tun-mtu 1400", "tun-mtu-max 1700", "mssfix 1300", "ping 9", "ping-restart 9", "ping-exit 9", "keepalive 9 99"],
  ...["inactive 9", "session-timeout 9", "explicit-exit-notify", "ifconfig 10.8.0.2 10.8.0.1"],
  [`${CLIENT}ifconfig 10.8.0.2 10.8.0.1\n`, "topology subnet"],
  [`${CLIENT}route 10.1.0.0 255.255.0.0\n`, "route-metric 9"],
  ...["ifconfig-ipv6 fd00::2/64 fd00::1", "route 10.1.0.0 255.255.0.0", "route-ipv6 fd01::/64"],
  ...["route-gateway 10.8.0.1", "redirect-gateway", "redirect-private ipv6"],
  ...[
    "dhcp-option DNS 192.0.2.9",
    "dns server 1 address 192.0.2.9",
    "client-nat snat 10.1.0.0 255.255.0.0 10.2.0.0",
    "block-ipv6",
    "block-outside-dns",
  ],
  ...["route-nopull", 'pull-filter ignore "route "', "setenv UV_A b"],
  [`${CLIENT}ignore-unknown-option other\nunknown\n`, "ignore-unknown-option unknown\nunknown"],
];

function read(name: string): Uint8Array | undefined {
  const path = join(FOLDER, name);
  return existsSync(path) ? new Uint8Array(readFileSync(path)) : undefined;
}

const parse = (text: string): ConfigResult<"client"> => parseConfig({ file: "f", text }, read, { roles: ["client"] });

/**
 * All that a person or the program can notice of it: what is told, and what the session and the tunnel become. The lines that
 * a server may also push count by what becomes of them; the name of the device is only printed.
 */
function outcome(text: string): string {
  const result = parse(text);
  const told = [...(result.ok ? [] : result.problems), ...result.warnings].map((p) => `${p.directive}: ${p.problem}`);
  if (!result.ok) return JSON.stringify(told);
  const { tunnel, device: _, ...config } = result.config;
  const { localOptions, ...sizes } = tunnel;
  const isAddressed = localOptions.some(({ words }) => words[0] === "ifconfig");
  const pushed = isAddressed ? [] : ["ifconfig 10.8.0.2 255.255.255.0"];
  const made = parseTunnelOptions(pushed, localOptions, { lan: [] });
  return JSON.stringify([told, config, sizes, made], (_key, value) => (value instanceof Map ? [...value] : value));
}

test("each directive that counts as implemented changes something", () => {
  const pairs = EXAMPLES.map((example) => (typeof example === "string" ? ([CLIENT, example] as const) : example));
  const without = pairs.filter(([profile, line]) => outcome(profile) === outcome(`${profile}${line}\n`));
  expect(without).toEqual([]);
  const shown = new Set(pairs.map(([, line]) => line.split(/\s/)[0]));
  const implemented = DIRECTIVES.filter((d) => d.support === "implemented" && d.roles.includes("client"));
  expect(implemented.map(({ name }) => name).filter((name) => !shown.has(name))).toEqual([]);
});

/** "control.renegSec.max" for each value of a configuration. */
function paths(value: unknown, at: string): string[] {
  if (typeof value !== "object" || value === null || value instanceof Uint8Array || value instanceof Map) return [at];
  if (Array.isArray(value)) return value.flatMap((each) => paths(each, at));
  return Object.entries(value).flatMap(([key, inner]) => paths(inner, at === "" ? key : `${at}.${key}`));
}

/** Profiles of a folder that are good in this role, resolved. */
function configsOf<R extends "client" | "server">(folder: string, role: R): ConfigOf<R>[] {
  const inside = (name: string): Uint8Array | undefined => {
    const path = join(folder, name);
    return existsSync(path) && statSync(path).isFile() ? new Uint8Array(readFileSync(path)) : undefined;
  };
  const login = { text: "ann\npw\n", label: "auth.txt" };
  const profiles = readdirSync(folder).filter((name) => /\.(ovpn|conf)$/.test(name));
  return profiles.flatMap((name): ConfigOf<R>[] => {
    const source = { file: name, text: readFileSync(join(folder, name), "utf8") };
    const result = parseConfig(source, inside, { roles: [role], defaultCredentials: login });
    return result.ok ? [result.config] : [];
  });
}

test.each([
  ["client", FOLDER],
  ["server", join(FOLDER, "server")],
] as const)("each value of a %s's configuration is read outside of what parses and prints it", (role, folder) => {
  const configs = configsOf(folder, role);
  const sources = readdirSync(SOURCE, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts") && !name.endsWith(".test.ts") && !name.startsWith("protocol/config/"))
    .map((name) => readFileSync(join(SOURCE, name), "utf8"));
  const all = new Set(configs.flatMap((config) => paths(config, "")));
  expect(all.size).toBeGreaterThan(60);
  // What says which configuration it is, and what `check` alone needs: to name a line, or to print what has no other form.
  for (const path of all) if (/^(role|device|tls\.passphraseFile)$|(^|\.)origins?(\.|$)/.test(path)) all.delete(path);
  // Both are what a CountLimit is made of.
  for (const path of all) if (/^limits\.connectFreq(Initial)?\.(count|seconds)$/.test(path)) all.delete(path);
  const unread = [...all].filter((path) => {
    const [name = "", parent] = path.split(".").reverse();
    // At the top it is config.name, or taken out of config; below, a file that knows the part by its name reads it.
    const top = `\\bconfig[?!]?\\.${name}\\b|\\{[^{}]*\\b${name}\\b[^{}]*\\}(: \\w*Config\\b| = [^;\\n]*\\bconfig\\b)`;
    const reading = new RegExp(parent === undefined ? top : `[.{,]\\s?${name}\\b`);
    const part = new RegExp(parent?.replace(/s$/, "") ?? "", "i");
    return !sources.some((source) => part.test(source) && reading.test(source));
  });
  expect(unread).toEqual([]);
});

test("what the tunnel does not have is warned of at the first line that asks for it", () => {
  const lines = ["ifconfig-ipv6 fd00::2/64 fd00::1", "route-ipv6 fd01::/64", "dhcp-option DNS 192.0.2.9"];
  const more = ["dhcp-option DOMAIN a.example", "dns search-domains b.example", "redirect-gateway def1 ipv6"];
  const doh = ["dns server 1 address 192.0.2.9", "dns server 1 transport DoH"];
  const warned = (text: string): string[] => parse(text).warnings.map((w) => `${w.origin.line} ${w.directive}`);
  const profile = `${CLIENT}remote-cert-tls server\n`;
  expect(warned(`${profile}${[...lines, ...more, ...doh].join("\n")}\n`)).toEqual(["13 dns"]);
});
