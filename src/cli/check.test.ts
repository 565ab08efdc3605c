import { expect, spyOn, test } from "bun:test";
import { generateKeyPairSync } from "node:crypto";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readFileOrPipe } from "../platform/sys/file.ts";
import { check as runCheck } from "./check.ts";

const ROOT = join(import.meta.dir, "../..");
const CONFIGS = join(ROOT, "test/configs");

/** Within this process, in the folder of the profiles. */
async function check(...args: string[]): Promise<{ status: number; out: string; err: string }> {
  const written = { out: "", err: "" };
  const keep = (stream: "out" | "err") => (text: string | Uint8Array) => {
    written[stream] += text;
    return true;
  };
  const before = process.cwd();
  const spies = [spyOn(process.stdout, "write"), spyOn(process.stderr, "write")] as const;
  spies[0].mockImplementation(keep("out"));
  spies[1].mockImplementation(keep("err"));
  process.chdir(CONFIGS);
  try {
    const status = await runCheck(args);
    return { status, ...written };
  } finally {
    process.chdir(before);
    for (const spy of spies) spy.mockRestore();
  }
}

test("a valid profile: resolved on stdout, warnings on stderr, status 0", async () => {
  const { status, out, err } = await check("--client", "office.ovpn");
  expect(out).toContain("\nmssfix 1360 fixed\n");
  expect(out).toContain("\n<ca>\n-----BEGIN CERTIFICATE-----\n");
  expect(err).not.toContain("-----BEGIN");
  expect(status).toBe(0);
});

test("an invalid one: nothing on stdout, FILE:LINE: directive: problem on stderr, status 1", async () => {
  const { status, out, err } = await check("bad/together.ovpn");
  expect(out).toBe("");
  expect(err).toContain("bad/together.ovpn:10: tls-crypt: cannot stand beside tls-auth");
  expect(err).toContain("bad/together.ovpn:5: lport: cannot stand beside nobind\n");
  expect(status).toBe(1);
  expect((await check("--server", "files.ovpn")).status).toBe(1);
});

