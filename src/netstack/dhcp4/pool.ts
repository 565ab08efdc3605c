/**
 * The addresses that a DHCP server gives (RFC 2131 3.1, 4.3): which client has which, until when, and which comes next.
 *
 *   free --offer--> offered --lease--> leased --its end, release--> free
 *    ^                 |                 |
 *    +--- 10 min --- set aside <--- another host answers for it, or it was declined
 *
 * A lease in use is never taken back before its end. When nothing is free, those give way who are likely to be made up: the
 * oldest offer (whoever means it asks for it within two seconds), then a conflict of the past. A lease that no host was
 * ever seen to use is named by {@link LeasePool.unused}, so that the server can ask whether there is anybody.
 *
 * Every lease lasts as long as every other, so the order in which they were given is the order in which they end: what is due
 * is first in its map. All maps together hold no more entries than there are addresses.
 *
 * An address that was never given is chosen by a hash of the client's MAC, so that after a restart where nothing was kept each client is
 * first thought of for the address that it has had.
 */
import { mix } from "../../lib/hash.ts";
import { IpAddress } from "../../lib/ip.ts";
import { formatMac, type Mac } from "../../lib/mac.ts";

/** Names of the hosts that have a lease, in lower case, without a domain. */
export interface LeaseNames {
  /** None or one. */
  addressesOf(name: string): readonly IpAddress[];
  nameOf(address: IpAddress): string | undefined;
}

export interface Reservation {
  readonly mac: Mac;
  /** int32 */
  readonly address: number;
}

export interface PoolOptions {
  /** Both of the LAN (int32), `last` not before `first`. */
  readonly first: number;
  readonly last: number;
  /** Never given. */
  readonly gateway: number;
  /** For one client each, in the pool or outside of it. */
  readonly reservations: readonly Reservation[];
  readonly leaseMs: number;
}

/** Who a lease belongs to. */
export interface Client {
  /** Its client identifier, or what stands for one (RFC 2131 4.2, RFC 4361 6.3). */
  readonly id: string;
  readonly mac: Mac;
}

/** An address that is offered or leased. */
export interface Binding {
  readonly client: Client;
  /** int32 */
  readonly address: number;
  readonly isLease: boolean;
  /** When it was offered, or first leased. */
  readonly since: number;
  readonly until: number;
  /** A host with the client's MAC was seen to have the address. */
  readonly isUsed: boolean;
  readonly name: string | undefined;
}

/** A lease that outlived a restart. */
export interface KeptLease {
  readonly client: Client;
  /** int32 */
  readonly address: number;
  /** Until its end; 0 or less: that is over. */
  readonly leftMs: number;
  readonly name: string | undefined;
}

/** Our choices. Clients ask for what they are offered within a second. */
export const OFFER_MS = 10_000;
/** From then on an offer gives way when there is nothing else. */
const OFFER_HOLD_MS = 2000;
export const ASIDE_MS = 600_000;
/** A host that means its lease asks the gateway for something before that. */
const UNUSED_MS = 60_000;

/** One client of a MAC without an identifier is the same as one with the identifier that is made of it (RFC 2132 9.14). */
const HARDWARE_ETHERNET = "\u0001";

type Leased = Binding & { isUsed: boolean };

/** Who had an address last. */
interface Former {
  readonly client: Client;
  /** The client has said itself that it does not use it any more. */
  readonly isReleased: boolean;
}

export class LeasePool implements LeaseNames {
  readonly #first: number;
  readonly #size: number;
  readonly #leaseMs: number;
  readonly #reservedFor = new Map<string, number>();
  /** Reserved addresses, and our own. */
  readonly #kept = new Set<number>();
  readonly #clients = new Map<string, Binding>();
  /** By address, what ends first in front. */
  readonly #offers = new Map<number, Binding>();
  readonly #leases = new Map<number, Leased>();
  /** Until when. */
  readonly #aside = new Map<number, number>();
  /** By place in the pool: 1 while it was never leased. */
  readonly #fresh: Uint8Array;
  /** Addresses that were leased before; those that were unused the longest in front. */
  readonly #past = new Map<number, Former>();
  readonly #pastOf = new Map<string, number>();
  readonly #names = new Map<string, number>();

  constructor({ first, last, gateway, reservations, leaseMs }: PoolOptions) {
    this.#first = first;
    this.#size = ((last - first) >>> 0) + 1;
    this.#leaseMs = leaseMs;
    this.#kept.add(gateway);
    for (const { mac, address } of reservations) {
      this.#reservedFor.set(formatMac(mac), address);
      this.#kept.add(address);
    }
    this.#fresh = new Uint8Array(this.#size).fill(1);
  }

