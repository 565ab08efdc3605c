import { expect, test } from "bun:test";
import fc from "fast-check";
import { type Cidr, parseCidr } from "../../lib/cidr.ts";
import { formatIpv4, IpAddress, parseIpv4 } from "../../lib/ip.ts";
import { seededRandom } from "../../lib/random.ts";
import {
  BOOT_REPLY,
  DHCP_ACK,
  DHCP_DECLINE,
  DHCP_DISCOVER,
  DHCP_NAK,
  DHCP_OFFER,
  type DhcpMessage,
  dhcpAddresses,
  dhcpBuild,
  dhcpInt32,
  dhcpNumber,
  dhcpParse,
  OPTION_CLASSLESS_ROUTES,
  OPTION_CLIENT_ID,
  OPTION_DNS,
  OPTION_HOSTNAME,
  OPTION_LEASE_TIME,
  OPTION_MESSAGE_TYPE,
  OPTION_MTU,
  OPTION_REQUESTED_ADDRESS,
  OPTION_ROUTER,
  OPTION_SERVER_ID,
  OPTION_SUBNET_MASK,
  OPTION_T1,
  OPTION_T2,
} from "../wire/dhcpv4.ts";
import { DhcpClient } from "./client.ts";

const ip = (text: string): number => parseIpv4(text)!.w3;
const SERVER = ip("203.0.113.1");
const ADDRESS = ip("203.0.113.20");
const MAC = { hi: 0x5254, lo: 0x00ab_cdef };
const NAMES = ["", "discover", "offer", "request", "decline", "ack", "nak", "release"];

const LAN = parseCidr("192.168.50.1/24") as Cidr;

/** A client in a dialogue with a scripted server. */
class DhcpDialogue {
  readonly client = new DhcpClient({ mac: MAC, hostname: "morgana", lan: LAN, random: seededRandom(5) });
  now = 5_000;
  last: DhcpMessage | undefined;

  /** What the client sent since the last call: "discover 255.255.255.255". */
  sent(): string[] {
    const out: string[] = [];
    for (let t = this.client.pollTransmit(); t; t = this.client.pollTransmit()) {
      const m = dhcpParse(t.payload) as DhcpMessage;
      this.last = m;
      out.push(`${NAMES[dhcpNumber(m, OPTION_MESSAGE_TYPE, 1) ?? 0]} ${formatIpv4(m.ciaddr)}>${t.peer.address}`);
    }
    return out;
  }

  events(): string[] {
    const out: string[] = [];
    for (let e = this.client.pollEvent(); e; e = this.client.pollEvent())
      out.push(`${e.kind} ${formatIpv4(e.lease.address)}`);
    return out;
  }

  advance(ms: number): void {
    this.now += ms;
    this.client.handleTimeout(this.now);
  }

  /** Goes to the client's next deadline. */
  tick(): number {
    const before = this.now;
    this.now = Math.max(this.now, this.client.pollAt());
    this.client.handleTimeout(this.now);
    return this.now - before;
  }

  reply(
    type: number,
    more: [number, Uint8Array | undefined][] = [],
    change: Partial<DhcpMessage> = {},
  ): string | undefined {
    const options = new Map<number, Uint8Array>([
      [OPTION_MESSAGE_TYPE, Uint8Array.of(type)],
      [OPTION_SERVER_ID, dhcpInt32(SERVER)],
      [OPTION_SUBNET_MASK, dhcpInt32(ip("255.255.255.0"))],
      [OPTION_ROUTER, dhcpInt32(SERVER)],
      [OPTION_DNS, dhcpInt32(ip("9.9.9.9"))],
      [OPTION_LEASE_TIME, dhcpInt32(1000)],
      [OPTION_T1, dhcpInt32(500)],
      [OPTION_T2, dhcpInt32(875)],
    ]);
    for (const [code, value] of more) {
      if (value) options.set(code, value);
      else options.delete(code);
    }
    const asked = this.last as DhcpMessage;
    const m = { ...asked, op: BOOT_REPLY, yiaddr: type === DHCP_NAK ? 0 : ADDRESS, options, ...change };
    return this.feed(dhcpBuild(m));
  }

