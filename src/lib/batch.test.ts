import { expect, test } from "bun:test";
import { Batch, GSO_NONE, GSO_TCPV4, VNET_NEEDS_CSUM } from "./batch.ts";

test("the rows of one peer end where another's begins, or the batch does", () => {
  const rows = new Batch(8);
  for (const [i, peer] of [3, 3, 0, 3].entries()) rows.peer[rows.push(100 * i, 10 + i)] = peer;
  // What was there before the batch was emptied is nobody's row.
  rows.peer[4] = 3;
  expect([0, 1, 2, 3].map((first) => rows.peerEnd(first))).toEqual([2, 2, 3, 4]);
});

test("rows that are added from another batch are plain ones", () => {
  const from = new Batch(4);
  for (let i = 0; i < 3; i++) from.push(100 * i, 10 + i);
  from.flags.fill(VNET_NEEDS_CSUM);
  from.gsoType.fill(GSO_TCPV4);
  const to = new Batch(4);
  to.push(7, 7);
  to.pushPlain(from, 1, 3);
  expect([...to.at.subarray(0, to.count)]).toEqual([7, 100, 200]);
  expect([...to.len.subarray(0, to.count)]).toEqual([7, 11, 12]);
  expect([to.flags[1], to.gsoType[2]]).toEqual([0, GSO_NONE]);
});
