import { expect, test } from "bun:test";
import { join } from "node:path";

const ROOT = join(import.meta.dir, "../..");
const CONFIGS = join(ROOT, "test/configs");

function check(...args: string[]): { status: number; out: string; err: string } {
  const run = Bun.spawnSync([process.execPath, join(ROOT, "src/main.ts"), "check", ...args], { cwd: CONFIGS });
  return { status: run.exitCode, out: run.stdout.toString(), err: run.stderr.toString() };
}

test("a valid profile: resolved on stdout, warnings on stderr, status 0", () => {
  const { status, out, err } = check("--client", "office.ovpn");
  expect(err).toContain("office.ovpn:5: remote: skipped: TCP is not available yet (warning)\n");
  expect(out).toContain("\nmssfix 1360 fixed\n");
  expect(out).toContain("\n<ca>\n-----BEGIN CERTIFICATE-----\n");
  expect(err).not.toContain("-----BEGIN");
  expect(status).toBe(0);
});

test("an invalid one: nothing on stdout, FILE:LINE: directive: problem on stderr, status 1", () => {
  const { status, out, err } = check("bad/together.ovpn");
  expect(out).toBe("");
  expect(err).toContain("bad/together.ovpn:10: tls-crypt: cannot stand beside tls-auth");
  expect(err).toContain("bad/together.ovpn:5: lport: cannot stand beside nobind\n");
  expect(status).toBe(1);
  expect(check("--server", "files.ovpn").status).toBe(1);
});

test("wrong usage and unreadable files: status 2", () => {
  for (const args of [
    [],
    ["a", "b"],
    ["--nope", "x"],
    ["--client", "--server", "office.ovpn"],
    ["nowhere.ovpn"],
    ["."],
  ]) {
    const { status, out, err } = check(...args);
    expect(out).toBe("");
    expect(err).toStartWith("morgana: check: ");
    expect(status).toBe(2);
  }
});

test("a device without end is not read to its end, and a pipe is read", () => {
  expect(check("/dev/zero")).toMatchObject({ status: 2, err: expect.stringContaining("larger than 4 MiB") });
  const piped = Bun.spawnSync([process.execPath, join(ROOT, "src/main.ts"), "check", "/dev/stdin"], {
    stdin: Buffer.from("client\ndev tun\n"),
  });
  expect(piped.stderr.toString()).toContain("/dev/stdin:1: remote: missing");
  expect(piped.exitCode).toBe(1);
});

test("--help on stdout, status 0", () => {
  const { status, out } = check("--help");
  expect(out).toContain("usage: morgana check");
  expect(status).toBe(0);
});