  feed(payload: Uint8Array, port = 67): string | undefined {
    return this.client.handle(this.now, { socket: 0, peer: { address: IpAddress.fromIpv4(SERVER), port }, payload });
  }

  bind(more: [number, Uint8Array | undefined][] = []): this {
    this.client.start(this.now);
    this.sent();
    this.reply(DHCP_OFFER, more);
    this.sent();
    this.reply(DHCP_ACK, more);
    return this;
  }
}

test("discover, offer, request, ack: a lease with everything in it (RFC 2131 3.1)", () => {
  const d = new DhcpDialogue();
  d.client.start(d.now);
  expect(d.sent()).toEqual(["discover 0.0.0.0>255.255.255.255"]);
  const discover = d.last as DhcpMessage;
  expect(discover.flags).toBe(0x8000);
  expect(discover.options.get(OPTION_CLIENT_ID)).toEqual(Uint8Array.of(1, 0x52, 0x54, 0, 0xab, 0xcd, 0xef));
  expect(String.fromCharCode(...(discover.options.get(OPTION_HOSTNAME) ?? []))).toBe("morgana");
  expect(d.reply(DHCP_OFFER)).toBeUndefined();
  expect(d.sent()).toEqual(["request 0.0.0.0>255.255.255.255"]);
  const request = d.last as DhcpMessage;
  expect(request.xid).toBe(discover.xid);
  expect(dhcpAddresses(request, OPTION_REQUESTED_ADDRESS)).toEqual([ADDRESS]);
  expect(dhcpAddresses(request, OPTION_SERVER_ID)).toEqual([SERVER]);
  d.now += 300;
  d.reply(DHCP_ACK, [[OPTION_MTU, Uint8Array.of(5, 120)]]);
  expect(d.client.pollEvent()).toEqual({
    kind: "bound",
    lease: {
      address: ADDRESS,
      prefix: 24,
      gateway: SERVER,
      routes: [{ network: 0, prefix: 0, gateway: SERVER }],
      dns: [ip("9.9.9.9")],
      mtu: 1400,
      serverId: SERVER,
      leftOut: [],
      t1: 5_000 + 500_000,
      t2: 5_000 + 875_000,
      expires: 5_000 + 1_000_000,
    },
  });
  expect([d.client.state, d.client.pollAt()]).toEqual(["bound", 505_000]);
});

test("a silent network is asked again after about 1.5 s, then 4, 8 and 16 s, each about a second off (RFC 2131 4.1), for ever", () => {
  const d = new DhcpDialogue();
  d.client.start(d.now);
  d.sent();
  for (const [wait, jitter] of [
    [1500, 500],
    [4000, 1000],
    [8000, 1000],
    [16_000, 1000],
    [16_000, 1000],
    [16_000, 1000],
    [16_000, 1000],
  ] as const) {
    const waited = d.tick();
    expect(Math.abs(waited - wait)).toBeLessThanOrEqual(jitter);
    expect(d.sent()).toEqual(["discover 0.0.0.0>255.255.255.255"]);
  }
  expect(d.last?.secs).toBeGreaterThan(70);
});

test("a request that is not answered is repeated, then the search starts anew", () => {
  const d = new DhcpDialogue();
  d.client.start(d.now);
  d.sent();
  d.reply(DHCP_OFFER);
  const sent = d.sent();
  const since = d.now;
  for (let i = 0; i < 3; i++) {
    d.tick();
    sent.push(...d.sent());
  }
  expect(sent.map((s) => s.split(" ")[0])).toEqual(["request", "request", "request", "discover"]);
  expect(d.now - since).toBeLessThanOrEqual(16_000);
});

