import { expect, test } from "bun:test";
import { formatMac, type Mac, parseMac } from "./mac.ts";

test("MAC addresses round trip in lower case with colons", () => {
  expect(formatMac(parseMac("52-54-00-AB-cd-0f") as Mac)).toBe("52:54:00:ab:cd:0f");
  for (const bad of ["52:54:00:ab:cd", "52:54:00:ab:cd:0g", "525400abcd0f"]) expect(parseMac(bad)).toBeUndefined();
});
