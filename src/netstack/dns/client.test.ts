import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { IpAddress, parseIpv4 } from "../../lib/ip.ts";
import { seededRandom } from "../../lib/random.ts";
import { DNS_A } from "../wire/dns.ts";
import { DnsCache } from "./cache.ts";
import { DnsClient, type DnsEvent } from "./client.ts";
import type { Dial } from "./dials.ts";

const ip = (text: string): IpAddress => parseIpv4(text) as IpAddress;
const S1 = ip("10.0.0.1");
const S2 = ip("10.0.0.2");
const ADDRESS = ip("198.51.100.7");

interface Asked {
  readonly server: IpAddress;
  readonly type: number;
  readonly socket: number;
  readonly edns: boolean;
  readonly payload: Uint8Array;
}

interface Reply {
  readonly rcode?: number;
  readonly ttl?: number;
  readonly truncated?: boolean;
  /** 4 or 16 bytes each, owned by the question's name. */
  readonly addresses?: readonly Uint8Array[];
}

class DnsDialogue {
  readonly client = new DnsClient({
    random: seededRandom(9),
    refuse: (address) => (address.equals(ip("192.168.50.1")) ? "our own address" : undefined),
  });
  now = 1000;

  constructor(servers: readonly IpAddress[] = [S1, S2]) {
    this.client.setServers(servers);
  }

  asked(): Asked[] {
    const out: Asked[] = [];
    for (let t = this.client.pollTransmit(); t; t = this.client.pollTransmit()) {
      const edns = t.payload[11] === 1;
      const type = t.payload[t.payload.length - (edns ? 14 : 3)] as number;
      out.push({ server: t.peer.address, type, socket: t.socket, edns, payload: t.payload });
    }
    return out;
  }

  reply(q: Asked, r: Reply, from = q.server, socket = q.socket, port = 53): string | undefined {
    return this.client.handle(this.now, { socket, peer: { address: from, port }, payload: answer(q, r) });
  }

  events(): DnsEvent[] {
    const out: DnsEvent[] = [];
    for (let e = this.client.pollEvent(); e; e = this.client.pollEvent()) out.push(e);
    return out;
  }

  tick(): number {
    const before = this.now;
    this.now = this.client.pollAt();
    this.client.handleTimeout(this.now);
    return this.now - before;
  }
}

function answer(q: Asked, r: Reply): Uint8Array {
  const question = q.payload.slice(0, q.payload.length - (q.edns ? 11 : 0));
  const records = (r.addresses ?? []).map((a) => {
    const ttl = r.ttl ?? 300;
    return [0xc0, 12, 0, q.type, 0, 1, ttl >>> 24, (ttl >>> 16) & 255, (ttl >>> 8) & 255, ttl & 255, 0, a.length, ...a];
  });
  question[2] = 0x81 | (r.truncated ? 2 : 0);
  question[3] = 0x80 | (r.rcode ?? 0);
  question[7] = records.length;
  question[11] = 0;
  return Uint8Array.of(...question, ...records.flat());
}

const V4 = Uint8Array.of(198, 51, 100, 7);
const V6 = Uint8Array.from({ length: 16 }, (_, i) => i);

/** Asks for vpn.example and gives the two questions. */
function ask(d: DnsDialogue): [Asked, Asked] {
  d.client.query(d.now, "VPN.example");
  const [a, aaaa, ...more] = d.asked();
  if (!a || !aaaa || more.length > 0) throw new Error("expected two questions");
  expect([a.type, aaaa.type]).toEqual([1, 28]);
  return [a, aaaa];
}

const brief = (events: DnsEvent[]): string[] =>
  events.map((e) =>
    e.kind === "failed" ? e.reason : `${e.stale === undefined ? "server" : "stale"} ${e.ipv4} ${e.ipv6.length}`,
  );

