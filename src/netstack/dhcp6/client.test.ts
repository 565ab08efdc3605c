import { expect, test } from "bun:test";
import fc from "fast-check";
import { type IpAddress, parseIp } from "../../lib/ip.ts";
import { seededRandom } from "../../lib/random.ts";
import {
  type Dhcp6Message,
  dhcp6Build,
  dhcp6Duid,
  dhcp6IaNa,
  dhcp6Option,
  dhcp6Options,
  dhcp6Parse,
  dhcp6Uint16,
  OPTION6_ELAPSED_TIME,
  OPTION6_REQUEST,
} from "../wire/dhcpv6.ts";
import { Dhcp6Client } from "./client.ts";

const MAC = { hi: 0x5254, lo: 0x00ab_cdef };
const ROUTER = { address: parseIp("fe80::1") as IpAddress, port: 547 };
const ADDRESS = "2001:db8:1::100";
const SERVER = Uint8Array.of(0, 3, 0, 1, 0x52, 0x54, 0, 0, 0, 1);
const OTHER = Uint8Array.of(0, 3, 0, 1, 0x52, 0x54, 0, 0, 0, 2);
const NAMES = [
  "",
  "solicit",
  "advertise",
  "request",
  "confirm",
  "renew",
  "rebind",
  "reply",
  "release",
  "decline",
  "reconfigure",
  "information-request",
];
const [ADVERTISE, REPLY] = [2, 7];
const uint32 = (v: number): number[] => [(v >>> 24) & 255, (v >>> 16) & 255, (v >>> 8) & 255, v & 255];
const bytes = (text: string): number[] => {
  const { w0, w1, w2, w3 } = parseIp(text) as IpAddress;
  return [w0, w1, w2, w3].flatMap(uint32);
};
type Option = readonly [number, Uint8Array];
const status = (code: number): Option => [13, Uint8Array.of(0, code)];
const iaAddress = (text: string, preferred = 1000, valid = 2000, more: Option[] = []): Option => [
  5,
  Uint8Array.of(...bytes(text), ...uint32(preferred), ...uint32(valid), ...optionBytes(more)),
];
const ia = (t1: number, t2: number, options: Option[], iaid = MAC.lo): Option => [
  3,
  Uint8Array.of(...uint32(iaid), ...uint32(t1), ...uint32(t2), ...optionBytes(options)),
];
const optionBytes = (list: Option[]): number[] =>
  list.flatMap(([code, value]) => [...dhcp6Uint16(code), ...dhcp6Uint16(value.length), ...value]);
const DNS: Option = [23, Uint8Array.of(...bytes("2001:db8:1::53"))];
const DOMAINS: Option = [24, Uint8Array.of(3, 108, 97, 110, 0)];
const RAPID: Option = [14, new Uint8Array()];
const GOOD: Option[] = [ia(500, 800, [iaAddress(ADDRESS)]), DNS];

/** A client in a dialogue with scripted servers. */
class Dhcp6Dialogue {
  readonly client: Dhcp6Client;
  now = 5_000;
  last: Dhcp6Message | undefined;

  constructor(seed = 5) {
    this.client = new Dhcp6Client({ mac: MAC, random: seededRandom(seed) });
  }

  /** What the client sent since the last call: type, server, address. */
  sent(): string[] {
    const out: string[] = [];
    for (let t = this.client.pollTransmit(); t; t = this.client.pollTransmit()) {
      expect(`${t.peer.address} ${t.peer.port}`).toBe("ff02::1:2 547");
      const m = dhcp6Parse(t.payload) as Dhcp6Message;
      this.last = m;
      expect(dhcp6Option(m.options, 1)).toEqual(dhcp6Duid(MAC));
      const to = dhcp6Option(m.options, 2)?.at(-1);
      const address = dhcp6IaNa(m.options)[0]?.addresses[0]?.address;
      out.push([NAMES[m.type], to === undefined ? [] : `to ${to}`, address ?? []].flat().join(" "));
    }
    return out;
  }

  events(): string[] {
    const out: string[] = [];
    for (let e = this.client.pollEvent(); e; e = this.client.pollEvent())
      out.push(e.kind === "info" ? `info ${e.info.dns} ${e.info.domains}` : `${e.kind} ${e.lease.address}`);
    return out;
  }

