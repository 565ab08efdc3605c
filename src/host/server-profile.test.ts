import { afterAll, beforeAll, expect, test } from "bun:test";
import { cpSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadServerProfile } from "./server-profile.ts";

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
