/** One at a time: two runs that make the same files would spoil each other's. */
import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

/** Waits for the process that holds the lock, if it is alive. The result gives the lock back. */
export async function lock(path: string): Promise<() => void> {
  mkdirSync(dirname(path), { recursive: true });
  const mine = `${path}-${process.pid}`;
  writeFileSync(mine, `${process.pid}`);
  try {
    for (let said = false; ; ) {
      try {
        linkSync(mine, path);
        return () => rmSync(path, { force: true });
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
      }
      const holder = holderOf(path);
      if (holder === undefined || !alive(holder)) {
        rmSync(path, { force: true });
        continue;
      }
      if (!said) console.log(`waiting for process ${holder}, which makes the same`);
      said = true;
      await Bun.sleep(200);
    }
  } finally {
    rmSync(mine, { force: true });
  }
}

function holderOf(path: string): number | undefined {
  try {
    return Number(readFileSync(path, "utf8"));
  } catch {
    return undefined;
  }
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
