import { expect, test } from "bun:test";
import { Batch } from "../lib/batch.ts";
import { StreamQueue } from "./stream-queue.ts";

test("rows are taken as long as they fit with all that is put in front of them, and the others are counted", () => {
  const queue = new StreamQueue();
  const rows = new Batch(4);
  for (let i = 0; i < 4; i++) rows.push(0, 100);
  // 100 bytes, 20 of sealing, 2 of the length.
  expect([queue.admit(rows, 20, 4 * 122), queue.admit(rows, 20, 4 * 122 - 1)]).toEqual([4, 3]);
  expect([queue.admit(rows, 20, 121), queue.admit(rows, 20, -1)]).toEqual([0, 0]);
  queue.refuse();
  expect(queue.drops()).toEqual({ "link-queue-full": 9, "link-control-queue-full": 1 });
});
