import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { formatConfig } from "./format.ts";
import { formatStaticKey } from "./material.ts";
import { parseConfig } from "./parse.ts";
import type { Config } from "./types.ts";
import { encodeUtf8 } from "./utf8.ts";

const CA = new Uint8Array(readFileSync(new URL("../../../test/configs/ca.crt", import.meta.url)));

/** Without what a second parsing of the resolved text must change: where things stand. */
const meaning = (config: Config): unknown =>
  JSON.parse(
    JSON.stringify({ ...config, file: "" }, (key, value) =>
      ["origin", "origins", "label"].includes(key) ? undefined : value instanceof Map ? [...value] : value,
    ),
  );

const int = (min: number, max: number): fc.Arbitrary<string> => fc.integer({ min, max }).map(String);
const line = (...parts: (string | fc.Arbitrary<string>)[]): fc.Arbitrary<string> =>
  fc.tuple(...parts.map((p) => (typeof p === "string" ? fc.constant(p) : p))).map((words) => words.join(" "));
const address = fc.ipV4();
const word = fc.stringMatching(/^[A-Za-z0-9 #;'.-]{1,20}$/).map((text) => `"${text}"`);
const hex = (bytes: number): fc.Arbitrary<string> =>
  fc
    .uint8Array({ minLength: bytes, maxLength: bytes })
    .map((a) => Array.from(a, (b) => b.toString(16).padStart(2, "0")).join(":"));
const cipher = fc.constantFrom("AES-256-GCM", "aes-128-gcm", "CHACHA20-POLY1305", "?AES-192-GCM", "AES-256-CBC");

/** Lines that are valid in any combination. */
const LINES: readonly fc.Arbitrary<string>[] = [
  line("remote", address, int(1, 65535), fc.constantFrom("udp", "udp4")),
  line("remote", "vpn.example"),
  line("port", int(1, 65535)),
  line("connect-retry", int(1, 500), int(1, 500)),
  line("connect-retry-max", int(0, 50)),
  line("connect-timeout", int(0, 500)),
  line("resolv-retry", fc.oneof(int(0, 99), fc.constant("infinite"))),
  line("reneg-sec", int(0, 9999)),
  line("reneg-bytes", int(0, 1 << 30)),
  line("replay-window", int(1, 65536), int(0, 600)),
  line("hand-window", int(1, 600)),
  line("tun-mtu", int(100, 65535)),
  line("tun-mtu-max", int(68, 65536)),
  line("mssfix", int(0, 65535), fc.constantFrom("", "mtu", "fixed")),
  line("ping", int(0, 99)),
  line(fc.constantFrom("ping-restart", "ping-exit"), int(0, 999)),
  line("inactive", int(0, 9999), int(0, 99999)),
  line("explicit-exit-notify", fc.oneof(int(0, 9), fc.constant(""))),
  fc.array(cipher, { minLength: 1, maxLength: 5 }).map((list) => `data-ciphers AES-256-GCM:${list.join(":")}`),
  line(fc.constantFrom("cipher", "data-ciphers-fallback"), fc.constantFrom("AES-256-CBC", "bf-cbc", "AES-128-GCM")),
  line("auth", fc.constantFrom("SHA1", "sha256", "RSA-SHA512", "none", "MD5")),
  line("setenv", fc.constantFrom("UV_A", "UV_B", "X"), word),
  line("pull-filter", fc.constantFrom("accept", "ignore", "reject"), word),
  line("verify-x509-name", word, fc.constantFrom("subject", "name", "name-prefix")),
  line("remote-cert-ku", fc.constantFrom("", "a0", "0x80 08")),
  line("remote-cert-tls", "server"),
  line("remote-cert-eku", word),
  line("tls-cert-profile", fc.constantFrom("legacy", "preferred", "suiteb", "insecure")),
  line("route", address, "255.255.255.255", fc.constantFrom("", "vpn_gateway 7")),
  line("ifconfig", address, address),
  line("dhcp-option", "DNS", address),
  line("topology", fc.constantFrom("net30", "p2p", "subnet")),
  line("tls-version-min", fc.constantFrom("1.0", "1.2", "1.3")),
  line("verb", int(0, 11)),
  fc.constantFrom("pull", "float", "remote-random", "auth-nocache", "push-peer-info", "route-nopull", "ping-timer-rem"),
  fc.constantFrom(
    "setenv opt block-outside-dns",
    "block-ipv6",
    "redirect-gateway def1",
    "lport 0",
    "lport 1194",
    "bind",
  ),
  fc.uint8Array({ minLength: 256, maxLength: 256 }).map((key) => `<tls-crypt>\n${formatStaticKey(key)}</tls-crypt>`),
];

/** Whom to trust: these exclude each other. */
const TRUST: readonly fc.Arbitrary<string>[] = [
  fc.array(line("peer-fingerprint", hex(32)), { minLength: 1, maxLength: 3 }),
  fc.array(line("verify-hash", hex(20)), { maxLength: 3 }).map((lines) => ["ca ca.crt", ...lines]),
  fc.array(line("verify-hash", hex(32), "SHA256"), { maxLength: 3 }).map((lines) => ["ca ca.crt", ...lines]),
].map((lines) => lines.map((all) => all.join("\n")));

/** Files with user and password, as editors of all systems may leave them. */
const row = fc
  .array(fc.constantFrom("a", "é", " ", "#", '"', "\\", "\t", "\r", "\0", "\ufeff", "<x>", "</auth-user-pass>", "</"), {
    minLength: 1,
    maxLength: 6,
  })
  .map((parts) => parts.join(""));
const end = fc.constantFrom("\n", "\r\n", "\r\r\n");
const login = fc
  .tuple(fc.constantFrom("", "\ufeff"), row, end, row, fc.oneof(end, fc.constant("")))
  .map((parts) => parts.join(""));

test("a resolved configuration is read back with the same meaning, and formats to the same text", () => {
  const base = fc.constantFrom("client", "tls-client\npull");
  fc.assert(
    fc.property(base, fc.oneof(...TRUST), fc.array(fc.oneof(...LINES), { maxLength: 25 }), (role, trust, lines) => {
      const text = [role, "dev tun", "remote a.example", trust, ...lines].join("\n");
      const first = parseConfig({ file: "a", text }, () => CA);
      expect(first.ok ? [] : first.problems).toEqual([]);
      if (!first.ok) return;
      const resolved = formatConfig(first.config);
      const second = parseConfig({ file: "b", text: resolved }, () => undefined);
      expect(second.ok ? meaning(second.config) : second.problems).toEqual(meaning(first.config));
      if (second.ok) expect(formatConfig(second.config)).toBe(resolved);
    }),
    { numRuns: 500 },
  );
});

test("user and password of a file are read back out of the block that they are written to, or refused", () => {
  const profile = (line: string): string => `client\ndev tun\nremote a.example\nca ca.crt\n${line}`;
  const counts = { taken: 0, refused: 0 };
  fc.assert(
    fc.property(login, fc.boolean(), (file, asBlock) => {
      const line = asBlock ? `<auth-user-pass>\n${file}\n</auth-user-pass>\n` : "auth-user-pass login.txt\n";
      const files = (name: string): Uint8Array => (name === "ca.crt" ? CA : encodeUtf8(file));
      const first = parseConfig({ file: "a", text: profile(line) }, files, { roles: ["client"] });
      if (!first.ok) {
        counts.refused++;
        return;
      }
      counts.taken++;
      expect(first.config.login?.password).not.toMatch(/\r$/);
      const second = parseConfig({ file: "b", text: formatConfig(first.config) }, () => undefined, {
        roles: ["client"],
      });
      expect(second.ok ? meaning(second.config) : second.problems).toEqual(meaning(first.config));
    }),
    { numRuns: 500 },
  );
  expect(Math.min(counts.taken, counts.refused)).toBeGreaterThan(20);
});
