/** Files that outlive a restart, on a real file system: when they are written, and what of a damaged one is believed. */
import { afterEach, expect, test } from "bun:test";
import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openStateFolder } from "./folder.ts";
import { decodeState, encodeState } from "./format.ts";
import { StateStore } from "./store.ts";

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), "morgana-state-"));
  folders.push(path);
  return path;
}

function open(path = folder()) {
  const lines: string[] = [];
  const log = {
    enabled: () => true,
    write: (level: string, event: string, text: string) => void lines.push(`${level} ${event} ${text}`),
  };
  const store = new StateStore(path, "the state disk (vdb)", log);
  /** Polls, and waits until what was due is written. */
  const settle = async (now: number): Promise<void> => {
    store.poll(now);
    while (!store.isIdle(now)) {
      await new Promise((resolve) => setImmediate(resolve));
      store.poll(now);
    }
  };
  const read = (now = 0) => store.read(now, "things", (data) => data as unknown);
  return { store, path, lines, settle, read, file: join(path, "things.json") };
}

const onDisk = (file: string): unknown => decodeState(readFileSync(file));

test("a change is written 2 s later, whole, and read by the next one that opens the folder", async () => {
  const { store, settle, file, path, lines } = open();
  store.keep(1000, "things", () => ["a"]);
  expect(store.pollAt()).toBe(3000);
  await settle(2999);
  expect(readdirSync(path)).toEqual([]);
  await settle(3000);
  expect([onDisk(file), readdirSync(path), store.pollAt()]).toEqual([
    { data: ["a"] },
    ["things.json"],
    Number.POSITIVE_INFINITY,
  ]);
  expect([open(path).read(), lines]).toEqual([["a"], []]);
});

test("changes of a minute are written together, as they are when it is over", async () => {
  const { store, settle, file } = open();
  let made = 0;
  const change = (now: number, text: string): void => store.keep(now, "things", (at) => [text, at, ++made]);
  change(0, "a");
  await settle(2000);
  for (let now = 2000; now < 62_000; now += 100) change(now, `change of ${now}`);
  await settle(61_999);
  expect(onDisk(file)).toEqual({ data: ["a", 2000, 1] });
  await settle(62_000);
  expect(onDisk(file)).toEqual({ data: ["change of 61900", 62_000, 2] });
});

test("what is not written yet is what is read; at the end it is written at once", async () => {
  const { store, settle, file, read } = open();
  store.keep(0, "things", () => "a");
  expect(read()).toBe("a");
  store.hurry(100);
  expect(store.isIdle(100)).toBe(false);
  await settle(100);
  expect(onDisk(file)).toEqual({ data: "a" });
});

test.each([
  ["cut short", (file: Uint8Array) => file.slice(0, -1), "is damaged"],
  ["with another byte", (file: Uint8Array) => file.with(file.length - 2, 0x7a), "is damaged"],
  ["empty", () => new Uint8Array(0), "is no file of ours, or damaged"],
  ["of zeros", (file: Uint8Array) => new Uint8Array(file.length), "is no file of ours, or damaged"],
  ["of another version", (file: Uint8Array) => file.with(14, 0x32), "was written by another version"],
  ["too large", () => new Uint8Array((4 << 20) + 1), "is larger than 4 MiB"],
])("a file %s is named, and nothing of it is used", (_what, change, why) => {
  const { read, file, lines } = open();
  writeFileSync(file, encodeState(["a"]));
  expect(read()).toEqual(["a"]);
  writeFileSync(file, change(encodeState(["a"])));
  expect(read()).toBeUndefined();
  expect(lines).toEqual([
    `warn state.damaged things.json of the state disk (vdb) ${why}; it is not used, and written anew with the next change`,
  ]);
});

test("so is one that holds something else", () => {
  const { store, file, lines } = open();
  writeFileSync(file, encodeState(["a"]));
  const read = store.read(0, "things", () => {
    throw new Error("no things");
  });
  expect([read, lines]).toEqual([undefined, [expect.stringContaining("does not hold what it should (no things)")]]);
});

test("so is one whose digest is right over something that is no JSON", () => {
  const { read, file, lines } = open();
  const digest = new Bun.CryptoHasher("sha256").update("no JSON").digest("hex");
  writeFileSync(file, `morgana-state 1 ${digest}\nno JSON`);
  expect(read()).toBeUndefined();
  expect(lines).toEqual([expect.stringContaining("does not hold what it should")]);
});

test("what cannot be made a file of keeps nothing else from being written", async () => {
  const { store, settle, file } = open();
  store.keep(0, "broken", () => {
    throw new Error("nothing to keep");
  });
  expect(() => store.poll(10_000)).toThrow("nothing to keep");
  store.keep(10_000, "things", () => ["a"]);
  await settle(20_000);
  expect(onDisk(file)).toEqual({ data: ["a"] });
});

test("where nothing can be written it is said once, what was there stays, and it is tried again after 5 minutes", async () => {
  const { store, settle, file, path, lines } = open();
  store.keep(0, "things", () => "before");
  await settle(2000);
  const away = `${path}-away`;
  folders.push(away);
  renameSync(path, away);
  store.keep(70_000, "things", () => "after");
  await settle(72_000);
  expect(lines).toEqual([
    "warn state.failed the state disk (vdb) is not there any more: what changes from now on does not outlive a restart; I try again every 5 minutes",
  ]);
  expect(store.pollAt()).toBe(372_000);
  await settle(372_000);
  expect(lines).toHaveLength(1);
  renameSync(away, path);
  expect(onDisk(file)).toEqual({ data: "before" });
  await settle(672_000);
  expect(onDisk(file)).toEqual({ data: "after" });
  expect(lines.slice(1)).toEqual(["info state.written the state disk (vdb) takes again what should outlive a restart"]);
});

test("nothing is written through a link that somebody laid", async () => {
  const { store, settle, path, lines } = open();
  const victim = join(folder(), "victim");
  writeFileSync(victim, "whole");
  symlinkSync(victim, join(path, "things.json.new"));
  store.keep(0, "things", () => "a");
  await settle(2000);
  expect([readFileSync(victim, "utf8"), lines.length]).toEqual(["whole", 1]);
});

test("a service has its folder from the manager; one that is none is named, and nothing is kept", () => {
  const lines: string[] = [];
  const log = {
    enabled: () => true,
    write: (_level: string, event: string, text: string) => void lines.push(`${event} ${text}`),
  };
  const path = folder();
  writeFileSync(join(path, "file"), "");
  chmodSync(path, 0o700);
  expect(openStateFolder({ STATE_DIRECTORY: path }, log)).toBeInstanceOf(StateStore);
  expect(openStateFolder({ STATE_DIRECTORY: `${path}:/other` }, log)).toBeInstanceOf(StateStore);
  expect(openStateFolder({}, log)).toBeUndefined();
  expect(lines).toEqual([]);
  for (const wrong of ["state", join(path, "file"), join(path, "missing")])
    expect(openStateFolder({ STATE_DIRECTORY: wrong }, log)).toBeUndefined();
  expect(lines).toEqual(
    Array(3).fill(expect.stringMatching(/^state\.unusable STATE_DIRECTORY names ".*nothing outlives/)),
  );
});
