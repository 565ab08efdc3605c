import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { diskIsOverdue } from "./patience.ts";

test("a disk is waited for 3 s, and 15 s where a SCSI or ATA controller may be looking for one still", () => {
  const hosts = mkdtempSync(join(tmpdir(), "morgana-hosts-"));
  const overdueAt = (folder: string): number | undefined =>
    [0, 2999, 3000, 14_999, 15_000].find((ms) => diskIsOverdue(ms, folder));
  try {
    expect(overdueAt(join(hosts, "none"))).toBe(3000);
    expect(overdueAt(hosts)).toBe(3000);
    // The driver may come while the machine waits.
    writeFileSync(join(hosts, "host0"), "");
    expect(overdueAt(hosts)).toBe(15_000);
  } finally {
    rmSync(hosts, { recursive: true });
  }
});
