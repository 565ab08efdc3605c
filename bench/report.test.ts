import { expect, test } from "bun:test";
import { FIGURES, percentile } from "./measure.ts";
import { median, table } from "./report.ts";

const round = (value: number) => Object.fromEntries(FIGURES.map(({ key }) => [key, value]));

test("the median of an even number of rounds is between the two in the middle", () => {
  expect([median([3, 1, 2]), median([4, 1, 2, 3]), median([])]).toEqual([2, 2.5, Number.NaN]);
});

test("a percentile is a value that was measured", () => {
  const hundred = Array.from({ length: 100 }, (_, i) => i + 1);
  expect([percentile(hundred, 0.5), percentile(hundred, 0.99), percentile([7], 0.99)]).toEqual([51, 100, 7]);
});

test("each figure stands beside its ratio to the first contender's; what failed or was lost is no number", () => {
  const lines = table(
    new Map([
      ["openvpn", [round(100)]],
      ["morgana", [round(150), round(250), round(200)]],
      ["base", []],
      ["wireguard-go", [round(Number.POSITIVE_INFINITY)]],
    ]),
  ).split("\n");
  expect(lines).toHaveLength(FIGURES.length + 1);
  expect(lines[0]!.trim().split(/\s+/)).toEqual(["openvpn", "morgana", "base", "wireguard-go"]);
  expect(lines[1]!.slice(41).trim().split(/\s+/)).toEqual(["100", "200", "2.00", "-", "-", "lost", "lost"]);
});
