/**
 * Profiles by seed, mutated and made anew of lines: each gives a configuration or problems, never an exception, in bounded time,
 * and what is accepted reads back from what `check` prints as the same. `MUTATED=100000 SEED=7 bun test test/configs/mutated.test.ts`
 */
import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { mutate } from "../../fuzz/mutate.ts";
import { type Random, randomBelow, seededRandom } from "../../src/lib/random.ts";
import { checkTls } from "../../src/platform/crypto/tls-check.ts";
import { DIRECTIVES } from "../../src/protocol/config/directives.ts";
import { formatConfig } from "../../src/protocol/config/format.ts";
import { parseConfig } from "../../src/protocol/config/parse.ts";
import type { Config, ConfigResult } from "../../src/protocol/config/types.ts";
import { decodeUtf8 } from "../../src/protocol/config/utf8.ts";
import { asWritten } from "../support/as-written.ts";

const MUTATED = Number(process.env["MUTATED"] ?? 10_000);
/** Made of lines, which costs more. */
const COUNT = Math.ceil(MUTATED / 20);
const SEED = Number(process.env["SEED"] ?? 1);
/** Of the processor, for one profile; the largest one has a second (bounds.test.ts). */
const MAX_MS = 500;
const NOON = 1_795_000_000;

const files = new Map<string, Uint8Array>();
for (const folder of ["server", ".", "bad"].map((name) => join(import.meta.dir, name)))
  for (const entry of readdirSync(folder, { withFileTypes: true }))
    if (entry.isFile()) files.set(entry.name, new Uint8Array(readFileSync(join(folder, entry.name))));
const profiles = [...files].filter(([name]) => /\.(ovpn|conf)$/.test(name)).map(([, bytes]) => bytes);

const parse = (text: string | Uint8Array): ConfigResult =>
  parseConfig({ file: "f", text }, (name) => files.get(name), {
    defaultCredentials: { text: "ann\npw\n", label: "auth.txt" },
  });

/** Without where things stand, and what a file is called. */
const comparable = (config: Config): string =>
  JSON.stringify({ ...config, file: "" }, (key, value) => {
    if (["origin", "origins", "label"].includes(key)) return undefined;
    if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
    return value instanceof Map ? [...value] : value;
  });

/** @returns whether the profile was accepted */
function judge(text: string | Uint8Array): boolean {
  const before = process.cpuUsage();
  const result = parse(text);
  const ms = process.cpuUsage(before).user / 1000;
  try {
    expect(ms).toBeLessThan(MAX_MS);
    if (!result.ok) {
      expect(result.problems.length).toBeGreaterThan(0);
      return false;
    }
    if (result.config.role !== "static") checkTls(result.config, NOON);
    const again = parse(formatConfig(result.config));
    expect(again.ok ? [] : again.problems).toEqual([]);
    if (again.ok) expect(comparable(asWritten(again.config))).toBe(comparable(asWritten(result.config)));
    return true;
  } catch (error) {
    throw new Error(`profile:\n${typeof text === "string" ? text : decodeUtf8(text)}`, { cause: error });
  }
}

const pick = <T>(random: Random, list: readonly T[]): T => list[randomBelow(random, list.length)] as T;

test(`${MUTATED} mutated profiles: a configuration or problems, never an exception`, () => {
  const random = seededRandom(SEED);
  for (let i = 0; i < MUTATED; i++) judge(mutate(random, profiles));
}, 600_000);

