import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { parseCidr } from "../../lib/cidr.ts";
import { type IpAddress, parseIp } from "../../lib/ip.ts";
import type { ServerNetworkConfig, Topology } from "../config/server-types.ts";
import { AddressPool, type PoolLease, type PoolPlace } from "./pool.ts";

const ip = (text: string): IpAddress => parseIp(text)!;

function network(
  topology: Topology,
  address: string | undefined,
  pool: readonly [string, string] | undefined,
  six?: readonly [string, string],
): ServerNetworkConfig {
  return {
    topology,
    address: address === undefined ? undefined : parseCidr(address),
    pool: pool === undefined ? undefined : { first: ip(pool[0]), last: ip(pool[1]) },
    address6: six === undefined ? undefined : parseCidr(six[0]),
    pool6: six === undefined ? undefined : parseCidr(six[1]),
    persist: undefined,
    routes: [],
    push: [],
  };
}

/** What `server 10.8.0.0 255.255.255.0` stands for. */
const SUBNET = network("subnet", "10.8.0.1/24", ["10.8.0.2", "10.8.0.254"]);
const words = (found: PoolPlace | undefined): string =>
  found === undefined
    ? "none"
    : [found.serverEnd, found.address, found.address6].filter((x) => x !== undefined).join(" ");
const taken = (pool: AddressPool, ...names: (string | undefined)[]): string[] =>
  names.map((name) => words(pool.take(name)));

describe("ranges as OpenVPN 2.6 has them (helper_client_server, ifconfig_pool_init)", () => {
  test("subnet: one address each", () => {
    const pool = new AddressPool(SUBNET, false);
    expect(pool.size).toBe(253);
    expect(taken(pool, "a", "b")).toEqual(["10.8.0.2", "10.8.0.3"]);
    expect(words(pool.at(252))).toBe("10.8.0.254");
  });

  test("net30: four each, of which the second is the server's", () => {
    const pool = new AddressPool(network("net30", "10.8.0.1/24", ["10.8.0.4", "10.8.0.251"]), false);
    expect(pool.size).toBe(62);
    expect(taken(pool, "a", "b")).toEqual(["10.8.0.5 10.8.0.6", "10.8.0.9 10.8.0.10"]);
    expect(words(pool.at(61))).toBe("10.8.0.249 10.8.0.250");
  });

  test("net30: a range that does not begin or end with four", () => {
    const pool = new AddressPool(network("net30", "10.8.0.1/24", ["10.8.0.6", "10.8.0.9"]), false);
    expect([pool.size, words(pool.at(0))]).toEqual([2, "10.8.0.5 10.8.0.6"]);
  });

  test("p2p: one each", () => {
    const pool = new AddressPool(network("p2p", "10.8.0.1/24", ["10.8.0.4", "10.8.0.251"]), false);
    expect([pool.size, words(pool.take("a"))]).toEqual([248, "10.8.0.4"]);
  });

  test.each([
    ["fd00::1000/64", 65_536, "fd00::1000"],
    ["fd00::/64", 65_536, "fd00::1"],
    ["fd00::2/112", 65_534, "fd00::2"],
    ["fd00::2/124", 14, "fd00::2"],
    ["fd00::1:2/120", 254, "fd00::1:2"],
    ["fd00::ffff:fff0/64", 16, "fd00::ffff:fff0"],
  ])("IPv6 %s: %d, the first is %s", (pool6, size, first) => {
    const pool = new AddressPool(network("subnet", undefined, undefined, ["fd00::ffff:1:1/64", pool6]), false);
    expect([pool.size, words(pool.at(0))]).toEqual([size, first]);
  });

  test("both: as many as the smaller one has, and the n-th of both is the same client's", () => {
    const range = ["10.8.0.2", "10.8.0.254"] as const;
    const pool = new AddressPool(network("subnet", "10.8.0.1/24", range, ["fd00::1/64", "fd00::1000/64"]), false);
    expect(pool.size).toBe(253);
    expect(taken(pool, "a", "b")).toEqual(["10.8.0.2 fd00::1000", "10.8.0.3 fd00::1001"]);
    const small = new AddressPool(network("subnet", "10.8.0.1/24", range, ["fd00::1/124", "fd00::2/124"]), false);
    expect(small.size).toBe(14);
  });

  test("no pool at all", () => {
    const pool = new AddressPool(network("subnet", "10.8.0.1/24", undefined), false);
    expect([pool.size, pool.hasIpv4, pool.hasIpv6, pool.take("a")]).toEqual([0, false, false, undefined]);
  });

  test("a range beyond the middle of the addresses", () => {
    const pool = new AddressPool(network("subnet", "192.168.0.1/16", ["127.255.255.254", "128.0.0.1"]), false);
    expect([pool.size, words(pool.at(3))]).toEqual([4, "128.0.0.1"]);
  });
});

