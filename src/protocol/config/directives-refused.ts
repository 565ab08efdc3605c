/** Directives that are errors: not built yet although they matter, or not for an appliance at all. */
import { type Directive, row } from "./directive.ts";

const later = (name: string, roles: string, what: string, marks = ""): Directive =>
  row(name, roles, "later", 0, 15, marks, what);
/** Of any profile. */
const refused = (name: string, remedy: string): Directive => row(name, "cspk", "refused", 0, 15, "", remedy);

const NO_SCRIPTS = "the appliance runs no scripts and has no shell; remove the line";
/** Scripts of Linux profiles that set the resolver of the machine itself, which has no use for one: nothing is lost. */
const RESOLVER_SCRIPT = /(^|\/)update-(resolv-conf|systemd-resolved)(\.sh)?$/;
const NO_MANAGEMENT =
  "there is no management interface; the log on the console and SIGUSR2 tell the state; remove the line";
const NO_SMARTCARD =
  "the appliance reads no smart card or system key store; give cert and key (or pkcs12) as files or blocks";
const NO_DAEMON = "the appliance is the only program of its machine; remove the line";
const STANDALONE = "is a command, not a configuration; remove the line";

export const REFUSED: readonly Directive[] = [
  // The wire would differ, or security would be less than the profile asks for.
  later("tls-crypt-v2", "csp", "not available yet; ask for a profile with tls-crypt or tls-auth", "ic"),
  later("http-proxy", "cpk", "not available yet (it needs TCP)", "r"),
  later("http-proxy-option", "cpk", "not available yet (it needs TCP)", "c"),
  later("http-proxy-user-pass", "cpk", "not available yet (it needs TCP)", "ic"),
  later("http-proxy-retry", "cpk", "not available yet (it needs TCP)", "c"),
  later("http-proxy-timeout", "cpk", "not available yet (it needs TCP)", "c"),
  later("http-proxy-override", "cpk", "not available yet (it needs TCP)", "c"),
  later("socks-proxy", "cpk", "not available yet", "r"),
  later("socks-proxy-retry", "cpk", "not available yet", "c"),
  later("client-nat", "cspk", "not available yet"),
  later("proto-force", "cspk", "not available yet; write proto udp"),
  later("capath", "csp", "a directory of CAs is not available; put the CA certificates into one file or block for ca"),
  later("keying-material-exporter", "csp", "not available yet"),
  later("no-replay", "cspk", "replay protection cannot be turned off; remove the line"),
  later(
    "tls-remote",
    "csp",
    "was removed from OpenVPN; write verify-x509-name NAME name, with the common name of the server's certificate",
  ),
  later("no-iv", "cspk", "was removed from OpenVPN; remove the line"),
  later("auth-token", "cspk", "is pushed by a server, never written in a profile; remove the line"),
  later("auth-token-user", "cspk", "is pushed by a server, never written in a profile; remove the line"),
  later("peer-id", "cspk", "is pushed by a server, never written in a profile; remove the line"),
  later("protocol-flags", "cspk", "is pushed by a server, never written in a profile; remove the line"),
  later("key-derivation", "cspk", "is pushed by a server, never written in a profile; remove the line"),
  later("push-continuation", "cspk", "is pushed by a server, never written in a profile; remove the line"),

  ...["up", "down"].map((name) => row(name, "cspk", "refused", 0, 15, "", NO_SCRIPTS, { harmless: RESOLVER_SCRIPT })),
  ...["ipchange", "route-up", "route-pre-down", "tls-verify", "tls-export-cert", "client-crresponse"].map((name) =>
    refused(name, NO_SCRIPTS),
  ),
  ...["up-delay", "up-restart", "down-pre"].map((name) => row(name, "cspk", "silent", 0, 0)),
  refused("route-noexec", "routes are always the tunnel's; use route-nopull or pull-filter instead"),
  refused("ifconfig-noexec", "the tunnel's address is always set; remove the line"),
  refused("plugin", "the appliance loads no plugins; remove the line"),

  ...["", "-client", "-client-auth", "-client-group", "-client-user", "-client-pf", "-forget-disconnect", "-hold"]
    .concat(["-log-cache", "-query-passwords", "-query-proxy", "-query-remote", "-signal", "-up-down"])
    .map((suffix) => refused(`management${suffix}`, NO_MANAGEMENT)),
  ...["management-external-cert", "management-external-key", "cryptoapicert", "pkcs11-id", "pkcs11-id-management"]
    .concat(["pkcs11-providers", "pkcs11-cert-private", "pkcs11-pin-cache", "pkcs11-private-mode"])
    .concat(["pkcs11-protected-authentication"])
    .map((name) => refused(name, NO_SMARTCARD)),

  ...["inetd", "setcon", "chroot", "cd", "msg-channel"].map((name) => refused(name, NO_DAEMON)),
  refused("config", "put everything into one file; files are not included"),

  ...["genkey", "mktun", "rmtun", "show-ciphers", "show-curves", "show-digests", "show-engines", "show-groups"]
    .concat(["show-tls", "show-gateway", "show-adapters", "show-net", "show-valid-subnets", "show-pkcs11-ids"])
    .concat(["test-crypto", "help", "version"])
    .map((name) => refused(name, STANDALONE)),
];
