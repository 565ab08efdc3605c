/**
 * Characters that a person cannot see, or takes for another one. Text from web pages and word processors has them, and
 * OpenVPN's syntax knows only the plain ones.
 */

const MARKS: readonly (readonly [range: RegExp, what: string])[] = [
  [/[\u00a0\u2000-\u200a\u202f\u205f\u3000]/, "a space that does not part words"],
  [/[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]/, "a character that cannot be seen"],
  [/[\u2018-\u201f]/, "a typographic quotation mark"],
  [/[\u2010-\u2015\u2212]/, "a dash that is no hyphen"],
];

/** The first of them in these words, with the remedy; undefined: there is none. */
export function explainMark(words: readonly string[]): string | undefined {
  for (const [range, what] of MARKS) {
    const mark = words.map((word) => range.exec(word)?.[0]).find((found) => found !== undefined);
    if (mark === undefined) continue;
    const code = mark.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0");
    return `the line holds ${what} (U+${code}): type the line anew`;
  }
  return undefined;
}