  /** Addresses that are leased now. */
  get leases(): number {
    return this.#leases.size;
  }

  /** Addresses that are offered now. */
  get offers(): number {
    return this.#offers.size;
  }

  /** Addresses that are set aside. */
  get setAsides(): number {
    return this.#aside.size;
  }

  /** @param identifier of the client's message (option 61), undefined where it gave none */
  identify(mac: Mac, identifier: Uint8Array | undefined): Client {
    const octets = [
      mac.hi >>> 8,
      mac.hi & 255,
      mac.lo >>> 24,
      (mac.lo >>> 16) & 255,
      (mac.lo >>> 8) & 255,
      mac.lo & 255,
    ];
    // Whoever boots on that machine, the reservation is its.
    const isMac = identifier === undefined || this.#reservedFor.has(formatMac(mac));
    return { id: isMac ? HARDWARE_ETHERNET + String.fromCharCode(...octets) : String.fromCharCode(...identifier), mac };
  }

  /** The leases, what ends first in front. */
  get leased(): Iterable<Binding> {
    return this.#leases.values();
  }

  /** Takes up leases of before a restart, as far as they can be given now; those that are over are remembered. To an empty pool. */
  restore(now: number, leases: readonly KeptLease[]): void {
    for (const { client, address, leftMs, name } of leases.toSorted((a, b) => a.leftMs - b.leftMs)) {
      if (!this.mayHave(client, address)) continue;
      const lease = this.#lease(now, client, address, name, now + Math.min(leftMs, this.#leaseMs));
      if (leftMs <= 0) this.end(lease);
    }
  }

  /** What the client is offered or has leased. */
  find(client: Client): Binding | undefined {
    return this.#clients.get(client.id);
  }

  addressesOf(name: string): readonly IpAddress[] {
    const address = this.#names.get(name);
    return address === undefined ? [] : [IpAddress.fromIpv4(address)];
  }

  nameOf(address: IpAddress): string | undefined {
    return address.isIpv4 ? this.#leases.get(address.w3)?.name : undefined;
  }

