import { describe, expect, test } from "bun:test";
import { TLS_CRYPT } from "../../../test/support/client-config.ts";
import { wholeConfig } from "../../../test/support/served/config.ts";
import type { TlsFailure } from "../ports.ts";
import { explainPeer } from "./explain-peer.ts";
import type { PeerEnd } from "./peer.ts";

const config = wholeConfig(TLS_CRYPT);
const explain = (end: PeerEnd): string => explainPeer(end, config, 1_700_000_000);
const certificate = (code: string, depth = 0): PeerEnd => {
  const failure: TlsFailure = {
    ...{ kind: "certificate", code, message: code.toLowerCase() },
    certificate: { subject: "CN=gone", depth },
  };
  return { kind: "tls-failed", failure };
};

describe("a certificate that is refused is named, with what is wrong", () => {
  test.each([
    ["CERT_REVOKED", /client's certificate \(CN=gone\) is revoked/],
    ["CERT_HAS_EXPIRED", /has expired; the clock here says 2023/],
    ["CERT_NOT_YET_VALID", /not yet valid/],
    ["UNABLE_TO_GET_ISSUER_CERT_LOCALLY", /issued by nobody known here/],
    ["SELF_SIGNED_CERT_IN_CHAIN", /issued by nobody known here/],
    ["CRL_HAS_EXPIRED", /nobody is let in/],
    ["NO_CERTIFICATE", /showed no certificate/],
    ["INVALID_PURPOSE", /key usage/],
    ["EE_KEY_TOO_SMALL", /too small/],
    ["SOMETHING_ELSE", /does not verify \(SOMETHING_ELSE/],
  ])("%s", (code, words) => {
    expect(explain(certificate(code))).toMatch(words);
  });

  test("and so is one of a CA", () => {
    expect(explain(certificate("CERT_HAS_EXPIRED", 1))).toContain("of a CA above the client's (CN=gone)");
  });
});

test("no text of a client comes out as more than one line", () => {
  const failure = { kind: "protocol", code: "x", message: "a\nb\u001b[31m" } as const;
  expect(explain({ kind: "tls-failed", failure })).toMatch(/^[ -~]+$/);
});

test.each([
  ["reset", /our answers do not reach it/],
  ["hello", /our answers do not reach it/],
  ["tls", /it does not accept the server's certificate \(.+\), as its own log then says/],
  ["key-exchange", /TLS is established/],
  ["push", /it did not ask for its options/],
])("of a client that goes silent in the phase %s the likely causes are said", (phase, words) => {
  for (const silentSeconds of [undefined, 15])
    expect(explain({ kind: "handshake-timeout", phase, silentSeconds })).toMatch(words);
});

test("each end has its words", () => {
  const ends: PeerEnd[] = [
    { kind: "handshake-timeout", phase: "tls", silentSeconds: undefined },
    { kind: "handshake-timeout", phase: "tls", silentSeconds: 15 },
    { kind: "certificate-rejected", problem: { directive: "verify-x509-name", problem: "for another" } },
    { kind: "unusable", directive: "push", problem: "too long" },
    { kind: "unusable", directive: "remote", problem: "the peer did not start with a reset" },
    { kind: "ping-timeout", seconds: 120, exit: false },
    { kind: "inactive" },
    { kind: "session-timeout" },
    { kind: "renegotiation-failed", problem: "late" },
    { kind: "stream-broken", drop: "data-replay" },
    { kind: "closed" },
    { kind: "refused", reason: "Data channel cipher negotiation failed (no shared cipher)" },
    { kind: "refused", reason: "locked" },
    { kind: "client-exit" },
    { kind: "link-refused" },
    { kind: "link-timed-out" },
    { kind: "link-reset" },
    { kind: "link-closed" },
    { kind: "link-garbled", length: 20_000 },
    { kind: "replaced" },
    { kind: "killed" },
    { kind: "expelled", cause: "its file disables it" },
    { kind: "crowded-out" },
    { kind: "stream-silent" },
    { kind: "stream-stranger", drop: "control-authentication" },
    { kind: "fault" },
  ];
  const texts = ends.map(explain);
  expect(new Set(texts).size).toBe(texts.length);
  expect(texts.every((text) => text.length > 5 && !text.includes("undefined"))).toBe(true);
});