test("a server's profile: resolved on stdout, and --server says that it has to be one", async () => {
  const { status, out, err } = await check("--server", "server/install-script.conf");
  expect(out).toContain("\nifconfig-pool 10.8.0.2 10.8.0.254 255.255.255.0\n");
  const warned = err.split("\n").map((line) => line.split(": ")[1]);
  expect(warned).toEqual(["ecdh-curve", "client-config-dir", "status", "iroute", undefined]);
  expect(err).toMatch(/^ccd\/branch:3: iroute: no route in the server's profile leads to 192\.168\.77\.0\/24/m);
  expect(status).toBe(0);
  const wrong = await check("--client", "server/install-script.conf");
  expect(wrong.err).toContain("server/install-script.conf:10: server: this is a server's profile");
  expect(wrong.status).toBe(1);
});

test("of a server its clients' files and its users are checked as well, by the appliance.toml beside it", async () => {
  const folder = mkdtempSync(join(tmpdir(), "morgana-check-"));
  const file = join(folder, "server.conf");
  try {
    cpSync(join(CONFIGS, "server"), folder, { recursive: true });
    const profile = readFileSync(join(folder, "install-script.conf"), "utf8");
    writeFileSync(file, `${profile}verify-client-cert none\n`);
    writeFileSync(join(folder, "ccd/broken"), "iroute nowhere\n");
    const { status, out, err } = await check(file);
    expect([status, out]).toEqual([1, ""]);
    expect(err).toContain(`${file}:31: verify-client-cert: none would let in whoever has no certificate`);
    expect(err).toContain("ccd/broken:1: iroute: ");
    rmSync(join(folder, "ccd/broken"));
    writeFileSync(join(folder, "appliance.toml"), '[server]\nusers = "users.txt"\n');
    expect((await check(file)).err).toContain('appliance.toml:2: server.users: the file "users.txt" is not there');
    const hash = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$c29tZWhhc2hzb21laGFzaHNvbWVoYXNoc29tZWhhc2g";
    writeFileSync(join(folder, "users.txt"), `ann:${hash}\n`);
    expect((await check(file)).status).toBe(0);
    // A profile in a folder of the configuration, which the file at its top names.
    const top = mkdtempSync(join(tmpdir(), "morgana-check-"));
    cpSync(folder, join(top, "vpn"), { recursive: true });
    rmSync(join(top, "vpn/appliance.toml"));
    rmSync(join(top, "vpn/users.txt"));
    const inside = join(top, "vpn/server.conf");
    expect((await check(inside)).err).toContain("verify-client-cert: none would let in");
    writeFileSync(join(top, "users.txt"), `ann:${hash}\n`);
    writeFileSync(join(top, "appliance.toml"), '[vpn]\nconfig = "vpn/server.conf"\n[server]\nusers = "users.txt"\n');
    expect((await check(inside)).status).toBe(0);
    writeFileSync(join(top, "appliance.toml"), '[vpn]\nconfig = "vpn/other.conf"\n[server]\nusers = "users.txt"\n');
    expect((await check(inside)).status).toBe(1);
    rmSync(top, { recursive: true });
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("an appliance.toml is checked with the profile that it goes with, a client's too, and each problem names its own line", async () => {
  const folder = mkdtempSync(join(tmpdir(), "morgana-check-"));
  const [file, toml] = [join(folder, "office.ovpn"), join(folder, "appliance.toml")];
  try {
    cpSync(join(CONFIGS, "office.ovpn"), file);
    expect((await check(file)).status).toBe(0);
    writeFileSync(toml, '[lan]\naddress = "192.168.50.1/33"\n[vpn]\nnatt = true\n[server]\nlan = "routed"\n');
    const { status, out, err } = await check(file);
    expect([status, out]).toEqual([1, ""]);
    expect(err).toContain('appliance.toml:2: lan.address: "192.168.50.1/33" is no address');
    expect(err).toContain("appliance.toml:4: vpn.natt: ");
    expect(err).toContain("appliance.toml:6: server.lan: ");
    // A profile that the folder's appliance.toml does not go with.
    writeFileSync(toml, '[lan]\naddress = "192.168.50.1/33"\n[vpn]\nconfig = "other.ovpn"\n');
    expect((await check(file)).status).toBe(0);
    writeFileSync(toml, '[vpn]\nconfig = "offce.ovpn"\n');
    const other = await check(file);
    expect(other.err).toContain('appliance.toml:2: vpn.config: the file "offce.ovpn" is not there (warning)\n');
    expect(other.status).toBe(0);
    writeFileSync(toml, '[server]\nlan = "routed"\n');
    cpSync(join(CONFIGS, "server"), folder, { recursive: true });
    expect((await check(file)).status).toBe(0);
    writeFileSync(toml, '[lan]\naddress = "192.168.50.1/33"\n[server]\nusers = "users.txt"\n');
    const server = await check(join(folder, "install-script.conf"));
    expect(server.err).toContain("appliance.toml:2: lan.address: ");
    expect(server.err).toContain("appliance.toml:4: server.users: the file");
    expect(server.status).toBe(1);
    writeFileSync(toml, '[lan]\naddress = "10.8.0.254/16"\n[status]\ncommands = true\nusers = "operators.txt"\n');
    const beside = await check(join(folder, "install-script.conf"));
    expect(beside.err).toContain('appliance.toml:5: status.users: the file "operators.txt" is not there');
    expect(beside.err).toContain("server: the tunnel's network 10.8.0.0/24 overlaps the LAN 10.8.0.0/16: give one");
    expect(beside.status).toBe(1);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("a folder is none, and its profile is named", async () => {
  const folder = mkdtempSync(join(tmpdir(), "morgana-check-"));
  try {
    cpSync(join(CONFIGS, "office.ovpn"), join(folder, "office.ovpn"));
    const { status, err } = await check(folder);
    expect(err).toContain(`is a directory; name the OpenVPN file in it: ${join(folder, "office.ovpn")}\n`);
    expect(status).toBe(2);
    expect((await check(".")).err).toContain(". is a directory; name the OpenVPN file in it\n");
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("what the TLS library cannot work with is a problem at its line", async () => {
  const folder = mkdtempSync(join(tmpdir(), "morgana-check-"));
  const file = join(folder, "a.ovpn");
  const pair = ["-in", join(CONFIGS, "client.crt"), "-inkey", join(CONFIGS, "client.key")];
  const own = "cert client.crt\nkey client.key\n";
  const cases: [string, string, RegExp, number][] = [
    ["cert client.crt\nkey other.key\n", "7: key", /other\.key does not belong to the certificate in client\.crt/, 1],
    ["askpass wrong.txt\npkcs12 locked.p12\n", "7: pkcs12", /the pass phrase \(askpass\) is wrong/, 1],
    ["askpass endless.txt\npkcs12 locked.p12\n", "6: askpass", /endless\.txt: the pass phrase is too long/, 1],
    ["pkcs12 locked.p12\n", "6: pkcs12", /it needs a pass phrase/, 1],
    ["askpass wrong.txt\npkcs12 client.p12\n", "", /^$/, 0],
    [`tls-groups secp999\n${own}`, "6: tls-groups", /names what is unknown to OpenSSL: secp999/, 1],
    [`tls-cipher RC4-MD5\n${own}`, "6: tls-cipher", /no usable cipher in "RC4-MD5"/, 1],
  ];
  try {
    for (const name of ["ca.crt", "client.crt", "client.key", "client.p12"])
      cpSync(join(CONFIGS, name), join(folder, name));
    writeFileSync(join(folder, "wrong.txt"), "nonsense\n");
    writeFileSync(join(folder, "endless.txt"), "x".repeat(20_000));
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    writeFileSync(join(folder, "other.key"), privateKey.export({ type: "pkcs8", format: "pem" }));
    const locked = join(folder, "locked.p12");
    Bun.spawnSync(["openssl", "pkcs12", "-export", "-passout", "pass:secret", ...pair, "-out", locked]);
    for (const [lines, start, problem, wanted] of cases) {
      writeFileSync(file, `client\ndev tun\nremote 192.0.2.1\nremote-cert-tls server\nca ca.crt\n${lines}`);
      const { status, out, err } = await check(file);
      expect(err).toMatch(problem);
      if (start !== "") expect(err).toStartWith(`${file}:${start}: `);
      expect([status, out === ""]).toEqual([wanted, wanted === 1]);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("files are looked for where the appliance looks: beside the profile, and not where an absolute path or a link leads", async () => {
  const folder = mkdtempSync(join(tmpdir(), "morgana-check-"));
  const file = join(folder, "a.ovpn");
  const profile = (ca: string): void =>
    writeFileSync(file, `client\ndev tun\nremote 192.0.2.1\nremote-cert-tls server\nca ${ca}\n`);
  try {
    profile(join(CONFIGS, "ca.crt"));
    expect(await check(file)).toMatchObject({ status: 1, err: expect.stringContaining(":5: ca: the file ") });
    symlinkSync(join(CONFIGS, "ca.crt"), join(folder, "ca.crt"));
    expect(await check(file)).toMatchObject({ status: 1, err: expect.stringContaining("is a link out of the folder") });
    rmSync(join(folder, "ca.crt"));
    cpSync(join(CONFIGS, "ca.crt"), join(folder, "ca.crt"));
    const { status, err } = await check(file);
    expect(err).toBe(`${file}:5: ca: "ca.crt" beside the profile is taken for "${CONFIGS}/ca.crt" (warning)\n`);
    expect(status).toBe(0);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("where no appliance.toml says which folder is the top, a name may lead above the profile's, and a relative link with it", async () => {
  const top = mkdtempSync(join(tmpdir(), "morgana-check-"));
  const file = join(top, "vpn/a.ovpn");
  const profile = (ca: string): void =>
    writeFileSync(file, `client\ndev tun\nremote 192.0.2.1\nremote-cert-tls server\nca ${ca}\n`);
  const problem = async (): Promise<string> => /ca: the file ".*?" (.*)/.exec((await check(file)).err)?.[1] ?? "";
  try {
    for (const folder of ["vpn", "keys"]) mkdirSync(join(top, folder));
    cpSync(join(CONFIGS, "ca.crt"), join(top, "keys/real.crt"));
    symlinkSync("real.crt", join(top, "keys/ca.crt"));
    symlinkSync("../keys/ca.crt", join(top, "vpn/ca.crt"));
    symlinkSync("circle.crt", join(top, "vpn/circle.crt"));
    symlinkSync("../keys/none.crt", join(top, "vpn/none.crt"));
    for (const name of ["ca.crt", "../keys/ca.crt"]) {
      profile(name);
      expect(await problem()).toBe("");
      // This one is the top, whichever profile it names.
      writeFileSync(join(top, "vpn/appliance.toml"), "");
      expect(await problem()).toMatch(/^is (not there|a link out of the folder, to .*; put the file itself there)/);
      rmSync(join(top, "vpn/appliance.toml"));
      writeFileSync(join(top, "appliance.toml"), '[vpn]\nconfig = "vpn/a.ovpn"\n');
      expect(await problem()).toBe("");
      rmSync(join(top, "appliance.toml"));
    }
    for (const [name, said] of [
      ["circle.crt", "is a link that leads in a circle"],
      ["none.crt", "is not there"],
      ["../keys/none.crt", "is not there"],
    ] as const) {
      profile(name);
      expect(await problem()).toStartWith(said);
    }
    writeFileSync(join(top, "appliance.toml"), '[vpn]\nconfig = "vpn/a.ovpn"\n');
    symlinkSync("../../../../../..", join(top, "vpn/far"));
    profile(`far${join(CONFIGS, "ca.crt")}`);
    expect(await problem()).toStartWith("is a link out of the folder");
  } finally {
    rmSync(top, { recursive: true });
  }
});

test("wrong usage and unreadable files: status 2", async () => {
  for (const args of [
    [],
    ["a", "b"],
    ["--nope", "x"],
    ["--client", "--server", "office.ovpn"],
    ["nowhere.ovpn"],
    ["."],
  ]) {
    const { status, out, err } = await check(...args);
    expect(out).toBe("");
    expect(err).toStartWith("morgana: check: ");
    expect(status).toBe(2);
  }
});

test("whoever misuses a subcommand is sent to its own help", async () => {
  expect((await check("--nope")).err).toEndWith('\nTry "morgana check --help".\n');
  const wrong = Bun.spawnSync([process.execPath, join(ROOT, "src/main.ts"), "appliance"]);
  expect(wrong.stderr.toString()).toEndWith('\nTry "morgana appliance --help".\n');
  const none = Bun.spawnSync([process.execPath, join(ROOT, "src/main.ts"), "nonsense"]);
  expect(none.stderr.toString()).toEndWith('\nTry "morgana --help".\n');
});

test("warnings and problems come in the order of the lines", async () => {
  const lines = (await check("bad/together.ovpn")).err.matchAll(/^bad\/together\.ovpn:(\d+): .*?(\(warning\))?$/gm);
  const found = [...lines].map(([, line, warning]) => ({ line: Number(line), warning: warning !== undefined }));
  expect(found.map(({ line }) => line)).toEqual(found.map(({ line }) => line).sort((a, b) => a - b));
});

test("a device without end is not read to its end, and a pipe is read", async () => {
  expect(await check("/dev/zero")).toMatchObject({ status: 2, err: expect.stringContaining("larger than 4 MiB") });
  const piped = Bun.spawnSync([process.execPath, join(ROOT, "src/main.ts"), "check", "/dev/stdin"], {
    stdin: Buffer.from("client\ndev tun\n"),
  });
  expect(piped.stderr.toString()).toContain("/dev/stdin:1: remote: missing");
  expect(piped.exitCode).toBe(1);
});

test("--help on stdout, status 0", async () => {
  const { status, out } = await check("--help");
  expect(out).toContain("usage: morgana check");
  expect(status).toBe(0);
});

test("a FIFO that nobody writes to is waited for, and not for ever", async () => {
  const folder = mkdtempSync(join(tmpdir(), "morgana-check-"));
  const path = join(folder, "x.ovpn");
  try {
    Bun.spawnSync(["mkfifo", path]);
    expect(readFileOrPipe(path, 100, 20)).toBe("is a pipe that nobody has written to for 0.02 s");
    const writer = Bun.spawn(["sh", "-c", `exec 3>'${path}'; printf client >&3; sleep 0.1; printf ' # more' >&3`]);
    expect(new TextDecoder().decode(readFileOrPipe(path, 100, 10_000) as Uint8Array)).toBe("client # more");
    writer.kill();
    expect(readFileOrPipe("/dev/zero", 1 << 20, 10_000)).toBe("is larger than 1 MiB");
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("a file's name reaches the terminal without its control characters", async () => {
  const folder = mkdtempSync(join(tmpdir(), "morgana-check-"));
  try {
    const file = join(folder, "\u001b[31mevil\n\u202e.ovpn");
    writeFileSync(file, "bogus\n");
    const { err, status } = await check(file);
    expect(err).toContain("/?[31mevil??.ovpn:1: ");
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
    expect(err).not.toMatch(/[\u001b\u202e]/);
    expect(status).toBe(1);
    expect((await check(join(folder, "\u001b[31m"))).err).not.toContain("\u001b");
  } finally {
    rmSync(folder, { recursive: true });
  }
});
