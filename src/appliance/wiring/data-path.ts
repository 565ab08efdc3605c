/**
 * What every data path has, whatever lies between LAN and tunnel: the two devices, the WAN with its links and ports, and the way
 * of packets to the carriers.
 *
 *   LAN device -> (router or bridge) -> tunnel outlet -> carrier (seals) -> link -> WAN interface -> WAN device
 *   WAN device -> WAN interface -> link -> session (opens) -> side -> (router or bridge) -> LAN device
 *
 * Received frames stay in their device's ring until that device's next receive, so what was made of them in place is
 * sent before: {@link DataPath.receive} ends each half with its flushes.
 */
import { Batch, MAX_SEGMENTS } from "../../lib/batch.ts";
import type { Cidr } from "../../lib/cidr.ts";
import type { Outlet } from "../../lib/outlet.ts";
import type { Random } from "../../lib/random.ts";
import { Arena } from "../../lib/slab.ts";
import { type EthernetInterface, ethernetInterface } from "../../netstack/interface.ts";
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
export const SCRATCH = 256 * KIB;
/** What is made of a turn: TURN_SEGMENTS packets of tun-mtu-max (1,600), put together or in four pieces each, find room. */
const SESSION_SCRATCH = 1024 * KIB;
const ROWS = 1024;
/**
 * What a turn takes of each device at most, in packets (about 1 us each): neither side waits longer for the other, however the
 * frames are made. No less than MAX_SEGMENTS, so that any frame gets through.
 */
const TURN_SEGMENTS = MAX_SEGMENTS;

/**
 * The TCP of the WAN: the connection to a server, or those of clients, and what is left of those before. Each client that
 * is slow holds pages, the fewer the less there are (netstack/tcp/pages.ts).
 */
const WAN_PAGE = 16 * KIB;
const WAN_PAGES = 1024;
const WAN_ROWS = { connections: 2048, halfOpen: 256, timeWait: 1024 };
/** Where packets of streams are opened. */
const STREAM = 512 * KIB;

/** Native memory for both devices, and all arenas of these. */
export const DATA_PATH_BYTES =
  2 * PACKET_DEVICE_BYTES +
  (TUNNEL_ARENA + 2 * INTERFACE_ARENA + SCRATCH + SESSION_SCRATCH + STREAM) +
  (WAN_PAGES + 1) * WAN_PAGE +
  64 * KIB;

/** Seals packets of the tunnel and sends them. */
export type Carrier = Pick<OpenTunnel, "send">;

export interface DataPathOptions {
  readonly memory: NativeMemory;
  readonly wan: FrameDevice;
  /** undefined: there is no LAN, which only a server can do without. */
  readonly lan: FrameDevice | undefined;
  readonly wanMtu: number;
  readonly random: Random;
}

export abstract class DataPath {
  readonly wanDevice: FrameDevice;
  readonly lanDevice: FrameDevice;
  readonly wan: EthernetInterface;
  readonly wanTcp: Tcp;
  /** For what sessions make; what was delivered of it has gone on after each flush. */
  readonly sessionScratch: Arena;
  readonly links: WanLinks;
  readonly ports: WanPorts;
  /** Packets that found no carrier although the tunnel was open. */
  unsent = 0;
  protected readonly memory: NativeMemory;
  protected readonly lanOut: Outlet;
  protected readonly tunnelOut: Outlet;
  readonly #wanMtu: number;
  #now = 0;
  /** By peer of the tunnel (Batch.peer): where its packets go. */
  readonly #carriers: (Carrier | undefined)[] = [];
  readonly #stream: StreamMemory;
  readonly #wanRx = new Batch(RX_SLOTS);
  readonly #lanRx = new Batch(RX_SLOTS);
  /** Rows to one peer, where a batch has several. */
  readonly #run = new Batch(ROWS);
  readonly #wanOut: Outlet;

