/** The bridge between LAN and tunnel as the plain side of a tunnel, for a dialer and for a listener. Rows are frames. */
import type { Batch } from "../lib/batch.ts";
import type { Cidr } from "../lib/cidr.ts";
import type { ServedClient, ServedTunnel, ServerSide } from "../tunnel/server-side.ts";
import type { OpenTunnel, TunnelSide } from "../tunnel/side.ts";
import type { BridgePath } from "./wiring/bridge.ts";

/** The only peer of a client. */
const SERVER = 0;

export class BridgeSide implements TunnelSide {
  readonly lan: readonly Cidr[] = [];
  readonly #path: BridgePath;

  constructor(path: BridgePath) {
    this.#path = path;
  }

  up(_now: number, tunnel: OpenTunnel): undefined {
    const { mtu, mssClamp } = tunnel;
    this.#path.setCarrier(tunnel, SERVER);
    this.#path.bridge.open({ mtu, mssClamp, peerToPeer: false });
    this.#path.bridge.join(SERVER, { mssClamp });
  }

  down(): void {
    this.#path.bridge.close();
    this.#path.bridge.leave(SERVER);
    this.#path.setCarrier(undefined, SERVER);
  }

  deliver(now: number, rows: Batch): void {
    this.#path.deliver(now, rows);
  }
}

export class BridgeServedSide implements ServerSide {
  readonly #path: BridgePath;
  readonly #changed: (now: number) => void;
  readonly #peers = new Set<number>();

  /** @param changed somebody has come or gone */
  constructor(path: BridgePath, changed: (now: number) => void) {
    this.#path = path;
    this.#changed = changed;
  }

  open(_now: number, { mtu, clientToClient }: ServedTunnel): undefined {
    this.#path.bridge.open({ mtu, mssClamp: 0, peerToPeer: clientToClient });
  }

  close(now: number): void {
    for (const peer of this.#peers) this.leave(now, peer);
    this.#path.bridge.close();
  }

  join(now: number, peer: number, client: ServedClient): void {
    this.#peers.add(peer);
    this.#path.setCarrier(client, peer);
    this.#path.bridge.join(peer, { mssClamp: client.mssClamp });
    this.#changed(now);
  }

  leave(now: number, peer: number): void {
    this.#peers.delete(peer);
    this.#path.bridge.leave(peer);
    this.#path.setCarrier(undefined, peer);
    this.#changed(now);
  }

  deliver(now: number, rows: Batch): void {
    this.#path.deliver(now, rows);
  }
}
