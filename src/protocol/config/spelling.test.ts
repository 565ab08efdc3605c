import { expect, test } from "bun:test";
import { nearestName, perhaps } from "./spelling.ts";

test("one letter more, less or another one, or two exchanged: the name that is meant", () => {
  const names = ["remote", "remote-random", "data-ciphers", "data-ciphers-fallback", "route", "ping"];
  for (const [word, name] of [
    ["remot", "remote"],
    ["remotes", "remote"],
    ["temote", "remote"],
    ["remoet", "remote"],
    ["data-ciphers-fallbacks", "data-ciphers-fallback"],
    ["data_ciphers", "data-ciphers"],
  ] as const)
    expect(nearestName(word, names)).toBe(name);
  for (const word of ["romoet", "pin", "cipher", "", "remote-rondam"]) expect(nearestName(word, names)).toBeUndefined();
  expect(nearestName("routs", ["route", "routes"])).toBeUndefined();
  expect([perhaps("remot", names), perhaps("pin", names)]).toEqual(["; remote may be meant", ""]);
});
