import { expect, test } from "bun:test";
import fc from "fast-check";
import { parseCidr } from "../../lib/cidr.ts";
import { formatIpv4, IpAddress, parseIpv4 } from "../../lib/ip.ts";
import { formatMac, type Mac } from "../../lib/mac.ts";
import { seededRandom } from "../../lib/random.ts";
import {
  BOOT_REPLY,
  BOOT_REQUEST,
  DHCP_ACK,
  DHCP_DECLINE,
  DHCP_DISCOVER,
  DHCP_FLAG_BROADCAST,
  DHCP_INFORM,
  DHCP_NAK,
  DHCP_OFFER,
  DHCP_RELEASE,
  DHCP_REQUEST,
  type DhcpMessage,
  dhcpAddresses,
  dhcpBuild,
  dhcpInt32,
  dhcpNumber,
  dhcpParse,
  OPTION_BROADCAST,
  OPTION_CLIENT_ID,
  OPTION_DNS,
  OPTION_DOMAIN,
  OPTION_HOSTNAME,
  OPTION_LEASE_TIME,
  OPTION_MAX_MESSAGE,
  OPTION_MESSAGE,
  OPTION_MESSAGE_TYPE,
  OPTION_MTU,
  OPTION_PARAMETER_LIST,
  OPTION_REQUESTED_ADDRESS,
  OPTION_ROUTER,
  OPTION_SERVER_ID,
  OPTION_SUBNET_MASK,
  OPTION_T1,
  OPTION_T2,
} from "../wire/dhcpv4.ts";
import { hostNameOf } from "./host-name.ts";
import type { LanFacts } from "./reply.ts";
import { DhcpServer, type DhcpServerOptions } from "./server.ts";

const ip = (text: string): number => parseIpv4(text)!.w3;
const OWN = ip("192.168.50.1");
const OWN_MAC = { hi: 0x5254, lo: 1 };
const mac = (n: number): Mac => ({ hi: 0x5254, lo: 0x0a00_0000 + n });
const NAMES = ["", "discover", "offer", "request", "decline", "ack", "nak", "release", "inform"];

/** What a scripted host on the LAN says beside its address and options. */
interface Fields {
  readonly ciaddr?: string;
  readonly flags?: number;
  readonly giaddr?: number;
  readonly chaddr?: Mac;
  readonly op?: number;
  readonly xid?: number;
  /** Sender of the datagram; default ciaddr. */
  readonly from?: string;
}

type Option = [code: number, value: Uint8Array];

const want = (address: string): Option => [OPTION_REQUESTED_ADDRESS, dhcpInt32(ip(address))];
const server = (address = "192.168.50.1"): Option => [OPTION_SERVER_ID, dhcpInt32(ip(address))];
const text = (code: number, value: string): Option => [code, new TextEncoder().encode(value)];

/** The server in a dialogue with scripted hosts; time is virtual. */
class LanDialogue {
  readonly server: DhcpServer;
  facts: LanFacts = { dns: [], domain: undefined, mtu: undefined };
  now = 10_000;
  last: DhcpMessage | undefined;
  lastMac: string | undefined;

  constructor(changes: Partial<DhcpServerOptions> = {}) {
    this.server = new DhcpServer({
      mac: OWN_MAC,
      lan: parseCidr("192.168.50.1/24")!,
      hostname: "Morgana",
      first: ip("192.168.50.100"),
      last: ip("192.168.50.103"),
      leaseSeconds: 3600,
      reservations: [],
      facts: () => this.facts,
      random: seededRandom(7),
      ...changes,
    });
  }

  /** Past the search for another server. */
  serving(): this {
    this.server.start(this.now);
    this.advance(4000);
    this.sent();
    this.events();
    expect(this.server.state).toBe("serving");
    return this;
  }

  advance(ms: number): void {
    const end = this.now + ms;
    while (this.server.pollAt() <= end) {
      this.now = Math.max(this.now, this.server.pollAt());
      this.server.handleTimeout(this.now);
    }
    this.now = end;
    this.server.handleTimeout(this.now);
  }

  /** A message of host `n`; why it was ignored. */
  say(n: number, type: number, options: readonly Option[] = [], fields: Fields = {}): string | undefined {
    const ciaddr = fields.ciaddr ?? "0.0.0.0";
    const m: DhcpMessage = {
      op: fields.op ?? BOOT_REQUEST,
      xid: fields.xid ?? n + 1000,
      secs: 0,
      flags: fields.flags ?? 0,
      ciaddr: ip(ciaddr),
      yiaddr: 0,
      siaddr: 0,
      giaddr: fields.giaddr ?? 0,
      chaddr: fields.chaddr ?? mac(n),
      options: new Map(type === 0 ? options : [[OPTION_MESSAGE_TYPE, Uint8Array.of(type)], ...options]),
    };
    return this.feed(dhcpBuild(m), fields.from ?? ciaddr);
  }

