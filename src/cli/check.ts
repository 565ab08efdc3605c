/** `morgana check`: parse and validate one OpenVPN file, print what it resolves to. */
import { closeSync, openSync, readFileSync, readSync, statSync } from "node:fs";
import { basename, dirname, isAbsolute, join } from "node:path";
import { parseArgs } from "node:util";
import { checkTls } from "../platform/crypto/tls-check.ts";
import { formatConfig } from "../protocol/config/format.ts";
import { printable } from "../protocol/config/lexer.ts";
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
const TOO_LARGE = `larger than ${MAX_FILE >> 20} MiB`;

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
    text = new TextDecoder().decode(readAny(file));
  } catch (error) {
    return usageError(`check: ${printable(file)}: ${inWords(error)}`);
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
    roles: ["client"],
    expected: values.client ? "client" : values.server ? "server" : undefined,
    defaultCredentials: auth && { text: new TextDecoder().decode(auth), label: "auth.txt" },
  });
  const tls = result.ok
    ? checkTls(result.config, Math.floor(Date.now() / 1000))
    : { problems: result.problems, warnings: [] };
  for (const warning of [...result.warnings, ...tls.warnings]) {
    process.stderr.write(`${formatProblem(warning)} (warning)\n`);
  }
  for (const problem of tls.problems) process.stderr.write(`${formatProblem(problem)}\n`);
  if (!result.ok || tls.problems.length > 0) return 1;
  process.stdout.write(
    `# ${basename(file).replace(/[^ -~]/g, "?")}, resolved by morgana check\n${formatConfig(result.config)}`,
  );
  return 0;
}

/** FILE:LINE: directive: problem */
const formatProblem = ({ origin, directive, problem }: ConfigProblem): string =>
  `${origin.file}:${origin.line}: ${directive}: ${problem}`;

function readRegular(path: string): Uint8Array {
  const stat = statSync(path);
  if (!stat.isFile()) throw new Error("not a file");
  if (stat.size > MAX_FILE) throw new Error(TOO_LARGE);
  return readFileSync(path);
}

/** Also a pipe (/dev/stdin), up to MAX_FILE. */
function readAny(path: string): Uint8Array {
  const fd = openSync(path, "r");
  try {
    const bytes = new Uint8Array(MAX_FILE + 1);
    let length = 0;
    for (let n = 1; n > 0 && length < bytes.length; length += n) {
      n = readSync(fd, bytes, length, Math.min(1 << 16, bytes.length - length), null);
    }
    if (length > MAX_FILE) throw new Error(TOO_LARGE);
    return bytes.subarray(0, length);
  } finally {
    closeSync(fd);
  }
}

const WORDS: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  EISDIR: "is a directory; name the OpenVPN file in it",
  EACCES: "may not be read by this user",
};

function inWords(error: unknown): string {
  const { code, message } = error as { code?: string; message: string };
  return (code === undefined ? undefined : WORDS[code]) ?? message;
}
