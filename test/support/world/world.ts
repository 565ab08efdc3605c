/**
 * A small internet made of network namespaces, with a place for one router:
 *
 *   LAN host          the router         (bridge or       gateway, DHCP, DNS,       web host
 *   192.168.50.2 ---- .1 | 203.0.113.x -- bad link) ----- VPN servers 203.0.113.1, - 198.51.100.10
 *   l0            l1       w0         m0            m1    .10, .11  w1        i0     i1  (MTU 1280)
 *
 * Certificates are made when it starts; the programs are the real ones. Everything ends with `close()`, or with the process.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { badLinkCommand, type LinkFaults } from "./bad-link.ts";
import { Capture, captureCommand, type Expectation, type Tally } from "./capture.ts";
import type { FloodKind } from "./flood.ts";
import { Hosts } from "./hosts.ts";
import { inside, removeStale } from "./namespaces.ts";
import { OPENVPN } from "./openvpn-binary.ts";
import { checkedLogins, SERVER_DEFAULTS, type ServerOptions, writeServerConfig } from "./openvpn-server.ts";
import { answered } from "./ping.ts";
import { makePki } from "./pki.ts";
import { missingTools } from "./privilege.ts";
import { type Daemon, must, PATIENCE, until } from "./process.ts";
import { AUTH, type ConfigFiles, type ProfileOptions, profileText, SERVER_NAME, writeConfig } from "./profile.ts";

export const GATEWAY = "192.168.50.1";
export const LAN_HOST = "192.168.50.2";
export const WAN_GATEWAY = "203.0.113.1";
/** Two addresses of the VPN servers. */
export const SERVER = "203.0.113.10";
export const SERVER_2 = "203.0.113.11";
/** On the WAN, but nobody is there. */
export const NOBODY = "203.0.113.99";
export const SITE = "198.51.100.10";
export const TUNNEL = "10.8.0.1";

export const TOML = `[wan]\naddress = "dhcp"\n[lan]\naddress = "${GATEWAY}/24"\n[vpn]\nconfig = "lab.ovpn"\n`;

const PARTS = ["lan", "rt", "mid", "net", "web"] as const;
export type Part = (typeof PARTS)[number];

export const TOOLS = ["ip", "openvpn", "dnsmasq", "tcpdump", "ping", "iperf3", "ethtool"] as const;

export interface WorldOptions {
  /** With a bridge in the middle of the WAN (which a bad link can replace), or a plain cable. */
  readonly wan?: "bridge" | "cable";
  /** MTU of the link to the web host. */
  readonly webMtu?: number;
}

let worlds = 0;

export class World extends Hosts<Part> {
  private readonly servers = new Map<string, ServerOptions & { address: string }>();
  private gatewayMac = "";

  private constructor(dir: string, prefix: string) {
    super(dir, prefix);
  }

  static async create(options: WorldOptions = {}): Promise<World> {
    const missing = missingTools(TOOLS);
    if (missing.length > 0) throw new Error(`install ${missing.join(", ")} first (scripts/bootstrap says how)`);
    removeStale();
    const suffix = worlds++ === 0 ? "" : String.fromCharCode(96 + worlds);
    const world = new World(mkdtempSync(join(tmpdir(), "morgana-world-")), `mg${process.pid}-${suffix}`);
    try {
      await world.build(options);
    } catch (error) {
      await world.close();
      throw error;
    }
    return world;
  }

  /** Starts a program that stays; an earlier one of that name must have ended. */
  start(name: string, part: Part, argv: readonly string[], options: { cwd?: string } = {}): Daemon {
    if (this.runs(name)) throw new Error(`${name} runs already`);
    return this.launch(name, part, argv, options);
  }

  // --- the VPN servers ---

  /** Starts an openvpn server (named "server" unless told) and waits until it listens. */
  async server(changes: Partial<ServerOptions> = {}, name = "server", address = SERVER): Promise<Daemon> {
    await this.stop(name);
    const options = { ...SERVER_DEFAULTS, ...changes };
    this.servers.set(name, { ...options, address });
    const config = writeServerConfig(this.dir, name, address, options);
    const daemon = this.start(name, "net", [OPENVPN, "--cd", this.dir, "--config", config]);
    if ((await daemon.says(/Initialization Sequence Completed/, PATIENCE)) === undefined) {
      throw new Error(`the openvpn server did not start:\n${daemon.log().slice(-2000)}`);
    }
    return daemon;
  }