  feed(payload: Uint8Array, from = "0.0.0.0", socket = 0): string | undefined {
    return this.server.handle(this.now, { socket, peer: { address: parseIpv4(from)!, port: 68 }, payload });
  }

  /** What the server sent since the last call: "offer 192.168.50.100>192.168.50.100 mac". */
  sent(): string[] {
    const out: string[] = [];
    for (let t = this.server.pollTransmit(); t; t = this.server.pollTransmit()) {
      const m = dhcpParse(t.payload) as DhcpMessage;
      this.last = m;
      this.lastMac = t.mac && formatMac(t.mac);
      const kind = NAMES[dhcpNumber(m, OPTION_MESSAGE_TYPE, 1) ?? 0];
      out.push(`${kind} ${formatIpv4(m.yiaddr)}>${t.peer.address}${t.mac === undefined ? "" : " mac"}`);
    }
    return out;
  }

  probes(): string[] {
    const out: string[] = [];
    for (let a = this.server.pollProbe(); a !== undefined; a = this.server.pollProbe()) out.push(formatIpv4(a));
    return out;
  }

  events(): string[] {
    const out: string[] = [];
    for (let e = this.server.pollEvent(); e; e = this.server.pollEvent()) {
      if ("lease" in e) out.push(`${e.kind} ${formatIpv4(e.lease.address)} ${e.lease.name ?? "-"}`);
      else if ("server" in e) out.push(`${e.kind} ${e.server}`);
      else if ("address" in e) out.push(`${e.kind} ${e.address} ${formatMac(e.mac)}`);
      else out.push(e.kind);
    }
    return out;
  }

  /** By ARP: who has an address. */
  hears(address: string, from: Mac): boolean {
    return this.server.heard(this.now, ip(address), from.hi, from.lo);
  }

  /** DISCOVER to the offered address, "" for none. */
  offered(n: number, options: readonly Option[] = []): string {
    this.sent();
    this.say(n, DHCP_DISCOVER, options);
    this.advance(500);
    return /^offer (\S+)>/.exec(this.sent()[0] ?? "")?.[1] ?? "";
  }

  /** DISCOVER to ACK: the leased address, "" for none. */
  lease(n: number, options: readonly Option[] = []): string {
    const address = this.offered(n, options);
    if (address === "") return "";
    this.say(n, DHCP_REQUEST, [want(address), server(), ...options]);
    return /^ack (\S+)>/.exec(this.sent()[0] ?? "")?.[1] ?? "";
  }

  codes(): number[] {
    return [...(this.last?.options.keys() ?? [])];
  }
}

// --- the search for another server ---

test("it looks for another server first: three questions, then silence decides, and meanwhile nobody is served", () => {
  const d = new LanDialogue();
  d.server.start(d.now);
  expect([...d.server.sockets.values()]).toEqual([67, 68]);
  expect(d.sent()).toEqual(["discover 0.0.0.0>255.255.255.255"]);
  expect(d.last?.chaddr).toEqual(OWN_MAC);
  expect(d.say(1, DHCP_DISCOVER)).toBe("looking");
  d.advance(3100);
  expect(d.sent()).toHaveLength(2);
  expect(d.server.state).toBe("looking");
  d.advance(200);
  expect([d.server.state, d.events(), d.sent()]).toEqual(["serving", ["serving"], []]);
  expect([...d.server.sockets.values()]).toEqual([67]);
  expect(d.offered(1)).not.toBe("");
});

/** An offer of another server to the question that was sent last. */
function rivalOffer(
  d: LanDialogue,
  change: Partial<DhcpMessage> = {},
  type = DHCP_OFFER,
  id = "192.168.50.254",
): string | undefined {
  const options = new Map<number, Uint8Array>([[OPTION_MESSAGE_TYPE, Uint8Array.of(type)], server(id)]);
  const m = { ...d.last!, op: BOOT_REPLY, yiaddr: ip("192.168.50.77"), options, ...change };
  return d.feed(dhcpBuild(m), "192.168.50.254", 1);
}

