/** Directives that have their effect. */
import { type Directive, row } from "./directive.ts";

const used = (name: string, roles: string, min: number, max: number, marks = ""): Directive =>
  row(name, roles, "implemented", min, max, marks);

export const USED: readonly Directive[] = [
  // Role and device
  used("client", "c", 0, 0),
  used("tls-client", "c", 0, 0),
  used("pull", "c", 0, 0),
  used("tls-server", "sp", 0, 0),
  used("secret", "k", 1, 2, "i"),
  used("mode", "cspk", 1, 1),
  used("dev", "cspk", 1, 1),
  used("dev-type", "cspk", 1, 1),

  // The way to the server
  used("remote", "cpk", 1, 3, "ac"),
  // As a block it is taken apart by the lexer; this is the form that stands in place of one.
  row("connection", "cpk", "silent", 1, 1, "", "", { values: ["[inline]"] }),
  used("proto", "cspk", 1, 1, "c"),
  used("port", "cspk", 1, 1, "c"),
  used("rport", "cpk", 1, 1, "ec"),
  used("lport", "cspk", 1, 1, "c"),
  used("bind", "cspk", 0, 1, "c"),
  used("nobind", "cpk", 0, 0, "c"),
  used("local", "pk", 1, 1),
  used("float", "cspk", 0, 0, "c"),
  used("proto-force", "cpk", 1, 1, "e"),
  used("http-proxy", "cpk", 1, 4, "ec"),
  used("http-proxy-option", "cpk", 1, 3, "eca"),
  used("http-proxy-user-pass", "cpk", 1, 1, "ei"),
  used("socks-proxy", "cpk", 1, 3, "ec"),
  used("remote-random", "cpk", 0, 0, "e"),
  used("remote-random-hostname", "cpk", 0, 0, "e"),
  used("connect-retry", "cpk", 1, 2, "ec"),
  used("connect-timeout", "cpk", 1, 1, "ec"),
  used("server-poll-timeout", "cpk", 1, 1, "ec"),
  used("hand-window", "csp", 1, 1, "e"),
  used("tls-timeout", "csp", 1, 1, "e"),
  used("tran-window", "csp", 1, 1, "e"),

  // Material
  used("ca", "csp", 1, 1, "i"),
  used("cert", "csp", 1, 1, "i"),
  used("key", "csp", 1, 1, "i"),
  used("pkcs12", "csp", 1, 1, "i"),
  used("extra-certs", "csp", 1, 1, "ei"),
  used("askpass", "csp", 0, 1, "e"),
  used("crl-verify", "csp", 1, 2, "i"),
  used("tls-auth", "csp", 1, 2, "ic"),
  // OpenVPN passes over a direction, which only tls-auth has.
  used("tls-crypt", "csp", 1, 2, "ic"),
  // OpenVPN passes over the second value, which only a server heeds.
  used("tls-crypt-v2", "c", 1, 2, "ic"),
  used("key-direction", "cspk", 1, 1, "c"),

  // Who the server must be, and who we are
  used("auth-user-pass", "c", 0, 1, "i"),
  used("static-challenge", "c", 2, 3, "e"),
  used("push-peer-info", "cp", 0, 0),
  used("remote-cert-tls", "csp", 1, 1),
  used("remote-cert-eku", "csp", 1, 1),
  used("remote-cert-ku", "csp", 0, 15),
  used("ns-cert-type", "csp", 1, 1),
  used("verify-x509-name", "csp", 1, 2),
  used("x509-username-field", "csp", 1, 15, "e"),
  used("verify-hash", "csp", 1, 2, "aei"),
  used("peer-fingerprint", "csp", 1, 1, "aei"),

  // TLS
  used("tls-version-min", "csp", 1, 2, "e"),
  used("tls-version-max", "csp", 1, 1, "e"),
  used("tls-cipher", "csp", 1, 1),
  used("tls-ciphersuites", "csp", 1, 1),
  used("tls-groups", "csp", 1, 1, "e"),
  used("tls-cert-profile", "csp", 1, 1, "e"),

  // Data channel
  used("cipher", "cspk", 1, 1),
  used("data-ciphers", "csp", 1, 1, "e"),
  used("ncp-ciphers", "csp", 1, 1, "e"),
  used("data-ciphers-fallback", "csp", 1, 1, "e"),
  used("ncp-disable", "csp", 0, 0, "e"),
  used("key-method", "csp", 1, 1, "e"),
  used("auth", "cspk", 1, 1),
  used("reneg-sec", "csp", 1, 2),
  used("reneg-bytes", "csp", 1, 1),
  used("reneg-pkts", "csp", 1, 1),
  used("replay-window", "cspk", 1, 2),
  used("comp-lzo", "cspk", 0, 1),
  used("compress", "cspk", 0, 1),
  used("allow-compression", "cspk", 1, 1),
  used("fragment", "cspk", 1, 2, "c"),

  // Sizes
  used("tun-mtu", "cspk", 1, 2, "c"),
  used("tun-mtu-max", "cspk", 1, 2, "c"),
  used("mssfix", "cspk", 0, 2, "c"),

  // Timers
  used("ping", "cspk", 1, 1),
  used("ping-restart", "cspk", 1, 1),
  used("ping-exit", "cspk", 1, 1),
  used("keepalive", "cspk", 2, 2),
  used("inactive", "cspk", 1, 2),
  used("session-timeout", "cspk", 1, 1),
  used("explicit-exit-notify", "cspk", 0, 1, "c"),

  // Tunnel: kept as words in localOptions
  used("ifconfig", "cspk", 2, 2),
  used("ifconfig-ipv6", "cspk", 2, 2),
  used("topology", "cspk", 1, 1),
  used("route", "cspk", 1, 4, "a"),
  used("route-ipv6", "cspk", 1, 3, "a"),
  used("route-gateway", "cpk", 1, 1),
  used("route-metric", "cpk", 1, 1),
  used("redirect-gateway", "cpk", 0, 15, "a"),
  used("redirect-private", "cpk", 0, 15, "a"),
  used("client-nat", "cpk", 4, 4, "a"),
  used("dhcp-option", "cpk", 1, 3, "ae"),
  used("dns", "cpk", 1, 15, "ae"),
  used("block-ipv6", "cpk", 0, 0),
  used("block-outside-dns", "cpk", 0, 0),
  used("route-nopull", "c", 0, 0, "e"),
  used("pull-filter", "c", 2, 2, "ae"),

  // About the file itself
  used("setenv", "cspk", 1, 15, "a"),
  used("ignore-unknown-option", "cspk", 1, 15, "a"),
];
