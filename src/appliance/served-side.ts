/** The router as the plain side of a server: between its clients, the LAN and the internet. */
import type { Batch } from "../lib/batch.ts";
import type { Cidr } from "../lib/cidr.ts";
import type { Log } from "../lib/log.ts";
import type { ServedClient, ServedTunnel, ServerSide } from "../tunnel/server-side.ts";
import type { RouterPath } from "./wiring/router.ts";

export interface ServedSideOptions {
  readonly path: RouterPath;
  /** The networks of the LAN, which clients do not have. */
  readonly lan: readonly Cidr[];
  readonly log: Log;
  /** Somebody has come or gone. */
  readonly changed: (now: number) => void;
}

export class ServedSide implements ServerSide {
  readonly #options: ServedSideOptions;
  readonly #peers = new Set<number>();

  constructor(options: ServedSideOptions) {
    this.#options = options;
  }

  open(now: number, tunnel: ServedTunnel): string | undefined {
    const { path, lan, log } = this.#options;
    const { address, address6, mtu, clientToClient } = tunnel;
    const own = [address, address6].filter((network) => network !== undefined);
    for (const network of own)
      for (const other of lan)
        if (network.overlaps(other))
          return `the tunnel's network ${network.network} overlaps the LAN ${other.network}: give one of the two another network (server or server-ipv6 in the profile, [lan] address in appliance.toml)`;
    const behind = tunnel.routes.filter((network) => {
      const other = lan.find((it) => it.overlaps(network));
      if (other === undefined) return true;
      const text = `route ${network}: it overlaps the LAN ${other.network}, which wins; nobody reaches a client by it`;
      log.write("warn", "config.warning", text);
      return false;
    });
    const networks = [...own.map(({ network }) => network), ...behind];
    const served = { networks, peerToPeer: clientToClient };
    path.router.openTunnel(now, { address, address6, mtu, mssClamp: 0, routes: [], served });
    return undefined;
  }

  close(now: number): void {
    for (const peer of this.#peers) this.leave(now, peer);
    this.#options.path.router.closeTunnel();
  }

  join(now: number, peer: number, client: ServedClient): void {
    const { path, log, changed } = this.#options;
    this.#peers.add(peer);
    path.setCarrier(client, peer);
    for (const { network, of } of path.router.join(peer, client)) {
      const owner = of === "lan" ? "the LAN" : `another client (${of})`;
      log.write("warn", "peer.network", `a client does not get ${network}, which ${owner} has`, { peer });
    }
    changed(now);
  }

  leave(now: number, peer: number): void {
    const { path, changed } = this.#options;
    this.#peers.delete(peer);
    path.router.leave(peer);
    path.setCarrier(undefined, peer);
    changed(now);
  }

  deliver(now: number, rows: Batch): void {
    this.#options.path.deliver(now, rows);
  }
}
