import { expect, test } from "bun:test";
import fc from "fast-check";
import { parseCidr } from "../../lib/cidr.ts";
import { type IpAddress, parseIp } from "../../lib/ip.ts";
import { seededRandom } from "../../lib/random.ts";
import {
  type AdvertisedPrefix,
  type Preference,
  type RouterAdvert,
  routerAdvertBuild,
  routerSolicitParse,
} from "../wire/router-advert.ts";
import { RouterDiscovery } from "./host.ts";
import { stableAddress } from "./stable-address.ts";

const MAC = { hi: 0x5254, lo: 0x00ab_cdef };
const ip = (text: string): IpAddress => parseIp(text) as IpAddress;
const [ONE, TWO, THREE] = ["fe80::1", "fe80::2", "fe80::3"];
const HOUR = 3600;

/** Not keyed and not good, but each input has another output. */
const prf = (input: Uint8Array): Uint8Array => {
  const out = new Uint8Array(8);
  seededRandom(input.reduce((sum, byte) => (Math.imul(sum, 31) + byte) | 0, 17)).fill(out);
  return out;
};

const prefix = (text: string, more: Partial<AdvertisedPrefix> = {}): AdvertisedPrefix => ({
  prefix: parseCidr(text)!,
  onLink: true,
  autonomous: true,
  valid: 4 * HOUR,
  preferred: HOUR,
  ...more,
});

/** A host, and routers that speak to it. */
class HostDialogue {
  readonly host: RouterDiscovery;
  now = 1000;

  constructor() {
    this.host = new RouterDiscovery({ mac: MAC, prf, random: seededRandom(3), mtu: 1500 });
  }

  /** Its link-local address is its own. */
  static up(): HostDialogue {
    const d = new HostDialogue();
    d.host.start(d.now);
    d.accept();
    d.events();
    return d;
  }

  advert(router: string, more: Partial<RouterAdvert> = {}): string | undefined {
    const message = routerAdvertBuild({
      hopLimit: 0,
      managed: false,
      other: false,
      preference: 0,
      lifetime: 1800,
      reachableTime: 0,
      retransTimer: 0,
      mac: undefined,
      mtu: undefined,
      prefixes: [],
      routes: [],
      rdnss: [],
      dnssl: [],
      ...more,
    });
    return this.host.handleAdvertisement(this.now, ip(router), message);
  }

  /** Nobody has the addresses that are asked for. */
  accept(): void {
    for (const { address, isUsable } of this.host.config.addresses)
      if (!isUsable) this.host.usable(this.now, address.address);
  }

  wait(seconds: number): void {
    this.now += seconds * 1000;
    this.host.handleTimeout(this.now);
  }

  /** Lets the time pass, with the timers that fall due. @returns when solicitations were sent, in s from now on */
  pass(seconds: number): number[] {
    const [from, end] = [this.now, this.now + seconds * 1000];
    const sent: number[] = [];
    for (let at = this.host.pollAt(); at <= end; at = this.host.pollAt()) {
      this.now = at;
      this.host.handleTimeout(at);
      for (let t = this.host.pollTransmit(); t; t = this.host.pollTransmit()) sent.push((at - from) / 1000);
    }
    this.now = end;
    return sent;
  }

  events(): string[] {
    const out: string[] = [];
    for (let e = this.host.pollEvent(); e; e = this.host.pollEvent())
      out.push(
        e.kind === "dhcp" ? `dhcp ${e.mode}` : e.kind === "taken" ? `taken, next ${e.next !== undefined}` : e.kind,
      );
    return out;
  }

  /** The global addresses: "2001:db8:1::/64 usable deprecated". */
  get addresses(): string[] {
    return this.host.config.addresses
      .slice(1)
      .map((a) => `${a.address.network} ${a.isUsable ? "usable" : "tentative"}${a.isDeprecated ? " deprecated" : ""}`);
  }

  get gateway(): string {
    return `${this.host.config.gateway}`;
  }
}

