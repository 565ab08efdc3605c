import { expect, test } from "bun:test";
import { parseIp } from "../../lib/ip.ts";
import { parseConfig } from "../config/parse.ts";
import type { ClientConfig } from "../config/types.ts";
import type { TlsFailure } from "../ports.ts";
import type { SessionEnd } from "./events.ts";
import { explainEnd, explainSilence, explainStall, explainStaticEnd } from "./explain.ts";
import { NOTHING_SEEN, type Sightings } from "./sightings.ts";

const SECRET = "correct-horse-battery";
const KEY = `-----BEGIN OpenVPN Static key V1-----\n${"0123456789abcdef0123456789abcdef\n".repeat(16)}-----END OpenVPN Static key V1-----`;
const PLACE = {
  address: "203.0.113.10",
  port: 1194,
  protocol: "udp",
  isAnswered: false,
  unixSeconds: Date.UTC(2026, 1, 28, 23, 5) / 1000,
} as const;

function config(lines = ""): ClientConfig {
  const text = `client\ndev tun\nremote vpn.example\nauth-user-pass\n<ca>\n-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n</ca>\n${lines}`;
  const result = parseConfig({ file: "x.ovpn", text }, () => undefined, {
    roles: ["client"],
    defaultCredentials: { text: `ann\n${SECRET}\n`, label: "auth.txt" },
  });
  if (!result.ok) throw new Error(JSON.stringify(result.problems));
  return result.config;
}

const tls = (kind: TlsFailure["kind"], code: string, depth = 0): SessionEnd => ({
  kind: "tls-failed",
  failure: { kind, code, message: "what the library says", certificate: { subject: "CN=a\nb", depth } },
});
const say = (end: SessionEnd, lines = ""): string => explainEnd(end, config(lines), PLACE).message;
const authFailed: SessionEnd = {
  kind: "auth-failed",
  reason: "",
  temporary: undefined,
  tokenRefused: false,
  challenge: undefined,
  willAnswer: false,
};

test("a refused password names where it stands, and never the password", () => {
  expect(say(authFailed)).toContain("auth.txt");
  expect(say({ ...authFailed, reason: "no such user" })).toContain("no such user");
});

test("a server without a shared data cipher is not taken for a wrong password", () => {
  const reason = "Data channel cipher negotiation failed (no shared cipher)";
  const message = say({ ...authFailed, reason }, "data-ciphers AES-128-GCM\n");
  expect(message).toContain("AES-128-GCM");
  expect(message).toContain("data-ciphers of the server");
  expect(message).not.toMatch(/password|auth\.txt|account/);
});

test("a login that wants a web page is not taken for a wrong password", () => {
  const reason = "Authentication failed, required pending auth method 'webauth' not supported";
  const message = say({ ...authFailed, reason });
  expect(message).toContain("webauth");
  expect(message).not.toMatch(/auth\.txt|correct them|lock the account/);
});

test("a question that nobody is there to answer says where an answer goes", () => {
  const challenge = { needsAnswer: true, state: "secret state", user: "ann", text: "Your code?" };
  const message = say({ ...authFailed, challenge, reason: "Your code?" });
  expect(message).toContain('"Your code?"');
  expect(message).toContain("third row of auth.txt");
  expect(message).not.toContain("secret state");
  expect(say(authFailed, 'static-challenge "PIN of today?" 1\n')).toContain('"PIN of today?"');
});

test("silence names the address, the port and the three possible causes", () => {
  for (const lines of [
    "",
    `<tls-crypt>\n${KEY}\n</tls-crypt>\n`,
    `<tls-auth>\n${KEY}\n</tls-auth>\nkey-direction 1\n`,
  ]) {
    const { message } = explainSilence(15, config(lines), PLACE);
    expect(message).toContain("203.0.113.10 port 1194");
    expect(message).toMatch(/down/);
    expect(message).toMatch(/blocked/);
    expect(message).toMatch(
      lines === "" ? /tls-auth or tls-crypt/ : lines.includes("crypt") ? /<tls-crypt>/ : /<tls-auth>/,
    );
    expect(say({ kind: "no-answer", seconds: 60 }, lines)).toContain("no answer from 203.0.113.10");
  }
});

test("what was seen on the way explains silence better than guesses", () => {
  const stranger = { address: parseIp("203.0.113.11")!, port: 1194 };
  const silence = (seen: Partial<Sightings>, lines = ""): string =>
    explainSilence(15, config(lines), PLACE, { ...NOTHING_SEEN, ...seen }).message;
  expect(silence({ stranger })).toMatch(
    /an answer comes from 203\.0\.113\.11:1194 instead: .* add float .* 203\.0\.113\.11 as remote$/,
  );
  expect(silence({ otherKey: true }, `<tls-crypt>\n${KEY}\n</tls-crypt>\n`)).toMatch(
    /does not fit the tls-crypt key \(<tls-crypt> block\)/,
  );
  expect(silence({ unreachable: "port" })).toMatch(/nothing listens on that port/);
  expect(silence({ unreachable: "prohibited" })).toMatch(/firewall/);
  for (const seen of [{ stranger }, { unreachable: "host" } as const])
    expect(silence(seen)).not.toContain("blocked on the way");
  // Whatever else is on the network may have caused these.
  expect(silence({ others: 4, otherPort: 3, damaged: 2 })).toMatch(
    /is down, .*; 4 datagrams came from others .*; 2 datagrams came damaged .*; 3 datagrams came for ports/,
  );
});

