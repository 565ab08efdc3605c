/**
 * One side of the router: IP of both families over a link, with sockets, by a policy. LAN and WAN are Ethernet, the tunnel's neighbours are its
 * peers; what differs beyond that is policy. Packets for others go to the forwarder (the router) or are counted.
 *
 * Way in: ingest -> link/*.ts -> ip4/deliver.ts, ip6/deliver.ts -> socket/udp.ts | ip4/icmp.ts, ip6/icmp.ts, link/nd.ts |
 *   tcp/reset.ts | forwarder.
 * Way out: socket/udp.ts, icmp.ts, router.ts -> ip4/output.ts, ip6/output.ts -> link/*.ts -> the outlet.
 *
 * received = handled (named in `counters`) + the sum of `drops`. What is lost later (while it waits for its other
 * fragments or for a neighbour, or on the way out) counts in `outDrops`.
 */
import type { Batch } from "../lib/batch.ts";
import { Cidr } from "../lib/cidr.ts";
import type { Counters } from "../lib/counters.ts";
import { IpAddress } from "../lib/ip.ts";
import type { Outlet } from "../lib/outlet.ts";
import { type Random, randomBelow } from "../lib/random.ts";
import { FairLimit, RateLimit } from "../lib/rate-limit.ts";
import type { Arena, Slab } from "../lib/slab.ts";
import { Drop, type DropCode, type DropName, dropCounters } from "./drop.ts";
import { ARP, type InterfaceCounter, interfaceCounters, RECEIVED, RECEIVED_BYTES } from "./interface-counters.ts";
import { Addressing, type InterfaceConfig } from "./ip4/addressing.ts";
import { Ip4 } from "./ip4/deliver.ts";
import { Ip4Output } from "./ip4/output.ts";
import { Ip6Addressing, type Ip6Config } from "./ip6/addressing.ts";
import { Ip6 } from "./ip6/deliver.ts";
import { MulticastListener } from "./ip6/mld.ts";
import { Ip6Output } from "./ip6/output.ts";
import { EthernetLink, type EthernetLinkOptions } from "./link/ethernet.ts";
import type { LinkLayer, NetworkLayer } from "./link/layer.ts";
import { TunnelLink } from "./link/tunnel.ts";
import { IpOutput } from "./output.ts";
import type { PortOwner } from "./port-owner.ts";
import type { MtuProbe } from "./socket/mtu-probe.ts";
import { Udp } from "./socket/udp.ts";
import type { UdpReceiver, UdpSocket } from "./socket/udp-socket.ts";
import { Tcp, type TcpOptions } from "./tcp/tcp.ts";

export interface InterfacePolicy {
  /** Answer echo requests. */
  readonly echo: boolean;
  /** Send ICMP errors and resets. */
  readonly errors: boolean;
  /** Tell the neighbours of an address when it is taken, and when the link comes back; and routers what groups we listen to. */
  readonly announce: boolean;
}

/** Our choices: errors and resets a second, enough for many hosts and too few to amplify; of them at most a quarter for one host. */
const ERRORS_PER_SECOND = 200;
const ERRORS_BURST = 100;
const HOST_SHARE = 0.25;
/** Our choice: echo replies a second into the tunnel, which is dearer than a LAN. */
const TUNNEL_ECHO_PER_SECOND = 500;
const TUNNEL_ECHO_BURST = 200;

interface InterfaceOptions {
  readonly slab: Slab;
  /** Packets that are put together (at least 256 KiB): they live, like received frames, until the next ingest. */
  readonly scratch: Arena;
  readonly name: string;
  readonly random: Random;
  readonly policy: InterfacePolicy;
}

export type EthernetInterface = Interface<EthernetLink>;
export type TunnelInterface = Interface<TunnelLink>;

export function ethernetInterface(options: InterfaceOptions & EthernetLinkOptions): EthernetInterface {
  const addressing = new Addressing();
  const addressing6 = new Ip6Addressing();
  const link = new EthernetLink(options, addressing, addressing6);
  return new Interface(options, addressing, addressing6, link, undefined);
}

