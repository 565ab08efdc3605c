import { expect, test } from "bun:test";
import fc from "fast-check";
import { parseCidr } from "../../lib/cidr.ts";
import { type IpAddress, parseIp } from "../../lib/ip.ts";
import { seededRandom } from "../../lib/random.ts";
import { type RouterAdvert, routerAdvertParse, routerSolicitBuild } from "../wire/router-advert.ts";
import { type AdvertisedLink, RouterAdvertiser } from "./advertiser.ts";
import { RouterDiscovery } from "./host.ts";
import { firstHost, ulaPrefix } from "./ula.ts";

const MAC = { hi: 0x5254, lo: 0x00ab_cdef };
const ip = (text: string): IpAddress => parseIp(text) as IpAddress;
const OWN = ip("fe80::1");
const LINK: AdvertisedLink = {
  prefix: parseCidr("fd12:3456:789a::/64")!,
  isDefaultRouter: true,
  dns: [ip("fd12:3456:789a::1")],
  domains: ["lan"],
  mtu: 1400,
};

class AdvertiserDialogue {
  readonly router: RouterAdvertiser;
  now = 1000;
  last: RouterAdvert | undefined;

  constructor(seed = 3) {
    this.router = new RouterAdvertiser({ mac: MAC, random: seededRandom(seed) });
  }

  /** What is there to send. @returns how many */
  take(): number {
    let n = 0;
    for (let t = this.router.pollTransmit(); t; t = this.router.pollTransmit()) {
      expect([t.source, `${t.destination}`]).toEqual([OWN, "ff02::1"]);
      this.last = routerAdvertParse(t.message) as RouterAdvert;
      n++;
    }
    return n;
  }

  /** Lets the time pass. @returns when advertisements were sent, in s from now on */
  pass(seconds: number): number[] {
    const [from, end] = [this.now, this.now + seconds * 1000];
    const sent: number[] = [];
    for (let at = this.router.pollAt(); at <= end; at = this.router.pollAt()) {
      this.now = Math.max(at, this.now);
      this.router.handleTimeout(this.now);
      for (let n = this.take(); n > 0; n--) sent.push((this.now - from) / 1000);
    }
    this.now = end;
    return sent;
  }

  solicit(message = routerSolicitBuild(MAC)): string | undefined {
    return this.router.handleSolicitation(this.now, message);
  }

  /** After the burst, far from the next advertisement. */
  static idle(seed = 3): AdvertiserDialogue {
    const d = new AdvertiserDialogue(seed);
    d.router.start(d.now, OWN, LINK);
    d.pass(40);
    return d;
  }
}

test("an advertisement has all that a host needs (RFC 4861 6.2.3, RFC 8106 5)", () => {
  const d = new AdvertiserDialogue();
  d.router.start(d.now, OWN, LINK);
  d.router.handleTimeout(d.now);
  d.take();
  expect(d.last).toEqual({
    hopLimit: 64,
    managed: false,
    other: false,
    preference: 0,
    lifetime: 1800,
    reachableTime: 0,
    retransTimer: 0,
    mac: MAC,
    mtu: 1400,
    prefixes: [{ prefix: LINK.prefix!, onLink: true, autonomous: true, valid: 5400, preferred: 2700 }],
    routes: [],
    rdnss: [{ servers: [ip("fd12:3456:789a::1")], lifetime: 1800 }],
    dnssl: [{ domains: ["lan"], lifetime: 1800 }],
  });
});

test("three at once, 16 s apart, then one every 198 to 600 s (RFC 4861 6.2.4)", () => {
  const d = new AdvertiserDialogue();
  expect(d.router.pollAt()).toBe(Number.POSITIVE_INFINITY);
  d.router.start(d.now, OWN, LINK);
  const [a, b, c, ...rest] = d.pass(20_000);
  expect([a, b, c]).toEqual([0, 16, 32]);
  expect(rest.length).toBeGreaterThan(30);
  const waits = rest.map((at, i) => at - (rest[i - 1] ?? 32));
  expect(Math.min(...waits)).toBeGreaterThanOrEqual(198);
  expect(Math.max(...waits)).toBeLessThanOrEqual(600);
  expect(new Set(waits).size).toBeGreaterThan(20);
});

test("the lost way out is told at once, and three times; without it the prefix stays (RFC 4861 6.2.4)", () => {
  const d = AdvertiserDialogue.idle();
  d.router.update(d.now, { ...LINK, isDefaultRouter: false });
  expect(d.pass(40)).toEqual([0, 16, 32]);
  expect(d.last).toMatchObject({ lifetime: 0, prefixes: [{ valid: 5400 }], rdnss: [{ lifetime: 1800 }] });
  d.router.update(d.now, { ...LINK, isDefaultRouter: false });
  expect(d.pass(60)).toEqual([]); // nothing new
  d.router.update(d.now, LINK);
  d.pass(0);
  expect(d.last?.lifetime).toBe(1800);
});

test("what changes all the time is told every 3 s (RFC 4861 6.2.4, MIN_DELAY_BETWEEN_RAS)", () => {
  const d = AdvertiserDialogue.idle();
  const sent: number[] = [];
  for (let i = 0; i < 100; i++) {
    d.router.update(d.now, { ...LINK, isDefaultRouter: i % 2 === 0 });
    sent.push(...d.pass(0.1).map((at) => at + i / 10));
  }
  expect(sent.map((at) => Math.round(at * 10) / 10)).toEqual([0.1, 3.1, 6.1, 9.1]);
});

