/** The router between LAN and tunnel as the plain side of a tunnel. */
import type { Batch } from "../lib/batch.ts";
import type { Cidr } from "../lib/cidr.ts";
import type { OpenTunnel, TunnelSide } from "../tunnel/side.ts";
import type { RouterPath } from "./wiring/router.ts";

export class RouterSide implements TunnelSide {
  readonly lan: readonly Cidr[];
  readonly #path: RouterPath;

  constructor(path: RouterPath, lan: readonly Cidr[]) {
    this.#path = path;
    this.lan = lan;
  }

  up(_now: number, tunnel: OpenTunnel): string | undefined {
    const { options, mtu, mssClamp } = tunnel;
    const { address } = options;
    if (address === undefined) return "the tunnel has IPv6 alone, which is not available yet";
    this.#path.setCarrier(tunnel);
    const routes = options.routes.filter(({ network }) => network.isIpv4);
    this.#path.router.openTunnel({ address, mtu, mssClamp, routes });
    return undefined;
  }

  down(): void {
    this.#path.router.closeTunnel();
    this.#path.setCarrier(undefined);
  }

  deliver(now: number, rows: Batch): void {
    this.#path.deliver(now, rows);
  }
}