test("start: a link-local address that nobody has, then solicitations from it to all routers (RFC 4862 5.3, RFC 4861 6.3.7)", () => {
  const d = new HostDialogue();
  expect([d.host.pollAt(), d.host.config.addresses]).toEqual([Number.POSITIVE_INFINITY, []]);
  d.host.start(d.now);
  expect(d.events()).toEqual(["changed"]);
  const [own] = d.host.config.addresses;
  expect(own).toMatchObject({ isUsable: false, isDeprecated: false });
  expect(`${own?.address.network}`).toBe("fe80::/64");
  expect(d.host.pollAt()).toBe(Number.POSITIVE_INFINITY);
  d.host.usable(d.now, own!.address.address);
  expect(d.host.pollAt() - d.now).toBeLessThanOrEqual(1000); // MAX_RTR_SOLICITATION_DELAY
  d.now = d.host.pollAt();
  d.host.handleTimeout(d.now);
  const sent = d.host.pollTransmit()!;
  expect([`${sent.destination}`, sent.source]).toEqual(["ff02::2", own!.address.address]);
  expect(routerSolicitParse(sent.message)).toEqual({ mac: MAC });
});

test("where no router answers, solicitations go on after 4, 8, 16 s ... an hour, each a tenth off (RFC 7559 2)", () => {
  const d = HostDialogue.up();
  const sent = d.pass(30_000);
  const waits = sent.map((at, i) => at - (sent[i - 1] ?? 0)).slice(1);
  expect(waits.length).toBeGreaterThan(12);
  for (const [i, wait] of waits.entries()) {
    const base = Math.min(i === 0 ? 4 : 2 * (waits[i - 1] as number), 3600);
    const step = i === 0 ? 4 : (waits[i - 1] as number);
    expect(Math.abs(wait - base)).toBeLessThanOrEqual((base === 3600 ? 3600 : step) / 10 + 1e-6);
  }
});

test("they end with a default router, not with one that is none (RFC 7559 2)", () => {
  const d = HostDialogue.up();
  d.pass(1);
  d.advert(ONE, { lifetime: 0, prefixes: [prefix("2001:db8:1::/64")] });
  expect(d.pass(20).length).toBe(2);
  d.advert(ONE);
  expect(d.pass(1700)).toEqual([]);
});

test("what is no advertisement, our own, and what comes after the end does not count", () => {
  const d = HostDialogue.up();
  expect(d.advert(`${d.host.config.addresses[0]?.address.address}`)).toBe("own");
  expect(d.host.handleAdvertisement(d.now, ip(ONE), Uint8Array.of(134, 0, 0, 0))).toBe("truncated");
  expect(d.gateway).toBe("undefined");
  expect(d.advert(ONE)).toBeUndefined();
  expect(d.gateway).toBe(ONE);
  d.host.stop(d.now);
  expect(d.advert(ONE)).toBe("stopped");
});

test("all of it is told once, and again when something is another (RFC 4861 6.3.4)", () => {
  const d = HostDialogue.up();
  const all = {
    hopLimit: 57,
    mtu: 1400,
    prefixes: [prefix("2001:db8:1::7/64")],
    rdnss: [{ servers: [ip("2001:db8:1::53")], lifetime: 600 }],
    routes: [{ prefix: parseCidr("2001:db8:abcd::/48")!, preference: 0 as Preference, lifetime: 600 }],
  };
  d.advert(ONE, all);
  expect(d.events()).toEqual(["changed"]);
  const { addresses, onLink, gateway, routes, mtu, hopLimit, dns } = d.host.config;
  expect(addresses.map((a) => `${a.address.network}`)).toEqual(["fe80::/64", "2001:db8:1::/64"]);
  expect([onLink.join(), `${gateway}`, mtu, hopLimit, dns.join()]).toEqual([
    "fe80::/64,2001:db8:1::/64",
    ONE,
    1400,
    57,
    "2001:db8:1::53",
  ]);
  expect(routes.map((r) => `${r.network} ${r.gateway}`)).toEqual(["2001:db8:abcd::/48 fe80::1"]);
  d.wait(60);
  d.advert(ONE, all);
  expect(d.events()).toEqual([]);
  d.advert(ONE, { ...all, hopLimit: 64 });
  expect(d.events()).toEqual(["changed"]);
});

