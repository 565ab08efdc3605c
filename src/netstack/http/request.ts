/**
 * Requests of HTTP/1.1 and HTTP/1.0 (RFC 9112), as they come in pieces over a connection. Strict: what two programs could read in two
 * ways is refused (RFC 9112 11.2), and everything is bounded.
 *
 *     POST /commands HTTP/1.1 CR LF     request line
 *     Host: 192.168.50.1 CR LF          fields
 *     Content-Length: 9 CR LF
 *     CR LF
 *     client=ann                        content, where there is a Content-Length
 */
import { concat, EMPTY } from "../../lib/bytes.ts";

export interface HttpRequest {
  readonly method: string;
  /** As it was written: no escape is undone. It begins with a slash. */
  readonly path: string;
  /** Behind the question mark; empty: there is none. */
  readonly query: string;
  /** 1.0: the other end may know neither Host nor what came later. */
  readonly isOld: boolean;
  /** Whom it is for, lower case, without a port: of the target where that is a whole URL, else of the field. */
  readonly host: string | undefined;
  /** By lower-case names; fields of one name are joined by commas (RFC 9110 5.3). */
  readonly fields: ReadonlyMap<string, string>;
  readonly content: Uint8Array;
}

/** Why a request is refused: the status code of the answer (RFC 9110 15). */
export type Refusal = 400 | 411 | 413 | 414 | 431 | 505;

/** Our choices, in bytes: of the request line, of all fields with their names, and of the content; how many fields there are. */
const MOST_LINE = 2048;
const MOST_HEAD = 8192;
const MOST_CONTENT = 4096;
const MOST_FIELDS = 64;
/** With an empty line in front, and the one behind the head. */
const MOST = MOST_LINE + MOST_HEAD + MOST_CONTENT + 6;

