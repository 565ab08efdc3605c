import { beforeEach, describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  FOUND,
  IDLE_MS,
  NeighborCache,
  type NeighborPort,
  type Parked,
  PENDING,
  REACHABLE_MS,
  UNREACHABLE,
} from "./neighbor.ts";

const A = 0x0a000001;
let log: string[];
let cache: NeighborCache;

const port: NeighborPort = {
  requestArp: (ip, hi, lo) => log.push(`ask ${ip & 255} ${hi === 0xffff && lo === -1 ? "all" : lo}`),
  release: (ip, _hi, lo, parked) => log.push(`send ${parked.length} to ${ip & 255} at ${lo}`),
  abandon: (ip, parked) => log.push(`lose ${parked.length} to ${ip & 255}`),
};

const packet = (size = 10): Parked => ({
  bytes: new Uint8Array(size),
  flags: 0,
  gsoType: 0,
  gsoSize: 0,
  hdrLen: 0,
  csumStart: 0,
  csumOffset: 0,
});

const expectLog = (...lines: string[]): void => expect(log.splice(0)).toEqual(lines);

/** Lets every timer up to `until` fire at its time. */
const run = (until: number): void => {
  for (let at = cache.pollAt(); at <= until; at = cache.pollAt()) {
    cache.handleTimeout(at);
    if (cache.pollAt() <= at) throw new Error("a timer that does not move on");
  }
};

beforeEach(() => {
  log = [];
  cache = new NeighborCache(port);
});

const known = (at = 0, mac = 1): void => {
  cache.lookup(at, A);
  cache.onReply(at, A, 2, mac);
  log = [];
};

describe("asking", () => {
  test("one request for many look-ups, packets wait, the answer sends them", () => {
    expect(cache.lookup(0, A)).toBe(PENDING);
    expect(cache.park(A, packet())).toBe(true);
    expect(cache.lookup(1, A)).toBe(PENDING);
    cache.park(A, packet());
    expectLog("ask 1 all");
    expect(cache.onReply(5, A, 2, 7)).toBe("learnt");
    expectLog("send 2 to 1 at 7");
    expect(cache.lookup(6, A)).toBe(FOUND);
    expect([cache.macHi, cache.macLo]).toEqual([2, 7]);
    expectLog();
  });

  test("three requests a second apart, then unreachable; a later look-up asks again", () => {
    cache.lookup(0, A);
    cache.park(A, packet());
    run(2999);
    expectLog("ask 1 all", "ask 1 all", "ask 1 all");
    run(3000);
    expectLog("lose 1 to 1");
    expect(cache.lookup(3500, A)).toBe(UNREACHABLE);
    expect(cache.park(A, packet())).toBe(false);
    expect(cache.lookup(4100, A)).toBe(PENDING);
    expectLog("ask 1 all");
  });

  test("what waits is bounded, for an address and in all", () => {
    cache.lookup(0, A);
    let kept = 0;
    while (cache.park(A, packet(1500)) && kept < 1000) kept++;
    expect(kept).toBe(109); // 160 KiB
    let all = kept;
    for (let ip = A + 1; ip < A + 100; ip++) {
      cache.lookup(0, ip);
      while (cache.park(ip, packet(1500))) all++;
    }
    expect(all * 1500).toBeLessThanOrEqual(1024 * 1024);
    cache.clear();
    log = [];
    cache.lookup(0, A);
    for (kept = 0; cache.park(A, packet(1)) && kept < 1000; ) kept++;
    expect(kept).toBe(128);
  });
});

