/**
 * cpio archives of the "newc" format, as the kernel unpacks them at boot
 * (Documentation/driver-api/early-userspace/buffer-format.rst).
 */
import { cleanPath, type Entry } from "./tree.ts";

const HEADER = 110;
const TRAILER = "TRAILER!!!";
const TYPE_BITS = { file: 0o100000, directory: 0o040000, link: 0o120000 } as const;
const padded = (length: number): number => (length + 3) & ~3;

/** Times are 0 and inode numbers count from 1, so equal entries are equal bytes. */
export function writeCpio(entries: readonly Entry[]): Uint8Array<ArrayBuffer> {
  const encoder = new TextEncoder();
  const parts = entries.map((entry, index) => {
    const data = entry.kind === "link" ? encoder.encode(entry.target) : entry.content;
    return { name: encoder.encode(`${entry.path}\0`), data, mode: TYPE_BITS[entry.kind] | entry.mode, index, entry };
  });
  const last = encoder.encode(`${TRAILER}\0`);
  let size = padded(HEADER + last.length);
  for (const { name, data } of parts) size += padded(HEADER + name.length) + padded(data.length);
  const out = new Uint8Array(size);
  let at = 0;
  const put = (
    name: Uint8Array,
    data: Uint8Array,
    ino: number,
    mode: number,
    uid: number,
    gid: number,
    links: number,
  ) => {
    const fields = [ino, mode, uid, gid, links, 0, data.length, 0, 0, 0, 0, name.length, 0];
    out.set(encoder.encode(`070701${fields.map((field) => field.toString(16).padStart(8, "0")).join("")}`), at);
    out.set(name, at + HEADER);
    at += padded(HEADER + name.length);
    out.set(data, at);
    at += padded(data.length);
  };
  for (const { name, data, mode, index, entry } of parts) {
    put(name, data, index + 1, mode, entry.uid, entry.gid, entry.kind === "directory" ? 2 : 1);
  }
  put(last, new Uint8Array(0), 0, 0, 0, 0, 1);
  return out;
}

/** In the order of the archive, duplicates as well. @throws on anything that is not one newc archive of files, folders and symbolic links */
export function readCpio(archive: Uint8Array): Entry[] {
  const decoder = new TextDecoder();
  const entries: Entry[] = [];
  for (let at = 0; at + HEADER <= archive.length; ) {
    const text = decoder.decode(archive.subarray(at, at + HEADER));
    if (!text.startsWith("070701")) throw new Error(`cpio archive: no header at ${at}`);
    const field = (index: number): number => Number.parseInt(text.slice(6 + 8 * index, 14 + 8 * index), 16);
    const nameLength = field(11);
    const size = field(6);
    const name = decoder.decode(archive.subarray(at + HEADER, at + HEADER + nameLength - 1));
    at += padded(HEADER + nameLength);
    if (name === TRAILER) return entries;
    const data = archive.subarray(at, at + size);
    if (data.length !== size) throw new Error("cpio archive: truncated");
    at += padded(size);
    const type = field(1) & 0o170000;
    const kind = (["file", "directory", "link"] as const).find((each) => TYPE_BITS[each] === type);
    if (kind === undefined) throw new Error(`${name}: a cpio entry of type ${type.toString(8)} is not supported`);
    entries.push({
      path: cleanPath(name),
      kind,
      mode: field(1) & 0o7777,
      uid: field(2),
      gid: field(3),
      content: kind === "file" ? data : new Uint8Array(0),
      target: kind === "link" ? decoder.decode(data) : "",
    });
  }
  throw new Error("cpio archive: it has no end");
}
