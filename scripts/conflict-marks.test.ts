import { expect, test } from "bun:test";
import { conflictMarks } from "./conflict-marks.ts";

test("the marks of an unfinished merge are found, with and without names of the sides", () => {
  const [ours, base, theirs] = ["<", "|", ">"].map((mark) => mark.repeat(7));
  expect(conflictMarks(`a\n${ours} HEAD\nb\n${base}\nc\n=======\nd\n${theirs} main\n`)).toEqual([2, 4, 8]);
});

test("what only looks alike is none: a heading, a quotation, a shift", () => {
  expect(conflictMarks("Title\n=======\n> > > > > > > >\n<<<<<<<<\nx <<<<<<< y\n| a | b |\n")).toEqual([]);
});
