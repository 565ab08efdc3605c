import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const MAIN = join(import.meta.dir, "../main.ts");

test.each(["client", "server"])("%s: a signal that comes before it can be heeded ends nothing", async (subcommand) => {
  const folder = mkdtempSync(join(tmpdir(), "morgana-signals-"));
  try {
    const profile = join(folder, "long.conf");
    // Read for longer than a signal takes.
    writeFileSync(profile, `${`# ${"nothing ".repeat(20)}\n`.repeat(20_000)}no-directive\n`);
    const child = Bun.spawn([process.execPath, MAIN, subcommand, profile], {
      env: { RUNTIME_DIRECTORY: folder },
      stdio: ["ignore", "pipe", "inherit"],
    });
    let log = "";
    for await (const piece of child.stdout) {
      if (log === "") for (const signal of ["SIGHUP", "SIGUSR1", "SIGUSR2"] as const) child.kill(signal);
      log += new TextDecoder().decode(piece);
    }
    expect([await child.exited, child.signalCode, log]).toEqual([1, null, expect.stringContaining("config.invalid")]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
