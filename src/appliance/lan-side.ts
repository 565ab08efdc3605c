/** The LAN: our addresses there, and what its hosts are served with (DHCP, DNS, router advertisements, the status page). */
import type { BoundedLog } from "../lib/bounded-log.ts";
import type { Cidr } from "../lib/cidr.ts";
import type { Log } from "../lib/log.ts";
import type { AddressPrf } from "../netstack/ra/stable-address.ts";
import { systemRandom } from "../platform/crypto/random.ts";
import { libsslTls } from "../platform/crypto/tls.ts";
import type { FrameDevice } from "../platform/dev/frame-device.ts";
import type { RecordQueue } from "../platform/log/record-queue.ts";
import type { StateStore } from "../platform/state/store.ts";
import type { NativeMemory } from "../platform/sys/memory.ts";
import { unixSeconds } from "../platform/wall-clock.ts";
import type { Material } from "../protocol/config/types.ts";
import type { Tunnel } from "../protocol/push/tunnel-options.ts";
import { lanConflict } from "./conflicts.ts";
import { LanDhcp } from "./lan-dhcp.ts";
import { LanDns } from "./lan-dns.ts";
import { keptNetwork, Lan6 } from "./lan6.ts";
import type { Settings } from "./settings/settings.ts";
import type { SiteOptions } from "./status/site.ts";
import { StatusSide } from "./status/status-side.ts";
import { SyslogSide } from "./syslog/syslog-side.ts";
import type { RouterPath } from "./wiring/router.ts";
import { tellTcpUsers } from "./wiring/tcp-users.ts";

export interface LanSideOptions {
  readonly path: RouterPath;
  readonly device: FrameDevice;
  readonly settings: Settings;
  readonly memory: NativeMemory;
  readonly log: Log;
  /** What the log has written, for a collector. */
  readonly records: RecordQueue;
  /** For warnings that hosts can cause as often as they like. */
  readonly heard: BoundedLog;
  readonly prf: AddressPrf;
  readonly state: StateStore | undefined;
  /** Who may sign the certificates of DNS servers. */
  readonly authorities: () => Material | undefined;
  readonly status: StatusSources;
}

/** What the status page tells of, and who does what it is told. */
export type StatusSources = Pick<SiteOptions, "report" | "commands">;

const NEVER = Number.POSITIVE_INFINITY;
/** Without a DHCP server nobody tells the names of the LAN's hosts. */
const NO_HOSTS = { addressesOf: () => [], nameOf: () => undefined };

export class LanSide {
  /** undefined: off. */
  readonly dhcp: LanDhcp | undefined;
  readonly dns: LanDns | undefined;
  readonly status: StatusSide | undefined;
  readonly syslog: SyslogSide;
  /** Our IPv6 address and its network; undefined: no IPv6 there. */
  readonly network6: Cidr | undefined;
  readonly #options: LanSideOptions;
  readonly #lan6: Lan6 | undefined;

  /** Takes the addresses, and begins to serve. */
  constructor(now: number, options: LanSideOptions) {
    this.#options = options;
    const { path, device, settings, log, records, heard, prf, state, memory } = options;
    const { address, address6, dns } = settings.lan;
    const isAuto = address6 === "auto";
    this.network6 = address6 === "off" ? undefined : isAuto ? keptNetwork(now, prf, state) : address6;
    path.lan.link.arp.onConflict = (at, mac) =>
      heard.write(at, "warn", "lan.conflict", lanConflict(address.address, mac));
    path.lan.configure({ address });
    path.lan.link.probe();
    log.write("info", "lan.configured", "", { interface: device.name, address: `${address}` });
    this.dhcp = this.#newDhcp();
    this.dhcp?.restore(now);
    this.dhcp?.start(now);
    this.dns = this.#newDns();
    this.#lan6 = this.network6 && this.#newLan6(this.network6);
    if (this.network6 !== undefined && dns !== undefined)
      this.#lan6?.tell(now, { dns: [this.network6.address], domains: [dns.domain] });
    this.#lan6?.start(now);
    this.status = this.#newStatus();
    this.syslog = new SyslogSide({
      path,
      slab: memory,
      records,
      hostname: settings.hostname,
      lan6: this.network6,
      log,
    });
  }