describe("order", () => {
  const four = () => new AddressPool(network("subnet", "10.8.0.1/24", ["10.8.0.2", "10.8.0.5"]), false);

  test("a name gets what it had; others what nobody had, then what was given back longest ago", () => {
    const pool = four();
    expect(taken(pool, "a", "b", "c")).toEqual(["10.8.0.2", "10.8.0.3", "10.8.0.4"]);
    pool.release(10, 1);
    pool.release(20, 0);
    expect(taken(pool, "a")).toEqual(["10.8.0.2"]);
    pool.release(30, 0);
    expect(taken(pool, "d", "e", "f")).toEqual(["10.8.0.5", "10.8.0.3", "10.8.0.2"]);
    expect(taken(pool, "g")).toEqual(["none"]);
    // b's address is e's now, so that b begins anew.
    pool.release(40, 2);
    expect(taken(pool, "b")).toEqual(["10.8.0.4"]);
  });

  test("a name that is in twice has two, and comes back to the first of them that is free", () => {
    const pool = four();
    expect(taken(pool, "a", "a")).toEqual(["10.8.0.2", "10.8.0.3"]);
    pool.release(1, 1);
    expect(taken(pool, "a")).toEqual(["10.8.0.3"]);
  });

  test("duplicate-cn: the first that is free, whoever asks", () => {
    const pool = new AddressPool(SUBNET, true);
    expect(taken(pool, "a", "b")).toEqual(["10.8.0.2", "10.8.0.3"]);
    pool.release(1, 0);
    expect(taken(pool, "b", "c")).toEqual(["10.8.0.2", "10.8.0.4"]);
    expect(pool.leases()).toEqual([]);
    const again = new AddressPool(SUBNET, true);
    again.restore(1, [{ name: "a", address: ip("10.8.0.2"), address6: undefined, releasedAt: 1, isFixed: true }]);
    expect(taken(again, "b")).toEqual(["10.8.0.2"]);
  });

  test("giving back twice, or what nobody has, changes nothing", () => {
    const pool = four();
    pool.release(5, 3);
    taken(pool, "a");
    pool.release(10, 0);
    pool.release(99, 0);
    expect(pool.leases()).toMatchObject([{ name: "a", releasedAt: 10 }]);
  });
});

describe("what is not given away", () => {
  test("fixed addresses of clients, while others are in the pool", () => {
    const pool = new AddressPool(SUBNET, false);
    pool.fix([ip("10.8.0.2"), ip("10.8.0.4"), ip("192.0.2.1"), ip("fd00::1")]);
    expect(taken(pool, "a", "b")).toEqual(["10.8.0.3", "10.8.0.5"]);
  });

  test("the one who has it keeps it until it is given back", () => {
    const pool = new AddressPool(SUBNET, false);
    taken(pool, "a");
    pool.fix([ip("10.8.0.2")]);
    expect(pool.leases()).toMatchObject([{ name: "a", releasedAt: undefined }]);
    pool.release(1, 0);
    expect(taken(pool, "a")).toEqual(["10.8.0.3"]);
  });

  test("the server's own, the first and the last of a subnet, however ifconfig-pool is written", () => {
    const pool = new AddressPool(network("subnet", "10.8.0.1/29", ["10.8.0.0", "10.8.0.7"]), false);
    expect(taken(pool, ..."abcdef")).toEqual(["2", "3", "4", "5", "6"].map((n) => `10.8.0.${n}`).concat("none"));
    const six = new AddressPool(network("subnet", undefined, undefined, ["fd00::1/126", "fd00::/126"]), false);
    expect(taken(six, "a", "b", "c")).toEqual(["fd00::2", "fd00::3", "none"]);
  });

  test("net30: the whole four of a fixed address", () => {
    const pool = new AddressPool(network("net30", "10.8.0.1/24", ["10.8.0.4", "10.8.0.251"]), false);
    pool.fix([ip("10.8.0.6")]);
    expect(taken(pool, "a")).toEqual(["10.8.0.9 10.8.0.10"]);
  });
});

