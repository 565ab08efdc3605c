/** A file of the host that is written over, and put back as it was. */
import { createHash } from "node:crypto";
import {
  chmodSync,
  lstatSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import type { FileChange, FileState } from "./change.ts";

export const digestOf = (text: string): string => createHash("sha256").update(text).digest("hex");

export function stateOf(path: string): FileState {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return { kind: "absent" };
  if (stat.isSymbolicLink()) return { kind: "link", to: readlinkSync(path) };
  return { kind: "plain", text: readFileSync(path, "utf8"), mode: stat.mode & 0o777 };
}

/** Puts a text in the place of what is there, in one step where the folder allows it. @throws Error of the file system */
export function replaceFile(path: string, text: string, mode = 0o644): void {
  put(path, (at) => writeFileSync(at, text, { mode }), text, mode);
}

/** @returns why it is left as it is, in words; undefined: it is as it was */
export function restoreFile({ path, before, digest }: FileChange): string | undefined {
  const now = stateOf(path);
  if (now.kind !== "plain" || digestOf(now.text) !== digest)
    return `${path} has been changed by somebody else since, and is left as it is`;
  try {
    if (before.kind === "absent") unlinkSync(path);
    else if (before.kind === "plain") put(path, (at) => writeFileSync(at, before.text), before.text, before.mode);
    else put(path, (at) => symlinkSync(before.to, at), undefined, undefined);
    return undefined;
  } catch (error) {
    return `${path} cannot be put back as it was: ${(error as Error).message}`;
  }
}

/** What is mounted there (a container's resolv.conf) cannot be renamed over, but written to. */
function put(path: string, make: (at: string) => void, text: string | undefined, mode: number | undefined): void {
  const beside = `${path}.morgana-${process.pid}`;
  try {
    rmSync(beside, { force: true });
    make(beside);
    if (mode !== undefined) chmodSync(beside, mode);
    renameSync(beside, path);
  } catch (error) {
    rmSync(beside, { force: true });
    if (text === undefined || stateOf(path).kind !== "plain") throw error;
    writeFileSync(path, text);
  }
}
