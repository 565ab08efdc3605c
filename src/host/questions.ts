/**
 * What a profile asks for and nothing else gives is asked of whoever sits at the terminal: user and password, the pass phrase of a
 * key, the answer to a static challenge. What was typed stays in memory, for when the profile is read again.
 */
import type { Questions } from "../platform/sys/terminal.ts";
import type { ClientConfig, ConfigProblem, DialConfig } from "../protocol/config/types.ts";
import { type HostProfile, loadHostProfile, type Typed } from "./profile.ts";

/** Questions at most: a pass phrase may be mistyped. */
const TRIES = 6;

/**
 * Reads a profile, and asks for what it lacks.
 * @param typed what was typed before, to which is added
 * @param open begins to ask; undefined: nobody is there
 */
export async function loadAsking(
  file: string,
  typed: Typed,
  open: (() => Questions) | undefined,
): Promise<HostProfile | string> {
  let loaded = loadHostProfile(file, typed);
  let questions: Questions | undefined;
  try {
    for (let i = 0; i < TRIES && open !== undefined && typeof loaded !== "string"; i++) {
      const wanted = wantedOf(loaded, typed);
      if (wanted === undefined) break;
      questions ??= open();
      if (!(await ask(questions, wanted, typed))) break;
      loaded = loadHostProfile(file, typed);
    }
  } finally {
    questions?.close();
  }
  return loaded;
}

type Wanted =
  | { readonly kind: "login" }
  | { readonly kind: "phrase" | "answer" /** What is asked. */; readonly text: string };

function wantedOf(loaded: HostProfile, typed: Typed): Wanted | undefined {
  if (loaded.ok) return challengeOf(loaded.config, typed);
  const { problems } = loaded;
  const isLogin = ({ directive }: ConfigProblem): boolean => directive === "auth-user-pass";
  // That of a file is the file's: only what was typed is asked for again.
  const isPhrase = ({ directive, problem }: ConfigProblem): boolean =>
    ["key", "pkcs12", "askpass"].includes(directive) &&
    problem.includes("pass phrase") &&
    problem.includes("is wrong") === (typed.phrase !== undefined);
  // With another problem it is of no use to ask.
  if (!problems.every((found) => isLogin(found) || isPhrase(found))) return undefined;
  if (typed.login === undefined && problems.some(isLogin)) return { kind: "login" };
  return problems.some(isPhrase) ? { kind: "phrase", text: "Pass phrase of the key:" } : undefined;
}

function challengeOf(config: DialConfig, typed: Typed): Wanted | undefined {
  const login = (config as Partial<ClientConfig>).login;
  if (login?.staticChallenge === undefined || login.answer !== undefined || typed.answer !== undefined)
    return undefined;
  return { kind: "answer", text: login.staticChallenge.text };
}

/** @returns whether there is an answer */
async function ask(questions: Questions, wanted: Wanted, typed: Typed): Promise<boolean> {
  if (wanted.kind === "login") {
    const user = await questions.ask("User: ", true);
    const password = user && (await questions.ask("Password: "));
    if (!user || password === undefined) return false;
    typed.login = { user, password };
    return true;
  }
  const answer = await questions.ask(`${wanted.text} `);
  if (answer === undefined) return false;
  if (wanted.kind === "phrase") typed.phrase = answer;
  else typed.answer = answer;
  return true;
}
