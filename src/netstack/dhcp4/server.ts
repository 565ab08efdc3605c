/**
 * DHCP server (RFC 2131 4.3) for the hosts of one link, as a pure machine over two sockets: 67, and 68 while it looks for
 * another server (rival.ts). Which address a client gets is the pool's (pool.ts), what it is told reply.ts's.
 *
 *   looking --nobody--> serving;   looking --somebody--> off --a minute--> looking
 *
 * Before an address is offered, or confirmed to a client that reboots with one that we know nothing of, everybody is asked
 * for it (RFC 2131 4.4.1 wants an echo; a host that answers no echo answers ARP): {@link pollProbe} names whom to ask for, and
 * {@link heard} is told who has an address. So leases need no memory over a restart: whoever comes back with a free address of the pool
 * keeps it. Where they are kept all the same ({@link leased}, {@link restore}), nobody else is given them meanwhile.
 *
 * Differs from RFC 2131: it is the authority on its link, so that a request for an address which the client cannot have is
 * refused (DHCPNAK) also where nothing is known of the client (4.3.2 would be silent); every lease has the same length, whatever
 * is asked for; relayed messages are not served. A lease that no host was seen to use within a minute is taken back while the pool is
 * full, if nobody answers for it: so who makes up MACs cannot keep the addresses from others.
 */
import type { Cidr } from "../../lib/cidr.ts";
import { IpAddress } from "../../lib/ip.ts";
import type { Mac } from "../../lib/mac.ts";
import { type Random, randomBelow } from "../../lib/random.ts";
import { FairLimit } from "../../lib/rate-limit.ts";
import type { Datagram, UdpService } from "../service.ts";
import {
  BOOT_REQUEST,
  DHCP_ACK,
  DHCP_CLIENT_PORT,
  DHCP_DECLINE,
  DHCP_DISCOVER,
  DHCP_INFORM,
  DHCP_NAK,
  DHCP_OFFER,
  DHCP_RELEASE,
  DHCP_REQUEST,
  DHCP_SERVER_PORT,
  type DhcpMessage,
  dhcpAddresses,
  dhcpNumber,
  dhcpParse,
  OPTION_CLIENT_ID,
  OPTION_HOSTNAME,
  OPTION_MESSAGE_TYPE,
  OPTION_REQUESTED_ADDRESS,
  OPTION_SERVER_ID,
} from "../wire/dhcpv4.ts";
import { AddressChecks, type Check } from "./checks.ts";
import { hostNameOf } from "./host-name.ts";
import { type Binding, type Client, type KeptLease, type LeaseNames, LeasePool, type Reservation } from "./pool.ts";
import { type LanFacts, serverReply } from "./reply.ts";
import { RivalSearch } from "./rival.ts";
import { type DhcpServerDrop, DhcpServerDrops } from "./server-drops.ts";

export interface DhcpServerOptions {
  readonly mac: Mac;
  /** Our address, which the hosts use as their gateway, and its subnet. */
  readonly lan: Cidr;
  /** The router's own, which no client gets. */
  readonly hostname: string;
  /** int32, of the subnet, in order. */
  readonly first: number;
  readonly last: number;
  readonly leaseSeconds: number;
  readonly reservations: readonly Reservation[];
  /** What clients are told: asked for at each reply, since it changes with the tunnel. */
  readonly facts: () => LanFacts;
  readonly random: Random;
}

/**
 * serving: nobody else answers; off: that server does, so this one is silent; rival: it does, beside this one, which was there first.
 * conflict: that host has an address which was about to be given; declined: the client found that somebody has it; full: a
 * client found no address; unused: a lease was taken back that nobody answered for.
 */
export type DhcpServerEvent =
  | { readonly kind: "serving" | "full" }
  | { readonly kind: "off" | "rival"; readonly server: IpAddress }
  | { readonly kind: "leased" | "renewed" | "released" | "unused"; readonly lease: Binding }
  | { readonly kind: "conflict" | "declined"; readonly address: IpAddress; readonly mac: Mac };

/** Our choices. */
const LOOK_AGAIN_OFF_MS = 60_000;
const LOOK_AGAIN_MS = 600_000;
/** Addresses that turn out to be taken, one after the other, before the client has to ask again. */
const MAX_CONFLICTS = 4;
/** Unused leases that are asked for at a time. */
const RECLAIM = 8;
/** Messages a second, and at once: of clients with a lease, and of all others. One client gets a tenth of either. */
const KNOWN = { perSecond: 200, burst: 200 };
const UNKNOWN = { perSecond: 100, burst: 100 };
const SHARE = 0.1;
const MAX_CLIENT_ID = 255;

