/**
 * Files that somebody else has laid down (a configuration, what it names), read without trust: only plain ones, never more than
 * asked for, and never waiting. A name can lead to a device, a pipe, or a file of the kernel that has no end.
 */
import { closeSync, constants, fstatSync, lstatSync, openSync, readSync, type Stats, statSync } from "node:fs";
import { monotonic } from "../loop.ts";
import { POLLIN } from "./constants.ts";
import { pollOne } from "./poller.ts";

/** Why there are no bytes, as the end of a sentence that begins with the file's name: "is a FIFO, not a plain file". */
export type Unreadable = string;

const STEP = 1 << 16;

/** @returns undefined where there is no such file */
export function readPlainFile(path: string, max: number): Uint8Array | Unreadable | undefined {
  try {
    // Opening a device can have effects of its own, so it is looked at first.
    const kind = kindOf(statSync(path));
    if (kind !== undefined) return `is ${kind}, not a plain file`;
    const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const opened = kindOf(fstatSync(fd));
      return opened === undefined ? readUpTo(fd, max) : `is ${opened}, not a plain file`;
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    return isAbsent(path, error) ? undefined : inWords(error, path);
  }
}

/**
 * The same for a name that a person has typed: it may be a pipe (/dev/stdin, a FIFO, a process substitution).
 * @param patienceMs how long its writer may write nothing
 */
export function readFileOrPipe(path: string, max: number, patienceMs: number): Uint8Array | Unreadable {
  try {
    const kind = kindOf(statSync(path));
    if (kind !== undefined && kind !== FIFO && kind !== CHARACTER_DEVICE) return `is ${kind}`;
    const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
    try {
      return readUpTo(fd, max, kind === undefined ? undefined : patienceMs);
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    return inWords(error, path);
  }
}

/** @param patienceMs undefined: what would have to be waited for is not read */
function readUpTo(fd: number, max: number, patienceMs?: number): Uint8Array | Unreadable {
  const pieces: Uint8Array[] = [];
  let total = 0;
  // The size that the kernel tells is no bound: of its own files it says 0.
  for (let by = monotonic() + (patienceMs ?? 0); ; ) {
    // Before a writer has come a FIFO reads as if it were at its end, so it is waited for before each piece.
    if (patienceMs !== undefined && !pollOne(fd, POLLIN, Math.max(0, by - monotonic())))
      return `is a pipe that nobody has written to for ${patienceMs / 1000} s`;
    const piece = new Uint8Array(Math.min(STEP, max + 1 - total));
    let count: number;
    try {
      count = readSync(fd, piece);
    } catch (error) {
      if (patienceMs === undefined || (error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
      continue;
    }
    if (count === 0) break;
    pieces.push(piece.subarray(0, count));
    total += count;
    if (total > max) return `is larger than ${sizeText(max)}`;
    by = monotonic() + (patienceMs ?? 0);
  }
  const all = new Uint8Array(total);
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}

const sizeText = (bytes: number): string => (bytes >= 1 << 20 ? `${bytes >> 20} MiB` : `${bytes >> 10} KiB`);

const FIFO = "a FIFO";
const CHARACTER_DEVICE = "a character device";

/** undefined: a plain file. */
function kindOf(stat: Stats): string | undefined {
  if (stat.isFile()) return undefined;
  if (stat.isDirectory()) return "a directory";
  if (stat.isFIFO()) return FIFO;
  if (stat.isSocket()) return "a socket";
  return stat.isBlockDevice() ? "a block device" : CHARACTER_DEVICE;
}

/** There is nothing of that name, not even a link. */
function isAbsent(path: string, error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  if (code === "ENOTDIR" || code === "ENAMETOOLONG" || code === "ERR_INVALID_ARG_VALUE") return true;
  if (code !== "ENOENT") return false;
  try {
    lstatSync(path);
    return false;
  } catch {
    return true;
  }
}

const WORDS: Readonly<Record<string, string>> = {
  EACCES: "may not be read by this user",
  EPERM: "may not be read by this user",
  ELOOP: "is a link that leads in a circle",
  EAGAIN: "has nothing to read without waiting",
  EIO: "cannot be read: the disk or its file system is damaged",
  EISDIR: "is a directory",
  ENXIO: "is a socket or a device that is not there",
};

function inWords(error: unknown, path: string): Unreadable {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === "ENOENT") return isAbsent(path, error) ? "is not there" : "is a link to something that is not there";
  return WORDS[code ?? ""] ?? `cannot be read: ${code ?? message}`;
}
