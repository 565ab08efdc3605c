import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { lex, quoteWord, splitWords } from "./lexer.ts";

describe("words (behaviour of OpenVPN's option parser)", () => {
  const cases: [string, string[] | RegExp][] = [
    ["", []],
    ["  \t ", []],
    ["# all comment", []],
    [";all comment", []],
    ["a b\tc", ["a", "b", "c"]],
    ["a # b", ["a"]],
    ["a ;b", ["a"]],
    ["a#b c;d", ["a#b", "c;d"]],
    [`some-opt 'first parm' "second' 'parm"`, ["some-opt", "first parm", "second' 'parm"]],
    [`a "b \\"c\\" \\\\"`, ["a", 'b "c" \\']],
    [`a 'b\\c'`, ["a", "b\\c"]],
    ["a C:\\\\directory\\\\file", ["a", "C:\\directory\\file"]],
    ["a b\\ c", ["a", "b c"]],
    [`a ""`, ["a", ""]],
    [`a "b"c`, ["a", "b", "c"]],
    [`a b"c"`, ["a", 'b"c"']],
    [`a "b`, /not closed/],
    ["a 'b", /not closed/],
    ["a b\\", /backslash/],
    ["a \\n", /backslash/],
    ["a b\u0001", /control/],
    [`a ${"x".repeat(256)}`, ["a", "x".repeat(256)]],
    [`a "${"x".repeat(257)}"`, /longer/],
    [`a ${"ü".repeat(129)}`, /longer/],
  ];
  for (const [row, expected] of cases) {
    test(JSON.stringify(row.slice(0, 40)), () => {
      const words = splitWords(row);
      if (expected instanceof RegExp) expect(words).toMatch(expected);
      else expect(words).toEqual(expected);
    });
  }

  test("words after the 16th are ignored", () => {
    expect(splitWords(Array.from({ length: 20 }, (_, i) => `w${i}`).join(" "))).toHaveLength(16);
  });

  test("a quoted word is read back, whatever it holds", () => {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they cannot stand in a word
    const word = fc.string({ maxLength: 60 }).map((s) => s.replace(/[\u0000-\u001f\u007f]/g, ""));
    fc.assert(
      fc.property(fc.array(word, { minLength: 1, maxLength: 16 }), (words) => {
        expect(splitWords(words.map(quoteWord).join(" "))).toEqual(words);
      }),
    );
  });
});

describe("lines", () => {
  test("a web page that was saved as a profile is named, once, at its first line", () => {
    for (const start of ["<!DOCTYPE html>", "<html lang=en>", "<!-- saved -->", '<?xml version="1.0"?>', "  <HTML>"]) {
      const { lines, problems, isCutShort } = lex(`\n\n${start}\n<head>\n<title>Sign in</title>\nclient\n`);
      expect([lines, problems.length, isCutShort]).toEqual([[], 1, true]);
      expect(problems[0]).toMatchObject({
        line: 3,
        directive: "file",
        problem: expect.stringMatching(/^looks like a web page/),
      });
    }
    expect(lex("<ca>\nx\n</ca>\n# <html>\n").problems).toEqual([]);
  });

  test("keep their numbers over blanks, comments, CR LF, a byte order mark and a missing final newline", () => {
    const { lines, problems } = lex("\ufeff# one\r\n\r\n--dev tun\r\n  verb 3");
    expect(problems).toEqual([]);
    expect(lines).toEqual([
      { line: 3, words: ["dev", "tun"] },
      { line: 4, words: ["verb", "3"] },
    ]);
  });

  test("a block is verbatim, with no limit for its rows", () => {
    const long = "x".repeat(5000);
    const { lines } = lex(`<ca>\r\n# no comment\r\n "quote\r\n${long}\r\n  </ca>\r\nverb 3\r\n`);
    expect(lines[0]).toEqual({ line: 1, words: ["ca"], block: `# no comment\n "quote\n${long}\n` });
    expect(lines[1]).toEqual({ line: 6, words: ["verb", "3"] });
  });

  test("an open block is one problem at its first line", () => {
    for (const tag of ["ca", "connection"]) {
      const { lines, problems } = lex(`verb 3\n<${tag}>\nremote "a\nverb 4\n`);
      expect(lines).toEqual([{ line: 1, words: ["verb", "3"] }]);
      expect(problems).toEqual([{ line: 2, directive: tag, problem: `</${tag}> is missing`, isCutShort: true }]);
    }
  });

  test("<connection> holds lines with their numbers in the file", () => {
    const { lines } = lex("<connection>\n\nremote a 1\n</connection>\n<connection>\nremote b\n</connection>");
    expect(lines).toEqual([
      { line: 1, words: ["connection"], nested: [{ line: 3, words: ["remote", "a", "1"] }] },
      { line: 5, words: ["connection"], nested: [{ line: 6, words: ["remote", "b"] }] },
    ]);
  });

  test("never throws", () => {
    const piece = fc.constantFrom(
      "<ca>",
      "</ca>",
      "<connection>",
      "</connection>",
      "\n",
      "\r\n",
      '"',
      "'",
      "\\",
      "#",
      "a ",
      "\u0000",
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.array(piece).map((p) => p.join("")),
          fc.string({ unit: "binary" }),
        ),
        (text) => {
          const { lines, problems } = lex(text);
          for (const line of lines) expect(line.words.length).toBeGreaterThan(0);
          for (const { problem } of problems) expect(problem).not.toBe("");
        },
      ),
    );
  });
});