/** Lines with which a profile can be accepted, each for itself; those of one row say one thing. */
const LINES = [
  ["cipher AES-256-CBC", "cipher none", "cipher aes-128-gcm", "data-ciphers AES-128-GCM:AES-256-GCM"],
  ["data-ciphers ?NONE:AES-256-GCM:AES-256-CBC", "ncp-ciphers AES-256-GCM", "data-ciphers-fallback AES-256-GCM"],
  ["auth SHA512", "auth none", "auth RSA-SHA256", "tun-mtu 1400", "tun-mtu-max 1600", "mssfix", "mssfix 0"],
  [
    "mssfix 1300 mtu",
    "mssfix 1300 fixed",
    "mssfix 1300",
    "comp-lzo no",
    "compress",
    "compress stub-v2",
    "compress migrate",
  ],
  [
    "ping 10",
    "ping-restart 30",
    "ping-exit 0",
    "ping-restart 0",
    "inactive 600",
    "inactive 600 1000",
    "session-timeout 0",
  ],
  [
    "keepalive 10 60",
    "explicit-exit-notify",
    "explicit-exit-notify 3",
    "float",
    "nobind",
    "lport 0",
    "lport 5",
    "bind",
  ],
  ["port 443", "rport https", "proto udp4", "proto udp6", "remote 192.0.2.7 53 udp4", "remote b.example 443"],
  ["remote-random", "remote-random-hostname", "connect-retry 5", "connect-retry 5 60", "connect-timeout 9"],
  ["server-poll-timeout 4", "hand-window 30", "tls-timeout 4", "tran-window 60", "reneg-sec 0", "reneg-sec 600 300"],
  ["reneg-bytes 1000000", "reneg-pkts 1000", "replay-window 128 30", "tls-auth ta.key 1", "tls-auth ta.key"],
  ["tls-crypt ta.key", "key-direction 0", "cert client.crt\nkey client.key", "pkcs12 client.p12", "crl-verify crl.pem"],
  ["extra-certs ca.crt", "auth-user-pass", "auth-user-pass login.txt", "auth-user-pass /etc/openvpn/login.txt"],
  ["remote-cert-tls server", "remote-cert-ku a0 88", "remote-cert-ku", "remote-cert-eku 1.3.6.1.5.5.7.3.1"],
  [
    "ns-cert-type server",
    "verify-x509-name vpn name",
    'verify-x509-name "C=DE, CN=\\"x\\" y" subject',
    "push-peer-info",
  ],
  ["verify-x509-name v- name-prefix", `verify-hash ${"00:".repeat(31)}00 SHA256`, `verify-hash ${"0a:".repeat(19)}0a`],
  [
    `peer-fingerprint ${"0f:".repeat(31)}0f`,
    "tls-version-min 1.0",
    "tls-version-min 1.3 or-highest",
    "x509-username-field OU uid",
  ],
  ["tls-version-max 1.2", "tls-cipher DEFAULT:@SECLEVEL=0", "tls-ciphersuites TLS_AES_128_GCM_SHA256"],
  ["tls-groups X25519:secp256r1", "tls-cert-profile insecure", "tls-cert-profile preferred", "topology subnet"],
  ["ifconfig 10.8.0.2 255.255.255.0", "ifconfig-ipv6 fd00::2/64 fd00::1", "route 10.0.0.0 255.0.0.0 vpn_gateway 5"],
  [
    "route intranet.example",
    "route 192.0.2.0 default default 9",
    "route-ipv6 fd01::/64 fd00::1 9",
    "route-metric 3",
    "client-nat dnat 10.1.0.0 255.255.0.0 10.2.0.0",
  ],
  ["route-gateway 10.8.0.1", "route-gateway dhcp", "redirect-gateway", "redirect-gateway def1 ipv6 bypass-dhcp"],
  ["redirect-private !ipv4", "dhcp-option DNS 192.0.2.53", "dhcp-option DOMAIN a.example", "dhcp-option DNS6 fd00::53"],
  [
    "dns search-domains a.example b.example",
    "dns server -3 address [fd00::53]:53 192.0.2.53",
    "dns server 0 address ::1",
  ],
  ["dns server 0 resolve-domains c.example", "dns server 0 dnssec optional", "block-ipv6", "block-outside-dns"],
  [
    "route-nopull",
    'pull-filter ignore "route-ipv6 "',
    'pull-filter accept ""',
    'setenv UV_A "b c"',
    "setenv opt block-outside-dns",
  ],
  ["setenv UV_B", "ignore-unknown-option foo\nfoo bar", "setenv FORWARD_COMPATIBLE 1", "dev tun7", "dev-type tun"],
  [
    "script-security 2",
    "up /etc/up.sh",
    "management localhost 7505",
    "persist-tun",
    "verb 3",
    "route-delay 2",
    "tls-exit",
  ],
  [
    "<connection>\nremote a.example 5 udp\n</connection>",
    "<connection>\nremote 192.0.2.9\nproto udp4\nport 7\n</connection>",
  ],
].flat();

test(`${COUNT} profiles made of good lines: what is accepted reads back as the same from what check prints`, () => {
  const random = seededRandom(SEED + 1);
  const heads = ["client\n", "tls-client\npull\n", "client\n", "", "tls-server\nifconfig 10.8.0.1 10.8.0.2\n"];
  let accepted = 0;
  for (let i = 0; i < COUNT; i++) {
    const lines = Array.from({ length: randomBelow(random, 12) }, () => pick(random, LINES));
    const trust = pick(random, ["ca ca.crt\n", "ca ca.crt\n", "ca /etc/openvpn/ca.crt\n", "pkcs12 client.p12\n", ""]);
    const remote = pick(random, ["remote 192.0.2.1\n", "remote vpn.example 443 udp\n", ""]);
    const head = randomBelow(random, 12) === 0 ? "secret ta.key 1\n" : pick(random, heads) + trust;
    if (judge(`${head}dev tun\n${remote}${lines.join("\n")}\n`)) accepted++;
  }
  // Enough of both kinds that the test says something.
  expect(accepted).toBeGreaterThan(COUNT / 5);
  expect(accepted).toBeLessThan(COUNT);
}, 600_000);

