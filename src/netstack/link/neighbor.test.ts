import { beforeEach, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { IDLE_MS, type NeighborPort, NeighborTable, REACHABLE_MS } from "./neighbor.ts";
import type { Parked } from "./parked.ts";

const A = 0x0a000001;
const UNREACHABLE = "unreachable";

const packet = (size = 10): Parked => ({
  bytes: new Uint8Array(size),
  flags: 0,
  gsoType: 0,
  gsoSize: 0,
  hdrLen: 0,
  csumStart: 0,
  csumOffset: 0,
});

describe.each([[1], [4]] as const)("addresses of %d words", (stride) => {
  let log: string[];
  let table: NeighborTable;

  /** Of IPv6 addresses the number is the first word, so that a table that reads less than all of it fails. */
  const words = (ip: number): Int32Array => (stride === 1 ? Int32Array.of(ip) : Int32Array.of(ip, 7, ip ^ 5, 9));
  const last = (n: number): number => table.words[table.wordsAt(n)]! & 255;
  const port: NeighborPort = {
    solicit: (n, hi, lo) => void log.push(`ask ${last(n)} ${hi === 0xffff && lo === -1 ? "all" : lo}`),
    release: (n, parked) => void log.push(`send ${parked.length} to ${last(n)} at ${table.macLo[n]}`),
    abandon: (n, parked) => void log.push(`lose ${parked.length} to ${last(n)}`),
    conflict: (_now, n, _hi, lo) => void log.push(`conflict of ${table.macLo[n]} and ${lo} for ${last(n)}`),
  };

  const lookup = (now: number, ip: number): number => table.lookup(now, words(ip), 0);
  /** The MAC that is used, "pending" or UNREACHABLE. */
  const use = (now: number, ip: number): number | string => {
    const n = lookup(now, ip);
    if (n < 0) return UNREACHABLE;
    return table.isKnown(n) ? table.macLo[n]! : "pending";
  };
  const park = (now: number, ip: number, size?: number): boolean => table.park(lookup(now, ip), packet(size));
  const reply = (now: number, ip: number, mac: number): string => table.onReply(now, words(ip), 0, 2, mac);
  const request = (now: number, ip: number, mac: number): string => table.onRequest(now, words(ip), 0, 2, mac);
  const expectLog = (...lines: string[]): void => expect(log.splice(0)).toEqual(lines);

  /** Lets every timer up to `until` fire at its time. */
  const run = (until: number): void => {
    for (let at = table.pollAt(); at <= until; at = table.pollAt()) {
      table.handleTimeout(at);
      if (table.pollAt() <= at) throw new Error("a timer that does not move on");
    }
  };

  const known = (at = 0, mac = 1): void => {
    lookup(at, A);
    reply(at, A, mac);
    log = [];
  };

  beforeEach(() => {
    log = [];
    table = new NeighborTable(stride, 99, port);
  });

  describe("asking", () => {
    test("in a full table of neighbours in use a mere request pushes nobody out, a packet does", () => {
      for (let i = 0; i < 1024; i++) {
        use(0, A + i);
        reply(0, A + i, i);
      }
      log.length = 0;
      expect(table.size).toBe(1024);
      expect(request(1000, A + 5000, 77)).toBe("full");
      expect(Array.from({ length: 1024 }, (_, i) => i).every((i) => use(1000, A + i) === i)).toBe(true);
      expect(use(1000, A + 5000)).toBe("pending");
      expect(table.size).toBe(1024);
    });

    test("one request for many look-ups, packets wait, the answer sends them", () => {
      expect(use(0, A)).toBe("pending");
      expect(park(0, A)).toBe(true);
      expect(park(1, A)).toBe(true);
      expectLog("ask 1 all");
      expect(reply(5, A, 7)).toBe("learnt");
      expectLog("send 2 to 1 at 7");
      expect(use(6, A)).toBe(7);
      expectLog();
    });

    test("three requests a second apart, then unreachable; a later look-up asks again", () => {
      park(0, A);
      run(2999);
      expectLog("ask 1 all", "ask 1 all", "ask 1 all");
      run(3000);
      expectLog("lose 1 to 1");
      expect(use(3500, A)).toBe(UNREACHABLE);
      expect(use(4100, A)).toBe("pending");
      expectLog("ask 1 all");
    });

    test("what waits is bounded, for an address and in all", () => {
      let kept = 0;
      while (park(0, A, 1500) && kept < 1000) kept++;
      expect(kept).toBe(109); // 160 KiB
      let all = kept;
      for (let ip = A + 1; ip < A + 100; ip++) while (park(0, ip, 1500)) all++;
      expect(all * 1500).toBeLessThanOrEqual(1024 * 1024);
      table.clear();
      for (kept = 0; park(0, A, 1) && kept < 1000; ) kept++;
      expect(kept).toBe(128);
    });
  });

  describe("believing", () => {
    test("an answer that nobody asked for is not learnt", () => {
      expect(reply(0, A, 9)).toBe("unsolicited");
      expect(table.size).toBe(0);
    });

    test("a request to us is a guess: usable at once, and everybody is asked at its first use", () => {
      expect(request(0, A, 1)).toBe("learnt");
      expect(use(10, A)).toBe(1);
      expectLog("ask 1 all");
      expect(reply(11, A, 1)).toBe("confirmed");
      run(REACHABLE_MS);
      expect(use(20_000, A)).toBe(1);
      expectLog();
    });

    test("a forged guess is found out at the first answer", () => {
      request(0, A, 666);
      expect(use(10, A)).toBe(666);
      expect(reply(11, A, 1)).toBe("learnt");
      expect(use(12, A)).toBe(1);
      run(510);
      expectLog("ask 1 all");
      expect(use(511, A)).toBe(1);
    });

    test("a forged guess does not stay because its forger answers too, and the conflict is told", () => {
      request(0, A, 666);
      use(10, A);
      reply(11, A, 1);
      expect(reply(12, A, 666)).toBe("conflicting");
      expect(use(13, A)).toBe(1);
      run(510);
      expectLog("ask 1 all", "conflict of 1 and 666 for 1");
      expect(use(511, A)).toBe(1);
    });

    test("a request from who is just being asked for is a guess, although an answer was known before", () => {
      known();
      use(REACHABLE_MS, A);
      run(REACHABLE_MS + 1000); // no answer to two requests
      expect(request(REACHABLE_MS + 1001, A, 666)).toBe("learnt");
      log = [];
      expect(use(REACHABLE_MS + 1002, A)).toBe(666);
      expectLog("ask 1 all");
    });

    test("a guess that nobody confirms is no neighbour any more after a second", () => {
      request(0, A, 666);
      use(10, A);
      run(1010);
      expectLog("ask 1 all", "ask 1 all", "ask 1 all");
      expect(use(1010, A)).toBe("pending");
    });

    test("a different claim about a good entry makes us ask everybody, at most every 2 s, and traffic goes on", () => {
      known();
      for (let t = 100; t < 1900; t += 10) {
        expect(reply(t, A, 666)).toBe("conflicting");
        expect(request(t, A, 667)).toBe("conflicting");
        if (t === 100) {
          expectLog("ask 1 all");
          reply(t, A, 1);
        }
        run(t);
        expect(use(t, A)).toBe(1);
      }
      expect(log.filter((line) => line.startsWith("ask"))).toEqual([]);
    });

    test("two that answer are a conflict that is told, and the one that was confirmed stays", () => {
      known(0, 1);
      for (const [now, first, second] of [
        [1000, 1, 666],
        [5000, 666, 1],
      ] as const) {
        table.onClaim(now, words(A), 0, 2, 666);
        reply(now + 1, A, first);
        reply(now + 300, A, second);
        expectLog("ask 1 all");
        run(now + 500);
        expectLog("conflict of 1 and 666 for 1");
        expect(use(now + 501, A)).toBe(1);
      }
    });

    test("a forger who answers in another's name is named within a second of the owner's next word", () => {
      request(0, A, 666);
      use(1, A);
      reply(2, A, 666);
      run(600);
      log = [];
      expect(request(10_000, A, 1)).toBe("conflicting");
      expectLog("ask 1 all");
      reply(10_001, A, 666);
      reply(10_002, A, 1);
      run(10_500);
      expectLog("conflict of 666 and 1 for 1");
    });

    test("a forged entry heals when the owner claims its address and nobody has the forged MAC", () => {
      known(0, 666);
      expect(request(5000, A, 1)).toBe("conflicting");
      expectLog("ask 1 all");
      reply(5001, A, 1);
      run(5500);
      expect(use(5501, A)).toBe(1);
    });

    test("a forged entry heals by itself within 40 s of use, and a changed MAC is learnt", () => {
      known(0, 666);
      for (let t = 0; t < 40_000; t += 100) {
        run(t);
        // The owner answers what is asked of everybody; nobody has the forged MAC.
        if (use(t, A) === "pending" && log.at(-1) === "ask 1 all") reply(t, A, 1);
        log = log.slice(-1);
      }
      expect(use(40_000, A)).toBe(1);
    });

    test("an entry in use is confirmed by unicast; a stranger's answer to that only makes us ask everybody", () => {
      known();
      use(REACHABLE_MS + 1, A);
      expectLog("ask 1 1");
      expect(reply(REACHABLE_MS + 2, A, 666)).toBe("conflicting");
      expectLog("ask 1 all");
      expect(reply(REACHABLE_MS + 3, A, 1)).toBe("confirmed");
      run(REACHABLE_MS + 600);
      expect(use(REACHABLE_MS + 600, A)).toBe(1);
    });
  });

  test("what nobody uses is forgotten, and the timer goes quiet", () => {
    known();
    run(IDLE_MS + 1);
    expect(table.size).toBe(0);
    expect(table.pollAt()).toBe(Number.POSITIVE_INFINITY);
  });

  test("guesses do not push out what is in use; the table is bounded", () => {
    known();
    for (let i = 0; i < 1023; i++) use(1, 0x0b000000 + i); // asked for, but no answer yet
    for (let i = 0; i < 5000; i++) expect(request(1, 0x0e000000 + i, i)).toBe("full");
    expect([table.size, use(2, A), use(2, 0x0b000000)]).toEqual([1024, 1, "pending"]);
    expect(use(3, 0x0c000000)).toBe("pending"); // what is wanted finds room
    expect(table.size).toBe(1024);
    expect(request(REACHABLE_MS + 2, 0x0e000000, 1)).toBe("learnt"); // in the place of what nobody uses any more
  });

  test("a scan pushes out itself, not who answers", () => {
    known();
    use(1, 0x0c000000);
    reply(1, 0x0c000000, 2);
    for (let i = 0; i < 5000; i++) use(2 + i / 1000, 0x0b000000 + i);
    expect(table.size).toBe(1024);
    expect([use(8, A), use(8, 0x0c000000)]).toEqual([1, 2]);
  });

  test("entries are found, and give way, as in a model: what never answered first, then what was unused the longest", () => {
    const op = fc.record({ ip: fc.nat(3000), answers: fc.constantFrom(true, true, true, false), again: fc.nat(50) });
    fc.assert(
      fc.property(fc.array(op, { minLength: 1500, maxLength: 2500 }), (ops) => {
        table = new NeighborTable(stride, 5, { ...port, solicit: () => {}, abandon: () => {} });
        /** By address, in the order of last use. */
        const model = new Map<number, { mac: number | undefined; usedAt: number }>();
        let now = 0;
        const touch = (ip: number): void => {
          const entry = model.get(ip)!;
          entry.usedAt = now;
          model.delete(ip);
          model.set(ip, entry);
        };
        for (const { ip, answers, again } of ops) {
          now += 1; // more than two seconds in all would begin to time out
          const old = [...model.keys()][again % Math.max(1, model.size)];
          if (old !== undefined && model.get(old)!.mac !== undefined) {
            expect(use(now, old)).toBe(model.get(old)!.mac!);
            // A use within a second of the last one does not count.
            if (now - model.get(old)!.usedAt >= 1000) touch(old);
          }
          if (model.has(ip)) continue;
          if (model.size === 1024) {
            const victim = [...model].find(([, e]) => e.mac === undefined) ?? [...model][0]!;
            model.delete(victim[0]);
          }
          model.set(ip, { mac: undefined, usedAt: now });
          expect(use(now, ip)).toBe("pending");
          if (answers) {
            reply(now, ip, ip);
            model.get(ip)!.mac = ip;
            touch(ip);
          }
        }
        expect(table.size).toBe(model.size);
        for (const [ip, { mac }] of model) if (mac !== undefined) expect(use(now, ip)).toBe(mac);
      }),
      { numRuns: 3 },
    );
  });

  test("any sequence of events leaves bounded storage and a timer that moves on", () => {
    const op = fc.record({ kind: fc.nat(4), ip: fc.nat(5), mac: fc.nat(3), dt: fc.nat(3000) });
    fc.assert(
      fc.property(fc.array(op, { maxLength: 200 }), (ops) => {
        table = new NeighborTable(stride, 1, port);
        let now = 0;
        for (const { kind, ip, mac, dt } of ops) {
          now += dt;
          run(now);
          if (kind === 0) reply(now, A + ip, mac);
          else if (kind === 1) request(now, A + ip, mac);
          else if (kind === 2) table.onClaim(now, words(A + ip), 0, 2, mac);
          else if (use(now, A + ip) === "pending") park(now, A + ip);
        }
        run(now + 2 * IDLE_MS);
        return table.size === 0 && table.pollAt() === Number.POSITIVE_INFINITY;
      }),
    );
  });
});
