import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { VerifyConfig } from "../config/types.ts";
import { checkPeerCertificate } from "./certificate-check.ts";

const NO_DEMANDS: VerifyConfig = {
  remoteCertTls: undefined,
  remoteCertEku: undefined,
  remoteCertKu: undefined,
  nsCertType: undefined,
  x509Name: undefined,
  usernameFields: ["CN"],
  verifyHash: undefined,
  peerFingerprints: undefined,
};
const SUBJECT = "/C=DE/O=Example, Inc./CN=server.example";
/** Made by the openssl program: file name and extensions. */
const LEAVES: Record<string, string> = {
  server: "keyUsage=digitalSignature,keyEncipherment\nextendedKeyUsage=serverAuth\nnsCertType=server",
  client: "keyUsage=digitalSignature\nextendedKeyUsage=clientAuth\nnsCertType=client",
  bare: "basicConstraints=CA:false",
  "modern-server": "keyUsage=digitalSignature\nextendedKeyUsage=serverAuth",
  "modern-client": "extendedKeyUsage=clientAuth",
  "signs-only": "keyUsage=keyCertSign\nextendedKeyUsage=serverAuth",
  garbled: "extendedKeyUsage=DER:05:00",
  contradictory: "extendedKeyUsage=serverAuth\nnsCertType=client",
};

let directory: string;
let issuer: Uint8Array;
const leaf: Record<string, Uint8Array> = {};

function openssl(...args: string[]): string {
  const result = Bun.spawnSync(["openssl", ...args], { cwd: directory, stderr: "pipe" });
  if (!result.success) throw new Error(result.stderr.toString());
  return result.stdout.toString();
}
/** The digest as openssl prints it, in the form that the configuration has. */
const fingerprint = (file: string, digest: "sha1" | "sha256"): string =>
  openssl("x509", "-in", `${file}.crt`, "-noout", "-fingerprint", `-${digest}`)
    .replace(/.*=/, "")
    .replaceAll(":", "")
    .trim()
    .toLowerCase();
function der(file: string): Uint8Array {
  openssl("x509", "-in", `${file}.crt`, "-outform", "DER", "-out", `${file}.der`);
  return new Uint8Array(readFileSync(join(directory, `${file}.der`)));
}

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "morgana-certificates-"));
  const key = (name: string) => [
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:prime256v1",
    "-nodes",
    "-keyout",
    `${name}.key`,
  ];
  openssl("req", "-x509", ...key("ca"), "-out", "ca.crt", "-days", "30", "-subj", "/CN=ca");
  issuer = der("ca");
  for (const [name, extensions] of Object.entries(LEAVES)) {
    openssl("req", "-new", ...key(name), "-out", `${name}.csr`, "-subj", SUBJECT);
    await Bun.write(join(directory, `${name}.ext`), extensions);
    const from = ["-in", `${name}.csr`, "-CA", "ca.crt", "-CAkey", "ca.key", "-set_serial", "7", "-days", "30"];
    openssl("x509", "-req", ...from, "-extfile", `${name}.ext`, "-out", `${name}.crt`);
    leaf[name] = der(name);
  }
});
afterAll(() => rmSync(directory, { recursive: true }));

/** The directive that refuses, undefined when none does. */
const refusedBy = (name: string, demands: Partial<VerifyConfig>): string | undefined =>
  checkPeerCertificate({ ...NO_DEMANDS, ...demands }, [leaf[name]!, issuer])?.directive;

test("without demands every readable certificate passes", () => {
  for (const name of Object.keys(LEAVES)) expect(refusedBy(name, {})).toBeUndefined();
});

test("no certificate, and bytes that are none, are refused", () => {
  expect(checkPeerCertificate(NO_DEMANDS, [])).toBeDefined();
  expect(checkPeerCertificate(NO_DEMANDS, [Uint8Array.of(0x30, 3, 1, 2, 3)])).toBeDefined();
  for (let len = 0; len < 200; len += 7) {
    expect(checkPeerCertificate(NO_DEMANDS, [leaf["server"]!.slice(0, len)])).toBeDefined();
  }
});

