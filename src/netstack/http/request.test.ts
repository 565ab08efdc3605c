import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { ascii } from "../../lib/bytes.ts";
import { parseForm } from "./form.ts";
import { type HttpRequest, type Refusal, RequestReader } from "./request.ts";

type Read = HttpRequest | Refusal | undefined;

/** What a reader makes of bytes that come in pieces. */
function read(text: string, pieces = 1): Read {
  const reader = new RequestReader();
  const bytes = Uint8Array.from(text, (c) => c.charCodeAt(0));
  const size = Math.max(1, Math.ceil(bytes.length / pieces));
  for (let at = 0; at < bytes.length; at += size) {
    const found = reader.feed(bytes.subarray(at, at + size));
    if (found !== undefined) return found;
  }
  return undefined;
}
const request = (text: string, pieces = 1): HttpRequest => {
  const found = read(text, pieces);
  if (found === undefined || typeof found === "number") throw new Error(`no request: ${found}`);
  return found;
};

const GET = "GET /status.json?x=1 HTTP/1.1\r\nHost: Morgana.LAN:80\r\nAccept: a\r\naccept:\tb \r\n\r\n";

describe("a request", () => {
  for (const pieces of [1, 2, 7, 1000])
    test(`in ${pieces} pieces is the same`, () => {
      const { method, path, query, isOld, host, fields, content } = request(GET, pieces);
      expect({ method, path, query, isOld, host, length: content.length }).toEqual({
        ...{ method: "GET", path: "/status.json", query: "x=1", isOld: false },
        ...{ host: "morgana.lan", length: 0 },
      });
      expect(fields.get("accept")).toBe("a, b");
      const post = request("POST / HTTP/1.1\r\nHost: [fd12::1]:8080\r\nContent-Length: 3\r\n\r\na=bIGNORED", pieces);
      expect([post.host, String.fromCharCode(...post.content)]).toEqual(["[fd12::1]", "a=b"]);
    });

  test("is not there before its last byte", () => {
    for (const text of [GET, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na=b"])
      for (let n = 0; n < text.length; n++) expect(read(text.slice(0, n))).toBeUndefined();
  });

  test("may have an empty line before it (RFC 9112 2.2), and a whole URL, whose host counts (RFC 9112 3.2.2)", () => {
    expect(request(`\r\n${GET}`).path).toBe("/status.json");
    const { path, host } = request("GET http://Gate:80/a?b HTTP/1.1\r\nHost: other\r\n\r\n");
    expect([path, host]).toEqual(["/a", "gate"]);
    expect(request("GET http://gate HTTP/1.1\r\nHost: x\r\n\r\n").path).toBe("/");
  });

  test("of HTTP/1.0 needs no Host; one of HTTP/1.1 does (RFC 9112 3.2)", () => {
    const { host, isOld } = request("GET / HTTP/1.0\r\n\r\n");
    expect([host, isOld]).toEqual([undefined, true]);
    expect(read("GET / HTTP/1.1\r\n\r\n")).toBe(400);
  });
});

describe("refused is", () => {
  const head = (...rows: string[]): string =>
    `GET / HTTP/1.1\r\nHost: a\r\n${rows.map((row) => `${row}\r\n`).join("")}\r\n`;
  const cases: [string, string, Refusal][] = [
    ["a line that is none", "GET /\r\n\r\n", 400],
    ["a line of four words", "GET / x HTTP/1.1\r\nHost: a\r\n\r\n", 400],
    ["a method that is no token", "G(T / HTTP/1.1\r\nHost: a\r\n\r\n", 400],
    ["HTTP/2.0 in the form of HTTP/1.1", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505],
    ["a proxy's CONNECT", "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", 400],
    ["a target with a fragment", "GET /#x HTTP/1.1\r\nHost: a\r\n\r\n", 400],
    ["a target with a control character", "GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n", 400],
    ["two hosts (RFC 9112 3.2)", head("Host: b"), 400],
    ["two hosts beside a whole URL", "GET http://a/ HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400],
    ["a host that is none", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400],
    ["a user in front of the host", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400],
    ["a blank before a colon (RFC 9112 5.1)", head("Accept : a"), 400],
    ["a row that goes on with the one before (RFC 9112 5.2)", head("Accept: a", " b"), 400],
    ["a row without a colon", head("Accept"), 400],
    ["a bare CR in a value", head("Accept: a\rb"), 400],
    ["a bare LF in a value", head("Accept: a\nX: b"), 400],
    ["a NUL in a value", head("Accept: \0"), 400],
    ["a transfer coding (RFC 9112 6.3: a length is asked for)", head("Transfer-Encoding: chunked"), 411],
    ["a length beside a transfer coding", head("Content-Length: 3", "Transfer-Encoding: chunked"), 411],
    ["two lengths", head("Content-Length: 3", "Content-Length: 4"), 400],
    ["a length with a sign", head("Content-Length: +3"), 400],
    ["content that is too large", head("Content-Length: 4097"), 413],
    ["a length of many digits", head(`Content-Length: ${"9".repeat(30)}`), 413],
    ["a line that is too long", `GET /${"a".repeat(2048)} HTTP/1.1\r\nHost: a\r\n\r\n`, 414],
    ["a line that does not end", `GET /${"a".repeat(4000)}`, 414],
    ["fields that are too long", head(`X: ${"a".repeat(8192)}`), 431],
    ["fields that do not end", `GET / HTTP/1.1\r\nX: ${"a".repeat(12_000)}`, 431],
    ["too many fields", head(...Array.from({ length: 64 }, (_, i) => `X${i}: a`)), 431],
  ];
  test.each(cases)("%s", (_what, text, status) => {
    expect(read(text)).toBe(status);
  });
});

test("whatever comes, and in whatever pieces, gives a request, a refusal or nothing, the same, and never throws", () => {
  const word = fc.constantFrom(
    "GET",
    "POST",
    " ",
    "/",
    "HTTP/1.1",
    "\r\n",
    "\r",
    "\n",
    "Host: a",
    "Content-Length: 3",
    ":",
    "\0",
    "é",
    "\t",
  );
  fc.assert(
    fc.property(
      fc.array(fc.oneof(word, fc.string({ maxLength: 4 })), { maxLength: 30 }),
      fc.integer({ min: 2, max: 50 }),
      (words, pieces) => {
        const text = words.join("").replace(/[^\0-\xff]/g, "?");
        const whole = read(text);
        const some = read(text, pieces);
        // A line that is too long may be seen before its end.
        expect(typeof some).toBe(typeof whole);
        if (typeof whole === "object") expect(some).toEqual(whole);
      },
    ),
    { numRuns: 500 },
  );
});

describe("a form", () => {
  const form = (text: string) => {
    const values = parseForm(ascii(text));
    return values && Object.fromEntries(values);
  };
  test("has its names and values, escapes undone; of a name that stands twice the first counts", () => {
    expect(form("a=1&b=x+y%26%3d%C3%A9&c&&a=2")).toEqual({ a: "1", b: "x y&=é", c: "" });
    expect(form("")).toEqual({});
  });
  test("is none with half an escape, bytes that are no UTF-8, or control characters", () => {
    for (const text of ["a=%", "a=%4", "a=%zz", "%ff=1", "a=\r\n"]) expect(form(text)).toBeUndefined();
    expect(parseForm(Uint8Array.of(97, 61, 0xe9))).toBeUndefined();
  });
});
