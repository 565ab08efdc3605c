/** appliance.toml: the table of docs/configuration.md against what is read. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { parseSettings } from "../../src/appliance/settings/parse.ts";
import type { Settings } from "../../src/appliance/settings/settings.ts";
import { CONFIGURATION, quoted, ROOT, read, tableOf } from "./document.ts";

const ROWS = tableOf(read(CONFIGURATION), "settings").map((row) => ({
  key: quoted(row["Key"])[0] ?? "",
  /** As TOML; undefined: there is no value that means the same. */
  usual: quoted(row["Default"])[0],
  bounds: row["Least"] === "" ? undefined : ([Number(row["Least"]), Number(row["Most"])] as const),
}));

/** A file with one key, in its table. */
function lines(key: string, value: string): string {
  const [table, name] = key.split(".");
  return name === undefined ? `${table} = ${value}\n` : `[${table}]\n${name} = ${value}\n`;
}

function settings(text: string | undefined): Settings | undefined {
  const result = parseSettings("appliance.toml", text);
  return result.ok ? result.settings : undefined;
}

test("every key has a row", () => {
  const text = read(join(ROOT, "src/appliance/settings/keyed-values.ts"));
  const keys = /const KEYS: ReadonlySet<string> = new Set\(\[(.*?)\]\)/s.exec(text)?.[1] ?? "";
  const forward = /const FORWARD = ("[^"]+");/.exec(text)?.[1] ?? "";
  const ours = [...keys.replace("FORWARD", forward).matchAll(/"([^"]+)"/g)].map(([, key]) => key);
  expect(ROWS.map(({ key }) => key)).toEqual(ours as string[]);
});

test.each(ROWS.filter(({ usual }) => usual !== undefined))(
  "$key = $usual is what counts without a line",
  ({ key, usual }) => {
    expect(settings(lines(key, usual as string))).toEqual(settings(undefined) as Settings);
    expect(settings(lines(key, "{ a = [1] }"))).toBeUndefined();
  },
);

test.each(ROWS.filter(({ bounds }) => bounds !== undefined))("bounds of $key", ({ key, bounds }) => {
  const [least, most] = bounds as readonly [number, number];
  for (const n of [least, most]) expect(settings(lines(key, `${n}`))).toBeDefined();
  for (const n of [least - 1, most + 1]) expect(settings(lines(key, `${n}`))).toBeUndefined();
});