  /** When {@link expire} is due. */
  pollAt(): number {
    return Math.min(firstUntil(this.#offers), firstUntil(this.#leases), firstOf(this.#aside.values()) ?? NEVER);
  }

  /** Ends what has run out; to be called before anything is decided. */
  expire(now: number): void {
    for (const bindings of [this.#offers, this.#leases])
      while (firstUntil(bindings) <= now) this.end(firstOf(bindings.values()) as Binding);
    for (const [address, until] of this.#aside) {
      if (until > now) break;
      this.#aside.delete(address);
    }
  }

  /**
   * The address for a client: the one that it has, its reservation, what it had before, what it wishes, then one that nobody
   * had, then the one that was unused the longest. When there is none, what gives way is free afterwards.
   * @param wish 0: none @returns 0: there is none
   */
  choose(now: number, client: Client, wish: number): number {
    const own = this.#clients.get(client.id)?.address ?? this.#reservation(client);
    if (own !== undefined) return own;
    for (const address of [this.#pastOf.get(client.id) ?? 0, wish]) if (this.#isOpen(address)) return address;
    return this.#fromFresh(client) || this.#fromPast() || this.#fromOffers(now) || this.#fromAside();
  }

  /** Whether the client may have the address now: it has it, or nobody has it and it could be given to it. */
  mayHave(client: Client, address: number): boolean {
    const own = this.#clients.get(client.id);
    if (own?.isLease) return own.address === address;
    if (own?.address === address) return true;
    const reserved = this.#reservation(client);
    return reserved === undefined ? this.#isOpen(address) : reserved === address;
  }

  /** Keeps an address that {@link mayHave} or {@link choose} gave for the client, instead of what else it was offered. */
  offer(now: number, client: Client, address: number): void {
    const before = this.#clients.get(client.id);
    if (before?.isLease) return;
    if (before !== undefined) this.end(before);
    const binding = {
      client,
      address,
      isLease: false,
      since: now,
      until: now + OFFER_MS,
      isUsed: false,
      name: undefined,
    };
    this.#offers.set(address, binding);
    this.#clients.set(client.id, binding);
  }

  /**
   * Leases, or prolongs, an address that {@link mayHave} or {@link choose} gave.
   * @param name what the client calls itself; it is not registered while another has it
   */
  lease(now: number, client: Client, address: number, name: string | undefined): Binding {
    return this.#lease(now, client, address, name, now + this.#leaseMs);
  }

  #lease(now: number, client: Client, address: number, name: string | undefined, until: number): Binding {
    const before = this.#clients.get(client.id);
    const isSame = before?.isLease === true && before.address === address;
    if (before !== undefined) this.end(before);
    this.#fresh[this.#place(address)] = 0;
    this.#forgetPast(address);
    const owner = name === undefined ? undefined : this.#names.get(name);
    const binding = {
      client,
      address,
      isLease: true,
      since: isSame ? before.since : now,
      until,
      isUsed: isSame && before.isUsed,
      name: owner === undefined ? name : undefined,
    };
    this.#leases.set(address, binding);
    this.#clients.set(client.id, binding);
    if (binding.name !== undefined) this.#names.set(binding.name, address);
    return binding;
  }

  /**
   * The client does not want it any more, or its time is over.
   * @param isReleased the client has said so
   */
  end({ client, address, isLease, name }: Binding, isReleased = false): void {
    this.#clients.delete(client.id);
    if (!isLease) {
      this.#offers.delete(address);
      return;
    }
    this.#leases.delete(address);
    if (name !== undefined) this.#names.delete(name);
    if (this.#place(address) >= this.#size || this.#kept.has(address)) return;
    this.#past.set(address, { client, isReleased });
    this.#pastOf.set(client.id, address);
  }

  /** Another host has the address: nobody is given it for a while. */
  setAside(now: number, address: number): void {
    const binding = this.#offers.get(address) ?? this.#leases.get(address);
    if (binding !== undefined) this.end(binding);
    this.#aside.delete(address);
    this.#aside.set(address, now + ASIDE_MS);
  }

  /** The host with that MAC was seen to have the address. */
  heard(address: number, macHi: number, macLo: number): void {
    const lease = this.#leases.get(address);
    if (lease?.client.mac.lo === macLo && lease.client.mac.hi === macHi) lease.isUsed = true;
  }

  /** Whether the host with that MAC is the one that released the free address. */
  isReleasedBy(address: number, macHi: number, macLo: number): boolean {
    const former = this.#past.get(address);
    return former?.isReleased === true && former.client.mac.hi === macHi && former.client.mac.lo === macLo;
  }

  /** Up to `count` leases of the pool that nobody was seen to use, the oldest first. */
  unused(now: number, count: number): Binding[] {
    const found: Binding[] = [];
    for (const lease of this.#leases.values()) {
      if (found.length === count) break;
      if (!lease.isUsed && lease.since + UNUSED_MS <= now && !this.#kept.has(lease.address)) found.push(lease);
    }
    return found;
  }

  /** What is kept for the client, where it can be given. */
  #reservation(client: Client): number | undefined {
    const address = this.#reservedFor.get(formatMac(client.mac));
    return address !== undefined && this.#isFree(address) ? address : undefined;
  }

  #place(address: number): number {
    return (address - this.#first) >>> 0;
  }

  #isFree(address: number): boolean {
    return !this.#offers.has(address) && !this.#leases.has(address) && !this.#aside.has(address);
  }

  /** Whether any client may have it. */
  #isOpen(address: number): boolean {
    return this.#place(address) < this.#size && !this.#kept.has(address) && this.#isFree(address);
  }

  #fromFresh(client: Client): number {
    const start = (mix(mix(0, client.mac.hi), client.mac.lo) >>> 0) % this.#size;
    for (let i = 0; i < this.#size; i++) {
      const place = (start + i) % this.#size;
      const address = (this.#first + place) | 0;
      if (this.#fresh[place] === 1 && this.#isOpen(address)) return address;
    }
    return 0;
  }

  #fromPast(): number {
    for (const address of this.#past.keys()) if (this.#isOpen(address)) return address;
    return 0;
  }

  #fromOffers(now: number): number {
    for (const offer of this.#offers.values()) {
      if (offer.since + OFFER_HOLD_MS > now) return 0;
      if (this.#kept.has(offer.address)) continue;
      this.end(offer);
      return offer.address;
    }
    return 0;
  }

  #fromAside(): number {
    for (const address of this.#aside.keys()) {
      if (this.#kept.has(address) || this.#place(address) >= this.#size) continue;
      this.#aside.delete(address);
      return address;
    }
    return 0;
  }

  #forgetPast(address: number): void {
    const former = this.#past.get(address);
    if (former === undefined) return;
    this.#past.delete(address);
    if (this.#pastOf.get(former.client.id) === address) this.#pastOf.delete(former.client.id);
  }
}

const NEVER = Number.POSITIVE_INFINITY;

const firstOf = <T>(values: IterableIterator<T>): T | undefined => values.next().value;

const firstUntil = (bindings: ReadonlyMap<number, Binding>): number => firstOf(bindings.values())?.until ?? NEVER;
