import { afterAll, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Apt, ageOf, debianFiles, PINS, type Pin, type Pins, readPins, servedNow, writePins } from "./debian.ts";
import { differingInputs, formatInputs, parseInputs } from "./inputs.ts";

const scratch = mkdtempSync(join(tmpdir(), "debian-"));
afterAll(() => rmSync(scratch, { recursive: true }));

const pin = (name: string, version: string): Pin => ({
  package: name,
  version,
  sha256: new Bun.CryptoHasher("sha256").update(`${name} ${version}`).digest("hex"),
});
const PINNED: Pins = {
  date: "2026-01-01",
  packages: {
    kernel: pin("linux-image-1-cloud-amd64", "1"),
    libc: pin("libc6", "1"),
    openssl: pin("libssl3", "1:1"),
    lzo: pin("liblzo2-2", "1"),
    lz4: pin("liblz4-1", "1"),
  },
};

/** An archive that serves these packages, and others when its lists have been read anew. */
function archive(
  packages: readonly Pin[],
  later: readonly Pin[] = packages,
  mayUpdate = true,
): Apt & { log: string[] } {
  let now = packages;
  let updated = false;
  const log: string[] = [];
  return {
    log,
    served: (name, version) =>
      now.find((each) => each.package === name && (version === undefined || each.version === version)),
    depends: () => now.map((each) => each.package).filter((name) => name.startsWith("linux-image")),
    unpack(wanted, folder) {
      log.push(`${wanted.package} ${wanted.version}`);
      if (!now.some((each) => each.sha256 === wanted.sha256)) throw new Error("404");
      writeFileSync(join(folder, "file"), wanted.version);
    },
    update() {
      if (updated || !mayUpdate) return false;
      updated = true;
      log.push("update");
      now = later;
      return true;
    },
  };
}

let folders = 0;
const cache = (): string => join(scratch, `cache-${folders++}`);
const all = Object.values(PINNED.packages);

test("the pins of the repository are whole", () => {
  const pins = readPins(PINS);
  expect(pins.packages.kernel.package).toMatch(/^linux-image-[\d.-]+-cloud-amd64$/);
  expect(pins.packages.libc.package).toBe("libc6");
  expect(pins.packages.openssl.package).toStartWith("libssl3");
});

test("pins that are not whole are named", () => {
  const path = join(scratch, "pins.json");
  writePins(path, PINNED);
  expect(readPins(path)).toEqual(PINNED);
  writePins(path, { ...PINNED, packages: { ...PINNED.packages, libc: { ...pin("libc6", "1"), sha256: "12" } } });
  expect(() => readPins(path)).toThrow("packages.libc");
  writePins(path, { ...PINNED, date: "yesterday" });
  expect(() => readPins(path)).toThrow("date");
});

test("pinned packages are downloaded once, and without a word when they are there", () => {
  const [folder, said, apt] = [cache(), [] as string[], archive(all)];
  const files = debianFiles(PINNED, (line) => said.push(line), apt, folder);
  expect(files.packages).toEqual(PINNED.packages);
  expect(apt.log).toEqual(all.map((each) => `${each.package} ${each.version}`));
  for (const path of Object.values(files.folder)) expect(existsSync(join(path, "file"))).toBe(true);
  expect(new Set(readdirSync(folder)).size).toBe(5);
  said.length = 0;
  expect(debianFiles(PINNED, (line) => said.push(line), archive([]), folder)).toEqual(files);
  expect(said).toEqual([]);
});

test("another version, or another file of the same version, is another folder of the cache", () => {
  const folder = cache();
  const first = debianFiles(PINNED, () => {}, archive(all), folder);
  const changed = { ...PINNED.packages.libc, sha256: pin("libc6", "rebuilt").sha256 };
  const rebuilt = { ...PINNED, packages: { ...PINNED.packages, libc: changed } };
  const second = debianFiles(rebuilt, () => {}, archive([changed]), folder);
  expect(second.folder.libc).not.toBe(first.folder.libc);
  expect(second.folder.kernel).toBe(first.folder.kernel);
});

test("what is no longer served is replaced by what is, and named with both", () => {
  const newer = [pin("linux-image-2-cloud-amd64", "2"), pin("libc6", "1"), pin("libssl3", "1:2")] as const;
  const said: string[] = [];
  const { lzo, lz4 } = PINNED.packages;
  const apt = archive([...newer, lzo, lz4]);
  const files = debianFiles(PINNED, (line) => said.push(line), apt, cache());
  expect(files.packages).toEqual({ kernel: newer[0], libc: newer[1], openssl: newer[2], lzo, lz4 });
  const differing = said.filter((line) => line.startsWith("differs"));
  expect(differing).toHaveLength(2);
  for (const words of ["linux-image-1-cloud-amd64 1", "linux-image-2-cloud-amd64 2", newer[0].sha256])
    expect(differing[0]).toContain(words);
});

test("a file of the pinned version with another digest is not the pinned one", () => {
  const forged = { ...PINNED.packages.openssl, sha256: "0".repeat(64) };
  const said: string[] = [];
  const apt = archive([...all.filter((each) => each.package !== forged.package), forged]);
  const files = debianFiles(PINNED, (line) => said.push(line), apt, cache());
  expect(files.packages.openssl.sha256).toBe(forged.sha256);
  expect(said.filter((line) => line.startsWith("differs"))).toHaveLength(1);
});

test("old lists are read anew before anything else is taken", () => {
  const apt = archive([pin("libc6", "0")], all);
  const said: string[] = [];
  expect(debianFiles(PINNED, (line) => said.push(line), apt, cache()).packages).toEqual(PINNED.packages);
  expect(apt.log.filter((line) => line === "update")).toHaveLength(1);
  expect(said.filter((line) => line.startsWith("differs"))).toEqual([]);
});

test("where apt knows nothing, the remedy is said", () => {
  expect(() => debianFiles(PINNED, () => {}, archive([], [], false), cache())).toThrow("apt-get update");
  expect(() => servedNow(archive([]), "2026-01-01")).toThrow("linux-image-cloud-amd64");
});

test("new pins are those of what is served", () => {
  expect(servedNow(archive(all), "2026-01-01")).toEqual(PINNED);
});

test("pins older than two months are told", () => {
  const day = (text: string): number => Date.parse(text);
  expect(ageOf(PINNED, day("2026-03-02"))).toBeUndefined();
  expect(ageOf(PINNED, day("2026-03-03"))).toContain("61 days");
  expect(ageOf(PINNED, day("2026-03-03"))).toContain("--update");
});

test("inputs come back as they were, and each that differs is named with both values", () => {
  const one = new Map([
    ["gcc", "12"],
    ["zstd", "1.5"],
  ]);
  const other = new Map([
    ["gcc", "14"],
    ["zstd", "1.5"],
    ["ld", "2"],
  ]);
  expect(parseInputs(formatInputs(one))).toEqual(one);
  expect(differingInputs(one, one)).toEqual([]);
  expect(differingInputs(one, other)).toEqual(["input gcc: 12 | 14", "input ld: none | 2"]);
});
