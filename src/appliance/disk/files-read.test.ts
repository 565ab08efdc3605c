import { describe, expect, test } from "bun:test";
import type { ConfigReader } from "../profile.ts";
import { digestAgain, WatchedReader } from "./files-read.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

function folder(files: Record<string, string>): ConfigReader {
  return {
    list: (name = "") =>
      Object.keys(files)
        .filter((path) => path.startsWith(name) && !path.slice(name.length + 1).includes("/"))
        .reverse(),
    read: (name) => (files[name] === undefined ? undefined : bytes(files[name])),
  };
}

/** Whether a server that has read `before`, with all that it asked for, sees that the disk holds `after` now. */
function sees(before: Record<string, string>, after: Record<string, string>): boolean {
  const reader = new WatchedReader(folder(before));
  reader.list();
  for (const name of ["server.conf", "ca.crt", "crl.pem", "users.txt"]) reader.read(name);
  for (const name of reader.list("ccd")) reader.read(name);
  const { asked, digest } = reader.files();
  return digestAgain(folder(after), asked) !== digest;
}

const FILES = { "server.conf": "server", "ca.crt": "a", "crl.pem": "b", "ccd/ann": "iroute", "ccd/ben": "" };

describe("what a configuration was read from", () => {
  test("is the same where nothing has changed, in whatever order names are listed", () => {
    expect(sees(FILES, { ...FILES })).toBe(false);
    expect(sees(FILES, Object.fromEntries(Object.entries(FILES).reverse()))).toBe(false);
  });

  for (const [what, after] of [
    ["a file with other content", { ...FILES, "crl.pem": "c" }],
    ["a file that is gone", { ...FILES, "crl.pem": undefined }],
    ["an empty file in the place of none", { ...FILES, "users.txt": "" }],
    ["a client's file that is new", { ...FILES, "ccd/cid": "disable" }],
    ["a client's file that is gone", { ...FILES, "ccd/ben": undefined }],
    ["the end of one file as the beginning of the next", { ...FILES, "ca.crt": "", "crl.pem": "ab" }],
  ] as const)
    test(`is another with ${what}`, () => {
      const files = Object.entries(after).filter((entry): entry is [string, string] => entry[1] !== undefined);
      expect(sees(FILES, Object.fromEntries(files))).toBe(true);
    });
});
