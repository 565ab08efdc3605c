/** Against file systems that the real tools made. */
import { afterAll, describe, expect, test } from "bun:test";
import { closeSync, mkdtempSync, openSync, readSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { type ReadAt, readFileSystem } from "./label.ts";

const directory = mkdtempSync(join(tmpdir(), "morgana-label-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));
process.env["PATH"] = `${process.env["PATH"]}:/usr/sbin:/sbin`;

function make(size: number, ...argv: string[]): string {
  const path = join(directory, "image");
  rmSync(path, { force: true });
  writeFileSync(path, "");
  truncateSync(path, size);
  const made = Bun.spawnSync([...argv.map((word) => (word === "IMAGE" ? path : word))]);
  if (made.exitCode !== 0) throw new Error(`${argv.join(" ")}: ${made.stderr}`);
  return path;
}

function look(path: string): ReturnType<typeof readFileSystem> {
  const fd = openSync(path, "r");
  try {
    return readFileSystem((offset, length) => {
      const bytes = new Uint8Array(length);
      return readSync(fd, bytes, 0, length, offset) === length ? bytes : undefined;
    });
  } finally {
    closeSync(fd);
  }
}

const MIB = 1 << 20;
const has = (...tools: string[]): boolean => tools.every((tool) => Bun.which(tool) !== null);

describe.skipIf(!has("mkfs.vfat"))("FAT", () => {
  for (const [bits, size] of [
    [12, 2 * MIB],
    [16, 32 * MIB],
    [32, 64 * MIB],
  ] as const) {
    test(`${bits} bits, with and without a label`, () => {
      expect(look(make(size, "mkfs.vfat", "-F", `${bits}`, "-n", "MORGANA", "IMAGE"))).toEqual({
        type: "vfat",
        label: "MORGANA",
      });
      expect(look(make(size, "mkfs.vfat", "-F", `${bits}`, "IMAGE"))).toEqual({ type: "vfat", label: "" });
    });
  }

  test.skipIf(!has("mlabel"))("the entry of the root folder wins over the boot sector", () => {
    const path = make(2 * MIB, "mkfs.vfat", "-F", "12", "-n", "OLD", "IMAGE");
    expect(Bun.spawnSync(["mlabel", "-i", path, "::CIDATA"]).exitCode).toBe(0);
    expect(look(path)?.label).toBe("CIDATA");
  });
});

test.skipIf(!has("mkfs.ext4"))("ext4", () => {
  expect(look(make(8 * MIB, "mkfs.ext4", "-q", "-L", "CIDATA", "IMAGE"))).toEqual({ type: "ext4", label: "CIDATA" });
  expect(look(make(8 * MIB, "mkfs.ext4", "-q", "IMAGE"))).toEqual({ type: "ext4", label: "" });
});

test.skipIf(!has("xorriso"))("ISO 9660", () => {
  const iso = (label: string): string =>
    make(0, "xorriso", "-as", "mkisofs", "-quiet", "-V", label, "-J", "-R", "-o", "IMAGE", import.meta.dir);
  expect(look(iso("cidata"))).toEqual({ type: "iso9660", label: "cidata" });
  expect(look(iso("MORGANA"))).toEqual({ type: "iso9660", label: "MORGANA" });
});

test("what is none of them, too short, or damaged is nothing, and never an exception", () => {
  const of =
    (bytes: Uint8Array): ReadAt =>
    (offset, length) =>
      offset + length <= bytes.length ? bytes.slice(offset, offset + length) : undefined;
  expect(readFileSystem(of(new Uint8Array(0)))).toBeUndefined();
  expect(readFileSystem(of(new Uint8Array(65536)))).toBeUndefined();
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 512, maxLength: 512 }), (noise) => {
      const disk = new Uint8Array(4096);
      disk.set(noise);
      disk.set([0xeb, 0x3c, 0x90]);
      disk.set([0, 2, 1, 1, 0, noise[16] as number], 11);
      disk.set([0x55, 0xaa], 510);
      const found = readFileSystem(of(disk));
      expect(found === undefined || found.type === "vfat").toBe(true);
    }),
  );
});
