/** Counters with names: a Float64Array indexed by a code (exact up to 2^53), read out as a record. */
export class Counters<Name extends string = string> {
  readonly names: readonly Name[];
  readonly values: Float64Array;

  constructor(names: readonly Name[]) {
    this.names = names;
    this.values = new Float64Array(names.length);
  }

  /** Counts one more of the name with this index. */
  bump(index: number): void {
    this.values[index]!++;
  }

  /** Every counter that is not zero, by name. */
  snapshot(): Partial<Record<Name, number>> {
    const out: Partial<Record<Name, number>> = {};
    this.names.forEach((name, i) => {
      const value = this.values[i] as number;
      if (value !== 0) out[name] = value;
    });
    return out;
  }
}

/** Adds counts to a sum by name, each name behind `prefix`. */
export function addCounts(sum: Record<string, number>, counts: Readonly<Record<string, number>>, prefix = ""): void {
  for (const [name, n] of Object.entries(counts)) sum[prefix + name] = (sum[prefix + name] ?? 0) + n;
}
