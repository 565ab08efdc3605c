/** Problems and warnings as a person reads them. */
import type { ConfigProblem } from "./types.ts";

/** FILE:LINE: directive: problem; without a line where it is about the whole. */
export function formatProblem({ origin: { file, line }, directive, problem }: ConfigProblem): string {
  return `${line === 0 ? file : `${file}:${line}`}: ${directive}: ${problem}`;
}

export interface Finding {
  readonly isWarning: boolean;
  readonly found: ConfigProblem;
}

/** Both together in the order of their lines, file by file. */
export function inOrder(warnings: readonly ConfigProblem[], problems: readonly ConfigProblem[]): readonly Finding[] {
  const all = [
    ...problems.map((found) => ({ isWarning: false, found })),
    ...warnings.map((found) => ({ isWarning: true, found })),
  ];
  const files = [...new Set(all.map(({ found }) => found.origin.file))];
  const place = ({ found }: Finding): number => files.indexOf(found.origin.file);
  return all.sort((a, b) => place(a) - place(b) || a.found.origin.line - b.found.origin.line);
}
