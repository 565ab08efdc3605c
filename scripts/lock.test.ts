import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { lock } from "./lock.ts";

const folder = mkdtempSync(join(tmpdir(), "lock-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** A process that runs `body` with the lock's module as `lock`, and its lines. */
function child(body: string): { process: Bun.Subprocess<"ignore", "pipe", "inherit">; line(): Promise<string> } {
  const script = `import { lock } from ${JSON.stringify(join(import.meta.dir, "lock.ts"))};\n${body}`;
  const process_ = Bun.spawn([process.execPath, "-e", script], { stdin: "ignore", stdout: "pipe", stderr: "inherit" });
  const reader = process_.stdout.getReader();
  let text = "";
  const line = async (): Promise<string> => {
    while (!text.includes("\n")) {
      const { value, done } = await reader.read();
      if (done) return text;
      text += new TextDecoder().decode(value);
    }
    const end = text.indexOf("\n");
    const first = text.slice(0, end);
    text = text.slice(end + 1);
    return first;
  };
  return { process: process_, line };
}

test("a lock that is held is waited for, also by the process that holds it", async () => {
  const path = join(folder, "held");
  const unlock = await lock(path);
  let got = false;
  const second = lock(path).then((done) => {
    got = true;
    return done;
  });
  await Bun.sleep(300); // more than one look at the lock; one that comes late sees the same
  expect(got).toBe(false);
  unlock();
  (await second)();
});

test("who waits says for whom; the lock of a process that was killed is free at once, though a child of it lives", async () => {
  const path = JSON.stringify(join(folder, "killed"));
  const holder = child(`
    await lock(${path});
    const cat = Bun.spawn(["sleep", "60"], { stdout: "ignore" });
    console.log(cat.pid);
    setInterval(() => {}, 1000);`);
  const grandchild = Number(await holder.line());
  try {
    const waiter = child(`await lock(${path}); console.log("got it");`);
    expect(await waiter.line()).toContain(`process ${holder.process.pid}`);
    holder.process.kill("SIGKILL");
    expect(await waiter.line()).toBe("got it");
    await waiter.process.exited;
  } finally {
    holder.process.kill("SIGKILL");
    process.kill(grandchild);
  }
});

test("never two at once: many processes, some of which are killed while they hold it", async () => {
  const [path, inside, count] = ["many", "inside", "count"].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  writeFileSync(count, "0");
  const [processes, turns] = [12, 5];
  // A turn reads the counter, waits and writes it: two at once would lose a turn. Every third process is killed by itself, holding the lock.
  const body = (index: number): string => `
    import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
    console.log = () => {};
    for (let turn = 0; turn < ${turns}; turn++) {
      const unlock = await lock(${JSON.stringify(path)});
      if (existsSync(${JSON.stringify(inside)})) process.exit(9);
      writeFileSync(${JSON.stringify(inside)}, "");
      const seen = Number(readFileSync(${JSON.stringify(count)}, "utf8"));
      await Bun.sleep(2);
      writeFileSync(${JSON.stringify(count)}, String(seen + 1));
      rmSync(${JSON.stringify(inside)});
      if (${index} % 3 === 0 && turn === ${turns} - 1) process.kill(process.pid, "SIGKILL");
      unlock();
    }`;
  const all = Array.from({ length: processes }, (_, index) => child(body(index)).process);
  await Promise.all(all.map(({ exited }) => exited));
  const statuses = all.map(({ exitCode, signalCode }) => signalCode ?? exitCode);
  expect(statuses).toEqual(all.map((_, index) => (index % 3 === 0 ? "SIGKILL" : 0)));
  expect(Number(readFileSync(count, "utf8"))).toBe(processes * turns);
}, 120_000);
