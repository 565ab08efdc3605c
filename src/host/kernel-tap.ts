/**
 * A tap device of the kernel as the plain side of a tunnel of Ethernet frames (dev tap): a bridge with the device on one side and the
 * peers on the other, of which a client has one. The device has addresses and routes as any other of the host's, or is a port of a
 * bridge of the kernel.
 */
import { Batch } from "../lib/batch.ts";
import { Counters } from "../lib/counters.ts";
import { Bridge } from "../netstack/link/bridge.ts";
import { systemRandom } from "../platform/crypto/random.ts";
import { TUN_DEVICE_SLOTS, type TunDevice } from "../platform/dev/tun.ts";
import type { NativeMemory } from "../platform/sys/memory.ts";
import type { ServedClient, ServedTunnel, ServerSide } from "../tunnel/server-side.ts";
import type { OpenTunnel, TunnelSide } from "../tunnel/side.ts";
import type { TunNetworkPort } from "./kernel-tun.ts";
import { HOST_OUTLETS_BYTES, HostOutlets } from "./outlets.ts";
import type { HostTunnel } from "./tun-network.ts";

/** A server numbers its clients below this. */
const MAX_PEERS = 65_536;
/** The only peer of a client. */
const SERVER = 0;

export const KERNEL_TAP_BYTES = HOST_OUTLETS_BYTES;

type Device = Pick<TunDevice, "receive" | "send" | "drained">;
/** Seals frames and sends them. */
type Carrier = Pick<OpenTunnel, "send">;

/** The way of frames between the device, the bridge and the peers. */
class TapPath {
  /** Frames for a peer that went nowhere. */
  readonly drops = new Counters(["no-such-client"]);
  readonly bridge: Bridge;
  /** What the bridge has dropped. */
  readonly raw: { readonly drops: Bridge["drops"] };
  readonly #device: Device;
  readonly #frames = new Batch(TUN_DEVICE_SLOTS);
  readonly #outlets: HostOutlets;
  readonly #carriers = new Map<number, Carrier>();
  #now = 0;

  constructor(device: Device, memory: NativeMemory, maxPeers: number) {
    this.#device = device;
    this.#outlets = new HostOutlets(device, memory, (rows) => {
      this.drops.values[0]! += this.#outlets.sendByPeer(this.#now, rows, this.#carriers);
    });
    const { toDevice: lan, toTunnel: tunnel } = this.#outlets;
    this.bridge = new Bridge({ slab: memory, lan, tunnel, random: systemRandom, maxPeers });
    this.raw = { drops: this.bridge.drops };
  }

  join(peer: number, carrier: Carrier, mssClamp: number): void {
    this.#carriers.set(peer, carrier);
    this.bridge.join(peer, { mssClamp });
  }

  leave(peer: number): void {
    this.bridge.leave(peer);
    this.#carriers.delete(peer);
  }

  close(): void {
    for (const peer of [...this.#carriers.keys()]) this.leave(peer);
    this.bridge.close();
  }

  /** Frames of peers. */
  deliver(now: number, rows: Batch): void {
    this.#now = now;
    this.bridge.fromPeers(now, rows);
    this.#outlets.toDevice.flush();
    this.#outlets.toTunnel.flush();
  }

  receive(now: number, budget: number): number {
    const frames = this.#frames;
    const work = this.#device.receive(frames, budget);
    if (work === 0) return 0;
    this.#now = now;
    this.bridge.fromLan(now, frames);
    this.#outlets.toTunnel.flush();
    return work;
  }

  discard(): void {
    this.#outlets.discard();
  }
}

export interface KernelTapOptions {
  readonly device: Device;
  readonly network: TunNetworkPort;
  readonly memory: NativeMemory;
  /** Told of each tunnel that is open, and that there is none any more. */
  readonly changed: (now: number, tunnel: OpenTunnel | undefined) => void;
}

/** While there is no tunnel, addresses and routes stay as they are: frames for it are dropped, and do not go elsewhere. */
export class KernelTap implements TunnelSide {
  readonly lan = [];
  readonly isHost = true;
  readonly drops: TapPath["drops"];
  readonly raw: TapPath["raw"];
  readonly #options: KernelTapOptions;
  readonly #path: TapPath;
  #isUp = false;

  constructor(options: KernelTapOptions) {
    this.#options = options;
    this.#path = new TapPath(options.device, options.memory, 1);
    this.drops = this.#path.drops;
    this.raw = this.#path.raw;
  }

  up(now: number, tunnel: OpenTunnel): string | undefined {
    const problem = this.#options.network.open(tunnel);
    if (problem !== undefined) {
      this.down(now);
      return problem;
    }
    const { mtu, mssClamp } = tunnel;
    this.#path.bridge.open({ mtu, mssClamp, peerToPeer: false });
    this.#path.join(SERVER, tunnel, mssClamp);
    this.#isUp = true;
    this.#options.changed(now, tunnel);
    return undefined;
  }

  down(now: number): void {
    if (!this.#isUp) return;
    this.#isUp = false;
    this.#path.close();
    this.#options.changed(now, undefined);
  }

  deliver(now: number, rows: Batch): void {
    this.#path.deliver(now, rows);
  }

  /** Sends what the kernel has for the tunnel, about `budget` packets of it at most. @returns how many there were */
  receive(now: number, budget: number): number {
    return this.#path.receive(now, budget);
  }

  /** Nothing is known to wait. */
  get drained(): boolean {
    return this.#options.device.drained;
  }

  /** What a connection does not take is dropped, so that nothing is held back. */
  look(): void {}

  /** Drops what waits: after an error in mid-turn nobody knows whose bytes it points to. */
  discard(): void {
    this.#path.discard();
  }
}

export interface ServedTapOptions {
  readonly device: Device;
  readonly network: { open(tunnel: HostTunnel): string | undefined; close(): void };
  readonly memory: NativeMemory;
}

export class ServedTap implements ServerSide {
  readonly drops: TapPath["drops"];
  readonly raw: TapPath["raw"];
  readonly #network: ServedTapOptions["network"];
  readonly #path: TapPath;

  constructor({ device, network, memory }: ServedTapOptions) {
    this.#network = network;
    this.#path = new TapPath(device, memory, MAX_PEERS);
    this.drops = this.#path.drops;
    this.raw = this.#path.raw;
  }

  /** With server-bridge the device has no address of its own: the kernel's bridge that it is a port of does. */
  open(_now: number, { address, address6, mtu, clientToClient }: ServedTunnel): string | undefined {
    const own = address === undefined || address.isNetworkOrBroadcast(address.address) ? undefined : address;
    const problem = this.#network.open({
      mtu,
      options: {
        ...{ address: own, address6, peer: undefined, routes: [] },
        around: { routes: [], blockIpv6: false, blockLocal: false, bypassDns: false, table: undefined },
      },
    });
    if (problem === undefined) this.#path.bridge.open({ mtu, mssClamp: 0, peerToPeer: clientToClient });
    return problem;
  }

  close(): void {
    this.#path.close();
    this.#network.close();
  }

  join(_now: number, peer: number, client: ServedClient): void {
    this.#path.join(peer, client, client.mssClamp);
  }

  leave(_now: number, peer: number): void {
    this.#path.leave(peer);
  }

  deliver(now: number, rows: Batch): void {
    this.#path.deliver(now, rows);
  }

  /** Sends what the kernel has for clients, about `budget` packets of it at most. @returns how many there were */
  receive(now: number, budget: number): number {
    return this.#path.receive(now, budget);
  }

  /** Drops what waits: after an error in mid-turn nobody knows whose bytes it points to. */
  discard(): void {
    this.#path.discard();
  }
}