test("a solicitation is answered within half a second, any number of them every 3 s (RFC 4861 6.2.6)", () => {
  const d = AdvertiserDialogue.idle();
  expect(d.solicit()).toBeUndefined();
  const [first] = d.pass(1);
  expect(first).toBeLessThanOrEqual(0.5);
  const sent: number[] = [];
  for (let i = 0; i < 1000; i++) {
    d.solicit();
    sent.push(...d.pass(0.01).map((at) => at + i / 100));
  }
  expect(sent.length).toBeLessThanOrEqual(4);
  for (const [i, at] of sent.entries())
    if (i > 0) expect(at - (sent[i - 1] as number)).toBeGreaterThanOrEqual(3 - 1e-9);
  // One that is due soon anyway is not put off.
  for (let seed = 1; seed < 10; seed++) {
    const e = new AdvertiserDialogue(seed);
    e.router.start(e.now, OWN, LINK);
    e.pass(15.95);
    e.solicit();
    expect(e.pass(0.05)).toHaveLength(1);
  }
});

test("what is no solicitation is not answered, nor is one before the start", () => {
  const d = new AdvertiserDialogue();
  expect(d.solicit()).toBe("stopped");
  d.router.start(d.now, OWN, LINK);
  d.pass(40);
  expect(d.solicit(Uint8Array.of(133, 0))).toBe("truncated");
  expect(d.pass(5)).toEqual([]);
  expect(d.solicit(routerSolicitBuild(undefined))).toBeUndefined();
  expect(d.pass(5)).toHaveLength(1);
});

test("the end is told once: no router, no DNS server; not where nothing was ever told (RFC 4861 6.2.5)", () => {
  const d = AdvertiserDialogue.idle();
  d.router.stop();
  expect(d.take()).toBe(1);
  expect(d.last).toMatchObject({
    lifetime: 0,
    rdnss: [{ lifetime: 0 }],
    dnssl: [{ lifetime: 0 }],
    prefixes: [{ valid: 5400 }],
  });
  expect([d.router.pollAt(), d.solicit()]).toEqual([Number.POSITIVE_INFINITY, "stopped"]);
  d.router.stop();
  expect(d.take()).toBe(0);
  const e = new AdvertiserDialogue();
  e.router.start(e.now, OWN, LINK);
  e.router.stop();
  expect(e.take()).toBe(0);
});

test("what is not there is not told", () => {
  const d = new AdvertiserDialogue();
  d.router.start(d.now, OWN, { prefix: undefined, isDefaultRouter: false, dns: [], domains: [], mtu: undefined });
  d.pass(0);
  expect(d.last).toMatchObject({ lifetime: 0, prefixes: [], rdnss: [], dnssl: [], mtu: undefined });
});

test("our own host machine takes an address, a router and a DNS server from it, and loses the router with the tunnel", () => {
  const d = new AdvertiserDialogue();
  const host = new RouterDiscovery({
    mac: { hi: 2, lo: 7 },
    prf: () => Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8),
    random: seededRandom(4),
    mtu: 1500,
  });
  host.start(0);
  host.usable(0, host.config.addresses[0]!.address.address);
  const hear = (): void => {
    d.router.handleTimeout(d.now);
    for (let t = d.router.pollTransmit(); t; t = d.router.pollTransmit())
      expect(host.handleAdvertisement(d.now, t.source, t.message)).toBeUndefined();
  };
  d.router.start(d.now, OWN, LINK);
  hear();
  const { addresses, gateway, dns, mtu } = host.config;
  expect([`${addresses[1]?.address}`, gateway, dns, mtu]).toEqual([
    "fd12:3456:789a:0:102:304:506:708/64",
    OWN,
    LINK.dns,
    1400,
  ]);
  d.now += 3000;
  d.router.update(d.now, { ...LINK, isDefaultRouter: false });
  hear();
  expect([host.config.gateway, host.config.addresses.length]).toEqual([undefined, 2]);
});

test("at least 3 s lie between two advertisements, whatever happens", () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant("wait" as const), s: fc.integer({ min: 0, max: 700 }) }),
    fc.record({ kind: fc.constant("update" as const), isDefaultRouter: fc.boolean() }),
    fc.record({ kind: fc.constant("solicit" as const) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), fc.nat(), (steps, seed) => {
      const d = new AdvertiserDialogue(seed);
      d.router.start(d.now, OWN, LINK);
      let last = Number.NEGATIVE_INFINITY;
      for (const s of steps) {
        if (s.kind === "update") d.router.update(d.now, { ...LINK, isDefaultRouter: s.isDefaultRouter });
        else if (s.kind === "solicit") d.solicit();
        const from = d.now;
        for (const at of d.pass(s.kind === "wait" ? s.s : 0.2)) {
          expect(from + at * 1000 - last).toBeGreaterThanOrEqual(3000 - 1e-6);
          last = from + at * 1000;
        }
        expect(d.router.pollAt()).toBeGreaterThan(d.now);
        expect(d.router.pollAt() - d.now).toBeLessThanOrEqual(600_000);
      }
    }),
  );
});

test("a ULA is fd, 40 bits of its own, subnet 0; the router has its first address (RFC 4193 3.1)", () => {
  const prefix = ulaPrefix(Uint8Array.of(0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc));
  expect([`${prefix}`, `${firstHost(prefix)}`]).toEqual(["fd12:3456:789a::/64", "fd12:3456:789a::1"]);
});