const NEVER = Number.POSITIVE_INFINITY;
const SERVER = 0;
const CLIENT = 1;
const SERVING: ReadonlyMap<number, number> = new Map([[SERVER, DHCP_SERVER_PORT]]);
const LOOKING: ReadonlyMap<number, number> = new Map([...SERVING, [CLIENT, DHCP_CLIENT_PORT]]);

export class DhcpServer implements UdpService {
  readonly drops = new DhcpServerDrops();
  readonly #options: DhcpServerOptions;
  readonly #pool: LeasePool;
  readonly #search: RivalSearch;
  readonly #known: FairLimit;
  readonly #unknown: FairLimit;
  #state: "looking" | "serving" | "off" = "looking";
  #lookAt = NEVER;
  readonly #checks = new AddressChecks();
  readonly #transmits: Datagram[] = [];
  readonly #events: DhcpServerEvent[] = [];

  constructor(options: DhcpServerOptions) {
    this.#options = options;
    const { first, last, reservations, random, lan } = options;
    const leaseMs = options.leaseSeconds * 1000;
    this.#pool = new LeasePool({ first, last, gateway: lan.address.w3, reservations, leaseMs });
    this.#search = new RivalSearch(options.mac, random);
    const seed = (): number => randomBelow(random, 2 ** 32) | 0;
    this.#known = new FairLimit(KNOWN.perSecond, KNOWN.burst, SHARE, seed());
    this.#unknown = new FairLimit(UNKNOWN.perSecond, UNKNOWN.burst, SHARE, seed());
  }

  get sockets(): ReadonlyMap<number, number> {
    return this.#search.isLooking ? LOOKING : SERVING;
  }

  get state(): "looking" | "serving" | "off" {
    return this.#state;
  }

  get names(): LeaseNames {
    return this.#pool;
  }

  /** Addresses that are leased, offered and set aside now. */
  get use(): { readonly leases: number; readonly offers: number; readonly setAside: number } {
    const { leases, offers, setAsides } = this.#pool;
    return { leases, offers, setAside: setAsides };
  }

  /** The leases, as they are to be kept over a restart. */
  get leased(): Iterable<Binding> {
    return this.#pool.leased;
  }

