import { expect, test } from "bun:test";
import fc from "fast-check";
import { formatIpv4, IpAddress, parseIpv4 } from "../../lib/ip.ts";
import { ASIDE_MS, type Client, LeasePool, OFFER_MS } from "./pool.ts";

const ip = (text: string): number => parseIpv4(text)!.w3;
const GATEWAY = ip("192.168.50.1");
const FIRST = ip("192.168.50.100");
const LEASE_MS = 3_600_000;
const mac = (n: number): { hi: number; lo: number } => ({ hi: 0x5254, lo: n });

function pool(size = 4, reserve: Record<number, string> = {}): LeasePool {
  const reservations = Object.entries(reserve).map(([n, address]) => ({ mac: mac(Number(n)), address: ip(address) }));
  return new LeasePool({ first: FIRST, last: FIRST + size - 1, gateway: GATEWAY, reservations, leaseMs: LEASE_MS });
}

const client = (p: LeasePool, n: number, id?: Uint8Array): Client => p.identify(mac(n), id);

/** Takes what there is; as text, "" for nothing. */
function lease(p: LeasePool, now: number, n: number, name?: string): string {
  p.expire(now);
  const who = client(p, n);
  const address = p.choose(now, who, 0);
  if (address === 0) return "";
  p.lease(now, who, address, name);
  return formatIpv4(address);
}

test("a client keeps its address, and gets it again after it ended", () => {
  const p = pool();
  const first = lease(p, 0, 1);
  expect(lease(p, 1000, 1)).toBe(first);
  p.expire(1000 + LEASE_MS);
  expect(p.find(client(p, 1))).toBeUndefined();
  for (let n = 2; n < 5; n++) expect(lease(p, 1000 + LEASE_MS, n)).not.toBe(first);
  expect(lease(p, 1000 + LEASE_MS, 1)).toBe(first);
});

test("what nobody had comes first, then what was unused the longest (RFC 2131 4.3.1)", () => {
  const p = pool(4);
  const addresses = [1, 2, 3, 4].map((n) => lease(p, n, n));
  expect(new Set(addresses).size).toBe(4);
  expect(lease(p, 10, 5)).toBe("");
  for (const n of [3, 1, 2]) p.end(p.find(client(p, n))!);
  expect([5, 6, 7].map((n) => lease(p, 20, n))).toEqual([addresses[2]!, addresses[0]!, addresses[1]!]);
});

test("after a restart, which forgets everything, a client is thought of for the address that it had", () => {
  const before = pool(100);
  const had = [1, 2, 3, 4, 5, 6, 7, 8].map((n) => lease(before, 0, n * 7919));
  const after = pool(100);
  const has = [8, 6, 4, 2, 1, 3, 5, 7].map((n) => [n - 1, lease(after, 0, n * 7919)] as const);
  // Two whose hashes meet may have changed places.
  expect(has.filter(([n, address]) => had[n] === address).length).toBeGreaterThanOrEqual(6);
});

test("an identifier tells clients apart, the MAC stands for one, and one made of the MAC is the same (RFC 2132 9.14, RFC 4361)", () => {
  const p = pool();
  const plain = client(p, 0x0102_0304);
  expect(client(p, 0x0102_0304, Uint8Array.of(1, 0x52, 0x54, 1, 2, 3, 4)).id).toBe(plain.id);
  const duid = Uint8Array.of(255, 1, 2, 3, 4, 0, 3, 0, 1);
  expect(client(p, 0x0102_0304, duid).id).not.toBe(plain.id);
  expect(client(p, 0x0102_0305, duid).id).toBe(client(p, 0x0102_0304, duid).id);
});

