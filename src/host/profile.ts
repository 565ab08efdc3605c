/** The profile that a person names, with the files that it names: read from this machine. */
import { statSync } from "node:fs";
import { dirname, isAbsolute, join } from "node:path";
import { checkTls } from "../platform/crypto/tls-check.ts";
import { readFileOrPipe, readPlainFile } from "../platform/sys/file.ts";
import { unixSeconds } from "../platform/wall-clock.ts";
import type { ReadFile } from "../protocol/config/beside.ts";
import { parseConfig } from "../protocol/config/parse.ts";
import type { DefaultCredentials } from "../protocol/config/resolve-client.ts";
import type { ConfigProblem, DialConfig } from "../protocol/config/types.ts";
import { decodeUtf8 } from "../protocol/config/utf8.ts";

/** Far above any list of revoked certificates. */
const MAX_FILE = 4 << 20;
/** How long a pipe may be silent. */
const PATIENCE_MS = 10_000;
const CREDENTIALS_FILE = "auth.txt";
/** How messages call what a person has typed. */
const TYPED = "what was typed";
/** What is ignored on a router, and is not here. */
const OF_ROUTERS: readonly string[] = ["route-table"];

export type HostProfile =
  | { readonly ok: true; readonly config: DialConfig; readonly warnings: readonly ConfigProblem[] }
  | { readonly ok: false; readonly problems: readonly ConfigProblem[]; readonly warnings: readonly ConfigProblem[] };

/** What a person has typed for a profile. */
export interface Typed {
  login?: { readonly user: string; readonly password: string };
  /** Of the key. */
  phrase?: string;
  /** To the static challenge. */
  answer?: string;
}

/** The text of a profile. @returns a string: why there is no such file to read */
export function readHostProfile(file: string): Uint8Array | string {
  const text = readFileOrPipe(file, MAX_FILE, PATIENCE_MS);
  return typeof text === "string" ? `${file} ${text}` : text;
}

/** @returns a string: why there is no such file to read */
export function loadHostProfile(file: string, typed: Typed = {}): HostProfile | string {
  const text = readHostProfile(file);
  if (typeof text === "string") return text;
  const loose: ConfigProblem[] = [];
  const read = hostFiles(dirname(file), (name, mode) => loose.push(looseFile(file, name, mode)));
  const auth = typed.login === undefined ? read(CREDENTIALS_FILE) : undefined;
  const result = parseConfig({ file, text }, read, {
    roles: ["client", "p2p", "static"],
    isHost: true,
    passphrase: typed.phrase,
    defaultCredentials: credentialsOf(typed, auth),
  });
  const settled = typed.answer === undefined ? OF_ROUTERS : [...OF_ROUTERS, "static-challenge"];
  const own = result.warnings.filter(({ directive }) => !settled.includes(directive));
  if (!result.ok) return { ok: false, problems: result.problems, warnings: [...own, ...loose] };
  const config = withTyped(result.config, typed);
  const tls = config.role === "static" ? { problems: [], warnings: [] } : checkTls(config, unixSeconds());
  const warnings = [...own, ...tls.warnings, ...loose];
  return tls.problems.length > 0 ? { ok: false, problems: tls.problems, warnings } : { ok: true, config, warnings };
}

function credentialsOf({ login }: Typed, auth: Uint8Array | string | undefined): DefaultCredentials | undefined {
  if (login !== undefined) return { label: TYPED, isTyped: true, text: `${login.user}\n${login.password}\n` };
  return auth === undefined ? undefined : { label: CREDENTIALS_FILE, ...contentOf(auth) };
}

/** The configuration with what was typed beside it. */
function withTyped(config: DialConfig, { answer }: Typed): DialConfig {
  if (config.role !== "client" || config.login === undefined || answer === undefined) return config;
  return { ...config, login: { ...config.login, answer: { row: answer, totp: undefined } } };
}

/** Names are relative to the profile, or absolute. @param loose told of each file that others may read too, although it holds a secret */
export function hostFiles(folder: string, loose: (name: string, mode: number) => void): ReadFile {
  const told = new Set<string>();
  const read = (name: string): Uint8Array | string | undefined => {
    const path = isAbsolute(name) ? name : join(folder, name);
    const content = readPlainFile(path, MAX_FILE);
    if (content instanceof Uint8Array && holdsSecret(content) && !told.has(path)) {
      const mode = statSync(path, { throwIfNoEntry: false })?.mode ?? 0;
      told.add(path);
      if ((mode & 0o077) !== 0) loose(name, mode & 0o777);
    }
    return content;
  };
  return Object.assign(read, { takesAbsolute: true });
}

/** Private keys, static keys; and what is no PEM at all may be a login or a pass phrase. */
function holdsSecret(content: Uint8Array): boolean {
  const start = decodeUtf8(content.subarray(0, 4096));
  return /-----BEGIN [A-Z0-9 ]*(PRIVATE KEY|Static key|client key|server key)/i.test(start) || !start.includes("-----");
}

export const looseFile = (file: string, name: string, mode: number): ConfigProblem => ({
  origin: { file, line: 0 },
  directive: "permissions",
  problem: `others may read ${name}, which holds a secret (mode ${mode.toString(8)}); chmod 600 ${isAbsolute(name) ? name : join(dirname(file), name)}`,
});

const contentOf = (file: Uint8Array | string): { text: string } | { unreadable: string } =>
  typeof file === "string" ? { unreadable: file } : { text: decodeUtf8(file) };
