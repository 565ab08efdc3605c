/**
 * The data path of a router: IP between LAN and tunnel, and for a server's clients the internet. The arrows between devices and
 * netstack are here and in data-path.ts; those between netstack and tunnel begin here, and go on in wan-links.ts and
 * ../router-side.ts.
 *
 *   LAN interface -> router -> tunnel outlet; side -> tunnel interface -> router -> LAN interface
 */
import type { Batch } from "../../lib/batch.ts";
import type { Cidr } from "../../lib/cidr.ts";
import {
  type EthernetInterface,
  ethernetInterface,
  type TunnelInterface,
  tunnelInterface,
} from "../../netstack/interface.ts";
import type { Forward } from "../../netstack/nat/bindings.ts";
import { NAT_IPV4 } from "../../netstack/nat/ip4.ts";
import { NAT_IPV6 } from "../../netstack/nat/ip6.ts";
import { Nat } from "../../netstack/nat/nat.ts";
import { Netmap, type NetmapRule } from "../../netstack/nat/netmap.ts";
import { Router, type Translators } from "../../netstack/router.ts";
import { PagePool } from "../../netstack/tcp/pages.ts";
import type { Tcp } from "../../netstack/tcp/tcp.ts";
import { DATA_PATH_BYTES, DataPath, type DataPathOptions, SCRATCH } from "./data-path.ts";

const NAT_LIMIT = 32768;
const NAT6_LIMIT = 8192;

/** What the TCP of the LAN and the tunnel buffer: DNS alone. */
const TCP_PAGE = 4 * 1024;
const TCP_PAGES = 512;
const TCP_ROWS = { connections: 256, halfOpen: 64, timeWait: 256 };

/** Native memory for both devices, all arenas and the sessions' scratch. */
export const ROUTER_PATH_BYTES = DATA_PATH_BYTES + 2 * SCRATCH + (TCP_PAGES + 1) * TCP_PAGE;

/** What reaches what, and what is translated; it stays so. */
export type Forwarding =
  /** The LAN goes through the tunnel, translated to its addresses or not. */
  | { readonly kind: "client"; readonly nat: boolean }
  /** Clients go to the LAN, and to the internet translated to the WAN's addresses or not at all. */
  | { readonly kind: "server"; readonly lan: "routed" | "translated" | "closed"; readonly internet: boolean };

export interface RouterPathOptions extends DataPathOptions {
  readonly forwarding: Forwarding;
}

export class RouterPath extends DataPath {
  readonly lan: EthernetInterface;
  readonly tunnel: TunnelInterface;
  readonly nat: Nat | undefined;
  readonly nat6: Nat | undefined;
  /** All of them by name. */
  readonly translators: Readonly<Record<string, Nat | undefined>>;
  readonly lanTcp: Tcp;
  readonly tunnelTcp: Tcp;
  readonly router: Router;
  #netmap: Netmap | undefined;

  constructor(options: RouterPathOptions) {
    super(options);
    const { memory, random, forwarding } = options;
    this.lan = ethernetInterface({
      slab: memory,
      outlet: this.lanOut,
      arena: this.lanOut.arena,
      scratch: this.arena(SCRATCH),
      name: "lan",
      mac: this.lanDevice.mac,
      mtu: this.lanDevice.mtu,
      random,
      policy: { echo: true, errors: true, announce: true },
    });
    this.tunnel = tunnelInterface({
      slab: memory,
      outlet: this.tunnelOut,
      scratch: this.arena(SCRATCH),
      name: "tunnel",
      random,
      policy: { echo: true, errors: true, announce: false },
    });
    const pool = new PagePool(memory, memory.take(TCP_PAGES * TCP_PAGE, 64).at, TCP_PAGE, TCP_PAGES);
    this.lanTcp = this.lan.openTcp({ pool, ...TCP_ROWS });
    this.tunnelTcp = this.tunnel.openTcp({ pool, ...TCP_ROWS });
    const translators = (isWanted: boolean): Translators => ({
      nat: isWanted ? new Nat({ family: NAT_IPV4, slab: memory, random, limit: NAT_LIMIT }) : undefined,
      nat6: isWanted ? new Nat({ family: NAT_IPV6, slab: memory, random, limit: NAT6_LIMIT }) : undefined,
    });
    const isServer = forwarding.kind === "server";
    const toTunnel = translators(forwarding.kind === "client" && forwarding.nat);
    const toLan = translators(isServer && forwarding.lan === "translated");
    const toInternet = translators(isServer && forwarding.internet);
    this.nat = toTunnel.nat;
    this.nat6 = toTunnel.nat6;
    this.translators = {
      ...{ nat: toTunnel.nat, nat6: toTunnel.nat6, "lan-nat": toLan.nat, "lan-nat6": toLan.nat6 },
      ...{ "wan-nat": toInternet.nat, "wan-nat6": toInternet.nat6 },
    };
    this.router = new Router({
      slab: memory,
      lan: options.lan && this.lan,
      tunnel: this.tunnel,
      ...toTunnel,
      lanAccess: isServer ? (forwarding.lan === "translated" ? toLan : forwarding.lan) : undefined,
      internet: toInternet.nat === undefined ? undefined : { ...toInternet, wan: this.wan },
      random,
    });
  }

  override get lanNetwork(): Cidr | undefined {
    return this.lan.address;
  }

  override lanLinkChanged(): void {
    this.lan.linkChanged();
  }

  override setMtu(side: "wan" | "lan", mtu: number): void {
    super.setMtu(side, mtu);
    if (side === "lan") this.lan.link.setMtu(mtu);
  }

  /** Ports of the tunnel's addresses that lead to LAN hosts from now on; without a translator none does. */
  setForwards(forwards: readonly Forward[]): void {
    this.nat?.setForwards(forwards.filter(({ to }) => to.address.isIpv4));
    this.nat6?.setForwards(forwards.filter(({ to }) => !to.address.isIpv4));
  }

  /** Networks that the far end of the tunnel knows by other addresses, from now on. */
  setNetmap(rules: readonly NetmapRule[]): void {
    this.#netmap = rules.length === 0 ? undefined : new Netmap(this.memory, rules);
  }

  override deliver(now: number, rows: Batch): void {
    if (rows.count === 0) return;
    this.#netmap?.incoming(rows);
    this.tunnel.ingest(now, rows);
  }

  protected override outgoing(rows: Batch): void {
    this.#netmap?.outgoing(rows);
  }

  protected override fromLan(now: number, rx: Batch): void {
    this.lan.ingest(now, rx);
  }

  protected override innerPollAt(): number {
    return Math.min(this.lan.pollAt(), this.tunnel.pollAt(), this.router.pollAt());
  }

  protected override innerTimeout(now: number): void {
    this.lan.handleTimeout(now);
    this.tunnel.handleTimeout(now);
    this.router.handleTimeout(now);
  }
}
