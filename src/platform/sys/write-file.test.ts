import { afterAll, beforeAll, expect, test } from "bun:test";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { writeWhole } from "./write-file.ts";

let folder: string;
const at = (name: string): string => join(folder, name);
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "morgana-write-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

test("the file has its content and its mode, and nothing else is left", () => {
  writeWhole(at("a"), "zoë\n", { mode: 0o600, replaces: false });
  expect(readFileSync(at("a"), "utf8")).toBe("zoë\n");
  expect(statSync(at("a")).mode & 0o777).toBe(0o600);
  writeWhole(at("a"), "b", { mode: 0o644, replaces: true });
  expect(readFileSync(at("a"), "utf8")).toBe("b");
  expect(statSync(at("a")).mode & 0o777).toBe(0o644);
  expect(readdirSync(folder)).toEqual(["a"]);
});

test("a name that is taken stays as it is, unless it is a plain file's and may be replaced", () => {
  writeFileSync(at("taken"), "before");
  symlinkSync("nowhere", at("link"));
  mkdirSync(at("sub"));
  const write = (name: string, replaces: boolean) => () => writeWhole(at(name), "x", { mode: 0o600, replaces });
  expect(write("taken", false)).toThrow(/taken is there already$/);
  for (const name of ["link", "sub"]) {
    expect(write(name, false)).toThrow(/already, and no plain file$/);
    expect(write(name, true)).toThrow(/already, and no plain file$/);
  }
  expect(readFileSync(at("taken"), "utf8")).toBe("before");
  expect(readdirSync(folder).filter((name) => name.startsWith("."))).toEqual([]);
});

test("what cannot be written is said in words", () => {
  const write = (path: string) => () => writeWhole(path, "x", { mode: 0o600, replaces: true });
  expect(write(at("nowhere/a"))).toThrow(/nowhere\/a: its folder is not there$/);
  expect(write(at("taken/a"))).toThrow(/its folder is no folder$/);
  expect(write(at("x".repeat(300)))).toThrow(/the name is too long$/);
  expect(write("/proc/a")).toThrow(/^\/proc\/a: /);
});