describe("leases outlive the server", () => {
  const both = network("subnet", "10.8.0.1/24", ["10.8.0.2", "10.8.0.5"], ["fd00::1/64", "fd00::1000/64"]);
  const lease = (name: string, address: string | undefined, address6?: string, releasedAt?: number): PoolLease => ({
    name,
    address: address === undefined ? undefined : ip(address),
    address6: address6 === undefined ? undefined : ip(address6),
    releasedAt,
  });

  test("given out, and taken again", () => {
    const pool = new AddressPool(both, false);
    taken(pool, "a", "b");
    pool.release(10, 1);
    const leases = pool.leases();
    expect(leases).toEqual([lease("a", "10.8.0.2", "fd00::1000"), lease("b", "10.8.0.3", "fd00::1001", 10)]);
    const again = new AddressPool(both, false);
    expect(again.restore(20, leases)).toEqual([]);
    expect(again.leases()).toEqual([{ ...leases[0]!, releasedAt: 20 }, leases[1]!]);
    expect(taken(again, "c", "b", "d", "e", "f")).toEqual([
      "10.8.0.4 fd00::1002",
      "10.8.0.3 fd00::1001",
      "10.8.0.5 fd00::1003",
      "10.8.0.2 fd00::1000",
      "none",
    ]);
  });

  test("what is not of the pool is left out, in words; IPv4 counts where the two differ, and IPv6 where it is alone", () => {
    const pool = new AddressPool(both, false);
    const problems = pool.restore(1, [
      lease("a", "10.8.0.9"),
      lease("b", "10.8.0.1"),
      lease("c", "10.8.0.4", "fd00::1000"),
      lease("d", undefined, "fd00::1003"),
      lease("e", "10.9.0.1", "fd00::1000"),
      lease("f", undefined, "fd01::1000"),
      lease("g", undefined),
    ]);
    expect(problems.map((text) => text.split('"')[1])).toEqual(["a", "b", "f", "g"]);
    expect(taken(pool, "c", "d", "e")).toEqual(["10.8.0.4 fd00::1002", "10.8.0.5 fd00::1003", "10.8.0.2 fd00::1000"]);
  });

  test("of two leases of one address the later one counts (ifconfig_pool_set)", () => {
    const pool = new AddressPool(SUBNET, false);
    pool.restore(1, [lease("a", "10.8.0.2"), lease("b", "10.8.0.2")]);
    expect(taken(pool, "a", "b")).toEqual(["10.8.0.3", "10.8.0.2"]);
  });

  test("a lease of the future is of now, so that it does not wait for ever", () => {
    const pool = new AddressPool(SUBNET, false);
    pool.restore(100, [lease("a", "10.8.0.2", undefined, 1e12)]);
    expect(pool.leases()).toMatchObject([{ releasedAt: 100 }]);
  });

  test("a file that is only read keeps its addresses for its names (ifconfig-pool-persist with 0 seconds)", () => {
    const pool = new AddressPool(both, false);
    const fixed = [lease("a", "10.8.0.2"), lease("b", "10.8.0.3")].map((one) => ({ ...one, isFixed: true }));
    pool.restore(1, fixed);
    expect(taken(pool, "c", "d", "e", "b")).toEqual([
      "10.8.0.4 fd00::1002",
      "10.8.0.5 fd00::1003",
      "none",
      "10.8.0.3 fd00::1001",
    ]);
  });

  test("who is in keeps what it has in a new pool, if that has it for it", () => {
    const pool = new AddressPool(both, false);
    pool.fix([ip("10.8.0.4")]);
    expect(words(pool.hold("a", ip("10.8.0.3"), ip("fd00::1001")))).toBe("10.8.0.3 fd00::1001");
    expect(pool.hold("b", ip("10.8.0.3"), ip("fd00::1001"))).toBeUndefined();
    expect(pool.hold("c", ip("10.8.0.4"), undefined)).toBeUndefined();
    expect(pool.hold("d", ip("10.8.0.5"), ip("fd00::1001"))).toBeUndefined();
    expect(pool.hold("e", ip("10.9.0.5"), undefined)).toBeUndefined();
    expect(pool.hold("f", undefined, undefined)).toBeUndefined();
    expect(taken(pool, "g", "h", "i")).toEqual(["10.8.0.2 fd00::1000", "10.8.0.5 fd00::1003", "none"]);
  });
});

