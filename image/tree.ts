/** Files of an image, in memory: what tar and cpio archives are read into and written from. */

/** One file. Paths are relative, without a leading or trailing slash. Owners are numeric. */
export interface Entry {
  readonly path: string;
  readonly kind: "file" | "directory" | "link";
  /** Permission bits, with set-id and sticky bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Of a file. */
  readonly content: Uint8Array;
  /** Of a symbolic link. */
  readonly target: string;
}

const NOTHING = new Uint8Array(0);

export const file = (path: string, content: Uint8Array | string, mode = 0o644): Entry => ({
  path,
  kind: "file",
  mode,
  uid: 0,
  gid: 0,
  content: typeof content === "string" ? new TextEncoder().encode(content) : content,
  target: "",
});

export const directory = (path: string, mode = 0o755): Entry => ({
  path,
  kind: "directory",
  mode,
  uid: 0,
  gid: 0,
  content: NOTHING,
  target: "",
});

export const link = (path: string, target: string): Entry => ({
  path,
  kind: "link",
  mode: 0o777,
  uid: 0,
  gid: 0,
  content: NOTHING,
  target,
});

/** "usr/lib/x" as "usr/lib/x", "./usr//lib/x/" too. @throws on a path that leaves the tree */
export function cleanPath(path: string): string {
  const parts = path.split("/").filter((part) => part !== "" && part !== ".");
  if (parts.includes("..")) throw new Error(`${path}: a path may not contain ".."`);
  return parts.join("/");
}

/** The folders above the entries that are not among them, before what is in them. */
export function withParents(entries: readonly Entry[]): Entry[] {
  const known = new Set<string>();
  const result: Entry[] = [];
  const given = new Set(entries.map(({ path }) => path));
  for (const entry of entries) {
    const parts = entry.path.split("/");
    for (let length = 1; length < parts.length; length++) {
      const parent = parts.slice(0, length).join("/");
      if (known.has(parent) || given.has(parent)) continue;
      known.add(parent);
      result.push(directory(parent));
    }
    result.push(entry);
  }
  return result;
}

/** Unpacked in order, a later entry replaces an earlier one of the same path. Sorted: a folder is before its content. */
export function merge(entries: readonly Entry[]): Entry[] {
  const byPath = new Map<string, Entry>();
  for (const entry of entries) if (entry.path !== "") byPath.set(entry.path, entry);
  return [...byPath.values()].sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
}

/** One line for each entry: path, type and mode, owner, and the target of a link or the SHA-256 of a file. */
export const listing = (entries: readonly Entry[]): string[] =>
  entries.map(({ path, kind, mode, uid, gid, content, target }) => {
    const what =
      kind === "link"
        ? `-> ${target}`
        : kind === "file"
          ? new Bun.CryptoHasher("sha256").update(content).digest("hex")
          : "";
    const type = kind === "directory" ? "d" : kind === "link" ? "l" : "-";
    return `${path} ${type}${mode.toString(8).padStart(4, "0")} ${uid}:${gid} ${what}`.trimEnd();
  });
