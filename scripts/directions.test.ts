/**
 * Who may import whom (docs/architecture.md), in every form, types and packages too: the linter knows neither `import("...").T` nor a package
 * nor what lies outside of the source.
 */
import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";

const SOURCE = join(import.meta.dir, "../src");
const CORE = ["lib", "protocol", "tunnel", "platform"];

/** Folders of the source, and packages and modules of the runtime, that each folder may import; itself is one of them. */
const MAY: Readonly<Record<string, { readonly folders: readonly string[]; readonly packages: RegExp }>> = {
  lib: { folders: [], packages: /^$/ },
  protocol: { folders: ["lib"], packages: /^(@noble\/(ciphers|hashes)\/.*|@peculiar\/x509|reflect-metadata)$/ },
  netstack: { folders: ["lib"], packages: /^$/ },
  tunnel: { folders: ["lib", "protocol"], packages: /^@noble\/hashes\/.*$/ },
  platform: {
    folders: ["lib", "protocol"],
    packages: /^(bun|bun:ffi|node:.*|@noble\/.*|@peculiar\/x509|reflect-metadata)$/,
  },
  appliance: { folders: [...CORE, "netstack"], packages: /^(bun|node:.*|toml-eslint-parser)$/ },
  host: { folders: [...CORE, "netstack/offload", "netstack/link/bridge.ts"], packages: /^(bun|node:.*)$/ },
  cli: { folders: [...CORE, "netstack", "appliance", "host"], packages: /^(bun|node:.*|@noble\/.*|@peculiar\/x509)$/ },
};
const EVERYBODY = "../package.json";
const IMPORTS = /(?:^|[\s;(<|&:])(?:from|import)\s*\(?\s*"([^"\n${}]+)"/gm;

/** @param file of the source @returns what it must not import */
function wrong(file: string, text: string): string[] {
  const folder = file.split("/")[0]!;
  const may = MAY[folder];
  if (may === undefined) return [];
  // Helpers of tests know the tools of tests.
  const isHelper = file.includes("/testing/");
  return [...text.matchAll(IMPORTS)].flatMap(([, name = ""]) => {
    if (!name.startsWith(".")) return may.packages.test(name) || isHelper ? [] : [`${file}: ${name}`];
    const path = normalize(join(dirname(file), name));
    const isGood =
      path === EVERYBODY ||
      [folder, ...may.folders].some((each) => path === each || path.startsWith(`${each}/`)) ||
      (isHelper && path.startsWith("../test/"));
    return isGood ? [] : [`${file}: ${path}`];
  });
}

test("each folder of the source imports what it may", () => {
  const files = readdirSync(SOURCE, { recursive: true, encoding: "utf8" });
  const meant = files.filter((file) => file.endsWith(".ts") && !file.endsWith(".test.ts"));
  expect(meant.length).toBeGreaterThan(300);
  expect(meant.flatMap((file) => wrong(file, readFileSync(join(SOURCE, file), "utf8")))).toEqual([]);
});

test.each([
  ["lib/a.ts", 'import { a } from "../protocol/drop.ts";', "protocol/drop.ts"],
  ["lib/a.ts", 'import "@noble/hashes/sha2.js";', "@noble/hashes/sha2.js"],
  ["protocol/a.ts", 'export type A = import("../netstack/drop.ts").Drop;', "netstack/drop.ts"],
  ["protocol/a.ts", 'export * from "../tunnel/link.ts";', "tunnel/link.ts"],
  ["protocol/a/b.ts", 'const a = await import("../../main.ts");', "main.ts"],
  ["protocol/a.ts", 'import {\n  a,\n} from "../../test/support/total.ts";', "../test/support/total.ts"],
  ["netstack/a.ts", 'import type { A } from "../protocol/drop.ts";', "protocol/drop.ts"],
  ["netstack/a.ts", 'import * as x from "@peculiar/x509";', "@peculiar/x509"],
  ["tunnel/a.ts", 'import "../platform/loop.ts";', "platform/loop.ts"],
  ["platform/a.ts", 'import "../tunnel/link.ts";', "tunnel/link.ts"],
  ["host/a.ts", 'import "../netstack/link/nd.ts";', "netstack/link/nd.ts"],
  ["host/a.ts", 'import { dlopen } from "bun:ffi";', "bun:ffi"],
  ["appliance/wiring/a.ts", 'import "../../host/client.ts";', "host/client.ts"],
])("not so: %s: %s", (file, text, named) => {
  expect(wrong(file, text)).toEqual([`${file}: ${named}`]);
});
