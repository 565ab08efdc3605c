/** One thing that the product must not lose, as the edit that takes it out. */
export interface Mutation {
  /** The file below src/ that is changed. */
  readonly file: string;
  /** Text that stands in the file exactly once. */
  readonly text: string;
  readonly replacement: string;
  /** What is missing then. */
  readonly takesOut: string;
}

/** The mutations of one file: text, replacement, what it takes out. */
export function mutationsOf(file: string, ...rows: readonly (readonly [string, string, string])[]): Mutation[] {
  return rows.map(([text, replacement, takesOut]) => ({ file, text, replacement, takesOut }));
}

/** Why a mutation cannot be applied to the file's content; undefined when it can. */
export function mutationProblem(mutation: Mutation, content: string | undefined): string | undefined {
  if (content === undefined) return "there is no such file";
  const first = content.indexOf(mutation.text);
  if (first < 0) return "the text is not there any more";
  if (content.indexOf(mutation.text, first + 1) >= 0) return "the text is there more than once";
  return mutation.text === mutation.replacement ? "the replacement changes nothing" : undefined;
}

/** The file's content with the mutation in it. */
export const mutated = (mutation: Mutation, content: string): string =>
  content.replace(mutation.text, () => mutation.replacement);
