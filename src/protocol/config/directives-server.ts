/** Directives of a server's profile, and of its clients' in client-config-dir. None is built yet: an error at its line. */
import { type Directive, row } from "./directive.ts";
import { NOT_AVAILABLE } from "./role.ts";

const later = (name: string, marks = ""): Directive => row(name, "s", "later", 0, 15, marks, "not available yet");

/** Without one of these (or mode server) a profile is no server's. */
const deciding = (name: string): Directive => row(name, "s", "later", 0, 15, "", NOT_AVAILABLE.server);

export const SERVER: readonly Directive[] = [
  ...["server", "server-ipv6", "server-bridge"].map(deciding),

  ...["ifconfig-pool", "ifconfig-pool-persist", "ifconfig-pool-linear", "ifconfig-ipv6-pool", "ifconfig-push"]
    .concat(["ifconfig-ipv6-push", "iroute", "iroute-ipv6", "push-remove", "push-reset", "disable"])
    .concat(["client-config-dir", "ccd-exclusive", "client-to-client", "duplicate-cn", "connect-freq"])
    .concat(["client-connect", "client-disconnect", "learn-address", "client-cert-not-required"])
    .concat(["verify-client-cert", "username-as-common-name", "auth-user-pass-verify", "auth-user-pass-optional"])
    .concat(["auth-gen-token", "tls-crypt-v2-max-age", "override-username", "port-share", "stale-routes-check"])
    .concat(["hash-size", "vlan-tagging"])
    .map((name) => later(name)),

  ...["push", "ifconfig-push-constraint", "max-clients", "max-routes-per-client", "connect-freq-initial"]
    .concat(["tls-crypt-v2-verify", "tcp-queue-limit", "bcast-buffers", "vlan-accept", "vlan-pvid"])
    .map((name) => later(name, "e")),
  later("auth-gen-token-secret", "ei"),
  later("dh", "i"),
];
