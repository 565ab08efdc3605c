import { describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { swapHeader, watermarkScale } from "./swap.ts";

const MKSWAP = Bun.which("mkswap", { PATH: `${process.env["PATH"]}:/usr/sbin:/sbin` });
const PAGE = 4096;
/** Where the header has an identifier that is another one each time; we leave it out. */
const UUID = { from: 1036, to: 1052 } as const;

describe("swap", () => {
  test.skipIf(MKSWAP === null)("the header is that of mkswap", () => {
    const folder = mkdtempSync(join(tmpdir(), "morgana-swap-"));
    try {
      for (const pages of [10, 28_000]) {
        const path = join(folder, `${pages}`);
        writeFileSync(path, "", { mode: 0o600 });
        truncateSync(path, pages * PAGE);
        expect(Bun.spawnSync([MKSWAP!, path]).exitCode).toBe(0);
        const header = new Uint8Array(readFileSync(path).subarray(0, PAGE)).fill(0, UUID.from, UUID.to);
        expect(Buffer.from(swapHeader(pages)).equals(header)).toBe(true);
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test("the room that is kept free is the same on machines up to 2 GiB; beyond, the kernel's own choice is more", () => {
    const kib = (memory: number): number => (watermarkScale(memory) / 10_000) * memory;
    for (const memory of [100_000, 222_364, 500_000]) expect(Math.abs(kib(memory) - 2048)).toBeLessThan(30);
    expect(watermarkScale(64 * 1024 * 1024)).toBe(10);
  });
});
