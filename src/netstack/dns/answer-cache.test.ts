/** The answer cache against a map. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { encodeDns } from "../testing/dns.ts";
import { AnswerCache, questionHash } from "./answer-cache.ts";

const NO_TTLS = new Uint16Array(0);
const end = (message: Uint8Array): number => message.indexOf(0, 12) + 1;

/** A question; the answer is the same bytes with a mark behind. */
const message = (name: string, mark = 0): Uint8Array => Uint8Array.from([...encodeDns({ name }), mark]);

function put(
  cache: AnswerCache,
  now: number,
  name: string,
  type: number,
  key: number,
  mark: number,
  ttl: number,
  host: number,
  extra = 0,
): void {
  const bytes = new Uint8Array(message(name).length + extra);
  bytes.set(message(name, mark));
  cache.put(
    now,
    questionHash(cache.seed, bytes, end(bytes), type, key),
    bytes,
    end(bytes),
    type,
    key,
    NO_TTLS,
    ttl,
    host,
  );
}

function find(cache: AnswerCache, now: number, name: string, type: number, key: number): number | undefined {
  const bytes = message(name);
  const i = cache.find(now, questionHash(cache.seed, bytes, end(bytes), type, key), bytes, end(bytes), type, key);
  return i === 0 ? undefined : cache.message(i)[message(name).length - 1];
}

test("finds exactly what was put, without case, until its TTL is over; the later answer takes the place of the earlier", () => {
  // A and a type whose byte differs in the bit of the case: 65 and 97
  const names = fc.constantFrom("a.example", "A.eXample", "b.example", "a.exampl", "[", "{", "@", "`");
  const types = fc.constantFrom(1, 65, 97);
  const keys = fc.nat(1);
  const step = fc.oneof(
    fc.record({
      kind: fc.constant("put" as const),
      name: names,
      type: types,
      key: keys,
      mark: fc.nat(255),
      ttl: fc.nat(100),
    }),
    fc.record({ kind: fc.constant("find" as const), name: names, type: types, key: keys }),
    fc.record({ kind: fc.constant("pass" as const), ms: fc.nat(60_000) }),
    fc.record({ kind: fc.constant("clear" as const) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.integer(), (steps, seed) => {
      const cache = new AnswerCache({ seed });
      const model = new Map<string, { mark: number; until: number }>();
      const keyOf = (name: string, type: number, key: number): string => `${name.toLowerCase()} ${type} ${key}`;
      let now = 0;
      for (const s of steps) {
        if (s.kind === "pass") now += s.ms;
        else if (s.kind === "clear") {
          cache.clear();
          model.clear();
        } else if (s.kind === "put") {
          put(cache, now, s.name, s.type, s.key, s.mark, s.ttl, 1);
          model.delete(keyOf(s.name, s.type, s.key));
          if (s.ttl > 0) model.set(keyOf(s.name, s.type, s.key), { mark: s.mark, until: now + s.ttl * 1000 });
        } else {
          const known = model.get(keyOf(s.name, s.type, s.key));
          expect(find(cache, now, s.name, s.type, s.key)).toBe(known && now < known.until ? known.mark : undefined);
        }
        expect(cache.size).toBeLessThanOrEqual(model.size);
      }
    }),
    { numRuns: 500 },
  );
});

test("bytes and entries stay within their bounds, and are given back", () => {
  const step = fc.record({ name: fc.nat(40), extra: fc.nat(3000), host: fc.nat(5), ttl: fc.nat(3) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const cache = new AnswerCache({ seed: 1, maxEntries: 10, maxBytes: 8000 });
      for (const [now, { name, extra, host, ttl }] of steps.entries()) {
        put(cache, now * 300, `n${name}`, 1, 0, 0, ttl, host, extra);
        expect([cache.bytes <= 8000, cache.size <= 10]).toEqual([true, true]);
        if (ttl > 0) expect(find(cache, now * 300, `n${name}`, 1, 0)).toBe(0);
      }
      cache.clear();
      expect([cache.bytes, cache.size]).toEqual([0, 0]);
    }),
  );
});

test("a host that asks for names without end pushes out its own, the one used the longest ago first", () => {
  const cache = new AnswerCache({ seed: 3, maxEntries: 100 });
  for (let i = 0; i < 10; i++) put(cache, 0, `quiet${i}`, 1, 0, 1, 60, 7);
  for (let i = 0; i < 90; i++) put(cache, 0, `loud${i}`, 1, 0, 1, 60, 8);
  expect(find(cache, 0, "loud0", 1, 0)).toBe(1);
  for (let i = 90; i < 170; i++) put(cache, 0, `loud${i}`, 1, 0, 1, 60, 8);
  for (let i = 0; i < 10; i++) expect(find(cache, 0, `quiet${i}`, 1, 0)).toBe(1);
  expect([find(cache, 0, "loud0", 1, 0), find(cache, 0, "loud1", 1, 0), find(cache, 0, "loud169", 1, 0)]).toEqual([
    1,
    undefined,
    1,
  ]);
});

test("entries with one hash are told apart by type, bits and name", () => {
  const cache = new AnswerCache({ seed: 1 });
  const kinds = [
    ["a.example", 1, 0],
    ["a.example", 28, 0],
    ["a.example", 1, 8],
    ["b.example", 1, 0],
    ["ab.example", 1, 0],
  ] as const;
  for (const [mark, [name, type, key]] of kinds.entries()) {
    const bytes = message(name, mark);
    cache.put(0, 5, bytes, end(bytes), type, key, NO_TTLS, 60, 1);
  }
  for (const [mark, [name, type, key]] of kinds.entries()) {
    const bytes = message(name);
    expect(cache.message(cache.find(0, 5, bytes, end(bytes), type, key)).at(-1)).toBe(mark);
  }
  expect([cache.size, cache.find(0, 5, message("c.example"), 23, 1, 0)]).toEqual([5, 0]);
});

test("an answer longer than 16 KiB is not kept", () => {
  const cache = new AnswerCache({ seed: 3 });
  put(cache, 0, "long", 1, 0, 1, 60, 1, 16_384);
  expect(find(cache, 0, "long", 1, 0)).toBeUndefined();
});