  /** User and password of each login that a server had its script check. */
  logins(server = "server"): string[][] {
    return checkedLogins(this.dir, server);
  }

  // --- configurations for the router ---

  profile(changes: Partial<ProfileOptions> = {}): string {
    return profileText(this.dir, changes);
  }

  /** A folder laid out like a config disk: by default a stock profile, `auth.txt` and `appliance.toml`. */
  config(files: Partial<ConfigFiles> = {}): string {
    const all: ConfigFiles = { profile: this.profile(), auth: AUTH, toml: TOML, ...files };
    return writeConfig(join(this.dir, `config-${this.next()}`), all);
  }

  // --- what the neighbours see ---

  /** Pings from the LAN host: how many of `count` came back, and what ping said. Several are waited for until all are there, or for long. */
  async ping(
    target: string,
    count = 1,
    more: readonly string[] = [],
  ): Promise<{ back: number; out: string; meanMs: number }> {
    // With a deadline ping goes on beyond `count` until that many are answered, instead of waiting one interval for the last.
    const deadline = count > 1 ? ["-w", `${count + 10}`] : [];
    const { out } = await this.in(
      "lan",
      ["ping", "-n", "-c", `${count}`, "-i", "0.2", "-W", "5", ...deadline, ...more, target],
      count + PATIENCE,
    );
    const mean = /= [\d.]+\/([\d.]+)\//.exec(out)?.[1];
    return { back: answered(out, count), out, meanMs: Number(mean ?? Number.NaN) };
  }

  /** Whether the router itself says that there is no way to a host. */
  async refuses(target: string): Promise<boolean> {
    return new RegExp(`From ${GATEWAY.replaceAll(".", "\\.")} .*[Uu]nreachable`).test((await this.ping(target)).out);
  }

  /** Seconds until a ping goes through the tunnel, or undefined. */
  tunnelUp(seconds: number, target = TUNNEL): Promise<number | undefined> {
    return until(async () => (await this.ping(target, 1, ["-W", "1"])).back === 1, seconds);
  }

  /** Runs a verb of lan-host.ts on the LAN host; its answer. */
  async lanHost<T>(verb: string, args: readonly (string | number)[], seconds = 60): Promise<T> {
    const script = join(import.meta.dir, "lan-host.ts");
    const { code, out } = await this.in("lan", [process.execPath, script, verb, ...args.map(String)], seconds);
    if (code !== 0) throw new Error(`${verb} on the LAN host: status ${code}: ${out.slice(-500)}`);
    return JSON.parse(out.trim().split("\n").at(-1)!) as T;
  }

  /** Tries from the LAN what must never leave by the WAN: hosts of the WAN's own subnet, its resolver, the VPN server, DNS to the gateway. */
  async tempt(): Promise<void> {
    await Promise.all([
      this.ping(WAN_GATEWAY, 1, ["-W", "1"]),
      this.ping(SERVER, 1, ["-W", "1"]),
      this.lanHost("ask", [WAN_GATEWAY, SERVER, GATEWAY]),
      this.in("lan", ["sh", "-c", `for i in ${WAN_GATEWAY} ${SERVER}; do ip route get $i; done`]),
    ]);
  }

  /** The router's WAN address by the newest DHCP lease. */
  wanAddress(): string {
    const path = join(this.dir, "leases");
    const rows = existsSync(path)
      ? readFileSync(path, "utf8")
          .split("\n")
          .filter((line) => /^\d/.test(line))
          .map((line) => line.split(" "))
      : [];
    const newest = rows.sort((a, b) => Number(b[0]) - Number(a[0]))[0];
    if (newest === undefined) throw new Error("no DHCP lease was given");
    return newest[2]!;
  }

  async mac(part: Part, device: string): Promise<string> {
    return /link\/ether (\S+)/.exec(await must(inside(this.ns(part), ["ip", "link", "show", device])))?.[1] ?? "";
  }