/** @param options.outlet IP packets into the tunnel */
export function tunnelInterface(options: InterfaceOptions & { readonly outlet: Outlet }): TunnelInterface {
  const link = new TunnelLink(options.slab, options.outlet);
  const echo = new RateLimit(TUNNEL_ECHO_PER_SECOND, TUNNEL_ECHO_BURST);
  return new Interface(options, new Addressing(), new Ip6Addressing(), link, echo);
}

export class Interface<Link extends LinkLayer = LinkLayer> implements NetworkLayer {
  readonly name: string;
  readonly link: Link;
  readonly counters: Counters<InterfaceCounter> = interfaceCounters();
  readonly drops: Counters<DropName> = dropCounters();
  readonly outDrops: Counters<DropName>;
  readonly v4: Ip4;
  readonly v6: Ip6;
  readonly output: IpOutput;
  /** An address is another one now, or gone, or one of IPv6 can be used that could not yet. */
  onAddress: () => void = () => {};

  readonly #slab: Slab;
  readonly #random: Random;
  readonly #udp: Udp;
  #tcp: Tcp | undefined = undefined;
  readonly #scratch: Arena;
  readonly #policy: InterfacePolicy;
  #portOwners: readonly PortOwner[] = [];

  /** @param echoLimit of echo replies */
  constructor(
    options: InterfaceOptions,
    addressing: Addressing,
    addressing6: Ip6Addressing,
    link: Link,
    echoLimit: RateLimit | undefined,
  ) {
    const { slab, scratch, random, policy } = options;
    this.name = options.name;
    this.link = link;
    this.outDrops = link.drops;
    this.#slab = slab;
    this.#random = random;
    this.#scratch = scratch;
    this.#policy = policy;
    const seed = randomBelow(random, 2 ** 32) | 0;
    const errors = new FairLimit(ERRORS_PER_SECOND, ERRORS_BURST, HOST_SHARE, seed);
    const limits = { errors, echo: echoLimit };
    const out4 = new Ip4Output(slab, addressing, link, scratch, randomBelow(random, 0x10000));
    const out6 = new Ip6Output(slab, addressing6, link, randomBelow(random, 2 ** 32) | 0);
    const output = new IpOutput({ slab, addressing, v4: out4, addressing6, v6: out6 });
    const { pathMtu } = out6;
    const udp = new Udp({ slab, addressing, addressing6, output, pathMtu, scratch, random });
    const listener = policy.announce ? new MulticastListener(slab, addressing6, out6, random) : undefined;
    const both = { slab, link, udp, scratch, policy, limits, counters: this.counters };
    this.#udp = udp;
    this.output = output;
    if (link.nd !== undefined) link.nd.onUsable = () => this.onAddress();
    this.v4 = new Ip4({ ...both, addressing, output: out4 });
    this.v6 = new Ip6({ ...both, addressing: addressing6, output: out6, listener });
  }

  /** Largest IPv4 packet: what the link takes, or less where the network has said so. */
  get mtu(): number {
    return this.link.mtu;
  }

  /** Its address and subnet, undefined while it has none. */
  get address(): Cidr | undefined {
    const { address, prefix } = this.v4.addressing;
    return address === 0 ? undefined : new Cidr(IpAddress.fromIpv4(address), prefix);
  }

  get gateway(): IpAddress | undefined {
    const { gateway } = this.v4.addressing;
    return gateway === 0 ? undefined : IpAddress.fromIpv4(gateway);
  }

  get configured(): boolean {
    return this.v4.addressing.address !== 0;
  }

