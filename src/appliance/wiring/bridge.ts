/**
 * The data path of a bridge (dev tap): frames between the LAN and the peers of the tunnel. No address of ours is on the LAN; the
 * WAN is as with a router.
 *
 *   LAN device -> bridge -> tunnel outlet -> carrier; side -> bridge -> LAN device
 */
import type { Batch } from "../../lib/batch.ts";
import { Bridge, LAN_PORT } from "../../netstack/link/bridge.ts";
import { DataPath, type DataPathOptions } from "./data-path.ts";

/** Peers are numbered below this, as a server numbers its clients. */
const MAX_PEERS = 65_536;

export class BridgePath extends DataPath {
  readonly bridge: Bridge;

  constructor(options: DataPathOptions) {
    super(options);
    const { memory, lan, random } = options;
    this.bridge = new Bridge({
      slab: memory,
      lan: lan && this.lanOut,
      tunnel: this.tunnelOut,
      random,
      maxPeers: MAX_PEERS,
    });
  }

  override get lanNetwork(): undefined {
    return undefined;
  }

  override lanLinkChanged(): void {
    this.bridge.stations.forget(LAN_PORT);
  }

  override deliver(now: number, rows: Batch): void {
    this.bridge.fromPeers(now, rows);
  }

  protected override fromLan(now: number, rx: Batch): void {
    this.bridge.fromLan(now, rx);
  }

  protected override innerPollAt(): number {
    return Number.POSITIVE_INFINITY;
  }

  protected override innerTimeout(): void {}
}
