import { expect, test } from "bun:test";
import { brief } from "./brief.ts";

test("a list is given whole up to its bound, and beyond it by its number", () => {
  expect(brief(["a", "b"], ",", 2)).toBe("a,b");
  expect(brief(["a", "b", "c", "d"], ", ", 2)).toBe("a, b, ... and 2 more");
});