  /** Goes to the client's next deadline. @returns how long that was */
  tick(): number {
    const before = this.now;
    this.now = Math.max(this.now, this.client.pollAt());
    this.client.handleTimeout(this.now);
    return this.now - before;
  }

  to(at: number): void {
    this.now = at;
    this.client.handleTimeout(at);
  }

  reply(
    type: number,
    options: Option[],
    server: Uint8Array | undefined = SERVER,
    change: Option[] = [],
  ): string | undefined {
    const ids: Option[] = [[1, dhcp6Duid(MAC)]];
    if (server !== undefined) ids.push([2, server]);
    const list = [
      ...ids.filter(([code]) => !change.some(([c]) => c === code)),
      ...change.filter(([, v]) => v.length > 0),
      ...options,
    ];
    return this.feed(dhcp6Build({ type, xid: this.last?.xid ?? 0, options: dhcp6Options(list) }));
  }

  feed(payload: Uint8Array, port = 547): string | undefined {
    return this.client.handle(this.now, { socket: 0, peer: { ...ROUTER, port }, payload });
  }

  solicit(): this {
    this.client.start(this.now, "stateful");
    this.tick();
    expect(this.sent()).toEqual(["solicit"]);
    return this;
  }

  bind(options = GOOD): this {
    this.solicit();
    this.reply(REPLY, [...options, RAPID]);
    expect(this.events()).toEqual([`bound ${ADDRESS}`]);
    return this;
  }
}

test("solicit, advertise, request, reply: a lease with everything in it (RFC 8415 18.2.1, 18.2.2, 18.2.10.1)", () => {
  const d = new Dhcp6Dialogue();
  d.client.start(d.now, "stateful");
  expect(d.sent()).toEqual([]);
  expect(d.tick()).toBeLessThanOrEqual(1000); // SOL_MAX_DELAY
  expect(d.sent()).toEqual(["solicit"]);
  const solicit = d.last as Dhcp6Message;
  expect([...solicit.options.keys()]).toEqual([1, 8, 3, 6, 14]);
  expect(dhcp6Option(solicit.options, OPTION6_REQUEST)).toEqual(Uint8Array.of(0, 23, 0, 24, 0, 82));
  expect(d.reply(ADVERTISE, GOOD)).toBeUndefined();
  expect(d.sent()).toEqual([]);
  const wait = d.tick();
  expect(wait).toBeGreaterThanOrEqual(1000);
  expect(wait).toBeLessThanOrEqual(1100);
  expect(d.sent()).toEqual([`request to 1 ${ADDRESS}`]);
  expect(d.last?.xid).not.toBe(solicit.xid);
  const asked = d.now;
  d.now += 300;
  expect(d.reply(REPLY, [...GOOD, DOMAINS])).toBeUndefined();
  expect(d.client.pollEvent()).toEqual({
    kind: "bound",
    lease: {
      address: parseIp(ADDRESS)!,
      serverId: SERVER,
      t1: asked + 500_000,
      t2: asked + 800_000,
      preferredUntil: asked + 1_000_000,
      expires: asked + 2_000_000,
      dns: [parseIp("2001:db8:1::53")!],
      domains: ["lan"],
    },
  });
  expect([d.client.state, d.client.pollAt()]).toEqual(["bound", asked + 500_000]);
});

test("of several offers the one with the highest preference is taken after the first interval, of equal ones the first; 255 at once (RFC 8415 18.2.1, 18.2.9)", () => {
  const preference = (n: number): Option => [7, Uint8Array.of(n)];
  const d = new Dhcp6Dialogue().solicit();
  d.reply(ADVERTISE, [...GOOD, preference(3)], OTHER);
  d.reply(ADVERTISE, [...GOOD, preference(3)], SERVER);
  d.reply(ADVERTISE, GOOD, SERVER);
  d.tick();
  expect(d.sent()).toEqual([`request to 2 ${ADDRESS}`]);
  const e = new Dhcp6Dialogue().solicit();
  e.reply(ADVERTISE, [...GOOD, preference(254)], OTHER);
  expect(e.sent()).toEqual([]);
  e.reply(ADVERTISE, [...GOOD, preference(255)], SERVER);
  expect(e.sent()).toEqual([`request to 1 ${ADDRESS}`]);
});

