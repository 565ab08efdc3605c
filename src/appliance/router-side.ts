/** The router between LAN and tunnel as the plain side of a tunnel. */
import type { Batch } from "../lib/batch.ts";
import type { Cidr } from "../lib/cidr.ts";
import type { Tunnel } from "../protocol/push/tunnel-options.ts";
import type { OpenTunnel, TunnelSide } from "../tunnel/side.ts";
import type { RouterPath } from "./wiring/router.ts";

export class RouterSide implements TunnelSide {
  readonly lan: readonly Cidr[];
  readonly #path: RouterPath;
  readonly #changed: (now: number, tunnel: Tunnel | undefined) => void;

  /** @param changed told of each tunnel that is open, and that there is none any more */
  constructor(path: RouterPath, lan: readonly Cidr[], changed: (now: number, tunnel: Tunnel | undefined) => void) {
    this.#path = path;
    this.lan = lan;
    this.#changed = changed;
  }

  up(now: number, tunnel: OpenTunnel): undefined {
    const { mtu, mssClamp } = tunnel;
    const { address, address6, routes, clientNat } = tunnel.options;
    this.#path.setCarrier(tunnel);
    this.#path.setNetmap(clientNat);
    this.#path.router.openTunnel(now, { address, address6, mtu, mssClamp, routes });
    this.#changed(now, tunnel.options);
  }

  down(now: number): void {
    this.#path.router.closeTunnel();
    this.#path.setCarrier(undefined);
    this.#path.setNetmap([]);
    this.#changed(now, undefined);
  }

  deliver(now: number, rows: Batch): void {
    this.#path.deliver(now, rows);
  }
}
