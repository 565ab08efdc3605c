/**
 * How the parts are joined: the arrows between devices and netstack are in this file; those between
 * netstack and tunnel begin here, and go on in wan-links.ts and ../router-side.ts.
 *
 *   LAN device -> router -> tunnel outlet -> carrier (seals) -> link -> WAN interface -> WAN device
 *   WAN device -> WAN interface -> link -> session (opens) -> side -> router -> LAN interface -> LAN device
 *
 * Received frames stay in their device's ring until that device's next receive, so what was made of them in place is
 * sent before: {@link RouterPath.receive} ends each half with its flushes.
 */
import { Batch, MAX_SEGMENTS } from "../../lib/batch.ts";
import type { Outlet } from "../../lib/outlet.ts";
import type { Random } from "../../lib/random.ts";
import { Arena } from "../../lib/slab.ts";
import {
  type EthernetInterface,
  ethernetInterface,
  type TunnelInterface,
  tunnelInterface,
} from "../../netstack/interface.ts";
import type { Forward } from "../../netstack/nat/bindings.ts";
import { NAT_IPV4 } from "../../netstack/nat/ip4.ts";
import { NAT_IPV6 } from "../../netstack/nat/ip6.ts";
import { Nat } from "../../netstack/nat/nat.ts";
import { Netmap, type NetmapRule } from "../../netstack/nat/netmap.ts";
import { Router, type Translators } from "../../netstack/router.ts";
import { PagePool } from "../../netstack/tcp/pages.ts";
import type { Tcp } from "../../netstack/tcp/tcp.ts";
import { ABSENT_DEVICE } from "../../platform/dev/absent-device.ts";
import type { FrameDevice } from "../../platform/dev/frame-device.ts";
import { PACKET_DEVICE_BYTES, RX_SLOTS } from "../../platform/dev/packet.ts";
import type { NativeMemory } from "../../platform/sys/memory.ts";
import type { OpenTunnel } from "../../tunnel/side.ts";
import type { StreamMemory } from "./packet-stream.ts";
import { WanLinks } from "./wan-links.ts";
import { WanPorts } from "./wan-ports.ts";

const KIB = 1024;
/** A super-frame of 64 KiB becomes at most about 50 packets of an ordinary MTU; several fit before a flush. */
const TUNNEL_ARENA = 2048 * KIB;
const INTERFACE_ARENA = 512 * KIB;
const SCRATCH = 256 * KIB;
/** What is made of a turn: TURN_SEGMENTS packets of tun-mtu-max (1,600), put together or in four pieces each, find room. */
const SESSION_SCRATCH = 1024 * KIB;
const ROWS = 1024;
const NAT_LIMIT = 32768;
const NAT6_LIMIT = 8192;
/**
 * What a turn takes of each device at most, in packets (about 1 us each): neither side waits longer for the other, however the
 * frames are made. No less than MAX_SEGMENTS, so that any frame gets through.
 */
const TURN_SEGMENTS = MAX_SEGMENTS;

/** What the TCP of the LAN and the tunnel buffer: DNS alone. */
const TCP_PAGE = 4 * KIB;
const TCP_PAGES = 512;
const TCP_ROWS = { connections: 256, halfOpen: 64, timeWait: 256 };

/**
 * The same of the WAN: the connection to a server, or those of clients, and what is left of those before. Each client that
 * is slow holds pages, the fewer the less there are (netstack/tcp/pages.ts).
 */
const WAN_PAGE = 16 * KIB;
const WAN_PAGES = 1024;
const WAN_ROWS = { connections: 2048, halfOpen: 256, timeWait: 1024 };
/** Where packets of streams are opened. */
const STREAM = 512 * KIB;

/** Native memory for both devices, all arenas and the sessions' scratch. */
export const ROUTER_PATH_BYTES =
  2 * PACKET_DEVICE_BYTES +
  (TUNNEL_ARENA + 2 * INTERFACE_ARENA + 3 * SCRATCH + SESSION_SCRATCH + STREAM) +
  ((TCP_PAGES + 1) * TCP_PAGE + (WAN_PAGES + 1) * WAN_PAGE) +
  64 * KIB;

