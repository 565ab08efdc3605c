/** Every vector of docs/protocol.md is what the code makes, and what the second reader makes. */
import { expect, test } from "bun:test";
import { bytes, compute, VECTOR_KINDS } from "./compute.ts";
import { PROTOCOL, read, vectorsOf } from "./document.ts";
import { HAS_READER, secondReader } from "./second-reader.ts";

const VECTORS = vectorsOf(read(PROTOCOL));

test.each(VECTORS.map((vector) => [`line ${vector.line}: ${vector.kind}`, vector] as const))("%s", (_, vector) => {
  const found = compute(vector);
  expect(vector.results.size).toBe(Object.keys(found).length);
  for (const [name, value] of vector.results) {
    const wanted = /^[0-9a-f .]+$/.test(value) ? bytes(value).toHex() : value;
    expect(found[name], name).toBe(wanted);
  }
});

test("there is a vector of each kind, and the document has no other", () => {
  expect([...new Set(VECTORS.map(({ kind }) => kind))].sort()).toEqual([...VECTOR_KINDS].sort());
});

test.skipIf(!HAS_READER)("the second reader agrees on every one (Debian: python3-cryptography)", () => {
  const { agreed, problems } = secondReader("vectors", PROTOCOL);
  expect(problems).toEqual([]);
  expect(agreed).toBe(VECTORS.reduce((sum, { results }) => sum + results.size, 0));
});
