/** A tun device of the kernel as the plain side of a tunnel. */
import { Batch } from "../lib/batch.ts";
import type { Slab } from "../lib/slab.ts";
import { clampMss } from "../netstack/offload/mss.ts";
import type { TunDevice } from "../platform/dev/tun.ts";
import { EEXIST, SysError } from "../platform/sys/errno.ts";
import type { OpenTunnel, TunnelSide } from "../tunnel/side.ts";

const ROWS = 64;

export class KernelTun implements TunnelSide {
  /** The kernel has its own networks, and its own rules for which of them wins. */
  readonly lan = undefined;
  readonly #device: TunDevice;
  readonly #view: DataView;
  readonly #packets = new Batch(ROWS);
  #tunnel: OpenTunnel | undefined;

  /** @param slab where the device's and the tunnel's packets lie */
  constructor(device: TunDevice, slab: Slab) {
    this.#device = device;
    this.#view = slab.view;
  }

  up(_now: number, tunnel: OpenTunnel): string | undefined {
    const { address, peer, routes } = tunnel.options;
    // Its routes go with it.
    if (this.#tunnel !== undefined) this.down();
    try {
      this.#device.configure(address, peer, tunnel.mtu);
      for (const { network, metric } of routes) this.#route(network, metric);
    } catch (error) {
      if (!(error instanceof SysError)) throw error;
      this.down();
      return `${this.#device.name}: ${error.message}`;
    }
    this.#tunnel = tunnel;
    return undefined;
  }

  down(): void {
    this.#tunnel = undefined;
    this.#device.takeDown();
  }

  deliver(_now: number, rows: Batch): void {
    this.#clamp(rows);
    this.#device.send(rows);
  }

  /** Sends what the kernel has for the tunnel. @returns whether there was anything */
  receive(now: number): boolean {
    const packets = this.#packets;
    if (this.#device.receive(packets) === 0) return false;
    this.#clamp(packets);
    this.#tunnel?.send(now, packets);
    return true;
  }

  /** mssfix, for both ends of a connection: no SYN that crosses the tunnel announces more. */
  #clamp(rows: Batch): void {
    const max = this.#tunnel?.mssClamp ?? 0;
    if (max === 0) return;
    for (let i = 0; i < rows.count; i++) {
      const tcp = tcpOf(this.#view, rows.at[i]!, rows.len[i]!);
      if (tcp > 0) clampMss(this.#view, tcp, max);
    }
  }

  /** The tunnel's own network has a route since the device has its address. */
  #route(network: Parameters<TunDevice["addRoute"]>[0], metric: number): void {
    try {
      this.#device.addRoute(network, metric);
    } catch (error) {
      if (!(error instanceof SysError) || error.errno !== EEXIST) throw error;
    }
  }
}

/** Offset of the whole TCP header of an IPv4 packet (RFC 791 3.1, RFC 9293 3.1) that is no later fragment; 0: there is none. */
function tcpOf(d: DataView, at: number, len: number): number {
  if (len < 40 || d.getUint8(at) >> 4 !== 4 || d.getUint8(at + 9) !== 6) return 0;
  if ((d.getUint16(at + 6) & 0x1fff) !== 0) return 0;
  const tcp = at + (d.getUint8(at) & 15) * 4;
  if (tcp < at + 20 || tcp + 20 > at + len) return 0;
  const end = tcp + (d.getUint8(tcp + 12) >> 4) * 4;
  return end < tcp + 20 || end > at + len ? 0 : tcp;
}