test("renewing asks the server alone, rebinding everybody, and the end starts anew (RFC 2131 4.4.5)", () => {
  const d = new DhcpDialogue().bind();
  expect(d.events()).toEqual(["bound 203.0.113.20"]);
  d.tick();
  expect([d.client.state, d.now]).toEqual(["renewing", 505_000]);
  expect(d.sent()).toEqual(["request 203.0.113.20>203.0.113.1"]);
  const renew = d.last as DhcpMessage;
  expect([renew.ciaddr, renew.flags]).toEqual([ADDRESS, 0]);
  expect([renew.options.has(OPTION_SERVER_ID), renew.options.has(OPTION_REQUESTED_ADDRESS)]).toEqual([false, false]);
  d.reply(DHCP_ACK);
  expect(d.events()).toEqual(["renewed 203.0.113.20"]);
  expect(d.client.pollAt()).toBe(505_000 + 500_000);
  // The server is gone now.
  const sent: string[] = [];
  for (let i = 0; i < 40 && d.client.state !== "selecting"; i++) {
    d.tick();
    sent.push(...d.sent().map((s) => `${d.client.state} ${s}`));
  }
  expect(d.now).toBe(505_000 + 1_000_000);
  expect([...new Set(sent)]).toEqual([
    "renewing request 203.0.113.20>203.0.113.1",
    "rebinding request 203.0.113.20>255.255.255.255",
    "selecting discover 0.0.0.0>255.255.255.255",
  ]);
  expect(sent.length).toBeLessThan(16);
  expect(d.events()).toEqual(["expired 203.0.113.20"]);
  expect(dhcpAddresses(d.last as DhcpMessage, OPTION_REQUESTED_ADDRESS)).toEqual([ADDRESS]);
});

test("a lease counts from the first request that its ack can answer, and a request tells the secs of its discover", () => {
  const d = new DhcpDialogue();
  d.client.start(d.now);
  d.sent();
  for (let i = 0; i < 3; i++) d.tick();
  d.sent();
  const secs = d.last?.secs;
  expect(secs).toBeGreaterThan(10);
  d.now += 5000;
  d.reply(DHCP_OFFER);
  const asked = d.now;
  d.tick();
  expect(d.sent()).toHaveLength(2);
  expect(d.last?.secs).toBe(secs);
  d.reply(DHCP_ACK);
  expect(d.client.lease?.expires).toBe(asked + 1_000_000);
});

test("an ack that comes when its own lease has ended gives a lease that ends at once", () => {
  const d = new DhcpDialogue();
  d.client.start(d.now);
  d.sent();
  d.reply(DHCP_OFFER);
  d.sent();
  d.now += 5000;
  d.reply(DHCP_ACK, [[OPTION_LEASE_TIME, dhcpInt32(4)]]);
  expect(d.client.pollAt()).toBeLessThanOrEqual(d.now);
  d.client.handleTimeout(d.now);
  expect(d.events()).toEqual(["bound 203.0.113.20", "expired 203.0.113.20"]);
});

test("another server may answer a rebinding, but not a renewing", () => {
  const d = new DhcpDialogue().bind();
  d.tick();
  d.sent();
  const other: [number, Uint8Array] = [OPTION_SERVER_ID, dhcpInt32(ip("203.0.113.2"))];
  expect(d.reply(DHCP_ACK, [other])).toBe("wrong-server");
  expect(d.reply(DHCP_NAK, [other])).toBe("wrong-server");
  while (d.client.state === "renewing") d.tick();
  d.sent();
  expect(d.reply(DHCP_ACK, [other])).toBeUndefined();
  expect(d.events()).toEqual(["bound 203.0.113.20", "renewed 203.0.113.20"]);
  expect(d.client.lease?.serverId).toBe(ip("203.0.113.2"));
});

