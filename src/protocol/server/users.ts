/**
 * users.txt: who may log in, a line each, as `morgana passwd` prints it: `name:$argon2id$v=19$m=...,t=...,p=...$salt$hash` (the PHC
 * string format). Empty lines and lines that begin with "#" say nothing.
 */
import { withLineFeeds } from "../config/line-ends.ts";
import type { ConfigProblem } from "../config/types.ts";
import { userNameProblem } from "./user-name.ts";

export type UsersResult =
  /** The hash of each user's password, by name. */
  | { readonly ok: true; readonly users: ReadonlyMap<string, string> }
  | { readonly ok: false; readonly problems: readonly ConfigProblem[] };

/** Our choice: more users than that belong in something else than a file. */
const MAX_USERS = 65_536;
const MAX_PROBLEMS = 100;
const HASH = /^\$argon2id\$v=19\$m=(\d{1,9}),t=(\d{1,9}),p=(\d{1,9})\$[A-Za-z0-9+/]{11,86}\$[A-Za-z0-9+/]{22,86}$/;
/** Our choice: what one login may cost, in KiB and passes. A VM of 256 MiB checks a few at once. */
const MOST = Object.freeze({ memory: 65_536, passes: 16, lanes: 4 });

/**
 * Every problem, not just the first: a file with one lets nobody in. No message repeats what stands behind a name, which may be a
 * password. Never throws.
 */
export function parseUsers({ file, text }: { readonly file: string; readonly text: string }): UsersResult {
  const users = new Map<string, string>();
  const lines = new Map<string, number>();
  const problems: ConfigProblem[] = [];
  const wrong = (line: number, problem: string): void => {
    if (problems.length < MAX_PROBLEMS) problems.push({ origin: { file, line }, directive: "users", problem });
  };
  for (const [i, row] of withLineFeeds(text.replace(/^\ufeff/, ""))
    .split("\n")
    .entries()) {
    const line = i + 1;
    const entry = row.trim();
    if (entry === "" || entry.startsWith("#")) continue;
    if (users.size === MAX_USERS) {
      wrong(line, `more than ${MAX_USERS} users`);
      break;
    }
    const colon = entry.indexOf(":");
    const name = colon < 0 ? entry : entry.slice(0, colon);
    const problem = colon < 0 ? undefined : userNameProblem(name);
    const earlier = lines.get(name);
    if (colon < 0) wrong(line, "is no line of the form USER:HASH; `morgana passwd USER` prints one");
    else if (problem !== undefined) wrong(line, `the name ${problem}`);
    else if (earlier !== undefined) wrong(line, `"${name}" stands in line ${earlier} already; take one of the two out`);
    else {
      lines.set(name, line);
      const flaw = hashProblem(entry.slice(colon + 1));
      if (flaw !== undefined)
        wrong(line, `what stands behind "${name}:" ${flaw}; \`morgana passwd ${name}\` prints the line`);
      else users.set(name, entry.slice(colon + 1));
    }
  }
  if (problems.length > 0) return { ok: false, problems };
  if (users.size > 0) return { ok: true, users };
  wrong(0, "names nobody, so nobody could log in; `morgana passwd USER` prints a line for it");
  return { ok: false, problems };
}

function hashProblem(hash: string): string | undefined {
  const found = HASH.exec(hash);
  if (found === null) return "is no hash of a password by argon2id";
  const [memory, passes, lanes] = found.slice(1).map(Number) as [number, number, number];
  const isBounded = memory <= MOST.memory && passes <= MOST.passes && lanes <= MOST.lanes;
  if (isBounded && memory >= 8 * lanes && passes * lanes > 0) return undefined;
  return `asks for m=${memory},t=${passes},p=${lanes}, and no more than m=${MOST.memory},t=${MOST.passes},p=${MOST.lanes} is spent on a login`;
}
