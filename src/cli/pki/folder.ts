/**
 * The two folders of a VPN. DIR is the server's config disk as it is. DIR-ca beside it holds what must never be on that disk: the
 * authority's key, the register of certificates, and the clients' profiles.
 */
import { mkdirSync, readdirSync, rmdirSync, rmSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { Authority } from "../../platform/crypto/authority.ts";
import { claimName } from "../../platform/sys/exclusive.ts";
import { readPlainFile } from "../../platform/sys/file.ts";
import { writeWhole } from "../../platform/sys/write-file.ts";
import { type Entry, formatRegister, parseRegister } from "./register.ts";
import { WRAPS, type Wrap } from "./texts.ts";

export const DISK = {
  ca: "ca.crt",
  cert: "server.crt",
  key: "server.key",
  crl: "crl.pem",
  settings: "appliance.toml",
  profile: "server.conf",
} as const;

export const KEPT = { key: "ca.key", ca: "ca.crt", register: "index.txt", lines: "client.conf" } as const;

const SECRET = 0o600;
const PUBLIC = 0o644;
const MAX_FILE = 4 << 20;

/** A file to be made: its whole path, and whether it is for its owner alone. */
export interface NewText {
  readonly path: string;
  readonly text: string;
  readonly isSecret: boolean;
}

export class PkiFolder {
  /** Both as a person types them. */
  readonly disk: string;
  readonly kept: string;

  constructor(dir: string) {
    const bare = dir.replace(/(?<=.)\/+$/, "");
    // "." and ".." have a name to put "-ca" behind only as whole paths.
    this.disk = /(^|\/)\.{1,2}$/.test(bare) ? resolve(bare) : bare;
    if (resolve(this.disk) === "/")
      throw new Error(`"${dir}" cannot be the folder of a VPN: it has no place beside it`);
    this.kept = `${this.disk}-ca`;
  }

  /** One that `init` has made. @throws Error in words when it is none */
  static open(dir: string): PkiFolder {
    const folder = new PkiFolder(dir);
    if (statSync(join(folder.kept, KEPT.key), { throwIfNoEntry: false }) !== undefined) return folder;
    const isDisk = statSync(join(folder.disk, DISK.profile), { throwIfNoEntry: false }) !== undefined;
    throw new Error(
      isDisk
        ? `${join(folder.kept, KEPT.key)} is not there: "pki init" made ${folder.kept} beside ${folder.disk}, and both must stay so`
        : `"${dir}" is no folder of a VPN: "morgana pki init" makes one`,
    );
  }

  /** Runs `work` while no other process changes this VPN. */
  async alone<T>(work: () => Promise<T>): Promise<T> {
    const { dev, ino } = statSync(this.kept);
    const release = claimName(`morgana-pki-${dev}-${ino}`, this.kept);
    if (release === undefined) throw new Error(`another "morgana pki" is at work in ${this.kept}: try again`);
    try {
      return await work();
    } finally {
      release();
    }
  }

  /** Makes both folders with these files, all or none of them. @throws Error in words */
  fill(files: readonly NewText[]): void {
    const made: (() => void)[] = [];
    try {
      for (const [path, mode] of [
        [this.kept, 0o700],
        [this.disk, 0o755],
      ] as const) {
        if (makeEmpty(path, mode)) made.push(() => rmdirSync(path));
      }
      for (const file of files) {
        write(file, false);
        made.push(() => rmSync(file.path));
      }
    } catch (error) {
      for (const undo of made.reverse()) undo();
      throw error;
    }
  }

  async authority(): Promise<Authority> {
    try {
      return await Authority.open(this.read(this.kept, KEPT.ca), this.read(this.kept, KEPT.key));
    } catch (error) {
      const { message } = error as Error;
      throw new Error(/^(are|do) /.test(message) ? `${KEPT.ca} and ${KEPT.key} in ${this.kept} ${message}` : message);
    }
  }

  /** The key by which the server unwraps what clients send, and of which kind it is. @throws Error in words when there is none */
  wrapping(): { readonly wrap: Wrap; readonly text: string } {
    const has = (wrap: Wrap): boolean =>
      statSync(join(this.disk, `${wrap}.key`), { throwIfNoEntry: false }) !== undefined;
    const wrap = WRAPS.find(has) ?? WRAPS[0];
    return { wrap, text: this.read(this.disk, `${wrap}.key`) };
  }

  register(): Entry[] {
    return parseRegister(join(this.kept, KEPT.register), this.read(this.kept, KEPT.register));
  }

  writeRegister(entries: readonly Entry[]): void {
    write({ path: join(this.kept, KEPT.register), text: formatRegister(entries), isSecret: false }, true);
  }

  /** @param place one of the two folders @throws Error in words */
  read(place: string, name: string): string {
    const path = join(place, name);
    const bytes = readPlainFile(path, MAX_FILE);
    if (bytes === undefined) throw new Error(`${path} is not there`);
    if (typeof bytes === "string") throw new Error(`${path} ${bytes}`);
    return new TextDecoder().decode(bytes);
  }
}

/** @param replaces whether a file of that name gives way */
export function write({ path, text, isSecret }: NewText, replaces: boolean): void {
  writeWhole(path, text, { mode: isSecret ? SECRET : PUBLIC, replaces });
}

/** @returns false: it was there, and empty @throws Error in words when something is in it, or it cannot be made */
function makeEmpty(path: string, mode: number): boolean {
  try {
    if (statSync(path, { throwIfNoEntry: false }) === undefined) {
      mkdirSync(path, { mode });
      return true;
    }
    if (readdirSync(path).length === 0) return false;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const why = {
      ENOENT: "its parent folder is not there",
      ENOTDIR: "is no folder",
      EACCES: "may not be made by this user",
    };
    throw new Error(`${path}: ${why[code as keyof typeof why] ?? message}`);
  }
  throw new Error(
    `${path} is there already, and not empty: nothing is overwritten; name another folder, or move that one away`,
  );
}
