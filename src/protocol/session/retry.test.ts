import { describe, expect, test } from "bun:test";
import { seededRandom } from "../../lib/random.ts";
import type { Remote } from "../config/types.ts";
import { type AttemptOutcome, RetryPolicy } from "./retry.ts";

const remote = (host: string): Remote => ({
  host,
  port: 1194,
  protocol: "udp",
  family: "any",
  origin: { file: "x", line: 1 },
  own: {},
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
const silence: AttemptOutcome = { kind: "no-answer", seconds: 60 };
const refused = (temporary?: {
  backoff: number | undefined;
  advance: "no" | "remote" | "addr" | undefined;
}): AttemptOutcome => ({
  kind: "auth-failed",
  reason: "",
  temporary,
  tokenRefused: false,
  challenge: undefined,
  willAnswer: false,
});
const ended = (p: RetryPolicy, outcome: AttemptOutcome): number => p.ended(outcome, HOUR);
/** A tunnel is up, and ends an hour later. */
const lasted = (p: RetryPolicy): void => p.succeeded(0);
const HOUR = 3_600_000;
const times = (p: RetryPolicy, outcome: AttemptOutcome, n: number): number[] =>
  Array.from({ length: n }, () => ended(p, outcome));
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
  lasted(p);
  expectJittered(times(p, silence, 1), [1000]);
  times(p, silence, 5);
  p.reset();
  expectJittered(times(p, silence, 1), [1000]);
});

test("connect-retry: the given wait, after five retries doubling to the longest (man openvpn)", () => {
  const p = policy(["a"], { connectRetry: { initial: 5, max: 30 } });
  expectJittered(times(p, silence, 9), [5000, 5000, 5000, 5000, 5000, 5000, 10_000, 20_000, 30_000]);
});

test("connect-retry of a <connection> block: after an attempt at its server, as openvpn", () => {
  const own = { connectRetry: { initial: 20, max: 40 } };
  const remotes = [remote("a"), { ...remote("b"), own }];
  const p = new RetryPolicy(remotes, { remoteRandom: false, connectRetry: { initial: 5, max: 30 } }, seededRandom(1));
  // A round ends with b.
  expectJittered(times(p, silence, 4), [500, 20_000, 500, 20_000]);
  p.succeeded(0);
  expectJittered([p.ended({ kind: "server-exit" }, 1000)], [5000]);
  const alone = new RetryPolicy(
    [{ ...remote("b"), own }],
    { remoteRandom: false, connectRetry: undefined },
    seededRandom(1),
  );
  expectJittered(times(alone, silence, 8), [20_000, 20_000, 20_000, 20_000, 20_000, 20_000, 40_000, 40_000]);
});

describe("refused credentials", () => {
  test("60 s, doubling to 15 min; a success forgets them", () => {
    const p = policy();
    expect(times(p, refused(), 6)).toEqual([60_000, 120_000, 240_000, 480_000, 900_000, 900_000]);
    lasted(p);
    expect(times(p, refused(), 1)).toEqual([60_000]);
  });

  test("of a proxy too; the next remote may have another one", () => {
    const p = policy(["a", "b"]);
    const wrong: AttemptOutcome = { kind: "proxy-login-refused", text: "refuses user and password" };
    expect([ended(p, wrong), place(p), ended(p, refused()), ended(p, wrong), place(p)]).toEqual([
      ...[60_000, "b0", 120_000, 240_000, "a0"],
    ]);
    expectJittered([ended(policy(), { kind: "proxy-failed", text: "answers 503" })], [1000]);
  });

  test("a refused login token is no refusal of the password", () => {
    expectJittered([ended(policy(), { ...refused(), tokenRefused: true } as AttemptOutcome)], [1000]);
  });

  test("TEMP: the server's backoff, and where it says", () => {
    const p = policy(["a", "b"]);
    expect(ended(p, refused({ backoff: 42, advance: "no" }))).toBe(42_000);
    expect(place(p)).toBe("a0");
    p.resolved(2);
    ended(p, refused({ backoff: 1, advance: "addr" }));
    expect(place(p)).toBe("a1");
    ended(p, refused({ backoff: 1, advance: "remote" }));
    expect(place(p)).toBe("b0");
    expectJittered([ended(p, refused({ backoff: undefined, advance: undefined }))], [8000]);
  });

  test("TEMP: a backoff of nothing, or a short one, is no leave to log in without end: the wait grows; one of years is bounded", () => {
    for (const backoff of [undefined, 0, 1]) {
      const p = policy();
      const waits = times(p, refused({ backoff, advance: undefined }), 6);
      waits[0] = Math.min(waits[0] as number, 1000);
      expectJittered(waits, [1000, 2000, 4000, 8000, 8000, 8000]);
    }
    expect(ended(policy(), refused({ backoff: 999_999_999, advance: undefined }))).toBe(900_000);
  });
});

