/**
 * One end of ours on the kernel of a host, and the real openvpn as the other: by transport, by who has made the tun device, and by what
 * the user may who runs it. After each the host is as it was before.
 */
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { choices } from "../pairwise.ts";
import { OPENVPN } from "./openvpn-binary.ts";
import { answered } from "./ping.ts";
import { type Daemon, PATIENCE, until } from "./process.ts";
import { morgana } from "./router.ts";
import { asHost, hostState, SERVER6, startClient, withFiles, writeProfile } from "./unix-client.ts";
import { type Part, SERVER, SITE, TUNNEL, World } from "./world.ts";

const END = ["client", "server"] as const;
const PROTO = ["udp", "udp6", "tcp", "tcp6"] as const;
/** The first that is free, or one that somebody has made before. */
const DEVICE = ["dynamic", "prepared"] as const;
const USER = ["root", "cap_net_admin", "plain user"] as const;

/** Sizes of the table, for test/support/pairwise.ts. */
export const UNIX_SIZES = [END.length, PROTO.length, DEVICE.length, USER.length];

export interface UnixCell {
  /** Which of the two is ours. */
  readonly end: (typeof END)[number];
  readonly proto: (typeof PROTO)[number];
  readonly device: (typeof DEVICE)[number];
  readonly user: (typeof USER)[number];
}

/** Who may nothing makes no device. */
export const isPossibleUnixCell = ([, , device = 0, user = 0]: readonly number[]): boolean =>
  DEVICE[device] === "prepared" || USER[user] !== "plain user";

export const unixCell = ([end = 0, proto = 0, device = 0, user = 0]: readonly number[]): UnixCell => ({
  ...{ end: END[end]!, proto: PROTO[proto]!, device: DEVICE[device]!, user: USER[user]! },
});

export const unixCells = (): UnixCell[] => choices(UNIX_SIZES).filter(isPossibleUnixCell).map(unixCell);

export const unixCellName = ({ end, proto, device, user }: UnixCell): string =>
  `${end}, ${proto}, ${device} tun, ${user}`;

export interface UnixOutcome {
  /** Of those that were sent. */
  readonly pings: number;
  readonly sent: number;
  /** Seconds of the download. */
  readonly seconds: number;
  /** Whether addresses, links, routes of all tables, rules, filters and resolver are as they were. */
  readonly isAsBefore: boolean;
  readonly problems: readonly string[];
}

/** Where each end of ours lives. */
const PART = { client: "rt", server: "net" } as const;
const TUNNEL6 = "fd00:8::1";
const OWN_SERVER = { ipv4: "203.0.113.1", ipv6: "2001:db8:203::1" };
const NOBODY_ID = "65534";
const DEVICE_NAME = "tun7";
const PINGS = 3;
const DOWNLOAD_BYTES = 2_000_000;
const PREFIX: Record<UnixCell["user"], readonly string[]> = {
  root: [],
  cap_net_admin: ["setpriv", "--inh-caps", "-all,+net_admin", "--bounding-set", "-all,+net_admin"],
  "plain user": ["setpriv", "--reuid", NOBODY_ID, "--regid", NOBODY_ID, "--clear-groups", "--inh-caps", "-all"],
};
/** A plain user has no folder for a journal, and nothing to write there. */
const PLAIN_ENV = { RUNTIME_DIRECTORY: "/nowhere", BUN_INSTALL: "/tmp" };
const SECRETS = ["server.key", "static.key"];
/** They are root's. */
const secretMode = (user: UnixCell["user"]): number => (user === "plain user" ? 0o644 : 0o600);

export class UnixMatrix {
  readonly world: World;

  private constructor(world: World) {
    this.world = world;
  }

  static async create(): Promise<UnixMatrix> {
    const world = await World.create();
    try {
      await asHost(world);
      chmodSync(world.dir, 0o755);
      return new UnixMatrix(world);
    } catch (error) {
      await world.close();
      throw error;
    }
  }

  close(): Promise<void> {
    return this.world.close();
  }