test("a silent network is asked again after 1, 2, 4 ... 3600 s, each a tenth off, for ever; the elapsed time grows (RFC 8415 15, 18.2.1)", () => {
  const d = new Dhcp6Dialogue().solicit();
  const [xid, at] = [d.last?.xid, d.now];
  let rt = 0;
  for (let i = 0; i < 20; i++) {
    const wait = d.tick();
    if (i === 0) expect(wait).toBeGreaterThanOrEqual(1000);
    const base = Math.min(i === 0 ? 1000 : 2 * rt, 3_600_000);
    expect(Math.abs(wait - base)).toBeLessThanOrEqual((base === 3_600_000 ? base : Math.max(rt, 1000)) / 10 + 1e-6);
    rt = wait;
    expect(d.sent()).toEqual(["solicit"]);
    expect(d.last?.xid).toBe(xid as number);
    const elapsed = Math.min(65_535, Math.floor((d.now - at) / 10));
    expect(dhcp6Option((d.last as Dhcp6Message).options, OPTION6_ELAPSED_TIME)).toEqual(dhcp6Uint16(elapsed));
  }
  // Whoever comes so late is taken at once.
  d.reply(ADVERTISE, GOOD);
  expect(d.sent()).toEqual([`request to 1 ${ADDRESS}`]);
});

test("SOL_MAX_RT of a server that has nothing to give is heeded, from 60 to 86400 s (RFC 8415 18.2.9, 21.24)", () => {
  const longest = (...values: number[]): number => {
    const d = new Dhcp6Dialogue().solicit();
    for (const v of values)
      expect(d.reply(ADVERTISE, [ia(0, 0, [status(2)]), [82, Uint8Array.from(uint32(v))]])).toBe("refused");
    let wait = 0;
    for (let i = 0; i < 25; i++) wait = d.tick();
    return wait;
  };
  expect(Math.abs(longest(60) - 60_000)).toBeLessThanOrEqual(6000);
  expect(Math.abs(longest(86_400) - 86_400_000)).toBeLessThanOrEqual(8_640_000);
  expect(Math.abs(longest(60, 59, 86_401) - 60_000)).toBeLessThanOrEqual(6000);
});

test("a request without an answer is repeated 10 times within half a minute's pauses, then there is a new search (RFC 8415 18.2.2)", () => {
  const d = new Dhcp6Dialogue().solicit();
  d.reply(ADVERTISE, GOOD);
  let sent: string[] = [];
  for (let i = 0; i < 11; i++) {
    expect(d.tick()).toBeLessThanOrEqual(33_000);
    sent.push(...d.sent());
  }
  expect(sent).toEqual(Array(10).fill(`request to 1 ${ADDRESS}`));
  expect(d.client.state).toBe("soliciting");
  sent = [];
  while (sent.length === 0) {
    d.tick();
    sent = d.sent();
  }
  expect(sent).toEqual(["solicit"]);
});

test("who refuses what was offered is asked again later each time, at most every minute", () => {
  const d = new Dhcp6Dialogue().solicit();
  const waits: number[] = [];
  for (let i = 0; i < 9; i++) {
    d.reply(ADVERTISE, [...GOOD, [7, Uint8Array.of(255)]]);
    expect(d.sent()).toHaveLength(1);
    expect(d.reply(REPLY, [ia(0, 0, [status(2)])])).toBe("refused");
    waits.push(d.tick());
    expect(d.sent()).toEqual(["solicit"]);
  }
  for (const [i, wait] of waits.entries()) {
    const least = Math.min(2 ** i * 1000, 64_000);
    expect(wait).toBeGreaterThanOrEqual(least);
    expect(wait).toBeLessThanOrEqual(least + 1000);
  }
});

test("rapid commit: a reply to a solicit counts with the option only (RFC 8415 18.2.10)", () => {
  const d = new Dhcp6Dialogue().solicit();
  expect(d.reply(REPLY, GOOD)).toBe("unexpected");
  expect(d.reply(REPLY, [...GOOD, RAPID])).toBeUndefined();
  expect(d.events()).toEqual([`bound ${ADDRESS}`]);
});

