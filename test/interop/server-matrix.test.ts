/**
 * Our server and the real openvpn as its client: transports, wraps, ciphers, logins, topologies, TLS versions and what is inside, so that
 * every two of them meet. TABLE=whole: all of them.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { rowsOf } from "../support/pairwise.ts";
import { openvpnIsAtLeast } from "../support/world/openvpn-binary.ts";
import { LAN_HOST, ServedWorld, TUNNEL, TUNNEL6, WAN, WAN6 } from "../support/world/served-world.ts";
import { NO_WORLD } from "./subject.ts";

setDefaultTimeout(180_000);

const PROTO = ["udp", "udp6", "tcp", "tcp6"] as const;
const WRAP = ["plain", "tls-auth", "tls-crypt", "tls-crypt-v2", "tls-crypt-v2 force-cookie"] as const;
const CIPHER = ["AES-256-GCM", "AES-128-GCM", "CHACHA20-POLY1305", "AES-256-CBC"] as const;
const LOGIN = ["certificate", "password", "both"] as const;
const TOPOLOGY = ["subnet", "net30", "p2p"] as const;
const TLS = ["1.2", "1.3"] as const;
const INSIDE = ["IPv4", "IPv4 and IPv6"] as const;
const SIZES = [PROTO.length, WRAP.length, CIPHER.length, LOGIN.length, TOPOLOGY.length, TLS.length, INSIDE.length];

/** What a client of this version cannot do. */
function isPossible([proto = 0, wrap = 0, cipher = 0]: readonly number[]): boolean {
  const isCookie = WRAP[wrap]!.endsWith("force-cookie") && PROTO[proto]!.startsWith("udp");
  if (!openvpnIsAtLeast(2, 6) && isCookie) return false;
  return openvpnIsAtLeast(2, 5) || !(WRAP[wrap]!.startsWith("tls-crypt-v2") || CIPHER[cipher] === "CHACHA20-POLY1305");
}

const WRAPS: Record<(typeof WRAP)[number], { readonly server: string[]; readonly client: string[] }> = {
  plain: { server: [], client: [] },
  "tls-auth": { server: ["tls-auth static.key 0"], client: ["tls-auth static.key 1"] },
  "tls-crypt": { server: ["tls-crypt static.key"], client: ["tls-crypt static.key"] },
  "tls-crypt-v2": { server: ["tls-crypt-v2 v2-server.key"], client: ["tls-crypt-v2 v2-client.key"] },
  "tls-crypt-v2 force-cookie": {
    server: ["tls-crypt-v2 v2-server.key force-cookie"],
    client: ["tls-crypt-v2 v2-client.key"],
  },
};

describe.skipIf(NO_WORLD)("a client of openvpn", () => {
  let world: ServedWorld;
  beforeAll(async () => {
    world = await ServedWorld.create();
  });
  afterAll(() => world?.close());

  for (const choice of rowsOf(SIZES, isPossible)) {
    const [p = 0, w = 0, c = 0, l = 0, t = 0, v = 0, i = 0] = choice;
    const [proto, wrap, cipher, login, topology, tls, inside] = [
      PROTO[p]!,
      WRAP[w]!,
      CIPHER[c]!,
      LOGIN[l]!,
      TOPOLOGY[t]!,
      TLS[v]!,
      INSIDE[i]!,
    ];
    test([proto, wrap, cipher, login, topology, `TLS ${tls}`, inside].join(", "), async () => {
      const isV6 = proto.endsWith("6");
      const isTcp = proto.startsWith("tcp");
      await world.serve(
        [
          ...[isTcp ? `proto ${proto}-server` : `proto ${proto}`, `local ${isV6 ? WAN6 : WAN}`, `topology ${topology}`],
          ...[`data-ciphers ${cipher}`, ...WRAPS[wrap].server],
          ...(login === "password" ? ["verify-client-cert none", "username-as-common-name"] : []),
          ...(inside === "IPv4" ? [] : ["server-ipv6 fd00:8::/64", 'push "route-ipv6 fd00:50::/64"']),
        ],
        { without: ["tls-crypt"], users: login !== "certificate" },
      );
      const version = openvpnIsAtLeast(2, 5)
        ? [`data-ciphers ${cipher}`]
        : [`ncp-ciphers ${cipher}`, `cipher ${cipher}`];
      await world.join(
        "a",
        [
          ...[...version, ...WRAPS[wrap].client, `tls-version-max ${tls}`],
          ...(login === "certificate" ? [] : ["auth-user-pass right.txt"]),
        ],
        {
          without: login === "password" ? ["tls-crypt", "cert", "key"] : ["tls-crypt"],
          proto: isTcp ? `${proto}-client` : proto,
          remote: isV6 ? WAN6 : WAN,
        },
      );
      const up = await world.says(/peer\.up/);
      expect(up).toContain(`cipher=${cipher}`);
      expect(up).toContain(`name=${login === "password" ? "ann" : "client-a"}`);
      expect(world.daemon("a").log()).toContain(`Control Channel: TLSv${tls}`);
      expect([await world.ping("a", TUNNEL), await world.ping("a", LAN_HOST)]).toEqual([3, 3]);
      expect(await world.ping("lan", await world.address("a"))).toBe(3);
      expect(await world.downloads("a", LAN_HOST)).toBe(true);
      if (inside !== "IPv4")
        expect([await world.ping("a", TUNNEL6), await world.ping("lan", await world.address("a", 6))]).toEqual([3, 3]);
    });
  }
});
