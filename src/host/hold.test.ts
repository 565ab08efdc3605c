import { expect, test } from "bun:test";
import { Hold } from "./hold.ts";

function bed() {
  const seen: boolean[] = [];
  return { seen, hold: new Hold((isWatched) => seen.push(isWatched)) };
}

test("while nobody has room the kernel keeps its packets, and the loop does not wake up for them", () => {
  const { seen, hold } = bed();
  expect([hold.look(0, false), hold.look(10, true), hold.look(55, true), hold.isHeld]).toEqual([
    false,
    true,
    true,
    true,
  ]);
  expect([hold.look(60, false), hold.isHeld, hold.overAt]).toEqual([false, false, Number.POSITIVE_INFINITY]);
  expect(seen).toEqual([false, true]);
});

test("for a twentieth of a second at most, and then not again until there was room", () => {
  const { seen, hold } = bed();
  hold.look(1000, true);
  expect(hold.overAt).toBe(1050);
  expect([hold.look(1049, true), hold.look(1050, true), hold.look(5000, true)]).toEqual([true, false, false]);
  expect([hold.look(5001, false), hold.look(5002, true), hold.overAt]).toEqual([false, true, 5052]);
  expect(seen).toEqual([false, true, false]);
});
