/** A tun device of the kernel as the plain side of a server: which client a packet is for, and whether it may be from whom it says. */
import { Batch } from "../lib/batch.ts";
import { Counters } from "../lib/counters.ts";
import type { Arena } from "../lib/slab.ts";
import { RawIp } from "../netstack/offload/raw-ip.ts";
import { TUN_DEVICE_SLOTS, type TunDevice } from "../platform/dev/tun.ts";
import type { NativeMemory } from "../platform/sys/memory.ts";
import type { ServedClient, ServedTunnel, ServerSide } from "../tunnel/server-side.ts";
import { arenaOf, HOST_OUTLETS_BYTES, HostOutlets } from "./outlets.ts";
import { PeerTable } from "./peer-table.ts";
import type { HostTunnel } from "./tun-network.ts";

/** Index into `drops`. */
const D = { noClient: 0, foreign: 1, malformed: 2 } as const;
const ROWS = 1024;
const IPV4_LEAST = 20;
const IPV6_LEAST = 40;

export const SERVED_TUN_BYTES = 2 * HOST_OUTLETS_BYTES;

export interface ServedTunOptions {
  readonly device: Pick<TunDevice, "receive" | "send">;
  readonly network: { open(tunnel: HostTunnel): string | undefined; close(): void };
  readonly memory: NativeMemory;
}

export class ServedTun implements ServerSide {
  /** Packets that went nowhere, by why. */
  readonly drops = new Counters(["no-such-client", "source-not-of-client", "packet-malformed"]);
  readonly raw: RawIp;
  readonly #options: ServedTunOptions;
  readonly #view: DataView;
  readonly #packets = new Batch(TUN_DEVICE_SLOTS);
  readonly #outlets: HostOutlets;
  /** Copies of what goes from client to client. */
  readonly #copies: Arena;
  readonly #between = new Batch(ROWS);
  readonly #toHost = new Batch(ROWS);
  readonly #peers = new PeerTable();
  readonly #clients = new Map<number, ServedClient>();
  /** What the sender of a packet is told. */
  readonly #told = new Batch(1);
  #mtu = 0;
  #clientToClient = false;
  #now = 0;

