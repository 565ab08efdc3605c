/** What a configuration was read from: which files and folders were asked for, and a digest of what was there. */
import { createHash, type Hash } from "node:crypto";
import type { ConfigReader } from "../profile.ts";

/** A folder that was listed (undefined: the top), or a file that was read or was not there. */
type Question = { readonly list: string | undefined } | { readonly read: string };

export interface FilesRead {
  /** In their order. */
  readonly asked: readonly Question[];
  readonly digest: string;
}

export const NO_FILES: FilesRead = { asked: [], digest: "" };

/** A reader that keeps what it is asked, and what the answers come to. */
export class WatchedReader implements ConfigReader {
  readonly #reader: ConfigReader;
  readonly #asked: Question[] = [];
  readonly #hash = createHash("sha256");

  constructor(reader: ConfigReader) {
    this.#reader = reader;
  }

  list(folder?: string): readonly string[] {
    this.#asked.push({ list: folder });
    return list(this.#reader, folder, this.#hash);
  }

  read(name: string): Uint8Array | string | undefined {
    this.#asked.push({ read: name });
    return read(this.#reader, name, this.#hash);
  }

  /** To be called once, at the end. */
  files(): FilesRead {
    return { asked: this.#asked, digest: this.#hash.digest("hex") };
  }
}

/** The digest that the same questions have with this reader: equal where it holds the same. */
export function digestAgain(reader: ConfigReader, asked: readonly Question[]): string {
  const hash = createHash("sha256");
  for (const question of asked)
    if ("list" in question) list(reader, question.list, hash);
    else read(reader, question.read, hash);
  return hash.digest("hex");
}

function list(reader: ConfigReader, folder: string | undefined, hash: Hash): readonly string[] {
  const names = reader.list(folder);
  hash.update(JSON.stringify([...names].sort()));
  return names;
}

function read(reader: ConfigReader, name: string, hash: Hash): Uint8Array | string | undefined {
  const content = reader.read(name);
  // The kind and the length keep one file's end from being the next one's beginning.
  hash.update(`${content === undefined ? "none" : typeof content} ${content?.length} `).update(content ?? "");
  return content;
}
