/**
 * Two hosts with a bad link between them. `b` is the kernel of its namespace, always; `a` is the kernel of another one, or our own stack
 * on the same interface:
 *
 *   a  10.98.0.1, fd98::1  a0 ---- a1 (bad link) b1 ---- b0  10.98.0.2, fd98::2  b
 *
 * Frames on the link are plain ones: both ends segment and sum by themselves.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { badLinkCommand, type LinkFaults } from "../world/bad-link.ts";
import { addNamespace, inside, removeNamespace, removeStale } from "../world/namespaces.ts";
import { Daemon, must, PATIENCE, type Result, run, until } from "../world/process.ts";
import type { Cell, Family } from "./grid.ts";
import type { Tally } from "./program.ts";
import type { Amount, Kind, Outcome } from "./transfer.ts";

export type Host = "kernel" | "own";
const ADDRESS = { 4: { a: "10.98.0.1", b: "10.98.0.2" }, 6: { a: "fd98::1", b: "fd98::2" } } as const;
const PREFIX = { 4: 24, 6: 64 } as const;
const SUBNET = { 4: "10.98.0.0/24", 6: "fd98::/64" } as const;
/** On a link with a smaller MTU the kernel has no IPv6. */
const IPV6_MTU = 1280;
const PORT = 5001;
const PROGRAMS = join(import.meta.dir);
/** The kernel's TCP waits for no other program of the machine: neither do the link and ours. */
const FIRST = ["nice", "-n", "-20"];
/** What a connection taught the kernel must not decide about the next one. */
const KERNEL_SETTINGS =
  "sysctl -qw net.ipv4.tcp_no_metrics_save=1 net.ipv4.tcp_max_syn_backlog=4096 net.core.somaxconn=4096";
/** Gives the kernel its addresses, and the congestion control that is Linux's default: a machine may prefer another one. */
const configure = (part: "a" | "b", mtu: number): string =>
  ([4, 6] as const)
    .filter((family) => family === 4 || mtu >= IPV6_MTU)
    .map((family) => {
      const own = ADDRESS[family][part];
      // Its own route of the prefix would go before the one that names the congestion control.
      const dad = family === 6 ? "nodad noprefixroute" : "";
      const on = family === 6 ? `sysctl -qw net.ipv6.conf.${part}0.disable_ipv6=0; ` : "";
      return `${on}ip addr replace ${own}/${PREFIX[family]} dev ${part}0 ${dad}; ip route replace ${SUBNET[family]} dev ${part}0 src ${own} congctl cubic`;
    })
    .join("; ");

let paths = 0;

export class TcpPath {
  readonly dir: string;
  private readonly prefix: string;
  private readonly daemons: Daemon[] = [];
  private link: Daemon | undefined;
  private family: Family = 4;
  private mtu = 1500;
  private serial = 0;

  private constructor() {
    this.dir = mkdtempSync(join(tmpdir(), "morgana-tcp-"));
    this.prefix = `mg${process.pid}-t${letters(paths++)}`;
  }

  static async create(): Promise<TcpPath> {
    removeStale();
    const path = new TcpPath();
    try {
      await path.build();
    } catch (error) {
      await path.close();
      throw error;
    }
    return path;
  }

  /** Sets the family, the MTU of the whole way, and what the link does to frames; undefined: nothing is between the ends but a wire. */
  async become({ family, mtu }: Pick<Cell, "family" | "mtu">, faults: LinkFaults | undefined): Promise<void> {
    await this.link?.stop();
    this.link = undefined;
    this.family = family;
    this.mtu = mtu;
    const plain = faults === undefined ? "on" : "off";
    for (const [part, devices] of [
      ["a", "a0"],
      ["b", "b0"],
      ["m", "a1 b1"],
    ] as const) {
      const offload = part === "m" ? "" : `ethtool -K ${devices} tx ${plain} tso ${plain} gso ${plain} 2>/dev/null;`;
      await this.sh(part, `for i in ${devices}; do ip link set $i mtu ${mtu}; done; ${offload}`);
    }
    await this.sh("b", configure("b", mtu));
    if (faults === undefined) {
      await this.sh("m", "for i in a1 b1; do ip link set $i master br0; done");
      return;
    }
    await this.sh("m", "for i in a1 b1; do ip link set $i nomaster; done");
    this.link = this.start("link", "m", [...FIRST, ...badLinkCommand("a1", "b1", faults)]);
    if ((await this.link.says(/ready/, PATIENCE)) === undefined) throw new Error(`the link: ${this.link.log()}`);
  }

  /** Whose TCP host a has from now on, until the path becomes another one. */
  async use(host: Host): Promise<void> {
    await this.sh("a", "ip addr flush dev a0; ip link set a0 up");
    if (host === "kernel") await this.sh("a", configure("a", this.mtu));
  }

  /** One transfer that `part` begins with what `serve` started on the other one. */
  async transfer(part: "a" | "b", host: Host, kind: Kind, amount: Amount, seconds: number): Promise<Outcome> {
    const [outcome] = await this.transfers(part, host, kind, amount, seconds);
    return outcome!;
  }

