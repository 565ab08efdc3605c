/**
 * What should outlive a restart, as files of one folder (the state disk of a VM, a service's folder). Nothing depends on it: what cannot be
 * read or written is named, and the appliance goes on without.
 *
 * A file is written beside the one before and takes its place when it is whole (rename). That happens outside of the loop's thread, since
 * a disk takes its time, one file after the other, soon after a change but not more often than once a minute.
 */
import { constants, type PathLike } from "node:fs";
import { type FileHandle, open, rename } from "node:fs/promises";
import { join } from "node:path";
import type { Log } from "../../lib/log.ts";
import { readPlainFile } from "../sys/file.ts";
import { decodeState, encodeState } from "./format.ts";

// Our choices, ms.
const SOON = 2000;
const PACE = 60_000;
/** After a failure, which is most often a full disk. */
const RETRY = 300_000;
const MAX_FILE = 4 << 20;
const NEVER = Number.POSITIVE_INFINITY;

/** What changes, and is written now and then. */
interface Kept {
  readonly name: string;
  make: (now: number) => unknown;
  /** NEVER: nothing has changed since it was written. */
  dueAt: number;
  /** Not before that. */
  paceAt: number;
}

export class StateStore {
  readonly #folder: string;
  readonly #place: string;
  readonly #log: Log;
  readonly #kept = new Map<string, Kept>();
  #writing: Kept | undefined;
  #hasFailed = false;

  /** @param place the folder in a person's words: "the state disk (vdb)" */
  constructor(folder: string, place: string, log: Log) {
    this.#folder = folder;
    this.#place = place;
    this.#log = log;
  }

  /**
   * What is kept under a name.
   * @param check throws where it is not of the shape that it should be @returns undefined: nothing, or nothing of use, which is said
   */
  read<T>(now: number, name: string, check: (data: unknown) => T): T | undefined {
    const kept = this.#kept.get(name);
    if (kept !== undefined) return check(kept.make(now));
    const file = readPlainFile(join(this.#folder, fileOf(name)), MAX_FILE);
    if (file === undefined) return undefined;
    try {
      const state = typeof file === "string" ? file : decodeState(file);
      return typeof state === "string" ? this.#refuse(name, state) : check(state.data);
    } catch (error) {
      return this.#refuse(name, `does not hold what it should (${(error as Error).message})`);
    }
  }

  /** What is kept under a name has changed. @param make gives all of it, as JSON can hold it, when it is written */
  keep(now: number, name: string, make: (now: number) => unknown): void {
    const kept = this.#kept.get(name) ?? { name, make, dueAt: NEVER, paceAt: now + SOON };
    this.#kept.set(name, kept);
    kept.make = make;
    if (kept.dueAt === NEVER) kept.dueAt = Math.max(now + SOON, kept.paceAt);
  }

  /** The machine is about to end: what has changed is written now. */
  hurry(now: number): void {
    for (const kept of this.#kept.values()) if (kept.dueAt !== NEVER) kept.dueAt = now;
  }

  /** Whether nothing is being written, or due. */
  isIdle(now: number): boolean {
    return this.#writing === undefined && this.pollAt() > now;
  }

  pollAt(): number {
    let at = NEVER;
    if (this.#writing === undefined) for (const { dueAt } of this.#kept.values()) at = Math.min(at, dueAt);
    return at;
  }

  poll(now: number): void {
    if (this.pollAt() > now) return;
    for (const kept of this.#kept.values()) {
      if (kept.dueAt > now) continue;
      kept.dueAt = NEVER;
      kept.paceAt = now + PACE;
      const path = join(this.#folder, fileOf(kept.name));
      const bytes = encodeState(kept.make(now));
      this.#writing = kept;
      void write(this.#folder, path, bytes).then((failure) => this.#wrote(now, kept, failure));
      return;
    }
  }

  #wrote(now: number, kept: Kept, failure: string | undefined): void {
    this.#writing = undefined;
    if (failure === undefined) {
      if (this.#hasFailed)
        this.#log.write("info", "state.written", `${this.#place} takes again what should outlive a restart`);
      this.#hasFailed = false;
      return;
    }
    if (!this.#hasFailed)
      this.#log.write(
        "warn",
        "state.failed",
        `${this.#place} ${failure}: what changes from now on does not outlive a restart; I try again every ${RETRY / 60_000} minutes`,
      );
    this.#hasFailed = true;
    kept.paceAt = now + RETRY;
    kept.dueAt = kept.paceAt;
  }

  #refuse(name: string, why: string): undefined {
    this.#log.write(
      "warn",
      "state.damaged",
      `${fileOf(name)} of ${this.#place} ${why}; it is not used, and written anew with the next change`,
    );
  }
}

const fileOf = (name: string): string => `${name}.json`;

/** @returns why it failed, as the end of a sentence that begins with the place; what was there before is then there still */
async function write(folder: string, path: string, bytes: Uint8Array): Promise<string | undefined> {
  const fresh = `${path}.new`;
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW;
  try {
    await withFile(fresh, flags, async (file) => {
      await file.writeFile(bytes);
      await file.sync();
    });
    await rename(fresh, path);
    // The new name has to outlive a power cut as well.
    await withFile(folder, constants.O_RDONLY, (file) => file.sync());
    return undefined;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    return WORDS[code ?? ""] ?? `cannot be written (${code ?? message})`;
  }
}

async function withFile(path: PathLike, flags: number, use: (file: FileHandle) => Promise<void>): Promise<void> {
  const file = await open(path, flags, 0o600);
  try {
    await use(file);
  } finally {
    await file.close();
  }
}

const WORDS: Readonly<Record<string, string>> = {
  ENOSPC: "is full",
  EDQUOT: "is full",
  EROFS: "can only be read, or its file system is damaged",
  EIO: "cannot be written: the disk or its file system is damaged",
  EACCES: "may not be written by this user",
  EPERM: "may not be written by this user",
  ENOENT: "is not there any more",
};
