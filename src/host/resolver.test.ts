import { expect, test } from "bun:test";
import type { Resolution } from "../tunnel/resolve.ts";
import { HostResolver } from "./resolver.ts";

/** Answers what it is told to, or fails with that. */
function bed() {
  const answers: (readonly string[] | Error)[] = [];
  const resolver = new HostResolver(async () => {
    const answer = answers.shift();
    if (answer === undefined) return await new Promise<never>(() => {});
    if (answer instanceof Error) throw answer;
    return answer;
  });
  const got: Resolution[] = [];
  const ask = (now: number): void =>
    resolver.resolve(now, "vpn.example", "any", (_at, result) => void got.push(result));
  return { answers, resolver, got, ask };
}

/** Lets promises go on. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("an answer is handed over by poll, in its order", async () => {
  const { answers, resolver, got, ask } = bed();
  answers.push(["2001:db8::1", "192.0.2.1"]);
  ask(0);
  await turn();
  expect([got.length, resolver.pollAt()]).toEqual([0, Number.NEGATIVE_INFINITY]);
  resolver.poll(1);
  expect(got[0]).toMatchObject({ ok: true, note: undefined });
  expect(got[0]!.ok && got[0]!.addresses.map(String)).toEqual(["2001:db8::1", "192.0.2.1"]);
  expect(resolver.pollAt()).toBe(Number.POSITIVE_INFINITY);
});

test("where nothing answers, in time or at all, what the name led to before is taken, and said", async () => {
  const { answers, resolver, got, ask } = bed();
  answers.push(["192.0.2.1"], new Error("no such host"));
  for (const now of [0, 1]) {
    ask(now);
    await turn();
    resolver.poll(now);
  }
  ask(2);
  await turn();
  resolver.poll(10_001);
  expect(got).toHaveLength(2);
  resolver.poll(10_002);
  expect(got.slice(1)).toMatchObject([
    { ok: true, note: expect.stringContaining("no such host") },
    { ok: true, note: expect.stringContaining("in time") },
  ]);
});

test("a name that never led anywhere has no address; a question that was taken back is not answered", async () => {
  const { answers, resolver, got, ask } = bed();
  answers.push(new Error("no such host"), ["192.0.2.1"]);
  ask(0);
  await turn();
  resolver.poll(0);
  expect(got).toEqual([{ ok: false, text: "vpn.example: no such host" }]);
  ask(1);
  resolver.cancel();
  await turn();
  resolver.poll(20_000);
  expect(got).toHaveLength(1);
});
