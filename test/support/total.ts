import type { Counters } from "../../src/lib/counters.ts";

/** The sum of all counters of a set. */
export const total = ({ values }: Counters): number => values.reduce((a, b) => a + b, 0);
