/**
 * The syntax of an OpenVPN file (man openvpn, "Including files" and "Inline file support"): one directive a line, its
 * words apart by white space, quoted with '..' or "..", backslash escapes outside '..'; `<tag>` ... `</tag>` holds the
 * content of a file; `<connection>` ... `</connection>` holds directives of one remote.
 */
import { withLineFeeds } from "./line-ends.ts";
import { encodeUtf8 } from "./utf8.ts";

export interface Line {
  /** Counted from 1. Of a block: where `<tag>` stands. */
  readonly line: number;
  /** The directive (without leading "--") and its parameters; at least one word. */
  readonly words: readonly string[];
  /** Content of `<tag>`, verbatim but for CR LF, with its final newline. */
  readonly block?: string;
  /** Directives inside `<connection>`. */
  readonly nested?: readonly Line[];
}

/** What an old form of a profile writes in place of a file name; the block that follows counts. */
export const INLINE = "[inline]";

export interface LexProblem {
  readonly line: number;
  /** The first word of the line as far as it could be read. */
  readonly directive: string;
  readonly problem: string;
  /** A block without end: the rest of the file was not read. */
  readonly isCutShort?: boolean;
}

/** Words beyond these are ignored, and a longer word is an error, as OpenVPN does it. */
const MAX_WORDS = 16;
const MAX_WORD_BYTES = 256;
/** Our choice, twice what a megabyte of keys and certificates has. */
const MAX_ROWS = 32_768;

/** All lines that hold a directive, and every problem of syntax. Never throws. */
export function lex(text: string): { lines: Line[]; problems: LexProblem[]; isCutShort: boolean } {
  const rows = withLineFeeds(text.startsWith("\ufeff") ? text.slice(1) : text).split("\n");
  if (rows.length > MAX_ROWS) return wholeFile(MAX_ROWS + 1, `more than ${MAX_ROWS} lines`);
  const first = rows.findIndex((row) => row.trim() !== "");
  if (first >= 0 && WEB_PAGE.test(rows[first]!)) return wholeFile(first + 1, IS_WEB_PAGE);
  const problems: LexProblem[] = [];
  const next = { row: 0 };
  const lines = lexRows(rows, next, undefined, problems);
  const binary = problems.find((p) => rows[p.line - 1]!.includes("\0"));
  if (binary !== undefined) {
    return wholeFile(
      binary.line,
      "holds bytes that are not text; if it is a profile, it was saved as UTF-16: save it as UTF-8",
    );
  }
  return { lines, problems, isCutShort: problems.some((p) => p.isCutShort === true) };
}

/** How HTML begins; no block has such a name. */
const WEB_PAGE = /^\s*<(!doctype\s|!--|html\b|head\b|\?xml\b)/i;
const IS_WEB_PAGE =
  "looks like a web page (HTML): the page of a login or an error was saved in the profile's place; download the profile itself, signed in";

/** Nearly each row of such a file is a problem, and none of them says what is wrong. */
const wholeFile = (line: number, problem: string): ReturnType<typeof lex> => ({
  lines: [],
  problems: [{ line, directive: "file", problem }],
  isCutShort: true,
});

/** Reads rows until `</closing>` or the end. */
function lexRows(rows: string[], next: { row: number }, closing: string | undefined, problems: LexProblem[]): Line[] {
  const lines: Line[] = [];
  while (next.row < rows.length) {
    const line = next.row + 1;
    const row = withoutCr(rows[next.row++]!);
    if (closing !== undefined && row.trimStart().startsWith(`</${closing}>`)) return lines;
    const words = splitWords(row);
    if (typeof words === "string") {
      problems.push({
        line,
        directive: row
          .trim()
          .split(/\s/)[0]!
          .replace(/^--(?=.)/, ""),
        problem: words,
      });
      continue;
    }
    const first = words[0];
    if (first === undefined) continue;
    const tag = words.length === 1 ? /^<([^/>]+)>$/.exec(first)?.[1] : undefined;
    if (tag === undefined) {
      lines.push({ line, words: [first.replace(/^--(?=.)/, ""), ...words.slice(1)] });
    } else if (tag === "connection" && closing === undefined) {
      const before = problems.length;
      const nested = lexRows(rows, next, tag, problems);
      if (closed(rows, next.row, tag)) lines.push({ line, words: [tag], nested });
      // The rest of the file was taken for the block's content: what was found in it says nothing.
      else
        problems.splice(before, Number.POSITIVE_INFINITY, {
          line,
          directive: tag,
          problem: `</${tag}> is missing`,
          isCutShort: true,
        });
    } else {
      let end = next.row;
      while (end < rows.length && !rows[end]!.trimStart().startsWith(`</${tag}>`)) end++;
      if (end === rows.length) {
        problems.push({ line, directive: tag, problem: `</${tag}> is missing`, isCutShort: true });
        next.row = rows.length;
      } else {
        const block = rows.slice(next.row, end).map((r) => `${withoutCr(r)}\n`);
        lines.push({ line, words: [tag], block: block.join("") });
        next.row = end + 1;
      }
    }
  }
  return lines;
}

const closed = (rows: string[], after: number, tag: string): boolean =>
  rows[after - 1]?.trimStart().startsWith(`</${tag}>`) === true;

const withoutCr = (row: string): string => (row.endsWith("\r") ? row.slice(0, -1) : row);

/** The words of one row, or what is wrong with it. A comment begins with # or ; where a word would begin. */
export function splitWords(row: string): string[] | string {
  const words: string[] = [];
  let i = 0;
  for (;;) {
    while (i < row.length && isSpace(row[i]!)) i++;
    if (i >= row.length || row[i] === "#" || row[i] === ";") return words;
    const quote = row[i] === '"' || row[i] === "'" ? row[i++] : undefined;
    let word = "";
    let open = true;
    while (i < row.length) {
      let c = row[i++]!;
      if (c === quote || (quote === undefined && isSpace(c))) {
        open = false;
        break;
      }
      if (c === "\\" && quote !== "'") {
        const escaped = row[i++];
        if (escaped === undefined) return "a backslash at the end of the line";
        if (escaped !== "\\" && escaped !== '"' && !isSpace(escaped)) {
          return 'a backslash stands only before a backslash, a space or a double quote; write "\\\\" for one backslash';
        }
        c = escaped;
      }
      if (isControl(c)) return "a control character";
      word += c;
    }
    if (quote !== undefined && open) return `the quote ${quote} is not closed`;
    if (word.length * 3 > MAX_WORD_BYTES && encodeUtf8(word).length > MAX_WORD_BYTES) {
      return `a parameter is longer than ${MAX_WORD_BYTES} characters`;
    }
    words.push(word);
    if (words.length === MAX_WORDS) return words;
  }
}

const isSpace = (c: string): boolean => c === " " || (c >= "\t" && c <= "\r");
const isControl = (c: string): boolean => (c < " " && c !== "\t") || c === "\x7f";

/** Text of a file as it may stand in a message: short, one line, no control characters. */
export const printable = (text: string): string => oneLine(text.slice(0, 80));

/** Without what moves a terminal's cursor, colours or reorders its text. */
export const oneLine = (text: string): string =>
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is replaced
  text.replace(/[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g, "?");

/** A word as it must be written to be read back. */
export function quoteWord(word: string): string {
  if (word !== "" && !/[\s"'\\#;]/.test(word)) return word;
  return `"${word.replace(/[\\"]/g, "\\$&")}"`;
}
