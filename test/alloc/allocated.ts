/**
 * How much a program allocates between two marks. JavaScriptCore is made to collect whenever so many bytes were allocated (BUN_JSC_gcMaxHeapSize),
 * and to say so (BUN_JSC_logGC): each "[GC ... START" line between "FROM HERE" and "TO HERE" on stderr is one such portion.
 */
import { join } from "node:path";

const PORTION = 256 * 1024;

/**
 * Runs a program of this folder.
 * @returns what it printed, as JSON, and the bytes that it allocated, in whole portions: compiled code is among them
 * @throws Error when it fails or leaves no marks
 */
export async function allocatedBy<T>(script: string, ...args: readonly string[]): Promise<{ told: T; bytes: number }> {
  const child = Bun.spawn([process.execPath, join(import.meta.dir, script), ...args], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    env: { ...process.env, BUN_JSC_logGC: "1", BUN_JSC_gcMaxHeapSize: `${PORTION}` },
  });
  const [out, err, status] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  const measured = /^FROM HERE$([\s\S]*)^TO HERE$/m.exec(err)?.[1];
  if (status !== 0 || measured === undefined) throw new Error(`status ${status}: ${err.slice(-2000)}`);
  // Without one while it starts, the collector's log is not what is read here.
  if (!err.slice(0, err.indexOf("FROM HERE")).includes("[GC")) throw new Error("the collector says nothing");
  const collections = measured.match(/^\[GC.*START/gm)?.length ?? 0;
  return { told: JSON.parse(out) as T, bytes: collections * PORTION };
}
