import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { O_NONBLOCK, O_RDWR } from "./constants.ts";
import { SysError } from "./errno.ts";
import { NativeMemory } from "./memory.ts";
import { EVENT_LOOP, Poller } from "./poller.ts";
import { writePointer } from "./struct.ts";
import { bootTime, close, open, read, write } from "./syscalls.ts";

const directory = mkdtempSync(join(tmpdir(), "morgana-sys-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

test("pieces of native memory are zeroed, aligned, apart, and bounded", () => {
  const memory = new NativeMemory(8192);
  const a = memory.take(10, 1);
  const b = memory.take(10, 64);
  expect(memory.bytes.every((x) => x === 0)).toBe(true);
  expect(b.pointer % 64).toBe(0);
  expect(b.at).toBeGreaterThanOrEqual(a.at + 10);
  expect(b.pointer - memory.pointer).toBe(b.at);
  expect(() => memory.take(8192)).toThrow("used up");
});

test("memory that was reset is zeroed, at the same place, and can be taken again", () => {
  const memory = new NativeMemory(8192);
  const { pointer, view } = memory;
  memory.take(8000);
  memory.bytes.fill(0xa5);
  memory.reset();
  expect(memory.pointer).toBe(pointer);
  expect(view.getUint32(4096)).toBe(0);
  expect(memory.bytes.every((x) => x === 0)).toBe(true);
  expect(memory.take(8000).at).toBe(0);
});

test("a pointer is written as its 64 bits", () => {
  const view = new DataView(new ArrayBuffer(8));
  writePointer(view, 0, 0x7fff_fedc_ba98);
  expect(view.getBigUint64(0, true)).toBe(0x7fff_fedc_ba98n);
});

test("files are opened, written and read through native memory", () => {
  const path = join(directory, "file");
  const fd = open(path, O_RDWR | 0o100, 0o600);
  expect(write(fd, new TextEncoder().encode("hello"))).toBe(5);
  close(fd);
  expect(readFileSync(path, "utf8")).toBe("hello");
  const again = open(path, 0);
  const out = new Uint8Array(10);
  expect(read(again, out)).toBe(5);
  expect(new TextDecoder().decode(out.subarray(0, 5))).toBe("hello");
  close(again);
});

test("a refusal of the kernel carries call, number, name and subject", () => {
  try {
    open("/no/such/file", 0);
    expect.unreachable();
  } catch (error) {
    expect(error).toBeInstanceOf(SysError);
    expect(error).toMatchObject({ call: "open", errno: 2, code: "ENOENT", message: "open /no/such/file: ENOENT" });
  }
});

test("the poller tells which descriptor is ready, and sleeps no longer than it is told", () => {
  const poller = new Poller();
  const [one, two] = ["one", "two"].map((name) => {
    const path = join(directory, name);
    Bun.spawnSync(["mkfifo", path]);
    return open(path, O_RDWR | O_NONBLOCK);
  }) as [number, number];
  const bitOne = poller.add(one);
  const bitTwo = poller.add(two);
  expect(poller.wait(0) & ~EVENT_LOOP).toBe(0);
  write(two, Uint8Array.of(1));
  expect(poller.wait(1000) & ~EVENT_LOOP).toBe(bitTwo);
  expect(poller.events(bitTwo)).toBe(1);
  read(two, new Uint8Array(1));
  write(one, Uint8Array.of(1));
  expect(poller.wait(1000) & ~EVENT_LOOP).toBe(bitOne);
  poller.remove(bitOne);
  expect(poller.wait(0) & ~EVENT_LOOP).toBe(0);
  close(one);
  close(two);
});

test("the clock goes on while the machine is suspended: it is the kernel's uptime", () => {
  const uptime = (): number => Number(readFileSync("/proc/uptime", "utf8").split(" ")[0]) * 1000;
  const before = uptime();
  const now = bootTime();
  expect(now).toBeGreaterThanOrEqual(before - 10);
  expect(now).toBeLessThanOrEqual(uptime() + 10);
  expect(bootTime()).toBeGreaterThanOrEqual(now);
});

test("a signal ends the sleep, and its handler runs at the next turn", async () => {
  // a process of its own: the runner's signals and loop stay out of it
  // without the wake-up it sleeps for longer than the test may take
  const script = `
    import { EVENT_LOOP, Poller } from ${JSON.stringify(join(import.meta.dir, "poller.ts"))};
    let seen = false;
    process.on("SIGUSR1", () => { seen = true; });
    const poller = new Poller();
    Bun.spawn(["sh", "-c", "kill -USR1 " + process.pid]);
    let woken = 0;
    while (!seen) {
      if (poller.wait(600_000) & EVENT_LOOP) woken++;
      await new Promise((resolve) => setImmediate(resolve));
    }
    console.log(seen, woken > 0);
    process.exit(0);`;
  const child = Bun.spawn([process.execPath, "-e", script], { stdout: "pipe", stderr: "inherit" });
  expect((await new Response(child.stdout).text()).trim()).toBe("true true");
});
