/**
 * A small internet around a server that is ours, with a LAN behind it and real openvpn clients on the road:
 *
 *   clients               bridge w1, gateway            the server         LAN host
 *   203.0.113.21, ...  -- 203.0.113.1             ----- w0  |  l1 ------- 192.168.50.2
 *   2001:db8:113::21      2001:db8:113::1               .2     .1          fd00:50::2
 *                         web host 198.51.100.10, 2001:db8:51::10
 *
 * Everything ends with `close()`, or with the process.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { Hosts } from "./hosts.ts";
import { removeStale } from "./namespaces.ts";
import { OPENVPN } from "./openvpn-binary.ts";
import { answered } from "./ping.ts";
import { makeServerPki } from "./pki.ts";
import { missingTools } from "./privilege.ts";
import { type Daemon, PATIENCE, until } from "./process.ts";
import { morgana } from "./router.ts";

export const WAN = "203.0.113.2";
export const WAN6 = "2001:db8:113::2";
export const LAN_GATEWAY = "192.168.50.1";
export const LAN_HOST = "192.168.50.2";
export const LAN_HOST6 = "fd00:50::2";
export const TUNNEL = "10.8.0.1";
export const TUNNEL6 = "fd00:8::1";
export const SITE = "198.51.100.10";
export const SITE6 = "2001:db8:51::10";

/** Users of users.txt, and files with what they log in with. */
export const USER = "ann";
const PASSWORD = "correct horse";

const TOOLS = ["ip", "openvpn", "ping"] as const;
const CLIENTS = ["a", "b", "c", "d"] as const;
export type Client = (typeof CLIENTS)[number];
type Part = "lan" | "rt" | "net" | "web" | Client;
const PARTS: readonly Part[] = ["lan", "rt", "net", "web", ...CLIENTS];

export interface ServeOptions {
  /** Directives of the stock profile that are left out. */
  readonly without?: readonly string[];
  /** Lines of appliance.toml, by table. */
  readonly server?: string;
  /** No address of the appliance is on the LAN. */
  readonly bridged?: boolean;
  /** A login is asked for. */
  readonly users?: boolean;
  readonly lan?: boolean;
  /** Further files of the config disk. */
  readonly files?: Readonly<Record<string, string>>;
}

export interface ClientOptions {
  readonly without?: readonly string[];
  readonly remote?: string;
  readonly port?: number;
  readonly proto?: string;
  /** Of another client, or a bad one. */
  readonly cert?: string;
}

/** A server as a process or as a VM. */
export type RouterProgram = Pick<Daemon, "log" | "stop" | "alive"> & {
  says(pattern: RegExp, seconds: number): Promise<unknown>;
};

export class ServedWorld extends Hosts<Part> {
  #config = "";
  #adopted: RouterProgram | undefined;

  private constructor(dir: string, prefix: string) {
    super(dir, prefix);
  }

  /** @param more names that have a certificate too, client-NAME */
  static async create(more: readonly string[] = []): Promise<ServedWorld> {
    const missing = missingTools(TOOLS);
    if (missing.length > 0) throw new Error(`install ${missing.join(", ")} first (scripts/bootstrap says how)`);
    removeStale();
    const world = new ServedWorld(mkdtempSync(join(tmpdir(), "morgana-served-")), `mg${process.pid}-s`);
    try {
      await world.#build(more);
    } catch (error) {
      await world.close();
      throw error;
    }
    return world;
  }

  start(name: string, part: Part, argv: readonly string[], cwd = this.dir): Daemon {
    return this.launch(name, part, argv, { cwd });
  }

  // --- the server ---

  /** A fresh server, once it listens; clients of the one before have ended. @param lines of its profile beside, or in the place of, the stock ones */
  async serve(lines: readonly string[] = [], options: ServeOptions = {}): Promise<Daemon> {
    // It waits for the answers of those whom it tells that it leaves: they are there yet.
    await this.stop("server");
    for (const client of CLIENTS) await this.leave(client);
    this.newConfig(lines, options);
    return this.restart(options.lan);
  }