test("messages that are not meant for us, from nobody or not to be are ignored by name (RFC 8415 16)", () => {
  const d = new Dhcp6Dialogue();
  expect(d.feed(Uint8Array.of(2, 0, 0, 0))).toBe("unexpected"); // stopped
  d.client.start(d.now, "stateful");
  expect(d.feed(Uint8Array.of(2, 0, 0, 0))).toBe("unexpected"); // nothing was asked yet
  d.tick();
  d.sent();
  const none = new Uint8Array();
  expect(d.reply(ADVERTISE, GOOD, SERVER, [[2, none]])).toBe("no-server-id");
  expect(d.reply(ADVERTISE, GOOD, SERVER, [[1, none]])).toBe("wrong-client");
  expect(d.reply(ADVERTISE, GOOD, SERVER, [[1, OTHER]])).toBe("wrong-client");
  expect(d.reply(ADVERTISE, GOOD, none)).toBe("no-server-id");
  expect(d.reply(1, GOOD)).toBe("unexpected");
  const message = dhcp6Build({ type: ADVERTISE, xid: (d.last as Dhcp6Message).xid ^ 1, options: dhcp6Options(GOOD) });
  expect(d.feed(message)).toBe("wrong-xid");
  expect(d.feed(message, 546)).toBe("wrong-port");
  expect(d.feed(Uint8Array.of(10, 0, 0, 0))).toBe("bad-type");
  expect(d.feed(Uint8Array.of(2, 0))).toBe("truncated");
  d.reply(ADVERTISE, [...GOOD, [7, Uint8Array.of(255)]]);
  d.sent();
  expect(d.reply(REPLY, GOOD, OTHER)).toBe("wrong-server");
  expect(d.reply(ADVERTISE, GOOD)).toBe("unexpected");
  expect(d.client.state).toBe("requesting");
  d.reply(REPLY, GOOD);
  expect(d.reply(REPLY, GOOD)).toBe("unexpected"); // bound
});

test("addresses that no host can have, of one link, of IPv4, without time or with times that cannot be are not taken (RFC 8415 21.4, 21.6)", () => {
  const offer = (...options: Option[]): string | undefined => new Dhcp6Dialogue().solicit().reply(ADVERTISE, options);
  for (const bad of ["ff02::1", "::1", "::", "fe80::5", "::ffff:192.0.2.1"])
    expect([bad, offer(ia(0, 0, [iaAddress(bad)]))]).toEqual([bad, "no-address"]);
  expect(offer(ia(0, 0, [iaAddress(ADDRESS, 0, 0)]))).toBe("no-address");
  expect(offer(ia(0, 0, [iaAddress(ADDRESS, 2001, 2000)]))).toBe("no-address");
  expect(offer(ia(0, 0, [iaAddress(ADDRESS, 1000, 2000, [status(1)])]))).toBe("no-address");
  expect(offer(ia(0, 0, []))).toBe("no-address");
  expect(offer(ia(900, 800, [iaAddress(ADDRESS)]))).toBe("bad-times");
  expect(offer(ia(0, 0, [iaAddress(ADDRESS)], 7))).toBe("no-ia");
  expect(offer(ia(0, 0, [status(2)]))).toBe("refused");
  expect(offer(...GOOD, status(1))).toBe("refused");
  expect(offer(ia(0, 0, [iaAddress("fe80::5"), iaAddress(ADDRESS)]))).toBeUndefined();
});