test("a reservation is one MAC's, in the pool or outside, whatever the client calls itself", () => {
  const p = pool(4, { 1: "192.168.50.10", 2: "192.168.50.101" });
  const duid = Uint8Array.of(255, 9, 9, 9);
  expect(client(p, 1, duid).id).toBe(client(p, 1).id);
  expect([lease(p, 0, 1), lease(p, 0, 2)]).toEqual(["192.168.50.10", "192.168.50.101"]);
  expect(p.mayHave(client(p, 7), ip("192.168.50.10"))).toBe(false);
  const others = [5, 6, 7, 8].map((n) => lease(p, 0, n));
  expect(others.filter((a) => a !== "").sort()).toEqual(["192.168.50.100", "192.168.50.102", "192.168.50.103"]);
  // Also while nobody has it.
  p.end(p.find(client(p, 2))!);
  expect(lease(p, 1, 9)).toBe("");
  expect(p.mayHave(client(p, 2), ip("192.168.50.100"))).toBe(false);
});

test("the gateway's own address is never given, also where the pool is around it", () => {
  const p = new LeasePool({ first: FIRST, last: FIRST + 2, gateway: FIRST + 1, reservations: [], leaseMs: LEASE_MS });
  expect([1, 2, 3].map((n) => lease(p, 0, n)).sort()).toEqual(["", "192.168.50.100", "192.168.50.102"]);
  expect(p.mayHave(client(p, 1), FIRST + 1)).toBe(false);
});

test("a wish is heard where it is free and of the pool", () => {
  const p = pool(4);
  const [a, b] = [client(p, 1), client(p, 2)];
  expect(p.choose(0, a, FIRST + 3)).toBe(FIRST + 3);
  p.offer(0, a, FIRST + 3);
  expect(p.choose(0, b, FIRST + 3)).not.toBe(FIRST + 3);
  expect(p.choose(0, b, ip("192.168.50.7"))).not.toBe(ip("192.168.50.7"));
});

test("a conflict sets an address aside for ten minutes, and is tried again when there is nothing else", () => {
  const p = pool(2);
  p.setAside(0, FIRST);
  expect([lease(p, 0, 1), lease(p, ASIDE_MS - 1, 2)]).toEqual(["192.168.50.101", "192.168.50.100"]);
  const q = pool(2);
  q.setAside(0, FIRST);
  expect(q.mayHave(client(q, 1), FIRST)).toBe(false);
  q.expire(ASIDE_MS);
  expect(q.mayHave(client(q, 1), FIRST)).toBe(true);
});

test("an offer ends soon; when nothing is free the oldest gives way, but not before two seconds", () => {
  const p = pool(2);
  const held = [1, 2].map((n) => {
    const who = client(p, n);
    const address = p.choose(n, who, 0);
    p.offer(n, who, address);
    return address;
  });
  expect(p.choose(2000, client(p, 3), 0)).toBe(0);
  expect(p.choose(2001, client(p, 3), 0)).toBe(held[0]!);
  expect(p.find(client(p, 1))).toBeUndefined();
  p.expire(OFFER_MS + 2);
  expect(p.offers).toBe(0);
});

test("a lease is never taken back before its end; those that no host was seen to use are named after a minute", () => {
  const p = pool(3);
  const addresses = [1, 2, 3].map((n) => lease(p, n, n));
  expect(p.choose(59_000, client(p, 9), 0)).toBe(0);
  p.heard(ip(addresses[1]!), 0x5254, 2);
  for (const [hi, lo] of [
    [0x5254, 99],
    [0x5255, 3],
  ] as const)
    p.heard(ip(addresses[2]!), hi, lo); // other hosts
  expect(p.unused(60_000, 9)).toEqual([]);
  expect(p.unused(60_003, 9).map((b) => formatIpv4(b.address))).toEqual([addresses[0]!, addresses[2]!]);
  expect(p.unused(60_003, 1)).toHaveLength(1);
  // A renewal does not make it a new one, nor forget that it is used.
  p.lease(61_000, client(p, 1), ip(addresses[0]!), undefined);
  p.lease(61_000, client(p, 2), ip(addresses[1]!), undefined);
  expect(
    p
      .unused(61_001, 9)
      .map((b) => b.client.mac.lo)
      .sort(),
  ).toEqual([1, 3]);
  expect(p.choose(61_001, client(p, 9), 0)).toBe(0);
});

