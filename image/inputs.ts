/**
 * Everything that decides what the image is made of, a line each: "NAME\tVALUE". Kept beside the image (dist/morgana-inputs),
 * so that it is known when to make it anew, and which input is another one where two images differ.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Glob } from "bun";
import { type DebianFiles, PARTS } from "./debian.ts";

export type Inputs = ReadonlyMap<string, string>;

/** Digest of files, names and contents. */
export function digestOf(root: string, paths: readonly string[]): string {
  const hash = new Bun.CryptoHasher("sha256");
  for (const path of [...paths].sort()) {
    const content = readFileSync(join(root, path));
    hash.update(`${path} ${content.length}\n`).update(content);
  }
  return hash.digest("hex");
}

/** Files below a folder that are no tests. */
export const sources = (root: string, pattern: string): string[] =>
  [...new Glob(pattern).scanSync({ cwd: root })].filter((path) => !path.endsWith(".test.ts"));

/** binary: what the binary was made of; assembler: what puts the files together; level: of the compression. */
export function imageInputs(
  root: string,
  binary: Inputs,
  debian: DebianFiles,
  assembler: string,
  level: number,
): Inputs {
  const inputs = new Map(binary);
  for (const part of PARTS) {
    const { package: name, version, sha256 } = debian.packages[part];
    inputs.set(`Debian's ${part}`, `${name} ${version} ${sha256}`);
  }
  inputs.set("image/", digestOf(root, sources(root, "image/*.{ts,c,yml}")));
  for (const tool of ["gcc", "ld", "zstd"]) inputs.set(tool, versionOf(tool));
  inputs.set("assembler", assembler);
  inputs.set("compression", `${level}`);
  return inputs;
}

/** The first line of what a tool says about itself. */
function versionOf(tool: string): string {
  if (Bun.which(tool) === null) return "missing";
  return Bun.spawnSync([tool, "--version"], { stdout: "pipe" }).stdout.toString().split("\n", 1)[0]?.trim() ?? "";
}

export const formatInputs = (inputs: Inputs): string =>
  [...inputs].map(([name, value]) => `${name}\t${value}\n`).join("");

export const parseInputs = (text: string): Inputs =>
  new Map(
    text
      .split("\n")
      .filter((line) => line.includes("\t"))
      .map((line) => line.split("\t", 2) as [string, string]),
  );

/** One line for each input that is not the same on both sides. */
export function differingInputs(one: Inputs, other: Inputs): string[] {
  const names = new Set([...one.keys(), ...other.keys()]);
  return [...names]
    .filter((name) => one.get(name) !== other.get(name))
    .map((name) => `input ${name}: ${one.get(name) ?? "none"} | ${other.get(name) ?? "none"}`);
}
