/** For tests: the router of a server, with peers, and with a LAN and a WAN where they are asked for; beside bed.ts. */
import type { Batch } from "../../lib/batch.ts";
import type { Cidr } from "../../lib/cidr.ts";
import { seededRandom } from "../../lib/random.ts";
import type { EthernetInterface, Interface, TunnelInterface } from "../interface.ts";
import { NAT_IPV4 } from "../nat/ip4.ts";
import { NAT_IPV6 } from "../nat/ip6.ts";
import { Nat } from "../nat/nat.ts";
import { type RefusedNetwork, Router, type Translators } from "../router.ts";
import { printFrame, printIpv4, printIpv6 } from "../wire/print.ts";
import { addr, arp, Bed, cidr, frame, HOST_MAC, type RecordingOutlet, type Sent, side, tunnelSide } from "./bed.ts";
import { addr6, advert6, frame6 } from "./bed6.ts";

export const LAN = "192.168.50.1";
export const HOST = "192.168.50.10";
export const LAN6 = "fd12:3456:789a:1::1";
export const HOST6 = "fd12:3456:789a:1::10";
export const GATEWAY = "10.8.0.1";
export const GATEWAY6 = "fd00:8::1";
export const PEER = { 1: "10.8.0.6", 2: "10.8.0.7" } as const;
export const PEER6 = { 1: "fd00:8::6", 2: "fd00:8::7" } as const;
/** A network behind peer 2. */
export const BRANCH = "10.20.0.0/16";
export const BRANCH_HOST = "10.20.1.1";
export const WAN = "203.0.113.5";
export const WAN6 = "2001:db8:5::5";
export const WAN_GATEWAY = "203.0.113.1";
export const WAN_GATEWAY6 = "fe80::1";
export const WAN_MAC = "52:54:00:00:00:77";
export const SITE = "198.51.100.7";
export const SITE6 = "2001:db8:2::7";

export interface ServedOptions {
  readonly lan?: "routed" | "translated" | "closed" | "none";
  readonly internet?: boolean;
  readonly peerToPeer?: boolean;
  readonly mtu?: number;
  /** Of each translator. */
  readonly sessions?: number;
}

/** A server's router with peers 1 and 2 in; all neighbours are known. */
export class Served {
  readonly bed = new Bed(14);
  readonly router: Router;
  readonly tunnel: TunnelInterface;
  readonly tunnelOut: RecordingOutlet;
  readonly lan: { readonly it: EthernetInterface; readonly outlet: RecordingOutlet } | undefined;
  readonly wan: { readonly it: EthernetInterface; readonly outlet: RecordingOutlet } | undefined;
  readonly nats: Translators | undefined;
  readonly lanNats: Translators | undefined;
  readonly refused: RefusedNetwork[] = [];
  now = 10;