test("names are the first one's, follow the lease, and end with it", () => {
  const p = pool();
  const [a, b] = [lease(p, 0, 1, "alpha"), lease(p, 1, 2, "alpha")];
  const names = (name: string): string[] => p.addressesOf(name).map(String);
  expect(names("alpha")).toEqual([a]);
  expect(p.nameOf(parseIpv4(a)!)).toBe("alpha");
  expect(p.nameOf(parseIpv4(b)!)).toBeUndefined();
  expect(p.nameOf(new IpAddress(1, 2, 3, ip(a)))).toBeUndefined();
  // Renewed under another name, the old one is free.
  p.lease(2, client(p, 1), ip(a), "gamma");
  expect([names("alpha"), names("gamma")]).toEqual([[], [a]]);
  p.lease(3, client(p, 2), ip(b), "alpha");
  expect(names("alpha")).toEqual([b]);
  p.expire(LEASE_MS + 3);
  expect([names("alpha"), names("gamma")]).toEqual([[], []]);
});

/** The same in the plainest words: one record an address, looked through from end to end. */
class LeaseModel {
  readonly records: {
    readonly address: number;
    owner: string | undefined;
    isLease: boolean;
    until: number;
    since: number;
    aside: number;
    /** When it was leased last, by the number of the step; 0: never. */
    freed: number;
    had: string;
  }[];
  readonly reserved: ReadonlyMap<string, number>;
  step = 0;

  constructor(addresses: readonly number[], reserved: ReadonlyMap<string, number>) {
    this.reserved = reserved;
    const all = new Set([...addresses, ...reserved.values()]);
    this.records = [...all].map((address) => ({
      address,
      owner: undefined,
      isLease: false,
      until: 0,
      since: 0,
      aside: 0,
      freed: 0,
      had: "",
    }));
  }

  at(address: number) {
    return this.records.find((r) => r.address === address);
  }

  of(id: string) {
    return this.records.find((r) => r.owner === id);
  }

  free(r: LeaseModel["records"][number]): void {
    if (r.isLease) {
      r.freed = ++this.step;
      r.had = r.owner!;
    }
    r.owner = undefined;
    r.isLease = false;
  }

  expire(now: number): void {
    const due = this.records.filter((r) => r.owner !== undefined && r.until <= now);
    for (const r of due.sort((a, b) => a.until - b.until || a.since - b.since)) this.free(r);
    for (const r of this.records) if (r.aside <= now) r.aside = 0;
  }

  /** Whether the pool may give it: to this client, or to anybody. */
  open(id: string, address: number): boolean {
    const r = this.at(address);
    if (r === undefined || r.owner !== undefined || r.aside !== 0) return false;
    const reserved = [...this.reserved].find(([, a]) => a === address)?.[0];
    return reserved === undefined || reserved === id;
  }
}