test("an MTU below 1280 or above the link's does not count (RFC 4861 6.3.4)", () => {
  const d = HostDialogue.up();
  for (const mtu of [1279, 1501, 9000, 0xffff_ffff]) d.advert(ONE, { mtu });
  expect(d.host.config.mtu).toBeUndefined();
  d.advert(ONE, { mtu: 1280 });
  d.advert(ONE);
  expect(d.host.config.mtu).toBe(1280);
});

test("addresses are the same after every start, others in another network, with another MAC or secret, and never reserved (RFC 7217 5, RFC 5453)", () => {
  const make = (network: string, mac = MAC, counter = 0, f = prf): string =>
    `${stableAddress(f, parseCidr(network)!.address, mac, counter)}`;
  const first = make("2001:db8:1::/64");
  expect(make("2001:db8:1::/64")).toBe(first);
  const others = [
    make("2001:db8:2::/64"),
    make("2001:db8:1::/64", { hi: 0x5254, lo: 1 }),
    make("2001:db8:1::/64", { hi: 0x5255, lo: MAC.lo }),
    make("2001:db8:1::/64", MAC, 1),
    make("2001:db8:1::/64", MAC, 0, (input) => prf(Uint8Array.of(1, ...input))),
  ];
  expect(new Set([first, ...others].map((a) => a.replace(/^2001:db8:.:/, ""))).size).toBe(6);
  for (const reserved of [
    "0000000000000000",
    "02005efffe000001",
    "02005efffeffffff",
    "fdffffffffffff80",
    "fdffffffffffffff",
  ]) {
    let calls = 0;
    const f = (input: Uint8Array): Uint8Array => (calls++ === 0 ? Uint8Array.fromHex(reserved) : prf(input));
    make("2001:db8:1::/64", MAC, 0, f);
    expect([reserved, calls]).toEqual([reserved, 2]);
  }
  for (const fine of ["02005effff000001", "fdffffffffffff7f", "0000000000000001"])
    expect(make("2001:db8:1::/64", MAC, 0, () => Uint8Array.fromHex(`ffffffff${fine}`)).startsWith("2001:db8:1:")).toBe(
      true,
    );
});

test("an address lives as long as it is said, deprecated at first, and then ends (RFC 4862 5.5.4)", () => {
  const d = HostDialogue.up();
  d.advert(ONE, { prefixes: [prefix("2001:db8:1::/64")] });
  expect(d.addresses).toEqual(["2001:db8:1::/64 tentative"]);
  d.accept();
  expect(d.addresses).toEqual(["2001:db8:1::/64 usable"]);
  d.events();
  d.wait(HOUR - 1);
  expect(d.events()).toEqual(["changed"]); // the default router's half hour is over
  d.wait(1);
  expect([d.events(), d.addresses]).toEqual([["changed"], ["2001:db8:1::/64 usable deprecated"]]);
  d.wait(3 * HOUR - 1);
  expect(d.addresses).toHaveLength(1);
  d.wait(1);
  expect([d.events(), d.addresses, d.host.config.onLink.join()]).toEqual([["changed"], [], "fe80::/64"]);
});

