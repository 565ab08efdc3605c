import { expect, test } from "bun:test";
import { clientConfig, NO_WRAP } from "../../../test/support/client-config.ts";
import { tlsParameters } from "./tls-parameters.ts";

test("peer-fingerprint takes the place of a CA, and beside one both count (man openvpn, --peer-fingerprint)", () => {
  const { tls, verify } = clientConfig([], NO_WRAP);
  const fingerprints = { ...verify, peerFingerprints: ["00".repeat(32)] };
  expect(tls.ca).toBeDefined();
  expect(tlsParameters(tls, verify).verifyChain).toBe(true);
  expect(tlsParameters(tls, fingerprints).verifyChain).toBe(true);
  expect(tlsParameters({ ...tls, ca: undefined }, fingerprints).verifyChain).toBe(false);
});
