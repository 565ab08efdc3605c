import { afterAll, beforeAll, expect, spyOn, test } from "bun:test";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openConfigSource } from "../../appliance/config-source.ts";
import { loadProfile } from "../../appliance/profile.ts";
import { parseConfig } from "../../protocol/config/parse.ts";
import { parseNamedKey } from "../../protocol/control/key-file.ts";
import { noblePrimitives } from "../../protocol/control/noble-primitives.ts";
import { unwrapKey } from "../../protocol/control/wrapped-key.ts";
import { pki as command } from "./pki.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "morgana-pki-cli-"));
  expect(pki("init", "vpn", "--server", "vpn.example.com:443")).toMatchObject({ status: 0, err: "" });
});
afterAll(() => rmSync(folder, { recursive: true }));

const at = (...names: string[]): string => join(folder, ...names);
const read = (...names: string[]): string => readFileSync(at(...names), "utf8");
const mode = (...names: string[]): number => statSync(at(...names)).mode & 0o777;
const COMMAND = [process.execPath, join(import.meta.dir, "../../main.ts"), "pki"];

function pki(...args: string[]): { status: number; out: string; err: string } {
  const run = Bun.spawnSync([...COMMAND, ...args], { cwd: folder });
  return { status: run.exitCode, out: run.stdout.toString(), err: run.stderr.toString() };
}

/** What our own parser says of a client's profile. */
function profile(name: string) {
  const result = parseConfig({ file: name, text: readFileSync(at("vpn-ca", name)) }, () => undefined);
  if (!result.ok || result.config.role !== "client") throw new Error(JSON.stringify(result));
  return { ...result.config, warnings: result.warnings };
}

test("init makes the config disk, and keeps what is not for it beside it, each secret for its owner alone", () => {
  const disk = ["appliance.toml", "ca.crt", "crl.pem", "server.conf", "server.crt", "server.key", "tls-crypt-v2.key"];
  expect(readdirSync(at("vpn")).sort()).toEqual(disk);
  expect(readdirSync(at("vpn-ca")).sort()).toEqual(["ca.crt", "ca.key", "client.conf", "index.txt"]);
  expect(mode("vpn-ca")).toBe(0o700);
  for (const secret of [
    ["vpn", "server.key"],
    ["vpn", "tls-crypt-v2.key"],
    ["vpn-ca", "ca.key"],
  ])
    expect([secret, mode(...secret)]).toEqual([secret, 0o600]);
  expect(mode("vpn", "server.conf")).toBe(0o644);
  const key = read("vpn-ca", "ca.key").trim();
  for (const name of disk) expect(read("vpn", name)).not.toContain(key);
});

test("the config disk is loaded as it is, without a word of warning; with a user's line it asks for passwords", () => {
  const plain = loadProfile(openConfigSource(at("vpn")).reader);
  expect(plain).toMatchObject({
    ok: true,
    notices: [],
    warnings: [],
    config: { role: "server" },
    settings: { server: { lan: "routed" } },
  });
  expect(plain.ok && plain.config.role === "server" && plain.config.wrappedKeys?.forceCookie).toBe(true);
  const checked = Bun.spawnSync([...COMMAND.slice(0, 2), "check", "--server", "server.conf"], { cwd: at("vpn") });
  expect([checked.exitCode, checked.stderr.toString()]).toEqual([0, ""]);
  cpSync(at("vpn"), at("users"), { recursive: true });
  const line = Bun.spawnSync([...COMMAND.slice(0, 2), "passwd", "ann"], { stdin: Buffer.from("correct horse\n") });
  writeFileSync(at("users", "users.txt"), line.stdout);
  writeFileSync(at("users", "appliance.toml"), read("vpn", "appliance.toml").replace("# users =", "users ="));
  const asking = loadProfile(openConfigSource(at("users")).reader);
  expect(asking).toMatchObject({ ok: true, notices: [] });
  cpSync(at("vpn-ca"), at("users-ca"), { recursive: true });
  expect(read("vpn-ca", "client.conf")).not.toContain("auth-user-pass");
  expect(pki("client", "users", "ann").status).toBe(0);
  expect(read("users-ca", "ann.ovpn")).toContain("\nverb 3\nauth-user-pass\n<ca>\n");
  // Nobody is in the file yet, which is a problem of the server's, and the client is asked all the same.
  rmSync(at("users", "users.txt"));
  expect(pki("client", "users", "dora").status).toBe(0);
  expect(read("users-ca", "dora.ovpn")).toContain("\nauth-user-pass");
  writeFileSync(at("users-ca", "client.conf"), `${read("vpn-ca", "client.conf")}auth-user-pass login.txt\n`);
  expect(pki("client", "users", "bob").status).toBe(0);
  expect(read("users-ca", "bob.ovpn").match(/auth-user-pass.*/g)).toEqual(["auth-user-pass login.txt"]);
  expect([...((asking.ok && asking.users) || [])]).toEqual([["ann", expect.stringMatching(/^\$argon2id\$/)]]);
});