test("no address comes from a prefix without A, of another length than 64, preferred for longer than valid, link-local, or that cannot be (RFC 4862 5.5.3)", () => {
  const d = HostDialogue.up();
  const bad = [
    prefix("2001:db8:1::/64", { autonomous: false }),
    prefix("2001:db8:2::/63"),
    prefix("2001:db8:3::/65"),
    prefix("2001:db8:4::/64", { preferred: 4 * HOUR + 1 }),
    prefix("2001:db8:5::/64", { valid: 0, preferred: 0 }),
    prefix("fe80::/64"),
    prefix("fe80::/10"),
  ];
  d.advert(ONE, { prefixes: bad });
  for (const text of ["ff02::/64", "::/64", "::/0", "::1/128", "::ffff:1.2.3.4/96"])
    d.advert(ONE, { prefixes: [prefix(text)] });
  expect(d.addresses).toEqual([]);
  expect(d.host.config.onLink.join()).toBe("fe80::/64,2001:db8:1::/64,2001:db8:2::/63,2001:db8:3::/65,2001:db8:4::/64");
  d.advert(ONE, { prefixes: [prefix("2001:db8:6::/64", { onLink: false })] });
  expect([d.addresses, d.host.config.onLink.length]).toEqual([["2001:db8:6::/64 tentative"], 5]);
  d.advert(ONE, { prefixes: [prefix("2001:db8:2::/63", { valid: 0 })] });
  expect(d.host.config.onLink.join()).not.toContain("2001:db8:2::"); // of being on the link 0 is the end (RFC 4861 6.3.4)
});

test("the two-hour rule: nobody cuts the life of an address to less than that (RFC 4862 5.5.3 e)", () => {
  const d = HostDialogue.up();
  const say = (valid: number, preferred = 0): void => {
    d.advert(ONE, { prefixes: [prefix("2001:db8:1::/64", { valid, preferred, onLink: false })] });
  };
  const livesFor = (): number => (d.host.pollAt() - d.now) / 1000;
  say(4 * HOUR);
  d.host.usable(d.now, d.host.config.addresses[1]!.address.address);
  d.advert(ONE, { lifetime: 0 });
  d.host.handleTimeout(d.now);
  const end = (): number => {
    // The solicitations go on; only the address's end counts here.
    d.advert(ONE, { lifetime: 65_535 });
    return livesFor();
  };
  expect(end()).toBe(4 * HOUR);
  say(3 * HOUR); // more than two hours: as it is said
  expect(end()).toBe(3 * HOUR);
  say(60);
  expect([end(), d.addresses]).toEqual([2 * HOUR, ["2001:db8:1::/64 usable deprecated"]]);
  d.wait(HOUR);
  say(0);
  expect(end()).toBe(HOUR); // less than two hours are left: not heeded
  say(HOUR + 1);
  expect(end()).toBe(HOUR + 1); // but made longer
});

test("an address that is taken gives way to the next, at most three times; after five minutes there is another attempt (RFC 7217 6)", () => {
  const d = HostDialogue.up();
  d.advert(ONE, { lifetime: 65_535, prefixes: [prefix("2001:db8:1::/64", { preferred: 4 * HOUR })] });
  d.events();
  const seen = new Set<string>();
  const take = (): void => {
    const { address } = d.host.config.addresses[1]!.address;
    seen.add(`${address}`);
    d.host.taken(d.now, address);
  };
  for (let i = 0; i < 3; i++) {
    take();
    expect([d.events(), d.addresses]).toEqual([["taken, next true", "changed"], ["2001:db8:1::/64 tentative"]]);
  }
  take();
  expect([d.events(), d.addresses, seen.size]).toEqual([["taken, next false", "changed"], [], 4]);
  d.advert(ONE, { lifetime: 65_535, prefixes: [prefix("2001:db8:1::/64", { preferred: 4 * HOUR })] });
  d.wait(299);
  expect(d.addresses).toEqual([]);
  expect(d.host.pollAt() - d.now).toBe(1000);
  d.wait(1);
  expect(d.addresses).toEqual(["2001:db8:1::/64 tentative"]);
  expect(seen.has(`${d.host.config.addresses[1]?.address.address}`)).toBe(true);
  d.host.taken(d.now, ip("2001:db8:9::9"));
  expect(d.events()).toEqual(["changed"]); // nothing of ours
});

