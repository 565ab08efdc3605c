import { expect, test } from "bun:test";
import fc from "fast-check";
import { seededRandom } from "../../lib/random.ts";
import { cookieEcn, cookieSackPermitted, cookieStamp, cookieWindowScale, SynCookies } from "./syn-cookie.ts";

const word = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
const tupleOf = fc.array(word, { minLength: 3, maxLength: 9 }).map((list) => Int32Array.from(list));

test("the ACK of a cookie gives the MSS class for 64 to 128 s, and then nothing", () => {
  fc.assert(
    fc.property(tupleOf, word, fc.integer({ min: 100, max: 9000 }), fc.nat(2 ** 33), (tuple, isn, mss, now) => {
      const cookies = new SynCookies(seededRandom(1));
      const iss = cookies.issue(now, tuple, isn, mss);
      const given = cookies.check(now, tuple, isn, iss);
      expect(given).toBe([8940, 1460, 1440, 1360, 1300, 1220].find((each) => each <= mss) ?? 536);
      expect(cookies.check(now + 64_000, tuple, isn, iss)).toBe(given);
      cookies.issue(now + 128_000, tuple, isn + 1, mss);
      expect(cookies.check(now + 128_000, tuple, isn, iss)).toBe(0);
    }),
  );
});

test("it is good for one peer, its ports and its ISN only, and not after a flip of any bit", () => {
  const cookies = new SynCookies(seededRandom(2));
  const tuple = Int32Array.of(1, 2, 3);
  const iss = cookies.issue(0, tuple, 99, 1460);
  expect(cookies.check(0, tuple, 99, iss)).toBe(1460);
  expect(cookies.check(0, tuple, 100, iss)).toBe(0);
  for (let i = 0; i < 3; i++) expect(cookies.check(0, tuple.with(i, 77), 99, iss)).toBe(0);
  for (let bit = 0; bit < 32; bit++) expect(cookies.check(0, tuple, 99, iss ^ (1 << bit))).toBe(0);
  expect(new SynCookies(seededRandom(3)).check(0, tuple, 99, iss)).toBe(0);
});

test("where no cookie was given out lately none is good, whatever it says", () => {
  const cookies = new SynCookies(seededRandom(4));
  const tuple = Int32Array.of(1, 2, 3);
  const iss = cookies.issue(1000, tuple, 5, 1460);
  expect(cookies.check(1000 + 32 * 64_000, tuple, 5, iss)).toBe(0);
  expect(new SynCookies(seededRandom(4)).check(1000, tuple, 5, iss)).toBe(0);
});

test("guesses are wrong: of a million none is right", () => {
  const cookies = new SynCookies(seededRandom(5));
  const tuple = Int32Array.of(1, 2, 3);
  cookies.issue(0, tuple, 5, 1460);
  let right = 0;
  for (let i = 0; i < 1_000_000; i++) if (cookies.check(0, tuple, 6, Math.imul(i, 0x9e3779b1)) !== 0) right++;
  expect(right).toBe(0);
});

test("cookies of one peer do not show the time or the class in their high bits", () => {
  const cookies = new SynCookies(seededRandom(6));
  const tops = new Set<number>();
  for (let port = 0; port < 2000; port++) tops.add(cookies.issue(0, Int32Array.of(1, 2, port), 5, 1460) >>> 24);
  expect(tops.size).toBeGreaterThan(240);
});

test("the options of the SYN come back in the timestamp, which does not run ahead", () => {
  fc.assert(
    fc.property(word, fc.integer({ min: -1, max: 14 }), fc.boolean(), fc.boolean(), (tsVal, windowScale, sack, ecn) => {
      const stamp = cookieStamp(tsVal, windowScale, sack, ecn);
      expect([cookieWindowScale(stamp), cookieSackPermitted(stamp), cookieEcn(stamp)]).toEqual([
        windowScale,
        sack,
        ecn,
      ]);
      const behind = (tsVal - stamp) | 0;
      expect(behind).toBeGreaterThanOrEqual(0);
      expect(behind).toBeLessThan(64);
    }),
  );
});
