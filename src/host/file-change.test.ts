import { afterEach, beforeEach, expect, test } from "bun:test";
import {
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { FileChange } from "./change.ts";
import { digestOf, replaceFile, restoreFile, stateOf } from "./file-change.ts";

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "morgana-file-"));
  path = join(folder, "resolv.conf");
});
afterEach(() => rmSync(folder, { recursive: true }));

const OURS = "nameserver 10.8.0.1\n";

/** Puts ours in its place. */
function change(): FileChange {
  const before = stateOf(path);
  replaceFile(path, OURS);
  expect(readFileSync(path, "utf8")).toBe(OURS);
  return { kind: "file", path, before, digest: digestOf(OURS) };
}

test("a plain file comes back with its mode", () => {
  writeFileSync(path, "nameserver 192.0.2.1\n", { mode: 0o640 });
  expect(restoreFile(change())).toBeUndefined();
  expect([readFileSync(path, "utf8"), lstatSync(path).mode & 0o777]).toEqual(["nameserver 192.0.2.1\n", 0o640]);
  expect(readdirSync(folder)).toEqual(["resolv.conf"]);
});

test("a link comes back as one, and what it leads to was not touched", () => {
  const stub = join(folder, "stub");
  writeFileSync(stub, "nameserver 127.0.0.53\n");
  symlinkSync("stub", path);
  const made = change();
  expect(readFileSync(stub, "utf8")).toBe("nameserver 127.0.0.53\n");
  expect(restoreFile(made)).toBeUndefined();
  expect(readlinkSync(path)).toBe("stub");
});

test("where there was none, none is left", () => {
  expect(restoreFile(change())).toBeUndefined();
  expect(readdirSync(folder)).toEqual([]);
});

test("what somebody else has written since stays", () => {
  writeFileSync(path, "nameserver 192.0.2.1\n");
  const made = change();
  writeFileSync(path, "nameserver 192.0.2.99\n");
  expect(restoreFile(made)).toContain("has been changed by somebody else");
  expect(readFileSync(path, "utf8")).toBe("nameserver 192.0.2.99\n");
});
