import { expect, test } from "bun:test";
import { utc } from "./utc.ts";

test("leap days, centuries and the end of years", () => {
  for (const ms of [
    Date.UTC(1970, 0, 1),
    Date.UTC(2000, 1, 29),
    Date.UTC(2024, 1, 29, 1, 2),
    Date.UTC(2100, 2, 1),
    Date.UTC(2027, 11, 31, 23, 59),
  ]) {
    expect(utc(ms / 1000)).toBe(`${new Date(ms).toISOString().slice(0, 16).replace("T", " ")} UTC`);
  }
});
