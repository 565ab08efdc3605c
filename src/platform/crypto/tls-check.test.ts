import { afterAll, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { makeTlsPki } from "../../../test/support/tls-pki.ts";
import { parseConfig } from "../../protocol/config/parse.ts";
import type { ClientConfig } from "../../protocol/config/types.ts";
import { checkTls } from "./tls-check.ts";

const pki = makeTlsPki();
afterAll(() => pki.remove());
const NOW = Math.floor(Date.now() / 1000);
const DAY = 86_400;

/** What is said to a profile with these lines, by a clock. */
function said(lines: readonly string[], unixSeconds = NOW): string[] {
  const text = ["client", "dev tun", "remote 192.0.2.1", "remote-cert-tls server", ...lines].join("\n");
  const result = parseConfig(
    { file: "a.ovpn", text },
    (name) => new Uint8Array(readFileSync(join(pki.directory, name))),
  );
  if (!result.ok) throw new Error(JSON.stringify(result.problems));
  const { problems, warnings } = checkTls(result.config as ClientConfig, unixSeconds);
  return [...problems, ...warnings].map((p) => `${p.origin.line}: ${p.directive}: ${p.problem}`);
}

const OWN = ["ca ca.crt", "cert client.crt", "key client.key"];

test("what is within its dates is not spoken of", () => {
  expect(said([...OWN, "extra-certs sub.crt", "crl-verify nobody.crl"])).toEqual([]);
});

test("every certificate and list that is out of its dates is named, with its subject, the date and the clock", () => {
  const clock = (at: number): string => new Date(at * 1000).toISOString().slice(0, 16).replace("T", " ");
  const later = NOW + 400 * DAY;
  expect(said([...OWN, "extra-certs sub.crt", "crl-verify nobody.crl"], later)).toEqual([
    expect.stringMatching(
      new RegExp(`^6: cert: the certificate of CN=client has expired on .* UTC; the clock here says ${clock(later)}`),
    ),
    expect.stringMatching(/^5: ca: the certificate of CN=ca has expired/),
    expect.stringMatching(/^8: extra-certs: the certificate of CN=sub has expired/),
    expect.stringMatching(/^9: crl-verify: the revocation list of CN=ca has expired/),
  ]);
  const before = NOW - 400 * DAY;
  expect(said(["pkcs12 client.p12", "askpass secret.txt"], before)).toEqual([
    expect.stringMatching(
      new RegExp(
        `^5: pkcs12: the certificate of CN=client is valid only from .* on; the clock here says ${clock(before)}`,
      ),
    ),
    expect.stringMatching(/^5: pkcs12: the certificate of CN=ca is valid only from/),
  ]);
});

test("what is in the last third of its time is named before it ends", () => {
  const at = (days: number): string[] => said([...OWN, "crl-verify nobody.crl"], NOW + days * DAY);
  let days = 0;
  while (at(days + 1).every((text) => !text.includes("has expired"))) days++;
  expect([at(days - 11), at(days)]).toEqual([
    [],
    [
      expect.stringMatching(/^6: cert: the certificate of CN=client expires on .* UTC; .*put a new one in its place/),
      expect.stringMatching(/^5: ca: the certificate of CN=ca expires on/),
      expect.stringMatching(/^8: crl-verify: the revocation list of CN=ca expires on/),
    ],
  ]);
});

test("an authority of the profile that crl-verify has no list of is named", () => {
  expect(said([...OWN.slice(1), "ca both.crt", "crl-verify nobody.crl"])).toEqual([
    expect.stringMatching(/^7: ca: crl-verify has no list of CN=other: .* taken as good/),
  ]);
});

test("an own certificate that is too weak for OpenSSL is told, and no problem: the peer decides", () => {
  expect(said(["ca ca.crt", "cert weak.crt", "key weak.key"])).toEqual([]);
  expect(said(["ca ca.crt", "cert weak.crt", "key weak.key", "tls-cert-profile preferred"])).toEqual([
    expect.stringMatching(/^6: cert: the certificate of CN=weak is too weak for TLS today \(ee key too small\)/),
  ]);
});

test("an authority that is too weak is told with its strength: whom it vouches for is refused", () => {
  expect(said(["ca weak.crt"])).toEqual([]);
  expect(said(["ca weak.crt", "tls-cert-profile preferred"])).toEqual([
    expect.stringMatching(
      /^5: ca: the authority CN=weak counts for nothing .*its key has the strength of 80 bits, 112 are asked for/,
    ),
  ]);
  // SHA-1: 63 bits. Of an authority that signed itself nobody looks at the signature.
  expect(said(["ca sha1-sub.crt"])).toEqual([
    expect.stringMatching(
      /^5: ca: the authority CN=sha1-sub .*the signature on it has the strength of 63 bits, 80 are/,
    ),
  ]);
  expect(said(["ca sha1-root.crt"])).toEqual([]);
  expect(said(["ca sha1-sub.crt", "tls-cert-profile insecure"])).toEqual([]);
});

test("one problem at the line that it comes from", () => {
  expect(said(["ca ca.crt", "cert client.crt", "key server.key"])).toEqual([
    expect.stringMatching(/^7: key: the key in server.key does not belong to the certificate in client.crt/),
  ]);
  expect(said([...OWN, "tls-cipher NOTHING"])).toEqual([
    expect.stringMatching(/^8: tls-cipher: there is no usable cipher/),
  ]);
});

test("the second of several that cannot be read is named as the second", () => {
  expect(said(["ca half.crt"])).toEqual([
    expect.stringMatching(/^5: ca: the 2nd certificate in half.crt cannot be read/),
  ]);
});

test("a server's certificate that is not made for one is told, since clients with remote-cert-tls server refuse it", () => {
  const FOLDER = join(import.meta.dir, "../../../test/configs");
  const say = (cert: string, key: string): string[] => {
    const own = `ca server/ca.crt\ncert ${cert}\nkey ${key}\n`;
    const text = `server 10.8.0.0 255.255.255.0\ntopology subnet\ndev tun\n${own}`;
    const read = (name: string): Uint8Array => new Uint8Array(readFileSync(join(FOLDER, name)));
    const result = parseConfig({ file: "server.conf", text }, read, { roles: ["server"] });
    if (!result.ok) throw new Error(JSON.stringify(result.problems));
    const { problems, warnings } = checkTls(result.config, 1_800_000_000);
    return [...problems, ...warnings].map((p) => `${p.origin.line}: ${p.directive}: ${p.problem}`);
  };
  expect(say("server/server.crt", "server/server.key")).toEqual([]);
  expect(say("client.crt", "client.key")).toEqual([
    expect.stringMatching(
      /^5: cert: is not made for a server \(it has no key usage.*\): .*remote-cert-tls server refuse it/,
    ),
  ]);
  expect(say("server/server.crt", "client.key")).toEqual([expect.stringMatching(/^6: key: .*does not belong/)]);
});