test("T1 and T2 that the server leaves to us are 0.5 and 0.8 of the preferred lifetime; for ever is for ever (RFC 8415 14.2, 21.4)", () => {
  const times = (option: Option): number[] => {
    const d = new Dhcp6Dialogue().bind([option]);
    const { t1, t2, preferredUntil, expires } = d.client.lease!;
    return [t1, t2, preferredUntil, expires].map((at) => (at - d.now) / 1000);
  };
  expect(times(ia(0, 0, [iaAddress(ADDRESS)]))).toEqual([500, 800, 1000, 2000]);
  expect(times(ia(300, 0, [iaAddress(ADDRESS)]))).toEqual([300, 800, 1000, 2000]);
  expect(times(ia(0, 3000, [iaAddress(ADDRESS)]))).toEqual([500, 800, 1000, 2000]);
  expect(times(ia(0, 0, [iaAddress(ADDRESS, 0, 2000)]))).toEqual([1000, 1600, 0, 2000]);
  expect(times(ia(0, 0, [iaAddress(ADDRESS, 1, 1)]))[3]).toBe(4);
  const ever = 0xffff_ffff;
  const never = Number.POSITIVE_INFINITY;
  expect(times(ia(0, 0, [iaAddress(ADDRESS, ever, ever)]))).toEqual([never, never, never, never]);
  expect(times(ia(ever, ever, [iaAddress(ADDRESS)]))).toEqual([500, 800, 1000, 2000]);
});

test("at T1 the server is asked to renew, at T2 all are, and at the end the lease is lost (RFC 8415 18.2.4, 18.2.5)", () => {
  const d = new Dhcp6Dialogue().bind();
  const from = d.now;
  d.tick();
  expect(d.now).toBe(from + 500_000);
  expect(d.sent()).toEqual([`renew to 1 ${ADDRESS}`]);
  const wait = d.tick();
  expect(Math.abs(wait - 10_000)).toBeLessThanOrEqual(1000); // REN_TIMEOUT
  expect(d.sent()).toEqual([`renew to 1 ${ADDRESS}`]);
  expect(d.reply(REPLY, GOOD, OTHER)).toBe("wrong-server");
  d.to(from + 800_000);
  expect(d.sent().at(-1)).toBe(`rebind ${ADDRESS}`);
  expect(d.reply(REPLY, GOOD, OTHER)).toBeUndefined(); // whoever answers now is the server
  expect(d.events()).toEqual([`renewed ${ADDRESS}`]);
  d.to(d.client.lease!.t1);
  expect(d.sent()).toEqual([`renew to 2 ${ADDRESS}`]);
  const { expires } = d.client.lease!;
  d.to(expires - 1);
  d.sent();
  d.to(expires);
  expect(d.events()).toEqual([`expired ${ADDRESS}`]);
  d.tick();
  expect(d.sent()).toEqual([`solicit ${ADDRESS}`]);
});

test("of a lease whose renewal was slept through all servers are asked at once (RFC 8415 18.2.5)", () => {
  const d = new Dhcp6Dialogue().bind();
  d.to(d.client.lease!.t2);
  expect(d.sent()).toEqual([`rebind ${ADDRESS}`]);
});

test("a renewal may bring other DNS servers, or another address in the place of one that ended (RFC 8415 18.2.10.1)", () => {
  const d = new Dhcp6Dialogue().bind();
  d.tick();
  d.sent();
  d.reply(REPLY, [ia(500, 800, [iaAddress(ADDRESS)])]);
  expect(d.events()).toEqual([`changed ${ADDRESS}`]);
  expect(d.client.lease?.dns).toEqual([]);
  d.tick();
  d.sent();
  d.reply(REPLY, [ia(500, 800, [iaAddress("2001:db8:1::200"), iaAddress(ADDRESS)])]);
  expect(d.events()).toEqual([`renewed ${ADDRESS}`]); // ours, where it is among them
  d.tick();
  d.sent();
  d.reply(REPLY, [ia(500, 800, [iaAddress(ADDRESS, 0, 0), iaAddress("2001:db8:1::200")])]);
  expect(d.events()).toEqual(["changed 2001:db8:1::200"]);
});

test("a lifetime of 0 ends the lease at once; an answer that says nothing of it does not (RFC 8415 18.2.10.1)", () => {
  const d = new Dhcp6Dialogue().bind();
  d.tick();
  d.sent();
  expect(d.reply(REPLY, [ia(500, 800, [])])).toBe("no-address");
  expect(d.reply(REPLY, [status(1)])).toBe("refused");
  expect([d.client.state, d.events()]).toEqual(["renewing", []]);
  expect(d.reply(REPLY, [ia(500, 800, [iaAddress(ADDRESS, 0, 0)])])).toBe("no-address");
  expect([d.client.state, d.events()]).toEqual(["soliciting", [`expired ${ADDRESS}`]]);
});

