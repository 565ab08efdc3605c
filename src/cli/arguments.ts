/** The command line of a subcommand, read by all of them in one way. */
import { parseArgs } from "node:util";
import { LOG_LEVELS, type LogLevel } from "../lib/log.ts";
import type { LogFormat } from "../platform/log/console-log.ts";
import { printable } from "../protocol/config/lexer.ts";
import { perhaps } from "../protocol/config/spelling.ts";
import { usageError } from "./help.ts";

type Options = Readonly<Record<string, { readonly type: "string" | "boolean" }>>;
type Values<T extends Options> = {
  readonly [K in keyof T]?: T[K]["type"] extends "boolean" ? boolean : string;
};

/** Those of every subcommand that stays. */
export const LOG_OPTIONS = { "log-level": { type: "string" }, "log-format": { type: "string" } } as const;

const HELP_OPTION = { help: { type: "boolean", short: "h" } } as const;

/**
 * @param help what --help prints @param options beside --help @param takesWords words that are no options can stand there
 * @returns a number: the exit status, since help was asked for or something is wrong, which is said
 */
export function readArguments<const T extends Options>(
  subcommand: string,
  argv: readonly string[],
  help: string,
  options: T,
  takesWords = true,
): { readonly values: Values<T>; readonly words: readonly string[] } | number {
  try {
    const all = { ...options, ...HELP_OPTION };
    const parsed = parseArgs({ args: [...argv], strict: true, allowPositionals: takesWords, options: all });
    const { help: isAsked, ...values } = parsed.values as Record<string, string | boolean | undefined>;
    if (isAsked !== true) return { values: values as Values<T>, words: parsed.positionals };
    process.stdout.write(help);
    return 0;
  } catch (error) {
    return usageError(subcommand, inWords(error as NodeJS.ErrnoException, ["help", ...Object.keys(options)]));
  }
}

/** What parseArgs found, in a sentence. */
function inWords({ code, message }: NodeJS.ErrnoException, options: readonly string[]): string {
  const [, name = ""] = /^[^']*'(-[^']*)'/.exec(message) ?? [];
  if (code !== "ERR_PARSE_ARGS_UNKNOWN_OPTION" || name === "") return message.split("\n")[0]!;
  const names = options.map((option) => `--${option}`);
  return `there is no option ${printable(name)}${perhaps(name, names)}`;
}

/** What {@link LOG_OPTIONS} say; a number as above. @returns the level undefined: none is named */
export function readLogOptions(
  subcommand: string,
  values: Values<typeof LOG_OPTIONS>,
): { readonly level: LogLevel | undefined; readonly format: LogFormat } | number {
  const named = values["log-level"];
  const level = LOG_LEVELS.find((each) => each === named);
  if (named !== undefined && level === undefined)
    return usageError(subcommand, `--log-level is one of ${LOG_LEVELS.join(", ")}`);
  const format = values["log-format"] ?? "text";
  if (format !== "text" && format !== "json") return usageError(subcommand, "--log-format is text or json");
  return { level, format };
}
