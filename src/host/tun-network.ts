/** What the host's kernel is told of a tunnel: address, MTU and routes of its device. */
import { Cidr, parseCidr } from "../lib/cidr.ts";
import type { Log } from "../lib/log.ts";
import { linkOf, MAIN_TABLE, OUR_PROTOCOL } from "../platform/net/rtnetlink.ts";
import { SysError } from "../platform/sys/errno.ts";
import type { OpenTunnel } from "../tunnel/side.ts";
import type { AddressChange, DeviceRef, LinkChange, RouteChange } from "./change.ts";
import { describe } from "./change.ts";
import type { Changes, Held, NetworkChange } from "./changes.ts";
import type { ServerRoute } from "./server-route.ts";

export interface TunNetworkOptions {
  readonly device: DeviceRef;
  /** Of the device: what goes with it, where it does not outlive this process. */
  readonly changes: Changes;
  readonly serverRoute: ServerRoute;
  readonly log: Log;
  /** Without: the tunnel's addresses alone are set. */
  readonly withRoutes: boolean;
}

/** A default route is two halves: those win over the host's own, which stays as it is and counts again when they are gone. */
const HALVES = {
  ipv4: ["0.0.0.0/1", "128.0.0.0/1"],
  ipv6: ["::/1", "8000::/1"],
};

export class TunNetwork {
  readonly #options: TunNetworkOptions;
  /** What is as the tunnel wants it, by its words; undefined: it was so before. */
  readonly #made = new Map<string, Held | undefined>();
  #place = "";

  constructor(options: TunNetworkOptions) {
    this.#options = options;
  }

  /** Makes the network as the tunnel is, in the place of the tunnel before. @returns why it cannot, in words */
  open(tunnel: OpenTunnel): string | undefined {
    const { changes, serverRoute, device, log } = this.#options;
    try {
      const { address, address6, peer } = tunnel.options;
      const place = `${address} ${peer} ${address6}`;
      // With another address the kernel would drop some of the routes, and not say which.
      if (this.#place !== place) this.close();
      this.#place = place;
      this.#have(this.#link(tunnel.mtu));
      const hasIpv6 = this.#addresses(tunnel);
      const networks = this.#options.withRoutes ? networksOf(tunnel, hasIpv6) : [];
      serverRoute.cover(networks.map(({ network }) => network));
      this.#routes(networks);
      this.#tellRefused(changes.takeRefused());
      return undefined;
    } catch (error) {
      this.close();
      if (!(error instanceof SysError)) throw error;
      log.write("debug", "host.failed", error.message);
      return `${device.name}: ${error.message}`;
    }
  }

  /** Takes everything back. */
  close(): void {
    for (const held of [...this.#made.values()].reverse()) if (held !== undefined) this.#options.changes.undo(held);
    this.#made.clear();
    this.#place = "";
    this.#options.serverRoute.cover([]);
  }

  #link(mtu: number): LinkChange {
    const { device } = this.#options;
    const before = linkOf(device.index) ?? { mtu, up: false };
    return { kind: "link", device, before: { mtu: before.mtu, up: before.up }, after: { mtu, up: true } };
  }

  /** @returns whether there is IPv6 */
  #addresses({ options: { address, address6, peer } }: OpenTunnel): boolean {
    const { device, log } = this.#options;
    const own = (cidr: Cidr, far?: AddressChange["peer"]): AddressChange => {
      return { kind: "address", device, address: `${cidr}`, peer: far };
    };
    if (address !== undefined) this.#have(own(address, peer?.toString()));
    if (address6 === undefined) return false;
    try {
      this.#have(own(address6));
      return true;
    } catch (error) {
      if (!(error instanceof SysError)) throw error;
      const text = `${error.message}: IPv6 is switched off on this host, and the tunnel goes on without it`;
      log.write("warn", "host.ipv6", `${device.name}: ${text}`);
      return false;
    }
  }

  /** Adds the routes that are not there yet, then removes those that are not among them. */
  #routes(wanted: readonly Pick<RouteChange, "network" | "metric">[] | readonly WantedRoute[]): void {
    const { device } = this.#options;
    const names = new Set<string>();
    for (const { network, metric } of wanted) {
      const change: RouteChange = {
        ...{ kind: "route", device, network: `${network}`, type: "unicast", gateway: undefined, metric },
        ...{ table: MAIN_TABLE, protocol: OUR_PROTOCOL },
      };
      names.add(describe(change));
      this.#have(change);
    }
    for (const [name, held] of this.#made) {
      if (held?.change.kind !== "route" || names.has(name)) continue;
      this.#options.changes.undo(held);
      this.#made.delete(name);
    }
  }

  #have(change: NetworkChange): void {
    const name = describe(change);
    if (!this.#made.has(name)) this.#made.set(name, this.#options.changes.network(change));
  }

  #tellRefused(commands: readonly string[]): void {
    if (commands.length === 0) return;
    const { log, device } = this.#options;
    const text =
      `this user may not set up ${device.name} (that needs CAP_NET_ADMIN), and it is not as the tunnel needs it; ` +
      `somebody who may has to run: ${commands.slice(0, 8).join("; ")}`;
    log.write("warn", "host.refused", commands.length > 8 ? `${text}; and ${commands.length - 8} more` : text);
  }
}

interface WantedRoute {
  readonly network: Cidr;
  readonly metric: number;
}

/** What the tunnel takes. */
function networksOf({ options }: OpenTunnel, hasIpv6: boolean): WantedRoute[] {
  const { address, address6, peer, routes } = options;
  // The device has routes to the tunnel's own networks since it has its addresses.
  const own = [peer === undefined ? address : new Cidr(peer, 32), address6].map((cidr) => `${cidr?.network}`);
  const wanted: WantedRoute[] = [];
  for (const { network, metric } of routes) {
    if ((!network.isIpv4 && !hasIpv6) || own.includes(`${network}`)) continue;
    if (network.prefix > 0) wanted.push({ network, metric });
    else
      for (const half of network.isIpv4 ? HALVES.ipv4 : HALVES.ipv6)
        wanted.push({ network: parseCidr(half) as Cidr, metric });
  }
  return wanted;
}
