import { describe, expect, test } from "bun:test";
import { type Cidr, parseCidr } from "../lib/cidr.ts";
import { IpAddress, parseIpv4 } from "../lib/ip.ts";
import { seededRandom } from "../lib/random.ts";
import { arp, Bed, ether, ip, mac, ROUTER_MAC, type Sent, side, udp } from "../netstack/testing/bed.ts";
import {
  BOOT_REPLY,
  DHCP_ACK,
  DHCP_NAK,
  DHCP_OFFER,
  type DhcpMessage,
  dhcpBuild,
  dhcpInt32,
  dhcpNumber,
  dhcpParse,
  OPTION_DNS,
  OPTION_LEASE_TIME,
  OPTION_MESSAGE_TYPE,
  OPTION_MTU,
  OPTION_ROUTER,
  OPTION_SERVER_ID,
  OPTION_SUBNET_MASK,
} from "../netstack/wire/dhcpv4.ts";
import { ETHERTYPE_IPV4 } from "../netstack/wire/ethernet.ts";
import { printFrame } from "../netstack/wire/print.ts";
import { DEFAULT_SETTINGS, type Settings } from "./settings/settings.ts";
import { Uplink } from "./uplink.ts";

const SERVER = "203.0.113.1";
const ADDRESS = "203.0.113.20";
const BROADCAST = "ff:ff:ff:ff:ff:ff";
const NAMES = ["", "discover", "offer", "request", "decline", "ack", "nak", "release"];
const int32 = (text: string): Uint8Array => dhcpInt32(parseIpv4(text)?.w3 ?? 0);

/** An uplink on an interface, and a scripted DHCP server on its link that speaks in frames. */
class Wan {
  readonly bed = new Bed();
  readonly it;
  readonly outlet;
  readonly uplink: Uplink;
  readonly log: string[] = [];
  now = 1000;
  /** What the client said last. */
  last: DhcpMessage | undefined;

  constructor(settings: Partial<Settings["wan"]> = {}) {
    ({ it: this.it, outlet: this.outlet } = side(this.bed, "wan"));
    this.uplink = new Uplink({
      wan: this.it,
      settings: { ...DEFAULT_SETTINGS, hostname: "gate", wan: { ...DEFAULT_SETTINGS.wan, ...settings } },
      slab: this.bed.slab,
      mac: mac(ROUTER_MAC),
      log: {
        enabled: () => true,
        write: (_level, event, message, fields) => void this.log.push(`${event} ${fields?.["address"] ?? message}`),
      },
      random: seededRandom(5),
      events: {
        up: (now, dns) => void this.log.push(`up ${now - 1000} mtu ${this.it.mtu} dns ${dns}`),
        resolvers: (dns) => void this.log.push(`resolvers ${dns}`),
        down: (_now, reason) => void this.log.push(`down ${reason}`),
      },
    });
  }