/** Seals packets of the tunnel and sends them. */
export type Carrier = Pick<OpenTunnel, "send">;

/** What reaches what, and what is translated; it stays so. */
export type Forwarding =
  /** The LAN goes through the tunnel, translated to its addresses or not. */
  | { readonly kind: "client"; readonly nat: boolean }
  /** Clients go to the LAN, and to the internet translated to the WAN's addresses or not at all. */
  | { readonly kind: "server"; readonly lan: "routed" | "translated" | "closed"; readonly internet: boolean };

export interface RouterPathOptions {
  readonly memory: NativeMemory;
  readonly wan: FrameDevice;
  /** undefined: there is no LAN, which only a server can do without. */
  readonly lan: FrameDevice | undefined;
  readonly wanMtu: number;
  readonly forwarding: Forwarding;
  readonly random: Random;
}

export class RouterPath {
  readonly wanDevice: FrameDevice;
  readonly lanDevice: FrameDevice;
  readonly wan: EthernetInterface;
  readonly lan: EthernetInterface;
  readonly tunnel: TunnelInterface;
  readonly nat: Nat | undefined;
  readonly nat6: Nat | undefined;
  /** All of them by name. */
  readonly translators: Readonly<Record<string, Nat | undefined>>;
  readonly lanTcp: Tcp;
  readonly tunnelTcp: Tcp;
  readonly router: Router;
  /** For what sessions make; what was delivered of it has gone on after each flush. */
  readonly sessionScratch: Arena;
  readonly links: WanLinks;
  readonly ports: WanPorts;
  /** LAN packets that found no carrier although the tunnel was open. */
  unsent = 0;
  readonly #wanMtu: number;
  readonly wanTcp: Tcp;
  #now = 0;
  /** By peer of the tunnel (Batch.peer): where its packets go. */
  readonly #carriers: (Carrier | undefined)[] = [];
  readonly #memory: NativeMemory;
  #netmap: Netmap | undefined;

  readonly #stream: StreamMemory;
  readonly #wanRx = new Batch(RX_SLOTS);
  readonly #lanRx = new Batch(RX_SLOTS);
  /** Rows to one peer, where a batch has several. */
  readonly #run = new Batch(ROWS);
  readonly #wanOut: Outlet;
  readonly #lanOut: Outlet;
  readonly #tunnelOut: Outlet;

