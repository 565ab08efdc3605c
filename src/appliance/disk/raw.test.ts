/** Archives that the real tar made, and what a hostile disk may hold. */
import { afterAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import type { ReadAt } from "./label.ts";
import { readRaw, readTar } from "./raw.ts";

const directory = mkdtempSync(join(tmpdir(), "morgana-raw-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const PROFILE = "client\ndev tun\nremote vpn.example.org 1194\n";
const LONG = `${"long-folder-name/".repeat(8)}${"n".repeat(90)}.key`;

const folder = join(directory, "config");
mkdirSync(join(folder, "keys"), { recursive: true });
mkdirSync(join(folder, LONG, ".."), { recursive: true });
writeFileSync(join(folder, "office.ovpn"), PROFILE);
writeFileSync(join(folder, "keys/ta.key"), "k".repeat(1500));
writeFileSync(join(folder, "empty"), "");
writeFileSync(join(folder, "schlüssel.pem"), "x");
writeFileSync(join(folder, LONG), "long");
symlinkSync("/etc/passwd", join(folder, "link"));

const at =
  (bytes: Uint8Array): ReadAt =>
  (offset, length) =>
    offset + length <= bytes.length ? bytes.slice(offset, offset + length) : undefined;
const read = (bytes: Uint8Array) => readRaw("vda", bytes.length, at(bytes));
const padded = (text: string, size = 4096): Uint8Array => {
  const bytes = new Uint8Array(size);
  bytes.set(new TextEncoder().encode(text));
  return bytes;
};
const text = (file: Uint8Array | string | undefined): string | undefined =>
  file instanceof Uint8Array ? new TextDecoder().decode(file) : file;
const archive = (format: string): Uint8Array =>
  new Uint8Array(Bun.spawnSync(["tar", `--format=${format}`, "-c", "-C", folder, "."]).stdout);

/** Of the first header. */
function mendChecksum(tar: Uint8Array): void {
  tar.fill(0x20, 148, 156);
  const sum = tar.subarray(0, 512).reduce((total, byte) => total + byte, 0);
  tar.set(new TextEncoder().encode(`${sum.toString(8).padStart(6, "0")}\0 `), 148);
}

for (const format of ["ustar", "gnu", "pax", "oldgnu"]) {
  test(`tar, format ${format}: files by their names, folders left out, of a link that it is one`, () => {
    const found = read(archive(format));
    expect(found?.kind).toBe("tar");
    const { reader } = found!;
    expect([...reader.list()].sort()).toEqual(["empty", "link", "office.ovpn", "schlüssel.pem"]);
    expect(text(reader.read("office.ovpn"))).toBe(PROFILE);
    expect(reader.read("keys/ta.key")).toHaveLength(1500);
    expect(text(reader.read(LONG))).toBe("long");
    expect(reader.read("empty")).toHaveLength(0);
    expect(reader.read("link")).toBe("is a link or a device in the archive, not a plain file");
  });
}

test("a file that the archive cannot give is named with the reason: it is not as if it were not there", () => {
  const header = (name: string, bytes: number): Uint8Array => {
    const tar = new Uint8Array(512 * 3);
    const put = (where: number, word: string): void => tar.set(new TextEncoder().encode(word), where);
    put(0, name);
    put(124, bytes.toString(8).padStart(11, "0"));
    put(156, "0");
    put(257, "ustar\u000000");
    mendChecksum(tar);
    return tar;
  };
  const cut = header("appliance.toml", 2048);
  expect(readTar(cut.length, at(cut))?.get("appliance.toml")).toBe("is cut off: the archive ends in it");
  const large = header("appliance.toml", 5 << 20);
  expect(
    readTar(8 << 20, (from, length) => (from < 512 ? large.slice(from, from + length) : undefined))?.get(
      "appliance.toml",
    ),
  ).toBe("is larger than 4 MiB");
});

test("names that lead out of the archive are not there", () => {
  const tar = Bun.spawnSync(["tar", "-cP", "--transform=s,^,../,", "-C", folder, "office.ovpn"]).stdout;
  expect(readTar(tar.length, at(new Uint8Array(tar)))?.size).toBe(0);
});

test("a plain OpenVPN file, padded or not", () => {
  const found = read(padded(PROFILE));
  expect(found?.kind).toBe("file");
  expect(found?.options).toEqual({ single: "vda" });
  expect(text(found?.reader.read("vda"))).toBe(PROFILE);
  expect(text(read(padded(PROFILE, PROFILE.length))?.reader.read("vda"))).toBe(PROFILE);
  expect(read(padded(`# office\r\n\r\n${PROFILE.replaceAll("\n", "\r\n")}`))?.kind).toBe("file");
});

test("other text, other bytes, and something after the zero bytes are no OpenVPN file", () => {
  expect(read(padded("#cloud-config\nusers: []\n"))).toBeUndefined();
  expect(read(new Uint8Array(4096))).toBeUndefined();
  expect(read(padded("\x7fELF client\n"))).toBeUndefined();
  const more = padded(PROFILE);
  more[3000] = 1;
  expect(read(more)).toBeUndefined();
});

test("pax records without a blank, or of no length, end the records and not the boot", () => {
  for (const records of [
    "8 a=bcd\n30ctime=1795560916.9\n",
    "8 a=bcd\n0 a=b\n",
    "8 a=bcd\n a=b\n",
    "8 a=bcd\n-8 a=b\n",
  ]) {
    const tar = archive("pax");
    const size = records.length.toString(8).padStart(11, "0");
    tar.set(new TextEncoder().encode(records.padEnd(512, "\0")), 512);
    tar.set(new TextEncoder().encode(size), 124);
    mendChecksum(tar);
    expect(text(read(tar)?.reader.read("office.ovpn"))).toBe(PROFILE);
  }
});

test("truncated and damaged archives yield what is whole, and never an exception", () => {
  const tar = archive("pax");
  fc.assert(
    fc.property(fc.nat(tar.length - 1), fc.nat(255), fc.nat(tar.length), (where, value, length) => {
      const damaged = tar.slice();
      damaged[where] = value;
      const cut = damaged.slice(0, length);
      const files = readTar(cut.length, at(cut));
      for (const [name, content] of files ?? []) {
        expect(name.split("/")).not.toContain("..");
        expect(content.length).toBeLessThanOrEqual(cut.length);
      }
    }),
    { numRuns: 300 },
  );
});
