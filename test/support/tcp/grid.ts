/** The networks that TCP is judged on: every combination of what a link may do, and a choice in which every pair occurs. */
import { choices, pairwise as pairs } from "../pairwise.ts";
import type { LinkFaults } from "../world/bad-link.ts";

export type Family = 4 | 6;

export interface Cell {
  readonly name: string;
  readonly family: Family;
  readonly mtu: number;
  readonly delay: number;
  /** undefined: a wire. */
  readonly faults: LinkFaults | undefined;
}

const LOSS = [0, 1, 5] as const;
const DELAY = [0, 20, 200] as const;
/** The smallest one is what every network of the family carries. */
const MTU = { 4: [576, 1500, 9000], 6: [1280, 1500, 9000] } as const;
const FAMILY: readonly Family[] = [4, 6];
const OTHER: readonly (readonly [string, LinkFaults])[] = [
  ["-", {}],
  ["reorder", { reorder: 5 }],
  ["duplicate", { duplicate: 2 }],
  ["corrupt", { corrupt: 1 }],
];
const SIZES = [LOSS.length, DELAY.length, OTHER.length, MTU[4].length, FAMILY.length];

/** All 216, of IPv4 first. */
export const cells = (): Cell[] =>
  choices(SIZES)
    .map(cellOf)
    .sort((a, b) => a.family - b.family);

/** Nothing between the ends but a wire, and super-frames as they are. */
export const wires = (): Cell[] =>
  FAMILY.map((family) => ({ name: `wire, MTU 1500, IPv${family}`, family, mtu: 1500, delay: 0, faults: undefined }));

/** Some of them, so that every two values of different kinds meet in one. */
export const pairwise = (): Cell[] => pairs(SIZES).map(cellOf);

function cellOf(choice: readonly number[]): Cell {
  const [loss, delay, other, size, family] = choice as [number, number, number, number, number];
  const [name, faults] = OTHER[other]!;
  const ip = FAMILY[family]!;
  const mtu = MTU[ip][size]!;
  return {
    name: `loss ${LOSS[loss]} %, delay ${DELAY[delay]} ms, ${name}, MTU ${mtu}, IPv${ip}`,
    family: ip,
    mtu,
    delay: DELAY[delay]!,
    faults: { loss: LOSS[loss]!, delay: DELAY[delay]!, ...faults },
  };
}
