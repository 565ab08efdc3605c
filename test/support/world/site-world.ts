/**
 * A small internet between the LANs of two sites, an office with a server of ours and a branch with a client of ours:
 *
 *   host           the office's      internet                           the branch's    host
 *   192.168.50.2 - .1 | 203.0.113.2 - 203.0.113.1 | 198.51.100.1 - 198.51.100.2 | .1 - 192.168.77.2
 *   near            office             net                                branch          far
 *
 * Everything ends with `close()`, or with the process.
 */
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { captureCommand } from "./capture.ts";
import { Hosts } from "./hosts.ts";
import { removeStale } from "./namespaces.ts";
import { answered } from "./ping.ts";
import { missingTools } from "./privilege.ts";
import { type Daemon, must, PATIENCE, until } from "./process.ts";
import { morgana } from "./router.ts";
import { follow, readRecipe } from "./site-recipe.ts";

export type Site = "office" | "branch";
type Host = "near" | "far";
type Part = Site | Host | "net";

/** The host of each LAN, and who is the router's neighbour on its WAN. */
export const NEAR = "192.168.50.2";
export const FAR = "192.168.77.2";
export const SERVER = "203.0.113.2";
const WAN: Record<Site, string> = {
  office: `[wan]\naddress = "${SERVER}/24"\ngateway = "203.0.113.1"\n`,
  branch: `[wan]\naddress = "198.51.100.2/24"\ngateway = "198.51.100.1"\n`,
};
export const NEIGHBOUR: Record<Site, string> = { office: "203.0.113.1", branch: "198.51.100.1" };
const PARTS: readonly Part[] = ["near", "office", "net", "branch", "far"];
/** On the internet: its interface to the WAN of each. */
const TO: Record<Site, string> = { office: "w1", branch: "w2" };
const TOOLS = ["ip", "ping", "tcpdump"] as const;

/** What was on a WAN, in frames. */
export interface WanCount {
  readonly openvpn: number;
  /** ARP, and neighbour and router discovery. */
  readonly neighbours: number;
  readonly other: readonly string[];
}

export class SiteWorld extends Hosts<Part> {
  private constructor(dir: string) {
    super(dir, `mg${process.pid}-t`);
  }

  /** @param compiled the binary makes the keys, in place of the sources */
  static async create(compiled = false): Promise<SiteWorld> {
    const missing = missingTools(TOOLS);
    if (missing.length > 0) throw new Error(`install ${missing.join(", ")} first (scripts/bootstrap says how)`);
    removeStale();
    const world = new SiteWorld(mkdtempSync(join(tmpdir(), "morgana-site-")));
    try {
      await world.#build();
      await follow(readRecipe(), world.dir, morgana(compiled), SERVER);
      for (const site of ["office", "branch"] as const) world.#replaceWan(site);
    } catch (error) {
      await world.close();
      throw error;
    }
    return world;
  }

  /** The folder of a site's config disk. */
  config(site: Site): string {
    return join(this.dir, site);
  }

  /** The appliance of a site, as a process. */
  start(site: Site, compiled = false): Daemon {
    const argv = [...morgana(compiled), "appliance", "--wan", "w0", "--lan", "l1", "--config", this.config(site)];
    return this.#start(site, site, argv);
  }

  /** How many of some pings are answered. */
  async ping(from: Host, target: string, count = 3): Promise<number> {
    const deadline = count > 1 ? ["-w", `${count + 10}`] : [];
    const argv = ["ping", "-n", "-c", `${count}`, "-i", "0.1", "-W", "2", ...deadline, target];
    return answered((await this.in(from, argv, PATIENCE)).out, count);
  }

  /** Seconds until both hosts reach each other, or undefined. */
  joined(seconds = PATIENCE): Promise<number | undefined> {
    return until(
      async () => (await this.ping("far", NEAR, 1)) === 1 && (await this.ping("near", FAR, 1)) === 1,
      seconds,
    );
  }

  /** Whether the router of its own site says that there is no way from a host to a target. */
  async isRefused(from: Host, target: string): Promise<boolean> {
    const gateway = from === "near" ? "192.168.50.1" : "192.168.77.1";
    const { out } = await this.in(from, ["ping", "-n", "-c", "1", "-W", "2", target], PATIENCE);
    return new RegExp(`From ${gateway.replaceAll(".", "\\.")} .*[Uu]nreachable`).test(out);
  }

