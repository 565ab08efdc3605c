/** The table of directives: whole, the same in the documentation, and known to the real openvpn. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { withTable } from "../../scripts/directive-table.ts";
import { DIRECTIVES } from "../../src/protocol/config/directives.ts";
import vectors from "../vectors/openvpn-directives.json" with { type: "json" };

const OPENVPN = process.env["OPENVPN"] ?? Bun.which("openvpn") ?? undefined;
const ours = new Set(DIRECTIVES.map(({ name }) => name));
const theirs = new Set(Object.values(vectors.versions).flat());

test("every directive of OpenVPN 2.4 to 2.8 has a row, and every row is one of them", () => {
  expect([...theirs].filter((name) => !ours.has(name))).toEqual([]);
  // Older than 2.4, and still in profiles.
  expect([...ours].filter((name) => !theirs.has(name))).toEqual(["tls-remote"]);
});

test.skipIf(OPENVPN === undefined)("what the real openvpn's --help names has a row", () => {
  const help = Bun.spawnSync([OPENVPN as string, "--help"]).stdout.toString();
  const named = [...help.matchAll(/^--([a-z][a-z0-9-]*)/gm)].map(([, name]) => name as string);
  expect(named.length).toBeGreaterThan(200);
  expect(named.filter((name) => !ours.has(name))).toEqual([]);
});

test("no two rows of one name are for the same role", () => {
  const places = DIRECTIVES.flatMap(({ name, roles }) => roles.map((role) => `${name} ${role}`));
  expect(places.filter((place, i) => places.indexOf(place) !== i)).toEqual([]);
});

test("who is told something is told it in words: the reason of a warning, the remedy of a refusal", () => {
  const mute = DIRECTIVES.filter(({ support, text }) => ["warn", "refused"].includes(support) && text === "");
  expect(mute.map(({ name }) => name)).toEqual([]);
});

test("docs/configuration.md has the table of today: otherwise run bun scripts/directive-table.ts", () => {
  const document = readFileSync(join(import.meta.dir, "../../docs/configuration.md"), "utf8");
  expect(withTable(document)).toBe(document);
});
