/** The router between LAN and tunnel as the plain side of a tunnel. */
import type { Batch } from "../lib/batch.ts";
import type { Cidr } from "../lib/cidr.ts";
import type { OpenTunnel, TunnelSide } from "../tunnel/side.ts";
import type { RouterPath } from "./wiring/router.ts";

export class RouterSide implements TunnelSide {
  readonly lan: Cidr;
  readonly #path: RouterPath;

  constructor(path: RouterPath, lan: Cidr) {
    this.#path = path;
    this.lan = lan;
  }

  up(_now: number, tunnel: OpenTunnel): undefined {
    const { options, mtu, mssClamp } = tunnel;
    this.#path.setCarrier(tunnel);
    this.#path.router.openTunnel({ address: options.address, mtu, mssClamp, routes: options.routes });
  }

  down(): void {
    this.#path.router.closeTunnel();
    this.#path.setCarrier(undefined);
  }

  deliver(now: number, rows: Batch): void {
    this.#path.deliver(now, rows);
  }
}