test("both families are asked at once, with ids of their own; the answer has both", () => {
  const d = new DnsDialogue();
  const [a, aaaa] = ask(d);
  expect(a.payload.slice(0, 2)).not.toEqual(aaaa.payload.slice(0, 2));
  expect(a.socket).toBe(aaaa.socket);
  expect(d.reply(aaaa, { addresses: [V6], ttl: 20 })).toBeUndefined();
  expect(d.reply(a, { addresses: [V4] })).toBeUndefined();
  expect(d.events()).toEqual([
    {
      kind: "answer",
      id: 1,
      name: "VPN.example",
      ipv4: [ADDRESS],
      ipv6: [IpAddress.fromBytes(V6)],
      stale: undefined,
    },
  ]);
  expect([d.client.pollAt(), d.client.sockets.has(1)]).toEqual([Number.POSITIVE_INFINITY, false]);
});

test("with A there, AAAA that is empty, refused, broken or says that the name is not there is no failure", () => {
  for (const bad of [{}, { rcode: 2 }, { rcode: 3 }, { rcode: 4 }, { rcode: 5 }]) {
    for (const first of [true, false]) {
      const d = new DnsDialogue();
      const [a, aaaa] = ask(d);
      if (first) d.reply(aaaa, bad);
      d.reply(a, { addresses: [V4] });
      if (!first) d.reply(aaaa, bad);
      expect(brief(d.events())).toEqual(["server 198.51.100.7 0"]);
      expect(d.asked()).toEqual([]);
    }
  }
});

test("with AAAA there, A that is empty or refused by all is no failure either", () => {
  const d = new DnsDialogue([S1]);
  let [a, aaaa] = ask(d);
  d.reply(aaaa, { addresses: [V6] });
  d.reply(a, { rcode: 2 });
  expect(brief(d.events())).toEqual(["server  1"]);
  [a, aaaa] = ask(d);
  d.reply(a, {});
  d.reply(aaaa, { addresses: [V6] });
  expect(brief(d.events())).toEqual(["server  1"]);
});

test("a missing AAAA is waited for 300 ms, a missing A 2 s", () => {
  const d = new DnsDialogue();
  const [a] = ask(d);
  d.now += 100;
  d.reply(a, { addresses: [V4] });
  expect(d.events()).toEqual([]);
  expect(d.tick()).toBe(300);
  expect(brief(d.events())).toEqual(["server 198.51.100.7 0"]);
  const e = new DnsDialogue();
  const [, aaaa] = ask(e);
  e.now += 100;
  e.reply(aaaa, { addresses: [V6] });
  let waited = 0;
  while (e.client.sockets.has(1)) waited += e.tick();
  expect([waited, brief(e.events())]).toEqual([2000, ["server  1"]]);
});

test("silent servers are asked in turn, 2 s each, longer from round to round, for 16 s in all", () => {
  const d = new DnsDialogue();
  ask(d);
  const trace: string[] = [];
  const start = d.now;
  while (d.client.sockets.has(1)) {
    const waited = d.tick();
    trace.push(`${waited} ${[...new Set(d.asked().map((q) => `${q.server}`))]}`);
  }
  expect(trace).toEqual(["2000 10.0.0.2", "2000 10.0.0.1", "3000 10.0.0.2", "3000 10.0.0.1", "4000 10.0.0.2", "2000 "]);
  expect(d.now - start).toBe(16_000);
  const [event] = d.events();
  expect(event).toMatchObject({ kind: "failed", reason: "timeout" });
  expect(event).toMatchObject({ text: expect.stringContaining("10.0.0.1, 10.0.0.2") });
});

test("a late answer to an earlier attempt still counts", () => {
  const d = new DnsDialogue();
  const [a] = ask(d);
  d.tick();
  d.reply(a, { addresses: [V4] });
  d.tick();
  expect(brief(d.events())).toEqual(["server 198.51.100.7 0"]);
});