describe("believing", () => {
  test("a reply that nobody asked for is not learnt", () => {
    expect(cache.onReply(0, A, 2, 9)).toBe("unsolicited");
    expect(cache.size).toBe(0);
  });

  test("a request to us is a guess: usable at once, verified at its first use", () => {
    expect(cache.onRequest(0, A, 2, 1)).toBe("learnt");
    expect(cache.lookup(10, A)).toBe(FOUND);
    expectLog("ask 1 1");
    expect(cache.onReply(11, A, 2, 1)).toBe("confirmed");
    run(REACHABLE_MS);
    expect(cache.lookup(20_000, A)).toBe(FOUND);
    expectLog();
  });

  test("a forged guess is found out in a second and replaced by who answers", () => {
    cache.onRequest(0, A, 2, 666);
    cache.lookup(10, A);
    run(1010);
    expectLog("ask 1 666", "ask 1 666", "ask 1 all");
    expect(cache.lookup(1010, A)).toBe(PENDING);
    expect(cache.onReply(1011, A, 2, 1)).toBe("learnt");
    expect(cache.lookup(1012, A)).toBe(FOUND);
    expect(cache.macLo).toBe(1);
  });

  test("a different claim about a good entry only makes us ask its owner, at most every 2 s, and traffic goes on", () => {
    known();
    for (let t = 100; t < 1900; t += 10) {
      expect(cache.onReply(t, A, 2, 666)).toBe("conflicting");
      expect(cache.onRequest(t, A, 2, 667)).toBe("conflicting");
      if (t === 100) {
        expectLog("ask 1 1");
        expect(cache.lookup(t, A)).toBe(FOUND);
        cache.onReply(t, A, 2, 1);
      }
    }
    expectLog();
    expect(cache.lookup(2000, A)).toBe(FOUND);
    expect(cache.macLo).toBe(1);
  });

  test("a forged entry heals when the owner claims its address, within 2 s", () => {
    known(0, 666);
    expect(cache.onRequest(5000, A, 2, 1)).toBe("conflicting");
    run(6000);
    expectLog("ask 1 666", "ask 1 666", "ask 1 all");
    cache.onReply(6001, A, 2, 1);
    cache.lookup(6002, A);
    expect(cache.macLo).toBe(1);
  });

  test("a forged entry heals by itself within 40 s of use, and a changed MAC is learnt", () => {
    known(0, 666);
    for (let t = 0; t < 40_000; t += 100) {
      run(t);
      // The owner answers what is asked of everybody; nobody has the forged MAC.
      if (cache.lookup(t, A) === PENDING && log.at(-1) === "ask 1 all") cache.onReply(t, A, 2, 1);
      log = log.slice(-1);
    }
    cache.lookup(40_000, A);
    expect(cache.macLo).toBe(1);
  });

  test("a probe is believed from the known MAC only", () => {
    known();
    cache.lookup(REACHABLE_MS + 1, A);
    expectLog("ask 1 1");
    expect(cache.onReply(REACHABLE_MS + 2, A, 2, 666)).toBe("conflicting");
    expect(cache.onReply(REACHABLE_MS + 3, A, 2, 1)).toBe("confirmed");
  });
});

test("what nobody uses is forgotten, and the timer goes quiet", () => {
  known();
  run(IDLE_MS + 1);
  expect(cache.size).toBe(0);
  expect(cache.pollAt()).toBe(Number.POSITIVE_INFINITY);
});

test("guesses do not push out entries in use; the table is bounded", () => {
  known();
  for (let i = 0; i < 5000; i++) cache.onRequest(1, 0x0b000000 + i, 2, i);
  expect(cache.size).toBe(1024);
  expect(cache.lookup(2, A)).toBe(FOUND);
  expect(cache.lookup(3, 0x0c000000)).toBe(PENDING); // what is wanted finds room
  expect(cache.size).toBe(1024);
});

test("a scan pushes out itself, not who answers", () => {
  known();
  cache.lookup(1, 0x0c000000);
  cache.onReply(1, 0x0c000000, 2, 2);
  for (let i = 0; i < 5000; i++) cache.lookup(2 + i / 1000, 0x0b000000 + i);
  expect(cache.size).toBe(1024);
  expect(cache.lookup(8, A)).toBe(FOUND);
  expect(cache.lookup(8, 0x0c000000)).toBe(FOUND);
});

test("any sequence of events leaves bounded storage and a timer that moves on", () => {
  const op = fc.record({ kind: fc.nat(4), ip: fc.nat(5), mac: fc.nat(3), dt: fc.nat(3000) });
  fc.assert(
    fc.property(fc.array(op, { maxLength: 200 }), (ops) => {
      cache = new NeighborCache(port);
      let now = 0;
      for (const { kind, ip, mac, dt } of ops) {
        now += dt;
        run(now);
        if (kind === 0) cache.onReply(now, A + ip, 2, mac);
        else if (kind === 1) cache.onRequest(now, A + ip, 2, mac);
        else if (cache.lookup(now, A + ip) === PENDING) cache.park(A + ip, packet());
      }
      run(now + 2 * IDLE_MS);
      return cache.size === 0 && cache.pollAt() === Number.POSITIVE_INFINITY;
    }),
  );
});
