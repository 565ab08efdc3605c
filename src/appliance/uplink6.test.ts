import { expect, test } from "bun:test";
import { BoundedLog } from "../lib/bounded-log.ts";
import { parseCidr } from "../lib/cidr.ts";
import { type IpAddress, parseIpv6 } from "../lib/ip.ts";
import type { Log } from "../lib/log.ts";
import { seededRandom } from "../lib/random.ts";
import { Bed, mac, ROUTER_MAC, side } from "../netstack/testing/bed.ts";
import { advert6, frame6, icmp6, UNSOLICITED, udp6 } from "../netstack/testing/bed6.ts";
import {
  DHCP6_REPLY,
  type Dhcp6Message,
  dhcp6Build,
  dhcp6IaNaOption,
  dhcp6Option,
  dhcp6Options,
  dhcp6Parse,
  OPTION6_CLIENT_ID,
} from "../netstack/wire/dhcpv6.ts";
import { printFrame } from "../netstack/wire/print.ts";
import { type AdvertisedPrefix, type RouterAdvert, routerAdvertBuild } from "../netstack/wire/router-advert.ts";
import { AutoSource6, type Source6, StaticSource6 } from "./source6.ts";
import { Uplink6 } from "./uplink6.ts";

const ROUTER = "fe80::1";
const OTHER_ROUTER = "fe80::2";
const HOST_MAC = "52:54:00:00:00:77";
const ALL_NODES = "33:33:00:00:00:01";
const ip = (text: string): IpAddress => parseIpv6(text) as IpAddress;
const prf = (input: Uint8Array): Uint8Array => {
  const out = new Uint8Array(8);
  seededRandom(input.reduce((sum, byte) => (Math.imul(sum, 31) + byte) | 0, 17)).fill(out);
  return out;
};
const prefix = (text: string, more: Partial<AdvertisedPrefix> = {}): AdvertisedPrefix => ({
  prefix: parseCidr(text)!,
  onLink: true,
  autonomous: true,
  valid: 86_400,
  preferred: 14_400,
  ...more,
});

/** A WAN interface with its uplink; routers and servers speak to it in frames. */
class Wan6 {
  readonly bed = new Bed();
  readonly it;
  readonly outlet;
  readonly uplink: Uplink6;
  readonly log: string[] = [];
  now = 1000;

  constructor(make?: () => Source6) {
    ({ it: this.it, outlet: this.outlet } = side(this.bed, "wan"));
    const sink: Log = {
      enabled: () => true,
      write: (_level, event, message, fields) =>
        void this.log.push(
          [event, message, ...Object.values(fields ?? {})].filter((x) => x !== "" && x !== undefined).join(" "),
        ),
    };
    const heard = new BoundedLog(sink);
    const auto = { wan: this.it, slab: this.bed.slab, mac: mac(ROUTER_MAC), random: seededRandom(5), prf, heard };
    this.uplink = new Uplink6({
      wan: this.it,
      source: make?.() ?? new AutoSource6(auto),
      log: sink,
      heard,
      events: {
        up: () => void this.log.push("up"),
        resolvers: (servers) => void this.log.push(`resolvers ${servers}`),
        down: (_now, reason) => void this.log.push(`down ${reason}`),
      },
    });
  }

  /** Lets the time pass, deadline by deadline; what left: neighbour discovery by name, UDP by its ports. */
  advance(ms: number): string[] {
    const end = this.now + ms;
    const sent: string[] = [];
    for (;;) {
      const at = Math.min(this.it.pollAt(), this.uplink.pollAt());
      if (at > end) break;
      this.now = Math.max(this.now, at);
      if (this.it.pollAt() <= this.now) this.it.handleTimeout(this.now);
      if (this.uplink.pollAt() <= this.now) this.uplink.handleTimeout(this.now);
      sent.push(...this.sent());
    }
    this.now = end;
    return sent;
  }

  sent(): string[] {
    return this.outlet.take().map(({ view, bytes }) => {
      const line = printFrame(view, 0, bytes.length);
      const port = /udp \d+ > (\d+)/.exec(line)?.[1];
      this.payload = bytes.slice(62);
      return port === undefined ? (/nd \S+/.exec(line)?.[0] ?? line) : `udp ${port}`;
    });
  }

  /** The UDP payload that was sent last. */
  payload: Uint8Array = new Uint8Array();

  push(frame: Uint8Array): string[] {
    this.it.ingest(this.now, this.bed.receive(frame));
    return this.advance(0);
  }

  /** Another host says that it has the address. */
  claim(address: string): void {
    this.push(advert6(address, { dst: "ff02::1", flags: UNSOLICITED, from: HOST_MAC }));
  }

