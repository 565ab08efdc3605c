import { expect, test } from "bun:test";
import { FailureLog } from "./failure-log.ts";

test("a failure is said once a minute, and another one at once", () => {
  const said: string[] = [];
  const failures = new FailureLog({ enabled: () => true, write: (_level, _event, text = "") => void said.push(text) });
  const first = new Error("first");
  for (const now of [0, 1, 59_999, 60_000, 60_001]) failures.write(now, first);
  failures.write(60_002, "second");
  failures.write(60_003, first);
  expect(said).toEqual([first.stack!, first.stack!, "second", first.stack!]);
});
