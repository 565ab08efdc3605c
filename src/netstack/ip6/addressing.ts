/**
 * Where an interface stands in IPv6: its addresses, the prefixes that are on its link, its gateway, and routes beside the
 * default one; which groups it listens to; which of its addresses a packet is sent from (select.ts). How long an address or a
 * router is good is known to who configures it (ra/, dhcp6/), who says anew what is so when something ends.
 */
import { Cidr, wordMask } from "../../lib/cidr.ts";
import { IpAddress, wordsOf } from "../../lib/ip.ts";
import type { NextHopRoute } from "../ip4/addressing.ts";
import { ipv6IsWords } from "../wire/ipv6.ts";
import { ndpIsSolicitedNode } from "../wire/ndp.ts";
import { type Candidate, selectSource } from "./select.ts";

export interface Ip6Config {
  /** Those that are new are asked for first (RFC 4862 5.4). At most {@link MAX_ADDRESSES} count. */
  readonly addresses: readonly Ip6AddressConfig[];
  /** Prefixes whose hosts are neighbours; fe80::/10 is one always. */
  readonly onLink?: readonly Cidr[] | undefined;
  readonly gateway?: IpAddress | undefined;
  /** Routes beside the default one. */
  readonly routes?: readonly NextHopRoute[] | undefined;
  /** Largest IPv6 packet that the network takes, where that is less than the link does; at least 1280. */
  readonly mtu?: number | undefined;
  /** Of our own packets; undefined: 64. */
  readonly hopLimit?: number | undefined;
  /** It forwards for its neighbours: it listens to the group of all routers, and says so in its advertisements. */
  readonly isRouter?: boolean | undefined;
}

export interface Ip6AddressConfig {
  /** With the length of its prefix, which says nothing of the link. */
  readonly address: Cidr;
  /** Its preferred lifetime is over: others come first (RFC 6724 5, rule 3). */
  readonly isDeprecated?: boolean | undefined;
}

/**
 * tentative: others are asked whether they have it, and nothing is sent from it or heard on it;
 * usable; taken: another host has it, so we do not.
 */
export type AddressState = "tentative" | "usable" | "taken";

/** An address of ours. */
export class OwnAddress implements Candidate {
  readonly value: IpAddress;
  readonly words: Int32Array;
  prefix: number;
  isDeprecated = false;
  state: AddressState = "tentative";
  /** When the search for a duplicate goes on, and how often it has asked. */
  searchAt = Number.NEGATIVE_INFINITY;
  searches = 0;
  /** What the last question had in it, so that our own that comes back is known (RFC 7527). */
  nonceHi = 0;
  nonceLo = 0;

  constructor({ address, prefix }: Cidr) {
    this.value = address;
    this.words = wordsOf(address);
    this.prefix = prefix;
  }
}

interface Hop {
  readonly network: Int32Array;
  readonly prefix: number;
  /** Undefined: the destination itself. */
  readonly gateway: Int32Array | undefined;
}

// Our choices: more than honest networks need.
export const MAX_ADDRESSES = 16;
const MAX_PREFIXES = 32;
const DEFAULT_HOP_LIMIT = 64;

export class Ip6Addressing {
  addresses: readonly OwnAddress[] = [];
  gateway: IpAddress | undefined = undefined;
  hopLimit = DEFAULT_HOP_LIMIT;
  mtu = Number.POSITIVE_INFINITY;
  isRouter = false;
  /** Addresses of other interfaces of this host that are answered for here too (RFC 1122 3.3.4.2, the weak model). */
  others: readonly Int32Array[] = [];
  /** Longest prefix first: those on the link, those of routes, and the default one. */
  #hops: readonly Hop[] = [];

  /** IPv6 is off where there is no address. */
  get isOn(): boolean {
    return this.addresses.length > 0;
  }

  /** @returns the addresses that are new */
  configure(config: Ip6Config): readonly OwnAddress[] {
    const fresh: OwnAddress[] = [];
    this.addresses = config.addresses.slice(0, MAX_ADDRESSES).map(({ address, isDeprecated }) => {
      let own = this.addresses.find((known) => known.value.equals(address.address));
      if (own === undefined) {
        own = new OwnAddress(address);
        fresh.push(own);
      }
      own.prefix = address.prefix;
      own.isDeprecated = isDeprecated === true;
      return own;
    });
    this.gateway = config.gateway;
    this.hopLimit = config.hopLimit ?? DEFAULT_HOP_LIMIT;
    this.mtu = config.mtu ?? Number.POSITIVE_INFINITY;
    this.isRouter = config.isRouter === true;
    const onLink: NextHopRoute[] = (config.onLink ?? []).map((network) => ({ network, gateway: undefined }));
    const routes = [...onLink, ...(config.routes ?? [])].slice(0, MAX_PREFIXES);
    if (config.gateway !== undefined) routes.push({ network: EVERYWHERE, gateway: config.gateway });
    this.#hops = routes
      .map(({ network, gateway }) => ({
        network: wordsOf(network.address),
        prefix: network.prefix,
        gateway: gateway === undefined ? undefined : wordsOf(gateway),
      }))
      .sort((a, b) => b.prefix - a.prefix);
    return fresh;
  }