test("without a link-local address nobody is asked for routers (RFC 4862 5.4.5)", () => {
  const d = new HostDialogue();
  d.host.start(d.now);
  for (let i = 0; i < 4; i++) d.host.taken(d.now, d.host.config.addresses[0]!.address.address);
  expect(d.host.config.addresses).toEqual([]);
  expect(d.pass(299)).toEqual([]);
  d.pass(1);
  d.accept();
  expect(d.pass(1)).toHaveLength(1);
  d.host.taken(d.now, d.host.config.addresses[0]!.address.address);
  expect(d.pass(100)).toEqual([]);
});

test("of several routers the one with the higher preference is taken, of equal ones the first; it is lost with its lifetime (RFC 4191 3.2, RFC 4861 6.3.6)", () => {
  const d = HostDialogue.up();
  d.advert(ONE, { preference: 0 });
  d.advert(TWO, { preference: 0, lifetime: 9000 });
  expect(d.gateway).toBe(ONE);
  d.advert(THREE, { preference: 1, lifetime: 100 });
  expect(d.gateway).toBe(THREE);
  d.wait(99);
  d.advert(TWO, { preference: -1, lifetime: 9000 });
  d.events();
  d.wait(1);
  expect([d.gateway, d.events()]).toEqual([ONE, ["changed"]]);
  d.advert(ONE, { lifetime: 0 });
  expect(d.gateway).toBe(TWO);
  d.wait(9000);
  expect([d.gateway, d.pass(1).length]).toEqual(["undefined", 1]); // and routers are asked for anew
});

test("a router that does not answer is left for another one; where none answers each has its turn, and routers are asked for (RFC 4861 6.3.6)", () => {
  const d = HostDialogue.up();
  d.advert(ONE, { preference: 1 });
  d.advert(TWO);
  d.pass(1);
  d.host.unreachable(d.now, ip(THREE));
  expect(d.gateway).toBe(ONE);
  d.host.unreachable(d.now, ip(ONE));
  expect([d.gateway, d.pass(1)]).toEqual([TWO, []]);
  d.advert(ONE, { preference: 1 }); // that it speaks is no proof that it hears (RFC 4861 7.3.1)
  expect(d.gateway).toBe(TWO);
  d.host.unreachable(d.now, ip(TWO));
  expect([d.gateway, d.pass(1).length]).toEqual([ONE, 1]);
  d.host.unreachable(d.now, ip(ONE));
  expect(d.gateway).toBe(TWO);
  d.wait(60);
  d.advert(ONE, { preference: 1 }); // after a minute it is tried again
  expect(d.gateway).toBe(ONE);
});

test("a route option for ::/0 counts before the header, others are routes of the best router (RFC 4191 3.1)", () => {
  const d = HostDialogue.up();
  const route = (text: string, preference: Preference, lifetime: number) => ({
    prefix: parseCidr(text)!,
    preference,
    lifetime,
  });
  d.advert(ONE, { preference: 1, routes: [route("::/0", -1, 50)] });
  d.advert(TWO, { lifetime: 0, routes: [route("2001:db8:9::/48", 0, 100)] });
  d.advert(THREE, {
    preference: 0,
    routes: [route("2001:db8:9::/48", 1, 100), route("fe80::/16", 0, 9), route("ff00::/8", 0, 9)],
  });
  const routes = (): string[] => d.host.config.routes.map((r) => `${r.network} ${r.gateway}`);
  expect([d.gateway, routes()]).toEqual([THREE, ["2001:db8:9::/48 fe80::3"]]);
  d.host.unreachable(d.now, ip(THREE));
  expect([d.gateway, routes()]).toEqual([ONE, ["2001:db8:9::/48 fe80::2"]]);
  d.wait(50);
  expect(d.gateway).toBe(THREE);
  d.wait(50);
  expect(routes()).toEqual([]);
});

