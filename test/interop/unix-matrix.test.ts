/**
 * `morgana client` and `morgana server` on the kernel of a host with the real openvpn as the other end: transports, devices and users, so
 * that every two of them meet. TABLE=whole: all of them.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { rowsOf } from "../support/pairwise.ts";
import { inUserNamespace } from "../support/world/privilege.ts";
import { PATIENCE } from "../support/world/process.ts";
import { isPossibleUnixCell, UNIX_SIZES, UnixMatrix, unixCell, unixCellName } from "../support/world/unix-matrix.ts";
import { NO_WORLD } from "./subject.ts";

describe.skipIf(NO_WORLD)("on the kernel of a host", () => {
  let matrix: UnixMatrix;

  beforeAll(async () => {
    matrix = await UnixMatrix.create();
  }, 60_000);
  afterAll(() => matrix?.close());

  for (const cell of rowsOf(UNIX_SIZES, isPossibleUnixCell).map(unixCell))
    test.skipIf(cell.user === "plain user" && inUserNamespace())(
      unixCellName(cell),
      async () => {
        expect(await matrix.run(cell)).toMatchObject({ problems: [], isAsBefore: true });
      },
      4 * PATIENCE * 1000,
    );
});