test("a server that refuses is passed over at once; when all do, that is the failure", () => {
  const d = new DnsDialogue();
  const [a, aaaa] = ask(d);
  d.reply(a, { rcode: 5 });
  d.reply(aaaa, { rcode: 5 });
  const [b, bbbb] = d.asked() as [Asked, Asked];
  expect([b.server, bbbb.server]).toEqual([S2, S2]);
  d.reply(b, { rcode: 5 });
  d.reply(bbbb, { rcode: 5 });
  const [event] = d.events();
  expect(event).toMatchObject({ kind: "failed", reason: "refused" });
  expect(event).toMatchObject({ text: expect.stringContaining("refused the question") });
});

test("a server that refused is not asked again while another is only silent; its late refusal says nothing about that one", () => {
  const d = new DnsDialogue();
  const [a, aaaa] = ask(d);
  d.tick();
  const [b, bbbb] = d.asked() as [Asked, Asked];
  d.reply(a, { rcode: 5 });
  d.reply(aaaa, { rcode: 5 });
  expect([d.asked(), d.events()]).toEqual([[], []]);
  d.reply(b, { rcode: 2 });
  d.reply(bbbb, { rcode: 2 });
  const servers: IpAddress[] = [];
  while (d.client.sockets.has(1)) {
    servers.push(...d.asked().map((q) => q.server));
    d.tick();
  }
  expect(servers.length).toBeGreaterThan(4);
  expect(new Set(servers)).toEqual(new Set([S1]));
});

test("A refused and AAAA never answered by the only server: refused, after one attempt", () => {
  const d = new DnsDialogue([S1]);
  const [a] = ask(d);
  d.reply(a, { rcode: 5 });
  expect(d.tick()).toBe(2000);
  expect(brief(d.events())).toEqual(["refused"]);
});

test("EDNS0 that a server cannot read counts as its refusal", () => {
  const d = new DnsDialogue();
  const [a, aaaa] = ask(d);
  d.reply(aaaa, {});
  d.reply(a, { truncated: true });
  const [again] = d.asked() as [Asked];
  d.reply(again, { rcode: 1 });
  const [other] = d.asked() as [Asked];
  expect([other.server, other.type]).toEqual([S2, DNS_A]);
  d.reply(other, { addresses: [V4] });
  expect(brief(d.events())).toEqual(["server 198.51.100.7 0"]);
});

test("a name that is not there, and one without addresses", () => {
  const d = new DnsDialogue();
  for (const [ra, r6, reason] of [
    [{ rcode: 3 }, { rcode: 3 }, "nxdomain"],
    [{}, {}, "no-address"],
    [{}, { rcode: 3 }, "no-address"],
    [{ rcode: 3 }, {}, "nxdomain"],
  ] as const) {
    const [a, aaaa] = ask(d);
    d.reply(aaaa, r6);
    d.reply(a, ra);
    expect(brief(d.events())).toEqual([reason]);
  }
  // AAAA never answered: the word of A is enough soon.
  const [a] = ask(d);
  d.reply(a, { rcode: 3 });
  expect(d.tick()).toBe(300);
  expect(brief(d.events())).toEqual(["nxdomain"]);
});

test("forged answers are refused by name: other id, server, socket, name, type (RFC 5452 9.1)", () => {
  const d = new DnsDialogue();
  const [a] = ask(d);
  const reply = { addresses: [V4] };
  const otherId = { ...a, payload: a.payload.slice() };
  otherId.payload[0] = (otherId.payload[0] as number) ^ 1;
  expect(d.reply(otherId, reply)).toBe("unexpected");
  expect(d.reply({ ...a, payload: a.payload.with(a.payload.length - 3, 28) }, reply)).toBe("unexpected");
  expect(d.reply(a, reply, S2)).toBe("wrong-server");
  expect(d.reply(a, reply, S1, a.socket + 1)).toBe("wrong-socket");
  expect(d.reply({ ...a, payload: a.payload.with(13, 0x77) }, reply)).toBe("wrong-question");
  const peer = { address: S1, port: 53 };
  expect(d.client.handle(d.now, { socket: 1, peer, payload: Uint8Array.of(1, 2) })).toBe("truncated");
  expect(d.reply(a, reply, S1, a.socket, 5353)).toBe("wrong-server");
  expect(d.events()).toEqual([]);
  // The case of the name does not count.
  expect(d.reply({ ...a, payload: a.payload.with(13, 0x76) }, reply)).toBeUndefined();
  expect(d.reply(a, reply)).toBe("unexpected");
});

