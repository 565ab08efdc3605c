/** What the TLS engine needs of a client's configuration. */
import type { ClientConfig } from "../config/types.ts";
import type { TlsParameters } from "../ports.ts";

export function tlsParameters(config: ClientConfig): TlsParameters {
  // peer-fingerprint alone takes the place of a CA
  const verifyChain = config.verify.peerFingerprints === undefined || config.tls.ca !== undefined;
  return { isServer: false, verifyChain, ...config.tls };
}
