/**
 * Addresses of the tunnel that are given to clients (man openvpn, --ifconfig-pool, --ifconfig-ipv6-pool). Source: OpenVPN's pool.c,
 * in whose order they go: a name gets what it had last; else the first that nobody ever had, then what was given back longest ago.
 * IPv4 and IPv6 have one row of places: the n-th address of both is the same client's.
 *
 * Better than OpenVPN: an address that one client has by name (ifconfig-push), the server's own, and the first and the last of a subnet
 * are given to nobody else.
 */
import { prefixMask } from "../../lib/cidr.ts";
import { IpAddress } from "../../lib/ip.ts";
import type { ServerNetworkConfig } from "../config/server-types.ts";

/** What a client has of the pool. */
export interface PoolPlace {
  readonly place: number;
  readonly address: IpAddress | undefined;
  /** The server's end of the four addresses of net30. */
  readonly serverEnd: IpAddress | undefined;
  readonly address6: IpAddress | undefined;
}

/** Who had an address last. */
export interface PoolLease {
  readonly name: string;
  readonly address: IpAddress | undefined;
  readonly address6: IpAddress | undefined;
  /** Seconds since 1970; undefined: it has it now. */
  readonly releasedAt: number | undefined;
  /** Nobody else gets it (a file of ifconfig-pool-persist with 0 seconds). */
  readonly isFixed?: boolean;
}

/** IFCONFIG_POOL_MAX of OpenVPN's pool.h. */
export const MAX_POOL = 65_536;

const FREE = 0;
const TAKEN = 1;
/** Nobody gets it who is not its owner: the server, or whom a file of client-config-dir gives it to. */
const FIXED = 2;

export class AddressPool {
  readonly size: number;
  readonly #first: number | undefined;
  /** Addresses of one place: 4 of net30. */
  readonly #step: number;
  readonly #first6: IpAddress | undefined;
  readonly #duplicates: boolean;
  readonly #names: (string | undefined)[];
  /** The places of each name, ascending: nearly always one. */
  readonly #byName = new Map<string, number[]>();
  /** No place below is free and never was given, or with duplicate-cn free: whoever is new looks from here on. */
  #fresh = 0;
  readonly #state: Uint8Array;
  /** 0: nobody ever had it. */
  readonly #releasedAt: Float64Array;
  /** 1: only the name that it has gets it. */
  readonly #owned: Uint8Array;

