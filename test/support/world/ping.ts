/** What ping(8) said. It waits for the last answer no longer than one interval once it has any, so its own sums do not tell late from lost. */

/** How many of the first `count` requests were answered. */
export function answered(out: string, count: number): number {
  return sequence(out).filter((seq) => seq <= count).length;
}

/** The number of the last request that was answered so far, 0 before the first. */
export function lastAnswered(out: string): number {
  return Math.max(0, ...sequence(out));
}

/** How many requests before the last one that was answered were not. */
export function unanswered(out: string): number {
  return lastAnswered(out) - sequence(out).length;
}

/** Round trips in ms of the first `count` requests, sorted; what was not answered counts as infinite. */
export function roundTrips(out: string, count: number): number[] {
  const times = new Array<number>(count).fill(Number.POSITIVE_INFINITY);
  for (const match of out.matchAll(/^\d+ bytes from .*icmp_seq=(\d+) .*time=([\d.]+) ms/gm)) {
    const seq = Number(match[1]);
    if (seq <= count) times[seq - 1] = Math.min(times[seq - 1]!, Number(match[2]));
  }
  return times.sort((a, b) => a - b);
}

function sequence(out: string): number[] {
  return [...new Set([...out.matchAll(/^\d+ bytes from .*icmp_seq=(\d+)/gm)].map((match) => Number(match[1])))];
}
