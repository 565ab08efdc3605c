/** Answers of HTTP/1.1 (RFC 9112 4), each the last one of its connection. */
import { ascii, concat } from "../../lib/bytes.ts";

export interface HttpResponse {
  readonly status: number;
  /** Of the content (RFC 9110 8.3). */
  readonly type: string;
  readonly content: Uint8Array;
  /** Further fields. Names and values are ours: nothing from outside belongs here. */
  readonly fields?: readonly (readonly [name: string, value: string])[];
}

/** RFC 9110 15, RFC 6585. */
export const REASONS: Readonly<Record<number, string>> = {
  200: "OK",
  303: "See Other",
  400: "Bad Request",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  408: "Request Timeout",
  411: "Length Required",
  413: "Content Too Large",
  414: "URI Too Long",
  421: "Misdirected Request",
  429: "Too Many Requests",
  431: "Request Header Fields Too Large",
  500: "Internal Server Error",
  503: "Service Unavailable",
  505: "HTTP Version Not Supported",
};

/** @param isHead it answers a HEAD: without the content, whose length is told all the same (RFC 9110 9.3.2) */
export function encodeResponse({ status, type, content, fields = [] }: HttpResponse, isHead: boolean): Uint8Array {
  const rows = [
    `HTTP/1.1 ${status} ${REASONS[status] ?? ""}`,
    `Content-Type: ${type}`,
    `Content-Length: ${content.length}`,
    "Connection: close",
    ...fields.map(([name, value]) => `${name}: ${value}`),
  ];
  const head = ascii(`${rows.join("\r\n")}\r\n\r\n`);
  return isHead ? head : concat(head, content);
}