  advert(more: Partial<RouterAdvert> = {}, from: { src?: string; hops?: number } = {}): string[] {
    const message = routerAdvertBuild({
      hopLimit: 64,
      managed: false,
      other: false,
      preference: 0,
      lifetime: 1800,
      reachableTime: 0,
      retransTimer: 0,
      mac: mac(HOST_MAC),
      mtu: undefined,
      prefixes: [prefix("2001:db8:1::/64")],
      routes: [],
      rdnss: [],
      dnssl: [],
      ...more,
    });
    const d = new DataView(message.buffer);
    const fields = { src: from.src ?? ROUTER, dst: "ff02::1", hops: from.hops ?? 255 };
    return this.push(frame6(icmp6(fields, 134, 0, d.getInt32(4), message.subarray(8)), ALL_NODES, HOST_MAC));
  }

  /** An answer to what the DHCPv6 client said last. */
  reply(address: string, lifetime: number): string[] {
    const asked = dhcp6Parse(this.payload) as Dhcp6Message;
    const [code, value] = dhcp6IaNaOption(mac(ROUTER_MAC).lo, ip(address));
    const d = new DataView(value.buffer);
    d.setUint32(32, lifetime);
    d.setUint32(36, lifetime);
    const options = dhcp6Options([
      [OPTION6_CLIENT_ID, dhcp6Option(asked.options, OPTION6_CLIENT_ID)!],
      [2, Uint8Array.of(0, 3, 0, 1, 9)],
      [14, new Uint8Array()],
      [23, Uint8Array.from([0x20, 1, 0xd, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x55])],
      [code, value],
    ]);
    const own = this.it.v6.addressing.linkLocal!.value;
    const payload = dhcp6Build({ type: DHCP6_REPLY, xid: asked.xid, options });
    return this.push(frame6(udp6({ src: ROUTER, dst: `${own}` }, 547, 546, payload), ROUTER_MAC, HOST_MAC));
  }

  take(): string[] {
    return this.log.splice(0);
  }

  get address(): string {
    return `${this.it.v6.addressing.source(Int32Array.of(0x2000_0000, 0, 0, 0))?.value}`;
  }

  /** Link is there, nobody has our link-local address. */
  start(): this {
    this.uplink.start(this.now);
    this.advance(1200);
    return this;
  }
}

test("nothing but duplicate detection and solicitations leaves a WAN without IPv6, and nothing is complained about", () => {
  const w = new Wan6();
  w.uplink.start(w.now);
  const sent = w.advance(60_000);
  expect(new Set(sent)).toEqual(new Set(["nd solicit", "nd router-solicit"]));
  expect(sent.filter((s) => s === "nd solicit")).toHaveLength(1);
  expect([w.take(), w.uplink.isUp]).toEqual([[], false]);
});

test("an advertisement: an address, asked for first, the router, DNS servers; all of it is logged once", () => {
  const w = new Wan6().start();
  w.advert({ rdnss: [{ servers: [ip("2001:db8:1::53")], lifetime: 3600 }] });
  expect(w.take()).toEqual(["resolvers 2001:db8:1::53"]);
  w.advance(1500);
  expect(w.take()).toEqual([`wan.configured ${w.address} fe80::1 1500 2001:db8:1::53 auto`, "up"]);
  expect(w.address).toStartWith("2001:db8:1:0:");
  w.advert({ rdnss: [{ servers: [ip("2001:db8:1::53")], lifetime: 3600 }] });
  w.advance(100_000);
  expect([w.take(), w.uplink.isUp]).toEqual([[], true]);
  expect(w.uplink.counters).toEqual({ wanAdverts: 2, wanAdvertsIgnored: 0, dhcp6Ignored: 0 });
});

test("an advertisement from beyond the link, or not from a router's address, changes nothing (RFC 4861 6.1.2)", () => {
  const w = new Wan6().start();
  w.advert({}, { hops: 254 });
  w.advert({}, { src: "2001:db8::1" });
  w.advance(1500);
  expect([w.take(), w.it.v6.addressing.addresses.length]).toEqual([[], 1]);
});

test("a router that leaves takes the way out with it; another one takes its place without anything beginning anew", () => {
  const w = new Wan6().start();
  w.advert();
  w.advance(1500);
  w.take();
  w.advert({}, { src: OTHER_ROUTER });
  w.advert({ lifetime: 0 });
  expect(w.take()).toEqual([expect.stringMatching(/^wan\.configured 2001:db8:1:\S+ fe80::2 /)]);
  w.advert({ lifetime: 0 }, { src: OTHER_ROUTER });
  expect([w.take(), w.uplink.isUp]).toEqual([["down no IPv6 router is left on the WAN"], false]);
  w.advert();
  expect(w.take().at(-1)).toBe("up");
});

