/**
 * Where an interface stands in IPv4: its address and subnet, its gateway, and the routes beside the default one. Inside it
 * an address is the int32 that stands in a header.
 */
import { type Cidr, prefixMask } from "../../lib/cidr.ts";
import type { IpAddress } from "../../lib/ip.ts";

export interface InterfaceConfig {
  readonly address: Cidr;
  readonly gateway?: IpAddress | undefined;
  /** Largest packet that the network takes, where it is less than what the interface was made with. */
  readonly mtu?: number | undefined;
  /** Routes beside the default one; a default route among them counts without `gateway` only, and to the link only. */
  readonly routes?: readonly NextHopRoute[] | undefined;
}

/** A route that leads to a gateway on the link (RFC 3442), or to the link itself (no gateway). */
export interface NextHopRoute {
  readonly network: Cidr;
  readonly gateway: IpAddress | undefined;
}

interface Hop {
  readonly network: number;
  readonly prefix: number;
  /** 0: the destination itself. */
  readonly gateway: number;
}

export const inSubnet = (a: number, network: number, prefix: number): boolean =>
  ((a ^ network) & prefixMask(prefix)) === 0;

export class Addressing {
  /** 0 while unconfigured. */
  address = 0;
  prefix = 32;
  /** 0: none. */
  gateway = 0;
  /** Addresses of other interfaces of this host that are answered for here too (RFC 1122 3.3.4.2, the weak model). */
  others: readonly number[] = [];
  /** Longest prefix first. */
  #routes: readonly Hop[] = [];
  /** The subnet's own name and its broadcast; both the broadcast to all where it has none (RFC 3021). */
  #network = -1;
  #broadcast = -1;

  /** @returns whether address, prefix or gateway are others than before */
  configure(config: InterfaceConfig): boolean {
    const { prefix } = config.address;
    const address = config.address.address.w3;
    const gateway = config.gateway?.w3 ?? 0;
    const changed = address !== this.address || prefix !== this.prefix || gateway !== this.gateway;
    this.address = address;
    this.prefix = prefix;
    this.gateway = gateway;
    this.#network = prefix >= 31 ? -1 : address & prefixMask(prefix);
    this.#broadcast = prefix >= 31 ? -1 : address | ~prefixMask(prefix);
    this.#routes = (config.routes ?? [])
      .map((r) => ({ network: r.network.address.w3, prefix: r.network.prefix, gateway: r.gateway?.w3 ?? 0 }))
      .filter((r) => r.prefix > 0 || (r.gateway === 0 && gateway === 0))
      .sort((a, b) => b.prefix - a.prefix);
    return changed;
  }

  unconfigure(): void {
    this.address = 0;
    this.prefix = 32;
    this.gateway = 0;
    this.#network = -1;
    this.#broadcast = -1;
    this.#routes = [];
  }

  /** Whether an address is this host's. */
  isOwn(address: number): boolean {
    if (address === this.address) return true;
    const { others } = this;
    for (let i = 0; i < others.length; i++) if (others[i] === address) return true;
    return false;
  }

  /** Whether an address is of the subnet. */
  onLink(address: number): boolean {
    return this.address !== 0 && inSubnet(address, this.address, this.prefix);
  }

  /** Whether an address is the subnet's own name, its broadcast, or a broadcast to all. */
  isBroadcast(address: number): boolean {
    return address === -1 || address === this.#broadcast || address === this.#network;
  }

  /** The subnet's broadcast address; the broadcast to all where it has none (RFC 3021). */
  get broadcast(): number {
    return this.#broadcast;
  }

  /** Whom to hand a packet for `dst` to, by the longest prefix (RFC 1812 5.2.4.3): itself, a gateway, or 0: no way. */
  nextHop(dst: number): number {
    const onLink = this.onLink(dst);
    for (const route of this.#routes) {
      if (onLink && route.prefix <= this.prefix) break;
      if (inSubnet(dst, route.network, route.prefix)) return route.gateway === 0 ? dst : route.gateway;
    }
    return onLink ? dst : this.gateway;
  }
}
