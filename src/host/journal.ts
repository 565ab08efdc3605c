/**
 * What this process has changed on the host, in a file that outlives it: a line before each change, and a line when it is taken
 * back. The file is locked for as long as the process lives, so that whoever finds one that is not locked knows that its process
 * has crashed, and takes back what it left.
 *
 *     /run/morgana/<network namespace>-<device>.journal, or in RUNTIME_DIRECTORY
 */
import {
  closeSync,
  constants,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { libc } from "../platform/sys/libc.ts";
import type { Change } from "./change.ts";

/** sys/file.h */
const LOCK_EX = 2;
const LOCK_NB = 4;
const SUFFIX = ".journal";

/** A change that holds, under its number. */
export interface Held {
  readonly change: Change;
  readonly id: number;
}

interface Line {
  readonly id: number;
  /** undefined: taken back. */
  readonly change?: Change;
}

/** The folder for journals. @param env of the process */
export const journalFolder = (env: Readonly<Record<string, string | undefined>>): string =>
  env["RUNTIME_DIRECTORY"]?.split(":")[0] ?? "/run/morgana";

/** Journals count in the network namespace that they were written in. */
function namespaceId(): string {
  return /\d+/.exec(readlinkSync("/proc/self/ns/net"))?.[0] ?? "0";
}

export class Journal {
  readonly path: string;
  /** What holds of what others have left. */
  readonly takenOver: readonly Held[];
  readonly #fd: number;
  #nextId = 1;

  /**
   * @param device that the journal is about @param left journals of processes that have crashed: what holds of them is in this one
   * from now on @throws Error of the file system
   */
  constructor(folder: string, device: string, left: readonly LeftJournal[] = []) {
    mkdirSync(folder, { recursive: true, mode: 0o755 });
    this.path = join(folder, `${namespaceId()}-${device}${SUFFIX}`);
    const own = left.find(({ path }) => path === this.path);
    const fd = own?.fd ?? openLocked(this.path);
    if (fd === undefined)
      throw new Error(`${device} is in use: another morgana runs on it (its journal ${this.path} is locked)`);
    this.#fd = fd;
    const kept = own?.held ?? [];
    for (const { id } of kept) this.#nextId = Math.max(this.#nextId, id + 1);
    const others = left.filter((journal) => journal !== own);
    const moved = others.flatMap(({ held }) => held.map(({ change }) => ({ change, id: this.begin(change) })));
    for (const journal of others) journal.remove();
    this.takenOver = [...kept, ...moved];
  }

  /** Before the change is made. @returns its number */
  begin(change: Change): number {
    const id = this.#nextId++;
    this.#write({ id, change });
    return id;
  }

  /** It is taken back, or was not made. */
  end(id: number): void {
    this.#write({ id });
  }

  /** Nothing is left to take back. */
  close(): void {
    unlinkSync(this.path);
    closeSync(this.#fd);
  }

  #write(line: Line): void {
    writeLine(this.#fd, line);
  }
}

function writeLine(fd: number, line: Line): void {
  writeSync(fd, `${JSON.stringify(line)}\n`);
}

/** @returns undefined: another process has it @throws Error of the file system */
function openLocked(path: string): number | undefined {
  for (;;) {
    const fd = openSync(path, "a", 0o600);
    const isOurs = libc.flock(fd, LOCK_EX | LOCK_NB) >= 0;
    if (isOurs && isStill(path, fd)) return fd;
    closeSync(fd);
    if (!isOurs) return undefined;
  }
}

/** Whether a file that was opened and locked is still the one of that name: whoever had it before may have removed it between the two. */
export function isStill(path: string, fd: number): boolean {
  const there = statSync(path, { throwIfNoEntry: false });
  const { dev, ino } = fstatSync(fd);
  return there?.dev === dev && there.ino === ino;
}

/** A journal that a crash left. */
export class LeftJournal {
  readonly path: string;
  /** Open, and locked: it is this process's to deal with. */
  readonly fd: number;
  #held: readonly Held[];

  constructor(path: string, fd: number) {
    this.path = path;
    this.fd = fd;
    this.#held = openChanges(readFileSync(path, "utf8"));
  }

  /** What was not taken back, the last first. */
  get held(): readonly Held[] {
    return this.#held;
  }

  /** It is taken back, or given up. */
  end({ id }: Held): void {
    this.#held = this.#held.filter((held) => held.id !== id);
    writeLine(this.fd, { id });
  }

  /** Nothing is left to take back. */
  remove(): void {
    unlinkSync(this.path);
    closeSync(this.fd);
  }
}

/** Journals of this network namespace whose processes are gone; none where the folder may not be read. */
export function leftJournals(folder: string): LeftJournal[] {
  const found: LeftJournal[] = [];
  for (const path of journalsIn(folder)) {
    let fd: number;
    try {
      fd = openSync(path, constants.O_RDWR | constants.O_APPEND);
    } catch {
      // Of another user, who alone can have made these changes; or gone meanwhile.
      continue;
    }
    // What another user wrote there says nothing of what we have done.
    const isOurs = fstatSync(fd).uid === process.geteuid?.() && libc.flock(fd, LOCK_EX | LOCK_NB) >= 0;
    if (!isOurs || !isStill(path, fd)) {
      closeSync(fd);
      continue;
    }
    found.push(new LeftJournal(path, fd));
  }
  return found;
}

function journalsIn(folder: string): string[] {
  const start = `${namespaceId()}-`;
  try {
    return readdirSync(folder)
      .filter((name) => name.startsWith(start) && name.endsWith(SUFFIX))
      .map((name) => join(folder, name));
  } catch {
    return [];
  }
}

/** A line that was cut short was of a change that was not made. */
export function openChanges(text: string): Held[] {
  const open = new Map<number, Held>();
  for (const row of text.split("\n")) {
    const line = parseLine(row);
    if (line === undefined) continue;
    if (line.change === undefined) open.delete(line.id);
    else open.set(line.id, { change: line.change, id: line.id });
  }
  return [...open.values()].reverse();
}

function parseLine(row: string): Line | undefined {
  try {
    const line: unknown = JSON.parse(row);
    return typeof line === "object" && line !== null && "id" in line ? (line as Line) : undefined;
  } catch {
    return undefined;
  }
}
