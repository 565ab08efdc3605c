/** A client's own: when it tries again, and its login: lines -> values. */
import { INLINE, printable } from "./lexer.ts";
import { firstRows } from "./material.ts";
import { parseAnswer } from "./otpauth.ts";
import type { Reader } from "./reader.ts";
import type { Credentials, PullConfig, PullFilter, RetryConfig, StaticChallenge } from "./types.ts";
import { encodeUtf8 } from "./utf8.ts";

/** OpenVPN's default for connect-timeout (man openvpn). */
const CONNECT_TIMEOUT = 120;

export function resolveRetry(reader: Reader): RetryConfig {
  return {
    connectRetry: resolveConnectRetry(reader),
    connectTimeout: reader.int(["connect-timeout", "server-poll-timeout"], CONNECT_TIMEOUT) || CONNECT_TIMEOUT,
    remoteRandom: reader.has("remote-random"),
    remoteRandomHostname: reader.has("remote-random-hostname"),
  };
}

function resolveConnectRetry(reader: Reader): RetryConfig["connectRetry"] {
  let value: RetryConfig["connectRetry"];
  for (const line of reader.all("connect-retry")) {
    const initial = reader.number(line, 1, { min: 0, max: 65535 });
    const max = line.words[2] === undefined ? 300 : reader.number(line, 2, { min: 0, max: 65535 });
    if (initial === undefined || max === undefined) continue;
    // Nobody is asked without a pause.
    if (initial === 0) reader.warn(line, "0 is taken as 1 second");
    const first = Math.max(initial, 1);
    value = { initial: first, max: Math.max(first, max) };
  }
  return value;
}

export function resolvePull(reader: Reader): PullConfig {
  const filters: PullFilter[] = [];
  for (const line of reader.all("pull-filter")) {
    const action = reader.choice(line, 1, ["accept", "ignore", "reject"]);
    if (action !== undefined) filters.push({ action, prefix: line.words[2] as string });
  }
  return { routeNoPull: reader.has("route-nopull"), filters };
}

/** OpenVPN's limit for each of the two. */
const MAX_USER_PASS = 4095;

/**
 * The file that serves a bare auth-user-pass: its content, or why it cannot be read; and its name, for messages: "auth.txt". Or what a person
 * has typed in the place of one.
 */
export type DefaultCredentials = { readonly label: string; readonly isTyped?: boolean } & (
  | { readonly text: string }
  | { readonly unreadable: string }
);

export function resolveLogin(reader: Reader, fallback: DefaultCredentials | undefined): Credentials | undefined {
  const line = reader.all("auth-user-pass").findLast((l) => l.block !== undefined) ?? reader.last("auth-user-pass");
  if (line === undefined) return undefined;
  const named =
    line.block === undefined && line.words[1] !== "stdin" && line.words[1] !== INLINE ? line.words[1] : undefined;
  let found: { label: string; bytes: Uint8Array | string } | undefined;
  if (line.block !== undefined) found = { label: "<auth-user-pass> block", bytes: encodeUtf8(line.block) };
  else {
    const file = named === undefined ? undefined : reader.file(line, named);
    // Providers name files that exist on their own machines only: then the default serves too.
    if (file !== undefined) found = { label: printable(file.name), bytes: file.content };
    else if (fallback) {
      const bytes = "text" in fallback ? encodeUtf8(fallback.text) : fallback.unreadable;
      found = { label: fallback.label, bytes };
      if (fallback.isTyped === true) warnOfMemory(reader);
    }
  }
  if (found === undefined) {
    const missing = named === undefined ? "no user and password" : `the file "${printable(named)}" is not there`;
    return reader.problem(
      line,
      `${missing}; put auth.txt (user in the first row, password in the second) beside the profile, or give it as block`,
    );
  }
  if (typeof found.bytes === "string") return reader.problem(line, `the file "${found.label}" ${found.bytes}`);
  const [user, password, third] = firstRows(found.bytes);
  if (!user) return reader.problem(line, `${found.label}: the first row, the user, is empty`);
  if (password === undefined) return reader.problem(line, `${found.label}: the second row, the password, is missing`);
  // The server would see other bytes than openvpn sends, and in the end lock the account.
  if (`${user}${password}`.includes("\ufffd"))
    return reader.problem(line, `${found.label}: user or password is not UTF-8; save the file as UTF-8`);
  // Nor could it come from a block, which ends there.
  if ([user, password].some(endsBlock))
    return reader.problem(line, `${found.label}: user or password begins with </auth-user-pass>`);
  if (Math.max(user.length, password.length) > MAX_USER_PASS)
    return reader.problem(line, `${found.label}: user or password is too long`);
  // OpenVPN reads two rows: what else a file holds is no reason to refuse it.
  const isThird = third !== undefined && third !== "" && third.length <= MAX_USER_PASS && !isUnfit(third);
  const answer = isThird ? parseAnswer(third) : undefined;
  if (typeof answer === "string") return reader.problem(line, `${found.label}: the third row ${answer}`);
  const { label } = found;
  const staticChallenge = resolveStaticChallenge(reader, answer === undefined ? label : undefined);
  return { user, password, answer, staticChallenge, label, origin: reader.report.origin(line.line) };
}

/** auth-nocache asks for a person to be asked anew at each login. */
function warnOfMemory(reader: Reader): void {
  const line = reader.last("auth-nocache");
  if (line) reader.warn(line, "ignored: what was typed stays in memory, to log in again without a person");
}

const endsBlock = (row: string): boolean => row.trimStart().startsWith("</auth-user-pass>");
const isUnfit = (row: string): boolean => row.includes("\ufffd") || endsBlock(row);

/** @param unanswered the file that should hold an answer and does not */
function resolveStaticChallenge(reader: Reader, unanswered: string | undefined): StaticChallenge | undefined {
  let value: StaticChallenge | undefined;
  for (const line of reader.all("static-challenge")) {
    const format = line.words[3] === undefined ? "scrv1" : reader.choice(line, 3, ["scrv1", "concat"]);
    if (format === undefined) continue;
    value = { text: line.words[1] as string, format };
    if (unanswered !== undefined)
      reader.warn(
        line,
        `nobody is there to answer it: put the answer, or otpauth://totp/...?secret=..., into the third row of ${unanswered}`,
      );
  }
  return value;
}