test("a server that has forgotten us is asked for the same address, which is used meanwhile (RFC 8415 18.2.10.1)", () => {
  const d = new Dhcp6Dialogue().bind();
  d.tick();
  d.sent();
  expect(d.reply(REPLY, [ia(0, 0, [status(3)])])).toBe("refused");
  expect(d.sent()).toEqual([`request to 1 ${ADDRESS}`]);
  expect(d.events()).toEqual([]);
  d.reply(REPLY, GOOD);
  expect(d.events()).toEqual([`renewed ${ADDRESS}`]);
  // One that then refuses is left, and the lease with it.
  d.tick();
  d.sent();
  d.reply(REPLY, [ia(0, 0, [status(3)])]);
  d.sent();
  d.reply(REPLY, [ia(0, 0, [status(3)])]);
  expect([d.client.state, d.events()]).toEqual(["soliciting", [`expired ${ADDRESS}`]]);
});

test("an address that another host has is declined, four times within 15 s unless the server answers, and another one asked for (RFC 8415 18.2.8)", () => {
  const d = new Dhcp6Dialogue().bind();
  d.client.decline(d.now);
  const at = d.now;
  const sent = d.sent();
  while (d.client.state === "declining") {
    d.tick();
    sent.push(...d.sent());
  }
  expect(sent).toEqual(Array(4).fill(`decline to 1 ${ADDRESS}`));
  expect(d.now - at).toBeGreaterThan(10_000);
  d.tick();
  expect(d.sent()).toEqual(["solicit"]);
  const e = new Dhcp6Dialogue().bind();
  e.client.decline(e.now);
  e.sent();
  expect(e.reply(REPLY, [status(0)])).toBeUndefined();
  expect(e.client.state).toBe("soliciting");
});

test("a lease outlives a flap: confirmed, or not contradicted within 10 s, it goes on; not on this link it is lost (RFC 8415 18.2.3)", () => {
  const flap = (): Dhcp6Dialogue => {
    const d = new Dhcp6Dialogue().bind();
    d.client.stop();
    expect([d.client.pollAt(), d.client.pollTransmit()]).toEqual([Number.POSITIVE_INFINITY, undefined]);
    d.client.start(d.now, "stateful");
    d.tick();
    expect(d.sent()).toEqual([`confirm ${ADDRESS}`]);
    return d;
  };
  const d = flap();
  expect(d.reply(REPLY, [status(0)], OTHER)).toBeUndefined();
  expect(d.events()).toEqual([`bound ${ADDRESS}`]);
  const e = flap();
  e.reply(REPLY, [status(4)]);
  expect([e.client.state, e.events()]).toEqual(["soliciting", [`expired ${ADDRESS}`]]);
  e.tick();
  expect(e.sent()).toEqual(["solicit"]);
  const f = flap();
  const at = f.now;
  while (f.client.state === "confirming") f.tick();
  expect(f.now - at).toBe(10_000);
  expect(f.sent().length).toBeGreaterThan(2);
  expect(f.events()).toEqual([`bound ${ADDRESS}`]);
});

test("the end: one RELEASE for what is used, none for what is not (RFC 8415 18.2.7)", () => {
  const d = new Dhcp6Dialogue().bind();
  d.client.release();
  expect(d.sent()).toEqual([`release to 1 ${ADDRESS}`]);
  expect([...(d.last as Dhcp6Message).options.keys()]).toEqual([1, 2, 8, 3]);
  expect(d.client.state).toBe("stopped");
  d.client.release();
  expect(d.sent()).toEqual([]);
  const e = new Dhcp6Dialogue().solicit();
  e.client.release();
  expect(e.sent()).toEqual([]);
});

