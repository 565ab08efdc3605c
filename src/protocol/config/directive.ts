/** One row of the table of directives. */
import type { Role } from "./types.ts";

export type Support =
  /** Has its effect. */
  | "implemented"
  /** Without meaning or need here; said nothing about, because good profiles have it. */
  | "silent"
  /** Accepted without its effect, which a person should know. */
  | "warn"
  /** Not for an appliance, for good: an error at its line with the remedy. */
  | "refused";

/** What a directive does inside `<connection>`. */
export type InConnection =
  /** It cannot stand there. */
  | "refused"
  | "used"
  /** OpenVPN has it for each connection, here one value counts for all: the line is passed over with a warning. */
  | "ignored";

export interface Directive {
  readonly name: string;
  /** The profiles that it belongs to; empty: only files of client-config-dir. */
  readonly roles: readonly Role[];
  /** In a profile of another role OpenVPN passes over it, so it is a warning there and no problem. */
  readonly isPassedOver: boolean;
  readonly support: Support;
  /** Number of parameters. */
  readonly min: number;
  readonly max: number;
  /** Of warn, refused: the sentence for a person. */
  readonly text: string;
  /** May stand as `<name>` block. */
  readonly inline: boolean;
  /** All lines of it count; of others the last. */
  readonly addsUp: boolean;
  readonly inConnection: InConnection;
  /** It may stand in a file of client-config-dir. */
  readonly inClientFile: boolean;
  /** What the first parameter can be; undefined: anything, or checked where it is read. */
  readonly values: readonly string[] | undefined;
  /** First parameters with which nothing is lost: the line is passed over without a word. */
  readonly harmless: RegExp | undefined;
}

/** What a row may say beside its columns. */
export type More = Partial<Pick<Directive, "values" | "harmless">>;

const ROLES: Readonly<Record<string, Role>> = { c: "client", s: "server", p: "p2p", k: "static" };
const IN_CONNECTION: Readonly<Record<string, InConnection>> = { c: "used", o: "ignored" };

/**
 * @param roles c = client, s = server, p = point-to-point with TLS, k = static key
 * @param marks e = passed over elsewhere, i = inline block, a = lines add up, d = also in files of client-config-dir;
 *   inside <connection>: c = used, o = ignored
 */
export function row(
  name: string,
  roles: string,
  support: Support,
  min: number,
  max: number,
  marks = "",
  text = "",
  more: More = {},
): Directive {
  const inConnection = [...marks].flatMap((mark) => IN_CONNECTION[mark] ?? [])[0] ?? "refused";
  return {
    name,
    roles: [...roles].map((letter) => ROLES[letter] as Role),
    isPassedOver: marks.includes("e"),
    support,
    min,
    max,
    text,
    inline: marks.includes("i"),
    addsUp: marks.includes("a"),
    inConnection,
    inClientFile: marks.includes("d"),
    values: more.values,
    harmless: more.harmless,
  };
}
