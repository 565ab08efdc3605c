/**
 * Our client and our server, each with a profile as a person writes it, over the network of the simulations with the real TLS engine:
 * transports, wraps, ciphers, logins, topologies and TLS versions, so that every two of them meet. TABLE=whole: all of them.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { IpAddress, parseIp } from "../../src/lib/ip.ts";
import { seededRandom } from "../../src/lib/random.ts";
import { libsslTls } from "../../src/platform/crypto/tls.ts";
import { parseConfig } from "../../src/protocol/config/parse.ts";
import type { ServerPart } from "../../src/protocol/config/server-types.ts";
import type { ClientConfig, ServerConfig } from "../../src/protocol/config/types.ts";
import { noblePrimitives } from "../../src/protocol/control/noble-primitives.ts";
import { tlsParameters } from "../../src/protocol/exchange/tls-parameters.ts";
import { parseTunnelOptions } from "../../src/protocol/push/tunnel-options.ts";
import { Entrance } from "../../src/protocol/server/entrance.ts";
import { SERVER_KEY, TLS_CRYPT, TLS_CRYPT_V2 } from "../support/client-config.ts";
import { rowsOf } from "../support/pairwise.ts";
import { World } from "../support/served/world.ts";
import { makeTlsPki, type TlsPki } from "../support/tls-pki.ts";

const AXES = {
  transport: ["udp4", "udp6", "tcp4", "tcp6"],
  wrap: ["none", "tls-auth", "tls-crypt", "tls-crypt-v2", "tls-crypt-v2 force-cookie"],
  cipher: ["AES-256-GCM", "AES-128-GCM", "CHACHA20-POLY1305", "AES-256-CBC"],
  login: ["certificate", "password", "both"],
  topology: ["subnet", "net30", "p2p"],
  tls: ["1.2", "1.3"],
  inside: ["IPv4", "IPv4 and IPv6"],
} as const;
const names = Object.keys(AXES) as (keyof typeof AXES)[];
const table = rowsOf(names.map((name) => AXES[name].length));

const base64 = (bytes: Uint8Array): string => bytes.toBase64().replace(/(.{64})/g, "$1\n");
const pem = (label: string, bytes: Uint8Array): string =>
  `-----BEGIN ${label}-----\n${base64(bytes)}\n-----END ${label}-----\n`;
const FILES: Readonly<Record<string, Uint8Array | string>> = {
  "static.key": `-----BEGIN OpenVPN Static key V1-----\n${(TLS_CRYPT as { key: Uint8Array }).key.toHex().replace(/(.{32})/g, "$1\n")}-----END OpenVPN Static key V1-----\n`,
  "v2-server.key": pem("OpenVPN tls-crypt-v2 server key", SERVER_KEY),
  "v2-client.key": pem(
    "OpenVPN tls-crypt-v2 client key",
    Uint8Array.from([...TLS_CRYPT_V2.key, ...TLS_CRYPT_V2.wrapped]),
  ),
};

let pki: TlsPki;
beforeAll(() => {
  pki = makeTlsPki();
});
afterAll(() => pki.remove());

const read = (name: string): Uint8Array => {
  const own = FILES[name];
  if (own === undefined) return pki.material(name).bytes;
  return typeof own === "string" ? new TextEncoder().encode(own) : own;
};

function wrapLines(wrap: (typeof AXES.wrap)[number], isServer: boolean): string[] {
  if (wrap === "none") return [];
  if (wrap === "tls-auth") return [`tls-auth static.key ${isServer ? 0 : 1}`];
  if (wrap === "tls-crypt") return ["tls-crypt static.key"];
  if (!isServer) return ["tls-crypt-v2 v2-client.key"];
  return [wrap.replace("tls-crypt-v2", "tls-crypt-v2 v2-server.key")];
}

function serverProfile(lines: readonly string[]): ServerConfig & ServerPart {
  const result = parseConfig({ file: "server.conf", text: lines.join("\n") }, read, { roles: ["server"] });
  if (!result.ok) throw new Error(JSON.stringify(result.problems));
  return result.config as ServerConfig & ServerPart;
}

function clientProfile(lines: readonly string[]): ClientConfig {
  const result = parseConfig({ file: "client.ovpn", text: lines.join("\n") }, read, {
    roles: ["client"],
    defaultCredentials: { text: "ann\npw\n", label: "auth.txt" },
  });
  if (!result.ok) throw new Error(JSON.stringify(result.problems));
  return result.config;
}

describe("our client at our server", () => {
  for (const choice of table) {
    const chosen = <N extends keyof typeof AXES>(name: N) =>
      AXES[name][choice[names.indexOf(name)]!] as (typeof AXES)[N][number];
    test(names.map((name) => (name === "tls" ? `TLS ${chosen(name)}` : chosen(name))).join(", "), () => {
      const [transport, wrap, cipher, login, topology] = [
        ...[chosen("transport"), chosen("wrap"), chosen("cipher"), chosen("login"), chosen("topology")],
      ] as const;
      const isStream = transport.startsWith("tcp");
      const proto = transport.replace("4", "");
      const has6 = chosen("inside") !== "IPv4";
      const config = serverProfile([
        ...["dev tun", `proto ${isStream ? `${proto}-server` : proto}`, "server 10.8.0.0 255.255.255.0", "dh none"],
        ...["ca ca.crt", "cert server.crt", "key server.key", `topology ${topology}`, `data-ciphers ${cipher}`],
        ...["keepalive 10 60", 'push "route 192.168.50.0 255.255.255.0"', ...wrapLines(wrap, true)],
        ...(has6 ? ["server-ipv6 fd00:8::/64"] : []),
        ...(login === "password" ? ["verify-client-cert none"] : []),
        ...(login === "certificate" ? [] : ["username-as-common-name"]),
      ]);
      const users = login === "certificate" ? undefined : new Map([["ann", "pw"]]);
      const entrance = new Entrance(
        { config, clients: new Map(), users, lan: [] },
        { primitives: noblePrimitives, random: seededRandom(5), tokenKey: new Uint8Array(32).fill(9) },
      );
      const now = Math.floor(Date.now() / 1000);
      const listener = { entrance, unixSeconds: () => now };
      const world = new World(1, { config, tls: libsslTls, listener });
      world.passwords.isPrompt = true;
      const profile = clientProfile([
        ...[
          "client",
          "dev tun",
          `proto ${isStream ? `${proto}-client` : proto}`,
          "remote vpn.example",
          "nobind",
          "reneg-sec 30 30",
        ],
        ...["ca ca.crt", "remote-cert-tls server", `data-ciphers ${cipher}`, `tls-version-max ${chosen("tls")}`],
        ...(login === "password" ? [] : ["cert client.crt", "key client.key"]),
        ...(login === "certificate" ? [] : ["auth-user-pass"]),
        ...["explicit-exit-notify 1", ...wrapLines(wrap, false)].filter((line) => !isStream || !/^explicit/.test(line)),
      ]);
      const tls = libsslTls.context(tlsParameters(profile.tls, profile.verify));
      try {
        const endpoint = {
          address: transport.endsWith("6") ? parseIp("2001:db8::7")! : IpAddress.fromIpv4(0xcb007107),
          port: 4321,
        };
        const client = world.client("ann", { profile, tls, endpoint, isStream });
        world.run(20_000, () => client.isUp);
        expect({ isUp: client.isUp, ends: client.end, lines: client.isUp ? [] : world.lines }).toEqual({
          isUp: true,
          ends: undefined,
          lines: [],
        });
        world.run(200);
        const [peer] = world.listener.peers();
        expect(peer).toMatchObject({ cipher, name: login === "certificate" ? "client" : "ann" });
        const tunnel = parseTunnelOptions(client.options, profile.tunnel.localOptions, {
          serverAddress: world.newEndpoint().address,
          lan: [],
          isHost: true,
        });
        if (!tunnel.ok) throw new Error(tunnel.problem);
        const { address, address6, routes } = tunnel.tunnel;
        expect([`${address?.address}`, address6 && `${address6.address}`]).toEqual([peer!.address!, peer?.address6]);
        expect(address6 !== undefined).toBe(has6);
        expect(routes.map(({ network }) => `${network}`)).toContain("192.168.50.0/24");
        world.expectFlow(client);
        expect(world.run(60_000, () => client.count("rekeyed") > 0)).toBe(true);
        world.run(500);
        world.expectFlow(client);
        expect([client.session.drops.snapshot(), world.said("internal.error")]).toEqual([{}, []]);
      } finally {
        tls.close();
        world.listener.stop(world.now, "shutdown");
      }
    });
  }
});