test("a renewal with another gateway or resolver is a change", () => {
  const changes: [[number, Uint8Array][], Partial<DhcpMessage>][] = [
    [[[OPTION_ROUTER, dhcpInt32(ip("203.0.113.254"))]], {}],
    [[[OPTION_DNS, dhcpInt32(ip("1.1.1.1"))]], {}],
  ];
  for (const [more, change] of changes) {
    const d = new DhcpDialogue().bind();
    d.events();
    d.tick();
    d.sent();
    d.reply(DHCP_ACK, more, change);
    expect(d.events()[0]?.split(" ")[0]).toBe("changed");
  }
});

test("an ACK that would change the address of a lease is refused and counted: the lease goes on to its end (RFC 2131 4.4.5)", () => {
  const d = new DhcpDialogue().bind();
  d.tick();
  d.sent();
  expect(d.reply(DHCP_ACK, [], { yiaddr: ip("203.0.113.21") })).toBe("other-address");
  expect([d.client.state, d.client.lease?.address]).toEqual(["renewing", ADDRESS]);
  expect(d.reply(DHCP_ACK)).toBeUndefined();
  while (d.client.state !== "rebinding") d.tick();
  d.sent();
  expect(d.reply(DHCP_ACK, [], { yiaddr: ip("203.0.113.21") })).toBe("other-address");
  // And after a flap of the link, when the lease is asked for again.
  d.client.stop();
  d.client.start(d.now);
  d.sent();
  expect(d.reply(DHCP_ACK, [], { yiaddr: ip("203.0.113.21") })).toBe("other-address");
  expect(d.client.drops.snapshot()).toEqual({ "other-address": 3 });
  expect(d.events()).toEqual(["bound 203.0.113.20", "renewed 203.0.113.20"]);
});

test("an address of the LAN's network is refused by name, and so is a gateway of it where there is no other; our own resolver is left out", () => {
  const d = new DhcpDialogue();
  d.client.start(d.now);
  d.sent();
  expect(d.reply(DHCP_OFFER, [], { yiaddr: ip("192.168.50.77") })).toBe("lan-address");
  expect(d.client.trouble).toBe("lan-address");
  const inLan: [number, Uint8Array] = [OPTION_ROUTER, dhcpInt32(ip("192.168.50.1"))];
  expect(d.reply(DHCP_OFFER, [inLan])).toBe("lan-gateway");
  d.reply(DHCP_OFFER);
  d.sent();
  expect(d.client.trouble).toBe("silent");
  const both = (...texts: string[]): Uint8Array => Uint8Array.from(texts.flatMap((text) => [...dhcpInt32(ip(text))]));
  d.reply(DHCP_ACK, [
    [OPTION_ROUTER, both("192.168.50.9", "203.0.113.1", "203.0.113.2")],
    [OPTION_DNS, both("192.168.50.1", "9.9.9.9")],
  ]);
  expect(d.client.trouble).toBeUndefined();
  expect(d.client.lease).toMatchObject({
    gateway: SERVER,
    routes: [{ network: 0, prefix: 0, gateway: SERVER }],
    dns: [ip("9.9.9.9")],
    leftOut: [ip("192.168.50.9"), ip("192.168.50.1")],
  });
  d.tick();
  d.sent();
  expect(d.reply(DHCP_ACK, [inLan])).toBe("lan-gateway");
  expect(d.client.lease?.gateway).toBe(SERVER);
});