  /** Frames that left: DHCP as "discover 0.0.0.0>255.255.255.255". */
  sent(): string[] {
    return this.outlet.take().map((s) => this.#read(s));
  }

  /** Lets the time pass, with the timers that fall due. */
  advance(ms: number): string[] {
    const sent: string[] = [];
    const end = this.now + ms;
    for (let at = this.uplink.pollAt(); at <= end; at = this.uplink.pollAt()) {
      this.now = Math.max(this.now, at);
      this.uplink.handleTimeout(this.now);
      sent.push(...this.sent());
    }
    this.now = end;
    return sent;
  }

  /** The server answers what was said last, in a broadcast frame; relayed, to the address itself. */
  reply(type: number, more: [number, Uint8Array][] = [], fields: Partial<DhcpMessage> = {}): string[] {
    const options = new Map<number, Uint8Array>([
      [OPTION_MESSAGE_TYPE, Uint8Array.of(type)],
      [OPTION_SERVER_ID, int32(SERVER)],
      [OPTION_SUBNET_MASK, int32("255.255.255.0")],
      [OPTION_ROUTER, int32(SERVER)],
      [OPTION_DNS, int32("9.9.9.9")],
      [OPTION_LEASE_TIME, dhcpInt32(1000)],
      ...more,
    ]);
    const yiaddr = type === DHCP_NAK ? 0 : ip(ADDRESS);
    const m = { ...(this.last as DhcpMessage), op: BOOT_REPLY, yiaddr, ciaddr: 0, options, ...fields };
    const packet = udp({ src: SERVER, dst: "255.255.255.255" }, 67, 68, dhcpBuild(m));
    this.it.ingest(this.now, this.bed.receive(ether(ETHERTYPE_IPV4, packet, BROADCAST)));
    this.uplink.handleTimeout(this.now);
    return this.sent();
  }

  bind(more: [number, Uint8Array][] = []): this {
    this.uplink.start(this.now);
    this.sent();
    this.reply(DHCP_OFFER, more);
    this.reply(DHCP_ACK, more);
    // The server's MAC becomes known, as it is once it has asked for ours.
    this.it.ingest(this.now, this.bed.receive(arp(1, SERVER, ADDRESS)));
    this.sent();
    return this;
  }

  #read(s: Sent): string {
    const line = printFrame(s.view, 0, s.bytes.length);
    if (s.view.getUint16(12) !== ETHERTYPE_IPV4 || s.view.getUint16(36) !== 67) return line;
    this.last = dhcpParse(s.bytes.slice(42)) as DhcpMessage;
    const [src, dst] = [26, 30].map((at) => IpAddress.fromIpv4(s.view.getInt32(at)));
    return `${NAMES[dhcpNumber(this.last, OPTION_MESSAGE_TYPE, 1) ?? 0]} ${src}>${dst}`;
  }
}