test("a certificate of the wrong time names the clock and its present value", () => {
  for (const code of ["CERT_NOT_YET_VALID", "CERT_HAS_EXPIRED"]) {
    expect(say(tls("certificate", code))).toContain("2026-02-28 23:05 UTC");
  }
});

test("a chain that does not lead to the CA names the ca block", () => {
  for (const code of [
    "SELF_SIGNED_CERT_IN_CHAIN",
    "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
    "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  ]) {
    expect(say(tls("certificate", code))).toMatch(/certificate.* does not verify.*<ca>/);
  }
});

test("alerts of the server are about the client's certificate, the version or the ciphers", () => {
  expect(say(tls("alert", "unknown_ca"))).toContain("client certificate");
  expect(say(tls("alert", "certificate_required"))).toContain("demands a client certificate");
  expect(say(tls("alert", "protocol_version"))).toContain("tls-version-min");
});

test("what is said about a certificate names its subject, without what a terminal would obey", () => {
  expect(say(tls("certificate", "CERT_HAS_EXPIRED"))).toStartWith("the server's certificate (CN=a?b) has expired");
  expect(say(tls("certificate", "CERT_HAS_EXPIRED", 1))).toStartWith("the CA certificate of CN=a?b has expired");
  expect(say(tls("certificate", "CA_MD_TOO_WEAK"))).toMatch(/SHA-1 or MD5.*@SECLEVEL=0/);
  expect(say(tls("certificate", "EE_KEY_TOO_SMALL"), "tls-cert-profile preferred\n")).toMatch(
    /tls-cert-profile preferred asks/,
  );
});

test("a server that does not answer the first TLS record shares no version, cipher or group, and the lines of the profile are named", () => {
  const { message } = explainStall("hello", config("tls-version-min 1.3\ntls-groups X448\n"), PLACE);
  expect(message).toMatch(/likeliest cause .* no TLS version, cipher or group .*tls-version-min 1\.3.*tls-groups X448/);
  expect(message).not.toContain("certificate");
});

test("a handshake that stops after TLS may mean the client certificate, and says so", () => {
  expect(explainStall("key-exchange", config(), PLACE).message).toContain("client certificate");
  expect(explainStall("push", config(), PLACE).message).not.toContain("certificate");
});

test("every end has a sentence, without a secret in it", () => {
  const ends: SessionEnd[] = [
    { kind: "no-answer", seconds: 60 },
    { kind: "handshake-timeout", phase: "push", silentSeconds: undefined },
    { kind: "handshake-timeout", phase: "hello", silentSeconds: 15 },
    { kind: "certificate-rejected", problem: { directive: "verify-x509-name", problem: "it is for x" } },
    { kind: "unusable", directive: "cipher", problem: "none in common" },
    authFailed,
    { ...authFailed, challenge: { needsAnswer: true, state: "x", user: "y", text: "Code?" } },
    { ...authFailed, willAnswer: true },
    { ...authFailed, temporary: { backoff: 3, advance: "no" } },
    { ...authFailed, tokenRefused: true },
    { kind: "ping-timeout", seconds: 10, exit: false },
    { kind: "server-restart", message: "maintenance", nextRemote: false },
    { kind: "server-halt", message: "", nextRemote: false },
    { kind: "server-exit" },
    { kind: "push-rejected", problem: "no ifconfig" },
    { kind: "inactive" },
    { kind: "session-timeout" },
    { kind: "renegotiation-failed", problem: "not in time" },
    { kind: "closed" },
    ...["CERT_REVOKED", "CRL_HAS_EXPIRED", "CRL_NOT_YET_VALID", "CRL_SIGNATURE_FAILURE", "INVALID_PURPOSE", "X"].map(
      (code) => tls("certificate", code),
    ),
  ];
  const said = ends.map((end) => say(end));
  for (const message of said) {
    expect(message.length).toBeGreaterThan(5);
    expect(message).not.toContain(SECRET);
    expect(message).not.toContain("undefined");
  }
  expect(new Set(said).size).toBeGreaterThan(ends.length - 3);
});

test("with a static key the text names what may differ at the other end, and what is wrong with the tunnel's own options", () => {
  const { message } = explainStaticEnd({ kind: "stream-broken", drop: "data-authentication" }, PLACE);
  expect(message).toContain(
    "203.0.113.10 port 1194 (UDP) sends does not open: its secret, key direction, cipher or auth differs",
  );
  expect(explainStaticEnd({ kind: "push-rejected", problem: "no ifconfig" }, PLACE).message).toContain("no ifconfig");
});