/** Lines of a server, each for itself. */
const SERVER_LINES = [
  ["topology subnet", "topology p2p", "topology net30", "ifconfig-pool-linear", "server-ipv6 fd00:8::/64"],
  ["server-ipv6 fd00:8::/120", "ifconfig 10.8.0.1 255.255.255.0", "ifconfig-pool 10.8.0.20 10.8.0.40"],
  ["ifconfig-ipv6 fd00:9::1/64 fd00:9::2", "ifconfig-ipv6-pool fd00:9::/64", "ifconfig-pool-persist ipp.txt 5"],
  ["route 10.9.0.0 255.255.0.0", "route 10.8.0.0 255.255.255.240", "route-ipv6 fd00:77::/48", "client-to-client"],
  ["local 192.0.2.1", "local 192.0.2.1 443 tcp", "local * 5 udp4", "local 2001:db8::1", "bind ipv6only", "proto udp6"],
  ["proto tcp", "proto tcp4-server", "port 443", "lport 53", "multihome", "tcp-nodelay", "float", "dev tun7"],
  ["verify-client-cert none", "verify-client-cert optional", "client-cert-not-required", "username-as-common-name"],
  ["auth-user-pass-optional", "auth-gen-token", "auth-gen-token 0 600", "auth-gen-token 9000 300 external-auth"],
  ["auth-gen-token-secret at.key", "duplicate-cn", "client-config-dir ccd", "ccd-exclusive", "reneg-sec 600"],
  ["max-clients 5", "connect-freq 1 2", "connect-freq-initial 3 4", "max-routes-per-client 6", "tcp-queue-limit 7"],
  ["tls-crypt-v2 v2s.key", "tls-crypt-v2 v2s.key force-cookie", "tls-crypt-v2-max-age 30", "tls-crypt ta.key"],
  ["tls-auth ta.key 0", "crl-verify crl.pem", "remote-cert-tls client", "x509-username-field OU", "keepalive 10 60"],
  ["push 'route 10.1.0.0 255.255.0.0'", 'push "redirect-gateway def1"', "push a\\\\b", "explicit-exit-notify"],
  ["inactive 60", "session-timeout 5", "comp-lzo no", "tun-mtu 1400", "fragment 1300", "cipher AES-256-CBC", "verb 3"],
].flat();

test(`${COUNT} servers made of good lines: what is accepted reads back as the same from what check prints`, () => {
  const random = seededRandom(SEED + 3);
  const heads = ["server 10.8.0.0 255.255.255.0", "server 10.8.0.0 255.255.255.0 nopool", "server-ipv6 fd00:7::/64"];
  const byHand = ["mode server\ntls-server\nifconfig 10.8.0.1 10.8.0.2", "mode server\ntls-server"];
  let accepted = 0;
  for (let i = 0; i < COUNT; i++) {
    const lines = Array.from({ length: randomBelow(random, 8) }, () => pick(random, SERVER_LINES));
    const head = pick(random, [...heads, ...heads, ...byHand]);
    if (judge(`${head}\ndev tun\nca ca.crt\ncert server.crt\nkey server.key\n${lines.join("\n")}\n`)) accepted++;
  }
  expect(accepted).toBeGreaterThan(COUNT / 5);
  expect(accepted).toBeLessThan(COUNT);
}, 600_000);

test("every directive with any number of words, anywhere: problems or a configuration", () => {
  const random = seededRandom(SEED + 2);
  const words = [
    "1",
    "0",
    "-1",
    "x",
    "",
    "2147483648",
    "::1",
    "10.0.0.1",
    "tun",
    "SHA256",
    "ca.crt",
    "[inline]",
    "\\",
    '"',
  ];
  const heads = ["client", "client", "server 10.8.0.0 255.255.255.0", "tls-server", "secret ta.key"];
  for (const { name } of DIRECTIVES) {
    for (const count of [0, 2, 15]) {
      const line = [name, ...Array.from({ length: count }, () => JSON.stringify(pick(random, words)))].join(" ");
      for (const text of [line, `<connection>\nremote a.example\n${line}\n</connection>`, `<${name}>\nx\n</${name}>`])
        judge(`${pick(random, heads)}\ndev tun\nremote 192.0.2.1\nca ca.crt\n${text}\n`);
    }
  }
}, 600_000);
