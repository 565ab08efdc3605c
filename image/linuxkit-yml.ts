/** The part of LinuxKit's yml that image/linuxkit.yml uses. Whatever else is in the file is an error with its name. */
import { parse } from "yaml";

export interface LinuxkitYml {
  readonly kernel: { readonly image: string; readonly cmdline: string };
  readonly init: readonly string[];
  readonly files: readonly YmlFile[];
}

/** Exactly one of directory, symlink and contents is given. */
export interface YmlFile {
  readonly path: string;
  readonly directory: boolean;
  readonly symlink: string | undefined;
  readonly contents: string | undefined;
  /** Octal; undefined: LinuxKit's default. */
  readonly mode: number | undefined;
}

/** @throws Error that names every problem, one a line */
export function parseYml(text: string): LinuxkitYml {
  const problems: string[] = [];
  const root = fields(parse(text), "", ["kernel", "init", "files"], problems);
  const kernel = fields(root["kernel"] ?? {}, "kernel", ["image", "cmdline"], problems);
  const init = list(root["init"], "init", problems).map((image, index) => string(image, `init[${index}]`, problems));
  const files = list(root["files"], "files", problems).map((each, index) => ymlFile(each, `files[${index}]`, problems));
  const result = {
    kernel: {
      image: string(kernel["image"], "kernel.image", problems),
      cmdline: string(kernel["cmdline"] ?? "", "kernel.cmdline", problems),
    },
    init,
    files,
  };
  if (problems.length > 0) throw new Error(problems.join("\n"));
  return result;
}

function ymlFile(value: unknown, where: string, problems: string[]): YmlFile {
  const given = fields(value, where, ["path", "directory", "symlink", "contents", "mode"], problems);
  const optional = (name: string): string | undefined =>
    given[name] === undefined ? undefined : string(given[name], `${where}.${name}`, problems);
  const directory = given["directory"] ?? false;
  if (typeof directory !== "boolean") problems.push(`${where}.directory: true or false is expected`);
  const mode = optional("mode");
  if (mode !== undefined && !/^[0-7]{3,4}$/.test(mode)) problems.push(`${where}.mode: "${mode}" is not octal`);
  const result = {
    path: string(given["path"], `${where}.path`, problems),
    directory: directory === true,
    symlink: optional("symlink"),
    contents: optional("contents"),
    mode: mode === undefined ? undefined : Number.parseInt(mode, 8),
  };
  const kinds = [result.directory, result.symlink !== undefined, result.contents !== undefined].filter(Boolean);
  if (kinds.length !== 1) problems.push(`${where}: exactly one of directory, symlink and contents is expected`);
  return result;
}

function fields(value: unknown, where: string, known: readonly string[], problems: string[]): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    problems.push(`${where === "" ? "the file" : where}: a mapping is expected`);
    return {};
  }
  for (const name of Object.keys(value)) {
    if (!known.includes(name))
      problems.push(
        `${where === "" ? name : `${where}.${name}`}: not supported by image/assemble.ts; build with LinuxKit`,
      );
  }
  return value as Record<string, unknown>;
}

function list(value: unknown, where: string, problems: string[]): unknown[] {
  if (value === undefined) return [];
  if (Array.isArray(value)) return value;
  problems.push(`${where}: a list is expected`);
  return [];
}

function string(value: unknown, where: string, problems: string[]): string {
  if (typeof value === "string") return value;
  problems.push(`${where}: a string is expected`);
  return "";
}