  /** Records the WAN from now on. */
  async capture(): Promise<Capture> {
    const name = `capture-${this.next()}`;
    const path = join(this.dir, `${name}.pcap`);
    const daemon = this.start(name, "net", captureCommand("w1", path));
    if ((await daemon.says(/listening on/, PATIENCE)) === undefined)
      throw new Error(`tcpdump did not start: ${daemon.log()}`);
    return new Capture(path, daemon);
  }

  /** What may be on the WAN, with the servers that were started so far. */
  expectation(): Expectation {
    return {
      gatewayMac: this.gatewayMac,
      network: "203.0.113.",
      resolver: WAN_GATEWAY,
      names: [SERVER_NAME, "dead.example"],
      servers: [...this.servers.values()].map(({ address, port }) => ({ address, port })),
    };
  }

  /** Everything that a capture saw until now, by kind. */
  async tally(capture: Capture): Promise<Tally> {
    // A broadcast of the gateway that comes last: when it is in the file, so is all that was before it.
    const mark = crypto.getRandomValues(new Uint8Array(16));
    const how = ["-q", "-b", "-c", "1", "-W", "0.1", "-s", "48", "-p", mark.toHex(), "-I", "w1"];
    const { out } = await this.in("net", ["ping", ...how, "203.0.113.255"]);
    if ((await until(() => capture.holds(mark), PATIENCE)) === undefined)
      throw new Error(`the capture does not go on; ping said: ${out}`);
    return capture.tally(this.expectation());
  }

  /** Sends seeded junk from one side at the router; how many frames the kernel took. */
  async junk(side: "lan" | "wan", count: number, seed: number, routerMac: string): Promise<number> {
    const [part, device, own, router]: [Part, string, string, string] =
      side === "lan" ? ["lan", "l0", LAN_HOST, GATEWAY] : ["net", "w1", WAN_GATEWAY, this.wanAddress()];
    const script = join(import.meta.dir, "junk.ts");
    const argv = [
      process.execPath,
      script,
      device,
      side,
      `${count}`,
      `${seed}`,
      await this.mac(part, device),
      routerMac,
      own,
      router,
    ];
    const { code, out } = await this.in(part, argv, 60 + count / 1000);
    if (code !== 0) throw new Error(`junk: status ${code}: ${out.slice(-500)}`);
    return (JSON.parse(out.trim().split("\n").at(-1)!) as { sent: number }).sent;
  }

  /** Starts the WAN's DHCP and DNS server (anew), with further arguments for dnsmasq; `address` is what the VPN server's name leads to. */
  async names(more: readonly string[] = [], address = SERVER): Promise<void> {
    await this.stop("dnsmasq");
    const names = this.start("dnsmasq", "net", [
      "dnsmasq",
      "--no-daemon",
      "--conf-file=/dev/null",
      "--no-resolv",
      "--no-hosts",
      "--interface=w1",
      "--bind-interfaces",
      "--dhcp-range=203.0.113.100,203.0.113.120,1h",
      `--dhcp-option=3,${WAN_GATEWAY}`,
      `--dhcp-option=6,${WAN_GATEWAY}`,
      `--address=/${SERVER_NAME}/${address}`,
      `--address=/dead.example/${NOBODY}`,
      "--local=/example/",
      `--dhcp-leasefile=${join(this.dir, "leases")}`,
      "--no-ping",
      "--log-dhcp",
      "--log-queries",
      ...more,
    ]);
    // It says so when its sockets are open.
    if ((await names.says(/DHCP, IP range/, PATIENCE)) === undefined)
      throw new Error(`dnsmasq did not start: ${names.log()}`);
  }

  /**
   * Floods the router from one side with `rate` frames a second.
   * @param router its MAC, its OpenVPN port, and the device of the namespace that it is in that leads to it (its tap)
   */
  async flood(
    side: "lan" | "wan",
    kind: FloodKind,
    seconds: number,
    rate: number,
    router: { readonly mac: string; readonly port: number; readonly device: string },
  ): Promise<{ sent: number; refused: number }> {
    const ends = side === "lan" ? [LAN_HOST, GATEWAY] : [SERVER, this.wanAddress()];
    const ownMac = await (side === "lan" ? this.mac("lan", "l0") : this.mac("net", "w1"));
    const script = join(import.meta.dir, "flood.ts");
    const numbers = [seconds, rate, this.next()].map(String);
    const argv = [process.execPath, script, router.device, kind, ...numbers, ownMac, router.mac, ...ends];
    const { code, out } = await this.in("rt", [...argv, "1194", `${router.port}`], seconds + PATIENCE);
    if (code !== 0) throw new Error(`flood: status ${code}: ${out.slice(-500)}`);
    return JSON.parse(out.trim().split("\n").at(-1)!) as { sent: number; refused: number };
  }

