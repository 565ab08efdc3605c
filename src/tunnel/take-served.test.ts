import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Log } from "../lib/log.ts";
import { parseClientFile } from "../protocol/config/client-file.ts";
import { parseConfig } from "../protocol/config/parse.ts";
import type { ClientFile } from "../protocol/config/server-types.ts";
import type { ConfigOf } from "../protocol/config/types.ts";
import type { RunningServer, ServedFiles } from "./take-served.ts";
import { changedParts, takeServed } from "./take-served.ts";

const CONFIGS = join(import.meta.dir, "../../test/configs");

function files(lines: readonly string[] = [], client?: string, users?: readonly [string, string][]): ServedFiles {
  const own = ["dev tun", "server 10.8.0.0 255.255.255.0", "ca ca.crt", "cert client.crt", "key client.key", "dh none"];
  const text = [...lines, ...own].join("\n");
  const read = (name: string) => new Uint8Array(readFileSync(join(CONFIGS, name)));
  const parsed = parseConfig({ file: "a.conf", text }, read, { roles: ["server"], expected: "server", isHost: true });
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
  const ann = client === undefined ? undefined : parseClientFile({ file: "ann", text: client }, () => undefined);
  const clients = new Map<string, ClientFile>(ann?.ok === true ? [["ann", ann.file]] : []);
  return { config: parsed.config as ConfigOf<"server">, clients, users: users && new Map(users) };
}

describe("what has changed in a server's files", () => {
  test.each([
    [['push "route 10.1.0.0 255.255.0.0"'], ["push"]],
    [["keepalive 5 60"], ["push", "keepalive"]],
    [["max-clients 3"], ["limits"]],
    [["duplicate-cn"], ["who may come in"]],
    [["data-ciphers AES-128-GCM"], ["ciphers"]],
    [["reneg-sec 600"], ["control channel"]],
    [["tls-crypt ta.key"], ["control channel"]],
    [["remote-cert-tls client"], ["certificates and their checks"]],
    [["mssfix 1200"], ["mssfix"]],
    [["", "# a line more, so that all others stand elsewhere"], []],
  ] as const)("%j: %j", (lines, changed) => {
    expect(changedParts(files(), files(lines))).toEqual([...changed]);
  });

  test("users, and files of clients, are looked into", () => {
    expect(changedParts(files([], undefined, [["ann", "1"]]), files([], undefined, [["ann", "2"]]))).toEqual(["users"]);
    expect(changedParts(files(), files([], undefined, []))).toEqual(["users"]);
    const of = (address: string) => files([], `ifconfig-push ${address} 255.255.255.0`);
    expect(changedParts(of("10.8.0.50"), of("10.8.0.51"))).toEqual(["files of clients"]);
    expect(changedParts(of("10.8.0.50"), of("10.8.0.50"))).toEqual([]);
    const behind = (comment: string) => files([], `${comment}iroute 192.168.77.0 255.255.255.0`);
    expect(changedParts(behind(""), behind("# the office\n"))).toEqual([]);
  });
});

function running(before: ServedFiles, untaken: readonly string[]) {
  const said: string[] = [];
  let { config } = before;
  const server = {
    listener: {
      get config() {
        return config;
      },
      reload: (...[, next, , change]: Parameters<RunningServer["listener"]["reload"]>) => {
        // What it cannot take stays.
        config = { ...next, listen: before.config.listen };
        change?.(config);
        return [...untaken];
      },
    },
    entrance: { files: before, reload: () => ({ gone: [], changed: [], problems: ["ann: another has this address"] }) },
    lan: [],
    log: {
      enabled: () => true,
      write: (level, event, text, fields) => said.push([level, event, text, JSON.stringify(fields ?? {})].join(" ")),
    } satisfies Log,
  } as unknown as RunningServer;
  return { server, said };
}

describe("a server that was told to read its files again", () => {
  test("says what of them it has taken, and what needs a restart", () => {
    const { server, said } = running(files(), [
      "port, proto and local: what has changed there counts from the next start on",
    ]);
    takeServed(0, 0, server, files(["port 1195", 'push "route 10.1.0.0 255.255.0.0"']));
    expect(said).toEqual([
      "warn config.warning port, proto and local: what has changed there counts from the next start on {}",
      "warn config.warning ann: another has this address {}",
      'info reload.taken what has changed is taken, and sessions go on; the rest is named above, and needs a restart {"changed":"push"}',
    ]);
  });

  test("says so where nothing has changed", () => {
    const { server, said } = running(files(), []);
    takeServed(0, 0, server, files());
    expect(said.at(-1)).toBe(
      "info reload.taken nothing has changed that a running server takes, and sessions go on {}",
    );
  });
});
