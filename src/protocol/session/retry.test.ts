import { describe, expect, test } from "bun:test";
import { seededRandom } from "../../lib/random.ts";
import type { Remote } from "../config/types.ts";
import { type Outcome, RetryPolicy } from "./retry.ts";

const remote = (host: string): Remote => ({
  host,
  port: 1194,
  protocol: "udp",
  family: "any",
  origin: { file: "x", line: 1 },
});
const policy = (
  hosts = ["a"],
  more: { connectRetry?: { initial: number; max: number }; remoteRandom?: boolean } = {},
) =>
  new RetryPolicy(
    hosts.map(remote),
    { remoteRandom: more.remoteRandom ?? false, connectRetry: more.connectRetry },
    seededRandom(1),
  );
const silence: Outcome = { kind: "no-answer", seconds: 60 };
const refused = (temporary?: {
  backoff: number | undefined;
  advance: "no" | "remote" | "addr" | undefined;
}): Outcome => ({
  kind: "auth-failed",
  reason: "",
  temporary,
  tokenRefused: false,
  challenge: undefined,
});
const times = (p: RetryPolicy, outcome: Outcome, n: number): number[] =>
  Array.from({ length: n }, () => p.ended(outcome));
const place = (p: RetryPolicy): string => `${p.target().remote.host}${p.target().address}`;
/** Each wait is up to a quarter shorter than this. */
function expectJittered(waits: readonly number[], nominal: readonly number[]): void {
  expect(waits).toHaveLength(nominal.length);
  waits.forEach((wait, i) => {
    expect(wait).toBeLessThanOrEqual(nominal[i]!);
    expect(wait).toBeGreaterThanOrEqual(nominal[i]! * 0.75);
  });
}

test("silence: the wait grows with jitter to at most 8 s, and anew after a success", () => {
  const p = policy();
  const waits = times(p, silence, 6);
  expectJittered(waits, [1000, 2000, 4000, 8000, 8000, 8000]);
  expect(new Set(waits.slice(3)).size).toBeGreaterThan(1);
  p.succeeded();
  expectJittered(times(p, silence, 1), [1000]);
  times(p, silence, 5);
  p.reset();
  expectJittered(times(p, silence, 1), [1000]);
});

test("connect-retry: the given wait, after five retries doubling to the longest (man openvpn)", () => {
  const p = policy(["a"], { connectRetry: { initial: 5, max: 30 } });
  expectJittered(times(p, silence, 9), [5000, 5000, 5000, 5000, 5000, 5000, 10_000, 20_000, 30_000]);
});

describe("refused credentials", () => {
  test("60 s, doubling to 15 min; a success forgets them", () => {
    const p = policy();
    expect(times(p, refused(), 6)).toEqual([60_000, 120_000, 240_000, 480_000, 900_000, 900_000]);
    p.succeeded();
    expect(times(p, refused(), 1)).toEqual([60_000]);
  });

  test("a refused login token is no refusal of the password", () => {
    expectJittered([policy().ended({ ...refused(), tokenRefused: true } as Outcome)], [1000]);
  });

  test("TEMP: the server's backoff, and where it says", () => {
    const p = policy(["a", "b"]);
    expect(p.ended(refused({ backoff: 42, advance: "no" }))).toBe(42_000);
    expect(place(p)).toBe("a0");
    p.resolved(2);
    p.ended(refused({ backoff: 1, advance: "addr" }));
    expect(place(p)).toBe("a1");
    p.ended(refused({ backoff: 1, advance: "remote" }));
    expect(place(p)).toBe("b0");
    expectJittered([p.ended(refused({ backoff: undefined, advance: undefined }))], [1000]);
  });

  test("TEMP: a backoff of nothing or of years is bounded", () => {
    const p = policy();
    expect(p.ended(refused({ backoff: 0, advance: undefined }))).toBe(1000);
    expect(p.ended(refused({ backoff: 999_999_999, advance: undefined }))).toBe(900_000);
  });
});

test("several addresses and remotes in turn, after a moment; the growing wait comes once a round", () => {
  const p = policy(["a", "b"]);
  const seen: [string, number][] = [];
  for (let i = 0; i < 6; i++) {
    p.resolved(p.target().remote.host === "a" ? 2 : 1);
    const at = place(p);
    seen.push([at, p.ended(silence)]);
  }
  expect(seen.map(([at]) => at)).toEqual(["a0", "a1", "b0", "a0", "a1", "b0"]);
  expect([0, 1, 3, 4].map((i) => seen[i]![1])).toEqual([500, 500, 500, 500]);
  expectJittered([seen[2]![1], seen[5]![1]], [1000, 2000]);
});

test("a name that does not resolve is left at once for the next remote", () => {
  const p = policy(["a", "b"]);
  expect(p.ended({ kind: "resolve-failed" })).toBe(500);
  expect(place(p)).toBe("b0");
});

test("a server that restarts before the tunnel is up is asked less and less often", () => {
  const p = policy();
  const restart: Outcome = { kind: "server-restart", message: "", nextRemote: false };
  expectJittered(times(p, restart, 4), [1000, 2000, 4000, 8000]);
  p.succeeded();
  expectJittered(times(p, restart, 2), [1000, 1000]);
});

test("RESTART stays, RESTART with N goes on to the next remote", () => {
  const p = policy(["a", "b"]);
  expectJittered([p.ended({ kind: "server-restart", message: "", nextRemote: false })], [1000]);
  expect(place(p)).toBe("a0");
  p.ended({ kind: "server-restart", message: "", nextRemote: true });
  expect(place(p)).toBe("b0");
});

test("a lost tunnel comes back soon, at the same place", () => {
  const p = policy(["a", "b"]);
  const ends: Outcome[] = [
    { kind: "ping-timeout", seconds: 60, exit: false },
    { kind: "server-exit" },
    { kind: "inactive" },
    { kind: "session-timeout" },
    { kind: "renegotiation-failed", problem: "" },
  ];
  for (const end of ends) {
    p.succeeded();
    expectJittered([p.ended(end)], [1000]);
  }
  expect(place(p)).toBe("a0");
});

test("what a person has to mend: 5 s, doubling to a minute", () => {
  expectJittered(
    times(policy(), { kind: "unusable", directive: "ca", problem: "" }, 6),
    [5000, 10_000, 20_000, 40_000, 60_000, 60_000],
  );
});

test("remote-random keeps every remote, in an order that the seed decides", () => {
  const hosts = ["a", "b", "c", "d", "e"];
  const p = policy(hosts, { remoteRandom: true });
  const order = hosts.map(() => {
    const { host } = p.target().remote;
    p.ended(silence);
    return host;
  });
  expect(order.toSorted()).toEqual(hosts);
  expect(order).not.toEqual(hosts);
});