  // --- the cable ---

  /**
   * The WAN takes no packet of more than `mtu` bytes while `body` runs, and loses larger ones without a word. Offloads are off:
   * a super-frame would pass whole.
   */
  async narrowLink<T>(mtu: number, body: () => Promise<T>): Promise<T> {
    const links = (size: number): Promise<unknown> =>
      Promise.all([
        this.sh("mid", `ip link set m0 mtu ${size}; ip link set m1 mtu ${size}`),
        this.sh("net", `ip link set w1 mtu ${size}`),
      ]);
    await this.wanOffload("off");
    await links(mtu);
    try {
      return await body();
    } finally {
      await links(1500);
      await this.wanOffload("on");
    }
  }

  /** The WAN goes through a bad link instead of the bridge while `body` runs. */
  async badLink<T>(faults: LinkFaults, body: () => Promise<T>): Promise<T> {
    await this.wanOffload("off");
    await this.sh("mid", "ip link set m0 nomaster; ip link set m1 nomaster");
    const link = this.start("bad-link", "mid", badLinkCommand("m0", "m1", faults));
    try {
      if ((await link.says(/ready/, PATIENCE)) === undefined)
        throw new Error(`the bad link did not start: ${link.log()}`);
      return await body();
    } finally {
      await this.stop("bad-link");
      await this.sh("mid", "ip link set m0 master mid0; ip link set m1 master mid0");
      await this.wanOffload("on");
    }
  }

  private async wanOffload(way: "on" | "off"): Promise<void> {
    for (const [part, device] of [
      ["rt", "w0"],
      ["net", "w1"],
    ] as const) {
      await this.in(part, ["ethtool", "-K", device, "tx", way, "tso", way, "gso", way]);
    }
  }

  private async build(options: WorldOptions): Promise<void> {
    const { wan = "bridge", webMtu = 1280 } = options;
    mkdirSync(this.dir, { recursive: true });
    const pki = makePki(this.dir);
    for (const part of PARTS) {
      if (part === "mid" && wan === "cable") continue;
      await this.addPart(part);
    }
    await this.cable("l0", "lan", "l1", "rt");
    if (wan === "cable") await this.cable("w0", "rt", "w1", "net");
    else {
      await this.cable("w0", "rt", "m0", "mid");
      await this.cable("w1", "net", "m1", "mid");
      await this.sh(
        "mid",
        "ip link add mid0 type bridge mcast_snooping 0; ip link set mid0 up; for i in m0 m1; do ip link set $i up master mid0; done",
      );
    }
    await this.cable("i0", "net", "i1", "web");
    await this.sh("lan", `ip addr add ${LAN_HOST}/24 dev l0; ip link set l0 up; ip route add default via ${GATEWAY}`);
    await this.sh("rt", "ip link set l1 up; ip link set w0 up");
    await this.sh(
      "net",
      `for a in ${WAN_GATEWAY} ${SERVER} ${SERVER_2}; do ip addr add $a/24 dev w1; done; ip link set w1 up
       ip addr add 198.51.100.1/24 dev i0; ip link set i0 mtu ${webMtu} up; echo 1 > /proc/sys/net/ipv4/ip_forward`,
    );
    await this.sh(
      "web",
      `ip addr add ${SITE}/24 dev i1; ip link set i1 mtu ${webMtu} up; ip route add default via 198.51.100.1 advmss 1460`,
    );
    this.gatewayMac = await this.mac("net", "w1");
    const web = this.start("web", "web", [process.execPath, join(import.meta.dir, "web-host.ts")]);
    await pki;
    if ((await web.says(/ready/, PATIENCE)) === undefined) throw new Error(`the web host did not start: ${web.log()}`);
    await this.names();
  }
}
