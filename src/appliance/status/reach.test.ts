/** From where the status page can be reached: the LAN, and from nowhere else. */
import { describe, expect, test } from "bun:test";
import { parseIp } from "../../lib/ip.ts";
import { seededRandom } from "../../lib/random.ts";
import { slabOver } from "../../lib/slab.ts";
import { HttpServer } from "../../netstack/http/server.ts";
import { PagePool } from "../../netstack/tcp/pages.ts";
import { tcp } from "../../netstack/testing/bed.ts";
import { tcp6 } from "../../netstack/testing/bed6.ts";
import {
  GATEWAY,
  GATEWAY6,
  HOST,
  HOST6,
  LAN,
  LAN6,
  PEER,
  PEER6,
  Served,
  SITE,
  SITE6,
  WAN,
  WAN_GATEWAY,
  WAN6,
} from "../../netstack/testing/served.ts";
import { HttpConnections } from "./connections.ts";

const PORT = 80;
const SYN = 2;
const EMPTY = new Uint8Array(0);
/** Of a connection that is accepted. */
const ACCEPTED = /tcp 80 > \d+ \[SA\]/;

const syn = (src: string, dst: string): Uint8Array =>
  dst.includes(":") ? tcp6({ src, dst }, SYN, EMPTY) : tcp({ src, dst }, { dstPort: PORT, flags: SYN }, EMPTY);

describe.each(["routed", "translated", "closed"] as const)("with the LAN %s", (access) => {
  function served() {
    const s = new Served({ lan: access, internet: true });
    const lanTcp = s.lan!.it.openTcp({ pool: new PagePool(slabOver(new ArrayBuffer(1 << 16)), 0, 4096, 16) });
    const own = [LAN, LAN6].map((text) => parseIp(text)!);
    new HttpConnections(lanTcp, PORT, own, new HttpServer(seededRandom(2)));
    /** Everything that left, everywhere. */
    const left = (): string => {
      for (const it of [s.lan!.it, s.wan!.it, s.tunnel]) it.handleTimeout(s.now);
      return [...s.toLan(), ...s.toWan(), ...s.toPeers()].join("\n");
    };
    return { s, left, lanTcp };
  }

  test("a LAN host is answered at the LAN's addresses", () => {
    const { s, left } = served();
    s.fromLan(syn(HOST, LAN));
    expect(left()).toMatch(ACCEPTED);
    s.fromLan(syn(HOST6, LAN6));
    expect(left()).toMatch(ACCEPTED);
  });

  test("not at the gateway's other addresses, and not under a source that is not of the LAN", () => {
    const { s, left, lanTcp } = served();
    for (const dst of [GATEWAY, WAN]) s.fromLan(syn(HOST, dst));
    for (const dst of [GATEWAY6, WAN6]) s.fromLan(syn(HOST6, dst));
    for (const src of [SITE, PEER[1], "10.9.9.9"]) s.fromLan(syn(src, LAN));
    for (const src of [SITE6, PEER6[1]]) s.fromLan(syn(src, LAN6));
    expect(left()).not.toMatch(ACCEPTED);
    expect(lanTcp.census.halfOpen).toBe(0);
  });

  test("nobody in the tunnel, and nobody on the WAN or behind it, is answered at any address", () => {
    const { s, left, lanTcp } = served();
    for (const dst of [LAN, GATEWAY, WAN]) {
      for (const src of [PEER[1], HOST, LAN]) s.fromPeer(1, syn(src, dst));
      for (const src of [SITE, WAN_GATEWAY, HOST, PEER[1]]) s.fromWan([syn(src, dst)]);
    }
    for (const dst of [LAN6, GATEWAY6, WAN6]) {
      for (const src of [PEER6[1], HOST6, LAN6]) s.fromPeer(1, syn(src, dst));
      for (const src of [SITE6, HOST6, PEER6[1]]) s.fromWan([syn(src, dst)]);
    }
    expect(left()).not.toMatch(ACCEPTED);
    expect(lanTcp.census.halfOpen).toBe(0);
  });
});