  /** The same, one each way at once. */
  both(part: "a" | "b", host: Host, amount: Amount, seconds: number): Promise<readonly Outcome[]> {
    return this.transfers(part, host, "both", amount, seconds);
  }

  /** Several transfers, in a row or together (program.ts). */
  async many(
    part: "a" | "b",
    host: Host,
    how: "row" | "together",
    count: number,
    bytes: number,
    seconds: number,
  ): Promise<Tally> {
    return JSON.parse(await this.command(part, host, how, [`${count}`, `${bytes}`], seconds)) as Tally;
  }

  /** Starts a server; it ends with `stop`, or with the path. */
  async serve(part: "a" | "b", host: Host): Promise<Daemon> {
    const daemon = this.start(`serve-${part}`, part, this.program(host, ["serve", `${PORT}`]));
    if ((await daemon.says(/ready/, PATIENCE)) === undefined) throw new Error(`serving: ${daemon.log()}`);
    return daemon;
  }

  /** A flood of SYNs from b, from everywhere, to what `serve` started on a; resolves when it is over. */
  async flood(seconds: number): Promise<void> {
    const argv = [
      "timeout",
      "-s",
      "INT",
      `${seconds}`,
      "hping3",
      "-q",
      "-S",
      "--flood",
      "--rand-source",
      "-p",
      `${PORT}`,
      ADDRESS[4].a,
    ];
    const result = await this.in("b", argv, seconds + PATIENCE);
    if (!/packets transmitted/.test(result.out)) throw new Error(`hping3: ${result.out}`);
  }

  sh(part: "a" | "m" | "b", script: string): Promise<string> {
    return must(inside(this.ns(part), ["sh", "-ec", script]));
  }

  in(part: "a" | "m" | "b", argv: readonly string[], seconds = 30): Promise<Result> {
    return run(inside(this.ns(part), argv), seconds);
  }

  start(name: string, part: "a" | "m" | "b", argv: readonly string[]): Daemon {
    const daemon = new Daemon(name, inside(this.ns(part), argv), join(this.dir, `${name}-${++this.serial}.log`));
    this.daemons.push(daemon);
    return daemon;
  }

  async close(): Promise<void> {
    await Promise.all(this.daemons.map((daemon) => daemon.stop("SIGTERM", 5)));
    for (const part of ["a", "m", "b"] as const) removeNamespace(this.ns(part));
    rmSync(this.dir, { recursive: true, force: true });
  }

  private async build(): Promise<void> {
    for (const part of ["a", "m", "b"] as const) await addNamespace(this.ns(part));
    const veth = (end: string, near: string, part: "a" | "b"): Promise<string> =>
      must([
        "ip",
        "link",
        "add",
        end,
        "netns",
        this.ns(part),
        "type",
        "veth",
        "peer",
        "name",
        near,
        "netns",
        this.ns("m"),
      ]);
    await veth("a0", "a1", "a");
    await veth("b0", "b1", "b");
    await this.sh("m", "ip link add br0 type bridge; for i in a1 b1 br0; do ip link set $i up; done");
    await this.sh("a", `${KERNEL_SETTINGS}; ip link set a0 up`);
    await this.sh("b", `${KERNEL_SETTINGS}; ip link set b0 up; ${configure("b", this.mtu)}`);
    const isUp = async (part: "a" | "b"): Promise<boolean> =>
      (await this.sh(part, `cat /sys/class/net/${part}0/operstate`)).trim() === "up";
    if ((await until(async () => (await isUp("a")) && (await isUp("b")), PATIENCE)) === undefined)
      throw new Error("the interfaces do not come up");
  }

  private async transfers(
    part: "a" | "b",
    host: Host,
    what: Kind | "both",
    amount: Amount,
    seconds: number,
  ): Promise<readonly Outcome[]> {
    const [unit, n] = "ms" in amount ? ["ms", amount.ms] : ["bytes", amount.bytes];
    try {
      const said = JSON.parse(await this.command(part, host, what, [unit, `${n}`], seconds)) as Outcome | Outcome[];
      return Array.isArray(said) ? said : [said];
    } catch (error) {
      return [{ bytes: 0, ms: seconds * 1000, problem: (error as Error).message }];
    }
  }

  private command(
    part: "a" | "b",
    host: Host,
    what: string,
    argv: readonly string[],
    seconds: number,
  ): Promise<string> {
    const to = ADDRESS[this.family][part === "a" ? "b" : "a"];
    return must(inside(this.ns(part), this.program(host, [what, to, `${PORT}`, ...argv])), seconds);
  }

  /** The command line of a host's program in its namespace. */
  private program(host: Host, argv: readonly string[]): string[] {
    if (host === "kernel") return [...FIRST, process.execPath, join(PROGRAMS, "kernel-host.ts"), ...argv];
    const { a, b } = ADDRESS[this.family];
    return [...FIRST, process.execPath, join(PROGRAMS, "own-host.ts"), "a0", `${a}/${PREFIX[this.family]}`, b, ...argv];
  }

  private ns(part: "a" | "m" | "b"): string {
    return this.prefix + part;
  }
}

const letters = (n: number): string =>
  (n < 26 ? "" : letters(Math.floor(n / 26) - 1)) + String.fromCharCode(97 + (n % 26));