test("a truncated answer is used as far as it goes; an empty one is asked for again with EDNS0", () => {
  const d = new DnsDialogue();
  const [a, aaaa] = ask(d);
  d.reply(aaaa, {});
  d.reply(a, { truncated: true });
  const [again] = d.asked() as [Asked];
  expect([again.edns, again.server, again.type]).toEqual([true, S1, DNS_A]);
  d.reply(again, { truncated: true, addresses: [V4] });
  expect(brief(d.events())).toEqual(["server 198.51.100.7 0"]);
});

describe("what is empty and truncated even with EDNS0", () => {
  /** A of S1 fits nowhere; AAAA is empty. */
  function cut(servers?: readonly IpAddress[]): [DnsDialogue, Dial] {
    const d = new DnsDialogue(servers);
    const [a, aaaa] = ask(d);
    d.reply(aaaa, {});
    d.reply(a, { truncated: true });
    d.reply(d.asked()[0]!, { truncated: true });
    expect(d.asked()).toEqual([]);
    return [d, d.client.pollDial()!];
  }
  /** @param spoilt the place of a byte that is another one than it should be */
  const reply = (d: DnsDialogue, { id, server, question }: Dial, r: Reply, spoilt?: number): void => {
    const bytes = answer({ server: server.address, type: DNS_A, socket: 0, edns: true, payload: question }, r);
    if (spoilt !== undefined) bytes[spoilt] = bytes[spoilt]! ^ 1;
    d.client.handleMessage(d.now, id, bytes);
  };

  test("is asked for by TCP, at the same server, which has 3 s; the answer counts, and nothing is left over (RFC 7766 5)", () => {
    const [d, dial] = cut();
    expect([dial.server, dial.tls]).toEqual([{ address: S1, port: 53 }, undefined]);
    d.now += 2500;
    d.client.handleTimeout(d.now);
    expect([d.asked(), d.events()]).toEqual([[], []]);
    reply(d, dial, { addresses: Array.from({ length: 40 }, () => V4) });
    const [event] = d.events();
    expect(event).toMatchObject({ kind: "answer", ipv4: Array.from({ length: 32 }, () => ADDRESS) });
    expect([d.client.pollHangUp(), d.client.pollHangUp()]).toEqual([dial.id, undefined]);
  });

  test("and cannot be had so either says nothing about the name: another server is asked (RFC 2181 9)", () => {
    const ends: ((d: DnsDialogue, dial: Dial) => void)[] = [
      (d, dial) => d.client.handleDialEnd(d.now, dial.id),
      (d, dial) => reply(d, dial, { truncated: true }),
      (d, dial) => reply(d, dial, { rcode: 5 }),
      (d, dial) => reply(d, dial, { addresses: [V4] }, 0),
      (d, dial) => reply(d, dial, { addresses: [V4] }, 13),
      (d, dial) => d.client.handleMessage(d.now, dial.id, Uint8Array.of(1, 2, 3)),
      (d) => void d.tick(),
    ];
    for (const end of ends) {
      const [d, dial] = cut();
      end(d, dial);
      const [other] = d.asked() as [Asked];
      expect([other.server, other.type]).toEqual([S2, DNS_A]);
    }
    const [d, dial] = cut([S1]);
    d.client.handleDialEnd(d.now, dial.id);
    expect(d.events()[0]).toMatchObject({ reason: "refused", text: expect.stringContaining("gives none by TCP") });
  });

  test("an answer by UDP to what was asked by TCP, or one that nobody waits for, does not count", () => {
    const [d, dial] = cut();
    const asked = { server: S1, type: DNS_A, socket: 1, edns: true, payload: dial.question };
    expect(d.reply(asked, { addresses: [V4] })).toBe("unexpected");
    d.client.cancel(1);
    reply(d, dial, { addresses: [V4] });
    d.client.handleDialEnd(d.now, dial.id);
    expect([d.events(), d.asked(), d.client.pollHangUp()]).toEqual([[], [], dial.id]);
  });
});