test("it does what a list of records does that is looked through from end to end", () => {
  const reserved = new Map([
    [1, FIRST + 1],
    [2, ip("192.168.50.10")],
  ]);
  const action = fc.record({
    what: fc.constantFrom("offer", "lease", "end", "aside", "renew", "may"),
    who: fc.integer({ min: 1, max: 8 }),
    place: fc.integer({ min: 0, max: 6 }),
    wait: fc.constantFrom(0, 1, 100, 2500, OFFER_MS, ASIDE_MS, LEASE_MS),
  });
  fc.assert(
    fc.property(fc.array(action, { maxLength: 60 }), (actions) => {
      const p = pool(5, { 1: "192.168.50.101", 2: "192.168.50.10" });
      const ids = new Map([...reserved].map(([n, address]) => [client(p, n).id, address]));
      const model = new LeaseModel(
        [0, 1, 2, 3, 4].map((i) => FIRST + i),
        ids,
      );
      let now = 1;
      for (const { what, who, place, wait } of actions) {
        now += wait + 1;
        p.expire(now);
        model.expire(now);
        const c = client(p, who);
        const own = model.of(c.id);
        const address = place === 6 ? ip("192.168.50.10") : FIRST + place;
        if (what === "may") {
          const mine = own?.isLease ? own.address === address : own?.address === address || may(model, c.id, address);
          expect(p.mayHave(c, address)).toBe(mine);
        } else if (what === "end") {
          const bound = p.find(c);
          expect(bound?.address).toBe(own?.address);
          if (bound !== undefined) p.end(bound);
          if (own !== undefined) model.free(own);
        } else if (what === "aside") {
          if (place === 5) continue;
          p.setAside(now, address);
          const r = model.at(address)!;
          if (r.owner !== undefined) model.free(r);
          r.aside = now + ASIDE_MS;
        } else if (what === "renew") {
          if (own === undefined || !own.isLease) continue;
          p.lease(now, c, own.address, undefined);
          own.until = now + LEASE_MS;
          own.since = now;
        } else {
          const chosen = p.choose(now, c, 0);
          check(model, c.id, chosen, now);
          if (chosen === 0) continue;
          const r = model.at(chosen)!;
          if (r.owner !== undefined && r.owner !== c.id) model.free(r);
          r.aside = 0;
          if (what === "offer") p.offer(now, c, chosen);
          else p.lease(now, c, chosen, undefined);
          if (what === "lease" || !r.isLease) {
            r.until = now + (what === "lease" ? LEASE_MS : OFFER_MS);
            r.since = now;
            r.isLease = what === "lease";
          }
          if (r.isLease) r.had = c.id;
          r.owner = c.id;
        }
        const held = model.records.filter((r) => r.owner !== undefined);
        expect(p.leases).toBe(held.filter((r) => r.isLease).length);
        expect(p.offers).toBe(held.filter((r) => !r.isLease).length);
        for (let n = 1; n <= 8; n++) expect(p.find(client(p, n))?.address).toBe(model.of(client(p, n).id)?.address);
        const due = Math.min(
          ...held.map((r) => r.until),
          ...model.records.filter((r) => r.aside !== 0).map((r) => r.aside),
        );
        expect(p.pollAt()).toBe(due);
      }
    }),
    { numRuns: 400 },
  );

  function may(model: LeaseModel, id: string, address: number): boolean {
    const reservation = model.reserved.get(id);
    const isThere = reservation !== undefined && model.open(id, reservation);
    return isThere ? reservation === address : address !== reservation && model.open(id, address);
  }

  function check(model: LeaseModel, id: string, chosen: number, now: number): void {
    const own = model.of(id);
    if (own !== undefined) return expect(chosen).toBe(own.address);
    const reservation = model.reserved.get(id);
    if (reservation !== undefined && model.open(id, reservation)) return expect(chosen).toBe(reservation);
    const candidates = model.records.filter(
      (r) => r.address !== reservation && r.address !== ip("192.168.50.10") && model.open(id, r.address),
    );
    const before = candidates.filter(
      (r) => r.had === id && r.freed === Math.max(...model.records.filter((x) => x.had === id).map((x) => x.freed)),
    );
    if (before.length > 0 && before[0]!.freed > 0) return expect(chosen).toBe(before[0]!.address);
    const fresh = candidates.filter((r) => r.freed === 0);
    if (fresh.length > 0) return expect(fresh.map((r) => r.address)).toContain(chosen);
    const oldest = candidates.sort((a, b) => a.freed - b.freed)[0];
    if (oldest !== undefined) return expect(chosen).toBe(oldest.address);
    const isKept = (address: number): boolean => [...model.reserved.values()].includes(address);
    const offers = model.records.filter((r) => r.owner !== undefined && !r.isLease && !isKept(r.address));
    const offer = offers.sort((a, b) => a.since - b.since)[0];
    if (offer !== undefined && offer.since + 2000 <= now) return expect(chosen).toBe(offer.address);
    const aside = model.records.filter((r) => r.aside !== 0 && !isKept(r.address)).sort((a, b) => a.aside - b.aside)[0];
    expect(chosen).toBe(aside?.address ?? 0);
  }
});