describe("DHCP through the interface", () => {
  test("a lease is taken from frames that are for nobody yet, and its MTU is the WAN's; it is given back at the end", () => {
    const wan = new Wan();
    wan.uplink.start(wan.now);
    expect(wan.sent()).toEqual(["discover 0.0.0.0>255.255.255.255"]);
    const more: [number, Uint8Array][] = [[OPTION_MTU, Uint8Array.of(1400 >> 8, 1400 & 255)]];
    expect(wan.reply(DHCP_OFFER, more)).toEqual(["request 0.0.0.0>255.255.255.255"]);
    expect(wan.reply(DHCP_ACK, more)).toEqual([expect.stringContaining(`who-has ${ADDRESS} tell 0.0.0.0`)]);
    expect(wan.log).toEqual([`wan.configured ${ADDRESS}/24`, "up 0 mtu 1400 dns 9.9.9.9"]);
    wan.it.ingest(wan.now, wan.bed.receive(arp(1, SERVER, ADDRESS)));
    wan.sent();
    wan.uplink.leave(wan.now);
    expect(wan.sent().at(-1)).toBe(`release ${ADDRESS}>${SERVER}`);
    expect(wan.uplink.pollAt()).toBe(Number.POSITIVE_INFINITY);
  });

  test("an MTU that is larger than the device's, or than what must be taken everywhere, changes nothing; [wan] mtu is the most", () => {
    for (const mtu of [9000, 575, 68])
      expect(new Wan().bind([[OPTION_MTU, Uint8Array.of(mtu >> 8, mtu & 255)]]).it.mtu).toBe(1500);
    expect(new Wan().bind([[OPTION_MTU, Uint8Array.of(576 >> 8, 576 & 255)]]).it.mtu).toBe(576);
  });

  test("another MTU with the next renewal is a change that everything above hears of; without a lease it is the device's again", () => {
    const wan = new Wan().bind();
    wan.advance(500_000);
    wan.reply(DHCP_ACK, [[OPTION_MTU, Uint8Array.of(1400 >> 8, 1400 & 255)]]);
    expect(wan.log.at(-1)).toContain("mtu 1400");
    wan.uplink.stop(wan.now, "the WAN link is down");
    expect(wan.it.mtu).toBe(1500);
  });

  test("a NAK to the lease that is asked for again after a flap: the next search comes from nobody's address", () => {
    const wan = new Wan().bind();
    wan.uplink.stop(wan.now, "the WAN link is down");
    wan.uplink.start(wan.now);
    expect(wan.sent().at(-1)).toBe("request 0.0.0.0>255.255.255.255");
    expect(wan.reply(DHCP_NAK)).toEqual(["discover 0.0.0.0>255.255.255.255"]);
    expect(wan.it.configured).toBe(false);
    // Other resolvers are used before they are asked: both leases are one change each.
    wan.reply(DHCP_OFFER);
    wan.reply(DHCP_ACK, [], { yiaddr: ip("203.0.113.21") });
    expect(wan.log.filter((line) => !line.startsWith("wan."))).toEqual([
      "up 0 mtu 1500 dns 9.9.9.9",
      "down the WAN link is down",
      "up 0 mtu 1500 dns 9.9.9.9",
    ]);
    expect(`${wan.it.address}`).toBe("203.0.113.21/24");
  });

  test("a NAK while it is renewed takes the address at once, before the search begins", () => {
    const wan = new Wan().bind();
    wan.advance(500_000);
    expect(wan.reply(DHCP_NAK)).toEqual(["discover 0.0.0.0>255.255.255.255"]);
    expect(wan.log.at(-1)).toBe("down the DHCP server withdrew the address");
  });

  test("another address under load: nothing leaves with the old one once it is gone, and all with the new one", () => {
    const wan = new Wan().bind();
    const socket = wan.it.bindUdp(0, { onDatagram: () => {} })!;
    /** Sources of the datagrams that left of 50. */
    const load = (): string[] => {
      for (let i = 0; i < 50; i++)
        wan.it.sendUdp(wan.now, socket, parseIpv4(SERVER) as IpAddress, 1194, new Uint8Array(900));
      const frames = wan.outlet.take().filter((s) => s.view.getUint16(12) === ETHERTYPE_IPV4);
      return [...new Set(frames.map((s) => `${IpAddress.fromIpv4(s.view.getInt32(26))} ${frames.length}`))];
    };
    expect(load()).toEqual([`${ADDRESS} 50`]);
    wan.advance(500_000);
    expect(load()).toEqual([`${ADDRESS} 50`]);
    expect(wan.reply(DHCP_NAK)).toEqual(["discover 0.0.0.0>255.255.255.255"]);
    expect(load()).toEqual([]);
    expect(wan.it.outDrops.snapshot()).toMatchObject({ NotConfigured: 50 });
    wan.reply(DHCP_OFFER);
    expect(load()).toEqual([]);
    wan.reply(DHCP_ACK, [], { yiaddr: ip("203.0.113.21") });
    wan.it.ingest(wan.now, wan.bed.receive(arp(1, SERVER, "203.0.113.21")));
    wan.sent();
    expect(load()).toEqual(["203.0.113.21 50"]);
    // A renewal that would bring another one at once changes nothing, and is said.
    wan.advance(500_000);
    wan.reply(DHCP_ACK, [], { yiaddr: ip("203.0.113.22") });
    expect(load()).toEqual(["203.0.113.21 50"]);
    expect(wan.log.at(-1)).toMatch(/^dhcp\.refused asked to prolong the lease, a DHCP server gives another address/);
    expect(wan.log.filter((line) => /^(up|down)/.test(line)).map((line) => line.split(" ")[0])).toEqual([
      "up",
      "down",
      "up",
    ]);
  });

  test("other resolvers with the next renewal are told without a new start; the same lease is told to nobody", () => {
    const wan = new Wan().bind();
    wan.log.length = 0;
    wan.advance(500_000);
    wan.reply(DHCP_ACK);
    expect(wan.log).toEqual([]);
    wan.advance(500_000);
    wan.reply(DHCP_ACK, [[OPTION_DNS, int32("1.1.1.1")]]);
    expect(wan.log).toEqual([`wan.configured ${ADDRESS}/24`, "resolvers 1.1.1.1"]);
  });

  test("without an address after 10 s it is said whether a server answers, and what is the matter with its offer", () => {
    const said = (answer: (wan: Wan) => void): string | undefined => {
      const wan = new Wan();
      wan.uplink.start(wan.now);
      wan.sent();
      answer(wan);
      wan.advance(11_000);
      return wan.log.filter((line) => line.startsWith("wan.waiting")).join();
    };
    expect(said(() => {})).toMatch(/no DHCP server answers/);
    expect(said((wan) => wan.reply(DHCP_OFFER, [[OPTION_SERVER_ID, int32("0.0.0.0")]]))).toMatch(
      /a DHCP server answers on the WAN, but its offer does not say whose it is/,
    );
    expect(said((wan) => wan.reply(DHCP_OFFER, [], { yiaddr: ip("192.168.50.7") }))).toMatch(
      /but the address that it offers is of the LAN's network/,
    );
    expect(
      said((wan) => {
        wan.reply(DHCP_OFFER);
        wan.reply(DHCP_NAK);
      }),
    ).toMatch(/but it refuses \(DHCPNAK\)/);
    expect(said((wan) => wan.reply(DHCP_NAK))).toMatch(/but it refuses \(DHCPNAK\)/);
    expect(said((wan) => wan.reply(DHCP_OFFER))).toMatch(/but after its offer it says nothing more/);
  });

  test("a resolver that is our own LAN address is left out, with a warning", () => {
    const wan = new Wan().bind([[OPTION_DNS, int32("192.168.50.1")]]);
    expect(wan.log).toContainEqual(expect.stringMatching(/^wan\.left-out the DHCP server names 192\.168\.50\.1 as/));
    expect(wan.log).toContain("up 0 mtu 1500 dns ");
  });

  test("after a server that is silent, and one whose offers lead nowhere, a good one is heard within 17 s", () => {
    const wan = new Wan();
    wan.uplink.start(wan.now);
    wan.sent();
    wan.advance(300_000);
    wan.reply(DHCP_OFFER, [[OPTION_SERVER_ID, int32("203.0.113.66")]]);
    let silent = 0;
    while (!wan.advance(1000).some((line) => line.startsWith("discover"))) silent++;
    expect(silent).toBeLessThanOrEqual(17);
    wan.reply(DHCP_OFFER);
    wan.reply(DHCP_ACK);
    expect(wan.it.configured).toBe(true);
  });

  test("a server that changes the lease at each renewal makes little noise, and is heard again 15 s later", () => {
    const wan = new Wan();
    const short: [number, Uint8Array][] = [[OPTION_LEASE_TIME, dhcpInt32(4)]];
    wan.bind(short);
    const since = wan.now;
    for (let i = 0; wan.now < since + 600_000; i++) {
      wan.advance(500);
      if (wan.last === undefined) continue;
      const type = dhcpNumber(wan.last, OPTION_MESSAGE_TYPE, 1);
      const fields = { yiaddr: ip(`203.0.113.${20 + (i % 100)}`) };
      wan.last = { ...wan.last };
      if (type === 1) wan.reply(DHCP_OFFER, short, fields);
      wan.reply(DHCP_ACK, short, fields);
    }
    const perMinute = wan.log.filter((line) => /^(up|down|wan)/.test(line)).length / 10;
    expect(perMinute).toBeLessThan(25);
    // The server has come to its senses.
    wan.uplink.stop(wan.now, "quiet");
    wan.uplink.start(wan.now);
    const from = wan.now;
    wan.sent();
    while (!wan.it.configured && wan.now < from + 60_000) {
      wan.reply(DHCP_OFFER);
      wan.reply(DHCP_ACK);
      wan.advance(500);
    }
    expect(wan.now - from).toBeLessThanOrEqual(17_000);
  });
});