  /** Never fails: what does is a problem of the cell. */
  async run(cell: UnixCell): Promise<UnixOutcome> {
    const problems: string[] = [];
    const part = PART[cell.end];
    const tally = { pings: 0, sent: 0, seconds: Number.NaN };
    let isAsBefore = false;
    try {
      await this.#prepare(cell);
      const before = await hostState(this.world, part);
      await (cell.end === "client" ? this.#asClient(cell, problems, tally) : this.#asServer(cell, problems, tally));
      // The kernel says a moment later that nobody has a device open which stays.
      const isSame = async (): Promise<boolean> => (await hostState(this.world, part)) === before;
      isAsBefore = (await until(isSame, cell.device === "prepared" ? PATIENCE : 0)) !== undefined;
      if (!isAsBefore)
        problems.push(`the host is not as it was:\n${before}\n---\n${await hostState(this.world, part)}`);
    } catch (error) {
      problems.push((error as Error).message);
    } finally {
      for (const name of ["client", "far", "server"]) await this.world.stop(name);
      await this.world.in(part, ["ip", "link", "del", DEVICE_NAME]);
    }
    return { ...tally, isAsBefore, problems };
  }

  /** Makes the device that is not ours to make, and for who may nothing all that the tunnel needs. */
  async #prepare({ end, device, user }: UnixCell): Promise<void> {
    if (device === "dynamic") return;
    const lines = [`ip tuntap add dev ${DEVICE_NAME} mode tun ${user === "plain user" ? `user ${NOBODY_ID}` : ""}`];
    if (user === "plain user") {
      const [own, routes] = end === "client" ? ["10.8.0.2", ["0.0.0.0/1", "128.0.0.0/1"]] : [TUNNEL, []];
      lines.push(
        // What the kernel gives itself when the device comes up is not what this is about.
        `echo 1 > /proc/sys/net/ipv6/conf/${DEVICE_NAME}/disable_ipv6`,
        `ip addr add ${own}/24 dev ${DEVICE_NAME}; ip link set ${DEVICE_NAME} mtu 1500 up`,
        ...routes.map((route) => `ip route add ${route} dev ${DEVICE_NAME}`),
      );
    }
    await this.world.sh(PART[end], lines.join("\n"));
  }

