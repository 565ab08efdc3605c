/**
 * Our resolv.conf(5): the tunnel's resolvers, and in comments what was there before. The journal, which takes it back, may be gone when
 * the machine itself has crashed, as /run is, while this file is not: without what is in it the machine would ask the resolvers of a
 * tunnel that there is none of, and could not look up a server's name either.
 */
import type { FileState } from "./change.ts";

/** The first words of what we write. */
const WRITTEN = "# Written by morgana: the resolvers of the tunnel on ";
const ABSENT = "# Before there was no such file.";
const LINK = "# Before it was a link to ";
const PLAIN = "# Before it had, with mode ";
const LINE = "#|";

/** @param before what is there, another's or ours @param lines for the tunnel */
export function ownResolvConf(device: string, lines: readonly string[], before: FileState): string {
  const first = `${WRITTEN}${device}. What was here before comes back when it ends.`;
  return `${[first, ...lines, ...linesOf(before)].join("\n")}\n`;
}

/** The device of the tunnel whose resolvers a resolv.conf has; undefined: it is none of ours. */
export const writerOf = (text: string): string | undefined =>
  text.startsWith(WRITTEN) ? /^[^\s/]+(?=\. )/.exec(text.slice(WRITTEN.length))?.[0] : undefined;

/** What was there before one of ours; undefined: it is none, or does not say. */
export function formerOf(text: string): FileState | undefined {
  if (writerOf(text) === undefined) return undefined;
  const lines = text.split("\n");
  const at = lines.findIndex((line) => line === ABSENT || line.startsWith(LINK) || line.startsWith(PLAIN));
  const said = lines[at];
  if (said === undefined) return undefined;
  if (said === ABSENT) return { kind: "absent" };
  if (said.startsWith(LINK)) return { kind: "link", to: said.slice(LINK.length) };
  const mode = /^([0-7]{3}):$/.exec(said.slice(PLAIN.length))?.[1];
  const rows = lines.slice(at + 1).filter((line) => line.startsWith(LINE));
  if (mode === undefined) return undefined;
  return { kind: "plain", text: rows.map((row) => row.slice(LINE.length)).join("\n"), mode: Number.parseInt(mode, 8) };
}

function linesOf(before: FileState): string[] {
  switch (before.kind) {
    case "absent":
      return [ABSENT];
    case "link":
      return [`${LINK}${before.to}`];
    case "plain": {
      const mode = before.mode.toString(8).padStart(3, "0");
      return [`${PLAIN}${mode}:`, ...before.text.split("\n").map((line) => `${LINE}${line}`)];
    }
  }
}
