/** Directives of a server's profile, and of the files of its client-config-dir. */
import { type Directive, type More, row } from "./directive.ts";
import { DOWN_ROOT } from "./directives-refused.ts";

const used = (name: string, min: number, max: number, marks = ""): Directive =>
  row(name, "s", "implemented", min, max, marks);
const silent = (name: string, min: number, max: number, marks = ""): Directive =>
  row(name, "s", "silent", min, max, marks);
const warned = (name: string, text: string, more?: More): Directive => row(name, "s", "warn", 1, 15, "", text, more);
const refused = (name: string, text: string, marks = "", more?: More): Directive =>
  row(name, "s", "refused", 0, 15, marks, text, more);
/** Only in a file of client-config-dir. */
const ofClient = (name: string, min: number, max: number, marks = ""): Directive =>
  row(name, "", "implemented", min, max, `d${marks}`);

const USERS =
  "users and passwords stand in a file that [server] users in appliance.toml names (users.txt), a line of `morgana passwd` for each";
const CLIENT_FILE = "what one client gets stands in its file of client-config-dir (ccd/NAME)";
const WHO_MAY = "who may connect is said by certificates (crl-verify, ccd-exclusive, disable in ccd/NAME)";
const ROUTER_ITSELF =
  "ignored: no program is run; addresses and routes are set without one, and what clients reach is said by [server] in appliance.toml, or with morgana server by this machine's firewall";
const NO_READER = "ignored: no program is run; the log tells of every client (peer.up, peer.down)";

export const SERVER: readonly Directive[] = [
  // The tunnel's networks
  used("server", 2, 3),
  used("server-ipv6", 1, 1),
  used("server-bridge", 0, 4),
  used("ifconfig-pool", 2, 3),
  used("ifconfig-pool-persist", 1, 2),
  used("ifconfig-pool-linear", 0, 0),
  used("ifconfig-ipv6-pool", 1, 1),
  used("push", 1, 15, "ead"),
  // The router's own business: clients are reached by their addresses.
  silent("route-gateway", 1, 1),
  silent("route-metric", 1, 1),
  refused(
    "client-nat",
    'is done by the client: write push "client-nat ..."; a LAN that clients shall not see as it is needs [server] lan = "translated" in appliance.toml',
  ),
  refused(
    "block-ipv6",
    'IPv6 of clients goes nowhere where there is no server-ipv6: write push "block-ipv6", by which they answer it themselves, and remove the line',
  ),

  // Where it listens
  used("local", 1, 3, "a"),
  // An answer always leaves from the address that was asked.
  silent("multihome", 0, 0),
  refused(
    "port-share",
    "who does not speak OpenVPN is handed on to nobody: give the other service an address or a port of its own, or put a program in front of both that tells them apart, and remove the line",
  ),
  used("tcp-nodelay", 0, 0),
  silent("push-peer-info", 0, 0),

  // Who may come in
  used("tls-crypt-v2", 1, 2, "i"),
  used("tls-crypt-v2-max-age", 1, 1),
  used("verify-client-cert", 0, 1),
  used("client-cert-not-required", 0, 0),
  used("username-as-common-name", 0, 0),
  used("auth-user-pass-optional", 0, 0),
  used("auth-gen-token", 0, 15),
  used("auth-gen-token-secret", 1, 1, "ei"),
  used("duplicate-cn", 0, 0),
  used("client-config-dir", 1, 1),
  used("ccd-exclusive", 0, 0),

  // What bounds them
  used("max-clients", 1, 1, "e"),
  used("connect-freq", 2, 2),
  used("connect-freq-initial", 2, 2, "e"),
  used("max-routes-per-client", 1, 1, "e"),
  used("client-to-client", 0, 0),

  // Nothing is learned of a tunnel's clients that could be stale, and tables grow by themselves.
  silent("stale-routes-check", 1, 2),
  silent("hash-size", 2, 2),
  silent("bcast-buffers", 1, 1, "e"),
  // What waits for a client over TCP is bounded by the buffer of its connection.
  silent("tcp-queue-limit", 1, 1, "e"),
  // Is gone from OpenVPN 2.7; it compares what the ends say of themselves, which now is negotiated.
  silent("opt-verify", 0, 0),
  // Curves are used (or dh none, which is OpenVPN 2.7's default), and parameters made by the library where a client has none.
  silent("dh", 1, 1, "i"),
  // It keeps addresses out: what is not done must not pass for done.
  refused(
    "ifconfig-push-constraint",
    "addresses of ifconfig-push are not held against a network of their own; look at the files of client-config-dir, and remove the line",
    "e",
  ),

  // Programs that decide who may connect
  refused("auth-user-pass-verify", `no program is run; ${USERS}`),
  refused(
    "plugin",
    `no plugin is loaded; where it asks for passwords, ${USERS}; where it decides nothing, remove it`,
    "",
    {
      harmless: DOWN_ROOT,
    },
  ),
  refused("tls-verify", `no program is run; ${WHO_MAY}`),
  refused("client-connect", `no program is run; ${CLIENT_FILE}, and who may connect by crl-verify or ccd-exclusive`),
  refused("client-crresponse", `no program is run; ${USERS}`),
  refused("tls-crypt-v2-verify", `no program is run; ${WHO_MAY}, and tls-crypt-v2-max-age`, "e"),
  refused("management-client-auth", `there is no management interface; ${USERS}`),
  refused("management-client-pf", `there is no management interface; what clients reach is said by [server]`),
  refused("redirect-gateway", 'is what clients are told: write push "redirect-gateway def1"'),
  refused("redirect-private", 'is what clients are told: write push "redirect-private"'),
  // They keep networks apart.
  ...["vlan-tagging", "vlan-accept", "vlan-pvid"].map((name) =>
    refused(
      name,
      "VLANs are not told apart: with dev tap their tags pass as they are; have a server for each VLAN, and remove the line",
      name === "vlan-tagging" ? "" : name === "vlan-pvid" ? "ed" : "e",
    ),
  ),
  refused(
    "override-username",
    "a client is called as its certificate or its login says, and its token is for that user; remove the line",
    "d",
  ),
  refused("proto-force", "what is listened on is said by proto and local; remove the line"),

  // Programs that decide nothing
  ...["up", "down", "dns-updown", "route-up", "route-pre-down"].map((name) => warned(name, ROUTER_ITSELF)),
  ...["client-disconnect", "learn-address"].map((name) => warned(name, NO_READER)),

  // Files of client-config-dir
  ofClient("ifconfig-push", 2, 3),
  ofClient("ifconfig-ipv6-push", 1, 2),
  ofClient("iroute", 1, 2, "a"),
  ofClient("iroute-ipv6", 1, 1, "a"),
  ofClient("push-remove", 1, 1, "a"),
  ofClient("push-reset", 0, 0),
  ofClient("disable", 0, 0),
];