  /** Another folder laid out like a config disk, which is the server's from now on. */
  newConfig(lines: readonly string[] = [], options: ServeOptions = {}): string {
    this.#config = join(this.dir, `config-${this.next()}`);
    mkdirSync(this.#config);
    this.configure(lines, options);
    return this.#config;
  }

  /** Writes the configuration of the server that runs anew. */
  configure(
    lines: readonly string[],
    { without = [], server = "", bridged = false, users = false, files = {} }: ServeOptions = {},
  ): void {
    // An old openvpn makes no keys of tls-crypt-v2.
    const names = ["ca.crt", "server.crt", "server.key", "static.key", "crl.pem", "v2-server.key"].filter((name) =>
      existsSync(join(this.dir, name)),
    );
    const taken = Object.fromEntries(names.map((name) => [name, readFileSync(join(this.dir, name))]));
    const toml = [
      WAN_TOML,
      bridged ? "" : `[lan]\naddress = "${LAN_GATEWAY}/24"\naddress6 = "fd00:50::1/64"`,
      `[server]\n${server}${users ? '\nusers = "users.txt"' : ""}\n`,
    ].join("\n");
    const all: Record<string, string | Uint8Array> = {
      ...taken,
      "server.conf": merged(SERVER_LINES, lines, without),
      "appliance.toml": toml,
      ...(users ? { "users.txt": readFileSync(join(this.dir, "users.txt")) } : {}),
      ...files,
    };
    for (const [name, content] of Object.entries(all)) {
      mkdirSync(dirname(join(this.#config, name)), { recursive: true });
      writeFileSync(join(this.#config, name), content);
    }
  }

  /** Another program is the server from now on, started by somebody else. */
  adopt(server: RouterProgram): void {
    this.#adopted = server;
  }

  /** Starts a server with the configuration of the one before. @param compiled the binary, in place of the sources */
  async restart(lan = true, compiled = false): Promise<Daemon> {
    const argv = [
      ...morgana(compiled),
      "appliance",
      "--wan",
      "w0",
      ...(lan ? ["--lan", "l1"] : []),
      "--config",
      this.#config,
    ];
    const state = join(this.#config, "..", "state");
    mkdirSync(state, { recursive: true });
    const daemon = this.start("server", "rt", ["env", `STATE_DIRECTORY=${state}`, ...argv]);
    if ((await daemon.says(/server\.listening|config\.invalid/, PATIENCE))?.[0] !== "server.listening")
      throw new Error(`the server does not listen:\n${daemon.log().slice(-2000)}`);
    return daemon;
  }

  // --- its clients ---

  client(name: Client, lines: readonly string[] = [], options: ClientOptions = {}): Daemon {
    const { without = [], remote = WAN, port = 1194, proto = "udp", cert = `client-${name}` } = options;
    const base = [
      ...["client", "dev tun0", `proto ${proto}`, `remote ${remote} ${port}`, "nobind", "remote-cert-tls server"],
      ...["ca ca.crt", `cert ${cert}.crt`, `key ${cert}.key`, "tls-crypt static.key", "connect-retry 1 2", "verb 3"],
      ...(proto.startsWith("udp") ? ["explicit-exit-notify 1"] : []),
    ];
    writeFileSync(join(this.dir, `${name}.conf`), merged(base, lines, without));
    return this.start(name, name, [OPENVPN, "--cd", this.dir, "--config", `${name}.conf`]);
  }

  /** Seconds until a client is through, `times` times; fails with the end of its log. */
  async joined(name: Client, times = 1): Promise<number> {
    const daemon = this.daemon(name);
    const count = (): number => daemon.log().split("Initialization Sequence Completed").length - 1;
    const after = await until(() => count() >= times || !daemon.alive, PATIENCE);
    if (count() < times || after === undefined)
      throw new Error(
        `client ${name} does not get through:\n${daemon.log().slice(-1500)}\n${this.serverLog().slice(-1500)}`,
      );
    return after;
  }

  async join(name: Client, lines: readonly string[] = [], options: ClientOptions = {}): Promise<Daemon> {
    const daemon = this.client(name, lines, options);
    await this.joined(name);
    return daemon;
  }

  async leave(name: Client, signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    await this.stop(name, signal);
    await this.in(name, ["ip", "route", "del", `${WAN}/32`]);
  }

  /** The log of the server. */
  serverLog(): string {
    return (this.#adopted ?? this.daemon("server")).log();
  }

  /** The client's address in the tunnel. */
  async address(name: Client, family: 4 | 6 = 4): Promise<string> {
    const { out } = await this.in(name, ["ip", "-o", `-${family}`, "addr", "show", "dev", "tun0", "scope", "global"]);
    return /inet6? ([0-9a-f.:]+)/.exec(out)?.[1] ?? "none";
  }

  /** Gives a client another address on the road. */
  async move(name: Client, address: string): Promise<void> {
    await this.sh(
      name,
      `ip -4 addr flush dev e0; ip addr add ${address}/24 dev e0; ip route replace default via 203.0.113.1`,
    );
  }

  // --- what is seen ---

  /** How many of some pings are answered. */
  async ping(part: Part, target: string, count = 3, more: readonly string[] = []): Promise<number> {
    // With a deadline ping goes on until that many are answered, instead of waiting one interval for the last.
    const deadline = count > 1 ? ["-w", `${count + 10}`] : [];
    const argv = ["ping", "-n", "-c", `${count}`, "-i", "0.1", "-W", "2", ...deadline, ...more, target];
    return answered((await this.in(part, argv, PATIENCE)).out, count);
  }

  /** Whether a ping is answered in the end. */
  async reaches(part: Part, target: string): Promise<boolean> {
    return (await until(async () => (await this.ping(part, target, 1)) === 1, PATIENCE)) !== undefined;
  }

  /** Whether a download of some bytes from a web host is right. */
  async downloads(part: Part, host: string, bytes = 1_000_000): Promise<boolean> {
    const argv = [process.execPath, join(import.meta.dir, "lan-host.ts"), "download", host, `${bytes}`, "1"];
    const { out } = await this.in(part, argv, PATIENCE);
    return /"ok":1/.test(out);
  }

  /** The line in which the server says something; fails with the end of its log when it does not. */
  async says(pattern: RegExp, from = 0): Promise<string> {
    const server = this.daemon("server");
    const match = await server.says(new RegExp(`.*(?:${pattern.source}).*`), PATIENCE, from);
    if (match === undefined) throw new Error(`the server did not say ${pattern} but:\n${server.log().slice(-3000)}`);
    return match[0];
  }

  async #build(more: readonly string[]): Promise<void> {
    const pki = makeServerPki(this.dir, [...CLIENTS, ...more]);
    const hash = await Bun.password.hash(PASSWORD, { algorithm: "argon2id", memoryCost: 19_456, timeCost: 2 });
    writeFileSync(join(this.dir, "users.txt"), `${USER}:${hash}\n`);
    writeFileSync(join(this.dir, "right.txt"), `${USER}\n${PASSWORD}\n`, { mode: 0o600 });
    writeFileSync(join(this.dir, "wrong.txt"), `${USER}\nbattery staple\n`, { mode: 0o600 });
    for (const part of PARTS) {
      await this.addPart(part);
      // The server's kernel has no address; the others are hosts of both families that wait for nothing.
      const ipv6 =
        "for i in all default; do cd /proc/sys/net/ipv6/conf/$i; echo 0 > disable_ipv6; echo 0 > accept_dad; echo 0 > accept_ra; done";
      if (part !== "rt") await this.sh(part, ipv6);
    }
    await this.sh(
      "net",
      "ip link add w1 type bridge mcast_snooping 0; ip link set w1 up; echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding",
    );
    await this.cable("w0", "rt", "toserver", "net");
    await this.cable("l0", "lan", "l1", "rt");
    await this.cable("i0", "net", "i1", "web");
    for (const name of CLIENTS) await this.cable("e0", name, `to${name}`, "net");
    for (const port of ["toserver", ...CLIENTS.map((name) => `to${name}`)])
      await this.sh("net", `ip link set ${port} up master w1`);
    await this.sh("rt", "ip link set w0 up; ip link set l1 up");
    await this.sh(
      "net",
      "for a in 203.0.113.1/24 2001:db8:113::1/64; do ip addr add $a dev w1; done; ip link set i0 up; ip addr add 198.51.100.1/24 dev i0; ip addr add 2001:db8:51::1/64 dev i0",
    );
    await this.sh(
      "web",
      `ip link set i1 up; ip addr add ${SITE}/24 dev i1; ip addr add ${SITE6}/64 dev i1; ip route add default via 198.51.100.1; ip -6 route add default via 2001:db8:51::1`,
    );
    await this.sh(
      "lan",
      `ip link set l0 up; ip addr add ${LAN_HOST}/24 dev l0; ip addr add ${LAN_HOST6}/64 dev l0; ip route add default via ${LAN_GATEWAY}; ip -6 route add default via fd00:50::1`,
    );
    for (const [i, name] of CLIENTS.entries())
      await this.sh(
        name,
        `ip link set e0 up; ip addr add 203.0.113.${21 + i}/24 dev e0; ip addr add 2001:db8:113::${21 + i}/64 dev e0; ip route add default via 203.0.113.1; ip -6 route add default via 2001:db8:113::1`,
      );
    const web = join(import.meta.dir, "web-host.ts");
    const hosts = (["web", "lan"] as const).map((part) => this.start(`${part}-host`, part, [process.execPath, web]));
    await pki;
    for (const host of hosts)
      if ((await host.says(/ready/, PATIENCE)) === undefined)
        throw new Error(`a web host did not start: ${host.log()}`);
  }
}

/** The WAN in appliance.toml. */
export const WAN_TOML = `[wan]\naddress = "${WAN}/24"\ngateway = "203.0.113.1"\naddress6 = "${WAN6}/64"\ngateway6 = "2001:db8:113::1"`;

const SERVER_LINES = [
  ...[
    "port 1194",
    "proto udp",
    "dev tun",
    "topology subnet",
    "server 10.8.0.0 255.255.255.0",
    'push "route 192.168.50.0 255.255.255.0"',
  ],
  ...["ca ca.crt", "cert server.crt", "key server.key", "dh none", "keepalive 2 10", "tls-crypt static.key", "verb 3"],
];

/** A line takes the place of those of the stock ones that begin with the same word; `push` and `route` are added. */
function merged(stock: readonly string[], lines: readonly string[], without: readonly string[]): string {
  const word = (line: string): string => line.split(" ")[0]!;
  const gone = new Set([...lines.map(word).filter((name) => name !== "push" && name !== "route"), ...without]);
  return [...stock.filter((line) => !gone.has(word(line))), ...lines, ""].join("\n");
}