const CR = 13;
const LF = 10;
/** RFC 9110 5.6.2. */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** RFC 9110 5.5: visible characters, blanks, and bytes of other character sets. */
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
/** Of RFC 3986 what can stand in a path and a query; anything else is no request of an honest program. */
const TARGET = /^[A-Za-z0-9\-._~:/?@!$&'()*+,;=%[\]|^{}"<>\\`]+$/;
const VERSION = /^HTTP\/(\d)\.(\d)$/;
/** RFC 9112 3.2.2. */
const WHOLE_URL = /^http:\/\/([^/?#]+)(.*)$/i;
/** RFC 9110 7.2: a name or an address in brackets, and a port. */
const AUTHORITY = /^(\[[0-9a-f:.]+\]|[a-z0-9\-._~%]+)(?::\d{0,5})?$/;

type Head = Omit<HttpRequest, "content">;

/** A head, where its content begins in the bytes that came, and how long that is. */
interface Begun {
  readonly head: Head;
  readonly at: number;
  readonly length: number;
}

export class RequestReader {
  #have: Uint8Array = EMPTY;
  #used = 0;
  /** Up to here there is no end of the head. */
  #searched = 0;
  #begun: Begun | undefined;

  /** Something has come, but no whole request. */
  get isBegun(): boolean {
    return this.#used > 0;
  }

  /** @param bytes that came, which it copies @returns the request, once; undefined: it is not whole yet; or why it is refused */
  feed(bytes: Uint8Array): HttpRequest | Refusal | undefined {
    // No more is kept than any request that is taken has.
    const room = MOST - this.#used;
    this.#keep(bytes.length > room ? bytes.subarray(0, room) : bytes);
    const begun = this.#begun ?? this.#findHead();
    if (begun === undefined || typeof begun === "number") return begun;
    this.#begun = begun;
    const end = begun.at + begun.length;
    if (this.#used < end) return undefined;
    return { ...begun.head, content: this.#have.slice(begun.at, end) };
  }

  #keep(bytes: Uint8Array): void {
    const needed = this.#used + bytes.length;
    // Doubled, so that a request in pieces of a byte costs no more than one in a piece.
    if (needed > this.#have.length) this.#have = concat(this.#have, new Uint8Array(Math.max(512, needed)));
    this.#have.set(bytes, this.#used);
    this.#used = needed;
  }

  #findHead(): Begun | Refusal | undefined {
    const have = this.#have;
    // RFC 9112 2.2: an empty line in front may be what a request before left over.
    const start = this.#used >= 2 && have[0] === CR && have[1] === LF ? 2 : 0;
    let end = Math.max(start, this.#searched);
    while (end + 4 <= this.#used && !isHeadEnd(have, end)) end++;
    this.#searched = end;
    if (end + 4 <= this.#used) return this.#readHead(start, end);
    const lineEnd = have.indexOf(LF, start);
    const lineLength = (lineEnd < 0 || lineEnd >= this.#used ? this.#used : lineEnd) - start;
    if (lineLength > MOST_LINE) return 414;
    return this.#used - start > MOST_LINE + MOST_HEAD ? 431 : undefined;
  }

  #readHead(start: number, end: number): Begun | Refusal {
    const [line = "", ...rows] = textOf(this.#have, start, end).split("\r\n");
    if (line.length > MOST_LINE) return 414;
    if (end - start - line.length > MOST_HEAD || rows.length > MOST_FIELDS) return 431;
    const fields = readFields(rows);
    if (fields === undefined) return 400;
    const head = readLine(line, fields);
    if (typeof head === "number") return head;
    const length = contentLength(fields);
    if (typeof length === "number") return { head, at: end + 4, length };
    return length.refusal;
  }
}

const isHeadEnd = (b: Uint8Array, i: number): boolean =>
  b[i] === CR && b[i + 1] === LF && b[i + 2] === CR && b[i + 3] === LF;

/** Bytes as characters of the same numbers. */
function textOf(bytes: Uint8Array, from: number, to: number): string {
  let text = "";
  for (let i = from; i < to; i++) text += String.fromCharCode(bytes[i]!);
  return text;
}

/** RFC 9112 5: no blank before a colon, and no row that goes on with the one before. Of each name what its rows say, joined. */
function readFields(rows: readonly string[]): ReadonlyMap<string, string> | undefined {
  const fields = new Map<string, string>();
  for (const row of rows) {
    const colon = row.indexOf(":");
    const name = row.slice(0, Math.max(0, colon)).toLowerCase();
    const value = row.slice(colon + 1).replace(/^[ \t]+|[ \t]+$/g, "");
    if (!TOKEN.test(name) || !VALUE.test(value)) return undefined;
    const before = fields.get(name);
    // RFC 9112 3.2: of Host there is one.
    if (before !== undefined && name === "host") return undefined;
    fields.set(name, before === undefined ? value : `${before}, ${value}`);
  }
  return fields;
}

/** RFC 9112 3. */
function readLine(line: string, fields: ReadonlyMap<string, string>): Head | Refusal {
  const [method = "", target = "", version = "", ...more] = line.split(" ");
  const [, major, minor] = VERSION.exec(version) ?? [];
  if (more.length > 0 || major === undefined || !TOKEN.test(method) || !TARGET.test(target)) return 400;
  if (major !== "1") return 505;
  const [, authority = fields.get("host"), rest = target] = WHOLE_URL.exec(target) ?? [];
  const isOld = minor === "0";
  // RFC 9112 3.2: a request of HTTP/1.1 names its host.
  if (!isOld && !fields.has("host")) return 400;
  const host = authority === undefined ? undefined : AUTHORITY.exec(authority.toLowerCase())?.[1];
  if (authority !== undefined && host === undefined) return 400;
  const origin = rest.startsWith("?") || rest === "" ? `/${rest}` : rest;
  const question = origin.indexOf("?");
  const path = question < 0 ? origin : origin.slice(0, question);
  // Of a server as a whole, and of a proxy, nobody asks here (RFC 9112 3.2.3 and 3.2.4).
  if (!path.startsWith("/")) return 400;
  return { method, path, query: question < 0 ? "" : origin.slice(question + 1), isOld, host, fields };
}

/** RFC 9112 6.1 to 6.3: a transfer coding is not read, so its sender is asked for a length. */
function contentLength(fields: ReadonlyMap<string, string>): number | { readonly refusal: Refusal } {
  if (fields.has("transfer-encoding")) return { refusal: 411 };
  const text = fields.get("content-length");
  if (text === undefined) return 0;
  if (!/^\d{1,9}$/.test(text)) return { refusal: /^\d+$/.test(text) ? 413 : 400 };
  const length = Number(text);
  return length > MOST_CONTENT ? { refusal: 413 } : length;
}
