/** A certificate as @peculiar/x509 reads it. That throws at load unless the entry of the program has imported reflect-metadata. */
import { X509Certificate } from "@peculiar/x509";

/** Reading takes about a millisecond, and a server asks twice about one: whether it is good, and what its owner is called. */
const known = new WeakMap<Uint8Array, X509Certificate>();

/** @param der is not changed afterwards @throws at what the parser does not understand; some of it only when an extension or a name is asked for */
export function readCertificate(der: Uint8Array): X509Certificate {
  let certificate = known.get(der);
  if (certificate === undefined) {
    // A view of its own buffer: the reader takes nothing else.
    certificate = new X509Certificate(new Uint8Array(der));
    known.set(der, certificate);
  }
  return certificate;
}