test("a nak takes the lease; a server that refuses again and again is asked less and less often", () => {
  const d = new DhcpDialogue().bind();
  d.events();
  d.tick();
  d.sent();
  expect(d.reply(DHCP_NAK)).toBeUndefined();
  expect(d.events()).toEqual(["nak 203.0.113.20"]);
  expect([d.client.state, d.client.lease]).toEqual(["selecting", undefined]);
  expect(d.sent()).toEqual(["discover 0.0.0.0>255.255.255.255"]);
  expect(d.last?.options.has(OPTION_REQUESTED_ADDRESS)).toBe(false);
  const waits: number[] = [];
  for (let i = 0; i < 6; i++) {
    d.reply(DHCP_OFFER);
    d.sent();
    d.reply(DHCP_NAK);
    expect(d.sent()).toEqual([]);
    waits.push(d.tick());
    expect(d.sent()).toHaveLength(1);
  }
  expect(waits).toEqual([1000, 3000, 7000, 15_000, 16_000, 16_000]);
});

test("after a flap of the link the old lease is confirmed first (RFC 2131 3.2)", () => {
  const d = new DhcpDialogue().bind();
  d.events();
  d.client.stop();
  expect([d.client.state, d.client.pollAt(), d.sent()]).toEqual(["stopped", Number.POSITIVE_INFINITY, []]);
  d.client.start(d.now);
  expect([d.client.state, d.sent()]).toEqual(["rebooting", ["request 0.0.0.0>255.255.255.255"]]);
  expect(d.last?.options.has(OPTION_SERVER_ID)).toBe(false);
  expect(d.last?.ciaddr).toBe(0);
  d.reply(DHCP_ACK);
  expect([d.client.state, d.events()]).toEqual(["bound", ["bound 203.0.113.20"]]);
  d.client.stop();
  d.client.start(d.now);
  d.sent();
  const sent: string[] = [];
  for (let i = 0; i < 2; i++) {
    d.tick();
    sent.push(...d.sent());
  }
  expect(sent.map((s) => s.split(" ")[0])).toEqual(["request", "discover"]);
  expect([d.events(), d.client.lease]).toEqual([["expired 203.0.113.20"], undefined]);
});

test("release and decline", () => {
  const d = new DhcpDialogue().bind();
  d.client.release();
  expect([d.client.state, d.sent()]).toEqual(["stopped", ["release 203.0.113.20>203.0.113.1"]]);
  d.client.release();
  expect(d.sent()).toEqual([]);
  d.bind();
  d.client.decline(d.now);
  const declined = d.client.pollTransmit();
  const m = dhcpParse(declined?.payload as Uint8Array) as DhcpMessage;
  expect(dhcpNumber(m, OPTION_MESSAGE_TYPE, 1)).toBe(DHCP_DECLINE);
  expect([dhcpAddresses(m, OPTION_REQUESTED_ADDRESS), dhcpAddresses(m, OPTION_SERVER_ID)]).toEqual([
    [ADDRESS],
    [SERVER],
  ]);
  expect(d.tick()).toBe(10_000);
  expect(d.sent()).toEqual(["discover 0.0.0.0>255.255.255.255"]);
});

test("messages for others, forged or broken are refused by name and change nothing", () => {
  const d = new DhcpDialogue();
  d.client.start(d.now);
  d.sent();
  const asked = d.last as DhcpMessage;
  const bad = dhcpInt32(ip("203.0.113.255"));
  expect([
    d.reply(DHCP_OFFER, [], { xid: asked.xid + 1 }),
    d.reply(DHCP_OFFER, [], { chaddr: { hi: 0x5254, lo: 1 } }),
    d.reply(DHCP_OFFER, [], { op: 1 }),
    d.reply(DHCP_OFFER, [[OPTION_MESSAGE_TYPE, undefined]]),
    d.reply(DHCP_OFFER, [[OPTION_SERVER_ID, undefined]]),
    d.reply(DHCP_OFFER, [], { yiaddr: 0 }),
    d.reply(DHCP_OFFER, [], { yiaddr: -1 }),
    d.reply(DHCP_OFFER, [], { yiaddr: ip("127.0.0.1") }),
    d.reply(DHCP_OFFER, [], { yiaddr: ip("224.0.0.9") }),
    d.reply(DHCP_OFFER, [], { yiaddr: new DataView(bad.buffer).getInt32(0) }),
    d.reply(DHCP_ACK),
    d.reply(DHCP_NAK),
    d.reply(DHCP_DISCOVER),
    d.feed(new Uint8Array(100)),
    d.feed(new Uint8Array(100), 68),
  ]).toEqual([
    "wrong-xid",
    "wrong-client",
    "not-a-reply",
    "no-type",
    "no-server-id",
    "bad-address",
    "bad-address",
    "bad-address",
    "bad-address",
    "bad-address",
    "unexpected",
    "unexpected",
    "unexpected",
    "truncated",
    "wrong-port",
  ]);
  expect([d.client.state, d.sent(), d.events()]).toEqual(["selecting", [], []]);
  d.reply(DHCP_OFFER);
  d.sent();
  expect(d.reply(DHCP_ACK, [[OPTION_SERVER_ID, dhcpInt32(ip("203.0.113.9"))]])).toBe("wrong-server");
  expect(d.reply(DHCP_OFFER)).toBe("unexpected");
  expect(d.client.state).toBe("requesting");
});

