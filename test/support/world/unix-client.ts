/** `morgana client` in the router's place of a world, as a host of the WAN; and everything of that host which it may change. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Daemon, PATIENCE } from "./process.ts";
import { AUTH, type ProfileOptions } from "./profile.ts";
import { morgana } from "./router.ts";
import { SERVER, SITE, TUNNEL, WAN_GATEWAY, type World } from "./world.ts";

export const HOST = "203.0.113.50";

/** The server's and the gateway's addresses of IPv6. */
export const SERVER6 = "2001:db8:203::10";
const GATEWAY6 = "2001:db8:203::1";
const HOST6 = "2001:db8:203::50";

/** Gives the router's place addresses and default routes of both families, as an ordinary host has them. */
export async function asHost(world: World): Promise<void> {
  const ipv6 = (device: string): string =>
    `ip link set ${device} addrgenmode none; for i in default ${device}; do echo 0 > /proc/sys/net/ipv6/conf/$i/disable_ipv6; done`;
  writeFileSync(resolvConf(world), "# as it was\nnameserver 203.0.113.1\noptions timeout:1\n");
  await world.sh("net", `${ipv6("w1")}; for a in ${GATEWAY6} ${SERVER6}; do ip addr replace $a/64 dev w1 nodad; done`);
  await world.sh(
    "rt",
    `ip link set l1 down; ip link set w0 up; ${ipv6("w0")}
     ip addr replace ${HOST}/24 dev w0; ip route replace default via ${WAN_GATEWAY}
     ip addr replace ${HOST6}/64 dev w0 nodad; ip -6 route replace default via ${GATEWAY6}`,
  );
}

/** Writes a profile and its login. @returns the profile's path */
export function writeProfile(
  world: World,
  name: string,
  changes: Partial<ProfileOptions> = {},
  device = "tun",
): string {
  const file = join(world.dir, `${name}.ovpn`);
  const text = world.profile({ remotes: [SERVER], ...changes });
  writeFileSync(
    file,
    text.replace("auth-user-pass", `auth-user-pass ${name}.login`).replace("dev tun\r", `dev ${device}\r`),
  );
  writeFileSync(join(world.dir, `${name}.login`), AUTH, { mode: 0o600 });
  return file;
}

export interface ClientOptions {
  readonly more?: readonly string[];
  /** In front of the program. */
  readonly prefix?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

export function startClient(world: World, profile: string, options: ClientOptions = {}): Daemon {
  return world.start("client", "rt", clientWords(world, profile, options));
}

/** Its command line. */
export function clientWords(world: World, profile: string, options: ClientOptions = {}): string[] {
  const { more = [], prefix = [], env = {} } = options;
  const folder = join(world.dir, "run");
  const set = Object.entries({ RUNTIME_DIRECTORY: folder, ...env }).map(([name, value]) => `${name}=${value}`);
  return withFiles(world, [...prefix, "env", ...set, ...morgana(), "client", ...more, profile]);
}

/** The host's resolv.conf, which lies over the machine's own for the client alone. */
export const resolvConf = (world: World): string => join(world.dir, "resolv.conf");

/** In a mount namespace with the host's resolv.conf, and a /dev/net/tun that everybody may open, as udev makes it. */
export function withFiles(world: World, argv: readonly string[]): string[] {
  const tun = join(world.dir, "tun");
  const script = `test -e ${tun} || { mknod ${tun} c 10 200; chmod 666 ${tun}; }
    mount --bind ${tun} /dev/net/tun; mount --bind ${resolvConf(world)} /etc/resolv.conf; exec "$@"`;
  return ["unshare", "-m", "sh", "-ec", script, "sh", ...argv];
}

/** Starts it and waits until its tunnel is up. */
export async function clientUp(world: World, profile: string, options: ClientOptions = {}): Promise<Daemon> {
  const daemon = startClient(world, profile, options);
  if ((await daemon.says(/ tunnel\.up /, PATIENCE)) === undefined)
    throw new Error(`no tunnel within ${PATIENCE} s; the client says:\n${daemon.log().slice(-3000)}`);
  return daemon;
}

/** Fetches so many bytes from the web host. @returns how many came */
export async function fetchBytes(world: World, size: number, seconds = 60): Promise<number> {
  const script = `const r = await fetch("http://${SITE}:8080/bytes/${size}"); console.log((await r.bytes()).length)`;
  const { out } = await world.in("rt", [process.execPath, "-e", script], seconds);
  return Number(out.trim());
}

/** Starts a name server behind the VPN server, which runs: it knows one name, and its own are no other's. */
export async function namesInTunnel(world: World, name: string, address: string): Promise<void> {
  await world.stop("names-in-tunnel");
  const own = ["--no-daemon", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--bind-interfaces"];
  const told = [`--listen-address=${TUNNEL}`, `--address=/${name}/${address}`, "--log-queries"];
  const daemon = world.start("names-in-tunnel", "net", ["dnsmasq", ...own, ...told]);
  if ((await daemon.says(/started, version/, PATIENCE)) === undefined) throw new Error(daemon.log());
}

/** Addresses, links, routes of all tables, rules and the resolver of the host, as text. */
export async function hostState(world: World, part: "rt" | "net" = "rt"): Promise<string> {
  const commands = [
    "ip -o addr",
    "ip -o link",
    "ip route show table all",
    "ip -6 route show table all",
    "ip rule",
    "ip -6 rule",
    // Without counters.
    "nft -s list ruleset",
    "iptables-save | grep -v '^#'",
  ];
  const { out } = await world.in(part, [
    "sh",
    "-c",
    commands.map((command) => `echo "# ${command}"; ${command}`).join("; "),
  ]);
  const resolver = readFileSync(resolvConf(world), "utf8");
  // ip complains where a namespace of another test goes away while it looks.
  const told = out.replaceAll(/^Error: Peer netns reference is invalid\.\n/gm, "");
  // Counters and times of what the kernel learnt by itself.
  return `${told.replaceAll(/ (expires|qlen|qdisc) \S+| cache|^.*\bcached\b.*$/gm, "")}# resolv.conf\n${resolver}`;
}
