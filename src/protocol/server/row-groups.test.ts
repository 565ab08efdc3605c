import { expect, test } from "bun:test";
import fc from "fast-check";
import { RowGroups } from "./row-groups.ts";

test("each row is in the group of its peer, in the order in which they came; peers in the order of their first rows", () => {
  const groups = new RowGroups(8, 16);
  const turn = fc.array(fc.nat(7), { maxLength: 16 });
  fc.assert(
    fc.property(fc.array(turn, { minLength: 1, maxLength: 3 }), (turns) => {
      for (const peers of turns) {
        groups.open();
        peers.forEach((peer, row) => {
          expect(groups.isFull).toBe(false);
          groups.take(peer, 100 * row, row + 1);
        });
        groups.close();
        const expected = [...Map.groupBy(peers.keys(), (row) => peers[row]!)];
        let begin = 0;
        const found = Array.from({ length: groups.count }, (_, group) => {
          const rows = Array.from(groups.rows.at.subarray(begin, groups.end[group]), (at) => at / 100);
          begin = groups.end[group]!;
          return [groups.peer[group], rows];
        });
        expect(found).toEqual(expected.map(([peer, rows]) => [peer, rows]));
        expect(groups.rows.count).toBe(peers.length);
        for (let row = 0; row < peers.length; row++) expect(groups.rows.len[row]).toBe(groups.rows.at[row]! / 100 + 1);
      }
    }),
  );
});