test("DNS servers each have a lifetime, 0 ends it; those that cannot be are left out (RFC 8106 5.1, 6.2)", () => {
  const d = HostDialogue.up();
  const say = (router: string, lifetime: number, ...servers: string[]): void => {
    d.advert(router, { rdnss: [{ servers: servers.map(ip), lifetime }] });
  };
  const dns = (): string => d.host.config.dns.join(" ");
  say(ONE, 600, "2001:db8::1", "::1", "ff02::1", "::", "::ffff:9.9.9.9", "fe80::53");
  say(TWO, 900, "2001:db8::1", "2001:db8::2");
  expect(dns()).toBe("2001:db8::1 fe80::53 2001:db8::2");
  say(ONE, 0, "2001:db8::1");
  expect(dns()).toBe("fe80::53 2001:db8::1 2001:db8::2"); // the other router still has it
  d.wait(600);
  expect(dns()).toBe("2001:db8::1 2001:db8::2");
  d.wait(300);
  expect(dns()).toBe("");
});

test("M and O start DHCPv6, and it goes on until the link starts anew (RFC 4861 4.2)", () => {
  const d = HostDialogue.up();
  const dhcp = (): string[] => d.events().filter((e) => e !== "changed");
  d.advert(ONE, { other: true });
  expect(dhcp()).toEqual(["dhcp stateless"]);
  d.advert(TWO);
  d.advert(ONE, { other: true });
  expect(dhcp()).toEqual([]);
  d.advert(TWO, { managed: true });
  d.advert(ONE, { other: true });
  expect(dhcp()).toEqual(["dhcp stateful"]);
  d.host.stop(d.now);
  expect(dhcp()).toEqual(["dhcp off"]);
});

test("stop forgets what was learnt, and start begins anew with the same addresses", () => {
  const d = HostDialogue.up();
  const all = {
    mtu: 1400,
    hopLimit: 3,
    prefixes: [prefix("2001:db8:1::/64")],
    rdnss: [{ servers: [ip("2001:db8::1")], lifetime: 9 }],
  };
  d.advert(ONE, all);
  const before = d.host.config.addresses.map((a) => `${a.address}`);
  d.host.stop(d.now);
  expect(d.host.config).toEqual({
    addresses: [],
    onLink: [],
    gateway: undefined,
    routes: [],
    mtu: undefined,
    hopLimit: undefined,
    dns: [],
  });
  expect(d.host.pollAt()).toBe(Number.POSITIVE_INFINITY);
  d.host.start(d.now);
  d.accept();
  d.advert(ONE, all);
  expect(d.host.config.addresses.map((a) => `${a.address}`)).toEqual(before);
});

test("tables are bounded, and who fills them does not push out what is in use", () => {
  const d = HostDialogue.up();
  const forged = (i: number): string => `fe80::bad:${i.toString(16)}`;
  d.advert(ONE, { prefixes: [prefix("2001:db8:1::/64")], rdnss: [{ servers: [ip("2001:db8::1")], lifetime: 600 }] });
  for (let i = 0; i < 300; i++) {
    d.advert(forged(i), {
      prefixes: Array.from({ length: 20 }, (_, k) =>
        prefix(`2001:db8:bad:${((i * 20 + k) & 0xffff).toString(16)}::/64`),
      ),
      rdnss: [
        {
          servers: Array.from({ length: 20 }, (_, k) => ip(`2001:db8:bad::${(i * 20 + k).toString(16)}`)),
          lifetime: 999,
        },
      ],
      routes: Array.from({ length: 10 }, (_, k) => ({
        prefix: parseCidr(`2001:db8:${(i * 10 + k).toString(16)}::/48`)!,
        preference: 0,
        lifetime: 999,
      })),
    });
    d.wait(0.1);
  }
  const { addresses, onLink, routes, dns } = d.host.config;
  expect([addresses.length, onLink.length, routes.length, dns.length]).toEqual([16, 16, 32, 8]);
  expect(d.addresses).toContain("2001:db8:1::/64 tentative");
  expect(dns.join(" ")).toContain("2001:db8::1");
  expect(d.gateway).toBe(ONE);
  // A router that was not there yet still gets its share.
  d.advert(TWO, {
    preference: 1,
    prefixes: [prefix("2001:db8:2::/64")],
    rdnss: [{ servers: [ip("2001:db8::2")], lifetime: 600 }],
  });
  expect(d.gateway).toBe(TWO);
  expect(d.addresses).toContain("2001:db8:2::/64 tentative");
  expect(d.host.config.dns.join(" ")).toContain("2001:db8::2");
});

