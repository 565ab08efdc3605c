/** Choices out of several kinds of things, one of each kind. */

/** All of them. @param sizes how many things there are of each kind @returns by kind, the number of the thing */
export function choices(sizes: readonly number[]): number[][] {
  return sizes.reduce<number[][]>(
    (lists, size) => lists.flatMap((list) => Array.from({ length: size }, (_, i) => [...list, i])),
    [[]],
  );
}

/** Some of them, so that every two things of different kinds meet in one; of those that `isPossible`. */
export function pairwise(
  sizes: readonly number[],
  isPossible: (choice: readonly number[]) => boolean = () => true,
): number[][] {
  const all = choices(sizes).filter(isPossible);
  const wanted = new Set(all.flatMap(pairsOf));
  const chosen: number[][] = [];
  const gain = (choice: readonly number[]): number => pairsOf(choice).filter((pair) => wanted.has(pair)).length;
  while (wanted.size > 0) {
    const best = all.reduce((a, b) => (gain(b) > gain(a) ? b : a));
    chosen.push(best);
    for (const pair of pairsOf(best)) wanted.delete(pair);
  }
  return chosen;
}

const pairsOf = (choice: readonly number[]): string[] =>
  choice.flatMap((x, i) => choice.slice(i + 1).map((y, j) => `${i}=${x} ${i + 1 + j}=${y}`));

/**
 * What a table of tests takes: a choice, or with TABLE=whole (`npm run interop:full`) all that is possible; with SHARD=k/n as the program that is
 * number k, from 0, of n that share them.
 */
export function rowsOf(
  sizes: readonly number[],
  isPossible: (choice: readonly number[]) => boolean = () => true,
): number[][] {
  const rows = process.env["TABLE"] === "whole" ? choices(sizes).filter(isPossible) : pairwise(sizes, isPossible);
  const [k = 0, n = 1] = (process.env["SHARD"] ?? "0/1").split("/").map(Number);
  return rows.filter((_, i) => i % n === k);
}