  /** Takes an address. What is known of the neighbours survives only if nothing changed. */
  configure(config: InterfaceConfig): void {
    if (this.v4.addressing.configure(config)) {
      this.link.forget();
      this.#tcp?.addressesChanged();
      this.onAddress();
    }
    this.link.limitMtu(config.mtu);
    if (this.#policy.announce) this.link.announce();
  }

  unconfigure(): void {
    this.link.forget();
    this.link.limitMtu(undefined);
    this.v4.addressing.unconfigure();
    this.#tcp?.addressesChanged();
    this.onAddress();
  }

  /**
   * Takes IPv6 addresses, or others than before. What it has already goes on; over Ethernet each new one is asked for first, and
   * {@link Nd.events} says what came out.
   */
  configure6(now: number, config: Ip6Config): void {
    const fresh = this.v6.addressing.configure(config);
    const { nd } = this.link;
    for (const address of fresh) {
      if (nd === undefined) address.state = "usable";
      else nd.search(now, address);
    }
    this.v6.changed(now);
    this.#tcp?.addressesChanged();
    this.onAddress();
  }

  unconfigure6(): void {
    this.link.nd?.forget();
    this.v6.unconfigure();
    this.#tcp?.addressesChanged();
    this.onAddress();
  }

  /** The link was lost or came back: what was known of the neighbours may be wrong. */
  linkChanged(): void {
    this.link.forget();
    this.link.nd?.forget();
    if (!this.#policy.announce) return;
    if (this.configured) this.link.announce();
    this.link.nd?.announce();
  }

  /** Binds a port, or a random free one for 0; undefined when the port is taken. */
  bindUdp(port: number, receiver: UdpReceiver): UdpSocket | undefined {
    return this.#udp.bind(port, receiver);
  }

  closeUdp(socket: UdpSocket): void {
    this.#udp.close(socket);
  }

  /** Sends a datagram of the control plane: {@link Udp.send}. */
  sendUdp(
    now: number,
    socket: UdpSocket,
    dst: IpAddress,
    dstPort: number,
    payload: Uint8Array,
    neighbour?: number,
    from?: Int32Array,
  ): DropCode {
    return this.#udp.send(now, socket, dst, dstPort, payload, neighbour, from);
  }

  /** Sends payloads of the data path to one peer, in place: {@link Udp.sendBatch}. */
  sendUdpBatch(
    now: number,
    socket: UdpSocket,
    dst: IpAddress,
    dstPort: number,
    rows: Batch,
    from?: Int32Array,
    probe?: MtuProbe,
  ): void {
    this.#udp.sendBatch(now, socket, dst, dstPort, rows, from, probe);
  }

  /** Who else gives out ports of the addresses here, as translators do: all of them are asked before a port of our own is taken. */
  setPortOwners(owners: readonly PortOwner[]): void {
    this.#portOwners = owners;
    this.#udp.owners = owners;
    if (this.#tcp !== undefined) this.#tcp.owners = owners;
  }

  /** Connections and listeners on this interface; undefined until they are opened. */
  get tcp(): Tcp | undefined {
    return this.#tcp;
  }

  /** From now on connections can be made and accepted here. */
  openTcp(options: TcpOptions): Tcp {
    const tcp = new Tcp(this.#slab, this.#random, this.v4.tcpPort, this.v6.tcpPort, options);
    this.#tcp = tcp;
    this.v4.tcp = tcp;
    this.v6.tcp = tcp;
    if (this.#portOwners.length > 0) tcp.owners = this.#portOwners;
    return tcp;
  }

  pollAt(): number {
    const below = Math.min(this.link.pollAt(), this.v4.reassembler.pollAt(), this.v6.pollAt());
    return this.#tcp === undefined ? below : Math.min(below, this.#tcp.pollAt());
  }

  /** Does what is due, and sends what the connections have to send. */
  handleTimeout(now: number): void {
    this.link.handleTimeout(now);
    this.v4.reassembler.handleTimeout(now);
    this.v6.handleTimeout(now);
    this.#tcp?.handleTimeout(now);
  }

  /** Handles a received batch. What it hands on aliases the batch's memory (or the scratch) until the next call. */
  ingest(now: number, rx: Batch): void {
    this.#scratch.reset();
    const { values } = this.counters;
    const n = rx.count;
    let bytes = 0;
    for (let row = 0; row < n; row++) {
      bytes += rx.len[row]!;
      const drop = this.link.receive(now, rx, row, this);
      if (drop !== Drop.None) this.drops.bump(drop);
    }
    values[RECEIVED]! += n;
    values[RECEIVED_BYTES]! += bytes;
    this.#tcp?.transmit(now);
  }

  ip4(now: number, rx: Batch, row: number, at: number, avail: number, unicast: boolean): DropCode {
    return this.v4.receive(now, rx, row, at, avail, unicast);
  }

  ip6(now: number, rx: Batch, row: number, at: number, avail: number, unicast: boolean): DropCode {
    return this.v6.receive(now, rx, row, at, avail, unicast);
  }

  arp(): void {
    this.counters.bump(ARP);
  }
}
