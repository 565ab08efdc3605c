/**
 * What TLS with a DNS server proves (RFC 8310). A server that the tunnel names (`dns server N sni NAME`) must show a certificate for that
 * name, which an authority signed that this machine was given; where it was given none, there is nothing to prove it by, and the server is not
 * asked. Without a name the session is encrypted alone: nobody has told who is to be expected.
 */

import type { DnsTls } from "../netstack/dns/upstreams.ts";
import { dnsNameValid } from "../netstack/wire/dns.ts";
import { printable } from "../protocol/config/lexer.ts";
import type { Material } from "../protocol/config/types.ts";
import type { TlsContext, TlsContextFactory, TlsEngine, TlsFailure, TlsParameters } from "../protocol/ports.ts";

/** As OpenVPN itself is set where the profile says nothing (ssl.c), and nothing below TLS 1.2 (RFC 7858 3.2, RFC 9325 3.1.1). */
const PARAMETERS: Omit<TlsParameters, "ca" | "verifyChain"> = {
  isServer: false,
  clientCert: "require",
  cert: undefined,
  key: undefined,
  extraCerts: undefined,
  pkcs12: undefined,
  passphrase: undefined,
  crl: undefined,
  minVersion: "1.2",
  maxVersion: "1.3",
  cipherList: undefined,
  cipherSuites: undefined,
  groups: undefined,
  certProfile: "legacy",
};

export class DnsTlsContexts {
  readonly #factory: TlsContextFactory;
  readonly #authorities: () => Material | undefined;
  #named: { readonly ca: Material; readonly context: TlsContext } | undefined;
  #unnamed: TlsContext | undefined;

  /** @param authorities who may sign the certificate of a server with a name; it may change between tunnels */
  constructor(factory: TlsContextFactory, authorities: () => Material | undefined) {
    this.#factory = factory;
    this.#authorities = authorities;
  }

  /** Why a server cannot be asked so, as the end of a sentence that begins with it; undefined: it can. */
  problem({ name }: DnsTls): string | undefined {
    if (name === undefined) return undefined;
    if (!dnsNameValid(name)) return `is to prove itself as "${printable(name)}" (sni), which is no name`;
    if (this.#authorities() !== undefined) return undefined;
    return `is to prove itself as ${name} (sni), and there is no certificate authority to check that with (no ca in the profile)`;
  }

  /** A session with a server that {@link problem} has nothing to say about. */
  engine({ name }: DnsTls): TlsEngine {
    if (name !== undefined) return this.#contextOf(this.#authorities() as Material).engine(() => true, name);
    this.#unnamed ??= this.#factory.context({ ...PARAMETERS, ca: undefined, verifyChain: false });
    return this.#unnamed.engine(() => true);
  }

  /** Why a session failed, in words that begin where the server was named. */
  explain(name: string | undefined, failure: TlsFailure): string {
    const subject = failure.certificate?.subject ?? "";
    const whose = subject === "" ? "its certificate" : `its certificate (${printable(subject)})`;
    const ca = this.#authorities()?.label ?? "ca";
    switch (failure.code) {
      case "HOSTNAME_MISMATCH":
      case "IP_ADDRESS_MISMATCH":
        return `${whose} is not for ${name}, as the tunnel says that it is called (sni)`;
      case "UNABLE_TO_GET_ISSUER_CERT":
      case "UNABLE_TO_GET_ISSUER_CERT_LOCALLY":
      case "UNABLE_TO_VERIFY_LEAF_SIGNATURE":
      case "DEPTH_ZERO_SELF_SIGNED_CERT":
      case "SELF_SIGNED_CERT_IN_CHAIN":
        return `no authority in ${ca} signed ${whose}`;
      case "CERT_NOT_YET_VALID":
      case "CERT_HAS_EXPIRED":
        return `${whose} is out of date by the clock here (${failure.message})`;
      default:
        return `TLS with it fails (${printable(failure.message)})`;
    }
  }

  #contextOf(ca: Material): TlsContext {
    if (this.#named?.ca !== ca) {
      this.#named?.context.close();
      this.#named = { ca, context: this.#factory.context({ ...PARAMETERS, ca, verifyChain: true }) };
    }
    return this.#named.context;
  }
}