test("lease times: none, without end, too short, and renewal times that make no sense", () => {
  const lease = (...more: [number, Uint8Array | undefined][]): number[] => {
    const l = new DhcpDialogue().bind(more).client.lease!;
    return [l.t1, l.t2, l.expires].map((t) => (t - 5000) / 1000);
  };
  const none: [number, undefined][] = [
    [OPTION_T1, undefined],
    [OPTION_T2, undefined],
  ];
  /** T1 and T2 are a half and 7/8 of the lease, or up to 5 % of it earlier (RFC 2131 4.4.5: "with some random fuzz"). */
  const isOurs = ([t1 = 0, t2 = 0, end = 0]: number[], expected: number): boolean =>
    end === expected && t1 >= end * 0.45 && t1 < end * 0.5 && t2 >= end * 0.825 && t2 < end * 0.875;
  expect(isOurs(lease(...none), 1000)).toBe(true);
  expect(isOurs(lease([OPTION_LEASE_TIME, undefined], ...none), 3600)).toBe(true);
  expect(isOurs(lease([OPTION_LEASE_TIME, dhcpInt32(0)]), 4)).toBe(true);
  expect(isOurs(lease([OPTION_T1, dhcpInt32(300)], [OPTION_T2, dhcpInt32(200)]), 1000)).toBe(true);
  expect(isOurs(lease([OPTION_T2, dhcpInt32(2000)]), 1000)).toBe(true);
  const forever = lease([OPTION_LEASE_TIME, dhcpInt32(-1)]);
  expect(forever).toEqual([Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]);
  expect(lease([OPTION_T1, dhcpInt32(100)], [OPTION_T2, dhcpInt32(200)])).toEqual([100, 200, 1000]);
});

test("what is asked for is what has an effect: each requested option changes what the lease says", () => {
  const d = new DhcpDialogue();
  d.client.start(d.now);
  d.sent();
  const asked = [...(d.last?.options.get(55) ?? [])];
  const values = new Map<number, Uint8Array>([
    [OPTION_SUBNET_MASK, dhcpInt32(ip("255.255.0.0"))],
    [OPTION_CLASSLESS_ROUTES, Uint8Array.of(8, 10, 203, 0, 113, 7)],
    [OPTION_ROUTER, dhcpInt32(ip("203.0.113.254"))],
    [OPTION_DNS, dhcpInt32(ip("1.1.1.1"))],
    [OPTION_MTU, Uint8Array.of(5, 120)],
    [OPTION_LEASE_TIME, dhcpInt32(2000)],
    [OPTION_SERVER_ID, dhcpInt32(ip("203.0.113.9"))],
    [OPTION_T1, dhcpInt32(400)],
    [OPTION_T2, dhcpInt32(800)],
  ]);
  expect(asked.sort()).toEqual([...values.keys()].sort());
  const plain = JSON.stringify(new DhcpDialogue().bind().client.lease);
  for (const [code, value] of values)
    expect(`${code} ${JSON.stringify(new DhcpDialogue().bind([[code, value]]).client.lease)}`).not.toBe(
      `${code} ${plain}`,
    );
});