  async #asClient({ proto, device, user }: UnixCell, problems: string[], tally: Tally): Promise<void> {
    const { world } = this;
    const remote = proto.endsWith("6") ? SERVER6 : SERVER;
    const protocol = proto.startsWith("tcp") ? "tcp" : "udp";
    const hasIpv6 = user !== "plain user";
    const lines = [
      ...(proto.endsWith("6") ? [`proto ${proto}${protocol === "tcp" ? "-server" : ""}`] : []),
      ...(hasIpv6 ? [`server-ipv6 ${TUNNEL6.slice(0, -1)}/64`] : []),
    ];
    await world.server({ protocol, lines }, "far", remote);
    const name = device === "dynamic" ? "tun" : DEVICE_NAME;
    const profile = writeProfile(world, "cell", { protocol, remotes: [remote] }, name);
    chmodSync(join(world.dir, "cell.login"), secretMode(user));
    const client = startClient(world, profile, { prefix: PREFIX[user], env: user === "plain user" ? PLAIN_ENV : {} });
    await says(client, / tunnel\.up /);
    await this.#tryOut("rt", hasIpv6, problems, tally);
    await this.#end("client", user, problems);
  }

  async #asServer({ proto, device, user }: UnixCell, problems: string[], tally: Tally): Promise<void> {
    const { world } = this;
    const isTcp = proto.startsWith("tcp");
    const hasIpv6 = user !== "plain user";
    const config = [
      ...[
        `dev ${device === "dynamic" ? "tun" : DEVICE_NAME}`,
        `proto ${isTcp ? `${proto}-server` : proto}`,
        "port 1194",
      ],
      ...["server 10.8.0.0 255.255.255.0", "topology subnet", "ca ca.crt", "cert server.crt", "key server.key"],
      ...["dh none", "tls-crypt static.key", "keepalive 2 10", `push "route ${SITE} 255.255.255.255"`],
      ...(hasIpv6 ? [`server-ipv6 ${TUNNEL6.slice(0, -1)}/64`] : []),
    ];
    for (const name of SECRETS) chmodSync(join(world.dir, name), secretMode(user));
    const file = join(world.dir, "cell.conf");
    writeFileSync(file, `${config.join("\n")}\n`);
    const env = user === "plain user" ? PLAIN_ENV : { RUNTIME_DIRECTORY: join(world.dir, "run-server") };
    const words = Object.entries(env).map(([name, value]) => `${name}=${value}`);
    const argv = withFiles(world, [...PREFIX[user], "env", ...words, ...morgana(), "server", file]);
    await says(world.start("server", "net", argv), / server\.listening /);
    const far = join(world.dir, "far.conf");
    const text = world.profile({
      remotes: [proto.endsWith("6") ? OWN_SERVER.ipv6 : OWN_SERVER.ipv4],
      password: false,
      lines: [`proto ${isTcp ? `${proto}-client` : proto}`],
    });
    writeFileSync(far, text.replace("dev tun\r", "dev tun-far\r\ndev-type tun\r"));
    await says(world.start("far", "rt", [OPENVPN, "--config", far]), /Initialization Sequence Completed/);
    await this.#tryOut("rt", hasIpv6, problems, tally);
    await this.#ping("net", "10.8.0.2", problems, tally);
    await world.stop("far");
    await this.#end("server", user, problems);
  }

  /** Through the tunnel, from the client's host. */
  async #tryOut(part: Part, hasIpv6: boolean, problems: string[], tally: Tally): Promise<void> {
    for (const target of [TUNNEL, SITE, ...(hasIpv6 ? [TUNNEL6] : [])]) await this.#ping(part, target, problems, tally);
    const { out: asked } = await this.world.in(part, ["curl", "-s", "-m", "30", `http://${SITE}:8080/whoami`]);
    if (asked.trim() !== "10.8.0.2") problems.push(`the web host was asked from ${asked.trim() || "nowhere"}`);
    const script = join(import.meta.dir, "lan-host.ts");
    const argv = [process.execPath, script, "download", SITE, `${DOWNLOAD_BYTES}`, "1"];
    const { out } = await this.world.in(part, argv, PATIENCE);
    const { ok, seconds } = /^\{.*"ok":(?<ok>\d+).*"seconds":(?<seconds>[\d.]+)/m.exec(out)?.groups ?? {};
    if (ok !== "1") problems.push(`the download: ${out.trim()}`);
    tally.seconds = Number(seconds);
  }

  async #ping(part: Part, target: string, problems: string[], tally: Tally): Promise<void> {
    // With a deadline it waits for all of them, however late they are beside each other.
    const how = ["-n", "-c", `${PINGS}`, "-i", "0.2", "-w", `${PATIENCE / 2}`];
    const { out } = await this.world.in(part, ["ping", ...how, target], PATIENCE);
    const back = answered(out, PINGS);
    tally.sent += PINGS;
    tally.pings += back;
    if (back < PINGS) problems.push(`ping ${target}: ${back} of ${PINGS}: ${out.trim()}`);
  }

  async #end(name: UnixCell["end"], user: UnixCell["user"], problems: string[]): Promise<void> {
    const daemon = this.world.daemon(name);
    const status = await this.world.stop(name);
    if (status !== 0) problems.push(`it ended with status ${status}`);
    // Who may less is told that neither resolver nor journal can be written.
    const objection = user === "root" ? / (warn|error) / : / (error|host\.refused) /;
    problems.push(
      ...daemon
        .log()
        .split("\n")
        .filter((line) => objection.test(line)),
    );
  }
}

interface Tally {
  pings: number;
  sent: number;
  seconds: number;
}

async function says(daemon: Daemon, pattern: RegExp): Promise<void> {
  if ((await daemon.says(pattern, PATIENCE)) === undefined)
    throw new Error(`${daemon.name} has not said ${pattern} in ${PATIENCE} s:\n${daemon.log().slice(-2000)}`);
}
