/** A ConfigReader over a folder or one file of this machine. */
import { readdirSync, realpathSync, statSync } from "node:fs";
import { basename, dirname, join, sep } from "node:path";
import { readPlainFile } from "../platform/sys/file.ts";
import type { ConfigReader, LoadOptions } from "./profile.ts";

/** Far above any list of revoked certificates that a profile names; what a profile itself may have is less (parse.ts). */
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
  if (stat.isDirectory()) return { reader: folderReader(path), options: { place: path } };
  const single = basename(path);
  return { reader: folderReader(dirname(path), single), options: { single } };
}

/**
 * The folder is read anew at every call, so that a reload sees changes. Links may lead about in it, and not out of it: what is
 * outside was not given to us to read.
 * @param single the file of it that the operator has named, who may have named a link
 */
export function folderReader(folder: string, single?: string): ConfigReader {
  return {
    list(name = "") {
      const path = join(folder, name);
      if (name !== "" && leadsOut(folder, path) !== undefined) return [];
      try {
        return readdirSync(path, { withFileTypes: true })
          .filter((e) => !e.isDirectory())
          .map((e) => e.name);
      } catch {
        // A folder that is not there, or cannot be read, holds nothing; of the profile's that will be reported.
        return [];
      }
    },
    read(name) {
      const path = join(folder, name);
      const outside = name === single ? undefined : leadsOut(folder, path);
      return outside === undefined
        ? readPlainFile(path, MAX_FILE)
        : `is a link out of the folder, to ${outside}; put the file itself there`;
    },
  };
}

/** Where a name leads to, if that is outside. */
function leadsOut(folder: string, path: string): string | undefined {
  try {
    const top = realpathSync(folder);
    const real = realpathSync(path);
    return real.startsWith(top.endsWith(sep) ? top : top + sep) ? undefined : real;
  } catch {
    return undefined; // nothing is there, or nothing that can be read: the reading says which
  }
}
