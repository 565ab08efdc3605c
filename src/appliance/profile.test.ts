import { expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { formatProblem } from "../protocol/config/problem.ts";
import { openConfigSource } from "./config-source.ts";
import { type ConfigReader, type LoadOptions, type LoadResult, loadProfile } from "./profile.ts";
import { DEFAULT_SETTINGS, withoutDhcp } from "./settings/settings.ts";

const CONFIGS = join(import.meta.dir, "../../test/configs");
const CA = readFileSync(join(CONFIGS, "ca.crt"), "utf8");
const PROFILE = `client\r\ndev tun\r\nremote vpn.example 1194\r\nauth-user-pass\r\n<ca>\r\n${CA}</ca>\r\n`;
const OFFICE = { "appliance.toml": '[vpn]\nconfig = "office/a.ovpn"\n' };
const AUTH = "ann\r\ncorrect horse\r\n";

function disk(files: Record<string, string>): ConfigReader {
  return {
    list: () => Object.keys(files).filter((name) => !name.includes("/")),
    read: (name) => (Object.hasOwn(files, name) ? new TextEncoder().encode(files[name]) : undefined),
  };
}

const load = (files: Record<string, string>, options?: LoadOptions): LoadResult => loadProfile(disk(files), options);
const problems = (result: LoadResult): string[] =>
  result.ok ? [] : result.problems.map((p) => `${p.origin.file}:${p.origin.line}: ${p.directive}: ${p.problem}`);

test("a profile alone on the disk is enough, under any name", () => {
  const inline = `${PROFILE.replace("auth-user-pass\r\n", "")}<auth-user-pass>\r\n${AUTH}</auth-user-pass>\r\n`;
  for (const name of ["Provider (UDP).ovpn", "CLIENT.CONF", "profile"]) {
    const result = load({ [name]: inline });
    expect(problems(result)).toEqual([]);
    expect(result).toMatchObject({
      ok: true,
      settings: DEFAULT_SETTINGS,
      config: { file: name, login: { user: "ann" } },
    });
    expect(result.notices).toEqual([]);
  }
});

test("auth.txt serves a bare auth-user-pass, and one whose file is not there", () => {
  for (const line of ["auth-user-pass", "auth-user-pass /etc/openvpn/login.conf", "auth-user-pass stdin"]) {
    const result = load({ "a.ovpn": PROFILE.replace("auth-user-pass", line), "auth.txt": AUTH });
    expect(result).toMatchObject({
      ok: true,
      config: { login: { password: "correct horse", label: "auth.txt" } },
    });
  }
  expect(problems(load({ "a.ovpn": PROFILE }))).toEqual([
    expect.stringMatching(/^a\.ovpn:4: auth-user-pass: .*auth\.txt/),
  ]);
  expect(problems(load({ "a.ovpn": PROFILE, "auth.txt": "ann\n" }))).toEqual([
    expect.stringMatching(/^a\.ovpn:4: auth-user-pass: auth\.txt: .*password/),
  ]);
});

test("what the TLS library cannot work with is a problem of the profile, not of every attempt", () => {
  const lines = "auth-user-pass\r\ntls-groups secp999";
  expect(problems(load({ "a.ovpn": PROFILE.replace("auth-user-pass", lines), "auth.txt": AUTH }))).toEqual([
    expect.stringMatching(/^a\.ovpn:5: tls-groups: .* names what is unknown to OpenSSL: secp999/),
  ]);
});

test("vpn.config chooses the profile; its files are relative to it and stay on the disk", () => {
  const profile = `client\ndev tun\nremote a.example\nca ca.crt\n`;
  const toml = '[lan]\naddress = "10.0.0.1/24"\n[vpn]\nconfig = "office/a.ovpn"\n';
  const files = { "appliance.toml": toml, "office/a.ovpn": profile, "office/ca.crt": CA, "b.ovpn": "broken" };
  expect(load(files)).toMatchObject({
    ok: true,
    settings: { lan: { address: { prefix: 24 } } },
    config: { file: "office/a.ovpn" },
  });
  const outside = { ...files, "office/a.ovpn": profile.replace("ca ca.crt", "ca ../../ca.crt"), "../ca.crt": CA };
  expect(problems(load(outside))).toEqual([expect.stringMatching(/^office\/a\.ovpn:4: ca: the file .* is not there/)]);
  const missing = load({ "appliance.toml": toml });
  expect(problems(missing)).toEqual(['appliance.toml:4: vpn.config: the file "office/a.ovpn" is not there']);
});

test("absolute paths lead to what lies beside the profile, and never out of the folder", () => {
  const profile = "client\ndev tun\nremote a.example\nremote-cert-tls server\nca /etc/openvpn/acme/ca.crt\n";
  const taken = load({ "office/a.ovpn": profile, "office/acme/ca.crt": CA, "office/ca.crt": "other", ...OFFICE });
  expect(taken).toMatchObject({ ok: true, config: { tls: { ca: { label: "acme/ca.crt" } } } });
  expect(taken.warnings.map(formatProblem)).toEqual([
    'office/a.ovpn:5: ca: "acme/ca.crt" beside the profile is taken for "/etc/openvpn/acme/ca.crt"',
  ]);
  // It lies on the disk, and not beside the profile.
  expect(problems(load({ "office/a.ovpn": profile, "ca.crt": CA, ...OFFICE }))).toEqual([
    expect.stringMatching(
      /^office\/a\.ovpn:5: ca: the file .* is not there; put it beside the profile \(as "ca\.crt"\)/,
    ),
  ]);
});

test("a link beside the profile that leads out of the folder is not followed, whatever path the profile has", () => {
  const folder = mkdtempSync(join(tmpdir(), "morgana-profile-"));
  try {
    symlinkSync(join(CONFIGS, "ca.crt"), join(folder, "ca.crt"));
    for (const path of ["ca.crt", join(CONFIGS, "ca.crt"), "/etc/ca.crt"]) {
      writeFileSync(join(folder, "a.ovpn"), `client\ndev tun\nremote a.example\nca ${path}\n`);
      for (const place of [folder, join(folder, "a.ovpn")]) {
        const { reader, options } = openConfigSource(place);
        expect(problems(loadProfile(reader, options))).toEqual([
          expect.stringMatching(/^a\.ovpn:4: ca: the file ".*ca\.crt" is a link out of the folder/),
        ]);
      }
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("what is wrong with the folder names the folder, and no line of a file that need not exist", () => {
  const said = (result: LoadResult): string[] => (result.ok ? [] : result.problems.map(formatProblem));
  const none = load({}, openConfigSource(CONFIGS).options);
  expect(said(none)).toEqual([expect.stringMatching(/test\/configs: vpn\.config: there is no OpenVPN file/)]);
  const two = load({ "b.ovpn": PROFILE, "a.conf": PROFILE, "appliance.toml": "" }, { place: "the config disk (vda)" });
  expect(said(two)).toEqual([
    expect.stringMatching(/^the config disk \(vda\): vpn\.config: there are 2 OpenVPN files/),
  ]);
  expect(said(load({}, { single: "a.ovpn" }))).toEqual([
    expect.stringMatching(/^a\.ovpn: file: is not there any more/),
  ]);
});

test("CR alone ends a line, as Macs wrote it: of the profile, auth.txt and appliance.toml", () => {
  const old = (text: string): string => text.replace(/\r?\n/g, "\r");
  const files = { "a.ovpn": PROFILE, "auth.txt": AUTH, "appliance.toml": '[log]\nlevel = "debug"\n' };
  const macs = Object.fromEntries(Object.entries(files).map(([name, text]) => [name, old(text)]));
  expect(load(macs)).toEqual(load(files));
  expect(load(macs)).toMatchObject({ ok: true, settings: { log: { level: "debug" } } });
});

test("none or several profiles is one clear problem", () => {
  expect(problems(load({}))).toEqual([expect.stringContaining("there is no OpenVPN file")]);
  expect(problems(load({ "appliance.toml": "", "readme.txt": "" }))).toEqual([
    expect.stringContaining("there is no OpenVPN file"),
  ]);
  expect(problems(load({ "b.ovpn": PROFILE, "a.conf": PROFILE }))).toEqual([
    expect.stringContaining(
      'there are 2 OpenVPN files ("a.conf", "b.ovpn"); to take the first, write into appliance.toml, below [vpn]: config = "a.conf"',
    ),
  ]);
  expect(load({ "a.ovpn": PROFILE, "._a.ovpn": "\0\0", "auth.txt": AUTH })).toMatchObject({ ok: true });
});

test("files that nothing takes are named: a wrong name is seen, and not taken for a setting", () => {
  const good = { "a.ovpn": PROFILE, "auth.txt": AUTH };
  const notices = (files: Record<string, string>): readonly string[] =>
    load(files).notices.filter((notice) => notice.startsWith("not used"));
  expect(notices({ ...good, "b/x.txt": "", "._auth.txt": "", ".DS_Store": "" })).toEqual([]);
  expect(notices({ ...good, "appliance.toml.txt": "", "Notes.txt": "" })).toEqual([
    expect.stringMatching(/^not used: "Notes\.txt", "appliance\.toml\.txt"; what counts is appliance\.toml,/),
  ]);
  expect(notices({ "a.ovpn.txt": PROFILE, "AUTH.TXT": AUTH })).toEqual([
    expect.stringContaining('"AUTH.TXT", "a.ovpn.txt"'),
  ]);
  // As FAT does it.
  const reader: ConfigReader = {
    list: () => ["A.OVPN", "AUTH.TXT"],
    read: (name) => disk(good).read(name.toLowerCase()),
  };
  expect(loadProfile(reader)).toMatchObject({ ok: true, notices: [] });
});

test("problems of both files are reported at once, with the defaults for what could not be read", () => {
  const result = load({
    "appliance.toml": "[lan]\nx = 1\n",
    "a.ovpn": PROFILE.replace("1194", "banana"),
    "auth.txt": AUTH,
  });
  expect(problems(result).map((p) => p.split(" ")[0])).toEqual(["appliance.toml:2:", "a.ovpn:3:"]);
  expect(result.settings).toEqual(withoutDhcp(DEFAULT_SETTINGS));
});

test("a static WAN with a problem, or one that cannot be read, has no address: it is not asked for by DHCP", () => {
  const wan = (toml: string): unknown =>
    load({ "appliance.toml": toml, "a.ovpn": PROFILE, "auth.txt": AUTH }).settings.wan.address;
  const fixed = '[wan]\naddress = "203.0.113.5/24"\ngateway = "203.0.113.1"\n';
  expect(String(wan(fixed))).toBe("203.0.113.5/24");
  expect(wan(fixed.replace("113.5/24", "113.5/33"))).toBe("none");
  expect(wan(fixed.replace("113.1", "114.1"))).toBe("none");
  expect(wan(`${fixed}mtu = 5\n`)).toBe("none");
  expect(wan(`${fixed}x = 5\n`)).toBe("none");
  expect(wan(`${fixed}x = \n`)).toBe("none");
  // What is wrong elsewhere does not take it away.
  expect(String(wan(`${fixed}[log]\nlevel = "loud"\n`))).toBe("203.0.113.5/24");
  expect(wan("[log]\nx = 1\n")).toBe("dhcp");
});

test("one file given by itself takes no appliance.toml from beside it, but the files that it names", () => {
  const { reader, options } = openConfigSource(join(CONFIGS, "files.ovpn"));
  const result = loadProfile(reader, options);
  expect(problems(result)).toEqual([]);
  expect(result).toMatchObject({
    ok: true,
    settings: DEFAULT_SETTINGS,
    config: { file: "files.ovpn", link: { localPort: undefined } },
  });
  expect(load({ "appliance.toml": "broken", "a.ovpn": PROFILE, "auth.txt": AUTH }, { single: "a.ovpn" })).toMatchObject(
    { ok: true },
  );
});

test("a folder with several profiles and no appliance.toml says so", () => {
  const { reader, options } = openConfigSource(CONFIGS);
  expect(problems(loadProfile(reader, options))).toEqual([
    expect.stringMatching(/test\/configs:0: vpn\.config: there are \d+ OpenVPN files/),
  ]);
});
