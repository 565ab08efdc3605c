/**
 * DHCP client (RFC 2131 4.4, figure 5) as a pure machine.
 *
 *   stopped --start--> selecting --offer--> requesting --ack--> bound --T1--> renewing --T2--> rebinding --end--> selecting
 *   stopped --start, lease still valid--> rebooting --ack--> bound;   nak anywhere --> selecting
 *
 * Commands: start() when the link is up, stop(), release(), decline(). It speaks through one socket on port 68 with port 67
 * (service.ts says how it is driven). The state is where all that follows from the time is kept, so that any jump of `now`
 * (a machine that slept) is only a long wait: a lease that ended meanwhile is lost at the next handleTimeout.
 *
 * Differs from RFC 2131: without a lease it asks at least every 16 s, not every 64 (4.1), since a router has nothing else to
 * do; it does not wait 1 to 10 s before its first message (4.4.1), as hardly any client does; and what a server did not
 * confirm after a flap of the link is not used on (3.2 leaves that open).
 */
import type { Cidr } from "../../lib/cidr.ts";
import { IpAddress } from "../../lib/ip.ts";
import type { Mac } from "../../lib/mac.ts";
import { type Random, randomBelow } from "../../lib/random.ts";
import type { Datagram, UdpService } from "../service.ts";
import {
  BOOT_REPLY,
  DHCP_ACK,
  DHCP_CLIENT_PORT,
  DHCP_DECLINE,
  DHCP_DISCOVER,
  DHCP_NAK,
  DHCP_OFFER,
  DHCP_RELEASE,
  DHCP_REQUEST,
  DHCP_SERVER_PORT,
  type DhcpMessage,
  dhcpAddresses,
  dhcpInt32,
  dhcpNumber,
  dhcpParse,
  OPTION_MESSAGE_TYPE,
  OPTION_REQUESTED_ADDRESS,
  OPTION_SERVER_ID,
} from "../wire/dhcpv4.ts";
import { DhcpClientDrops, type DhcpDrop } from "./client-drops.ts";
import { type Asking, type DhcpState, dueAt, Exchange, isAnswerOf, type Search, type State } from "./client-state.ts";
import { type Lease, type LeaseRefusal, leaseDiffers, leaseFrom } from "./lease.ts";
import { clientMessage } from "./message.ts";

export type { DhcpState } from "./client-state.ts";
export type { Lease } from "./lease.ts";

/** Why a server that answers has given no lease: what it offers is refused, it refuses that itself, or it falls silent. */
export type DhcpTrouble = LeaseRefusal | "refuses" | "silent";

/**
 * bound: there is a lease (the first, or again after start); renewed: prolonged, nothing else new; changed: prolonged
 * with another route, resolver or MTU; expired, nak: the lease given here must not be used any more.
 */
export type DhcpEvent = { readonly kind: "bound" | "renewed" | "changed" | "expired" | "nak"; readonly lease: Lease };

export interface DhcpOptions {
  readonly mac: Mac;
  readonly hostname?: string | undefined;
  /** Our address and network on the other side, of which no lease can be. */
  readonly lan?: Cidr | undefined;
  readonly random: Random;
}

// RFC 2131 4.1: 4 s, doubled, each plus or minus up to 1 s. The longest is our choice (above).
const RETRY_FIRST = 4000;
const RETRY_MAX = 16_000;
const JITTER = 1000;
// Our choices. The first repetition comes early, because a port of a switch often starts to forward a second late.
const RETRY_QUICK = 1500;
/** A server that offers and then says nothing is asked for 13.5 s, then there is a new search. */
const REQUEST_ATTEMPTS = 3;
const REBOOT_ATTEMPTS = 2;
/** RFC 2131 4.4.5 wants at least 60 s between renewals; a lease of a few minutes gets a quarter of T2 - T1 instead. */
const RENEW_MIN = 60_000;
/** RFC 2131 3.1.5: at least 10 s after a DECLINE. */
const DECLINE_WAIT = 10_000;
const NAK_WAIT_MAX = 16_000;
const BROADCAST = -1;
const SOCKET = 0;
const SOCKETS: ReadonlyMap<number, number> = new Map([[SOCKET, DHCP_CLIENT_PORT]]);

