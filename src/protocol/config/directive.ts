/** One row of the table of directives. */

export type Support =
  /** Has its effect. */
  | "implemented"
  /** Without meaning or need here; said nothing about, because good profiles have it. */
  | "silent"
  /** Accepted without its effect, which a person should know. */
  | "warn"
  /** Matters on the wire or for security and is not built yet: an error at its line. */
  | "later"
  /** Not for an appliance, for good: an error at its line with the remedy. */
  | "refused";

export interface Directive {
  readonly name: string;
  readonly support: Support;
  /** Number of parameters. */
  readonly min: number;
  readonly max: number;
  /** Of warn, later, refused: the sentence for a person. */
  readonly text: string;
  /** May stand as `<name>` block. */
  readonly inline: boolean;
  /** May stand inside `<connection>`. */
  readonly connection: boolean;
  /** A server may push it, and the profile's own lines are merged with what is pushed. */
  readonly pushable: boolean;
  /** Marks a server's profile. */
  readonly server: boolean;
}

/** Marks that a row may carry: i = inline block, c = inside <connection>, p = pushable. */
export type Marks = "" | "i" | "c" | "p" | "ic" | "cp";

export function row(
  name: string,
  support: Support,
  min: number,
  max: number,
  marks: Marks = "",
  text = "",
  server = false,
): Directive {
  return {
    name,
    support,
    min,
    max,
    text,
    inline: marks.includes("i"),
    connection: marks.includes("c"),
    pushable: marks.includes("p"),
    server,
  };
}