test("an address that ends, another one, and another MTU", () => {
  const w = new Wan6().start();
  w.advert({ prefixes: [prefix("2001:db8:1::/64", { valid: 7300, preferred: 7300 })], lifetime: 9000 });
  w.advance(1500);
  const first = w.address;
  w.take();
  w.advert({ mtu: 1400, prefixes: [], lifetime: 9000 });
  expect(w.take()).toEqual([`wan.configured ${first} fe80::1 1400 auto`, "up"]);
  w.advance(7_300_000);
  expect(w.take()).toEqual(["down the IPv6 address ended"]);
});

test("DHCPv6 where the router says so: its address, declined where another host has it, and its DNS servers", () => {
  const w = new Wan6().start();
  w.advert({ managed: true, prefixes: [] });
  expect(w.advance(1100)).toContain("udp 547");
  w.reply("2001:db8:9::5", 1000);
  expect(w.take()).toEqual(["resolvers 2001:db8:1::55"]);
  w.advance(500);
  w.claim("2001:db8:9::5");
  expect(dhcp6Parse(w.payload)).toMatchObject({ type: 9 });
  expect(w.take()).toEqual([
    expect.stringMatching(
      /^wan\.conflict another host .* uses our WAN address 2001:db8:9::5; the DHCPv6 server is asked/,
    ),
    "resolvers ",
  ]);
  w.advance(30_000);
  while (dhcp6Parse(w.payload) instanceof Object && (dhcp6Parse(w.payload) as Dhcp6Message).type !== 1) w.advance(1000);
  w.reply("2001:db8:9::6", 1000);
  w.advance(1500);
  expect(w.take().at(-1)).toBe("up");
  expect(w.address).toBe("2001:db8:9::6");
  w.uplink.leave(w.now);
  w.sent();
  expect(dhcp6Parse(w.payload)).toMatchObject({ type: 8 });
});

test("without a link there is nothing, and with it all is looked for anew", () => {
  const w = new Wan6().start();
  w.advert({ managed: true, rdnss: [{ servers: [ip("2001:db8:1::53")], lifetime: 3600 }] });
  w.advance(1500);
  const { address } = w;
  w.take();
  w.uplink.stop(w.now, "the WAN link is down");
  expect(w.take()).toEqual(["down the WAN link is down", "resolvers "]);
  w.sent();
  expect([w.advance(100_000), w.it.v6.addressing.isOn, w.uplink.pollAt()]).toEqual([
    [],
    false,
    Number.POSITIVE_INFINITY,
  ]);
  w.start();
  w.advert();
  w.advance(1500);
  expect(w.address).toBe(address);
});

test("a network that changes all the time is left alone for a quarter of a minute", () => {
  const w = new Wan6().start();
  for (let i = 0; i < 20; i++) {
    w.advert({ mtu: 1280 + i });
    w.advance(1500);
  }
  const log = w.take();
  expect(log.filter((line) => line === "up").length).toBeLessThanOrEqual(7);
  expect(log.some((line) => line.startsWith("down the WAN's IPv6 changes again and again"))).toBe(true);
  w.advance(17_000);
  w.advert();
  w.advance(1500);
  expect(w.take().at(-1)).toBe("up");
});

test("a static address and its gateway, without a word to routers; taken by another host it is named", () => {
  const make = (): Source6 => new StaticSource6(parseCidr("2001:db8::5/64")!, ip("fe80::1"), mac(ROUTER_MAC), prf);
  const w = new Wan6(make);
  w.uplink.start(w.now);
  expect(new Set(w.advance(20_000))).toEqual(new Set(["nd solicit"]));
  expect([w.take(), w.address]).toEqual([["wan.configured 2001:db8::5 fe80::1 1500 static", "up"], "2001:db8::5"]);
  w.advert();
  expect(w.it.v6.addressing.addresses).toHaveLength(2);
  const other = new Wan6(make);
  other.uplink.start(other.now);
  other.advance(300);
  other.claim("2001:db8::5");
  other.advance(5000);
  expect(other.take()).toEqual([
    expect.stringMatching(/^wan\.conflict .* 2001:db8::5; one of the two has to get another one \(\[wan\] address6\)$/),
  ]);
});

test("static: a link-local address that another host has gives way to the next, four times", () => {
  const make = (): Source6 => new StaticSource6(parseCidr("2001:db8::5/64")!, ip("fe80::1"), mac(ROUTER_MAC), prf);
  const w = new Wan6(make);
  w.uplink.start(w.now);
  const seen = new Set<string>();
  for (let i = 0; i < 4; i++) {
    w.advance(300);
    const own = `${w.it.v6.addressing.addresses[0]?.value}`;
    seen.add(own);
    w.claim(own);
  }
  expect([seen.size, w.it.v6.addressing.addresses.map(({ value }) => `${value}`)]).toEqual([4, ["2001:db8::5"]]);
});
