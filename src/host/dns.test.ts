import { expect, test } from "bun:test";
import { writerOf } from "./dns.ts";

test("a resolv.conf that another tunnel has written is known by its first line", () => {
  const text = (device: string) =>
    `# Written by morgana: the resolvers of the tunnel on ${device}. What was here before comes back when it ends.\nnameserver 10.8.0.1\n`;
  expect(writerOf(text("tun0"))).toBe("tun0");
  expect(writerOf(text("tun.5"))).toBe("tun.5");
  expect(writerOf(`nameserver 192.0.2.1\n${text("tun0")}`)).toBeUndefined();
  expect(writerOf("")).toBeUndefined();
});
