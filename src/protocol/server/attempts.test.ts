import { expect, test } from "bun:test";
import { IpAddress, parseIp } from "../../lib/ip.ts";
import { Attempts } from "./attempts.ts";

const NOW = 1_700_000_000;
const at = (text: string): IpAddress => parseIp(text)!;
const HOME = at("192.0.2.1");
const ELSEWHERE = at("198.51.100.7");

function fail(attempts: Attempts, times: number, name: string, from: IpAddress, now = NOW): void {
  for (let i = 0; i < times; i++) attempts.failed(now, name, from);
}

test("a name is guessed ten times, then once a minute, wherever it is tried from", () => {
  const attempts = new Attempts();
  for (let i = 0; i < 9; i++) attempts.failed(NOW, "ann", IpAddress.fromIpv4(i));
  expect(attempts.blocked(NOW, "ann", HOME)).toBeUndefined();
  attempts.failed(NOW, "ann", HOME);
  expect(attempts.blocked(NOW, "ann", ELSEWHERE)).toEqual({ by: "name", seconds: 60 });
  expect(attempts.blocked(NOW, "bob", HOME)).toBeUndefined();
  expect(attempts.blocked(NOW + 59, "ann", ELSEWHERE)).toEqual({ by: "name", seconds: 1 });
  expect(attempts.blocked(NOW + 60, "ann", ELSEWHERE)).toBeUndefined();
  attempts.failed(NOW + 60, "ann", ELSEWHERE);
  expect(attempts.blocked(NOW + 60, "ann", ELSEWHERE)).toEqual({ by: "name", seconds: 60 });
  expect(attempts.blocked(NOW + 660, "ann", ELSEWHERE)).toBeUndefined();
});

test("an address tries thirty times, then every twenty seconds, whatever names", () => {
  const attempts = new Attempts();
  for (let i = 0; i < 30; i++) attempts.failed(NOW, `user${i}`, HOME);
  expect(attempts.blocked(NOW, "ann", HOME)).toEqual({ by: "place", seconds: 20 });
  expect(attempts.blocked(NOW, "ann", ELSEWHERE)).toBeUndefined();
  expect(attempts.blocked(NOW + 20, "ann", HOME)).toBeUndefined();
});

test("of IPv6 a network of 64 bits counts as one address", () => {
  const attempts = new Attempts();
  for (let i = 0; i < 30; i++) attempts.failed(NOW, `user${i}`, at(`2001:db8:1:2::${i}`));
  expect(attempts.blocked(NOW, "ann", at("2001:db8:1:2:ffff::1"))).toEqual({ by: "place", seconds: 20 });
  expect(attempts.blocked(NOW, "ann", at("2001:db8:1:3::1"))).toBeUndefined();
});

test("who guesses elsewhere does not keep a user out of where it logged in from last", () => {
  const attempts = new Attempts();
  attempts.succeeded("ann", HOME);
  fail(attempts, 10, "ann", ELSEWHERE);
  expect(attempts.blocked(NOW, "ann", ELSEWHERE)).toBeDefined();
  expect(attempts.blocked(NOW, "ann", HOME)).toBeUndefined();
  // But what was guessed from there is bounded too.
  fail(attempts, 30, "ann", HOME);
  expect(attempts.blocked(NOW, "ann", HOME)).toEqual({ by: "place", seconds: 20 });
});

test("one that counted beforehand and was right is taken back, of the name and of the address", () => {
  const attempts = new Attempts();
  fail(attempts, 10, "ann", HOME);
  attempts.takenBack(NOW, "ann", HOME);
  expect(attempts.blocked(NOW, "ann", ELSEWHERE)).toBeUndefined();
  fail(attempts, 1, "ann", HOME);
  expect(attempts.blocked(NOW, "ann", ELSEWHERE)).toEqual({ by: "name", seconds: 60 });
  fail(attempts, 20, "bob", HOME);
  expect(attempts.blocked(NOW, "eve", HOME)).toEqual({ by: "place", seconds: 20 });
  attempts.takenBack(NOW, "bob", HOME);
  expect(attempts.blocked(NOW, "eve", HOME)).toBeUndefined();
  // There is nothing to take back for long.
  attempts.takenBack(NOW + 1_000_000, "ann", HOME);
  attempts.takenBack(NOW, "nobody", ELSEWHERE);
  fail(attempts, 9, "ann", HOME, NOW + 1_000_000);
  expect(attempts.blocked(NOW + 1_000_000, "ann", ELSEWHERE)).toBeUndefined();
});

test("a clock that is set back neither forgives nor locks out for longer", () => {
  const attempts = new Attempts();
  fail(attempts, 10, "ann", HOME);
  expect(attempts.blocked(NOW - 100_000, "ann", ELSEWHERE)).toEqual({ by: "name", seconds: 60 });
  attempts.failed(NOW - 100_000, "ann", HOME);
  expect(attempts.blocked(NOW - 99_940, "ann", ELSEWHERE)).toBeUndefined();
});

test("what is kept is bounded: who failed least is forgotten", () => {
  const attempts = new Attempts();
  const five = (name: string): void => fail(attempts, 5, name, IpAddress.fromIpv4(Number(name)));
  fail(attempts, 4, "ann", HOME);
  for (let i = 0; i < 4096; i++) five(`${i}`);
  fail(attempts, 9, "ann", HOME);
  expect(attempts.blocked(NOW, "ann", ELSEWHERE)).toBeUndefined();
  fail(attempts, 1, "ann", HOME);
  expect(attempts.blocked(NOW, "ann", ELSEWHERE)).toBeDefined();
});

test("who failed most is kept", () => {
  const attempts = new Attempts();
  fail(attempts, 10, "ann", HOME);
  for (let i = 0; i < 5000; i++) attempts.failed(NOW, `name${i}`, IpAddress.fromIpv4(i));
  expect(attempts.blocked(NOW, "ann", ELSEWHERE)).toBeDefined();
});
