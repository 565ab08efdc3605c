/**
 * `npm run image:compare [-- DIST]`: holds dist/ against another folder that `npm run image` filled, from another clone or on
 * another machine, and names the inputs and the files that differ. Without DIST: builds the root file system with LinuxKit
 * (LINUXKIT=, else on the PATH) and with image/assemble.ts, and compares those.
 */
import { join } from "node:path";
import { differences, differingAssembly } from "../image/compare.ts";
import { debianFiles, machineApt, PINS, readPins } from "../image/debian.ts";
import { byAssembler, byLinuxkit, ingredients } from "../image/make.ts";
import { BINARY, build, DIST } from "./build-binary.ts";
import { commandLine } from "./command-line.ts";
import { linuxkit } from "./linuxkit.ts";
import { ROOT } from "./steps.ts";

const USAGE = `usage: npm run image:compare [-- DIST]

  DIST   another folder that npm run image filled: names the inputs and the files in which dist/ differs from it.
         Without it: the image by LinuxKit (LINUXKIT=, else on the PATH) beside the assembler's
`;
const other = commandLine(USAGE, {}, (_word, index) => index === 0).words[0];
try {
  const found = other === undefined ? await assemblers() : differences(DIST, other);
  for (const line of found) console.log(line);
  console.log(found.length === 0 ? "no difference" : `${found.length} differences`);
  process.exit(found.length === 0 ? 0 : 1);
} catch (error) {
  console.error(`image:compare: ${(error as Error).message}`);
  process.exit(1);
}

async function assemblers(): Promise<string[]> {
  const tool = linuxkit();
  if (tool === undefined)
    throw new Error("there is no LinuxKit: set LINUXKIT to its path (README.md says where to get it)");
  await build();
  const parts = ingredients(BINARY, debianFiles(readPins(PINS), console.log, machineApt()), join(ROOT, "image"));
  return differingAssembly(
    byLinuxkit(parts, tool, join(DIST, ".linuxkit-compare")),
    byAssembler(parts),
    "LinuxKit's",
    "the assembler's",
  );
}