  /** Seconds of a download of the other host's web server, or what was wrong. */
  async download(from: Host, bytes: number): Promise<number | string> {
    const target = from === "near" ? FAR : NEAR;
    const argv = [process.execPath, join(import.meta.dir, "lan-host.ts"), "download", target, `${bytes}`, "1"];
    const { out } = await this.in(from, argv, 2 * PATIENCE);
    const line = out.trim().split("\n").at(-1) ?? "";
    if (!line.startsWith("{")) return out;
    const { ok, seconds, failed } = JSON.parse(line) as { ok: number; seconds: number; failed: string[] };
    return ok === 1 ? seconds : failed.join(", ");
  }

  /** The address that the other host's web server sees a host come from. */
  async seenAs(from: Host): Promise<string> {
    const target = from === "near" ? FAR : NEAR;
    return (await this.in(from, ["curl", "-sS", "--max-time", "20", `http://${target}:8080/whoami`])).out;
  }

  /** Records both WANs from now on. */
  async capture(): Promise<void> {
    for (const site of ["office", "branch"] as const) {
      const daemon = this.#start(`capture-${site}`, "net", captureCommand(TO[site], this.#capturePath(site)));
      if ((await daemon.says(/listening on/, PATIENCE)) === undefined)
        throw new Error(`tcpdump did not start: ${daemon.log()}`);
    }
  }

  /** What was on the WAN of a site since it is recorded. */
  async seen(site: Site): Promise<WanCount> {
    const frames = async (filter: string): Promise<string[]> => {
      const argv = ["tcpdump", "-nr", this.#capturePath(site), filter];
      return (await must(argv, PATIENCE)).split("\n").filter((line) => /^\d\d:\d\d:\d\d/.test(line));
    };
    const [openvpn, neighbours] = [`host ${SERVER} and udp port 1194`, "arp or (icmp6 and ip6[40] >= 133)"];
    return {
      openvpn: (await frames(openvpn)).length,
      neighbours: (await frames(neighbours)).length,
      other: await frames(`not (${openvpn}) and not (${neighbours})`),
    };
  }

  #capturePath(site: Site): string {
    return join(this.dir, `${site}.pcap`);
  }

  #start(name: string, part: Part, argv: readonly string[]): Daemon {
    return this.launch(name, part, argv, { cwd: this.dir });
  }

  /** Here nobody gives addresses by DHCP. */
  #replaceWan(site: Site): void {
    const path = join(this.config(site), "appliance.toml");
    const text = readFileSync(path, "utf8");
    const wan = /^\[wan\]\n(?:[^[].*\n|\n)*/m;
    writeFileSync(path, wan.test(text) ? text.replace(wan, WAN[site]) : WAN[site] + text);
  }

  async #build(): Promise<void> {
    for (const part of PARTS) await this.addPart(part);
    await this.cable("l0", "near", "l1", "office");
    await this.cable("w0", "office", TO.office, "net");
    await this.cable("w0", "branch", TO.branch, "net");
    await this.cable("l0", "far", "l1", "branch");
    for (const site of ["office", "branch"] as const) {
      await this.sh(site, "ip link set w0 up; ip link set l1 up");
      await this.sh("net", `ip addr add ${NEIGHBOUR[site]}/24 dev ${TO[site]}; ip link set ${TO[site]} up`);
    }
    await this.sh("net", "echo 1 > /proc/sys/net/ipv4/ip_forward");
    const web = join(import.meta.dir, "web-host.ts");
    for (const [host, address, gateway] of [
      ["near", NEAR, "192.168.50.1"],
      ["far", FAR, "192.168.77.1"],
    ] as const) {
      const setUp = `ip link set l0 up; ip addr add ${address}/24 dev l0; ip route add default via ${gateway}`;
      await this.sh(host, setUp);
      const daemon = this.#start(`${host}-host`, host, [process.execPath, web]);
      if ((await daemon.says(/ready/, PATIENCE)) === undefined)
        throw new Error(`a web host did not start: ${daemon.log()}`);
    }
  }
}