test("a name is asked for each time; its last answer stands in for silent servers only, after 4 s, saying so", () => {
  const d = new DnsDialogue();
  let [a, aaaa] = ask(d);
  d.reply(aaaa, {});
  d.reply(a, { addresses: [V4], ttl: 600 });
  expect(brief(d.events())).toEqual(["server 198.51.100.7 0"]);
  // It moved: whoever asks again is told at once.
  [a, aaaa] = ask(d);
  d.reply(aaaa, {});
  d.reply(a, { addresses: [Uint8Array.of(198, 51, 100, 8)] });
  expect(brief(d.events())).toEqual(["server 198.51.100.8 0"]);
  ask(d);
  const since = d.now;
  const servers = new Set<string>();
  while (d.client.sockets.has(3)) {
    d.tick();
    for (const q of d.asked()) servers.add(`${q.server}`);
  }
  expect([...servers]).toEqual(["10.0.0.2"]);
  expect(d.now - since).toBe(4000);
  const [stale] = d.events();
  expect(stale).toMatchObject({ kind: "answer", stale: expect.stringContaining("no answer") });
  expect(brief([stale as DnsEvent])).toEqual(["stale 198.51.100.8 0"]);
  [a, aaaa] = ask(d);
  d.reply(aaaa, { rcode: 3 });
  d.reply(a, { rcode: 3 });
  expect(brief(d.events())).toEqual(["nxdomain"]);
  d.client.setServers([]);
  d.client.query(d.now, "vpn.example.");
  expect(brief(d.events())).toEqual(["stale 198.51.100.8 0"]);
  d.now += 24 * 3_600_000 + 300_000;
  d.client.query(d.now, "vpn.example");
  expect(brief(d.events())).toEqual(["no-servers"]);
});

test("the last answer is remembered for a day past its TTL, of which at most an hour counts (and a top bit is 0, RFC 2181 8)", () => {
  for (const [ttl, hours] of [
    [0, 24],
    [0x80000001, 24],
    [90_000, 25],
  ] as const) {
    const d = new DnsDialogue();
    const [a, aaaa] = ask(d);
    d.reply(aaaa, {});
    d.reply(a, { addresses: [V4], ttl });
    d.client.setServers([]);
    d.events();
    d.now += hours * 3_600_000 - 1;
    d.client.query(d.now, "vpn.example");
    d.now += 1;
    d.client.query(d.now, "vpn.example");
    expect(brief(d.events())).toEqual(["stale 198.51.100.7 0", "no-servers"]);
  }
});

