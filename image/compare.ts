/** Two images, held against each other. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Assembled } from "./assemble.ts";
import { differingInputs, parseInputs } from "./inputs.ts";
import { unpack } from "./make.ts";
import { type Entry, listing, merge } from "./tree.ts";

/** Files of a folder that `npm run image` filled. */
export const FILES = {
  kernel: "morgana-kernel",
  initrd: "morgana-initrd.img",
  cmdline: "morgana-cmdline",
  inputs: "morgana-inputs",
} as const;

/** What differs between the images in two folders, a line each: first the inputs, as the reason, then the files. Empty: equal to the last bit. */
export function differences(one: string, other: string): string[] {
  const both = (name: string): [Buffer, Buffer] =>
    [one, other].map((folder) => {
      if (!existsSync(join(folder, name))) throw new Error(`${join(folder, name)} is missing: npm run image`);
      return readFileSync(join(folder, name));
    }) as [Buffer, Buffer];
  const differ = (name: string): boolean => {
    const [a, b] = both(name);
    return !a.equals(b);
  };
  const [a, b] = both(FILES.inputs);
  const result = differingInputs(parseInputs(a.toString()), parseInputs(b.toString()));
  if (differ(FILES.kernel)) result.push(FILES.kernel);
  if (differ(FILES.cmdline)) result.push(FILES.cmdline);
  if (differ(FILES.initrd)) {
    const files = differingFiles(unpack(join(one, FILES.initrd)), unpack(join(other, FILES.initrd)), one, other);
    result.push(...(files.length > 0 ? files : [`${FILES.initrd}: the same files, packed in another way`]));
  }
  return result;
}

/** What differs between an image and another one that was put together from the same ingredients. */
export function differingAssembly(one: Assembled, other: Assembled, oneName: string, otherName: string): string[] {
  const result: string[] = [];
  if (Buffer.compare(one.kernel, other.kernel) !== 0) result.push("the kernel");
  if (one.cmdline.trim() !== other.cmdline.trim())
    result.push(`the command line: ${one.cmdline.trim()} | ${other.cmdline.trim()}`);
  result.push(...differingFiles(merge(one.entries), merge(other.entries), oneName, otherName));
  return result;
}

function differingFiles(one: readonly Entry[], other: readonly Entry[], oneName: string, otherName: string): string[] {
  const [ours, theirs] = [listing(one), listing(other)];
  const only = (lines: string[], not: string[], name: string): string[] =>
    lines.filter((line) => !not.includes(line)).map((line) => `only in ${name}: ${line}`);
  return [...only(ours, theirs, oneName), ...only(theirs, ours, otherName)];
}