  constructor(options: DataPathOptions) {
    const { memory, random } = options;
    this.memory = memory;
    this.wanDevice = options.wan;
    this.lanDevice = options.lan ?? ABSENT_DEVICE;
    this.#wanMtu = options.wanMtu;
    this.#wanOut = deviceOutlet(options.wan, this.arena(INTERFACE_ARENA));
    this.lanOut = deviceOutlet(this.lanDevice, this.arena(INTERFACE_ARENA));
    const tunnelArena = this.arena(TUNNEL_ARENA);
    this.tunnelOut = { batch: new Batch(ROWS), arena: tunnelArena, flush: () => this.#sendThroughTunnel() };
    this.wan = ethernetInterface({
      slab: memory,
      outlet: this.#wanOut,
      arena: this.#wanOut.arena,
      scratch: this.arena(SCRATCH),
      name: "wan",
      mac: options.wan.mac,
      mtu: Math.min(options.wanMtu, options.wan.mtu),
      random,
      policy: { echo: false, errors: false, announce: false },
    });
    const wanPool = new PagePool(memory, memory.take(WAN_PAGES * WAN_PAGE, 64).at, WAN_PAGE, WAN_PAGES);
    this.wanTcp = this.wan.openTcp({ pool: wanPool, ...WAN_ROWS });
    this.sessionScratch = this.arena(SESSION_SCRATCH);
    this.#stream = { arena: this.arena(STREAM), rows: new Batch(ROWS) };
    this.links = new WanLinks({
      wan: this.wan,
      tcp: this.wanTcp,
      stream: this.#stream,
      lan: () => this.lanNetwork?.address,
    });
    this.ports = new WanPorts({ wan: this.wan, tcp: this.wanTcp, stream: this.#stream });
  }

  /** Our address on the LAN and its network; undefined: there is none. */
  abstract readonly lanNetwork: Cidr | undefined;
  /** The LAN's link was lost or came back: what was known of its hosts may be wrong. */
  abstract lanLinkChanged(): void;
  /** Frames that the LAN's device received. */
  protected abstract fromLan(now: number, rx: Batch): void;
  /** Packets that came through the tunnel, each with its peer. */
  abstract deliver(now: number, rows: Batch): void;
  /** Packets that leave through the tunnel, before they are sealed. */
  protected outgoing(_rows: Batch): void {}
  /** When what lies between LAN and tunnel has something to do, and what it does then. */
  protected abstract innerPollAt(): number;
  protected abstract innerTimeout(now: number): void;

  protected arena(bytes: number): Arena {
    const piece = this.memory.take(bytes, 64);
    return new Arena(this.memory, piece.at, piece.at + piece.length);
  }

  /** What the interface takes now: what its device does, on the WAN at most what the settings say. */
  setMtu(side: "wan" | "lan", mtu: number): void {
    if (side === "wan") this.wan.link.setMtu(Math.min(mtu, this.#wanMtu));
  }

  /** What carries the packets for a peer from now on; undefined closes the way. A client has one peer, 0. */
  setCarrier(carrier: Carrier | undefined, peer = 0): void {
    this.#carriers[peer] = carrier;
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
      this.fromLan(now, this.#lanRx);
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
    if (this.tunnelOut.batch.count > 0) this.tunnelOut.flush();
    this.wanTcp.transmit(now);
    if (this.#wanOut.batch.count > 0) this.#wanOut.flush();
    if (this.lanOut.batch.count > 0) this.lanOut.flush();
    this.sessionScratch.reset();
    this.#stream.arena.reset();
  }

  /** Drops everything that waits: after an error in mid-turn nobody knows whose bytes it points to. */
  discard(): void {
    for (const { batch, arena } of [this.tunnelOut, this.#wanOut, this.lanOut]) {
      batch.clear();
      arena.reset();
    }
    this.sessionScratch.reset();
    this.#stream.arena.reset();
    this.links.discard();
    this.ports.discard();
  }

  pollAt(): number {
    return Math.min(this.wan.pollAt(), this.innerPollAt(), this.links.pollAt(), this.ports.pollAt());
  }

  handleTimeout(now: number): void {
    this.wan.handleTimeout(now);
    this.#drain(now);
    this.innerTimeout(now);
    this.flush(now);
  }

  #sendThroughTunnel(): void {
    const { batch, arena } = this.tunnelOut;
    const { mark } = this.sessionScratch;
    for (let from = 0; from < batch.count; ) {
      const peer = batch.peer[from]!;
      const end = batch.peerEnd(from);
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
    this.outgoing(rows);
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
    run.pushPlain(batch, from, end);
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