test("several addresses and remotes in turn, after a moment; the growing wait comes once a round", () => {
  const p = policy(["a", "b"]);
  const seen: [string, number][] = [];
  for (let i = 0; i < 6; i++) {
    p.resolved(p.target().remote.host === "a" ? 2 : 1);
    const at = place(p);
    seen.push([at, ended(p, silence)]);
  }
  expect(seen.map(([at]) => at)).toEqual(["a0", "a1", "b0", "a0", "a1", "b0"]);
  expect([0, 1, 3, 4].map((i) => seen[i]![1])).toEqual([500, 500, 500, 500]);
  expectJittered([seen[2]![1], seen[5]![1]], [1000, 2000]);
});

test("a name that does not resolve is left at once for the next remote", () => {
  const p = policy(["a", "b"]);
  expect(ended(p, { kind: "resolve-failed" })).toBe(500);
  expect(place(p)).toBe("b0");
});

test("an address to which there is no link is left for the next one of the name", () => {
  const p = policy(["a", "b"]);
  p.resolved(2);
  expect(ended(p, { kind: "link-failed" })).toBe(500);
  expect(place(p)).toBe("a1");
});

test("a server that restarts before the tunnel is up is asked less and less often", () => {
  const p = policy();
  const restart: AttemptOutcome = { kind: "server-restart", message: "", nextRemote: false };
  expectJittered(times(p, restart, 4), [1000, 2000, 4000, 8000]);
  lasted(p);
  expectJittered(times(p, restart, 2), [1000, 1000]);
});

test("RESTART stays, RESTART with N goes on to the next remote", () => {
  const p = policy(["a", "b"]);
  expectJittered([ended(p, { kind: "server-restart", message: "", nextRemote: false })], [1000]);
  expect(place(p)).toBe("a0");
  ended(p, { kind: "server-restart", message: "", nextRemote: true });
  expect(place(p)).toBe("b0");
});

test("a lost tunnel comes back soon, at the same place", () => {
  const p = policy(["a", "b"]);
  const ends: AttemptOutcome[] = [
    { kind: "ping-timeout", seconds: 60, exit: false },
    { kind: "server-exit" },
    { kind: "inactive" },
    { kind: "session-timeout" },
    { kind: "renegotiation-failed", problem: "" },
  ];
  for (const end of ends) {
    lasted(p);
    expectJittered([ended(p, end)], [1000]);
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
    ended(p, silence);
    return host;
  });
  expect(order.toSorted()).toEqual(hosts);
  expect(order).not.toEqual(hosts);
});

test("a server that lets each session up and ends it at once is asked ever more slowly; the tunnel that lasts begins anew", () => {
  for (const end of [{ kind: "server-exit" }, { kind: "server-restart", message: "", nextRemote: false }] as const) {
    const p = policy();
    let now = 0;
    const waits: number[] = [];
    for (let i = 0; i < 5; i++) {
      p.succeeded(now);
      waits.push(p.ended(end, now + 59_999));
      now += 100_000;
    }
    expectJittered(waits, [1000, 2000, 4000, 8000, 8000]);
    p.succeeded(now);
    expectJittered([p.ended(end, now + 60_000)], [1000]);
    expectJittered([p.ended(silence, now + 70_000)], [1000]);
  }
});

test("a login that is refused soon after it was accepted counts on: accounts get locked", () => {
  const p = policy();
  const waits = Array.from({ length: 3 }, (_, i) => {
    p.succeeded(i * 1000);
    return p.ended(refused(), i * 1000 + 500);
  });
  expect(waits).toEqual([60_000, 120_000, 240_000]);
});

test("a question that is answered is answered soon, and HALT with N goes to the next remote", () => {
  const p = policy();
  expect(p.ended({ ...refused(), willAnswer: true } as AttemptOutcome, 0)).toBeLessThanOrEqual(1000);
  const two = policy(["a", "b"]);
  const first = two.target().remote;
  two.ended({ kind: "server-halt", message: "", nextRemote: true }, 0);
  expect(two.target().remote).not.toBe(first);
});

test("a server that says HALT is left alone for a minute, and longer each time", () => {
  const p = policy();
  const halt: AttemptOutcome = { kind: "server-halt", message: "", nextRemote: false };
  expect(times(p, halt, 6).map((ms) => Math.round(ms / 60_000))).toEqual([1, 2, 4, 8, 15, 15]);
});
