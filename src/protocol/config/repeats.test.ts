import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseConfig } from "./parse.ts";
import type { ClientConfig } from "./types.ts";

const CONFIGS = join(import.meta.dir, "../../../test/configs");
const START = "client\ndev tun\nremote 192.0.2.1\nca ca.crt\nremote-cert-tls server\n";

/** The configuration of these lines behind START, which begin at line 6, and what is told of them. */
function parse(lines: string): { config: ClientConfig | undefined; told: string[] } {
  const files = (name: string): Uint8Array => readFileSync(join(CONFIGS, name));
  const result = parseConfig({ file: "f", text: START + lines }, files, { roles: ["client"] });
  const told = [...(result.ok ? [] : result.problems), ...result.warnings];
  return {
    config: result.ok ? result.config : undefined,
    told: told.map(({ origin, directive, problem }) => `${origin.line} ${directive}: ${problem}`),
  };
}

const overruled = (line: number, name: string, by: number): string =>
  `${line} ${name}: ignored: line ${by} says otherwise, and the last one counts`;

test("of a directive with one value the last line counts, and the ones before that say something else are told", () => {
  const { config, told } = parse("ping 5\nping 7\nping 9\nping 9\n");
  expect(config?.keepalive.ping).toBe(9);
  expect(told).toEqual([overruled(6, "ping", 9), overruled(7, "ping", 9)]);
});

test("nothing is told of what is said twice, of what adds up, and of what has no effect anyway", () => {
  const lines = "nobind\nnobind\ncipher AES-256-GCM\ncipher AES-256-GCM\nverb 3\nverb 4\nremote 192.0.2.2\n";
  const more = "route 10.1.0.0 255.255.0.0\nroute 10.2.0.0 255.255.0.0\nredirect-gateway def1\nredirect-gateway ipv6\n";
  const { config, told } = parse(lines + more);
  expect(told).toEqual([]);
  expect(config?.remotes).toHaveLength(2);
  expect(config?.tunnel.localOptions).toHaveLength(4);
});

test("two names of one value are one directive", () => {
  const ciphers = parse("data-ciphers AES-128-GCM\nncp-ciphers AES-256-GCM\n");
  expect(ciphers.config?.data.ciphers).toEqual(["AES-256-GCM"]);
  expect(ciphers.told).toEqual([overruled(6, "data-ciphers", 7)]);
  const poll = parse("connect-timeout 20\nserver-poll-timeout 5\n");
  expect(poll.config?.retry.connectTimeout).toBe(5);
  expect(poll.told).toEqual([overruled(6, "connect-timeout", 7)]);
  expect(parse("server-poll-timeout 5\nconnect-timeout 20\n").config?.retry.connectTimeout).toBe(20);
  const ping = parse("ping-restart 20\nping-exit 30\n");
  expect(ping.config?.keepalive).toMatchObject({ timeout: 30, action: "exit" });
  expect(ping.told).toEqual([overruled(6, "ping-restart", 7)]);
  expect(parse("compress stub\ncomp-lzo no\n").told).toEqual([overruled(6, "compress", 7)]);
});

test("of a file and a block the last counts; [inline] and a bare auth-user-pass only stand for the block", () => {
  const ca = readFileSync(join(CONFIGS, "ca.crt"), "utf8");
  const key = readFileSync(join(CONFIGS, "ta.key"), "utf8");
  expect(parse(`<ca>\n${ca}</ca>\n`).told).toEqual([overruled(4, "ca", 6)]);
  const login = "auth-user-pass\n<auth-user-pass>\nann\nx\n</auth-user-pass>\n";
  const { config, told } = parse(`tls-auth [inline] 1\n<tls-auth>\n${key}</tls-auth>\n${login}`);
  expect(told).toEqual([]);
  expect(config).toMatchObject({ control: { wrap: { kind: "tls-auth", direction: 1 } }, login: { user: "ann" } });
});

test("inside a <connection> block its own last line counts", () => {
  const text = START.replace("remote 192.0.2.1\n", "");
  const block = "<connection>\nremote 192.0.2.1\nport 5\nport 6\n</connection>\n";
  const result = parseConfig({ file: "f", text: text + block }, () => readFileSync(join(CONFIGS, "ca.crt")), {
    roles: ["client"],
  });
  expect(result.ok && result.config.remotes.map(({ port }) => port)).toEqual([6]);
  expect(result.warnings.map(({ origin }) => origin.line)).toEqual([7]);
});