test("a static WAN with a gateway outside of its own /32 speaks to that gateway on the link", () => {
  const wan = new Wan({ address: parseCidr("203.0.113.60/32") as Cidr, gateway: parseIpv4("198.51.100.254") });
  wan.uplink.start(wan.now);
  wan.sent();
  const socket = wan.it.bindUdp(0, { onDatagram: () => {} })!;
  wan.it.sendUdp(wan.now, socket, parseIpv4("192.0.2.1") as IpAddress, 1194, new Uint8Array(4));
  expect(wan.sent()).toEqual([expect.stringContaining("who-has 198.51.100.254 tell 203.0.113.60")]);
});

test("a WAN whose settings have a problem stays without an address, and asks nobody", () => {
  const wan = new Wan({ address: "none" });
  wan.uplink.start(wan.now);
  expect([wan.sent(), wan.advance(60_000), wan.log, wan.it.configured]).toEqual([[], [], [], false]);
});

describe("an address that another host has", () => {
  const OTHER = "203.0.113.21";
  const THIEF = "02:00:00:00:00:66";
  /** A host says by ARP that an address is its own. */
  const claim = (wan: Wan, address: string): string[] => {
    wan.it.ingest(wan.now, wan.bed.receive(arp(1, address, address, THIEF)));
    wan.uplink.handleTimeout(wan.now);
    return wan.sent();
  };

  test("is declined within 2 s of the lease (RFC 5227); later the conflict is named, and the lease stays", () => {
    const soon = new Wan().bind();
    soon.advance(1999);
    expect(claim(soon, ADDRESS)).toContain("decline 0.0.0.0>255.255.255.255");
    expect([soon.it.configured, soon.log.at(-1)]).toEqual([
      false,
      `down another host (${THIEF}) uses our WAN address ${ADDRESS}; the DHCP server is asked for another one`,
    ]);
    const late = new Wan().bind();
    late.advance(2000);
    expect(claim(late, ADDRESS)).not.toContain("decline 0.0.0.0>255.255.255.255");
    expect([late.it.configured, late.log.at(-1)]).toEqual([true, expect.stringMatching(/^wan\.conflict another host/)]);
  });

  test("of a host that has the next one too is kept: it claims them all", () => {
    const wan = new Wan().bind();
    claim(wan, ADDRESS);
    while (!wan.advance(1000).some((line) => line.startsWith("discover")));
    wan.reply(DHCP_OFFER, [], { yiaddr: ip(OTHER) });
    wan.reply(DHCP_ACK, [], { yiaddr: ip(OTHER) });
    expect(`${wan.it.address}`).toBe(`${OTHER}/24`);
    claim(wan, OTHER);
    expect([wan.it.configured, wan.log.at(-1)]).toEqual([true, expect.stringMatching(/^wan\.conflict another host/)]);
  });
});

test("a lease that changes too often is let alone for 15 s; a link that goes meanwhile ends that", () => {
  const restless = (): Wan => {
    const wan = new Wan().bind();
    for (let i = 1; wan.it.configured; i++) {
      wan.uplink.stop(wan.now, "a flap");
      wan.uplink.start(wan.now);
      wan.sent();
      wan.reply(DHCP_NAK);
      wan.reply(DHCP_OFFER, [], { yiaddr: ip(`203.0.113.${20 + i}`) });
      wan.reply(DHCP_ACK, [], { yiaddr: ip(`203.0.113.${20 + i}`) });
    }
    return wan;
  };
  const wan = restless();
  const at = wan.now;
  expect([wan.log.at(-1), wan.uplink.pollAt() - at]).toEqual([expect.stringMatching(/^wan\.restless/), 10_000]);
  expect(wan.advance(14_999)).toEqual([]);
  expect(wan.advance(1)).toEqual(["request 0.0.0.0>255.255.255.255"]);
  const gone = restless();
  gone.uplink.stop(gone.now, "the WAN link is down");
  expect(gone.advance(60_000)).toEqual([]);
});
