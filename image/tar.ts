/** tar archives as far as images need them: POSIX ustar, with pax records read for long names. Times are 0. */
import { cleanPath, type Entry } from "./tree.ts";

const BLOCK = 512;
const TYPES = { file: "0", directory: "5", link: "2" } as const;

/** @throws on a path of more than 100 bytes */
export function writeTar(entries: readonly Entry[]): Uint8Array<ArrayBuffer> {
  let size = 2 * BLOCK;
  for (const { content } of entries) size += BLOCK + padded(content.length);
  const out = new Uint8Array(size);
  let at = 0;
  for (const entry of entries) {
    header(out.subarray(at, at + BLOCK), entry);
    out.set(entry.content, at + BLOCK);
    at += BLOCK + padded(entry.content.length);
  }
  return out;
}

const padded = (length: number): number => Math.ceil(length / BLOCK) * BLOCK;

function header(block: Uint8Array, entry: Entry): void {
  const text = (at: number, size: number, value: string): void => {
    const bytes = new TextEncoder().encode(value);
    if (bytes.length > size) throw new Error(`${value}: too long for a tar archive`);
    block.set(bytes, at);
  };
  const octal = (at: number, size: number, value: number): void =>
    text(at, size, `${value.toString(8).padStart(size - 1, "0")}\0`);
  text(0, 100, entry.kind === "directory" ? `${entry.path}/` : entry.path);
  octal(100, 8, entry.mode);
  octal(108, 8, entry.uid);
  octal(116, 8, entry.gid);
  octal(124, 12, entry.content.length);
  octal(136, 12, 0);
  text(148, 8, "        ");
  text(156, 1, TYPES[entry.kind]);
  text(157, 100, entry.target);
  text(257, 8, "ustar\x0000");
  text(
    148,
    8,
    `${block
      .reduce((sum, byte) => sum + byte, 0)
      .toString(8)
      .padStart(6, "0")}\0 `,
  );
}

/** @throws on what is not a tar archive, and on hard links and devices */
export function readTar(archive: Uint8Array): Entry[] {
  const decoder = new TextDecoder();
  const entries: Entry[] = [];
  let long: Record<string, string> = {};
  for (let at = 0; at + BLOCK <= archive.length; ) {
    const block = archive.subarray(at, at + BLOCK);
    if (block.every((byte) => byte === 0)) break;
    const text = (from: number, size: number): string =>
      decoder.decode(block.subarray(from, from + size)).split("\0", 1)[0] ?? "";
    const octal = (from: number, size: number): number => Number.parseInt(text(from, size).trim() || "0", 8);
    if (text(257, 5) !== "ustar") throw new Error("not a tar archive");
    const size = octal(124, 12);
    const content = archive.subarray(at + BLOCK, at + BLOCK + size);
    if (content.length !== size) throw new Error("tar archive: truncated");
    at += BLOCK + padded(size);
    const type = text(156, 1) || "0";
    if (type === "x") {
      long = paxRecords(decoder.decode(content));
      continue;
    }
    const prefix = text(345, 155);
    const path = cleanPath(long["path"] ?? (prefix === "" ? text(0, 100) : `${prefix}/${text(0, 100)}`));
    const kind = type === "0" ? "file" : type === "5" ? "directory" : type === "2" ? "link" : undefined;
    if (kind === undefined) throw new Error(`${path}: a tar entry of type "${type}" is not supported`);
    entries.push({
      path,
      kind,
      mode: octal(100, 8) & 0o7777,
      uid: octal(108, 8),
      gid: octal(116, 8),
      content: kind === "file" ? content : new Uint8Array(0),
      target: kind === "link" ? (long["linkpath"] ?? text(157, 100)) : "",
    });
    long = {};
  }
  return entries;
}

/** "LENGTH KEY=VALUE\n" (pax(1)), for ASCII values. */
function paxRecords(text: string): Record<string, string> {
  const records: Record<string, string> = {};
  for (const line of text.split("\n")) {
    const match = /^\d+ ([^=]+)=(.*)$/.exec(line);
    if (match?.[1] !== undefined) records[match[1]] = match[2] ?? "";
  }
  return records;
}
