/**
 * A disk without a file system, as MirageVPN's router uses it: one OpenVPN file or a tar archive at its start, padded
 * with zero bytes. Tar: POSIX.1-2017 pax ("ustar" and extended headers), GNU long names and sizes.
 */
import type { ConfigReader, LoadOptions } from "../profile.ts";
import type { ReadAt } from "./label.ts";

/** Far above any profile with its certificates. */
const MAX_FILE = 4 << 20;
const MAX_TOTAL = 16 << 20;
const MAX_MEMBERS = 1024;
const BLOCK = 512;
const MAX_NAME = 4096;

const NOT_PLAIN = "is a link or a device in the archive, not a plain file";
const CUT_OFF = "is cut off: the archive ends in it";

export interface RawConfig {
  readonly kind: "file" | "tar";
  readonly reader: ConfigReader;
  readonly options: LoadOptions;
}

/**
 * @param name what messages call a single file, such as "vda"
 * @param size bytes of the disk
 * @returns undefined: it holds neither
 */
export function readRaw(name: string, size: number, readAt: ReadAt): RawConfig | undefined {
  const files = readTar(size, readAt);
  if (files !== undefined) return { kind: "tar", reader: mapReader(files), options: {} };
  const content = readPlain(size, readAt);
  if (content === undefined) return undefined;
  return { kind: "file", reader: mapReader(new Map([[name, content]])), options: { single: name } };
}

function mapReader(files: ReadonlyMap<string, Uint8Array | string>): ConfigReader {
  return {
    list(folder = "") {
      const prefix = folder === "" ? "" : `${folder}/`;
      const inside = [...files.keys()]
        .filter((name) => name.startsWith(prefix))
        .map((name) => name.slice(prefix.length));
      return inside.filter((name) => !name.includes("/"));
    },
    read: (name) => files.get(name),
  };
}

/** What only an OpenVPN file has at the start of a line. */
const DIRECTIVE = /^[ \t]*(client|remote[ \t]|dev[ \t]|tls-client|tls-server|server[ \t]|pull)/m;

/** Text up to the zero bytes that fill the disk, when it looks like OpenVPN's. */
function readPlain(size: number, readAt: ReadAt): Uint8Array | undefined {
  const first = readAt(0, Math.min(size, BLOCK));
  // A disk of another kind is recognised by its first block and not read any further.
  if (first === undefined || first[0] === 0 || !isText(first)) return undefined;
  const all = readAt(0, Math.min(size, MAX_FILE));
  if (all === undefined) return undefined;
  const end = all.indexOf(0);
  if (end < 0 && size > MAX_FILE) return undefined;
  const content = end < 0 ? all : all.slice(0, end);
  if (!isText(content) || all.subarray(content.length).some((byte) => byte !== 0)) return undefined;
  return DIRECTIVE.test(new TextDecoder().decode(content)) ? content : undefined;
}

/** No control characters but tab and line ends, up to the first zero byte. */
function isText(bytes: Uint8Array): boolean {
  for (const byte of bytes) {
    if (byte === 0) return true;
    if (byte === 0x7f || (byte < 0x20 && byte !== 9 && byte !== 10 && byte !== 12 && byte !== 13)) return false;
  }
  return true;
}

/**
 * Files by their normalised name, with their content or why there is none; the last of a name wins, as tar does. undefined: no
 * archive. A damaged or truncated one yields what comes before the damage.
 */
