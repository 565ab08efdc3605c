/** Directives that are accepted without an effect: silently where nothing is lost, else with a warning. */
import { type Directive, type More, row } from "./directive.ts";

const silent = (name: string, roles: string, min: number, max: number, marks = "", more?: More): Directive =>
  row(name, roles, "silent", min, max, marks, "", more);
const warned = (
  name: string,
  roles: string,
  min: number,
  max: number,
  text: string,
  marks = "",
  more?: More,
): Directive => row(name, roles, "warn", min, max, marks, text, more);

const SETS_ITSELF = "ignored: no program is run; addresses and routes are set, and the LAN's DNS answered, without one";
/** Scripts of Linux profiles that set the resolver of the machine itself, which has no use for one: nothing is lost. */
const RESOLVER_SCRIPT = /(^|\/)update-(resolv-conf|systemd-resolved)(\.sh)?$/;
const NO_READER = "ignored: only scripts and plugins would read it";
const NO_MANAGEMENT =
  "ignored: there is no management interface; the log, SIGUSR2 and the appliance's status page tell the state";
const NO_LOG_FILE = "ignored: the log is on the console";

export const ACCEPTED: readonly Directive[] = [
  // The appliance keeps keys and its LAN over a reconnect anyway.
  silent("persist-key", "cspk", 0, 0),
  silent("persist-tun", "cspk", 0, 0),
  silent("persist-local-ip", "cspk", 0, 0),
  silent("persist-remote-ip", "cspk", 0, 0),
  // The server is known from the start.
  silent("ping-timer-rem", "cspk", 0, 0),
  // Buffers, scheduling and kernel details of another program.
  silent("fast-io", "cspk", 0, 0),
  silent("sndbuf", "cspk", 1, 1, "d"),
  silent("rcvbuf", "cspk", 1, 1, "d"),
  silent("txqueuelen", "cspk", 1, 1),
  silent("nice", "cspk", 1, 1),
  silent("mlock", "cspk", 0, 0),
  silent("mark", "cspk", 1, 1),
  silent("socket-flags", "cspk", 1, 15, "d", { values: ["TCP_NODELAY"] }),
  silent("tcp-nodelay", "cpk", 0, 0),
  silent("mtu-disc", "cspk", 1, 1, "c", { values: ["yes", "maybe", "no"] }),
  silent("tun-mtu-extra", "cspk", 1, 1, "c"),
  silent("disable-dco", "cspk", 0, 15),
  silent("use-prediction-resistance", "cspk", 0, 0),
  silent("prng", "cspk", 1, 2),
  silent("preresolve", "cspk", 0, 15),
  silent("ip-remote-hint", "cspk", 0, 15),
  silent("tmp-dir", "cspk", 1, 1),
  silent("user", "cspk", 1, 1),
  silent("group", "cspk", 1, 1),
  silent("chroot", "cspk", 1, 1),
  silent("setcon", "cspk", 1, 1),
  silent("tun-ipv6", "cspk", 0, 0),
  silent("route-ipv6-gateway", "cspk", 1, 1),
  silent("iproute", "cspk", 1, 1),
  silent("dev-node", "cspk", 1, 1),
  silent("ifconfig-nowarn", "cspk", 0, 0),
  silent("route-delay", "cspk", 0, 2),
  silent("route-method", "cspk", 1, 1),
  silent("max-routes", "c", 0, 1, "e"),
  silent("allow-recursive-routing", "cspk", 0, 0),
  silent("allow-pull-fqdn", "c", 0, 0, "e"),
  silent("disable-occ", "cspk", 0, 0),
  silent("comp-noadapt", "cspk", 0, 0),
  silent("replay-persist", "csp", 1, 1),
  silent("setenv-safe", "cspk", 1, 2, "d"),
  silent("force-tls-key-material-export", "cspk", 0, 15),
  silent("allow-deprecated-insecure-static-crypto", "cspk", 0, 0),
  // Another program's log.
  silent("verb", "cspk", 1, 1),
  silent("mute", "cspk", 1, 1),
  silent("mute-replay-warnings", "cspk", 0, 0),
  silent("suppress-timestamps", "cspk", 0, 0),
  silent("machine-readable-output", "cspk", 0, 0),
  silent("errors-to-stderr", "cspk", 0, 0),
  silent("echo", "cspk", 0, 15, "d"),
  silent("parameter", "cspk", 0, 15),
  silent("gremlin", "cspk", 1, 1),
  silent("memstats", "cspk", 1, 1),
  // As OpenVPN: proxies are tried again, and connect-timeout bounds their answer.
  silent("http-proxy-retry", "cpk", 0, 0, "ec"),
  silent("http-proxy-timeout", "cpk", 1, 1, "ec"),
  silent("socks-proxy-retry", "cpk", 0, 0, "ec"),
  // Windows.
  silent("register-dns", "cspk", 0, 0),
  silent("ip-win32", "cspk", 1, 4),
  silent("tap-sleep", "cspk", 1, 1),
  silent("dhcp-release", "cspk", 0, 0),
  silent("dhcp-renew", "cspk", 0, 0),
  silent("dhcp-pre-release", "cspk", 0, 0),
  silent("dhcp-internal", "cspk", 1, 1),
  silent("pause-exit", "cspk", 0, 0),
  silent("show-net-up", "cspk", 0, 0),
  silent("win-sys", "cspk", 1, 1),
  silent("allow-nonadmin", "cspk", 0, 1),
  silent("windows-driver", "cspk", 1, 1),
  silent("service", "cspk", 1, 2),
  silent("msg-channel", "cspk", 1, 15),

  warned("local", "c", 1, 1, "ignored: the WAN interface's address is used", "c"),
  warned(
    "http-proxy-override",
    "cpk",
    1,
    3,
    "ignored, as by OpenVPN without a management interface: write http-proxy",
    "ec",
  ),
  // A server's lets it answer from the address that was asked; who asks has one.
  silent("multihome", "cpk", 0, 0),
  warned("bind-dev", "cspk", 1, 15, "ignored: the WAN interface is used"),
  warned("link-mtu", "cspk", 1, 1, "ignored: it is computed from tun-mtu", "c"),
  warned("udp-mtu", "cspk", 1, 1, "ignored: it is computed from tun-mtu", "c"),
  warned("mtu-test", "cspk", 0, 0, "ignored: there is no MTU test"),
  warned("max-packet-size", "cspk", 1, 1, "ignored: use mssfix N mtu", "c"),
  warned("shaper", "cpk", 1, 1, "ignored: there is no rate limit"),
  warned("passtos", "cspk", 0, 0, "ignored: the TOS of inner packets is not copied to the outside"),
  warned(
    "replay-persist",
    "k",
    1,
    1,
    "ignored: ids of packets are kept over a reconnect, but not over a restart or SIGUSR1",
  ),
  warned("keysize", "cspk", 1, 1, "ignored: the ciphers in use have one key size"),
  warned("no-name-remapping", "cspk", 0, 0, "ignored, as OpenVPN 2.6 does"),
  warned("compat-names", "cspk", 0, 15, "ignored, as OpenVPN 2.6 does"),
  warned("compat-mode", "cspk", 1, 2, "ignored: there is one behaviour, that of OpenVPN 2.6"),
  warned("engine", "cspk", 0, 1, "ignored: there is no crypto engine"),
  warned("providers", "cspk", 0, 15, "ignored: there are no OpenSSL providers"),
  warned("remap-usr1", "cspk", 1, 1, "ignored: SIGUSR1 reconnects", "", { values: ["SIGHUP", "SIGTERM"] }),
  warned("single-session", "csp", 0, 0, "ignored: the appliance always reconnects"),
  warned("tls-exit", "csp", 0, 0, "ignored: the appliance always reconnects"),
  warned(
    "ecdh-curve",
    "csp",
    1,
    1,
    "ignored, as by OpenVPN with OpenSSL 3: tls-groups says which curves may be used",
    "e",
  ),
  warned("connect-retry-max", "cpk", 1, 1, "ignored: it connects anew for as long as it takes", "ec", {
    harmless: /^(0|unlimited|infinite)$/,
  }),
  // After so many seconds OpenVPN begins anew, and asks again; with 0 it ends.
  warned(
    "resolv-retry",
    "cpk",
    1,
    1,
    "ignored: a name that is not found is asked for again, for as long as it takes",
    "e",
    {
      harmless: /^(infinite|0*[1-9]\d{0,9})$/,
    },
  ),
  warned(
    "auth-retry",
    "c",
    1,
    1,
    "ignored: a refused login is tried again after a minute, then less and less often",
    "e",
    {
      values: ["none", "nointeract", "interact"],
      harmless: /^nointeract$/,
    },
  ),
  // What stands in a file is no safer in there, and openvpn reads that anew too; what a person types is told of (resolve-client.ts).
  silent("auth-nocache", "cspk", 0, 0),
  warned("x509-track", "cspk", 1, 1, NO_READER),
  warned("dh", "ck", 1, 1, "ignored: only a server uses it", "i"),
  // As a server's: curves are used, and parameters made by the library.
  silent("dh", "p", 1, 1, "i"),
  warned("lladdr", "cspk", 1, 1, "ignored: it serves tap devices"),
  warned("daemon", "cspk", 0, 1, NO_LOG_FILE),
  warned("syslog", "cspk", 0, 1, NO_LOG_FILE),
  warned("log", "cspk", 1, 1, NO_LOG_FILE),
  warned("log-append", "cspk", 1, 1, NO_LOG_FILE),
  warned("status", "cspk", 1, 2, "ignored: there is no status file; SIGUSR2, or a key on the console, logs statistics"),
  warned("status-version", "cspk", 1, 1, "ignored: there is no status file", "", { values: ["1", "2", "3"] }),
  silent("writepid", "cspk", 1, 1),

  // Programs of others that guard nothing, and what comes in their place.
  ...["up", "down", "dns-updown"].map((name) =>
    warned(name, "cpk", 1, 15, SETS_ITSELF, "", { harmless: RESOLVER_SCRIPT }),
  ),
  ...["route-up", "route-pre-down"].map((name) => warned(name, "cpk", 1, 15, SETS_ITSELF)),
  warned("ipchange", "cspk", 1, 15, "ignored: no program is run; the log names the server's address (tunnel.up)"),
  warned("tls-export-cert", "csp", 1, 1, "ignored: the certificate of the peer is not written to a file", "e"),
  silent("script-security", "cspk", 1, 2),
  ...["up-delay", "up-restart", "down-pre"].map((name) => silent(name, "cspk", 0, 0)),
  warned("foreign-option", "cspk", 1, 15, NO_READER),
  warned("keying-material-exporter", "csp", 2, 15, NO_READER),
  warned(
    "route-noexec",
    "cspk",
    0,
    0,
    "ignored: the tunnel's routes are the router's; route-nopull and pull-filter keep pushed ones out",
  ),
  warned("ifconfig-noexec", "cspk", 0, 0, "ignored: the tunnel's address is always set"),
  warned("route-table", "cspk", 1, 1, "ignored: the router has one table, and the tunnel's routes are in it"),
  warned("cd", "cspk", 1, 1, "ignored: files are looked for beside the profile"),
  ...["", "-client", "-client-group", "-client-user", "-forget-disconnect", "-hold", "-log-cache"]
    .concat(["-query-passwords", "-query-proxy", "-query-remote", "-signal", "-up-down"])
    .map((suffix) => warned(`management${suffix}`, "cspk", 0, 15, NO_MANAGEMENT)),
];