test("where another server answers it stays off, names it, and looks again every minute until it is gone", () => {
  const d = new LanDialogue();
  d.server.start(d.now);
  d.sent();
  expect(rivalOffer(d, { xid: 5 })).toBe("not-an-answer");
  expect(rivalOffer(d, { chaddr: mac(1) })).toBe("not-an-answer");
  expect(rivalOffer(d, { op: BOOT_REQUEST })).toBe("not-an-answer");
  expect(rivalOffer(d, {}, DHCP_ACK)).toBe("not-an-answer");
  expect(d.server.state).toBe("looking");
  expect(rivalOffer(d)).toBeUndefined();
  expect([d.server.state, d.events()]).toEqual(["off", ["off 192.168.50.254"]]);
  expect(d.say(1, DHCP_DISCOVER)).toBe("off");
  d.advance(59_000);
  expect([d.sent(), [...d.server.sockets.values()]]).toEqual([[], [67]]);
  d.advance(2000);
  expect(d.sent()).toHaveLength(2);
  rivalOffer(d);
  expect([d.server.state, d.events()]).toEqual(["off", ["off 192.168.50.254"]]);
  d.advance(70_000);
  expect([d.server.state, d.events()]).toEqual(["serving", ["serving"]]);
});

test("while it serves it looks every ten minutes; who answers then is named, and turns nothing off", () => {
  const d = new LanDialogue().serving();
  d.advance(595_000);
  expect(d.sent()).toEqual([]);
  d.advance(6000);
  expect(d.sent()).toHaveLength(3);
  rivalOffer(d);
  expect([d.server.state, d.events()]).toEqual(["serving", ["rival 192.168.50.254"]]);
  d.advance(600_001);
  expect(d.sent().length).toBeGreaterThan(0);
});

test("when the link comes back it looks before it serves, and the leases are as they were", () => {
  const d = new LanDialogue().serving();
  const address = d.lease(1);
  d.server.start(d.now);
  expect([d.server.state, d.say(2, DHCP_DISCOVER)]).toEqual(["looking", "looking"]);
  d.sent();
  rivalOffer(d);
  expect(d.server.state).toBe("off");
  d.advance(70_000);
  d.sent();
  d.say(1, DHCP_REQUEST, [], { ciaddr: address });
  expect(d.sent()).toEqual([`ack ${address}>${address} mac`]);
});

test("a stranger's offer is heard only while it looks", () => {
  const d = new LanDialogue();
  d.server.start(d.now);
  d.sent();
  d.advance(4000);
  expect(rivalOffer(d)).toBe("not-an-answer");
  expect(d.server.state).toBe("serving");
});

// --- discover, offer, request, ack ---

test("discover, offer, request, ack: to the MAC, without ARP, with what was asked for (RFC 2131 3.1, 4.1)", () => {
  const d = new LanDialogue().serving();
  d.say(1, DHCP_DISCOVER);
  expect(d.sent()).toEqual([]);
  const [address] = d.probes() as [string];
  d.advance(250);
  expect(d.probes()).toEqual([address]);
  d.advance(249);
  expect(d.sent()).toEqual([]);
  d.advance(1);
  expect(d.sent()).toEqual([`offer ${address}>${address} mac`]);
  expect(d.lastMac).toBe(formatMac(mac(1)));
  expect(d.last).toMatchObject({ op: BOOT_REPLY, xid: 1001, ciaddr: 0, siaddr: 0, giaddr: 0, chaddr: mac(1) });
  expect(dhcpAddresses(d.last!, OPTION_SERVER_ID)).toEqual([OWN]);
  expect(d.say(1, DHCP_REQUEST, [want(address), server(), text(OPTION_HOSTNAME, "Alpha")])).toBeUndefined();
  expect(d.sent()).toEqual([`ack ${address}>${address} mac`]);
  const told = (code: number, bytes: 1 | 2 | 4): number | undefined => dhcpNumber(d.last!, code, bytes);
  expect([told(OPTION_LEASE_TIME, 4), told(OPTION_T1, 4), told(OPTION_T2, 4)]).toEqual([3600, 1800, 3150]);
  expect(dhcpAddresses(d.last!, OPTION_SUBNET_MASK)).toEqual([ip("255.255.255.0")]);
  expect(dhcpAddresses(d.last!, OPTION_ROUTER)).toEqual([OWN]);
  expect(dhcpAddresses(d.last!, OPTION_BROADCAST)).toEqual([ip("192.168.50.255")]);
  expect(d.events()).toEqual([`leased ${address} alpha`]);
  expect(d.server.names.addressesOf("alpha").map(String)).toEqual([address]);
  expect(d.server.use).toEqual({ leases: 1, offers: 0, setAside: 0 });
});

test("who wants a broadcast gets one; a repeated question the same offer, at once", () => {
  const d = new LanDialogue().serving();
  d.say(1, DHCP_DISCOVER, [], { flags: DHCP_FLAG_BROADCAST });
  d.advance(200);
  d.say(1, DHCP_DISCOVER, [], { flags: DHCP_FLAG_BROADCAST, xid: 77 });
  d.advance(300);
  const [offer] = d.sent() as [string];
  expect(offer).toMatch(/^offer (\S+)>255\.255\.255\.255$/);
  // The latest question is the one that is answered.
  expect([d.last?.xid, d.last?.flags]).toEqual([77, DHCP_FLAG_BROADCAST]);
  d.probes();
  d.say(1, DHCP_DISCOVER, [], { flags: DHCP_FLAG_BROADCAST });
  expect([d.sent(), d.probes()]).toEqual([[offer], []]);
});

