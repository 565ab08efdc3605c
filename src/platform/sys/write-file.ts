/** Files that are written whole or not at all, and take nobody's place unasked. */
import { randomBytes } from "node:crypto";
import { closeSync, fsyncSync, linkSync, lstatSync, openSync, renameSync, unlinkSync, writeSync } from "node:fs";
import { basename, dirname, join } from "node:path";

export interface NewFile {
  readonly mode: number;
  /** Whether a plain file of that name gives way; nothing else ever does. */
  readonly replaces: boolean;
}

/**
 * Writes beside the name, and gives the file its name when it is whole and on the disk.
 * @throws Error in words: "PATH is there already", "PATH: no space left", ...
 */
export function writeWhole(path: string, content: string, { mode, replaces }: NewFile): void {
  const scratch = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString("hex")}`);
  try {
    const before = lstatSync(path, { throwIfNoEntry: false });
    if (before !== undefined && !(replaces && before.isFile())) throw new Taken(path, before.isFile());
    writeSynced(scratch, content, mode);
    try {
      if (replaces) renameSync(scratch, path);
      else takeFreeName(scratch, path);
    } catch (error) {
      unlinkSync(scratch);
      throw error;
    }
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (error instanceof Taken) throw error;
    throw code === "EEXIST" ? new Taken(path, true) : new Error(`${path}: ${WORDS[code ?? ""] ?? message}`);
  }
}

class Taken extends Error {
  constructor(path: string, isFile: boolean) {
    super(isFile ? `${path} is there already` : `${path} is there already, and no plain file`);
  }
}

/** The file's bytes are on the disk when this returns. */
function writeSynced(path: string, content: string, mode: number): void {
  const fd = openSync(path, "wx", mode);
  try {
    const bytes = new TextEncoder().encode(content);
    for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
    fsyncSync(fd);
  } catch (error) {
    unlinkSync(path);
    throw error;
  } finally {
    closeSync(fd);
  }
}

/** Fails where somebody has taken the name meanwhile; a file system without links (FAT) cannot tell. */
function takeFreeName(scratch: string, path: string): void {
  try {
    linkSync(scratch, path);
  } catch (error) {
    if (!["EPERM", "ENOTSUP", "ENOSYS"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
    return renameSync(scratch, path);
  }
  unlinkSync(scratch);
}

const WORDS: Readonly<Record<string, string>> = {
  ENOENT: "its folder is not there",
  ENOTDIR: "its folder is no folder",
  EACCES: "its folder may not be written to by this user",
  EPERM: "its folder may not be written to by this user",
  EROFS: "the file system is mounted read-only",
  ENOSPC: "no space left on the disk",
  ENAMETOOLONG: "the name is too long",
};
