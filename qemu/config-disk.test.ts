import { afterAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type DiskFormat, makeConfigDisk } from "./config-disk.ts";

const directory = mkdtempSync(join(tmpdir(), "morgana-disk-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** What reads one file of the image to its standard output. */
const READ: Readonly<Record<Exclude<DiskFormat, "raw">, (image: string, path: string) => string[]>> = {
  iso: (image, path) => ["sh", "-c", `xorriso -indev ${image} -osirrox on -concat overwrite - /${path} -- 2>/dev/null`],
  fat: (image, path) => ["mtype", "-i", image, `::/${path}`],
  ext4: (image, path) => ["debugfs", "-R", `cat ${path}`, image],
  tar: (image, path) => ["tar", "-xOf", image, path],
};

test.each(Object.entries(READ))("a folder in the folder stays one: %s", (format, read) => {
  const content = mkdtempSync(join(directory, "content-"));
  mkdirSync(join(content, "ccd"));
  writeFileSync(join(content, "server.conf"), "server");
  writeFileSync(join(content, "ccd/branch"), "iroute");
  const image = join(directory, `${format}.img`);
  makeConfigDisk(content, image, format as DiskFormat);
  for (const [path, text] of [
    ["server.conf", "server"],
    ["ccd/branch", "iroute"],
  ] as const) {
    const env = { ...process.env, PATH: `${process.env["PATH"]}:/usr/sbin:/sbin` };
    expect(Bun.spawnSync(read(image, path), { env, stderr: "ignore" }).stdout.toString()).toBe(text);
  }
});