test("the client identifier comes back unaltered, in every reply (RFC 6842)", () => {
  const d = new LanDialogue().serving();
  for (const id of [Uint8Array.of(255, 1, 2, 3), Uint8Array.of(9), new Uint8Array(0)]) {
    const address = d.offered(1, [[OPTION_CLIENT_ID, id]]);
    expect(d.last?.options.get(OPTION_CLIENT_ID)).toEqual(id);
    d.say(1, DHCP_REQUEST, [want(address), server(), [OPTION_CLIENT_ID, id]]);
    d.sent();
    expect(d.last?.options.get(OPTION_CLIENT_ID)).toEqual(id);
    d.say(1, DHCP_REQUEST, [want("10.0.0.1"), [OPTION_CLIENT_ID, id]]);
    expect(d.sent()).toEqual(["nak 0.0.0.0>255.255.255.255"]);
    expect(d.last?.options.get(OPTION_CLIENT_ID)).toEqual(id);
  }
  d.offered(2);
  expect(d.last?.options.has(OPTION_CLIENT_ID)).toBe(false);
});

test("parameters come in the order asked for, only those, the mask before the router (RFC 2132 3.3, 9.8)", () => {
  const d = new LanDialogue().serving();
  d.facts = { dns: [OWN, ip("192.168.50.2")], domain: "lan", mtu: 1400 };
  const list = Uint8Array.of(OPTION_MTU, OPTION_ROUTER, 44, OPTION_DOMAIN, OPTION_SUBNET_MASK, OPTION_DNS);
  d.offered(1, [[OPTION_PARAMETER_LIST, list]]);
  expect(d.codes()).toEqual([
    OPTION_MESSAGE_TYPE,
    OPTION_SERVER_ID,
    OPTION_LEASE_TIME,
    OPTION_SUBNET_MASK,
    OPTION_MTU,
    OPTION_ROUTER,
    OPTION_DOMAIN,
    OPTION_DNS,
  ]);
  expect(dhcpNumber(d.last!, OPTION_MTU, 2)).toBe(1400);
  expect(dhcpAddresses(d.last!, OPTION_DNS)).toEqual([OWN, ip("192.168.50.2")]);
  expect(new TextDecoder().decode(d.last!.options.get(OPTION_DOMAIN))).toBe("lan");
  // The facts are those of now.
  d.facts = { dns: [], domain: undefined, mtu: 900 };
  d.offered(2, [[OPTION_PARAMETER_LIST, list]]);
  expect([d.last?.options.has(OPTION_DNS), d.last?.options.has(OPTION_DOMAIN)]).toEqual([false, false]);
  expect(dhcpNumber(d.last!, OPTION_MTU, 2)).toBe(1280);
  d.facts = { dns: [], domain: undefined, mtu: undefined };
  d.offered(3);
  expect(d.last?.options.has(OPTION_MTU)).toBe(false);
});

test("no reply is longer than what the client takes, 576 bytes with headers unless it says more (RFC 2131 2)", () => {
  const d = new LanDialogue().serving();
  d.facts = { dns: [OWN], domain: "d".repeat(250), mtu: undefined };
  const id: Option = [OPTION_CLIENT_ID, new Uint8Array(200).fill(9)];
  const sizes = [[], [OPTION_MAX_MESSAGE, Uint8Array.of(1, 0)], [OPTION_MAX_MESSAGE, Uint8Array.of(5, 220)]].map(
    (more) => {
      d.say(1, DHCP_DISCOVER, more.length === 0 ? [id] : [id, more as Option]);
      d.advance(500);
      const t = d.server.pollTransmit()!;
      return [t.payload.length + 28 <= 576, (dhcpParse(t.payload) as DhcpMessage).options.has(OPTION_DOMAIN)];
    },
  );
  expect(sizes).toEqual([
    [true, false],
    [true, false],
    [false, true],
  ]);
});

test("a client that takes another server's offer frees ours (RFC 2131 3.1.4)", () => {
  const d = new LanDialogue().serving();
  const address = d.offered(1);
  expect(d.say(1, DHCP_REQUEST, [want("192.168.50.9"), server("192.168.50.254")])).toBe("other-server");
  expect([d.sent(), d.server.use.offers]).toEqual([[], 0]);
  expect(address).not.toBe("");
  // A lease is not given up by that: the other server may refuse it.
  const leased = d.lease(2);
  d.say(2, DHCP_REQUEST, [want("192.168.50.9"), server("192.168.50.254")]);
  expect([d.server.use.leases, leased !== ""]).toEqual([1, true]);
});

