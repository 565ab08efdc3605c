/** Directives of a server's profile. The server role is not built yet, so each is an error at its line. */
import { type Directive, row } from "./directive.ts";

export const NO_SERVER = "the server role is not available yet";

/** These alone make a profile a server's. */
const MARKERS = ["server", "server-ipv6", "server-bridge", "tls-server"];

const SERVER_ONLY = [
  "push",
  "push-remove",
  "push-reset",
  "ifconfig-pool",
  "ifconfig-pool-persist",
  "ifconfig-pool-linear",
  "ifconfig-ipv6-pool",
  "ifconfig-push",
  "ifconfig-push-constraint",
  "ifconfig-ipv6-push",
  "iroute",
  "iroute-ipv6",
  "client-config-dir",
  "ccd-exclusive",
  "client-to-client",
  "client-connect",
  "client-disconnect",
  "client-cert-not-required",
  "learn-address",
  "duplicate-cn",
  "disable",
  "max-clients",
  "max-routes-per-client",
  "connect-freq",
  "connect-freq-initial",
  "verify-client-cert",
  "username-as-common-name",
  "auth-user-pass-verify",
  "auth-user-pass-optional",
  "auth-gen-token",
  "auth-gen-token-secret",
  "tls-crypt-v2-verify",
  "tls-crypt-v2-max-age",
  "port-share",
  "stale-routes-check",
  "tcp-queue-limit",
  "bcast-buffers",
  "hash-size",
  "vlan-tagging",
  "vlan-accept",
  "vlan-pvid",
  "override-username",
];

export const SERVER: readonly Directive[] = [
  ...MARKERS.map((name) => row(name, "later", 0, 15, "", NO_SERVER, true)),
  ...SERVER_ONLY.map((name) =>
    row(name, "later", 0, 15, name === "auth-gen-token-secret" ? "i" : "", `belongs to a server; ${NO_SERVER}`),
  ),
];