test("stateless: DNS servers without an address, again after the refresh time of a day, or what the server says from 600 s on (RFC 8415 18.2.6, 21.23)", () => {
  const d = new Dhcp6Dialogue();
  const refresh = (s: number): Option => [32, Uint8Array.from(uint32(s))];
  d.client.start(d.now, "stateless");
  d.tick();
  expect(d.sent()).toEqual(["information-request"]);
  expect([...(d.last as Dhcp6Message).options.keys()]).toEqual([1, 8, 6]);
  expect(dhcp6Option((d.last as Dhcp6Message).options, OPTION6_REQUEST)).toEqual(
    Uint8Array.of(0, 23, 0, 24, 0, 32, 0, 83),
  );
  expect(d.reply(ADVERTISE, [DNS])).toBe("unexpected");
  expect(d.reply(REPLY, [status(1)])).toBe("refused");
  expect(d.reply(REPLY, [DNS, DOMAINS], SERVER, [[1, new Uint8Array()]])).toBeUndefined();
  expect(d.events()).toEqual(["info 2001:db8:1::53 lan"]);
  expect(d.client.pollAt() - d.now).toBe(86_400_000);
  for (const [given, taken] of [
    [3600, 3600],
    [5, 600],
  ] as const) {
    d.to(d.client.pollAt());
    d.tick();
    expect(d.sent()).toEqual(["information-request"]);
    d.reply(REPLY, [DNS, refresh(given)]);
    expect(d.client.pollAt() - d.now).toBe(taken * 1000);
  }
});

test("DNS servers that cannot be are left out, doubles as well, and there are at most 8", () => {
  const list = [
    "::1",
    "ff02::fb",
    "fe80::53",
    "2001:db8::1",
    "2001:db8::1",
    ...[2, 3, 4, 5, 6, 7, 8, 9].map((n) => `2001:db8::${n}`),
  ];
  const d = new Dhcp6Dialogue().bind([GOOD[0] as Option, [23, Uint8Array.from(list.flatMap(bytes))]]);
  expect(d.client.lease?.dns.join(" ")).toBe(
    "fe80::53 2001:db8::1 2001:db8::2 2001:db8::3 2001:db8::4 2001:db8::5 2001:db8::6 2001:db8::7",
  );
});

test("whatever the time and the messages: it asks for a time that is to come, and leases have times in order", () => {
  const step = fc.oneof(
    fc.record({
      kind: fc.constant("start" as const),
      mode: fc.constantFrom("stateful" as const, "stateless" as const),
    }),
    ...(["stop", "release", "decline", "tick"] as const).map((kind) => fc.record({ kind: fc.constant(kind) })),
    fc.record({ kind: fc.constant("wait" as const), ms: fc.nat(10_000_000) }),
    fc.record({
      kind: fc.constant("reply" as const),
      type: fc.constantFrom(ADVERTISE, REPLY),
      t1: fc.nat(3000),
      t2: fc.nat(3000),
      preferred: fc.nat(3000),
      valid: fc.nat(4000),
      codes: fc.tuple(fc.constantFrom(0, 0, 0, 2, 3, 4), fc.constantFrom(0, 0, 0, 1, 4)),
      server: fc.constantFrom(SERVER, SERVER, OTHER),
    }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.nat(), (steps, seed) => {
      const d = new Dhcp6Dialogue(seed);
      for (const s of steps) {
        if (s.kind === "start") d.client.start(d.now, s.mode);
        else if (s.kind === "stop") d.client.stop();
        else if (s.kind === "release") d.client.release();
        else if (s.kind === "decline") d.client.decline(d.now);
        else if (s.kind === "wait") d.to(d.now + s.ms);
        else if (s.kind === "tick") {
          if (d.client.pollAt() !== Number.POSITIVE_INFINITY) d.tick();
        } else if (s.kind === "reply") {
          const options = [
            ia(s.t1, s.t2, [iaAddress(ADDRESS, s.preferred, s.valid), status(s.codes[0])]),
            status(s.codes[1]),
            RAPID,
          ];
          d.reply(s.type, options, s.server);
        }
        if (s.kind === "wait" || s.kind === "tick") expect(d.client.pollAt()).toBeGreaterThan(d.now);
        expect(d.sent().length).toBeLessThanOrEqual(2);
        d.events();
        const { lease } = d.client;
        if (lease === undefined) continue;
        expect(lease.t1).toBeLessThanOrEqual(lease.t2);
        expect(lease.t2).toBeLessThanOrEqual(lease.expires);
        expect(lease.preferredUntil).toBeLessThanOrEqual(lease.expires);
      }
    }),
  );
});
