import { expect, test } from "bun:test";
import { TCP_TEXT } from "./counters.ts";

test("docs/netstack.md lists every counter with its sentence", async () => {
  const text = await Bun.file(new URL("../../../docs/netstack.md", import.meta.url)).text();
  const [section = ""] = text.slice(text.indexOf("## Counters")).split(/\n# /);
  const rows = [...section.matchAll(/^\| `(\w+)` *\| (.*?) *\|$/gm)];
  expect(Object.fromEntries(rows.map(([, name, sentence]) => [name, sentence]))).toEqual({ ...TCP_TEXT });
});
