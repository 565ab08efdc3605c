import { expect, test } from "bun:test";
import { mixWords } from "./hash.ts";
import { copyAddress, isAddressAt, mixAddress, mixAddressAt, readAddress, type Stride, sameAddress } from "./words.ts";

const STRIDES: readonly Stride[] = [1, 4];
/** The words 100, 101, ... as a header has them, and as a table. */
const bytes = new DataView(new ArrayBuffer(64));
for (let i = 0; i < 16; i++) bytes.setInt32(4 * i, 100 + i);
const words = Int32Array.from({ length: 16 }, (_, i) => 100 + i);

test.each(STRIDES)(
  "an address of %d words is the same where each of its words is, whatever lies beside it",
  (stride) => {
    for (let k = -1; k <= stride; k++) {
      const other = words.slice();
      other[5 + k]! ^= 1;
      const isSame = k < 0 || k === stride;
      expect(sameAddress(words, 5, other, 5, stride)).toBe(isSame);
      expect(isAddressAt(bytes, 20, other, 5, stride)).toBe(isSame);
    }
  },
);

test.each(STRIDES)("an address of %d words is copied and read, and nothing beside it is touched", (stride) => {
  const expected = new Int32Array(8);
  expected.set(words.subarray(5, 5 + stride), 2);
  const [copied, read] = [new Int32Array(8), new Int32Array(8)];
  copyAddress(words, 5, copied, 2, stride);
  readAddress(bytes, 20, read, 2, stride);
  expect([copied, read]).toEqual([expected, expected]);
});

test.each(STRIDES)("the hash of an address of %d words is that of its words, in a table and in a header", (stride) => {
  const hash = mixWords(7, words, 5, stride);
  expect([mixAddress(7, words, 5, stride), mixAddressAt(7, bytes, 20, stride)]).toEqual([hash, hash]);
});