  constructor(options: ServedTunOptions) {
    this.#options = options;
    const { memory, device } = options;
    this.#view = memory.view;
    this.#outlets = new HostOutlets(device, memory, (rows) => this.#sendToClients(rows));
    this.#copies = arenaOf(memory);
    this.raw = new RawIp(memory, this.#outlets.toTunnel, this.#outlets.toDevice);
    this.raw.tell = (at, len) => this.#tell(at, len);
  }

  open(_now: number, { address, address6, mtu, routes, clientToClient }: ServedTunnel): string | undefined {
    const problem = this.#options.network.open({
      mtu,
      options: {
        ...{ address, address6, peer: undefined },
        routes: routes.map((network) => ({ network, metric: 0 })),
        around: { routes: [], blockIpv6: false, blockLocal: false, bypassDns: false, table: undefined },
      },
    });
    if (problem !== undefined) return problem;
    this.raw.mtu = mtu;
    this.#mtu = mtu;
    this.#clientToClient = clientToClient;
    return undefined;
  }

  close(): void {
    this.#clients.clear();
    this.#peers.clear();
    this.#fit();
    this.#options.network.close();
  }

  join(_now: number, peer: number, client: ServedClient): void {
    this.#clients.set(peer, client);
    this.#peers.set(peer, client.networks);
    this.#fit();
  }

  leave(_now: number, peer: number): void {
    this.#clients.delete(peer);
    this.#peers.remove(peer);
    this.#fit();
  }

  deliver(now: number, rows: Batch): void {
    const [toHost, between] = [this.#toHost, this.#between];
    toHost.clear();
    between.clear();
    this.#copies.reset();
    for (let row = 0; row < rows.count; row++) this.#sort(rows, row);
    this.raw.outOfTunnel(toHost);
    this.#outlets.toDevice.flush();
    if (between.count === 0) return;
    this.#now = now;
    this.raw.intoTunnel(between);
    this.#outlets.toTunnel.flush();
  }

  /** Sends what the kernel has for clients, about `budget` packets of it at most. @returns how many there were */
  receive(now: number, budget: number): number {
    const packets = this.#packets;
    const work = this.#options.device.receive(packets, budget);
    if (work === 0) return 0;
    this.#now = now;
    this.raw.intoTunnel(packets);
    this.#outlets.toTunnel.flush();
    return work;
  }

  /** Drops what waits: after an error in mid-turn nobody knows whose bytes it points to. */
  discard(): void {
    this.#outlets.discard();
  }

  /** A client's packet goes to the kernel, or to another client; one from an address that is not its own goes nowhere. */
  #sort(rows: Batch, row: number): void {
    const at = rows.at[row]!;
    const len = rows.len[row]!;
    const isV6 = len > 0 && this.#view.getUint8(at) >> 4 === 6;
    if (len < (isV6 ? IPV6_LEAST : IPV4_LEAST)) {
      this.drops.values[D.malformed]!++;
      return;
    }
    const peer = rows.peer[row]!;
    if (this.#peers.find(this.#view, at + (isV6 ? 8 : 12), isV6) !== peer) {
      this.drops.values[D.foreign]!++;
      return;
    }
    const to = this.#clientToClient ? this.#peers.find(this.#view, at + (isV6 ? 24 : 16), isV6) : -1;
    // Room in front of it is another packet's.
    const copy = to >= 0 && to !== peer ? this.#copies.take(len) : -1;
    if (copy < 0) this.#toHost.push(at, len);
    else {
      this.#options.memory.bytes.copyWithin(copy, at, at + len);
      this.#between.push(copy, len);
    }
  }

  #sendToClients(rows: Batch): void {
    const view = this.#view;
    for (let row = 0; row < rows.count; row++) {
      const at = rows.at[row]!;
      const isV6 = view.getUint8(at) >> 4 === 6;
      rows.peer[row] = this.#peers.find(view, at + (isV6 ? 24 : 16), isV6);
    }
    this.drops.values[D.noClient]! += this.#outlets.sendByPeer(this.#now, rows, this.#clients);
  }

  /** Where the way to a client is narrow, or mssfix wants less, each packet is looked at by whom it is for. */
  #fit(): void {
    let [isNarrow, isClamped] = [false, false];
    for (const { mtu, mssClamp } of this.#clients.values()) {
      if (mtu < this.#mtu) isNarrow = true;
      if (mssClamp > 0) isClamped = true;
    }
    this.raw.mtuOf = isNarrow ? (at, isV6) => this.#clientAt(at + (isV6 ? 24 : 16), isV6)?.mtu ?? this.#mtu : undefined;
    this.raw.mssOf = isClamped ? (at, isV6) => this.#mss(at, isV6) : undefined;
  }

  /** Of a SYN at `at`: what the clients that it is from and for take, the least where both are clients; 0: any. */
  #mss(at: number, isV6: boolean): number {
    const from = this.#clientAt(at + (isV6 ? 8 : 12), isV6)?.mssClamp || Number.POSITIVE_INFINITY;
    const to = this.#clientAt(at + (isV6 ? 24 : 16), isV6)?.mssClamp || Number.POSITIVE_INFINITY;
    const least = Math.min(from, to);
    return least === Number.POSITIVE_INFINITY ? 0 : least;
  }

  /** The client that has the address at `at`. */
  #clientAt(at: number, isV6: boolean): ServedClient | undefined {
    return this.#clients.get(this.#peers.find(this.#view, at, isV6));
  }

  /** A packet that was too big for the way to a client: its sender, a client or a host behind the kernel, is told. */
  #tell(at: number, len: number): void {
    const told = this.#told;
    told.clear();
    told.push(at, len);
    const isV6 = this.#view.getUint8(at) >> 4 === 6;
    const client = this.#clientToClient ? this.#clientAt(at + (isV6 ? 24 : 16), isV6) : undefined;
    if (client === undefined) this.#options.device.send(told);
    else client.send(this.#now, told);
  }
}