test("a request that names no address, and one in SELECTING for what cannot be had", () => {
  const d = new LanDialogue().serving();
  expect(d.say(1, DHCP_REQUEST, [server()])).toBe("no-address");
  expect(d.say(1, DHCP_REQUEST)).toBe("no-address");
  const taken = d.lease(2);
  d.offered(1);
  d.say(1, DHCP_REQUEST, [want(taken), server()]);
  expect(d.sent()).toEqual(["nak 0.0.0.0>255.255.255.255"]);
  expect(d.last?.options.has(OPTION_LEASE_TIME)).toBe(false);
  expect(d.codes().slice(0, 2)).toEqual([OPTION_MESSAGE_TYPE, OPTION_SERVER_ID]);
});

// --- keeping a lease ---

test("renewing is answered to the client's address, rebinding too, without asking around (RFC 2131 4.3.2)", () => {
  const d = new LanDialogue().serving();
  const address = d.lease(1);
  d.events();
  d.probes();
  d.advance(1_800_000);
  d.sent();
  d.say(1, DHCP_REQUEST, [], { ciaddr: address });
  expect([d.sent(), d.events(), d.probes()]).toEqual([[`ack ${address}>${address} mac`], [`renewed ${address} -`], []]);
  expect(d.last?.ciaddr).toBe(ip(address));
  d.advance(3_500_000);
  expect(d.server.use.leases).toBe(1);
  d.advance(200_000);
  expect(d.server.use.leases).toBe(0);
});

test("rebooting with the right address: ack; with another one of this network or of another network: nak", () => {
  const d = new LanDialogue().serving();
  const address = d.lease(1);
  d.say(1, DHCP_REQUEST, [want(address)]);
  expect(d.sent()).toEqual([`ack ${address}>${address} mac`]);
  const other = address === "192.168.50.100" ? "192.168.50.101" : "192.168.50.100";
  for (const wrong of [other, "192.168.50.7", "192.168.50.1", "192.168.50.255", "10.0.0.9"]) {
    d.say(1, DHCP_REQUEST, [want(wrong)]);
    expect(d.sent()).toEqual(["nak 0.0.0.0>255.255.255.255"]);
    const why = wrong.startsWith("192.168.50.") ? "not an address for this client" : "not an address of this network";
    expect(new TextDecoder().decode(d.last?.options.get(OPTION_MESSAGE))).toBe(why);
  }
  d.say(9, DHCP_REQUEST, [want(address)]);
  expect(d.sent()).toEqual(["nak 0.0.0.0>255.255.255.255"]);
  d.say(9, DHCP_REQUEST, [], { ciaddr: address });
  expect(d.sent()).toEqual(["nak 0.0.0.0>255.255.255.255"]);
});

test("our restart forgets the leases: who renews keeps a free address at once, who reboots after nobody else answered for it", () => {
  const d = new LanDialogue().serving();
  d.say(1, DHCP_REQUEST, [], { ciaddr: "192.168.50.102" });
  expect([d.sent(), d.probes()]).toEqual([["ack 192.168.50.102>192.168.50.102 mac"], []]);
  d.say(2, DHCP_REQUEST, [want("192.168.50.101")]);
  expect([d.sent(), d.probes()]).toEqual([[], ["192.168.50.101"]]);
  d.advance(500);
  expect(d.sent()).toEqual(["ack 192.168.50.101>192.168.50.101 mac"]);
  d.say(3, DHCP_REQUEST, [want("192.168.50.103")]);
  d.advance(100);
  expect(d.hears("192.168.50.103", mac(4))).toBe(true);
  expect(d.sent()).toEqual(["nak 0.0.0.0>255.255.255.255"]);
  expect(d.server.use).toEqual({ leases: 2, offers: 0, setAside: 1 });
  // Repeated while everybody is asked: answered once.
  d.say(4, DHCP_REQUEST, [want("192.168.50.100")]);
  d.advance(100);
  d.say(4, DHCP_REQUEST, [want("192.168.50.100")], { xid: 9 });
  d.advance(400);
  expect([d.sent(), d.last?.xid]).toEqual([["ack 192.168.50.100>192.168.50.100 mac"], 9]);
});

test("a reservation: that MAC gets its address, others do not, and an old address of the pool is refused", () => {
  const reservations = [{ mac: mac(1), address: ip("192.168.50.10") }];
  const d = new LanDialogue({ reservations }).serving();
  expect(d.offered(2, [want("192.168.50.10")])).not.toBe("192.168.50.10");
  d.say(1, DHCP_REQUEST, [want("192.168.50.100")]);
  expect(d.sent()).toEqual(["nak 0.0.0.0>255.255.255.255"]);
  expect(d.lease(1)).toBe("192.168.50.10");
});

