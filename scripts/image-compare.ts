/**
 * `npm run image:compare`: builds the root file system with LinuxKit and with image/assemble.ts and compares them file
 * by file. Needs LinuxKit (LINUXKIT=, else on the PATH).
 */
import { join } from "node:path";
import { debianFiles } from "../image/debian.ts";
import { byAssembler, byLinuxkit, ingredients } from "../image/make.ts";
import { listing, merge } from "../image/tree.ts";
import { BINARY, build, DIST } from "./build-binary.ts";
import { linuxkit } from "./linuxkit.ts";
import { ROOT } from "./steps.ts";

const tool = linuxkit();
if (tool === undefined) {
  console.error("image:compare: there is no LinuxKit: set LINUXKIT to its path (README.md says where to get it)");
  process.exit(1);
}
await build();
const parts = ingredients(BINARY, debianFiles(false).root, join(ROOT, "image"));
const theirs = byLinuxkit(parts, tool, join(DIST, ".linuxkit-compare"));
const ours = byAssembler(parts);
const differences: string[] = [];
if (Buffer.compare(theirs.kernel, ours.kernel) !== 0) differences.push("the kernel");
if (theirs.cmdline.trim() !== ours.cmdline.trim()) differences.push(`the command line: ${theirs.cmdline}`);
const [their, our] = [theirs, ours].map(({ entries }) => listing(merge(entries))) as [string[], string[]];
differences.push(...their.filter((line) => !our.includes(line)).map((line) => `only LinuxKit:      ${line}`));
differences.push(...our.filter((line) => !their.includes(line)).map((line) => `only assemble.ts:   ${line}`));
for (const line of differences) console.log(line);
console.log(
  differences.length === 0
    ? `no difference: kernel, command line and ${our.length} files`
    : `${differences.length} differences`,
);
process.exit(differences.length === 0 ? 0 : 1);