export function readTar(size: number, readAt: ReadAt): Map<string, Uint8Array | string> | undefined {
  const files = new Map<string, Uint8Array | string>();
  let at = 0;
  let total = 0;
  let longName: string | undefined;
  let longSize: number | undefined;
  for (let member = 0; member < MAX_MEMBERS; member++) {
    const header = at + BLOCK <= size ? readAt(at, BLOCK) : undefined;
    if (header === undefined || !isHeader(header)) return member === 0 ? undefined : files;
    const type = String.fromCharCode(header[156] as number);
    const extended = type === "x" || type === "g" || type === "L" || type === "K";
    const length = (extended ? undefined : longSize) ?? tarNumber(header, 124, 12);
    // Links, folders and devices have no data, whatever their size says.
    const stored = "123456".includes(type) ? 0 : length;
    at += BLOCK;
    const name = extended ? undefined : safeName(longName ?? headerName(header));
    if (stored === undefined || stored > size - at) {
      if (name !== undefined) files.set(name, CUT_OFF);
      return files;
    }
    if (type === "x" || type === "L") {
      const data = stored <= MAX_FILE ? readAt(at, stored) : undefined;
      if (data === undefined) return files;
      if (type === "L") longName = field(data, 0, Math.min(data.length, MAX_NAME));
      else {
        const records = paxRecords(data);
        longName = records.get("path") ?? longName;
        const paxSize = records.get("size");
        if (paxSize !== undefined && /^\d{1,15}$/.test(paxSize)) longSize = Number(paxSize);
      }
    } else if (!extended) {
      const isPlain = type === "0" || type === "\0" || type === "7";
      if (name === undefined || type === "5") {
        // What leads out of the archive, and folders, which are in the names of their files.
      } else if (!isPlain) files.set(name, NOT_PLAIN);
      else if (stored > MAX_FILE) files.set(name, `is larger than ${MAX_FILE >> 20} MiB`);
      else if (total + stored > MAX_TOTAL) files.set(name, `is behind more than ${MAX_TOTAL >> 20} MiB of other files`);
      else {
        const data = readAt(at, stored);
        files.set(name, data ?? CUT_OFF);
        if (data === undefined) return files;
        total += stored;
      }
      longName = undefined;
      longSize = undefined;
    }
    at += Math.ceil(stored / BLOCK) * BLOCK;
  }
  return files;
}

/** The sum of all bytes with the checksum taken as spaces; some old tars summed signed bytes. */
function isHeader(header: Uint8Array): boolean {
  const wanted = tarNumber(header, 148, 8);
  if (wanted === undefined || header[0] === 0) return false;
  let unsigned = 0;
  let signed = 0;
  for (let i = 0; i < BLOCK; i++) {
    const byte = i >= 148 && i < 156 ? 0x20 : (header[i] as number);
    unsigned += byte;
    signed += byte > 127 ? byte - 256 : byte;
  }
  return wanted === unsigned || wanted === signed;
}

/** Octal digits, or GNU's big-endian binary with the top bit set. */
function tarNumber(header: Uint8Array, at: number, length: number): number | undefined {
  if (((header[at] as number) & 0x80) !== 0) {
    let value = (header[at] as number) & 0x7f;
    for (let i = 1; i < length; i++) value = value * 256 + (header[at + i] as number);
    return Number.isSafeInteger(value) ? value : undefined;
  }
  const digits = field(header, at, length).trim();
  return /^[0-7]{1,12}$/.test(digits) ? Number.parseInt(digits, 8) : undefined;
}

function headerName(header: Uint8Array): string {
  const name = field(header, 0, 100);
  // GNU's old format ("ustar  ") keeps other things where ustar has the prefix.
  const prefix = field(header, 257, 6) === "ustar" ? field(header, 345, 155) : "";
  return prefix === "" ? name : `${prefix}/${name}`;
}

/** Records "LENGTH KEY=VALUE\n", the length counting itself. */
function paxRecords(data: Uint8Array): Map<string, string> {
  const records = new Map<string, string>();
  for (let at = 0; at < data.length; ) {
    const space = data.indexOf(0x20, at);
    if (space < 0) break;
    const length = Number(field(data, at, space - at));
    if (!Number.isInteger(length) || length < space - at + 3 || at + length > data.length) break;
    const record = new TextDecoder().decode(data.subarray(space + 1, at + length - 1));
    const equals = record.indexOf("=");
    if (equals > 0) records.set(record.slice(0, equals), record.slice(equals + 1));
    at += length;
  }
  return records;
}

/** Relative, without "." parts; undefined for one that leaves the archive. */
function safeName(name: string): string | undefined {
  const parts = name.split("/").filter((part) => part !== "" && part !== ".");
  return parts.length === 0 || parts.includes("..") ? undefined : parts.join("/");
}

function field(bytes: Uint8Array, at: number, length: number): string {
  const part = bytes.subarray(at, at + length);
  const end = part.indexOf(0);
  return new TextDecoder().decode(end < 0 ? part : part.subarray(0, end));
}
