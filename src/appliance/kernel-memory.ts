/** What the kernel says of memory. */
import { readFileSync } from "node:fs";

/** A line "NAME: NUMBER kB" of a file that the kernel writes; undefined where it does not say. */
export function kernelKiB(path: string, name: string): number | undefined {
  try {
    const text = new RegExp(`^${name}:\\s*(\\d+) kB$`, "m").exec(readFileSync(path, "utf8"))?.[1];
    return text === undefined ? undefined : Number(text);
  } catch {
    return undefined;
  }
}
