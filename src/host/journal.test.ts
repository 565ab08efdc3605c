import { afterEach, beforeEach, expect, test } from "bun:test";
import {
  appendFileSync,
  closeSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { RouteChange } from "./change.ts";
import { type Held, isStill, Journal, leftJournals, openChanges } from "./journal.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "morgana-journal-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

const route = (network: string): RouteChange => ({
  ...{ kind: "route", device: { index: 3, name: "eth0" }, network, type: "unicast", gateway: undefined },
  ...{ metric: 0, table: 254, protocol: 109 },
});

test("what was begun and not ended is what is left, the last first", () => {
  const journal = new Journal(folder, "tun0");
  const first = journal.begin(route("192.0.2.1/32"));
  journal.begin(route("192.0.2.2/32"));
  journal.begin(route("192.0.2.3/32"));
  journal.end(first);
  const changes = openChanges(readFileSync(journal.path, "utf8"));
  expect(changes.map(({ change }) => (change as RouteChange).network)).toEqual(["192.0.2.3/32", "192.0.2.2/32"]);
  journal.close();
  expect(leftJournals(folder)).toEqual([]);
});

test("a line that was cut short, or is none of ours, is passed over", () => {
  const whole = JSON.stringify({ id: 1, change: route("192.0.2.1/32") });
  expect(openChanges(`${whole}\nnonsense\n7\n${whole.slice(0, 30)}`)).toHaveLength(1);
});

test("of a process that lives nothing is left, and nobody else takes its device", () => {
  const journal = new Journal(folder, "tun0");
  journal.begin(route("192.0.2.1/32"));
  expect(leftJournals(folder)).toEqual([]);
  expect(() => new Journal(folder, "tun0")).toThrow("tun0 is in use: another morgana runs on it");
  journal.close();
});

test("of one that has gone everything is found; of another network namespace nothing is", () => {
  const script = `
    import { Journal } from ${JSON.stringify(join(import.meta.dir, "journal.ts"))};
    new Journal(${JSON.stringify(folder)}, "tun7").begin(${JSON.stringify(route("192.0.2.9/32"))});
    process.kill(process.pid, "SIGKILL");`;
  Bun.spawnSync([process.execPath, "-e", script]);
  writeFileSync(join(folder, "1-tun8.journal"), `${JSON.stringify({ id: 1, change: route("192.0.2.8/32") })}\n`);
  const [left, ...others] = leftJournals(folder);
  expect(others).toEqual([]);
  expect(left?.held).toEqual([{ change: route("192.0.2.9/32"), id: 1 }]);
  appendFileSync(left!.path, "");
  left!.remove();
  expect(leftJournals(folder)).toEqual([]);
});

test("what stays of those that have gone is in the next one's journal, of the same device or another", () => {
  const lines = (...networks: string[]) =>
    networks.map((network, at) => `${JSON.stringify({ id: at + 1, change: route(network) })}\n`).join("");
  const own = new Journal(folder, "tun0").path;
  const other = own.replace("tun0", "tun1");
  rmSync(own);
  writeFileSync(own, lines("192.0.2.1/32", "192.0.2.2/32"));
  writeFileSync(other, lines("192.0.2.3/32"));
  const left = leftJournals(folder).sort((a, b) => a.path.localeCompare(b.path));
  left[0]!.end(left[0]!.held[1]!);
  const journal = new Journal(folder, "tun0", left);
  const networks = (held: readonly Held[]) => held.map(({ change }) => (change as RouteChange).network).sort();
  expect(networks(journal.takenOver)).toEqual(["192.0.2.2/32", "192.0.2.3/32"]);
  expect(readdirSync(folder).map((name) => join(folder, name))).toEqual([own]);
  expect(networks(openChanges(readFileSync(own, "utf8")))).toEqual(["192.0.2.2/32", "192.0.2.3/32"]);
  expect(() => new Journal(folder, "tun0")).toThrow("in use");
  for (const { id } of journal.takenOver) journal.end(id);
  expect(openChanges(readFileSync(own, "utf8"))).toEqual([]);
  journal.close();
});

test("a file that was removed after it had been opened is not the journal of that name, nor is one in its place", () => {
  const path = join(folder, "a.journal");
  const fd = openSync(path, "a");
  expect(isStill(path, fd)).toBe(true);
  rmSync(path);
  expect(isStill(path, fd)).toBe(false);
  writeFileSync(path, "");
  expect(isStill(path, fd)).toBe(false);
  closeSync(fd);
});
