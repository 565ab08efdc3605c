/** What the TLS engine needs of a client's configuration. */
import type { TlsConfig, VerifyConfig } from "../config/types.ts";
import type { TlsParameters } from "../ports.ts";

export function tlsParameters(tls: TlsConfig, verify: VerifyConfig): TlsParameters {
  // peer-fingerprint alone takes the place of a CA
  const verifyChain = verify.peerFingerprints === undefined || tls.ca !== undefined;
  return { ...tls, isServer: false, clientCert: "require", verifyChain };
}
