/** A directive that a person may have meant. */

/** The name that is one letter, or one exchange of neighbours, away; undefined: there is none, or there are several. */
export function nearestName(word: string, names: readonly string[]): string | undefined {
  const near = names.filter((name) => isNear(word, name));
  return near.length === 1 ? near[0] : undefined;
}

/** What a message about a word that is none of the names says behind it: which of them may be meant, or nothing. */
export function perhaps(word: string, names: readonly string[]): string {
  const meant = nearestName(word, names);
  return meant === undefined ? "" : `; ${meant} may be meant`;
}

function isNear(a: string, b: string): boolean {
  if (Math.abs(a.length - b.length) > 1 || a.length < 4) return false;
  let start = 0;
  while (start < a.length && a[start] === b[start]) start++;
  let end = 0;
  while (end < Math.min(a.length, b.length) - start && a.at(-1 - end) === b.at(-1 - end)) end++;
  const left = a.slice(start, a.length - end);
  const right = b.slice(start, b.length - end);
  return Math.max(left.length, right.length) <= 1 || (left.length === 2 && left === [...right].reverse().join(""));
}
