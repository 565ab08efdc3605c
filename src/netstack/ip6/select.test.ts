import { describe, expect, test } from "bun:test";
import { words6 } from "../testing/bed6.ts";
import { selectSource } from "./select.ts";

/** Which of the addresses is chosen; "~" in front: deprecated; "/n" behind: the prefix, else 64. */
function choice(dst: string, ...own: string[]): string | undefined {
  const candidates = own.map((text) => {
    const [address, prefix] = text.replace("~", "").split("/");
    return { text, words: words6(address!), prefix: Number(prefix ?? 64), isDeprecated: text.startsWith("~") };
  });
  const forward = selectSource(candidates, words6(dst))?.text;
  expect(selectSource(candidates.toReversed(), words6(dst))?.text).toBe(forward);
  return forward;
}

describe("source address selection (RFC 6724 5)", () => {
  test("the examples of RFC 6724 10.1", () => {
    expect(choice("2001:db8:1::1", "2001:db8:3::1", "fe80::1")).toBe("2001:db8:3::1");
    expect(choice("ff05::1", "2001:db8:3::1", "fe80::1")).toBe("2001:db8:3::1");
    expect(choice("2001:db8:1::1", "~2001:db8:1::1", "2001:db8:2::1")).toBe("~2001:db8:1::1");
    expect(choice("fe80::1", "~fe80::2", "2001:db8:1::1")).toBe("~fe80::2");
    expect(choice("2001:db8:1::1", "2001:db8:1::2", "2001:db8:3::2")).toBe("2001:db8:1::2");
    expect(choice("2002:c633:6401::1", "2002:c633:6401::d5e3:7953:13eb:22e8", "2001:db8:1::2")).toBe(
      "2002:c633:6401::d5e3:7953:13eb:22e8",
    );
  });

  test("no address: none; a group has the scope that it says", () => {
    expect(selectSource([], words6("2001:db8::1"))).toBeUndefined();
    expect(choice("ff02::1", "2001:db8::1", "fe80::1")).toBe("fe80::1");
    expect(choice("ff0e::1", "2001:db8::1", "fe80::1")).toBe("2001:db8::1");
  });

  test("what is deprecated comes last within its scope (rule 3)", () => {
    expect(choice("2001:db8::9", "~2001:db8::1", "2001:db8:ffff::1")).toBe("2001:db8:ffff::1");
  });

  test("private addresses for private ones, public for public ones (rule 6)", () => {
    expect(choice("fd00:1::9", "2001:db8::1", "fd00:2::1")).toBe("fd00:2::1");
    expect(choice("2a00::9", "2001:db8::1", "fd00:2::1")).toBe("2001:db8::1");
    expect(choice("2001:0:1::9", "2001:db8::1", "2001:0:2::1")).toBe("2001:0:2::1");
    expect(choice("fec0::9", "2001:db8::1", "fec0:1::1")).toBe("fec0:1::1");
    expect(choice("3ffe::9", "2001:db8::1", "3ffe:1::1")).toBe("3ffe:1::1");
  });

  test("the longest common prefix decides, within the candidate's own (rule 8)", () => {
    expect(choice("2001:db8:5::9", "2001:db8:4::1", "2001:db8:8::1")).toBe("2001:db8:4::1");
    // 64 bits in common with both, as far as their prefixes go: the first stays.
    const both = ["2001:db8:5::1", "2001:db8:5::8"].map((text) => ({
      words: words6(text),
      prefix: 64,
      isDeprecated: false,
    }));
    expect(selectSource(both, words6("2001:db8:5::9"))).toBe(both[0]!);
  });
});