  unconfigure(): void {
    this.configure({ addresses: [] });
  }

  /** Our address at that place, whatever its state. */
  find(d: DataView, at: number): OwnAddress | undefined {
    for (const own of this.addresses) if (ipv6IsWords(d, at, own.words, 0)) return own;
    return undefined;
  }

  /** Whether the address at that place is this host's, and usable. */
  isOwn(d: DataView, at: number): boolean {
    const own = this.find(d, at);
    if (own !== undefined) return own.state === "usable";
    for (const words of this.others) if (ipv6IsWords(d, at, words, 0)) return true;
    return false;
  }

  /** The same for the address of `words[i]` and the three behind. */
  isOwnWords(words: Int32Array, i: number): boolean {
    for (const own of this.addresses) if (isAt(own.words, words, i)) return own.state === "usable";
    return this.others.some((other) => isAt(other, words, i));
  }

  /** Whether we listen to the group at that place (RFC 4291 2.8). */
  isListening(d: DataView, at: number): boolean {
    if (ndpIsSolicitedNode(d, at)) {
      const last = d.getInt32(at + 12) & 0xffffff;
      for (const { words, state } of this.addresses)
        if ((words[3]! & 0xffffff) === last && state !== "taken") return true;
      return false;
    }
    if (d.getInt32(at) !== LINK_GROUP || d.getInt32(at + 4) !== 0 || d.getInt32(at + 8) !== 0) return false;
    const group = d.getInt32(at + 12);
    return group === ALL_NODES || (group === ALL_ROUTERS && this.isRouter);
  }

  /** Whom to hand a packet for `dst` to, by the longest prefix: written to `hop` (which may be `dst`). False: no way. */
  nextHop(dst: Int32Array, hop: Int32Array): boolean {
    if (!this.isOn) return false;
    const way = this.#way(dst);
    if (way === undefined) return false;
    const next = way.gateway ?? dst;
    for (let k = 0; k < 4; k++) hop[k] = next[k]!;
    return true;
  }

  /** Whether an address is a neighbour's. */
  onLink(words: Int32Array): boolean {
    const way = this.#way(words);
    return way !== undefined && way.gateway === undefined;
  }

  /** The longest prefix that an address is of; a closure for each packet would be garbage. */
  #way(words: Int32Array): Hop | undefined {
    if (isLinkLocal(words)) return ON_LINK;
    for (let i = 0; i < this.#hops.length; i++) {
      const way = this.#hops[i] as Hop;
      if (inPrefix(words, way.network, way.prefix)) return way;
    }
    return undefined;
  }

  /** The address of ours that a packet to `dst` comes from (RFC 6724 5); undefined: none that could. */
  source(dst: Int32Array): OwnAddress | undefined {
    return selectSource(
      this.addresses.filter(({ state }) => state === "usable"),
      dst,
    );
  }

  /** Ours on this link, usable, if there is one. */
  get linkLocal(): OwnAddress | undefined {
    return this.addresses.find(({ words, state }) => state === "usable" && isLinkLocal(words));
  }
}

const EVERYWHERE = new Cidr(new IpAddress(0, 0, 0, 0), 0);
/** ff02::/96, and in it all nodes and all routers (RFC 4291 2.7.1). */
const LINK_GROUP = 0xff020000 | 0;
const ALL_NODES = 1;
const ALL_ROUTERS = 2;
/** fe80::/10. */
const isLinkLocal = (words: Int32Array): boolean => words[0]! >>> 22 === 0x3fa;
const ON_LINK: Hop = { network: new Int32Array(4), prefix: 10, gateway: undefined };

const isAt = (own: Int32Array, words: Int32Array, i: number): boolean =>
  own[3] === words[i + 3] && own[2] === words[i + 2] && own[1] === words[i + 1] && own[0] === words[i];

/** Whether an address is of a network. */
function inPrefix(words: Int32Array, network: Int32Array, prefix: number): boolean {
  for (let k = 0; k < 4; k++) if (((words[k]! ^ network[k]!) & wordMask(prefix, k)) !== 0) return false;
  return true;
}
