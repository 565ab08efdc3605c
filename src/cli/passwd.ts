/** `morgana passwd`: a password -> a line of users.txt. */
import { hashPassword } from "../platform/crypto/password-hash.ts";
import { MAX_LOGIN_BYTES, userNameProblem } from "../protocol/server/user-name.ts";
import { readArguments } from "./arguments.ts";
import { usageError } from "./help.ts";
import { askPassword } from "./password-input.ts";

const HELP = `usage: morgana passwd USER >> users.txt

Reads a password, twice from a terminal, which does not show it, else one line of stdin, and prints the line for users.txt:
USER:$argon2id$... (a login costs the server 19 MiB of memory for about a tenth of a second). An older line of the same
user has to go.

Exit status: 0; 1 no usable password; 2 wrong usage.
`;

/** @returns the exit status */
export async function passwd(argv: string[]): Promise<number> {
  const read = readArguments("passwd", argv, HELP, {});
  if (typeof read === "number") return read;
  const [user, ...more] = read.words;
  if (user === undefined || more.length > 0) return usageError("passwd", "exactly one USER is needed");
  const problem = userNameProblem(user);
  if (problem !== undefined) return usageError("passwd", `the name ${problem}`);
  const answer = await askPassword(user, MAX_LOGIN_BYTES);
  if (!answer.ok) {
    process.stderr.write(`morgana: passwd: ${answer.problem}\n`);
    return 1;
  }
  process.stdout.write(`${user}:${await hashPassword(answer.password)}\n`);
  return 0;
}
