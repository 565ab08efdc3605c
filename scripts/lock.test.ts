import { afterAll, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { lock } from "./lock.ts";

const folder = mkdtempSync(join(tmpdir(), "lock-"));
const path = join(folder, "one");
afterAll(() => rmSync(folder, { recursive: true }));

test("the lock of a process that is gone is taken over, and given back without a trace", async () => {
  const gone = Bun.spawn(["true"]);
  await gone.exited;
  writeFileSync(path, `${gone.pid}`);
  const unlock = await lock(path);
  expect(await Bun.file(path).text()).toBe(`${process.pid}`);
  unlock();
  expect(readdirSync(folder)).toEqual([]);
});

test("the lock of a living process is waited for", async () => {
  const holder = Bun.spawn(["cat"], { stdin: "pipe" });
  writeFileSync(path, `${holder.pid}`);
  let got = false;
  const waiting = lock(path).then((unlock) => {
    got = true;
    return unlock;
  });
  // More than one look at the lock; one that comes late sees the same.
  await Bun.sleep(300);
  expect(got).toBe(false);
  holder.kill();
  await holder.exited;
  (await waiting)();
  expect(existsSync(path)).toBe(false);
});
