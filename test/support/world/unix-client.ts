/** `morgana client` in the router's place of a world, as a host of the WAN; and everything of that host which it may change. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Daemon, PATIENCE } from "./process.ts";
import { AUTH, type ProfileOptions } from "./profile.ts";
import { morgana } from "./router.ts";
import { SERVER, WAN_GATEWAY, type World } from "./world.ts";

export const HOST = "203.0.113.50";

/** Gives the router's place an address and a default route, as an ordinary host has them. */
export async function asHost(world: World): Promise<void> {
  await world.sh(
    "rt",
    `ip link set l1 down; ip addr replace ${HOST}/24 dev w0; ip link set w0 up; ip route replace default via ${WAN_GATEWAY}`,
  );
}

/** Writes a profile and its login. @returns the profile's path */
export function writeProfile(world: World, name: string, changes: Partial<ProfileOptions> = {}): string {
  const file = join(world.dir, `${name}.ovpn`);
  const text = world.profile({ remotes: [SERVER], ...changes });
  writeFileSync(file, text.replace("auth-user-pass", `auth-user-pass ${name}.login`));
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
  const { more = [], prefix = [], env = {} } = options;
  const folder = join(world.dir, "run");
  const set = Object.entries({ RUNTIME_DIRECTORY: folder, ...env }).map(([name, value]) => `${name}=${value}`);
  return world.start("client", "rt", [...prefix, "env", ...set, ...morgana(), "client", ...more, profile]);
}

/** Starts it and waits until its tunnel is up. */
export async function clientUp(world: World, profile: string, options: ClientOptions = {}): Promise<Daemon> {
  const daemon = startClient(world, profile, options);
  if ((await daemon.says(/ tunnel\.up /, PATIENCE)) === undefined)
    throw new Error(`no tunnel within ${PATIENCE} s; the client says:\n${daemon.log().slice(-3000)}`);
  return daemon;
}

/** Addresses, links, routes of all tables, rules and the resolver of the host, as text. */
export async function hostState(world: World): Promise<string> {
  const commands = [
    "ip -o addr",
    "ip -o link",
    "ip route show table all",
    "ip -6 route show table all",
    "ip rule",
    "ip -6 rule",
  ];
  const { out } = await world.in("rt", [
    "sh",
    "-c",
    commands.map((command) => `echo "# ${command}"; ${command}`).join("; "),
  ]);
  // Counters and times of what the kernel learnt by itself.
  return out.replaceAll(/ (expires|qlen) \S+| cache|^.*\bcached\b.*$/gm, "");
}
