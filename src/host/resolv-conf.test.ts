import { expect, test } from "bun:test";
import type { FileState } from "./change.ts";
import { formerOf, ownResolvConf, writerOf } from "./resolv-conf.ts";

test("a resolv.conf that another tunnel has written is known by its first line", () => {
  const text = (device: string) => ownResolvConf(device, ["nameserver 10.8.0.1"], { kind: "absent" });
  expect(writerOf(text("tun0"))).toBe("tun0");
  expect(writerOf(text("tun.5"))).toBe("tun.5");
  expect(writerOf(`nameserver 192.0.2.1\n${text("tun0")}`)).toBeUndefined();
  expect(writerOf("")).toBeUndefined();
});

test.each([
  { kind: "absent" },
  { kind: "link", to: "../run/resolvconf/resolv.conf" },
  { kind: "plain", text: "", mode: 0o644 },
  { kind: "plain", text: "# mine\n#|not ours\nnameserver 192.0.2.1\n\noptions timeout:1\n", mode: 0o600 },
  { kind: "plain", text: "nameserver 192.0.2.1", mode: 0o4 },
] as FileState[])("what was there before is in it, and asks nobody: %j", (before) => {
  const text = ownResolvConf("tun0", ["nameserver 10.8.0.1"], before);
  expect(formerOf(text)).toEqual(before);
  expect(text.split("\n").filter((line) => line !== "" && !line.startsWith("#"))).toEqual(["nameserver 10.8.0.1"]);
});

test("a file of somebody else has none of that", () => {
  const text = ownResolvConf("tun0", [], { kind: "absent" });
  expect(formerOf(`nameserver 192.0.2.1\n${text}`)).toBeUndefined();
  expect(formerOf(text.split("\n")[0]!)).toBeUndefined();
});
