/** Directives that are errors: they are not for an appliance. */
import { type Directive, row } from "./directive.ts";

/** Of any profile. */
const refused = (name: string, remedy: string, roles = "cspk"): Directive =>
  row(name, roles, "refused", 0, 15, "", remedy);

const NO_PLUGIN =
  "no plugin is loaded; where it decides who may connect, that has to be done otherwise; where not, remove the line";
/** It only lets `down` run as root. */
export const DOWN_ROOT = /(^|\/)openvpn-(plugin-)?down-root(\.so)?$/;
const NO_SMARTCARD =
  "the appliance reads no smart card or system key store; give cert and key (or pkcs12) as files or blocks";

export const REFUSED: readonly Directive[] = [
  // The wire would differ, or security would be less than the profile asks for.
  row(
    "tls-crypt-v2",
    "p",
    "refused",
    0,
    15,
    "ic",
    "keys of their own are for many clients: give both ends the same key by tls-crypt",
  ),
  refused("capath", "a directory of CAs is not read; put the CA certificates into one file or block for ca"),
  refused("no-replay", "replay protection cannot be turned off; remove the line"),
  refused("no-iv", "was removed from OpenVPN; remove the line"),
  refused("mtu-dynamic", "was removed from OpenVPN; fragment took its place"),
  refused(
    "tls-remote",
    "was removed from OpenVPN; write verify-x509-name NAME name, with the common name of the server's certificate",
  ),
  ...["auth-token", "auth-token-user", "peer-id", "protocol-flags", "key-derivation", "push-continuation"].map((name) =>
    refused(name, "is pushed by a server, never written in a profile; remove the line"),
  ),

  // What they decide would be left undecided.
  refused(
    "tls-verify",
    "no program is run; say by remote-cert-tls, verify-x509-name or peer-fingerprint who the peer must be",
    "cpk",
  ),
  refused("client-crresponse", "no program is run, and this one decides who may connect; remove the line", "cpk"),
  row("plugin", "cpk", "refused", 0, 15, "", NO_PLUGIN, { harmless: DOWN_ROOT }),
  ...["management-client-auth", "management-client-pf"].map((name) =>
    refused(name, "there is no management interface that could decide who may connect; remove the line", "cpk"),
  ),
  ...["management-external-cert", "management-external-key", "cryptoapicert", "pkcs11-id", "pkcs11-id-management"]
    .concat(["pkcs11-providers", "pkcs11-cert-private", "pkcs11-pin-cache", "pkcs11-private-mode"])
    .concat(["pkcs11-protected-authentication"])
    .map((name) => refused(name, NO_SMARTCARD)),

  refused("inetd", "the appliance is the only program of its machine; remove the line"),
  refused("config", "files are not included; put everything into one file"),
  ...["genkey", "mktun", "rmtun", "show-ciphers", "show-curves", "show-digests", "show-engines", "show-groups"]
    .concat(["show-tls", "show-gateway", "show-adapters", "show-net", "show-valid-subnets", "show-pkcs11-ids"])
    .concat(["test-crypto", "help", "version", "rdns-internal"])
    .map((name) => refused(name, "is a command, not a configuration; remove the line")),
];
