/** Names every line of a tracked file that is a mark of a merge which nobody finished. Status 1 when there is one. */
import { join } from "node:path";
import { ROOT } from "./steps.ts";

/** Numbers of the lines that begin a side of a conflict, its ancestor, or end it (git-merge(1), "HOW CONFLICTS ARE PRESENTED"). */
export function conflictMarks(text: string): number[] {
  const marks = /^(?:<{7}|>{7}|\|{7})(?: |$)/;
  return text.split("\n").flatMap((line, i) => (marks.test(line) ? [i + 1] : []));
}

if (import.meta.main) {
  const listed = Bun.spawnSync(["git", "ls-files", "-z"], { cwd: ROOT });
  if (!listed.success) console.log("this is no git repository, so there is nothing that could be merged");
  let found = 0;
  for (const path of listed.stdout.toString().split("\0").filter(Boolean)) {
    const file = Bun.file(join(ROOT, path));
    if (!(await file.exists())) continue; // deleted, but not committed yet
    for (const line of conflictMarks(await file.text())) {
      console.log(`${path}:${line}: a merge that is not finished`);
      found++;
    }
  }
  process.exit(found > 0 ? 1 : 0);
}
