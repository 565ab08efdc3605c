/** A ConfigReader over a folder or one file of this machine. */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { ConfigReader, LoadOptions } from "./profile.ts";

/** Far above any profile with its certificates. */
const MAX_FILE = 4 << 20;

export interface ConfigSource {
  readonly reader: ConfigReader;
  readonly options: LoadOptions;
}

/**
 * @param path a folder laid out like a config disk, or one OpenVPN file
 * @throws Error in words when there is nothing at `path`
 */
export function openConfigSource(path: string): ConfigSource {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) throw new Error(`there is no file or folder "${path}"`);
  if (stat.isDirectory()) return { reader: folderReader(path), options: {} };
  return { reader: folderReader(dirname(path)), options: { single: basename(path) } };
}

/** The folder is read anew at every call, so that a reload sees changes. */
export function folderReader(folder: string): ConfigReader {
  return {
    list() {
      try {
        return readdirSync(folder, { withFileTypes: true })
          .filter((e) => !e.isDirectory())
          .map((e) => e.name);
      } catch {
        // An unreadable folder holds no profile; that is what will be reported.
        return [];
      }
    },
    read(name) {
      try {
        const path = join(folder, name);
        const stat = statSync(path);
        return stat.isFile() && stat.size <= MAX_FILE ? readFileSync(path) : undefined;
      } catch {
        // Missing and unreadable are the same to the profile: the problem names the file.
        return undefined;
      }
    },
  };
}