test("a full list of routers takes only better ones, and never loses the one in use", () => {
  const d = HostDialogue.up();
  const router = (i: number): string => `fe80::${i}`;
  for (let i = 1; i <= 8; i++) d.advert(router(i));
  d.advert(router(9)); // no better than those that are there
  d.advert(router(10), { preference: 1 });
  expect(d.gateway).toBe("fe80::10"); // in the place of the second
  d.advert(router(10), { lifetime: 0 });
  expect(d.gateway).toBe(ONE);
  d.advert(ONE, { lifetime: 0 });
  expect(d.gateway).toBe(THREE);
});

test("whatever routers say and whenever: times are to come, lists bounded, addresses in prefixes, the gateway one that spoke", () => {
  const router = fc.constantFrom(ONE, TWO, THREE, "fe80::4", "fe80::5");
  const lifetime = fc.oneof(fc.nat(20), fc.constant(Number.POSITIVE_INFINITY), fc.nat(20_000));
  const step = fc.oneof(
    fc.record({
      kind: fc.constant("advert" as const),
      router,
      lifetime: fc.nat(100),
      preference: fc.constantFrom<Preference>(-1, 0, 1),
      prefixes: fc.array(
        fc.record({
          n: fc.nat(30),
          onLink: fc.boolean(),
          autonomous: fc.boolean(),
          valid: lifetime,
          preferred: lifetime,
        }),
        { maxLength: 4 },
      ),
      servers: fc.array(fc.nat(20), { minLength: 1, maxLength: 6 }),
      dnsLifetime: lifetime,
    }),
    fc.record({ kind: fc.constant("wait" as const), s: fc.nat(3000) }),
    ...(["tick", "accept", "taken", "restart"] as const).map((kind) => fc.record({ kind: fc.constant(kind) })),
    fc.record({ kind: fc.constant("unreachable" as const), router }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const d = HostDialogue.up();
      for (const s of steps) {
        if (s.kind === "advert") {
          const prefixes = s.prefixes.map(({ n, ...rest }) => prefix(`2001:db8:0:${n}::/64`, rest));
          const rdnss = [{ servers: s.servers.map((n) => ip(`2001:db8::${n + 1}`)), lifetime: s.dnsLifetime }];
          d.advert(s.router, { lifetime: s.lifetime, preference: s.preference, prefixes, rdnss });
        } else if (s.kind === "wait") d.wait(s.s);
        else if (s.kind === "tick") d.wait(Math.max(0, Math.min(d.host.pollAt(), d.now + 1e9) - d.now) / 1000);
        else if (s.kind === "accept") d.accept();
        else if (s.kind === "restart") d.host.start(d.now);
        else if (s.kind === "taken") d.host.taken(d.now, d.host.config.addresses.at(-1)?.address.address ?? ip(ONE));
        else if (s.kind === "unreachable") d.host.unreachable(d.now, ip(s.router));
        if (s.kind === "wait" || s.kind === "tick") expect(d.host.pollAt()).toBeGreaterThan(d.now);
        while (d.host.pollTransmit());
        d.events();
        const { addresses, onLink, dns, gateway } = d.host.config;
        expect(addresses.length).toBeLessThanOrEqual(16);
        expect(onLink.length).toBeLessThanOrEqual(16);
        expect(dns.length).toBeLessThanOrEqual(8);
        expect(new Set(addresses.map((a) => `${a.address}`)).size).toBe(addresses.length);
        if (gateway !== undefined) expect([ONE, TWO, THREE, "fe80::4", "fe80::5"]).toContain(`${gateway}`);
      }
    }),
  );
});
