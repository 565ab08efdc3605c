/**
 * "Site to site" of docs/server.md as it stands there: the commands, and the files by the names that their first lines say. What is
 * shown and tested is what a reader does.
 */
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { must } from "./process.ts";

const DOCUMENT = join(import.meta.dir, "../../../docs/server.md");
const SECTION = "Site to site";
/** Whom the document's clients connect to. */
const NAME = "vpn.example.com";

export interface Recipe {
  readonly commands: string;
  /** Lines by file: of one that the commands have made, those that it gets besides. */
  readonly files: ReadonlyMap<string, string>;
}

export function readRecipe(document = readFileSync(DOCUMENT, "utf8")): Recipe {
  const start = document.indexOf(`\n## ${SECTION}\n`);
  if (start < 0) throw new Error(`${DOCUMENT} has no section "${SECTION}"`);
  const section = document.slice(start + 1).split(/\n(?=## )/)[0]!;
  const blocks = [...section.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)];
  const commands = blocks.flatMap(([, language, text = ""]) => (language === "sh" ? [text] : [])).join("");
  const files = blocks
    .filter(([, language]) => language !== "sh")
    .map(([, , text = ""]): [string, string] => {
      const name = /^# ([\w./-]+)/.exec(text)?.[1];
      if (name === undefined) throw new Error(`a block of "${SECTION}" does not say which file it is:\n${text}`);
      return [name, text.slice(text.indexOf("\n") + 1)];
    });
  return { commands, files: new Map(files) };
}

/** Does what the document says in a folder, with `morgana` as the argv of that program and `server` in the place of the name. */
export async function follow(
  { commands, files }: Recipe,
  folder: string,
  morgana: readonly string[],
  server: string,
): Promise<void> {
  const tool = `morgana() { ${morgana.map((word) => `'${word}'`).join(" ")} "$@"; }`;
  await must(["env", "-C", folder, "sh", "-ec", `${tool}\n${commands.replaceAll(NAME, server)}`], 120);
  for (const [name, text] of files) {
    const path = join(folder, name);
    mkdirSync(dirname(path), { recursive: true });
    if (existsSync(path)) appendFileSync(path, text);
    else writeFileSync(path, text);
  }
}