  constructor(options: RouterPathOptions) {
    const { memory, random } = options;
    this.#memory = memory;
    this.wanDevice = options.wan;
    this.lanDevice = options.lan ?? ABSENT_DEVICE;
    this.#wanMtu = options.wanMtu;
    const arena = (bytes: number): Arena => {
      const piece = memory.take(bytes, 64);
      return new Arena(memory, piece.at, piece.at + piece.length);
    };
    this.#wanOut = deviceOutlet(options.wan, arena(INTERFACE_ARENA));
    this.#lanOut = deviceOutlet(this.lanDevice, arena(INTERFACE_ARENA));
    this.#tunnelOut = { batch: new Batch(ROWS), arena: arena(TUNNEL_ARENA), flush: () => this.#sendThroughTunnel() };
    this.wan = ethernetInterface({
      slab: memory,
      outlet: this.#wanOut,
      arena: this.#wanOut.arena,
      scratch: arena(SCRATCH),
      name: "wan",
      mac: options.wan.mac,
      mtu: Math.min(options.wanMtu, options.wan.mtu),
      random,
      policy: { echo: false, errors: false, announce: false },
    });
    this.lan = ethernetInterface({
      slab: memory,
      outlet: this.#lanOut,
      arena: this.#lanOut.arena,
      scratch: arena(SCRATCH),
      name: "lan",
      mac: this.lanDevice.mac,
      mtu: this.lanDevice.mtu,
      random,
      policy: { echo: true, errors: true, announce: true },
    });
    this.tunnel = tunnelInterface({
      slab: memory,
      outlet: this.#tunnelOut,
      scratch: arena(SCRATCH),
      name: "tunnel",
      random,
      policy: { echo: true, errors: true, announce: false },
    });
    const pool = new PagePool(memory, memory.take(TCP_PAGES * TCP_PAGE, 64).at, TCP_PAGE, TCP_PAGES);
    const wanPool = new PagePool(memory, memory.take(WAN_PAGES * WAN_PAGE, 64).at, WAN_PAGE, WAN_PAGES);
    this.wanTcp = this.wan.openTcp({ pool: wanPool, ...WAN_ROWS });
    this.lanTcp = this.lan.openTcp({ pool, ...TCP_ROWS });
    this.tunnelTcp = this.tunnel.openTcp({ pool, ...TCP_ROWS });
    const { forwarding } = options;
    const translators = (isWanted: boolean): Translators => ({
      nat: isWanted ? new Nat({ family: NAT_IPV4, slab: memory, random, limit: NAT_LIMIT }) : undefined,
      nat6: isWanted ? new Nat({ family: NAT_IPV6, slab: memory, random, limit: NAT6_LIMIT }) : undefined,
    });
    const isServer = forwarding.kind === "server";
    const toTunnel = translators(forwarding.kind === "client" && forwarding.nat);
    const toLan = translators(isServer && forwarding.lan === "translated");
    const toInternet = translators(isServer && forwarding.internet);
    this.nat = toTunnel.nat;
    this.nat6 = toTunnel.nat6;
    this.translators = {
      ...{ nat: toTunnel.nat, nat6: toTunnel.nat6, "lan-nat": toLan.nat, "lan-nat6": toLan.nat6 },
      ...{ "wan-nat": toInternet.nat, "wan-nat6": toInternet.nat6 },
    };
    this.router = new Router({
      slab: memory,
      lan: options.lan && this.lan,
      tunnel: this.tunnel,
      ...toTunnel,
      lanAccess: isServer ? (forwarding.lan === "translated" ? toLan : forwarding.lan) : undefined,
      internet: toInternet.nat === undefined ? undefined : { ...toInternet, wan: this.wan },
      random,
    });
    this.sessionScratch = arena(SESSION_SCRATCH);
    this.#stream = { arena: arena(STREAM), rows: new Batch(ROWS) };
    this.links = new WanLinks({
      wan: this.wan,
      tcp: this.wanTcp,
      stream: this.#stream,
      lan: () => this.lan.address?.address,
    });
    this.ports = new WanPorts({ wan: this.wan, tcp: this.wanTcp, stream: this.#stream });
  }

  /** What each interface takes now: what its device does, on the WAN at most what the settings say. */
  setMtu(side: "wan" | "lan", mtu: number): void {
    this[side].link.setMtu(side === "wan" ? Math.min(mtu, this.#wanMtu) : mtu);
  }

  /** Ports of the tunnel's addresses that lead to LAN hosts from now on; without a translator none does. */
  setForwards(forwards: readonly Forward[]): void {
    this.nat?.setForwards(forwards.filter(({ to }) => to.address.isIpv4));
    this.nat6?.setForwards(forwards.filter(({ to }) => !to.address.isIpv4));
  }

  /** What carries the packets for a peer from now on; undefined closes the way. A client has one peer, 0. */
  setCarrier(carrier: Carrier | undefined, peer = 0): void {
    this.#carriers[peer] = carrier;
  }

  /** Networks that the far end of the tunnel knows by other addresses, from now on. */
  setNetmap(rules: readonly NetmapRule[]): void {
    this.#netmap = rules.length === 0 ? undefined : new Netmap(this.#memory, rules);
  }

  /** Packets that came through the tunnel, each with its peer. */
  deliver(now: number, rows: Batch): void {
    if (rows.count === 0) return;
    this.#netmap?.incoming(rows);
    this.tunnel.ingest(now, rows);
  }

  /**
   * Receives and handles what has come, batches of both devices in turn, until nothing waits or TURN_SEGMENTS of each are done.
   * True when there was anything.
   */
  receive(now: number): boolean {
    this.#now = now;
    let lan = TURN_SEGMENTS;
    let wan = TURN_SEGMENTS;
    for (let more = true; more; ) {
      const fromLan = this.#receiveLan(now, lan);
      const fromWan = this.#receiveWan(now, wan);
      lan -= fromLan;
      wan -= fromWan;
      more = (fromLan > 0 && !this.lanDevice.drained) || (fromWan > 0 && !this.wanDevice.drained);
    }
    return lan < TURN_SEGMENTS || wan < TURN_SEGMENTS;
  }

  /** One batch of the LAN, all the way. @returns its work in packets, at most `budget` */
  #receiveLan(now: number, budget: number): number {
    const work = this.lanDevice.receive(this.#lanRx, budget);
    if (work > 0) {
      this.lan.ingest(now, this.#lanRx);
      this.flush(now);
    }
    return work;
  }

  /** The same for the WAN. */
  #receiveWan(now: number, budget: number): number {
    const work = this.wanDevice.receive(this.#wanRx, budget);
    if (work > 0) {
      this.wan.ingest(now, this.#wanRx);
      this.#drain(now);
      this.flush(now);
    }
    return work;
  }

  /** What came for the sessions goes to them. */
  #drain(now: number): void {
    this.links.drain(now);
    this.ports.drain(now);
  }

  /** Sends everything that waits. */
  flush(now: number): void {
    this.#now = now;
    if (this.#tunnelOut.batch.count > 0) this.#tunnelOut.flush();
    this.wanTcp.transmit(now);
    if (this.#wanOut.batch.count > 0) this.#wanOut.flush();
    if (this.#lanOut.batch.count > 0) this.#lanOut.flush();
    this.sessionScratch.reset();
    this.#stream.arena.reset();
  }

  /** Drops everything that waits: after an error in mid-turn nobody knows whose bytes it points to. */
  discard(): void {
    for (const { batch, arena } of [this.#tunnelOut, this.#wanOut, this.#lanOut]) {
      batch.clear();
      arena.reset();
    }
    this.sessionScratch.reset();
    this.#stream.arena.reset();
    this.links.discard();
    this.ports.discard();
  }

  pollAt(): number {
    const sides = Math.min(this.wan.pollAt(), this.lan.pollAt(), this.tunnel.pollAt());
    return Math.min(sides, this.router.pollAt(), this.links.pollAt(), this.ports.pollAt());
  }

  handleTimeout(now: number): void {
    this.wan.handleTimeout(now);
    this.#drain(now);
    this.lan.handleTimeout(now);
    this.tunnel.handleTimeout(now);
    this.router.handleTimeout(now);
    this.flush(now);
  }

  #sendThroughTunnel(): void {
    const { batch, arena } = this.#tunnelOut;
    const { mark } = this.sessionScratch;
    for (let from = 0; from < batch.count; ) {
      const peer = batch.peer[from]!;
      let end = from + 1;
      while (end < batch.count && batch.peer[end] === peer) end++;
      this.#sendToPeer(peer, end - from === batch.count ? batch : this.#rows(batch, from, end));
      from = end;
      if (this.sessionScratch.room < SESSION_SCRATCH / 2) this.#flushSealed(mark);
    }
    this.#flushSealed(mark);
    batch.clear();
    arena.reset();
  }

  #sendToPeer(peer: number, rows: Batch): void {
    const carrier = this.#carriers[peer];
    if (carrier === undefined) {
      this.unsent += rows.count;
      return;
    }
    this.#netmap?.outgoing(rows);
    carrier.send(this.#now, rows);
  }

  /** Sends what was sealed: packets of many peers in one call. What a session made of them is not needed any more. */
  #flushSealed(mark: number): void {
    this.#wanOut.flush();
    this.sessionScratch.reset(mark);
  }

  /** The plain rows [from, end) as a batch of their own. */
  #rows(batch: Batch, from: number, end: number): Batch {
    const run = this.#run;
    run.clear();
    for (let i = from; i < end; i++) run.push(batch.at[i]!, batch.len[i]!);
    return run;
  }
}

function deviceOutlet(device: FrameDevice, arena: Arena): Outlet {
  const batch = new Batch(ROWS);
  return {
    batch,
    arena,
    get udpGso() {
      return device.udpGso;
    },
    flush() {
      device.send(batch);
      batch.clear();
      arena.reset();
    },
  };
}