test("remote-cert-tls", () => {
  expect(refusedBy("server", { remoteCertTls: "server" })).toBeUndefined();
  expect(refusedBy("client", { remoteCertTls: "client" })).toBeUndefined();
  expect(refusedBy("client", { remoteCertTls: "server" })).toBe("remote-cert-tls");
  expect(refusedBy("server", { remoteCertTls: "client" })).toBe("remote-cert-tls");
  expect(refusedBy("bare", { remoteCertTls: "server" })).toBe("remote-cert-tls");
});

test("a wrong purpose is told in OpenSSL's words, with whose certificate it is", () => {
  const problem = checkPeerCertificate({ ...NO_DEMANDS, remoteCertTls: "server" }, [leaf["client"]!])?.problem;
  expect(problem).toMatch(/^the peer's certificate \(.*CN=.+\) has extended key usage clientAuth, not serverAuth$/);
});

test("remote-cert-ku: one of the values must be contained, 0xa0 = signature and encipherment", () => {
  expect(refusedBy("server", { remoteCertKu: [0xa0] })).toBeUndefined();
  expect(refusedBy("server", { remoteCertKu: [0x08, 0x80] })).toBeUndefined();
  expect(refusedBy("client", { remoteCertKu: [0x80] })).toBeUndefined();
  expect(refusedBy("client", { remoteCertKu: [0xa0] })).toBe("remote-cert-ku");
  expect(refusedBy("server", { remoteCertKu: [] })).toBeUndefined();
  expect(refusedBy("bare", { remoteCertKu: [] })).toBe("remote-cert-ku");
});

test.each(["1.3.6.1.5.5.7.3.1", "TLS Web Server Authentication", "serverAuth"])(
  "remote-cert-eku %s",
  (remoteCertEku) => {
    expect(refusedBy("server", { remoteCertEku })).toBeUndefined();
    expect(refusedBy("client", { remoteCertEku })).toBe("remote-cert-eku");
    expect(refusedBy("bare", { remoteCertEku })).toBe("remote-cert-eku");
  },
);

test("ns-cert-type", () => {
  expect(refusedBy("server", { nsCertType: "server" })).toBeUndefined();
  expect(refusedBy("client", { nsCertType: "client" })).toBeUndefined();
  expect(refusedBy("client", { nsCertType: "server" })).toBe("ns-cert-type");
  expect(refusedBy("bare", { nsCertType: "server" })).toBe("ns-cert-type");
});

test("ns-cert-type without the Netscape extension: the purpose that `openssl x509 -purpose` finds", () => {
  for (const name of ["modern-server", "modern-client", "signs-only", "contradictory"]) {
    const purposes = openssl("x509", "-in", `${name}.crt`, "-noout", "-purpose");
    for (const type of ["server", "client"] as const) {
      // A certificate without a word about a purpose is not among these: there we are stricter.
      const expected = purposes.includes(`SSL ${type} : Yes`) ? undefined : "ns-cert-type";
      if (name === "contradictory" && type === "client") continue; // the Netscape bit alone is enough, as in OpenVPN
      expect([name, type, refusedBy(name, { nsCertType: type })]).toEqual([name, type, expected]);
    }
  }
  expect(refusedBy("contradictory", { nsCertType: "client" })).toBeUndefined();
});

test("verify-x509-name: the subject is as openssl prints it with OpenVPN's flags", () => {
  const names = [
    '/C=US/ST=CA/O=Fort, Söhne + "Co"/CN=first/CN=server/name=EasyRSA/emailAddress=me@x.y',
    "/GN=Ann/SN=Lee/initials=AL/title=Dr/serialNumber=12/street=Main 1/UID=u1/DC=example/CN=日本",
    "/C=DE/CN=a+OU=b/CN=tab\there\\\\back",
    "/mail=a@b.c/info=i/host=h/associatedDomain=d/unstructuredName=n/unstructuredAddress=a/CN=x",
    "/postalAddress=a/postOfficeBox=1/physicalDeliveryOfficeName=o/x500UniqueIdentifier=u/houseIdentifier=h/role=r",
  ];
  for (const subj of names) {
    openssl(
      "req",
      "-x509",
      "-key",
      "ca.key",
      "-utf8",
      "-multivalue-rdn",
      "-subj",
      subj,
      "-out",
      "odd.crt",
      "-days",
      "9",
    );
    const flags = "sep_comma_plus_space,sname,utf8,esc_ctrl";
    const name = openssl("x509", "-in", "odd.crt", "-noout", "-subject", "-nameopt", flags)
      .replace(/^subject=/, "")
      .replace(/\n$/, "");
    expect(checkPeerCertificate({ ...NO_DEMANDS, x509Name: { type: "subject", name } }, [der("odd")])).toBeUndefined();
  }
});

test("verify-x509-name name: the last common name counts, as in OpenVPN", () => {
  openssl("req", "-x509", "-key", "ca.key", "-subj", "/CN=first/CN=last", "-out", "two.crt", "-days", "9");
  const by = (name: string) => checkPeerCertificate({ ...NO_DEMANDS, x509Name: { type: "name", name } }, [der("two")]);
  expect(by("last")).toBeUndefined();
  expect(by("first")?.directive).toBe("verify-x509-name");
});

test("x509-username-field: another attribute, several, an e-mail address or the serial number in place of the common name", () => {
  const subject = "/OU=first/OU=edge/UID=e7/emailAddress=own@vpn.example/CN=vpn.example";
  const alt = "subjectAltName=DNS:vpn.example,email:first@vpn.example,email:alt@vpn.example,email:root%vpn.example";
  const more = ["-addext", alt, "-set_serial", "0xab01", "-days", "9"];
  openssl("req", "-x509", "-key", "ca.key", "-subj", subject, "-out", "rich.crt", ...more);
  // openssl writes no NUL itself.
  const rich = der("rich");
  rich[Buffer.from(rich).indexOf("root%") + 4] = 0;
  const by = (name: string, ...usernameFields: string[]) =>
    checkPeerCertificate({ ...NO_DEMANDS, x509Name: { type: "name", name }, usernameFields }, [rich]);
  for (const [name, ...fields] of [
    ["e7", "UID"],
    ["edge", "OU"],
    ["own@vpn.example", "emailAddress"],
    ["alt@vpn.example", "ext:subjectAltName"],
    ["0xAB01", "serialNumber"],
    ["edge_e7", "OU", "UID"],
  ] as const)
    expect(by(name, ...fields)).toBeUndefined();
  for (const [name, ...fields] of [
    ["vpn.example", "UID"],
    ["first", "OU"],
    ["", "L"],
    ["edge", "OU", "L"],
  ] as const)
    expect(by(name, ...fields)?.directive).toBe("verify-x509-name");
});

test("verify-x509-name: whole name, prefix, and the subject as OpenVPN prints it", () => {
  const by = (type: "subject" | "name" | "name-prefix", name: string) =>
    refusedBy("server", { x509Name: { type, name } });
  expect(by("name", "server.example")).toBeUndefined();
  expect(by("name", "server.exampl")).toBe("verify-x509-name");
  expect(by("name-prefix", "server.")).toBeUndefined();
  expect(by("name-prefix", "client.")).toBe("verify-x509-name");
  expect(by("subject", "C=DE, O=Example, Inc., CN=server.example")).toBeUndefined();
  expect(by("subject", "CN=server.example")).toBe("verify-x509-name");
});

test("peer-fingerprint is of the leaf, as openssl computes it", () => {
  const good = fingerprint("server", "sha256");
  expect(refusedBy("server", { peerFingerprints: ["00".repeat(32), good] })).toBeUndefined();
  expect(refusedBy("client", { peerFingerprints: [good] })).toBe("peer-fingerprint");
  expect(refusedBy("server", { peerFingerprints: [] })).toBe("peer-fingerprint");
});

test("verify-hash is of the issuer, as openssl computes it", () => {
  for (const [algorithm, digest] of [
    ["SHA1", "sha1"],
    ["SHA256", "sha256"],
  ] as const) {
    expect(refusedBy("server", { verifyHash: { algorithm, digests: [fingerprint("ca", digest)] } })).toBeUndefined();
    const ofLeaf = { algorithm, digests: [fingerprint("server", digest)] };
    expect(refusedBy("server", { verifyHash: ofLeaf })).toBe("verify-hash");
    const alone = checkPeerCertificate({ ...NO_DEMANDS, verifyHash: ofLeaf }, [leaf["server"]!]);
    expect(alone?.directive).toBe("verify-hash");
  }
});

test("an extension that cannot be read refuses the certificate, and does not throw", () => {
  const problem = checkPeerCertificate({ ...NO_DEMANDS, remoteCertEku: "serverAuth" }, [leaf["garbled"]!]);
  expect(problem).toEqual({ directive: "ca", problem: "the peer's certificate cannot be read" });
});