// --- conflicts ---

test("who has the address that is to be offered is named, and another address is offered", () => {
  const d = new LanDialogue().serving();
  d.say(1, DHCP_DISCOVER);
  const [taken] = d.probes() as [string];
  expect(d.hears("192.168.50.2", mac(9))).toBe(false);
  expect(d.hears(taken, mac(9))).toBe(true);
  expect(d.events()).toEqual([`conflict ${taken} ${formatMac(mac(9))}`]);
  const [next] = d.probes() as [string];
  expect(next).not.toBe(taken);
  d.advance(500);
  expect(d.sent()).toEqual([`offer ${next}>${next} mac`]);
  expect(d.server.use.setAside).toBe(1);
  d.advance(600_000);
  expect(d.server.use.setAside).toBe(0);
});

test("a client that has the address already is no conflict", () => {
  const d = new LanDialogue().serving();
  d.say(1, DHCP_DISCOVER);
  const [address] = d.probes() as [string];
  expect(d.hears(address, mac(1))).toBe(false);
  d.advance(500);
  expect(d.sent()).toEqual([`offer ${address}>${address} mac`]);
});

test("where somebody answers for every address, it ends", () => {
  const d = new LanDialogue().serving();
  d.say(1, DHCP_DISCOVER);
  let asked = 0;
  for (let probes = d.probes(); probes.length > 0 && asked < 100; probes = d.probes()) {
    asked += probes.length;
    for (const address of probes) d.hears(address, mac(9));
  }
  expect(asked).toBe(5);
  d.advance(1000);
  expect([d.sent(), d.server.pollAt() > d.now]).toEqual([[], true]);
});

test("a declined address is set aside, and nobody can decline another's (RFC 2131 4.3.3)", () => {
  const d = new LanDialogue().serving();
  const address = d.lease(1);
  expect(d.say(2, DHCP_DECLINE, [want(address), server()])).toBe("not-its");
  expect(d.say(1, DHCP_DECLINE, [want("192.168.50.1"), server()])).toBe("not-its");
  expect(d.say(1, DHCP_DECLINE, [want(address), server("192.168.50.254")])).toBe("other-server");
  d.events();
  expect(d.say(1, DHCP_DECLINE, [want(address), server()])).toBeUndefined();
  expect(d.events()).toEqual([`declined ${address} ${formatMac(mac(1))}`]);
  expect(d.server.use).toEqual({ leases: 0, offers: 0, setAside: 1 });
  expect(d.lease(1)).not.toBe(address);
});

test("a released address goes to whoever needs it, last of all; nobody can release another's (RFC 2131 4.3.4)", () => {
  const d = new LanDialogue().serving();
  const address = d.lease(1);
  expect(d.say(2, DHCP_RELEASE, [server()], { ciaddr: address })).toBe("not-its");
  expect(d.say(1, DHCP_RELEASE, [server()], { ciaddr: address, from: "192.168.50.66" })).toBe("not-its");
  expect(d.say(1, DHCP_RELEASE, [server()], { ciaddr: "192.168.50.66" })).toBe("not-its");
  expect(d.say(1, DHCP_RELEASE, [server("192.168.50.254")], { ciaddr: address })).toBe("other-server");
  d.events();
  expect(d.say(1, DHCP_RELEASE, [server()], { ciaddr: address })).toBeUndefined();
  expect([d.events(), d.sent(), d.server.use.leases]).toEqual([[`released ${address} -`], [], 0]);
  const others = [2, 3, 4].map((n) => d.lease(n));
  expect(others).not.toContain(address);
  expect(d.lease(5)).toBe(address);
});

test("a host that still answers for the address that it released is no conflict; another host that answers is", () => {
  const d = new LanDialogue({ last: ip("192.168.50.100") }).serving();
  const address = d.lease(1);
  const probed = (n: number, from: number): boolean => {
    d.say(n, DHCP_DISCOVER);
    return d.hears(address, mac(from));
  };
  d.say(1, DHCP_RELEASE, [server()], { ciaddr: address });
  expect(probed(2, 1)).toBe(false);
  d.advance(500);
  expect(d.sent()).toEqual([`offer ${address}>${address} mac`]);
  d.advance(11_000);
  expect(probed(3, 9)).toBe(true);
  // One whose lease ran out has not said so.
  const e = new LanDialogue({ last: ip("192.168.50.100") }).serving();
  e.lease(1);
  e.advance(3_700_000);
  e.say(2, DHCP_DISCOVER);
  expect(e.hears(address, mac(1))).toBe(true);
});

