/** Directives that have their effect in the client role. */
import { type Directive, type Marks, row } from "./directive.ts";

const used = (name: string, min: number, max: number, marks: Marks = ""): Directive =>
  row(name, "implemented", min, max, marks);

export const CLIENT: readonly Directive[] = [
  // Role and device
  used("client", 0, 0),
  used("tls-client", 0, 0),
  used("pull", 0, 0),
  used("mode", 1, 1),
  used("dev", 1, 1),
  used("dev-type", 1, 1),

  // The way to the server
  used("remote", 1, 3, "c"),
  used("proto", 1, 1, "c"),
  used("port", 1, 1, "c"),
  used("rport", 1, 1, "c"),
  used("lport", 1, 1, "c"),
  used("bind", 0, 1, "c"),
  used("nobind", 0, 0, "c"),
  used("remote-random", 0, 0),
  used("remote-random-hostname", 0, 0),
  used("connect-retry", 1, 2, "c"),
  used("connect-timeout", 1, 1, "c"),
  used("server-poll-timeout", 1, 1, "c"),
  used("hand-window", 1, 1),
  used("tls-timeout", 1, 1),
  used("tran-window", 1, 1),

  // Material
  used("ca", 1, 1, "i"),
  used("cert", 1, 1, "i"),
  used("key", 1, 1, "i"),
  used("pkcs12", 1, 1, "i"),
  used("extra-certs", 1, 1, "i"),
  used("askpass", 0, 1),
  used("crl-verify", 1, 2, "i"),
  used("tls-auth", 1, 2, "ic"),
  // OpenVPN passes over a direction, which only tls-auth has.
  used("tls-crypt", 1, 2, "ic"),
  used("key-direction", 1, 1, "c"),

  // Who the server must be, and who we are
  used("auth-user-pass", 0, 1, "i"),
  used("push-peer-info", 0, 0),
  used("remote-cert-tls", 1, 1),
  used("remote-cert-eku", 1, 1),
  used("remote-cert-ku", 0, 15),
  used("ns-cert-type", 1, 1),
  used("verify-x509-name", 1, 2),
  used("x509-username-field", 1, 15),
  used("verify-hash", 1, 2, "i"),
  used("peer-fingerprint", 1, 1, "i"),

  // TLS
  used("tls-version-min", 1, 2),
  used("tls-version-max", 1, 1),
  used("tls-cipher", 1, 1),
  used("tls-ciphersuites", 1, 1),
  used("tls-groups", 1, 1),
  used("tls-cert-profile", 1, 1),

  // Data channel
  used("cipher", 1, 1, "p"),
  used("data-ciphers", 1, 1),
  used("ncp-ciphers", 1, 1),
  used("data-ciphers-fallback", 1, 1),
  used("ncp-disable", 0, 0),
  used("key-method", 1, 1),
  used("auth", 1, 1, "p"),
  used("reneg-sec", 1, 2),
  used("reneg-bytes", 1, 1),
  used("reneg-pkts", 1, 1),
  used("replay-window", 1, 2),
  used("comp-lzo", 0, 1, "p"),
  used("compress", 0, 1, "p"),
  used("fragment", 1, 2, "c"),

  // Sizes
  used("tun-mtu", 1, 2, "cp"),
  used("tun-mtu-max", 1, 1, "c"),
  used("mssfix", 0, 2, "c"),

  // Timers
  used("ping", 1, 1, "p"),
  used("ping-restart", 1, 1, "p"),
  used("ping-exit", 1, 1, "p"),
  used("keepalive", 2, 2),
  used("inactive", 1, 2, "p"),
  used("session-timeout", 1, 1, "p"),
  used("explicit-exit-notify", 0, 1, "cp"),

  // Tunnel: kept as words in localOptions
  used("ifconfig", 2, 2, "p"),
  used("ifconfig-ipv6", 2, 2, "p"),
  used("topology", 1, 1, "p"),
  used("route", 1, 4, "p"),
  used("route-ipv6", 1, 3, "p"),
  used("route-gateway", 1, 1, "p"),
  used("route-ipv6-gateway", 1, 1, "p"),
  used("route-metric", 1, 1, "p"),
  used("redirect-gateway", 0, 8, "p"),
  used("redirect-private", 0, 8, "p"),
  used("dhcp-option", 1, 3, "p"),
  used("dns", 1, 15, "p"),
  used("block-ipv6", 0, 0, "p"),
  used("block-outside-dns", 0, 0, "p"),
  used("route-nopull", 0, 0),
  used("pull-filter", 2, 2),

  // About the file itself
  used("setenv", 1, 15),
  used("ignore-unknown-option", 1, 15),
];
