import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "morgana-genkey-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

function genkey(...args: string[]): { status: number; out: string; err: string } {
  const run = Bun.spawnSync([process.execPath, join(import.meta.dir, "../main.ts"), "genkey", ...args], {
    cwd: folder,
  });
  return { status: run.exitCode, out: run.stdout.toString(), err: run.stderr.toString() };
}
const read = (name: string): string => readFileSync(join(folder, name), "utf8");

test("each type on stdout, or in a file that its owner alone may read", () => {
  const begins = {
    "tls-auth": "Static key V1",
    "tls-crypt": "Static key V1",
    secret: "Static key V1",
    "tls-crypt-v2-server": "tls-crypt-v2 server key",
    "auth-token": "auth-token server key",
  };
  for (const [type, name] of Object.entries(begins)) {
    expect(genkey(type)).toEqual({
      status: 0,
      out: expect.stringContaining(`-----BEGIN OpenVPN ${name}-----\n`),
      err: "",
    });
    expect(genkey(type, `${type}.key`)).toEqual({ status: 0, out: "", err: "" });
    expect(read(`${type}.key`)).toContain(`-----BEGIN OpenVPN ${name}-----\n`);
    expect(statSync(join(folder, `${type}.key`)).mode & 0o777).toBe(0o600);
  }
  expect(genkey("tls-crypt-v2-client", "--server-key", "tls-crypt-v2-server.key", "ann.key").status).toBe(0);
  expect(read("ann.key")).toMatch(/^-----BEGIN OpenVPN tls-crypt-v2 client key-----\n/);
});

test("a file that is there is replaced with --force alone", () => {
  writeFileSync(join(folder, "precious"), "before");
  const { status, err } = genkey("secret", "precious");
  expect([status, err]).toEqual([1, "morgana: genkey: precious is there already (--force replaces a file)\n"]);
  expect(read("precious")).toBe("before");
  expect(genkey("secret", "--force", "precious").status).toBe(0);
  expect(read("precious")).toContain("BEGIN OpenVPN Static key V1");
  expect(genkey("secret", "nowhere/a").err).toBe("morgana: genkey: nowhere/a: its folder is not there\n");
});

test("wrong usage: status 2, in words, and nothing is made", () => {
  const cases: [string[], RegExp][] = [
    [[], /a TYPE is needed/],
    [["nonsense"], /"nonsense" is no TYPE/],
    [["secret", "a", "b"], /one FILE at most/],
    [["secret", "--force"], /--force is for a FILE/],
    [["secret", "--metadata", "x"], /--metadata is for tls-crypt-v2-client/],
    [["tls-crypt-v2-client"], /--server-key is needed/],
    [["tls-crypt-v2-client", "--server-key", "nowhere"], /nowhere is not there/],
    [
      ["tls-crypt-v2-client", "--server-key", "secret.key"],
      /secret\.key holds no .* \(it is an OpenVPN Static key V1\)/,
    ],
    [
      ["tls-crypt-v2-client", "--server-key", "tls-crypt-v2-server.key", "--metadata", "x".repeat(734)],
      /longer than 733 bytes/,
    ],
  ];
  for (const [args, problem] of cases) {
    const { status, out, err } = genkey(...args);
    expect([args, status, out]).toEqual([args, 2, ""]);
    expect(err).toMatch(problem);
  }
});