test("inform: the parameters without an address and a time, to whoever is on the LAN (RFC 2131 4.3.5)", () => {
  const d = new LanDialogue().serving();
  expect(d.say(1, DHCP_INFORM, [], { ciaddr: "192.168.50.66" })).toBeUndefined();
  expect(d.sent()).toEqual(["ack 0.0.0.0>192.168.50.66 mac"]);
  expect([OPTION_LEASE_TIME, OPTION_T1, OPTION_T2].filter((code) => d.last?.options.has(code))).toEqual([]);
  expect(dhcpAddresses(d.last!, OPTION_ROUTER)).toEqual([OWN]);
  for (const ciaddr of ["0.0.0.0", "10.0.0.1", "192.168.50.255", "192.168.50.1"])
    expect(d.say(1, DHCP_INFORM, [], { ciaddr })).toBe("foreign-address");
  expect([d.sent(), d.events()]).toEqual([[], []]);
});

// --- who is not served ---

test("relays, other servers, BOOTP, foreign types and MACs that cannot be are refused by name", () => {
  const d = new LanDialogue().serving();
  expect(d.say(1, DHCP_DISCOVER, [], { giaddr: ip("192.168.60.1") })).toBe("relayed");
  expect(d.say(1, DHCP_DISCOVER, [], { op: BOOT_REPLY })).toBe("not-a-request");
  expect(d.say(1, DHCP_OFFER)).toBe("not-a-request");
  expect(d.say(1, DHCP_ACK)).toBe("not-a-request");
  expect(d.say(1, DHCP_NAK)).toBe("not-a-request");
  expect(d.say(1, 0)).toBe("no-type");
  expect(d.say(1, 13)).toBe("unknown-type");
  expect(d.say(1, DHCP_DISCOVER, [], { chaddr: { hi: 0x0100, lo: 1 } })).toBe("bad-mac");
  expect(d.say(1, DHCP_DISCOVER, [], { chaddr: { hi: 0, lo: 0 } })).toBe("bad-mac");
  expect(d.say(1, DHCP_DISCOVER, [], { chaddr: OWN_MAC })).toBe("bad-mac");
  expect(d.say(1, DHCP_DISCOVER, [[OPTION_CLIENT_ID, new Uint8Array(256)]])).toBe("bad-client-id");
  expect(d.feed(new Uint8Array(100))).toBe("truncated");
  expect([d.sent(), d.probes(), d.server.use.offers]).toEqual([[], [], 0]);
  expect(d.server.drops.snapshot()).toMatchObject({ relayed: 1, "bad-mac": 3, "not-a-request": 4, truncated: 1 });
});

// --- floods ---

test("a full pool: the next client gets nothing until an address is free", () => {
  const d = new LanDialogue().serving();
  const all = [1, 2, 3, 4].map((n) => d.lease(n));
  for (const [i, address] of all.entries()) d.hears(address, mac(i + 1));
  d.events();
  expect(d.say(5, DHCP_DISCOVER)).toBe("pool-full");
  expect([d.sent(), d.events()]).toEqual([[], ["full"]]);
  d.say(2, DHCP_RELEASE, [server()], { ciaddr: all[1]! });
  expect(d.lease(5)).toBe(all[1]!);
});

test("made-up MACs that lease the whole pool: what no host uses is asked for after a minute, and taken back where nobody answers", () => {
  const d = new LanDialogue().serving();
  const all = [1, 2, 3, 4].map((n) => d.lease(n));
  d.hears(all[0]!, mac(1));
  d.advance(61_000);
  d.events();
  d.probes();
  expect(d.say(9, DHCP_DISCOVER)).toBe("pool-full");
  expect(d.probes().sort()).toEqual([...all.slice(1)].sort());
  // One of the three is there, and only slept.
  d.hears(all[2]!, mac(3));
  d.advance(500);
  expect(d.events().sort()).toEqual(["full", `unused ${all[1]} -`, `unused ${all[3]} -`]);
  expect(d.server.use.leases).toBe(2);
  expect([all[1]!, all[3]!]).toContain(d.lease(9));
  expect(d.say(1, DHCP_REQUEST, [], { ciaddr: all[0]! })).toBeUndefined();
  expect(d.sent()[0]).toStartWith("ack");
});

test("a client that comes back while its lease is asked for keeps it", () => {
  const d = new LanDialogue().serving();
  const all = [1, 2, 3, 4].map((n) => d.lease(n));
  d.advance(61_000);
  d.say(9, DHCP_DISCOVER);
  d.say(1, DHCP_REQUEST, [], { ciaddr: all[0]! });
  d.say(2, DHCP_DISCOVER);
  expect(d.sent()).toEqual([`ack ${all[0]}>${all[0]} mac`, `offer ${all[1]}>${all[1]} mac`]);
  d.advance(500);
  expect(d.server.use.leases).toBe(2);
});

