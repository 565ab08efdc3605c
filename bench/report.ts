/** Medians, and the table. */
import { FIGURES, type Round } from "./measure.ts";

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Rows of figures, each with its ratio to the first contender's. A contender without rounds has dashes. */
export function table(results: ReadonlyMap<string, readonly Round[]>): string {
  const names = [...results.keys()];
  const lines = [
    ["".padEnd(34), "".padEnd(7), ...names.map((name) => name.padStart(12).padEnd(19))].join("").trimEnd(),
  ];
  for (const { key, title, unit, digits } of FIGURES) {
    const figures = names.map((name) => median(results.get(name)!.map((round) => round[key]!)));
    const cells = figures.map((figure, index) => {
      const ratio = index === 0 ? "" : number(figure / figures[0]!, 2);
      return number(figure, digits).padStart(12) + ratio.padStart(7);
    });
    lines.push([title.padEnd(34), unit.padEnd(7), ...cells].join("").trimEnd());
  }
  return lines.join("\n");
}

const number = (value: number, digits: number): string =>
  Number.isFinite(value) ? value.toFixed(digits) : Number.isNaN(value) ? "-" : "lost";