  /** @param duplicates duplicate-cn: who had what counts for nothing, and the first free place is given */
  constructor(network: ServerNetworkConfig, duplicates: boolean) {
    const { pool, pool6, topology } = network;
    const isNet30 = topology === "net30";
    this.#step = isNet30 ? 4 : 1;
    this.#duplicates = duplicates;
    const first = pool === undefined ? 0 : isNet30 ? pool.first.w3 & ~3 : pool.first.w3;
    const last = pool === undefined ? -1 : isNet30 ? pool.last.w3 | 3 : pool.last.w3;
    this.#first = pool === undefined ? undefined : first;
    const size4 = pool === undefined ? MAX_POOL : Math.floor(((last >>> 0) - (first >>> 0) + 1) / this.#step);
    this.#first6 = pool6 === undefined ? undefined : firstOf6(pool6.address, pool6.prefix);
    const size6 = this.#first6 === undefined ? MAX_POOL : sizeOf6(this.#first6, pool6!.prefix);
    const isEmpty = pool === undefined && pool6 === undefined;
    this.size = isEmpty ? 0 : Math.max(0, Math.min(size4, size6, MAX_POOL));
    this.#names = new Array<string | undefined>(this.size).fill(undefined);
    this.#state = new Uint8Array(this.size);
    this.#releasedAt = new Float64Array(this.size);
    this.#owned = new Uint8Array(this.size);
    this.#keepBack(network);
  }

  get hasIpv4(): boolean {
    return this.#first !== undefined && this.size > 0;
  }

  get hasIpv6(): boolean {
    return this.#first6 !== undefined && this.size > 0;
  }

  /** Nobody gets these any more who does not have one now. */
  fix(addresses: Iterable<IpAddress>): void {
    for (const address of addresses) {
      const place = this.#placeOf(address);
      if (place !== undefined) this.#state[place] = this.#state[place]! | FIXED;
    }
  }

  /** @param name undefined: of somebody without one, or of whom several are in @returns undefined: the pool is used up */
  take(name: string | undefined): PoolPlace | undefined {
    const place = this.#find(name);
    return place === undefined ? undefined : this.#give(place, name);
  }

  /** A client that is in keeps what it has, in a pool that is new. @returns undefined: this pool does not have it, or not for it */
  hold(
    name: string | undefined,
    address: IpAddress | undefined,
    address6: IpAddress | undefined,
  ): PoolPlace | undefined {
    const place = this.#placeOf(address ?? address6);
    if (place === undefined || this.#state[place] !== FREE) return undefined;
    const found = this.at(place);
    const isSame = same(found.address, address) && (address6 === undefined || same(found.address6, address6));
    return isSame ? this.#give(place, name) : undefined;
  }

  release(unixSeconds: number, place: number): void {
    if ((this.#state[place]! & TAKEN) === 0) return;
    this.#state[place] = this.#state[place]! & ~TAKEN;
    if (!this.#duplicates) this.#releasedAt[place] = Math.max(1, unixSeconds);
    else this.#fresh = Math.min(this.#fresh, place);
  }

  /** The place of an address; undefined: it is not of the pool. */
  placeOf(address: IpAddress): PoolPlace | undefined {
    const place = this.#placeOf(address);
    return place === undefined ? undefined : this.at(place);
  }

  /** The addresses of a place. */
  at(place: number): PoolPlace {
    const base = this.#first === undefined ? undefined : this.#first + place * this.#step;
    const isNet30 = this.#step === 4;
    return {
      place,
      address: base === undefined ? undefined : IpAddress.fromIpv4(base + (isNet30 ? 2 : 0)),
      serverEnd: base === undefined || !isNet30 ? undefined : IpAddress.fromIpv4(base + 1),
      address6: this.#first6 === undefined ? undefined : plus(this.#first6, place),
    };
  }

  /** What names had last, or have, in the pool's order. */
  leases(): PoolLease[] {
    return this.#names.flatMap((name, place) => {
      if (name === undefined) return [];
      const { address, address6 } = this.at(place);
      const isTaken = (this.#state[place]! & TAKEN) !== 0;
      const fixed = this.#owned[place] === 1 ? { isFixed: true } : {};
      return [{ name, address, address6, releasedAt: isTaken ? undefined : this.#releasedAt[place]!, ...fixed }];
    });
  }

  /**
   * What names had before this server began; with duplicate-cn that means nothing. Of two leases of one place the later one counts, as in
   * OpenVPN.
   * @returns what was left out, and why
   */
  restore(unixSeconds: number, leases: readonly PoolLease[]): string[] {
    const problems: string[] = [];
    for (const { name, address, address6, releasedAt, isFixed } of this.#duplicates ? [] : leases) {
      const [place, place6] = [this.#placeOf(address), this.#placeOf(address6)];
      const found = place ?? place6;
      const words = [address, address6].filter((value) => value !== undefined).join(" and ");
      if (found === undefined) problems.push(`${words} of "${name}" is not of the pool: it gets another address`);
      else if (this.#state[found] !== FREE) problems.push(`${words} of "${name}" is not the pool's to give any more`);
      else {
        this.#rename(found, name);
        this.#releasedAt[found] = Math.max(1, Math.min(releasedAt ?? unixSeconds, unixSeconds));
        this.#owned[found] = isFixed === true ? 1 : 0;
      }
    }
    return problems;
  }

  #find(name: string | undefined): number | undefined {
    const own = name === undefined ? undefined : this.#byName.get(name)?.find((place) => this.#state[place] === FREE);
    return own ?? this.#unused() ?? this.#oldest();
  }

  /** The first place that nobody ever had; with duplicate-cn one that was given back is as good. */
  #unused(): number | undefined {
    while (this.#fresh < this.size) {
      const place = this.#fresh;
      if (this.#state[place] === FREE && this.#releasedAt[place] === 0) return place;
      this.#fresh++;
    }
    return undefined;
  }

  /** What was given back longest ago. */
  #oldest(): number | undefined {
    const [state, releasedAt, owned] = [this.#state, this.#releasedAt, this.#owned];
    let best: number | undefined;
    let earliest = Number.POSITIVE_INFINITY;
    for (let place = 0; place < this.size; place++) {
      if (state[place] !== FREE || owned[place] === 1 || releasedAt[place]! >= earliest) continue;
      best = place;
      earliest = releasedAt[place]!;
    }
    return best;
  }

  #give(place: number, name: string | undefined): PoolPlace {
    this.#state[place] = TAKEN;
    this.#rename(place, this.#duplicates ? undefined : name);
    this.#releasedAt[place] = 0;
    return this.at(place);
  }

  #rename(place: number, name: string | undefined): void {
    const before = this.#names[place];
    if (before === name) return;
    this.#names[place] = name;
    if (before !== undefined) {
      const left = this.#byName.get(before)?.filter((other) => other !== place) ?? [];
      if (left.length === 0) this.#byName.delete(before);
      else this.#byName.set(before, left);
    }
    if (name === undefined) return;
    const places = this.#byName.get(name) ?? [];
    this.#byName.set(
      name,
      [...places, place].sort((a, b) => a - b),
    );
  }

  #placeOf(address: IpAddress | undefined): number | undefined {
    if (address === undefined) return undefined;
    let place: number | undefined;
    if (address.isIpv4) {
      if (this.#first !== undefined) place = Math.floor(((address.w3 >>> 0) - (this.#first >>> 0)) / this.#step);
    } else if (this.#first6 !== undefined) {
      const { w0, w1, w2, w3 } = this.#first6;
      if (address.w0 === w0 && address.w1 === w1 && address.w2 === w2) place = (address.w3 >>> 0) - (w3 >>> 0);
    }
    return place !== undefined && place >= 0 && place < this.size ? place : undefined;
  }

  /** ifconfig-pool may be written with anything in it. */
  #keepBack({ topology, address, address6 }: ServerNetworkConfig): void {
    this.fix([address, address6].flatMap((own) => (own === undefined ? [] : [own.address])));
    if (topology !== "subnet" || address === undefined || address.prefix > 30) return;
    const { w3 } = address.network.address;
    this.fix([w3, w3 | ~prefixMask(address.prefix)].map(IpAddress.fromIpv4));
  }
}

const same = (a: IpAddress | undefined, b: IpAddress | undefined): boolean =>
  a === undefined || b === undefined ? a === b : a.equals(b);

/** The address `n` places on; the last word alone is counted in, as in OpenVPN. */
const plus = ({ w0, w1, w2, w3 }: IpAddress, n: number): IpAddress => new IpAddress(w0, w1, w2, w3 + n);

/** Host bits within the last word, which is all that a pool counts in. */
const hostOf6 = ({ w3 }: IpAddress, prefix: number): number =>
  prefix > 96 ? (w3 >>> 0) % 2 ** (128 - prefix) : w3 >>> 0;

/** The first address of a network is the anycast address of its routers (RFC 4291 2.6.1). */
const firstOf6 = (address: IpAddress, prefix: number): IpAddress =>
  hostOf6(address, prefix) === 0 ? plus(address, 1) : address;

const sizeOf6 = (first: IpAddress, prefix: number): number =>
  prefix >= 112 ? 2 ** (128 - prefix) - hostOf6(first, prefix) : Math.min(MAX_POOL, 2 ** 32 - (first.w3 >>> 0));
