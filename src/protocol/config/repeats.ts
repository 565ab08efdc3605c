/** Directives that a profile has several times where one value counts, the last: the lines that do not are told. */
import { groupBy } from "../../lib/group-by.ts";
import { findDirective } from "./directives.ts";
import { INLINE, type Line } from "./lexer.ts";
import type { Report } from "./reader.ts";
import type { Role } from "./types.ts";

/** Other names of one value, by the name that stands for it. */
const SAME_VALUE: ReadonlyMap<string, string> = new Map([
  ["ncp-ciphers", "data-ciphers"],
  ["compress", "comp-lzo"],
  ["ping-exit", "ping-restart"],
  ["server-poll-timeout", "connect-timeout"],
]);

/** @param lines those that count, in file order */
export function warnOfRepeats(lines: readonly Line[], role: Role, report: Report): void {
  const single = lines.filter(({ words: [name = ""] }) => {
    const directive = findDirective(name, role);
    return directive?.support === "implemented" && !directive.addsUp;
  });
  const values = groupBy(single, ({ words: [name = ""] }) => SAME_VALUE.get(name) ?? name);
  for (const same of values.values()) {
    const last = same.at(-1) as Line;
    for (const line of same) {
      if (!isPlaceholder(line) && said(line) !== said(last))
        report.warn(
          line.line,
          line.words[0] as string,
          `ignored: line ${last.line} says otherwise, and the last one counts`,
        );
    }
  }
}

/** A line that stands for a block, or for auth.txt. */
const isPlaceholder = ({ words, block }: Line): boolean =>
  block === undefined && (words[1] === INLINE || (words[0] === "auth-user-pass" && words[1] === undefined));

const said = ({ words, block }: Line): string => JSON.stringify([words, block]);