export class DhcpClient implements UdpService {
  readonly sockets = SOCKETS;
  readonly drops = new DhcpClientDrops();
  readonly #mac: Mac;
  readonly #hostname: string | undefined;
  readonly #lan: Cidr | undefined;
  readonly #random: Random;
  #trouble: DhcpTrouble | undefined;
  #state: State = { kind: "stopped", lease: undefined, wish: 0 };
  readonly #transmits: Datagram[] = [];
  readonly #events: DhcpEvent[] = [];

  constructor(options: DhcpOptions) {
    this.#mac = options.mac;
    this.#random = options.random;
    this.#hostname = options.hostname;
    this.#lan = options.lan;
  }

  get state(): DhcpState {
    return this.#state.kind;
  }

  /** The lease in force; while stopped the one that start() will ask to keep. */
  get lease(): Lease | undefined {
    return "lease" in this.#state ? this.#state.lease : undefined;
  }

  /** What came of the last answer since start(); undefined: there was none, or it was good. */
  get trouble(): DhcpTrouble | undefined {
    return this.#trouble;
  }

  /** The link is up: asks to keep the lease that there was (INIT-REBOOT), or for a new one. */
  start(now: number): void {
    if (this.#state.kind !== "stopped") this.stop();
    this.#trouble = undefined;
    const { lease, wish } = this.#state as State & { readonly kind: "stopped" };
    if (lease !== undefined && lease.expires > now) this.#ask(now, "rebooting", lease);
    else this.#discover(now, { wish, naks: 0 });
  }

  /** The link is down or the interface is going away: silent from now on; a lease is remembered for the next start. */
  stop(): void {
    const { lease } = this;
    this.#transmits.length = 0;
    this.#state = { kind: "stopped", lease, wish: lease?.address ?? this.#wish };
  }

  /** Gives the lease back and stops. One message is left for pollTransmit. */
  release(): void {
    const state = this.#state;
    this.stop();
    if (state.kind !== "bound" && state.kind !== "renewing" && state.kind !== "rebinding") return;
    const { address, serverId } = state.lease;
    this.#state = { kind: "stopped", lease: undefined, wish: address };
    const { xid } = new Exchange(0, this.#random);
    this.#push({ type: DHCP_RELEASE, xid, ciaddr: address, dst: serverId }, [[OPTION_SERVER_ID, dhcpInt32(serverId)]]);
  }

  /** The address just obtained is in use by another host (ARP): refuses it and starts again after 10 s. */
  decline(now: number): void {
    const { lease } = this;
    if (lease === undefined || this.#state.kind === "stopped") return;
    this.#transmits.length = 0;
    const exchange = new Exchange(now, this.#random);
    exchange.retryAt = now + DECLINE_WAIT;
    this.#state = { kind: "selecting", search: { wish: 0, naks: 0 }, exchange };
    this.#push({ type: DHCP_DECLINE, xid: exchange.xid }, [
      [OPTION_REQUESTED_ADDRESS, dhcpInt32(lease.address)],
      [OPTION_SERVER_ID, dhcpInt32(lease.serverId)],
    ]);
  }

  /** A message to port 68. Who its sender is says nothing (relays); the server identifier counts. */
  handle(now: number, datagram: Datagram): DhcpDrop | undefined {
    const drop = this.#handle(now, datagram);
    if (drop !== undefined) this.drops.count(drop);
    return drop;
  }

  #handle(now: number, { peer, payload }: Datagram): DhcpDrop | undefined {
    const state = this.#state;
    if (!("exchange" in state)) return "unexpected";
    if (peer.port !== DHCP_SERVER_PORT) return "wrong-port";
    const m = dhcpParse(payload);
    if (typeof m === "string") return m;
    if (m.op !== BOOT_REPLY) return "not-a-reply";
    if (m.xid !== state.exchange.xid) return "wrong-xid";
    if (m.chaddr.hi !== this.#mac.hi || m.chaddr.lo !== this.#mac.lo) return "wrong-client";
    const type = dhcpNumber(m, OPTION_MESSAGE_TYPE, 1);
    if (type === undefined) return "no-type";
    if (state.kind === "selecting") {
      if (type === DHCP_OFFER) return this.#take(now, state, m);
      if (type === DHCP_NAK) this.#trouble = "refuses";
      return "unexpected";
    }
    if (type === DHCP_ACK) return this.#acknowledged(state, m);
    if (type === DHCP_NAK) return this.#refused(now, state, m);
    return "unexpected";
  }

  handleTimeout(now: number): void {
    const state = this.#state;
    if ("lease" in state && state.kind !== "stopped" && now >= (state.lease as Lease).expires)
      return this.#lose(now, "expired", state.lease as Lease);
    switch (state.kind) {
      case "stopped":
        return;
      case "bound":
        if (now >= state.lease.t2) this.#ask(now, "rebinding", state.lease);
        else if (now >= state.lease.t1) this.#ask(now, "renewing", state.lease);
        return;
      case "renewing":
        if (now >= state.lease.t2) this.#ask(now, "rebinding", state.lease);
        else if (now >= state.exchange.retryAt) this.#send(now);
        return;
      case "selecting":
      case "rebinding":
        if (now >= state.exchange.retryAt) this.#send(now);
        return;
      case "requesting":
        if (now < state.exchange.retryAt) return;
        if (state.exchange.attempt < REQUEST_ATTEMPTS) this.#send(now);
        else this.#discover(now, state.search);
        return;
      case "rebooting":
        if (now < state.exchange.retryAt) return;
        if (state.exchange.attempt < REBOOT_ATTEMPTS) this.#send(now);
        // It belongs to another network as likely as not; the search asks for it all the same.
        else this.#lose(now, "expired", state.lease);
        return;
    }
    state satisfies never;
  }

  /** When handleTimeout is due next; Infinity when stopped or bound without end. */
  pollAt(): number {
    return dueAt(this.#state);
  }

  pollTransmit(): Datagram | undefined {
    return this.#transmits.shift();
  }

  /** What happened to the lease, in order. May return more after handle and handleTimeout. */
  pollEvent(): DhcpEvent | undefined {
    return this.#events.shift();
  }

  get #wish(): number {
    const state = this.#state;
    return "search" in state ? state.search.wish : state.kind === "stopped" ? state.wish : 0;
  }

  /** An offer: the first that is good is taken. */
  #take(now: number, state: State & { readonly kind: "selecting" }, m: DhcpMessage): DhcpDrop | undefined {
    const offered = leaseFrom(m, now, 0, this.#lan);
    this.#trouble = typeof offered === "string" ? offered : "silent";
    if (typeof offered === "string") return offered;
    const { search, exchange } = state;
    exchange.attempt = 0;
    const offer = { address: offered.address, serverId: offered.serverId };
    this.#state = { kind: "requesting", search, exchange, offer };
    this.#send(now);
    return undefined;
  }

  #acknowledged(state: Asking, m: DhcpMessage): DhcpDrop | undefined {
    const lease = leaseFrom(m, state.exchange.requestedAt, randomBelow(this.#random, 1000) / 1000, this.#lan);
    if (typeof lease === "string") return lease;
    if (!isAnswerOf(state, lease.serverId)) return "wrong-server";
    // A server prolongs the lease that it is asked for or refuses that (RFC 2131 4.4.5); it gives no other one.
    if (state.kind !== "requesting" && lease.address !== state.lease.address) return "other-address";
    this.#trouble = undefined;
    this.#state = { kind: "bound", lease };
    const isNew = state.kind === "requesting";
    const kind = isNew ? "bound" : leaseDiffers(state.lease, lease) ? "changed" : KINDS[state.kind];
    this.#events.push({ kind, lease });
    return undefined;
  }

  #refused(now: number, state: Asking, m: DhcpMessage): DhcpDrop | undefined {
    const serverId = dhcpAddresses(m, OPTION_SERVER_ID)?.[0];
    if (serverId === undefined) return "no-server-id";
    if (!isAnswerOf(state, serverId)) return "wrong-server";
    if (state.kind !== "requesting") {
      this.#events.push({ kind: "nak", lease: state.lease });
      this.#discover(now, { wish: 0, naks: 1 });
      return undefined;
    }
    // A server that refuses what it offered would keep both of us busy without pause.
    this.#trouble = "refuses";
    const { naks } = state.search;
    this.#discover(now, { wish: 0, naks: naks + 1 }, Math.min((2 ** naks - 1) * 1000, NAK_WAIT_MAX));
    return undefined;
  }

  #lose(now: number, kind: "expired", lease: Lease): void {
    this.#events.push({ kind, lease });
    this.#discover(now, { wish: lease.address, naks: 0 });
  }

  /** Begins a search, after `wait` ms. */
  #discover(now: number, search: Search, wait = 0): void {
    const exchange = new Exchange(now, this.#random);
    this.#transmits.length = 0;
    this.#state = { kind: "selecting", search, exchange };
    if (wait > 0) exchange.retryAt = now + wait;
    else this.#send(now);
  }

  /** Asks to keep, or to prolong, a lease. */
  #ask(now: number, kind: "rebooting" | "renewing" | "rebinding", lease: Lease): void {
    this.#transmits.length = 0;
    this.#state = { kind, lease, exchange: new Exchange(now, this.#random) };
    this.#send(now);
  }

