/** A tun device of the kernel as the plain side of a tunnel. */
import { Batch } from "../lib/batch.ts";
import { Cidr } from "../lib/cidr.ts";
import { Counters } from "../lib/counters.ts";
import type { Slab } from "../lib/slab.ts";
import { clampMssOfPacket } from "../netstack/offload/mss.ts";
import { TUN_DEVICE_SLOTS, type TunDevice } from "../platform/dev/tun.ts";
import { EEXIST, ENODEV, EPERM, ESRCH, SysError } from "../platform/sys/errno.ts";
import type { TunnelRoute } from "../protocol/push/tunnel-routes.ts";
import type { OpenTunnel, TunnelSide } from "../tunnel/side.ts";

/** Index into `drops`. */
const TUNNEL_CLOSED = 0;

export class KernelTun implements TunnelSide {
  /** The kernel has its own networks, and its own rules for which of them wins. */
  readonly lan = [];
  /** Packets of the kernel that went nowhere: there was no tunnel. */
  readonly drops = new Counters(["tunnel-closed"]);
  readonly #device: TunDevice;
  readonly #view: DataView;
  readonly #packets = new Batch(TUN_DEVICE_SLOTS);
  #tunnel: OpenTunnel | undefined;
  /** Those that the kernel has from us, by network and metric. */
  readonly #routes = new Map<string, TunnelRoute>();

  /** @param slab where the device's and the tunnel's packets lie */
  constructor(device: TunDevice, slab: Slab) {
    this.#device = device;
    this.#view = slab.view;
  }

  up(_now: number, tunnel: OpenTunnel): string | undefined {
    const { address, peer } = tunnel.options;
    const device = this.#device;
    if (address === undefined) return "a tunnel of IPv6 alone is not available yet";
    try {
      // With another address the kernel would drop some of the routes, and not say which.
      if (this.#tunnel !== undefined && place(this.#tunnel) !== place(tunnel)) this.down();
      device.configure(address, peer, tunnel.mtu);
      this.#setRoutes(tunnel);
      this.#tunnel = tunnel;
      return undefined;
    } catch (error) {
      this.down();
      if (!(error instanceof SysError)) throw error;
      return `${device.name}: ${error.message}`;
    }
  }

  /** Nothing of the tunnel stays: address and routes go. */
  down(): void {
    this.#tunnel = undefined;
    this.#routes.clear();
    // Of a device that somebody deleted nothing is left, and where we may change nothing we have changed nothing.
    ignoring([ENODEV, EPERM], () => this.#device.takeDown());
  }

  deliver(_now: number, rows: Batch): void {
    this.#clamp(rows);
    this.#device.send(rows);
  }

  /** Sends what the kernel has for the tunnel. @returns whether there was anything */
  receive(now: number): boolean {
    const packets = this.#packets;
    if (this.#device.receive(packets) === 0) return false;
    if (this.#tunnel === undefined) {
      this.drops.values[TUNNEL_CLOSED]! += packets.count;
      return true;
    }
    this.#clamp(packets);
    this.#tunnel.send(now, packets);
    return true;
  }

  /** mssfix, for both ends of a connection: no SYN that crosses the tunnel announces more. */
  #clamp(rows: Batch): void {
    const max = this.#tunnel?.mssClamp ?? 0;
    if (max === 0) return;
    for (let i = 0; i < rows.count; i++) clampMssOfPacket(this.#view, rows.at[i]!, rows.len[i]!, max);
  }

  /** Adds the routes of the tunnel that are not there yet, then removes those that are not among them. @throws SysError */
  #setRoutes({ options }: OpenTunnel): void {
    const device = this.#device;
    // The device has a route to the tunnel's own network since it has its address.
    const own = `${options.peer === undefined ? options.address?.network : new Cidr(options.peer, 32)}`;
    const wanted = new Map<string, TunnelRoute>();
    for (const route of options.routes)
      if (route.network.isIpv4 && `${route.network.network}` !== own)
        wanted.set(`${route.network.network} metric ${route.metric}`, route);
    for (const [name, route] of wanted) {
      if (this.#routes.has(name)) continue;
      // Where another device has a route to the same network with the same metric, the kernel takes this one in front of it
      // (net/ipv4/fib_trie.c, fib_table_insert). EEXIST is about this very route of this device, which somebody else made.
      ignoring([EEXIST], () => device.addRoute(route.network, route.metric));
      this.#routes.set(name, route);
    }
    for (const [name, route] of this.#routes) {
      if (wanted.has(name)) continue;
      ignoring([ESRCH], () => device.removeRoute(route.network, route.metric));
      this.#routes.delete(name);
    }
  }
}

const place = ({ options }: OpenTunnel): string => `${options.address} ${options.peer}`;

/** Ignores errors with these numbers. @throws SysError with any other */
function ignoring(errnos: readonly number[], act: () => void): void {
  try {
    act();
  } catch (error) {
    if (!(error instanceof SysError && errnos.includes(error.errno))) throw error;
  }
}