test("a client's profile is whole, names the server as init was told, and its key opens with the server's", () => {
  const { status, out } = pki("client", "vpn", "ann");
  expect([status, out.split("\n").length - 1]).toEqual([0, 3]);
  expect(out).toStartWith("wrote vpn-ca/ann.ovpn, ");
  expect(mode("vpn-ca", "ann.ovpn")).toBe(0o600);
  const { remotes, control, warnings } = profile("ann.ovpn");
  expect(warnings).toEqual([]);
  expect(remotes).toMatchObject([{ host: "vpn.example.com", port: 443, protocol: "udp" }]);
  const serverKey = parseNamedKey("tls-crypt-v2-server", read("vpn", "tls-crypt-v2.key")) as Uint8Array;
  const { wrap } = control;
  if (wrap.kind !== "tls-crypt-v2") throw new Error(wrap.kind);
  expect(unwrapKey(serverKey, wrap.wrapped, noblePrimitives)?.key).toEqual(wrap.key);
});

test("for clients of 2.4 there is one wrapping key for all, the server's", () => {
  expect(pki("init", "old", "--server", "x", "--wrap", "tls-crypt").status).toBe(0);
  expect(read("old", "server.conf")).toContain("\ntls-crypt tls-crypt.key\n");
  expect(mode("old", "tls-crypt.key")).toBe(0o600);
  expect(pki("client", "old", "ann").out).toContain("a client of OpenVPN 2.4 or later");
  expect(read("old-ca", "ann.ovpn")).toEndWith(`<tls-crypt>\n${read("old", "tls-crypt.key")}</tls-crypt>\n`);
});

test("the lines of client.conf begin every profile", () => {
  const lines = read("vpn-ca", "client.conf");
  writeFileSync(at("vpn-ca", "client.conf"), `${lines}mssfix 1300 # ours`);
  expect(pki("client", "vpn", "changed").status).toBe(0);
  expect(read("vpn-ca", "changed.ovpn")).toStartWith(`${lines}mssfix 1300 # ours\n<ca>\n`);
  writeFileSync(at("vpn-ca", "client.conf"), lines);
});

test("a name has one certificate that counts; taken back, it can have another, and the list keeps both in mind", () => {
  expect(pki("client", "vpn", "bob").status).toBe(0);
  const first = read("vpn-ca", "bob.ovpn");
  expect(pki("client", "vpn", "bob")).toMatchObject({
    status: 1,
    err: expect.stringContaining("bob has a certificate"),
  });
  expect(read("vpn-ca", "bob.ovpn")).toBe(first);
  const revoked = pki("revoke", "vpn", "bob");
  expect([revoked.status, revoked.out.split("\n").length - 1]).toEqual([0, 3]);
  expect(pki("client", "vpn", "bob").status).toBe(0);
  expect(read("vpn-ca", "bob.ovpn")).not.toBe(first);
  const rows = pki("list", "vpn")
    .out.split("\n")
    .filter((row) => row.startsWith("bob "));
  expect(rows.map((row) => row.split(/ {2,}/)[3])).toEqual([expect.stringMatching(/^revoked \d{4}-/), "valid"]);
  const [serial] = /[0-9A-F]{32}/.exec(rows[0]!)!;
  const crl = Bun.spawnSync(["openssl", "crl", "-in", at("vpn", "crl.pem"), "-noout", "-text"]).stdout.toString();
  expect(crl.match(/Serial Number: .*/g)).toEqual([`Serial Number: ${serial}`]);
});

test("revoking again writes the list again: it may have been lost, or never written", () => {
  expect(pki("client", "vpn", "carol").status).toBe(0);
  expect(pki("revoke", "vpn", "carol").status).toBe(0);
  rmSync(at("vpn", "crl.pem"));
  expect(pki("revoke", "vpn", "carol").status).toBe(0);
  expect(read("vpn", "crl.pem")).toStartWith("-----BEGIN X509 CRL-----\n");
});

test("init takes an empty folder, and no other; what is there stays, and nothing is left of the attempt", () => {
  mkdirSync(at("empty"));
  expect(pki("init", "empty", "--server", "192.0.2.1", "--proto", "tcp").status).toBe(0);
  expect(read("empty", "server.conf")).toContain("\nproto tcp-server\n");
  expect(read("empty-ca", "client.conf")).toContain("\nproto tcp\nremote 192.0.2.1 1194\n");
  const before = read("vpn", "server.key");
  expect(pki("init", "vpn", "--server", "x")).toMatchObject({ status: 1, err: expect.stringContaining("not empty") });
  expect(read("vpn", "server.key")).toBe(before);
  mkdirSync(at("full"));
  writeFileSync(at("full", "x"), "");
  expect(pki("init", "full", "--server", "x")).toMatchObject({
    status: 1,
    err: expect.stringContaining("full is there"),
  });
  expect(existsSync(at("full-ca"))).toBe(false);
  expect(pki("init", "nowhere/vpn", "--server", "x").err).toContain("nowhere/vpn-ca: its parent folder is not there");
});