  /** Of both families. */
  get networks(): readonly Cidr[] {
    return [this.#options.settings.lan.address, ...(this.network6 === undefined ? [] : [this.network6])];
  }

  /** The link is back: something else may be plugged in now. */
  linkUp(now: number): void {
    this.dhcp?.start(now);
  }

  /** A tunnel is open through which the hosts reach the rest of the world; undefined: there is none any more. */
  tunnelChanged(now: number, tunnel: Tunnel | undefined): void {
    if (tunnel === undefined) this.dns?.tunnelDown(now);
    else this.dns?.tunnelUp(now, tunnel);
    this.#lan6?.tell(now, { isDefaultRouter: tunnel?.address6 !== undefined });
    this.syslog.tunnelChanged(now, tunnel);
  }

  /** The end. */
  leave(now: number): void {
    this.#lan6?.leave(now);
    this.syslog.leave(now);
    // What was written to connections goes with it.
    this.#options.path.lan.handleTimeout(now);
  }

  pollAt(): number {
    const { lanTcp, tunnelTcp } = this.#options.path;
    if (lanTcp.isReady || tunnelTcp.isReady) return Number.NEGATIVE_INFINITY;
    const parts = [this.dhcp, this.#lan6, this.dns, this.status, this.syslog];
    return Math.min(...parts.map((part) => part?.pollAt() ?? NEVER));
  }

  poll(now: number): void {
    const { lanTcp, tunnelTcp } = this.#options.path;
    tellTcpUsers(now, lanTcp);
    tellTcpUsers(now, tunnelTcp);
    if (this.dhcp !== undefined && this.dhcp.pollAt() <= now) this.dhcp.handleTimeout(now);
    if (this.#lan6 !== undefined && this.#lan6.pollAt() <= now) this.#lan6.handleTimeout(now);
    if (this.dns !== undefined && this.dns.pollAt() <= now) this.dns.poll(now);
    if (this.status !== undefined && this.status.pollAt() <= now) this.status.poll(now);
    this.syslog.poll(now);
  }

  /** Of IPv6: what was heard and said. */
  get counters(): Readonly<Record<string, number>> {
    return this.#lan6?.counters ?? {};
  }

  #newDhcp(): LanDhcp | undefined {
    const { path, device, settings, memory, log, state } = this.#options;
    const { hostname, lan } = settings;
    if (lan.dhcp === undefined) return undefined;
    return new LanDhcp({
      lan: path.lan,
      mac: device.mac,
      address: lan.address,
      hostname,
      settings: lan.dhcp,
      tunnelMtu: () => path.tunnel.mtu,
      nameService: lan.dns && { server: lan.address.address, domain: lan.dns.domain },
      slab: memory,
      log,
      random: systemRandom,
      state,
      unixMs: Date.now,
    });
  }

  #newDns(): LanDns | undefined {
    const { path, settings, memory, log, authorities } = this.#options;
    const { hostname, lan } = settings;
    if (lan.dns === undefined) return undefined;
    return new LanDns({
      lan: path.lan,
      lan6: this.network6,
      tunnel: path.tunnel,
      lanTcp: path.lanTcp,
      tunnelTcp: path.tunnelTcp,
      slab: memory,
      random: systemRandom,
      log,
      hostname,
      settings: lan.dns,
      hosts: this.dhcp?.names ?? NO_HOSTS,
      tls: libsslTls,
      authorities,
    });
  }

  #newStatus(): StatusSide | undefined {
    const { path, settings, log, status } = this.#options;
    const { hostname, lan } = settings;
    if (!settings.status.enabled) return undefined;
    return new StatusSide(
      {
        ...status,
        tcp: path.lanTcp,
        port: settings.status.port,
        addresses: this.networks.map(({ address }) => address),
        hostname,
        domain: lan.dns?.domain,
        log,
        random: systemRandom,
        unixSeconds,
      },
      { commands: false, users: undefined },
    );
  }

  #newLan6(address: Cidr): Lan6 {
    const { path, device, prf, log, heard } = this.#options;
    const own = { lan: path.lan, device: device.name, mac: device.mac, address, prf };
    return new Lan6({ ...own, random: systemRandom, log, heard });
  }
}
