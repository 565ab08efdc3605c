/** What lies in a folder of this machine: nothing of it makes the reading wait, read without end, or leave the folder. */
import { afterAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { folderReader, openConfigSource } from "./config-source.ts";
import { loadProfile } from "./profile.ts";

const top = mkdtempSync(join(tmpdir(), "morgana-source-"));
afterAll(() => rmSync(top, { recursive: true, force: true }));
const PROFILE = "client\ndev tun\nremote 192.0.2.1\nauth-user-pass\n";
let serial = 0;
function folder(make: (path: (name: string) => string) => void): string {
  const path = join(top, `${serial++}`);
  mkdirSync(path);
  make((name) => join(path, name));
  return path;
}
const fifo = (path: string): void => void Bun.spawnSync(["mkfifo", path]);
function problems(path: string): string[] {
  const { reader, options } = openConfigSource(path);
  const result = loadProfile(reader, options);
  return result.ok ? [] : result.problems.map((p) => `${p.origin.file}:${p.origin.line}: ${p.directive}: ${p.problem}`);
}

test("links may lead about in the folder, as a mounted secret's do, and out of it they are refused by name", () => {
  const path = folder((at) => {
    mkdirSync(at("..data"));
    writeFileSync(at("..data/x.ovpn"), "inside");
    symlinkSync("..data/x.ovpn", at("x.ovpn"));
    symlinkSync(join(top, "outside"), at("y.ovpn"));
    symlinkSync("..", at("up"));
  });
  writeFileSync(join(top, "outside"), "outside");
  const reader = folderReader(path);
  expect(new TextDecoder().decode(reader.read("x.ovpn") as Uint8Array)).toBe("inside");
  expect(reader.read("y.ovpn")).toBe(
    `is a link out of the folder, to ${join(top, "outside")}; put the file itself there`,
  );
  expect(reader.read("up/outside")).toBe(
    `is a link out of the folder, to ${join(top, "outside")}; put the file itself there`,
  );
  expect(reader.read("z.ovpn")).toBeUndefined();
});

test("the one file that the operator named may be a link; what is beside it is not followed out", () => {
  writeFileSync(join(top, "real.ovpn"), PROFILE);
  const path = folder((at) => {
    symlinkSync(join(top, "real.ovpn"), at("x.ovpn"));
    symlinkSync("/proc/kmsg", at("auth.txt"));
  });
  expect(problems(join(path, "x.ovpn"))).toContain(
    'x.ovpn:4: auth-user-pass: the file "auth.txt" is a link out of the folder, to /proc/kmsg; put the file itself there',
  );
});

test("files of the kernel that have no end, and such that would be waited for, are read no further than the bound", () => {
  for (const name of ["/proc/self/pagemap", "/proc/kmsg"]) {
    const path = folder((at) => symlinkSync(name, at("x.ovpn")));
    // Named by the operator, so that it is followed.
    expect(problems(join(path, "x.ovpn"))).toEqual([
      expect.stringMatching(
        /^x\.ovpn:0: file: (is larger than 4 MiB|may not be read|has nothing to read|cannot be read)/,
      ),
    ]);
  }
});

test("an OpenVPN file that is no file is named for what it is", () => {
  const cases: [RegExp, (path: string) => void][] = [
    [/the file "x\.ovpn" is a FIFO, not a plain file/, fifo],
    [/the file "x\.ovpn" is larger than 4 MiB/, (path) => writeFileSync(path, "#".repeat((4 << 20) + 1))],
    [/the file "x\.ovpn" is a link to something that is not there/, (path) => symlinkSync("nowhere", path)],
    [/the file "x\.ovpn" is a link that leads in a circle/, (path) => symlinkSync("x.ovpn", path)],
  ];
  for (const [wanted, make] of cases) expect(problems(folder((at) => make(at("x.ovpn")))).join()).toMatch(wanted);
});

test("an appliance.toml that is there and cannot be read is a problem, and the WAN stays without an address", () => {
  const cases: [RegExp, (path: string) => void][] = [
    [/file: is a FIFO, not a plain file/, fifo],
    [/file: is a directory, not a plain file/, (path) => mkdirSync(path)],
    [/file: larger than 32 KiB/, (path) => writeFileSync(path, `#${"x".repeat(32 << 10)}`)],
    [/file: is larger than 4 MiB/, (path) => writeFileSync(path, `#${"x".repeat(4 << 20)}`)],
    [/file: is a link to something that is not there/, (path) => symlinkSync("nowhere", path)],
    [/file: is a link out of the folder, to \/etc/, (path) => symlinkSync("/etc/hostname", path)],
  ];
  for (const [wanted, make] of cases) {
    const path = folder((at) => {
      writeFileSync(at("x.ovpn"), PROFILE);
      writeFileSync(at("auth.txt"), "ann\npw\n");
      make(at("appliance.toml"));
    });
    expect(problems(path).join("\n")).toMatch(wanted);
    const { settings } = loadProfile(openConfigSource(path).reader);
    expect(settings.wan.address).toBe("none");
    expect(settings.lan.dhcp).toBeUndefined();
  }
});