test("after a long sleep a lease that ended is lost at once, one that goes on is renewed, and a search goes on", () => {
  const asleep = (ms: number): [string, string[], string[]] => {
    const d = new DhcpDialogue().bind();
    d.events();
    d.advance(ms);
    return [d.client.state, d.events(), d.sent().map((s) => s.split(" ")[0] as string)];
  };
  expect(asleep(100_000)).toEqual(["bound", [], []]);
  expect(asleep(600_000)).toEqual(["renewing", [], ["request"]]);
  expect(asleep(900_000)).toEqual(["rebinding", [], ["request"]]);
  expect(asleep(40 * 86_400_000)).toEqual(["selecting", ["expired 203.0.113.20"], ["discover"]]);
  const d = new DhcpDialogue();
  d.client.start(d.now);
  d.sent();
  d.advance(40 * 86_400_000);
  expect([d.sent(), d.last?.secs]).toEqual([["discover 0.0.0.0>255.255.255.255"], 65_535]);
  expect(d.client.pollAt() - d.now).toBeLessThanOrEqual(17_000);
});

test("through a relay (giaddr): the server is elsewhere, and is asked directly when the lease is renewed (RFC 2131 4.3.6)", () => {
  const far = ip("192.0.2.53");
  const relay = { giaddr: ip("203.0.113.1") };
  const id: [number, Uint8Array] = [OPTION_SERVER_ID, dhcpInt32(far)];
  const d = new DhcpDialogue();
  d.client.start(d.now);
  d.sent();
  d.reply(DHCP_OFFER, [id], relay);
  expect(d.sent()).toEqual(["request 0.0.0.0>255.255.255.255"]);
  expect(d.last?.giaddr).toBe(0);
  d.reply(DHCP_ACK, [id], relay);
  expect(d.events()).toEqual(["bound 203.0.113.20"]);
  d.tick();
  expect(d.sent()).toEqual(["request 203.0.113.20>192.0.2.53"]);
  d.reply(DHCP_ACK, [id]);
  expect(d.events()).toEqual(["renewed 203.0.113.20"]);
});

test("a server that takes offers back by silence: another one is found within half a minute (RFC 2131 3.1.5)", () => {
  const bad: [number, Uint8Array] = [OPTION_SERVER_ID, dhcpInt32(ip("203.0.113.66"))];
  const d = new DhcpDialogue();
  d.client.start(d.now);
  d.sent();
  d.reply(DHCP_OFFER, [bad]);
  const since = d.now;
  while (d.client.state === "requesting") d.tick();
  d.sent();
  d.reply(DHCP_OFFER);
  d.sent();
  d.reply(DHCP_ACK);
  expect(d.events()).toEqual(["bound 203.0.113.20"]);
  expect(d.now - since).toBeLessThanOrEqual(16_000);
});

