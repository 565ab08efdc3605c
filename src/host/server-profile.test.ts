import { afterAll, beforeAll, expect, test } from "bun:test";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type HostServerProfile, loadServerProfile } from "./server-profile.ts";

const CONFIGS = join(import.meta.dir, "../../test/configs/server");
const HASH = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$c29tZWhhc2hzb21laGFzaHNvbWVoYXNoc29tZWhhc2g";
const before = process.cwd();
let top = "";

beforeAll(() => {
  top = mkdtempSync(join(tmpdir(), "morgana-server-profile-"));
  cpSync(CONFIGS, join(top, "vpn"), { recursive: true });
  renameSync(join(top, "vpn/install-script.conf"), join(top, "vpn/server.conf"));
  writeFileSync(join(top, "vpn/ipp.txt"), "ann,10.8.0.7,\n");
  writeFileSync(join(top, "users.txt"), `ann:${HASH}\n`, { mode: 0o600 });
});
afterAll(() => {
  process.chdir(before);
  rmSync(top, { recursive: true });
});

test.each([
  ["in the working folder", "vpn", "server.conf"],
  ["in a folder below it", "", "vpn/server.conf"],
  ["in one beside it", "vpn/ccd", "../server.conf"],
])("clients' files, leases and users are found for a profile %s", (_, folder, file) => {
  process.chdir(join(top, folder));
  const profile = loadServerProfile(file, join(top, "users.txt"));
  if (typeof profile === "string" || !profile.ok) throw new Error(`not loaded: ${Bun.inspect(profile)}`);
  const { clients, users, leases } = profile.files;
  expect([[...clients.keys()], [...(users?.keys() ?? [])], leases.length]).toEqual([["DEFAULT", "branch"], ["ann"], 1]);
});

test("an absolute path leads to where it says, without a word; where nothing is there, its tail beside the profile is taken, and told", () => {
  mkdirSync(join(top, "elsewhere"));
  const text = readFileSync(join(top, "vpn/server.conf"), "utf8").replace(
    /^(client-config-dir|ifconfig-pool-persist) .*\n/gm,
    "",
  );
  const load = (name: string, folder: string): HostServerProfile => {
    const file = join(top, "vpn", name);
    writeFileSync(file, `${text}client-config-dir ${folder}\n`);
    const profile = loadServerProfile(file, join(top, "users.txt"));
    if (typeof profile === "string" || !profile.ok) throw new Error(`not loaded: ${Bun.inspect(profile)}`);
    return profile;
  };
  const clients = (profile: HostServerProfile): string[] => (profile.ok ? [...profile.files.clients.keys()] : []);
  const told = ({ warnings }: HostServerProfile): string[] =>
    warnings.filter(({ directive }) => directive === "client-config-dir").map(({ problem }) => problem);

  cpSync(join(top, "vpn/ccd"), join(top, "elsewhere/ccd"), { recursive: true });
  writeFileSync(join(top, "elsewhere/ccd/carl"), "disable\n");
  const there = load("there.conf", join(top, "elsewhere/ccd"));
  expect([clients(there), told(there)]).toEqual([["DEFAULT", "branch", "carl"], []]);
  const gone = load("gone.conf", "/nowhere/ccd");
  expect([clients(gone), told(gone)]).toEqual([
    ["DEFAULT", "branch"],
    ['"ccd" beside the profile is taken for "/nowhere/ccd"'],
  ]);
});
