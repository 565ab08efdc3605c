import { expect, test } from "bun:test";
import fc from "fast-check";
import { MAC_AGE_MS, MAC_HELD_MS, MacTable, NO_PORT } from "./mac-table.ts";

const STATIONS = 8;
const PER_PORT = 3;

const step = fc.record({
  kind: fc.constantFrom("learn", "learn", "learn", "find", "forget"),
  mac: fc.nat(11),
  port: fc.nat(3),
  after: fc.constantFrom(0, 500, 1500, MAC_HELD_MS, MAC_AGE_MS - 1, MAC_AGE_MS),
});

test("as a plain map of stations in the order in which they were heard, whatever is learnt, forgotten and asked", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const table = new MacTable(STATIONS, 4, PER_PORT, 99);
      /** In the order in which they were heard; within the grain of a second that is not looked at. */
      const model = new Map<number, { port: number; at: number }>();
      const oldest = (port?: number): number => [...model].find(([, s]) => port === undefined || s.port === port)![0];
      const countOf = (port: number): number => [...model.values()].filter((s) => s.port === port).length;
      let now = 1000;
      for (const { kind, mac, port, after } of steps) {
        now += after;
        const [hi, lo] = [mac >> 2, mac & 3];
        const known = model.get(mac);
        if (kind === "find") {
          expect(table.find(now, hi, lo)).toBe(
            known === undefined || now >= known.at + MAC_AGE_MS ? NO_PORT : known.port,
          );
        } else if (kind === "forget") {
          table.forget(port);
          for (const [one, s] of [...model]) if (s.port === port) model.delete(one);
        } else {
          const isHeld = known !== undefined && known.port !== port && now - known.at < MAC_HELD_MS;
          expect(table.learn(now, hi, lo, port)).toBe(!isHeld);
          if (isHeld || (known?.port === port && now - known.at < 1000)) continue;
          model.delete(mac);
          if (known?.port !== port && port !== 0 && countOf(port) >= PER_PORT) model.delete(oldest(port));
          if (known === undefined && model.size === STATIONS) model.delete(oldest());
          model.set(mac, { port, at: now });
        }
        expect([table.size, table.countOf(port)]).toEqual([model.size, countOf(port)]);
      }
      for (let mac = 0; mac < 12; mac++) {
        const known = model.get(mac);
        const port = known === undefined || now >= known.at + MAC_AGE_MS ? NO_PORT : known.port;
        expect(table.find(now, mac >> 2, mac & 3)).toBe(port);
      }
    }),
    { numRuns: 300 },
  );
});
