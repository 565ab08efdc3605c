/** Numbers of profiles: the tables of docs/configuration.md against what is read, by default and at the bounds. */
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { folderReader } from "../../src/appliance/config-source.ts";
import { parseConfig } from "../../src/protocol/config/parse.ts";
import type { ClientConfig, ServerConfig } from "../../src/protocol/config/types.ts";
import { CONFIGURATION, quoted, ROOT, read, tableOf } from "./document.ts";

const FOLDER = join(ROOT, "test/configs/server");
const DOCUMENT = read(CONFIGURATION);

type Readers<Config> = Readonly<Record<string, (config: Config) => unknown>>;

const OF_CLIENT: Readers<ClientConfig> = {
  "hand-window": ({ control }) => control.handWindow,
  "tls-timeout": ({ control }) => control.tlsTimeout,
  "tran-window": ({ control }) => control.tranWindow,
  "reneg-sec": ({ control }) => control.renegSec.max,
  "reneg-bytes": ({ control }) => control.renegBytes,
  "reneg-pkts": ({ control }) => control.renegPkts,
  "replay-window": ({ control }) => control.replayWindow.packets,
  "replay-window N": ({ control }) => control.replayWindow.seconds,
  ping: ({ keepalive }) => keepalive.ping,
  "ping-restart": ({ keepalive }) => keepalive.timeout,
  "ping-exit": ({ keepalive }) => (keepalive.action === "exit" ? keepalive.timeout : 0),
  inactive: ({ keepalive }) => keepalive.inactive?.seconds ?? 0,
  "session-timeout": ({ keepalive }) => keepalive.sessionTimeout,
  "explicit-exit-notify": ({ exitNotify }) => exitNotify,
  "connect-timeout": ({ retry }) => retry.connectTimeout,
  "connect-retry": ({ retry }) => retry.connectRetry?.initial ?? "1 to 8",
  "connect-retry N": ({ retry }) => retry.connectRetry?.max ?? "1 to 8",
  "tun-mtu": ({ tunnel }) => tunnel.mtu,
  "tun-mtu-max": ({ tunnel }) => tunnel.mtuMax,
  mssfix: ({ tunnel }) => tunnel.mssFix.size,
  fragment: ({ data }) => data.fragment?.size ?? 0,
  port: ({ remotes }) => remotes[0]?.port,
};

const OF_SERVER: Readers<ServerConfig> = {
  "max-clients": ({ limits }) => limits.maxClients,
  "max-routes-per-client": ({ limits }) => limits.maxRoutesPerClient,
  "connect-freq-initial": ({ limits }) => limits.connectFreqInitial.count,
  "connect-freq-initial N": ({ limits }) => limits.connectFreqInitial.seconds,
  "connect-freq": ({ limits }) => limits.connectFreq?.count ?? "no bound",
  "connect-freq N": ({ limits }) => limits.connectFreq?.seconds ?? "no bound",
  "tls-crypt-v2-max-age": ({ wrappedKeys }) => wrappedKeys?.maxAgeDays ?? "no bound",
  "auth-gen-token": ({ entry }) => entry.token?.lifetime,
  "auth-gen-token N": ({ entry }) => entry.token?.renewal,
  "ifconfig-pool-persist": ({ network }) => network.persist?.seconds,
};

/** The line that has its default. */
const WITHOUT_NUMBER: Readonly<Record<string, string>> = {
  "auth-gen-token": "auth-gen-token",
  "auth-gen-token N": "auth-gen-token 7",
  "ifconfig-pool-persist": "ifconfig-pool-persist pool.txt",
};

/** A line with this number: the first one of the directive or, behind N, the second. */
function lineOf(name: string, n: number): string {
  if (name === "ifconfig-pool-persist") return `${name} pool.txt ${n}`;
  if (name === "connect-freq" || name === "connect-freq-initial") return `${name} ${n} 7`;
  return `${name.replace(" N", " 7")} ${n}`;
}

/** What the profile of a client comes to with these lines; undefined: they are a problem. */
function client(lines: readonly string[]): ClientConfig | undefined {
  const ca = `<ca>\n${read(join(ROOT, "test/configs/client.crt"))}</ca>`;
  const text = ["client", "dev tun", "remote a", "remote-cert-tls server", ca, ...lines, ""].join("\n");
  const result = parseConfig({ file: "x", text }, () => undefined, { roles: ["client"] });
  return result.ok ? result.config : undefined;
}

function server(lines: readonly string[]): ServerConfig | undefined {
  const own = ["server 10.8.0.0 255.255.255.0", "dev tun", "ca ca.crt", "cert server.crt", "key server.key", "dh none"];
  const text = [...own, "tls-crypt-v2 v2s.key", ...lines, ""].join("\n");
  const result = parseConfig({ file: "x", text }, folderReader(FOLDER).read, { roles: ["server"] });
  return result.ok ? result.config : undefined;
}

function compare<Config>(
  mark: string,
  readers: Readers<Config>,
  parse: (lines: readonly string[]) => Config | undefined,
) {
  const rows = tableOf(DOCUMENT, mark);

  test("each has a row", () => {
    expect(rows.map((row) => quoted(row["Directive"])[0] ?? "").sort()).toEqual(Object.keys(readers).sort());
  });

  test.each(rows.map((row) => [quoted(row["Directive"])[0] ?? "", row] as const))("%s", (name, row) => {
    const valueWith = (...lines: string[]): unknown => {
      const config = parse(lines);
      return config === undefined ? "a problem" : readers[name]?.(config);
    };
    const [usual, least, most] = [row["Default"] ?? "", Number(row["Least"]), Number(row["Most"])];
    const bare = WITHOUT_NUMBER[name];
    expect(valueWith(...(bare === undefined ? [] : [bare]))).toBe(/^\d+$/.test(usual) ? Number(usual) : usual);
    expect(valueWith(lineOf(name, least))).not.toBe("a problem");
    expect(valueWith(lineOf(name, most))).toBe(most);
    for (const n of [least - 1, most + 1]) expect([n, valueWith(lineOf(name, n))]).toEqual([n, "a problem"]);
  });
}

describe("a client", () => compare("numbers", OF_CLIENT, client));
describe("a server", () => compare("server-numbers", OF_SERVER, server));
