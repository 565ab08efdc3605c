/** What the TLS engine needs of a configuration. */
import type { TlsConfig, VerifyConfig } from "../config/types.ts";
import type { TlsParameters } from "../ports.ts";

/** Of a client. */
export function tlsParameters(tls: TlsConfig, verify: VerifyConfig): TlsParameters {
  // peer-fingerprint alone takes the place of a CA
  const verifyChain = verify.peerFingerprints === undefined || tls.ca !== undefined;
  return { ...tls, isServer: false, clientCert: "require", verifyChain };
}

/** The same of a server. */
export const serverTlsParameters = (
  tls: TlsConfig,
  verify: VerifyConfig,
  clientCert: TlsParameters["clientCert"],
): TlsParameters => ({ ...tlsParameters(tls, verify), isServer: true, clientCert });