test("classless routes replace the router (RFC 3442); odd masks, routers, resolvers and MTUs fall back", () => {
  const lease = (...more: [number, Uint8Array | undefined][]) => new DhcpDialogue().bind(more).client.lease;
  const routed = lease([OPTION_CLASSLESS_ROUTES, Uint8Array.of(8, 10, 203, 0, 113, 7, 0, 203, 0, 113, 8)]);
  expect(routed?.gateway).toBe(ip("203.0.113.8"));
  expect(routed?.routes).toHaveLength(2);
  expect(lease([OPTION_CLASSLESS_ROUTES, Uint8Array.of(8, 10)])?.gateway).toBe(SERVER);
  const odd = lease(
    [OPTION_SUBNET_MASK, dhcpInt32(ip("255.0.255.0"))],
    [OPTION_ROUTER, dhcpInt32(ADDRESS)],
    [OPTION_DNS, Uint8Array.of(0, 0, 0, 0, 9, 9, 9, 9, 255, 255, 255, 255, 9, 9, 9, 9)],
    [OPTION_MTU, Uint8Array.of(0, 68)],
  );
  const edges = lease(
    [OPTION_ROUTER, Uint8Array.of(203, 0, 113, 255, 203, 0, 113, 0, 203, 0, 113, 2)],
    [OPTION_DNS, Uint8Array.of(203, 0, 113, 255, 203, 0, 113, 20, 127, 0, 0, 1, 224, 0, 0, 1, 1, 1, 1, 1)],
  );
  expect(edges).toMatchObject({ gateway: ip("203.0.113.2"), dns: [ip("1.1.1.1")] });
  expect(odd).toMatchObject({
    prefix: 24,
    gateway: undefined,
    routes: [],
    dns: [ip("9.9.9.9")],
    mtu: undefined,
  });
});

test("whatever arrives and however time passes: no throw, no busy loop, no lease after its end", () => {
  const step = fc.oneof(
    fc.record({
      kind: fc.constant("reply" as const),
      type: fc.integer({ min: 0, max: 9 }),
      lease: fc.constantFrom(0, 10, 1000, -1),
    }),
    fc.record({ kind: fc.constant("time" as const), ms: fc.constantFrom(0, 1, 3000, 70_000, 2_000_000) }),
    fc.record({
      kind: fc.constantFrom("start" as const, "down" as const, "release" as const, "decline" as const, "tick" as const),
    }),
    fc.record({ kind: fc.constant("junk" as const), bytes: fc.uint8Array({ maxLength: 300 }) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const d = new DhcpDialogue();
      d.client.start(d.now);
      d.sent();
      for (const s of steps) {
        if (s.kind === "reply") d.reply(s.type, [[OPTION_LEASE_TIME, dhcpInt32(s.lease)]]);
        else if (s.kind === "time") d.advance(s.ms);
        else if (s.kind === "junk") d.feed(s.bytes);
        else if (s.kind === "start") d.client.start(d.now);
        else if (s.kind === "down") d.client.stop();
        else if (s.kind === "release") d.client.release();
        else if (s.kind === "decline") d.client.decline(d.now);
        else if (d.client.pollAt() < Number.POSITIVE_INFINITY) d.tick();
        expect(d.sent().length).toBeLessThanOrEqual(3);
        d.events();
        d.client.handleTimeout(d.now);
        expect(d.client.pollAt()).toBeGreaterThan(d.now);
        if (d.client.state !== "stopped" && d.client.lease) expect(d.client.lease.expires).toBeGreaterThan(d.now);
      }
    }),
  );
});

test("a NAK without a server identifier is none, also where anybody may answer", () => {
  const d = new DhcpDialogue().bind();
  d.events();
  d.client.stop();
  d.client.start(d.now);
  d.sent();
  expect(d.client.state).toBe("rebooting");
  expect(d.reply(DHCP_NAK, [[OPTION_SERVER_ID, undefined]])).toBe("no-server-id");
  expect([d.client.state, d.events()]).toEqual(["rebooting", []]);
  expect(d.reply(DHCP_NAK)).toBeUndefined();
});

test("two machines that start together do not ask together (RFC 2131 4.1)", () => {
  const times = (seed: number): number[] => {
    const client = new DhcpClient({ mac: MAC, random: seededRandom(seed) });
    client.start(0);
    return Array.from({ length: 6 }, () => {
      const at = client.pollAt();
      client.handleTimeout(at);
      return at;
    });
  };
  const [a, b] = [times(1), times(2)];
  expect(a.filter((at, i) => at - (a[i - 1] ?? 0) === (b[i] as number) - (b[i - 1] ?? 0))).toEqual([]);
});