test("questions of made-up MACs hold an address for seconds only: an honest client finds one among them", () => {
  const d = new LanDialogue().serving();
  for (let n = 0; n < 4; n++) d.say(100 + n, DHCP_DISCOVER);
  expect(d.say(1, DHCP_DISCOVER)).toBe("pool-full");
  d.advance(3000);
  for (let n = 0; n < 3; n++) d.say(200 + n, DHCP_DISCOVER);
  d.advance(600);
  expect(d.lease(1)).not.toBe("");
});

test("a flood is answered a hundred times a second, and a client with a lease is heard all the same", () => {
  const d = new LanDialogue({ last: ip("192.168.50.250") }).serving();
  const address = d.lease(1);
  const reasons = Array.from({ length: 1000 }, (_, n) => d.say(5000 + n, DHCP_DISCOVER));
  expect(reasons.filter((r) => r === "limit").length).toBeGreaterThan(890);
  expect(reasons.filter((r) => r === "busy").length).toBeGreaterThan(10);
  d.sent();
  expect(d.say(1, DHCP_REQUEST, [], { ciaddr: address })).toBeUndefined();
  expect(d.sent()).toHaveLength(1);
  // One client alone gets a tenth.
  const own = Array.from({ length: 100 }, () => d.say(1, DHCP_REQUEST, [], { ciaddr: address }));
  expect(own.filter((r) => r === undefined).length).toBeLessThanOrEqual(20);
});

// --- names ---

test("a name becomes a label of DNS; who calls itself wpad or as the router is heard without a name", () => {
  const of = (name: string): string | undefined => hostNameOf(new TextEncoder().encode(name), "morgana");
  expect(of("Alpha")).toBe("alpha");
  expect(of("alpha.example.org")).toBe("alpha");
  expect(of("Ann's iPhone")).toBe("ann-s-iphone");
  expect(of("alpha\0")).toBe("alpha");
  expect(of("--a_b--")).toBe("a-b");
  expect(of("a".repeat(200))).toBe("a".repeat(63));
  for (const name of ["", "...", "\u001b[31m".slice(0, 1), "WPAD", "isatap", "localhost", "Morgana", "gateway.lan"])
    expect(of(name)).toBeUndefined();
  expect(hostNameOf(undefined, "morgana")).toBeUndefined();
});

test("whatever arrives, it does not throw, gives no address twice, and asks for its time ahead", () => {
  const message = fc.record({
    n: fc.integer({ min: 1, max: 6 }),
    type: fc.integer({ min: 0, max: 9 }),
    ciaddr: fc.constantFrom("0.0.0.0", "192.168.50.100", "192.168.50.101", "192.168.50.10", "10.0.0.1"),
    wish: fc.constantFrom("", "192.168.50.100", "192.168.50.103", "192.168.50.10", "10.0.0.1"),
    withServer: fc.boolean(),
    id: fc.option(fc.uint8Array({ maxLength: 4 }), { nil: undefined }),
    wait: fc.constantFrom(0, 100, 250, 500, 3000, 60_000, 3_600_000),
    claim: fc.option(fc.integer({ min: 1, max: 6 }), { nil: undefined }),
  });
  const reservations = [{ mac: mac(1), address: ip("192.168.50.10") }];
  fc.assert(
    fc.property(fc.array(message, { maxLength: 40 }), (messages) => {
      const d = new LanDialogue({ reservations }).serving();
      /** By address: who was acknowledged, and until when. */
      const held = new Map<string, { who: string; until: number }>();
      for (const { n, type, ciaddr, wish, withServer, id, wait, claim } of messages) {
        const options: Option[] = [];
        if (wish !== "") options.push(want(wish));
        if (withServer) options.push(server());
        if (id !== undefined) options.push([OPTION_CLIENT_ID, id]);
        d.say(n, type, options, { ciaddr });
        if (claim !== undefined) for (const address of d.probes()) d.hears(address, mac(claim));
        d.advance(wait);
        for (let e = d.server.pollEvent(); e; e = d.server.pollEvent()) {
          if (!("lease" in e) && !("address" in e)) continue;
          const address = formatIpv4("lease" in e ? e.lease.address : e.address.w3);
          if (e.kind === "leased" || e.kind === "renewed") {
            const before = held.get(address);
            if (before !== undefined && before.until > e.lease.until - 3_600_000)
              expect(before.who).toBe(e.lease.client.id);
            held.set(address, { who: e.lease.client.id, until: e.lease.until });
          } else held.delete(address);
        }
        d.sent();
        expect(d.server.pollAt()).toBeGreaterThan(d.now);
      }
    }),
    { numRuns: 300 },
  );
});

test("addresses of another family have no name", () => {
  expect(new LanDialogue().server.names.nameOf(new IpAddress(0xfd00_0000, 0, 0, 1))).toBeUndefined();
});