/** A pool as OpenVPN writes it down: a list that is looked through from its beginning. */
class PoolModel {
  readonly list: { name: string | undefined; isTaken: boolean; isFixed: boolean; at: number }[];

  constructor(size: number) {
    this.list = Array.from({ length: size }, () => ({ name: undefined, isTaken: false, isFixed: false, at: 0 }));
  }

  take(name: string): number | undefined {
    const free = [...this.list.entries()].filter(([, entry]) => !entry.isTaken && !entry.isFixed);
    const own = free.find(([, entry]) => entry.name === name);
    const [place, entry] = own ?? free.sort(([i, a], [j, b]) => a.at - b.at || i - j)[0] ?? [];
    if (place === undefined || entry === undefined) return undefined;
    Object.assign(entry, { name, isTaken: true, at: 0 });
    return place;
  }
}

interface Real {
  pool: AddressPool;
  now: number;
}

const SIZE = 6;
const small = (): AddressPool => new AddressPool(network("subnet", "10.8.0.1/24", ["10.8.0.2", "10.8.0.7"]), false);
const place = fc.nat(SIZE - 1);

class Take implements fc.Command<PoolModel, Real> {
  readonly name: string;
  constructor(name: string) {
    this.name = name;
  }
  check = () => true;
  run(model: PoolModel, real: Real) {
    expect(real.pool.take(this.name)?.place).toBe(model.take(this.name));
  }
  toString = () => `take ${this.name}`;
}

class Release implements fc.Command<PoolModel, Real> {
  readonly place: number;
  constructor(place: number) {
    this.place = place;
  }
  check = () => true;
  run(model: PoolModel, real: Real) {
    real.now++;
    real.pool.release(real.now, this.place);
    const entry = model.list[this.place]!;
    if (entry.isTaken) Object.assign(entry, { isTaken: false, at: real.now });
  }
  toString = () => `release ${this.place}`;
}

class Fix implements fc.Command<PoolModel, Real> {
  readonly place: number;
  constructor(place: number) {
    this.place = place;
  }
  check = () => true;
  run(model: PoolModel, real: Real) {
    real.pool.fix([real.pool.at(this.place).address!]);
    model.list[this.place]!.isFixed = true;
  }
  toString = () => `fix ${this.place}`;
}

class Restart implements fc.Command<PoolModel, Real> {
  check = () => true;
  run(model: PoolModel, real: Real) {
    real.now++;
    const leases = real.pool.leases();
    real.pool = small();
    real.pool.restore(real.now, leases);
    for (const entry of model.list) {
      if (entry.name !== undefined && entry.isTaken) entry.at = real.now;
      if (entry.name === undefined) entry.at = 0;
      entry.isTaken = false;
      entry.isFixed = false;
    }
  }
  toString = () => "restart";
}

test("whatever is done, the pool is the plain list of OpenVPN", () => {
  const commands = fc.commands(
    [
      fc.constantFrom(..."abcdefgh").map((name) => new Take(name)),
      place.map((p) => new Release(p)),
      place.map((p) => new Fix(p)),
      fc.constant(new Restart()),
    ],
    { maxCommands: 60 },
  );
  fc.assert(
    fc.property(commands, (list) => {
      fc.modelRun(() => ({ model: new PoolModel(SIZE), real: { pool: small(), now: 100 } }), list);
    }),
    { numRuns: 500 },
  );
});