test("addresses that no host can have are never given: a resolver that blocks names is named, and nothing of it is kept", () => {
  const cases: [number[], string, string][] = [
    [[0, 0, 0, 0], "blocked", "the resolver blocks this name: the DNS server 10.0.0.1 gives 0.0.0.0"],
    [[127, 0, 0, 1], "blocked", "the resolver blocks this name"],
    [[255, 255, 255, 255], "unusable", 'gives 255.255.255.255 for "VPN.example", which is no address of a host'],
    [[224, 0, 0, 1], "unusable", "which is no address of a host"],
    [[240, 0, 0, 1], "unusable", "which is no address of a host"],
    [[0, 1, 2, 3], "unusable", "which is no address of a host"],
    [[192, 168, 50, 1], "unusable", 'gives 192.168.50.1 for "VPN.example", which is our own address'],
  ];
  for (const [bytes, reason, text] of cases) {
    const d = new DnsDialogue();
    let [a, aaaa] = ask(d);
    d.reply(a, { addresses: [Uint8Array.from(bytes)] });
    d.reply(aaaa, { addresses: [new Uint8Array(16)] });
    expect(d.events()).toMatchObject([{ kind: "failed", reason, text: expect.stringContaining(text) }]);
    d.client.setServers([]);
    d.client.query(d.now, "vpn.example");
    expect(brief(d.events())).toEqual(["no-servers"]);
    // Beside a good one they are left out.
    d.client.setServers([S1]);
    [a, aaaa] = ask(d);
    d.reply(aaaa, {});
    d.reply(a, { addresses: [Uint8Array.from(bytes), V4] });
    expect(brief(d.events())).toEqual(["server 198.51.100.7 0"]);
  }
});

test("a bad name, no servers and too many questions fail at once", () => {
  const d = new DnsDialogue();
  d.client.query(d.now, "no good");
  expect(brief(d.events())).toEqual(["bad-name"]);
  for (let i = 0; i < 33; i++) d.client.query(d.now, `n${i}.example`);
  expect(brief(d.events())).toEqual(["busy"]);
});

test("new servers are used from the next attempt on; cancelled queries send nothing more", () => {
  const d = new DnsDialogue();
  ask(d);
  d.client.setServers([ip("10.0.0.9")]);
  d.tick();
  expect(d.asked().map((q) => `${q.server}`)).toEqual(["10.0.0.9", "10.0.0.9"]);
  d.tick();
  d.client.cancel(1);
  expect([d.asked(), d.client.pollAt()]).toEqual([[], Number.POSITIVE_INFINITY]);
});

test("every query ends with one event within 16 s, whatever is answered", () => {
  const move = fc.record({
    pick: fc.nat(),
    rcode: fc.constantFrom(0, 0, 1, 2, 3, 4, 5),
    truncated: fc.boolean(),
    n: fc.nat(2),
    bad: fc.boolean(),
    tick: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(move, { maxLength: 30 }), fc.integer({ min: 1, max: 4 }), (moves, servers) => {
      const d = new DnsDialogue(Array.from({ length: servers }, (_, i) => IpAddress.fromIpv4(S1.w3 + i)));
      d.client.query(d.now, "vpn.example");
      const start = d.now;
      const open = d.asked();
      for (const m of moves) {
        if (!d.client.sockets.has(1)) break;
        if (m.tick) d.tick();
        open.push(...d.asked());
        const q = open[m.pick % open.length] as Asked;
        const good = q.type === DNS_A ? V4 : V6;
        d.reply(q, { ...m, addresses: Array(m.n).fill(m.bad ? new Uint8Array(good.length) : good) });
        open.push(...d.asked());
        expect(open.length).toBeLessThan(60);
      }
      while (d.client.sockets.has(1)) d.tick();
      expect(d.now - start).toBeLessThanOrEqual(16_000);
      expect(d.events()).toHaveLength(1);
    }),
    { numRuns: 300 },
  );
});

test("of a name with more addresses than anybody needs the first 32 are taken; of names, the last 64", () => {
  const d = new DnsDialogue();
  const [a, aaaa] = ask(d);
  d.reply(a, { addresses: Array.from({ length: 40 }, (_, i) => Uint8Array.of(198, 51, 100, i + 1)) });
  d.reply(aaaa, {});
  const [event] = d.events();
  expect(event?.kind === "answer" && event.ipv4.length).toBe(32);
  const cache = new DnsCache();
  for (let i = 0; i < 70; i++) cache.put(0, `host-${i}`, [ADDRESS], [], 60);
  const kept = Array.from({ length: 70 }, (_, i) => cache.stale(1, `host-${i}`) !== undefined);
  expect([kept.indexOf(true), kept.filter(Boolean).length]).toEqual([6, 64]);
});
