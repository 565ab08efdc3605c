/** The translator's table by itself, of both families, against a map: what is found, what gives way, which ports are given. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { seededRandom } from "../../lib/random.ts";
import { PROTO_TCP, PROTO_UDP } from "../wire/ipv4.ts";
import { STATE_UDP, STATE_UDP_NEW, TIMEOUT_MS } from "./states.ts";
import { NatTable } from "./table.ts";

interface Flow {
  readonly host: number;
  readonly outside: number;
  usedAt: number;
  state: number;
}

describe.each([[1], [4]] as const)("addresses of %d words", (stride) => {
  /** Hosts differ in one word, and not always in the same: whoever compares less than all of them fails. */
  const words = (n: number, into: Int32Array): void => {
    into.fill(0x20010db8);
    into[n % stride] = 0x0a000000 + n;
  };
  const aim = (table: NatTable, protocol: number, host: number, port: number, remote: number): void => {
    table.key.protocol = protocol;
    words(host, table.key.inside);
    table.key.insidePort = port;
    words(100 + remote, table.key.remote);
    table.key.remotePort = 53;
  };

  test("sessions are found from both sides, expire, and never share an outside port with another endpoint, as in a map", () => {
    const step = fc.record({
      protocol: fc.constantFrom(PROTO_UDP, PROTO_TCP),
      host: fc.nat(4),
      port: fc.integer({ min: 1024, max: 1027 }),
      remote: fc.nat(3),
      what: fc.constantFrom("out", "out", "in", "remove"),
      wait: fc.constantFrom(0, 10, 2000, 40_000),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
        const table = new NatTable(stride, 1000, seededRandom(3));
        const model = new Map<string, Flow>();
        const ports = new Map<string, number>();
        let now = 0;
        for (const { protocol, host, port, remote, what, wait } of steps) {
          now += wait;
          table.expire(now, 1000);
          for (const [key, f] of model) if (f.usedAt + TIMEOUT_MS[f.state]! <= now) model.delete(key);
          for (const key of ports.keys())
            if (![...model.keys()].some((k) => k.startsWith(`${key} `))) ports.delete(key);
          expect(table.size).toBe(model.size);
          const endpoint = `${protocol} ${host} ${port}`;
          const key = `${endpoint} ${remote}`;
          const flow = model.get(key);
          aim(table, protocol, host, port, remote);
          let i = table.find(now);
          expect(i !== 0).toBe(flow !== undefined);
          if (what === "out" && flow === undefined) {
            i = table.create(now, STATE_UDP_NEW);
            const outside = table.outsidePort[i]!;
            expect(ports.get(endpoint) ?? outside).toBe(outside);
            for (const [other, taken] of ports)
              if (other !== endpoint && other.startsWith(`${protocol} `)) expect(taken).not.toBe(outside);
            ports.set(endpoint, outside);
            model.set(key, { host, outside, usedAt: now, state: STATE_UDP_NEW });
          } else if (what === "in" && flow !== undefined) {
            aim(table, protocol, 999, 1, remote);
            expect(table.findOutside(now, flow.outside)).toBe(i);
            const inside = new Int32Array(stride);
            words(host, inside);
            expect([...table.inside.subarray(i * stride, (i + 1) * stride)]).toEqual([...inside]);
            expect(table.insidePort(i)).toBe(port);
            if (now - flow.usedAt >= 1000 || flow.state !== STATE_UDP) flow.usedAt = now;
            table.touch(now, i, STATE_UDP);
            flow.state = STATE_UDP;
            aim(table, protocol, 999, 1, remote + 10);
            expect(table.findOutside(now, flow.outside)).toBe(0);
          } else if (what === "remove" && flow !== undefined) {
            table.remove(i);
            model.delete(key);
          }
          const of = new Int32Array(stride);
          words(host, of);
          expect(table.sessionsOf(of)).toBe([...model.values()].filter((f) => f.host === host).length);
        }
      }),
      { numRuns: 100 },
    );
  });

  test("a session is found by all of its key: in a table of few buckets too, nothing that differs in one part is it", () => {
    const table = new NatTable(stride, 3, seededRandom(3));
    const { key } = table;
    aim(table, PROTO_UDP, 1, 1024, 0);
    const i = table.create(0, STATE_UDP_NEW);
    const add =
      (words: Int32Array, k: number) =>
      (n: number): void => {
        words[k]! += n;
      };
    const changes: ((n: number) => void)[] = [
      (n) => {
        key.protocol += n;
      },
      (n) => {
        key.insidePort += n;
      },
      (n) => {
        key.remotePort += n;
      },
      ...Array.from({ length: stride }, (_, k) => add(key.inside, k)),
      ...Array.from({ length: stride }, (_, k) => add(key.remote, k)),
    ];
    for (const change of changes) {
      for (let n = 0; n < 100; n++) {
        aim(table, PROTO_UDP, 1, 1024, 0);
        change(n);
        expect(table.find(1)).toBe(n === 0 ? i : 0);
      }
    }
  });

  test("the session that was found last is not found any more once it is removed, or everything forgotten", () => {
    const table = new NatTable(stride, 10, seededRandom(3));
    const forget: ((i: number) => void)[] = [(i) => table.remove(i), () => table.clear()];
    for (const forgotten of forget) {
      aim(table, PROTO_UDP, 1, 1024, 0);
      const i = table.create(0, STATE_UDP_NEW);
      expect(table.find(1)).toBe(i);
      forgotten(i);
      expect([table.find(1), table.size]).toEqual([0, 0]);
    }
  });

  test("in a full table the host that has most gives way, its longest idle first", () => {
    const table = new NatTable(stride, 64, seededRandom(3));
    for (let i = 0; i < 64; i++) {
      aim(table, PROTO_UDP, i < 8 ? 1 : 2, 2000 + i, 0);
      table.create(i, STATE_UDP_NEW);
    }
    for (let i = 0; i < 20; i++) {
      aim(table, PROTO_UDP, 3, 3000 + i, 0);
      table.create(100 + i, STATE_UDP_NEW);
      aim(table, PROTO_UDP, 2, 2008 + i, 0);
      expect(table.find(100 + i)).toBe(0);
    }
    const of = new Int32Array(stride);
    const counts = [1, 2, 3].map((host) => {
      words(host, of);
      return table.sessionsOf(of);
    });
    expect(counts).toEqual([8, 36, 20]);
  });
});