  constructor(options: ServedOptions = {}) {
    const { lan = "routed", internet = false, mtu = 1400, peerToPeer = false } = options;
    const { bed } = this;
    const nats = (seed: number, sharesByNeighbour: boolean): Translators => {
      const nat = { slab: bed.slab, random: seededRandom(seed), limit: options.sessions ?? 64, sharesByNeighbour };
      return { nat: new Nat({ ...nat, family: NAT_IPV4 }), nat6: new Nat({ ...nat, family: NAT_IPV6 }) };
    };
    this.lan = lan === "none" ? undefined : side(bed, "lan");
    this.wan = internet ? side(bed, "wan") : undefined;
    ({ it: this.tunnel, outlet: this.tunnelOut } = tunnelSide(bed));
    this.nats = internet ? nats(5, true) : undefined;
    this.lanNats = lan === "translated" ? nats(6, false) : undefined;
    this.router = new Router({
      slab: bed.slab,
      lan: this.lan?.it,
      tunnel: this.tunnel,
      lanAccess: lan === "closed" ? "closed" : this.lanNats,
      internet: this.wan && this.nats ? { wan: this.wan.it, ...this.nats } : undefined,
      random: seededRandom(7),
    });
    this.lan?.it.configure({ address: cidr(`${LAN}/24`) });
    this.lan?.it.configure6(0, {
      addresses: [{ address: cidr(`${LAN6}/64`) }],
      onLink: [cidr(`${LAN6}/64`)],
      isRouter: true,
    });
    this.wan?.it.configure({ address: cidr(`${WAN}/24`), gateway: addr(WAN_GATEWAY) });
    this.wan?.it.configure6(0, {
      addresses: [{ address: cidr("fe80::5/64") }, { address: cidr(`${WAN6}/64`) }],
      onLink: [cidr(`${WAN6}/64`)],
      gateway: addr6(WAN_GATEWAY6),
    });
    // Nobody has our addresses.
    for (let i = 0; i < 4; i++) {
      this.now += 1000;
      for (const it of this.#faces) it.handleTimeout(this.now);
    }
    this.router.openTunnel(this.now, {
      address: cidr(`${GATEWAY}/24`),
      address6: cidr(`${GATEWAY6}/64`),
      mtu,
      mssClamp: 0,
      routes: [],
      served: { networks: [cidr(BRANCH), cidr("10.30.0.0/16")], peerToPeer },
    });
    this.join(1, `${PEER[1]}/32`, `${PEER6[1]}/128`);
    this.join(2, `${PEER[2]}/32`, `${PEER6[2]}/128`, BRANCH);
    this.#meet();
  }

  join(peer: number, ...networks: string[]): readonly RefusedNetwork[] {
    return this.router.join(peer, { networks: networks.map((text): Cidr => cidr(text)), mssClamp: 0 });
  }

  fromPeer(peer: number, ...packets: Uint8Array[]): void {
    const rx = this.bed.receive(...packets);
    rx.peer.fill(peer, 0, rx.count);
    this.#ingest(this.tunnel, rx);
  }

  fromLan(...packets: Uint8Array[]): void {
    this.#ingest(this.lan!.it, this.bed.receive(...packets.map((p) => inFrame(p, HOST_MAC))));
  }

  /** @param fill sets the fields of the rows */
  fromWan(packets: readonly Uint8Array[], fill: (rx: Batch) => void = () => {}): void {
    const rx = this.bed.receive(...packets.map((p) => inFrame(p, WAN_MAC)));
    fill(rx);
    this.#ingest(this.wan!.it, rx);
  }

  /** What was received lies where the next is put: what leaves in place is sent before. */
  #ingest(it: Interface, rx: Batch): void {
    it.ingest(this.now, rx);
    for (const outlet of [this.lan?.outlet, this.wan?.outlet, this.tunnelOut]) outlet?.flush();
  }

  /** What peers got, with the number of the peer in front. */
  toPeers(): string[] {
    return this.tunnelOut.take().map((s) => `${s.peer}: ${printPacket(s)}`);
  }

  /** What left by the LAN, and by the WAN: IP packets, but for neighbour discovery. */
  toLan(): string[] {
    return printed(this.lan!.outlet);
  }

  toWan(): string[] {
    return printed(this.wan!.outlet);
  }

  get #faces(): EthernetInterface[] {
    return [this.lan?.it, this.wan?.it].filter((it) => it !== undefined);
  }

  /** The LAN host and the WAN's gateway answer for their addresses. */
  #meet(): void {
    const { bed, now } = this;
    const answer = (
      it: EthernetInterface,
      own: string,
      own6: string,
      host: string,
      host6: string,
      mac: string,
    ): void => {
      it.link.resolve(now, Int32Array.of(addr(host).w3));
      it.ingest(now, bed.receive(arp(2, host, own, mac)));
      const { w0, w1, w2, w3 } = addr6(host6);
      it.link.resolve(now, Int32Array.of(w0, w1, w2, w3));
      it.ingest(now, bed.receive(advert6(host6, { dst: own6, from: mac })));
    };
    if (this.lan) answer(this.lan.it, LAN, LAN6, HOST, HOST6, HOST_MAC);
    if (this.wan) answer(this.wan.it, WAN, "fe80::5", WAN_GATEWAY, WAN_GATEWAY6, WAN_MAC);
    this.lan?.outlet.take();
    this.wan?.outlet.take();
    this.tunnelOut.take();
  }
}

const isV6 = (packet: Uint8Array): boolean => packet[0]! >> 4 === 6;

const inFrame = (packet: Uint8Array, from: string): Uint8Array =>
  isV6(packet) ? frame6(packet, undefined, from) : frame(packet, undefined, from);

export const printPacket = ({ view, bytes }: Sent): string =>
  (isV6(bytes) ? printIpv6 : printIpv4)(view, 0, bytes.length);

const printed = (outlet: RecordingOutlet): string[] =>
  outlet
    .take()
    .map((s) => printFrame(s.view, 0, s.bytes.length).replace(/^.* > \S+? (?=[\da-f]+[.:])/, ""))
    .filter((line) => !/icmp6 type 13[3-6]|^\S+ > \S+ arp|type 143/.test(line));
