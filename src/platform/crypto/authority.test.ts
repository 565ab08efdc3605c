import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Authority, type Issued } from "./authority.ts";

const NOW = Date.now();
const DAY = 86_400_000;
let folder: string;
let authority: Authority;
let ca: { certificate: string; key: string };
let server: Issued;
let client: Issued;

/** What the openssl program says to these words. */
function openssl(...words: string[]): string {
  const { stdout, stderr } = Bun.spawnSync(["openssl", ...words], { cwd: folder });
  return stdout.toString() + stderr.toString();
}
const write = (name: string, text: string): void => writeFileSync(join(folder, name), text);

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "morgana-authority-"));
  ({ authority, ...ca } = await Authority.create(NOW));
  server = await authority.server(NOW, "server", { type: "dns", value: "vpn.example" });
  client = await authority.client(NOW, "ann");
  write("ca.crt", ca.certificate);
  write("server.crt", server.certificate);
  write("ann.crt", client.certificate);
});
afterAll(() => rmSync(folder, { recursive: true }));

test("OpenSSL finds each certificate good for its purpose alone, by the strictest reading of RFC 5280", () => {
  const verify = (purpose: string, file: string): string =>
    openssl("verify", "-x509_strict", "-purpose", purpose, "-CAfile", "ca.crt", file);
  expect(verify("sslserver", "server.crt")).toBe("server.crt: OK\n");
  expect(verify("sslclient", "ann.crt")).toBe("ann.crt: OK\n");
  expect(verify("sslclient", "server.crt")).toContain("unsuitable certificate purpose");
  expect(verify("sslserver", "ann.crt")).toContain("unsuitable certificate purpose");
});

test("a client's certificate signs no other one", () => {
  write("ann.key", client.key);
  openssl(
    "req",
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:P-256",
    "-nodes",
    "-keyout",
    "x.key",
    "-out",
    "x.csr",
    "-subj",
    "/CN=x",
  );
  openssl("x509", "-req", "-in", "x.csr", "-CA", "ann.crt", "-CAkey", "ann.key", "-set_serial", "1", "-out", "x.crt");
  expect(openssl("verify", "-CAfile", "ca.crt", "-untrusted", "ann.crt", "x.crt")).toContain("invalid CA certificate");
});

test("it is good from a day before, the server's as long as the authority, a client's for ten years", async () => {
  const dates = openssl("x509", "-in", "ca.crt", "-noout", "-startdate", "-enddate", "-dateopt", "iso_8601");
  const [start, end] = [...dates.matchAll(/=(\S+) (\S+)/g)].map(([, date, time]) => Date.parse(`${date}T${time}`));
  expect(NOW - start!).toBeWithin(DAY, DAY + 1000);
  expect((end! - NOW) / DAY / 365.25).toBeCloseTo(20, 1);
  expect(server.notAfter).toEqual(authority.notAfter);
  expect((client.notAfter.getTime() - NOW) / DAY / 365.25).toBeCloseTo(10, 1);
  const late = await authority.client(authority.notAfter.getTime() - DAY, "late");
  expect(late.notAfter).toEqual(authority.notAfter);
});

test("the serial number is 16 bytes, another one each time, and as the certificate has it", () => {
  expect(client.serial).toMatch(/^[4-7][0-9A-F]{31}$/);
  expect(client.serial).not.toBe(server.serial);
  expect(openssl("x509", "-in", "ann.crt", "-noout", "-serial")).toBe(`serial=${client.serial}\n`);
});

test("the server's is for its host, by name or by address", async () => {
  const names = (): string => openssl("x509", "-in", "server.crt", "-noout", "-ext", "subjectAltName");
  expect(names()).toContain("DNS:vpn.example\n");
  for (const [value, shown] of [
    ["192.0.2.1", "192.0.2.1"],
    ["2001:db8::1", "2001:DB8:0:0:0:0:0:1"],
  ] as const) {
    write("server.crt", (await authority.server(NOW, "server", { type: "ip", value })).certificate);
    expect(names()).toContain(`IP Address:${shown}\n`);
  }
});

test("the list takes back what it names and nothing else, signed, and valid as long as the authority", async () => {
  const verdict = (file: string): string =>
    openssl("verify", "-crl_check", "-x509_strict", "-CAfile", "ca.crt", "-CRLfile", "crl.pem", file);
  write("crl.pem", await authority.revocationList(NOW, []));
  expect(verdict("ann.crt")).toBe("ann.crt: OK\n");
  const other = await authority.client(NOW, "bob");
  write("bob.crt", other.certificate);
  write("crl.pem", await authority.revocationList(NOW, [{ serial: client.serial, at: new Date(NOW) }]));
  expect(verdict("ann.crt")).toContain("certificate revoked");
  expect(verdict("bob.crt")).toBe("bob.crt: OK\n");
  expect(openssl("crl", "-in", "crl.pem", "-noout", "-CAfile", "ca.crt")).toBe("verify OK\n");
  const nextUpdate = openssl("crl", "-in", "crl.pem", "-noout", "-nextupdate", "-dateopt", "iso_8601");
  expect(nextUpdate).toBe(`nextUpdate=${authority.notAfter.toISOString().replace("T", " ").replace(".000", "")}\n`);
});

test("the number of a list is the time, as the shortest positive integer", async () => {
  for (const [seconds, number] of [
    [0x7f, "127"],
    [0x80, "128"],
    [0x80_00_00_00, "2147483648"],
    [0x1_00_00_00_00, "4294967296"],
  ] as const) {
    write("crl.pem", await authority.revocationList(seconds * 1000, []));
    expect(openssl("crl", "-in", "crl.pem", "-noout", "-text")).toContain(`CRL Number: \n                ${number}\n`);
  }
});

test("it opens again from its two files, and not from those of two", async () => {
  const again = await Authority.open(ca.certificate, ca.key);
  write("carol.crt", (await again.client(NOW, "carol")).certificate);
  expect(openssl("verify", "-CAfile", "ca.crt", "carol.crt")).toBe("carol.crt: OK\n");
  const other = await Authority.create(NOW);
  await expect(Authority.open(ca.certificate, other.key)).rejects.toThrow(/^do not belong together/);
  for (const [certificate, key] of [
    ["", ca.key],
    [ca.certificate, ""],
    [ca.certificate, ca.key.replace(/\n.{10}/, "\nAAAAAAAAAA")],
  ] as const)
    await expect(Authority.open(certificate, key)).rejects.toThrow(/^are damaged/);
});