  /** Takes up those of before a restart; before start(). */
  restore(now: number, leases: readonly KeptLease[]): void {
    const own = this.#options.hostname.toLowerCase();
    this.#pool.restore(
      now,
      leases.map((lease) => (lease.name === own ? { ...lease, name: undefined } : lease)),
    );
  }

  /** The link is there, and nobody knows what is on it: looks for another server, and serves where there is none. Leases stay. */
  start(now: number): void {
    this.#state = "looking";
    this.#look(now);
  }

  handle(now: number, datagram: Datagram): DhcpServerDrop | undefined {
    const drop = datagram.socket === CLIENT ? this.#heardRival(now, datagram) : this.#receive(now, datagram);
    return drop && this.drops.count(drop);
  }

  /** A host says by ARP that it has the address. @returns whether there is something to do about it: poll is due */
  heard(now: number, address: number, macHi: number, macLo: number): boolean {
    this.#pool.heard(address, macHi, macLo);
    const check = this.#checks.get(address);
    if (check === undefined) return false;
    if (check.client.mac.hi === macHi && check.client.mac.lo === macLo) {
      // It has it already, which is no conflict; a lease that was asked for is in use.
      if (check.purpose === "reclaim") this.#checks.delete(address);
      return false;
    }
    // Many a client says first that it does not use an address any more, and takes it off its interface later, or never.
    if (this.#pool.isReleasedBy(address, macHi, macLo)) return false;
    this.#conflict(now, check, { hi: macHi, lo: macLo });
    return true;
  }

  handleTimeout(now: number): void {
    this.#pool.expire(now);
    if (now >= this.#lookAt) this.#look(now);
    this.#ask(now);
    if (this.#search.isInVain(now)) this.#foundNobody(now);
    for (const check of this.#checks.unanswered(now)) this.#conclude(now, check);
  }

  pollAt(): number {
    return Math.min(this.#search.pollAt(), this.#lookAt, this.#pool.pollAt(), this.#checks.pollAt());
  }

  pollTransmit(): Datagram | undefined {
    return this.#transmits.shift();
  }

  /** An address that everybody is to be asked for (int32). */
  pollProbe(): number | undefined {
    return this.#checks.pollProbe();
  }

  pollEvent(): DhcpServerEvent | undefined {
    return this.#events.shift();
  }

  #look(now: number): void {
    this.#lookAt = NEVER;
    this.#search.start(now);
    this.#ask(now);
  }

  #ask(now: number): void {
    const question = this.#search.ask(now, CLIENT);
    if (question !== undefined) this.#transmits.push(question);
  }

  #foundNobody(now: number): void {
    this.#lookAt = now + LOOK_AGAIN_MS;
    if (this.#state === "serving") return;
    this.#state = "serving";
    this.#events.push({ kind: "serving" });
  }

  #heardRival(now: number, datagram: Datagram): DhcpServerDrop | undefined {
    const server = this.#search.answer(datagram);
    if (server === "not-an-answer") return server;
    this.#search.stop();
    // Who was there first goes on: anybody could say that there is another one.
    const isServing = this.#state === "serving";
    this.#lookAt = now + (isServing ? LOOK_AGAIN_MS : LOOK_AGAIN_OFF_MS);
    if (!isServing) this.#state = "off";
    this.#events.push({ kind: isServing ? "rival" : "off", server });
    return undefined;
  }

  #receive(now: number, { peer, payload }: Datagram): DhcpServerDrop | undefined {
    if (this.#state !== "serving") return this.#state;
    const m = dhcpParse(payload);
    if (typeof m === "string") return m;
    if (m.op !== BOOT_REQUEST) return "not-a-request";
    if (m.giaddr !== 0) return "relayed";
    const { chaddr } = m;
    const own = this.#options.mac;
    const isOurs = chaddr.hi === own.hi && chaddr.lo === own.lo;
    if (isOurs || (chaddr.hi & 0x100) !== 0 || (chaddr.hi === 0 && chaddr.lo === 0)) return "bad-mac";
    const type = dhcpNumber(m, OPTION_MESSAGE_TYPE, 1);
    if (type === undefined) return "no-type";
    const identifier = m.options.get(OPTION_CLIENT_ID);
    if (identifier !== undefined && identifier.length > MAX_CLIENT_ID) return "bad-client-id";
    // RFC 2132 9.14: at least a type and a byte.
    const client = this.#pool.identify(
      chaddr,
      identifier !== undefined && identifier.length >= 2 ? identifier : undefined,
    );
    this.#pool.expire(now);
    const limit = this.#pool.find(client)?.isLease === true ? this.#known : this.#unknown;
    if (!limit.take(now, chaddr.lo)) return "limit";
    switch (type) {
      case DHCP_DISCOVER:
        return this.#discover(now, client, m);
      case DHCP_REQUEST:
        return this.#request(now, client, m);
      case DHCP_RELEASE:
        return this.#release(client, m, peer.address.w3);
      case DHCP_DECLINE:
        return this.#decline(now, client, m);
      case DHCP_INFORM:
        return this.#inform(m);
      default:
        return type === DHCP_OFFER || type === DHCP_ACK || type === DHCP_NAK ? "not-a-request" : "unknown-type";
    }
  }

  /** RFC 2131 4.3.1. */
  #discover(now: number, client: Client, m: DhcpMessage): DhcpServerDrop | undefined {
    const bound = this.#pool.find(client);
    if (bound !== undefined) {
      const check = this.#checks.get(bound.address);
      if (check === undefined || check.purpose === "reclaim") {
        this.#checks.delete(bound.address);
        return this.#offer(now, client, bound.address, m);
      }
      check.purpose = "offer";
      check.message = m;
      return undefined;
    }
    if (this.#checks.isFull) return "busy";
    return this.#findAddress(now, client, m, 0);
  }

  #findAddress(now: number, client: Client, m: DhcpMessage, conflicts: number): DhcpServerDrop | undefined {
    const address = this.#pool.choose(now, client, requestedAddress(m));
    if (address === 0) {
      for (const lease of this.#pool.unused(now, RECLAIM))
        if (!this.#checks.has(lease.address))
          this.#checks.begin(now, "reclaim", lease.client, lease.address, undefined);
      this.#events.push({ kind: "full" });
      return "pool-full";
    }
    this.#pool.offer(now, client, address);
    this.#checks.begin(now, "offer", client, address, m, conflicts);
    return undefined;
  }

  /** RFC 2131 4.3.2: a client that chose an offer, or wants to keep what it has. */
  #request(now: number, client: Client, m: DhcpMessage): DhcpServerDrop | undefined {
    const isSelecting = m.options.has(OPTION_SERVER_ID);
    const bound = this.#pool.find(client);
    if (isSelecting && !this.#isForUs(m)) {
      if (bound?.isLease === false) this.#withdraw(bound);
      return "other-server";
    }
    const isRebooting = !isSelecting && m.ciaddr === 0;
    // Some clients name the server also when they renew.
    const address = isRebooting || isSelecting ? requestedAddress(m) || m.ciaddr : m.ciaddr;
    if (address === 0) return "no-address";
    if (!this.#options.lan.contains(IpAddress.fromIpv4(address)))
      return this.#refuse(m, "not an address of this network");
    if (!this.#pool.mayHave(client, address)) return this.#refuse(m, "not an address for this client");
    if (!isRebooting || bound?.isLease === true) return this.#acknowledge(now, client, address, m);
    // Nothing is known of it: another host may have the address.
    const check = this.#checks.get(address);
    if (check !== undefined) {
      check.purpose = "adopt";
      check.message = m;
      return undefined;
    }
    if (this.#checks.isFull) return "busy";
    this.#pool.offer(now, client, address);
    this.#checks.begin(now, "adopt", client, address, m);
    return undefined;
  }

  /** RFC 2131 4.3.4. Only from the address itself: it is the one message whose forging costs somebody something. */
  #release(client: Client, m: DhcpMessage, source: number): DhcpServerDrop | undefined {
    const bound = this.#pool.find(client);
    if (!this.#isForUs(m)) return "other-server";
    if (bound?.isLease !== true || bound.address !== m.ciaddr || source !== m.ciaddr) return "not-its";
    this.#withdraw(bound, true);
    this.#events.push({ kind: "released", lease: bound });
    return undefined;
  }

  /** RFC 2131 4.3.3: the client found that somebody has the address. */
  #decline(now: number, client: Client, m: DhcpMessage): DhcpServerDrop | undefined {
    const bound = this.#pool.find(client);
    if (!this.#isForUs(m)) return "other-server";
    if (bound === undefined || bound.address !== requestedAddress(m)) return "not-its";
    this.#checks.delete(bound.address);
    this.#pool.setAside(now, bound.address);
    this.#events.push({ kind: "declined", address: IpAddress.fromIpv4(bound.address), mac: client.mac });
    return undefined;
  }

  /** RFC 2131 4.3.5: a host that has its address from elsewhere wants to know the rest. */
  #inform(m: DhcpMessage): DhcpServerDrop | undefined {
    const { lan } = this.#options;
    const address = IpAddress.fromIpv4(m.ciaddr);
    if (!lan.contains(address) || lan.isNetworkOrBroadcast(address) || lan.address.equals(address))
      return "foreign-address";
    this.#reply(m, DHCP_ACK);
    return undefined;
  }

  #offer(now: number, client: Client, address: number, m: DhcpMessage): undefined {
    this.#pool.offer(now, client, address);
    const name = this.#pool.find(client)?.name;
    this.#reply(m, DHCP_OFFER, { address, seconds: this.#options.leaseSeconds, name });
  }

  #acknowledge(now: number, client: Client, address: number, m: DhcpMessage): undefined {
    const isKnown = this.#pool.find(client)?.isLease === true;
    this.#checks.delete(address);
    const name = hostNameOf(m.options.get(OPTION_HOSTNAME), this.#options.hostname.toLowerCase());
    const lease = this.#pool.lease(now, client, address, name);
    this.#reply(m, DHCP_ACK, { address, seconds: this.#options.leaseSeconds, name: lease.name });
    this.#events.push({ kind: isKnown ? "renewed" : "leased", lease });
  }

  #refuse(m: DhcpMessage, text: string): undefined {
    this.#reply(m, DHCP_NAK, undefined, text);
  }

  #reply(m: DhcpMessage, type: number, grant?: Parameters<typeof serverReply>[5], text?: string): void {
    const { lan, facts } = this.#options;
    this.#transmits.push(serverReply(SERVER, lan, facts(), m, type, grant, text));
  }

  #withdraw(bound: Binding, isReleased = false): void {
    this.#checks.delete(bound.address);
    this.#pool.end(bound, isReleased);
  }

  #isForUs(m: DhcpMessage): boolean {
    return dhcpAddresses(m, OPTION_SERVER_ID)?.[0] === this.#options.lan.address.w3;
  }

  /** Nobody has the address. */
  #conclude(now: number, { purpose, client, address, message }: Check): void {
    this.#checks.delete(address);
    const bound = this.#pool.find(client);
    if (bound?.address !== address) return;
    if (purpose === "reclaim") {
      this.#pool.end(bound);
      this.#events.push({ kind: "unused", lease: bound });
    } else if (message !== undefined) {
      if (purpose === "offer") this.#offer(now, client, address, message);
      else this.#acknowledge(now, client, address, message);
    }
  }

  #conflict(now: number, check: Check, mac: Mac): void {
    const { purpose, client, address, message, conflicts } = check;
    this.#checks.delete(address);
    this.#pool.setAside(now, address);
    this.#events.push({ kind: "conflict", address: IpAddress.fromIpv4(address), mac });
    if (message === undefined) return;
    if (purpose === "adopt") this.#refuse(message, "another host has this address");
    else if (conflicts < MAX_CONFLICTS) {
      const drop = this.#findAddress(now, client, message, conflicts + 1);
      if (drop !== undefined) this.drops.count(drop);
    }
  }
}

const requestedAddress = (m: DhcpMessage): number => dhcpAddresses(m, OPTION_REQUESTED_ADDRESS)?.[0] ?? 0;
