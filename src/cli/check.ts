/** `morgana check`: parse and validate one OpenVPN file, print what it resolves to. */
import { readFileSync, statSync } from "node:fs";
import { basename, dirname, isAbsolute, join } from "node:path";
import { parseArgs } from "node:util";
import { formatConfig } from "../protocol/config/format.ts";
import { parseConfig } from "../protocol/config/parse.ts";
import type { ConfigProblem } from "../protocol/config/types.ts";
import { usageError } from "./help.ts";

const HELP = `usage: morgana check [--client|--server] FILE

Parses and validates an OpenVPN file and the files that it names (relative to itself; auth.txt beside it serves a
bare auth-user-pass). --client and --server say which role it must have.

stdout: the resolved configuration as a valid OpenVPN file, secrets included. stderr: warnings and problems, one a
line, as FILE:LINE: directive: problem. Exit status: 0 valid, 1 problems, 2 wrong usage or unreadable file.
`;

/** Far above any profile with its certificates; a device or a wrong file is not read to the end. */
const MAX_FILE = 4 << 20;

/** @returns the exit status */
export async function check(argv: string[]): Promise<number> {
  let values: { client?: boolean; server?: boolean; help?: boolean };
  let files: string[];
  try {
    const options = {
      client: { type: "boolean" },
      server: { type: "boolean" },
      help: { type: "boolean", short: "h" },
    } as const;
    ({ values, positionals: files } = parseArgs({ args: argv, strict: true, allowPositionals: true, options }));
  } catch (error) {
    return usageError(`check: ${(error as Error).message}`);
  }
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const file = files[0];
  if (file === undefined || files.length > 1) return usageError("check: exactly one FILE is needed");
  if (values.client && values.server) return usageError("check: --client and --server exclude each other");
  let text: string;
  try {
    text = new TextDecoder().decode(readRegular(file));
  } catch (error) {
    return usageError(`check: ${file}: ${(error as Error).message}`);
  }
  const beside = (name: string): Uint8Array | undefined => {
    try {
      return readRegular(isAbsolute(name) ? name : join(dirname(file), name));
    } catch {
      // Missing and unreadable are the same to the profile: the problem names the file.
      return undefined;
    }
  };
  const auth = beside("auth.txt");
  const result = parseConfig({ file, text }, beside, {
    role: values.client ? "client" : values.server ? "server" : undefined,
    defaultCredentials: auth && { text: new TextDecoder().decode(auth), label: "auth.txt" },
  });
  for (const warning of result.warnings) process.stderr.write(`${formatProblem(warning)} (warning)\n`);
  if (!result.ok) {
    for (const problem of result.problems) process.stderr.write(`${formatProblem(problem)}\n`);
    return 1;
  }
  process.stdout.write(
    `# ${basename(file).replace(/[^ -~]/g, "?")}, resolved by morgana check\n${formatConfig(result.config)}`,
  );
  return 0;
}

/** FILE:LINE: directive: problem */
export const formatProblem = ({ origin, directive, problem }: ConfigProblem): string =>
  `${origin.file}:${origin.line}: ${directive}: ${problem}`;

function readRegular(path: string): Uint8Array {
  const { size } = statSync(path);
  if (size > MAX_FILE) throw new Error(`larger than ${MAX_FILE >> 20} MiB`);
  return readFileSync(path);
}