test("the folder can be where the command runs, and be named in any way", () => {
  mkdirSync(at("here"));
  const here = Bun.spawnSync([...COMMAND, "init", ".", "--server", "x"], { cwd: at("here") });
  expect(here.exitCode).toBe(0);
  expect(existsSync(at("here-ca", "ca.key"))).toBe(true);
  expect(pki("list", "here/").status).toBe(0);
  expect(pki("init", "/", "--server", "x")).toMatchObject({
    status: 1,
    err: expect.stringContaining("no place beside it"),
  });
});

test("what is not there or does not belong together is said in words", () => {
  expect(pki("client", "nowhere", "ann").err).toContain(
    '"nowhere" is no folder of a VPN: "morgana pki init" makes one',
  );
  cpSync(at("empty"), at("moved"), { recursive: true });
  expect(pki("client", "moved", "ann").err).toContain("moved-ca/ca.key is not there");
  renameSync(at("empty-ca", "ca.key"), at("empty-ca", "old.key"));
  cpSync(at("vpn-ca", "ca.key"), at("empty-ca", "ca.key"));
  expect(pki("client", "empty", "ann").err).toContain("ca.crt and ca.key in empty-ca do not belong together");
  renameSync(at("empty-ca", "old.key"), at("empty-ca", "ca.key"));
  writeFileSync(at("empty-ca", "index.txt"), "nonsense\n");
  expect(pki("client", "empty", "ann").err).toContain("empty-ca/index.txt:1: not a line");
  expect(pki("revoke", "vpn", "nobody").err).toContain('there is no "nobody"');
});

test("a profile that cannot be written leaves the register as it was", () => {
  mkdirSync(at("vpn-ca", "dave.ovpn"));
  const before = read("vpn-ca", "index.txt");
  expect(pki("client", "vpn", "dave")).toMatchObject({
    status: 1,
    err: expect.stringContaining("dave.ovpn is there already"),
  });
  expect(read("vpn-ca", "index.txt")).toBe(before);
});

test("two at once do not lose each other's certificate", async () => {
  const names = ["p", "q", "r", "s"];
  const runs = names.map((name) =>
    Bun.spawn([...COMMAND, "client", "vpn", name], { cwd: folder, stdout: "ignore", stderr: "ignore" }),
  );
  const done = await Promise.all(runs.map(({ exited }) => exited));
  const listed = pki("list", "vpn").out;
  for (const [i, name] of names.entries()) expect([name, done[i] === 0]).toEqual([name, listed.includes(`\n${name} `)]);
  expect(done).toContain(0);
});

test("wrong usage: status 2, in words, and nothing is made", async () => {
  const said = spyOn(process.stderr, "write").mockImplementation(() => true);
  const cases: [string[], RegExp][] = [
    [[], /one of init, client, revoke, list/],
    [["nonsense", "vpn"], /no command "nonsense"/],
    [["init"], /init needs DIR/],
    [["init", "a"], /init needs --server/],
    [["init", "a", "b", "--server", "x"], /init needs DIR alone/],
    [["init", "a", "--server", "x:y"], /"x:y" is no HOST/],
    [["init", "a", "--server", "x", "--proto", "sctp"], /--proto is udp or tcp/],
    [["client", "vpn", "UNDEF"], /"UNDEF" is OpenVPN's word/],
    [["client", "vpn", "DEFAULT"], /"DEFAULT" is OpenVPN's word/],
    [["init", "a", "--server", "x", "--wrap", "tls-auth"], /--wrap is tls-crypt-v2 or tls-crypt/],
    [["client", "vpn"], /one NAME/],
    [["client", "vpn", "a", "b"], /one NAME/],
    [["client", "vpn", "a", "--server", "x"], /--server, --proto and --wrap are for init/],
    [["client", "vpn", "../a"], /NAME is at most 64/],
    [["client", "vpn", "a/CN=b"], /NAME is at most 64/],
    [["client", "vpn", "x".repeat(65)], /NAME is at most 64/],
    [["revoke", "vpn", "server"], /the server's own name/],
    [["list", "vpn", "x"], /list needs DIR alone/],
  ];
  const status: number[] = [];
  for (const [args] of cases)
    status.push(await command(args.map((word) => (word === "vpn" || word === "a" ? at(word) : word))));
  const words = said.mock.calls.map(([text]) => text);
  said.mockRestore();
  expect(status).toEqual(cases.map(() => 2));
  for (const [i, [, problem]] of cases.entries()) expect(words[i]).toMatch(problem);
  expect(existsSync(at("a"))).toBe(false);
});