  /** Sends the message of the current state and sets when it is repeated. */
  #send(now: number): void {
    const state = this.#state;
    if (!("exchange" in state)) return;
    const { exchange } = state;
    const { xid } = exchange;
    if (state.kind !== "requesting") exchange.secs = Math.min(65535, Math.floor((now - exchange.startedAt) / 1000));
    if (exchange.attempt === 0) exchange.requestedAt = now; // the earliest that an ACK can answer: errs to the safe side
    switch (state.kind) {
      case "selecting": {
        const { wish } = state.search;
        this.#push({ type: DHCP_DISCOVER, xid }, wish === 0 ? [] : [[OPTION_REQUESTED_ADDRESS, dhcpInt32(wish)]]);
        break;
      }
      case "requesting":
        this.#push({ type: DHCP_REQUEST, xid }, [
          [OPTION_REQUESTED_ADDRESS, dhcpInt32(state.offer.address)],
          [OPTION_SERVER_ID, dhcpInt32(state.offer.serverId)],
        ]);
        break;
      case "rebooting":
        // RFC 2131 4.3.2: no server identifier, ciaddr zero.
        this.#push({ type: DHCP_REQUEST, xid }, [[OPTION_REQUESTED_ADDRESS, dhcpInt32(state.lease.address)]]);
        break;
      case "renewing":
        this.#push({ type: DHCP_REQUEST, xid, ciaddr: state.lease.address, dst: state.lease.serverId });
        break;
      case "rebinding":
        this.#push({ type: DHCP_REQUEST, xid, ciaddr: state.lease.address });
        break;
    }
    exchange.retryAt = now + this.#interval(now, state);
    exchange.attempt++;
  }

  #interval(now: number, state: State & { readonly exchange: Exchange }): number {
    if (state.kind === "renewing" || state.kind === "rebinding") {
      const { t1, t2, expires } = state.lease;
      const [start, end] = state.kind === "renewing" ? [t1, t2] : [t2, expires];
      return Math.max((end - now) / 2, Math.min(RENEW_MIN, (end - start) / 4), 1000);
    }
    const { attempt } = state.exchange;
    if (attempt === 0) return RETRY_QUICK + randomBelow(this.#random, JITTER) - JITTER / 2;
    const base = Math.min(RETRY_FIRST * 2 ** (attempt - 1), RETRY_MAX);
    return base + randomBelow(this.#random, 2 * JITTER + 1) - JITTER;
  }

  /** @param message addresses as int32; without `ciaddr` we have none, without `dst` it goes to everybody */
  #push(
    message: { readonly type: number; readonly xid: number; readonly ciaddr?: number; readonly dst?: number },
    more: readonly [number, Uint8Array][] = [],
  ): void {
    const { type, xid, ciaddr = 0, dst = BROADCAST } = message;
    const secs = "exchange" in this.#state ? this.#state.exchange.secs : 0;
    const payload = clientMessage({ mac: this.#mac, hostname: this.#hostname, type, xid, secs, ciaddr }, more);
    const peer = { address: IpAddress.fromIpv4(dst), port: DHCP_SERVER_PORT };
    this.#transmits.push({ socket: SOCKET, peer, payload });
  }
}

/** What an ACK without news means. */
const KINDS = { rebooting: "bound", renewing: "renewed", rebinding: "renewed" } as const;
