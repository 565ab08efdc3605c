/** A tun device of the kernel as the plain side of a tunnel. */
import { Batch } from "../lib/batch.ts";
import { Counters } from "../lib/counters.ts";
import { RawIp } from "../netstack/offload/raw-ip.ts";
import { TUN_DEVICE_SLOTS, type TunDevice } from "../platform/dev/tun.ts";
import type { NativeMemory } from "../platform/sys/memory.ts";
import type { OpenTunnel, TunnelSide } from "../tunnel/side.ts";
import { HOST_OUTLETS_BYTES, HostOutlets } from "./outlets.ts";

/** Index into `drops`. */
const TUNNEL_CLOSED = 0;

export const KERNEL_TUN_BYTES = HOST_OUTLETS_BYTES;

/** The kernel's network as the tunnel needs it (tun-network.ts). */
export interface TunNetworkPort {
  /** @returns why it cannot be, in words */
  open(tunnel: OpenTunnel): string | undefined;
}

export interface KernelTunOptions {
  readonly device: Pick<TunDevice, "receive" | "send" | "drained">;
  readonly network: TunNetworkPort;
  /** Where the device's and the tunnel's packets lie. */
  readonly memory: NativeMemory;
  /** What was sent waits still: more would be lost, and stays in the kernel, which then lets TCP send less. */
  readonly isHeld: () => boolean;
  /** Whether the loop is to wake up for packets of the kernel. */
  readonly watch: (isWatched: boolean) => void;
  /** Told of each tunnel that is open, and that there is none any more. */
  readonly changed: (now: number, tunnel: OpenTunnel | undefined) => void;
}

/**
 * While there is no tunnel the kernel's addresses and routes stay as they are, until somebody takes them back: packets for the
 * tunnel are dropped, and do not go elsewhere.
 */
export class KernelTun implements TunnelSide {
  /** The kernel has its own networks, and its own rules for which of them wins. */
  readonly lan = [];
  readonly isHost = true;
  /** Packets of the kernel that went nowhere: there was no tunnel. */
  readonly drops = new Counters(["tunnel-closed"]);
  readonly raw: RawIp;
  readonly #options: KernelTunOptions;
  readonly #packets = new Batch(TUN_DEVICE_SLOTS);
  readonly #outlets: HostOutlets;
  #tunnel: OpenTunnel | undefined;
  #isWatched = true;
  #now = 0;

  constructor(options: KernelTunOptions) {
    this.#options = options;
    const { memory, device } = options;
    this.#outlets = new HostOutlets(device, memory, (rows) => this.#tunnel?.send(this.#now, rows));
    this.raw = new RawIp(memory, this.#outlets.toTunnel, this.#outlets.toDevice);
  }

  up(now: number, tunnel: OpenTunnel): string | undefined {
    const problem = this.#options.network.open(tunnel);
    if (problem !== undefined) {
      this.down(now);
      return problem;
    }
    this.raw.mtu = tunnel.mtu;
    this.raw.mssClamp = tunnel.mssClamp;
    this.#tunnel = tunnel;
    this.#options.changed(now, tunnel);
    return undefined;
  }

  down(now: number): void {
    if (this.#tunnel === undefined) return;
    this.#tunnel = undefined;
    this.#options.changed(now, undefined);
  }

  deliver(_now: number, rows: Batch): void {
    this.raw.outOfTunnel(rows);
    this.#outlets.toDevice.flush();
  }

  /** Sends what the kernel has for the tunnel, about `budget` packets of it at most. @returns how many there were */
  receive(now: number, budget: number): number {
    if (!this.look()) return 0;
    const packets = this.#packets;
    const work = this.#options.device.receive(packets, budget);
    if (work === 0) return 0;
    if (this.#tunnel === undefined) this.drops.values[TUNNEL_CLOSED]! += packets.count;
    else {
      this.#now = now;
      this.raw.intoTunnel(packets);
      this.#outlets.toTunnel.flush();
    }
    return work;
  }

  /** Looks whether more can be sent, after something was or could be. @returns whether it can */
  look(): boolean {
    const isWatched = !this.#options.isHeld();
    if (isWatched !== this.#isWatched) this.#options.watch(isWatched);
    this.#isWatched = isWatched;
    return isWatched;
  }

  /** Nothing is known to wait that could be sent. */
  get drained(): boolean {
    return !this.#isWatched || this.#options.device.drained;
  }

  /** Drops what waits: after an error in mid-turn nobody knows whose bytes it points to. */
  discard(): void {
    this.#outlets.discard();
  }
}
