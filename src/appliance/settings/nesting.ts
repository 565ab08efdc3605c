/** How deep brackets and braces of a TOML text stand within one another, seen before its parser sees it, which calls itself for each. */

/** @returns the line, counted from 1, at which it is deeper than `most`; undefined: nowhere */
export function tooDeepAt(text: string, most: number): number | undefined {
  let depth = 0;
  let line = 1;
  for (let at = 0; at < text.length; ) {
    const c = text[at];
    if (c === "[" || c === "{") depth++;
    else if (c === "]" || c === "}") depth--;
    if (depth > most) return line;
    for (const end = endOf(text, at); at < end; at++) if (text[at] === "\n") line++;
  }
  return undefined;
}

/** Where the comment, string or other character that begins at `at` ends. One that is not closed ends with its line, or with the text. */
function endOf(text: string, at: number): number {
  const c = text[at] as string;
  if (c === "#") {
    const end = text.indexOf("\n", at);
    return end < 0 ? text.length : end;
  }
  if (c !== '"' && c !== "'") return at + 1;
  const isLong = text.startsWith(c.repeat(3), at);
  const quote = isLong ? c.repeat(3) : c;
  for (let i = at + quote.length; i < text.length; i++) {
    if (c === '"' && text[i] === "\\") i++;
    else if (text.startsWith(quote, i)) return i + quote.length;
    else if (!isLong && text[i] === "\n") return i;
  }
  return text.length;
}
