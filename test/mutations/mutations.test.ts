/** The list of mutations against the tree: each text stands where it says, once. Whether a test sees it, `npm run mutate` says. */
import { expect, test } from "bun:test";
import { MUTATIONS } from "./list.ts";
import { mutated, mutationProblem } from "./mutation.ts";

test("every mutation can be applied, and the code it leaves can be parsed", async () => {
  const transpiler = new Bun.Transpiler({ loader: "ts" });
  const problems: string[] = [];
  for (const mutation of MUTATIONS) {
    const file = Bun.file(new URL(`../../src/${mutation.file}`, import.meta.url).pathname);
    const content = (await file.exists()) ? await file.text() : undefined;
    const name = `${mutation.file}: ${mutation.takesOut}`;
    const problem = mutationProblem(mutation, content);
    if (problem !== undefined) {
      problems.push(`${name}: ${problem}`);
      continue;
    }
    try {
      transpiler.transformSync(mutated(mutation, content ?? ""));
    } catch (error) {
      problems.push(`${name}: ${error}`);
    }
  }
  expect(problems).toEqual([]);
});

test("no two mutations take out the same", () => {
  const names = MUTATIONS.map((m) => `${m.file}: ${m.takesOut}`);
  expect(names.filter((name, i) => names.indexOf(name) !== i)).toEqual([]);
});
