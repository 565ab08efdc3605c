/** Which test files can see a source file: those that import it, directly or through others. */

import { dirname, relative, resolve } from "node:path";
import { Glob } from "bun";

export interface TestFiles {
  readonly all: readonly string[];
  /** Test files from which `file` can be reached, nearest first, with the number of imports between. */
  seeing(file: string): readonly { readonly test: string; readonly distance: number }[];
}

/**
 * @param root of the tree; all names are relative to it
 * @param folders where the test files are looked for
 * @param without test files that reach a file with one of these beginnings are left out
 */
export async function testFiles(
  root: string,
  folders: readonly string[],
  without: readonly string[],
): Promise<TestFiles> {
  const transpiler = new Bun.Transpiler({ loader: "ts" });
  const imports = new Map<string, readonly string[]>();
  const read = async (file: string): Promise<void> => {
    if (imports.has(file)) return;
    imports.set(file, []);
    const source = Bun.file(`${root}/${file}`);
    if (!file.endsWith(".ts") || !(await source.exists())) return;
    const found = transpiler
      .scanImports(await source.text())
      .filter(({ path }) => path.startsWith("."))
      .map(({ path }) => relative(root, resolve(root, dirname(file), path)));
    imports.set(file, found);
    for (const next of found) await read(next);
  };
  const tests = folders.flatMap((folder) => [...new Glob(`${folder}/**/*.test.ts`).scanSync({ cwd: root })]).sort();
  const distances = new Map<string, Map<string, number>>();
  for (const test of tests) {
    await read(test);
    const reached = new Map([[test, 0]]);
    for (const [file, distance] of reached) {
      for (const next of imports.get(file) ?? []) if (!reached.has(next)) reached.set(next, distance + 1);
    }
    const excluded = [...reached.keys()].some((file) => without.some((start) => file.startsWith(start)));
    if (!excluded) distances.set(test, reached);
  }
  return {
    all: [...distances.keys()],
    seeing: (file) =>
      [...distances]
        .flatMap(([test, reached]) => {
          const distance = reached.get(file);
          return distance === undefined ? [] : [{ test, distance }];
        })
        .sort((a, b) => a.distance - b.distance),
  };
}
