/** The command line of a package script: `--help` prints its usage and ends with 0, what it does not know is a line and status 2. */
import { type ParseArgsConfig, parseArgs } from "node:util";

type Options = NonNullable<ParseArgsConfig["options"]>;

export interface CommandLine<T extends Options> {
  readonly values: ReturnType<typeof parseArgs<{ options: T; strict: true }>>["values"];
  readonly words: readonly string[];
  /** Says what is wrong with it, and ends. */
  readonly refuse: (problem: string) => never;
  /** A number that an option must have; undefined where it was not given. */
  readonly number: (option: keyof T & string, least: number) => number | undefined;
}

/**
 * @param usage "usage: npm run NAME ..." and what the options mean
 * @param isWord which words, other than options, it takes; default: none
 */
export function commandLine<const T extends Options>(
  usage: string,
  options: T,
  isWord: (word: string, index: number) => boolean = () => false,
): CommandLine<T> {
  const name = /^usage: npm (?:run )?([\w:]+)/.exec(usage)?.[1] ?? "";
  const refuse = (problem: string): never => {
    console.error(`${name}: ${problem} (--help says what there is)`);
    process.exit(2);
  };
  const read = () => {
    try {
      const all = { ...options, help: { type: "boolean", short: "h" } } as const;
      return parseArgs({ args: process.argv.slice(2), strict: true, allowPositionals: true, options: all });
    } catch (error) {
      return refuse((error as Error).message.split(/[.\n]/)[0]!);
    }
  };
  const { values, positionals } = read();
  if ((values as { help?: boolean }).help === true) {
    console.log(usage.trimEnd());
    process.exit(0);
  }
  const unknown = positionals.filter((word, index) => !isWord(word, index));
  if (unknown.length > 0) refuse(`unknown: ${unknown.join(" ")}`);
  return {
    values: values as CommandLine<T>["values"],
    words: positionals,
    refuse,
    number: (option, least) => {
      const text = (values as Record<string, unknown>)[option];
      if (text === undefined) return undefined;
      const number = Number(text);
      return number >= least ? number : refuse(`--${option} takes a number from ${least} on`);
    },
  };
}
