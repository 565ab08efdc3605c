import { expect } from "bun:test";
import type { Router } from "../../src/netstack/router.ts";
import { total } from "./total.ts";

/** Every packet that came to the router went on, back, or waits for the rest of it, or is a named drop. */
export function expectConserved({ sides }: Router): void {
  let [sent, arrived] = [0, 0];
  for (const { face, counters, drops } of sides) {
    const { name } = face;
    const values = counters.snapshot() as Record<string, number | undefined>;
    const n = (what: string): number => values[what] ?? 0;
    const gone = n(`${name}Sent`) + n(`${name}Back`) + n(`${name}Held`) + total(drops);
    expect([name, n(`${name}Received`)]).toEqual([name, gone]);
    sent += n(`${name}Sent`);
    arrived += n(`to${name[0]?.toUpperCase()}${name.slice(1)}`);
  }
  expect(arrived).toBe(sent);
}
