/**
 * DHCPv6 client (RFC 8415 18.2) for one address and DNS servers, or for DNS servers alone, as a pure machine.
 *
 *   stopped --start("stateful")--> soliciting --advertise--> requesting --reply--> bound --T1--> renewing --T2--> rebinding --end--> soliciting
 *           --start("stateful"), lease still valid--> confirming --reply or silence--> bound
 *           --start("stateless")--> informing --reply--> informed --refresh time--> informing
 *   decline(): declining --> soliciting
 *
 * It speaks through one socket on port 546 with the group of all servers (service.ts says how it is driven); a server that wants
 * to be spoken to alone is not (the option is obsolete). The state is where all that follows from the time is kept, so that any jump
 * of `now` is only a long wait: a lease that ended meanwhile is lost at the next handleTimeout.
 *
 * Whoever owns the interface asks for the address (duplicate address detection) and says decline() when another host has it.
 */
import { IpAddress } from "../../lib/ip.ts";
import type { Mac } from "../../lib/mac.ts";
import type { Random } from "../../lib/random.ts";
import type { Datagram, UdpService } from "../service.ts";
import {
  DHCP6_ADVERTISE,
  DHCP6_CLIENT_PORT,
  DHCP6_CONFIRM,
  DHCP6_DECLINE,
  DHCP6_INFORMATION_REQUEST,
  DHCP6_REBIND,
  DHCP6_RELEASE,
  DHCP6_RENEW,
  DHCP6_REPLY,
  DHCP6_REQUEST,
  DHCP6_SERVER_PORT,
  DHCP6_SOLICIT,
  type Dhcp6Message,
  type Dhcp6Options,
  type Dhcp6Refusal,
  dhcp6Duid,
  dhcp6Number,
  dhcp6Option,
  dhcp6Parse,
  dhcp6Status,
  OPTION6_CLIENT_ID,
  OPTION6_INF_MAX_RT,
  OPTION6_PREFERENCE,
  OPTION6_RAPID_COMMIT,
  OPTION6_REFRESH_TIME,
  OPTION6_SERVER_ID,
  OPTION6_SOL_MAX_RT,
  STATUS6_NO_BINDING,
  STATUS6_NOT_ON_LINK,
  STATUS6_SUCCESS,
} from "../wire/dhcpv6.ts";
import {
  type Dhcp6Info,
  infoFrom,
  type Lease6,
  type LeaseRefusal6,
  leaseDiffers6,
  leaseFrom6,
  ownIa,
} from "./lease.ts";
import { clientMessage6 } from "./message.ts";
import {
  CONFIRM_PLAN,
  DECLINE_PLAN,
  INFORMATION_PLAN,
  REBIND_PLAN,
  RENEW_PLAN,
  REQUEST_PLAN,
  type RetransmissionPlan,
  SOLICIT_PLAN,
  Transaction,
} from "./retransmission.ts";

import { type Dhcp6State, dueAt6, type Offer6, type Replied, type Search6, type State6 } from "./state.ts";

export type { Dhcp6Info, Lease6 } from "./lease.ts";
export type { Dhcp6State } from "./state.ts";

/** Why a message was ignored. */
export type Dhcp6Drop =
  | Dhcp6Refusal
  | LeaseRefusal6
  | "wrong-port"
  | "wrong-xid"
  | "wrong-client"
  | "no-server-id"
  | "wrong-server"
  | "refused"
  | "no-ia"
  | "unexpected";

/**
 * bound: there is a lease (the first, or again after start); renewed: prolonged, nothing else new; changed: prolonged with another
 * address or other DNS servers; expired: the lease given here must not be used any more; info: DNS servers without an address
 */
export type Dhcp6Event =
  | { readonly kind: "bound" | "renewed" | "changed" | "expired"; readonly lease: Lease6 }
  | { readonly kind: "info"; readonly info: Dhcp6Info };

export interface Dhcp6ClientOptions {
  readonly mac: Mac;
  readonly random: Random;
}

const ALL_SERVERS = new IpAddress(0xff02_0000, 0, 0, 0x0001_0002); // ff02::1:2 (RFC 8415 7.1)
const SOCKET = 0;
const SOCKETS: ReadonlyMap<number, number> = new Map([[SOCKET, DHCP6_CLIENT_PORT]]);
/** A server of that preference is taken at once (RFC 8415 18.2.1). */
const MAX_PREFERENCE = 255;
/** RFC 8415 21.23, 21.24: values outside are ignored. */
const MAX_RT = { min: 60, max: 86_400 };
/** RFC 8415 7.6, 21.23: IRT_DEFAULT, IRT_MINIMUM, in seconds. */
const REFRESH = { default: 86_400, min: 600 };
/** Our choice: after a refusal the search waits a second, then twice as long each time, so that nobody keeps both of us busy. */
const REFUSED_WAIT_MAX = 64_000;

export class Dhcp6Client implements UdpService {
  readonly sockets = SOCKETS;
  readonly #clientId: Uint8Array;
  readonly #iaid: number;
  readonly #random: Random;
  #state: State6 = { kind: "stopped", lease: undefined };
  #solMaxRt = SOLICIT_PLAN.mrt;
  #infMaxRt = INFORMATION_PLAN.mrt;
  readonly #transmits: Datagram[] = [];
  readonly #events: Dhcp6Event[] = [];

  constructor({ mac, random }: Dhcp6ClientOptions) {
    this.#clientId = dhcp6Duid(mac);
    this.#iaid = mac.lo;
    this.#random = random;
  }

  get state(): Dhcp6State {
    return this.#state.kind;
  }

  /** The lease in force; while stopped the one that start() will ask to keep. */
  get lease(): Lease6 | undefined {
    return "lease" in this.#state ? this.#state.lease : undefined;
  }

  /** The link is up, and a router says that there is something to ask for. */
  start(now: number, mode: "stateful" | "stateless"): void {
    const { lease } = this;
    this.#transmits.length = 0;
    if (mode === "stateless") this.#inform(now);
    else if (lease !== undefined && lease.expires > now)
      this.#state = { kind: "confirming", lease, exchange: this.#exchange(now, CONFIRM_PLAN) };
    else this.#solicit(now, { wish: lease?.address, refusals: 0 });
  }

  /** The link is down or the interface is going away: silent from now on; a lease is remembered for the next start. */
  stop(): void {
    this.#state = { kind: "stopped", lease: this.lease };
    this.#transmits.length = 0;
  }

  /** Gives the lease back and stops. One message is left for pollTransmit; nobody waits for its answer. */
  release(): void {
    const { lease } = this;
    const wasUsed = this.#state.kind !== "stopped" && this.#state.kind !== "confirming";
    this.stop();
    if (lease === undefined || !wasUsed) return;
    this.#state = { kind: "stopped", lease: undefined };
    const { xid } = new Transaction(0, this.#random, DECLINE_PLAN);
    this.#push(DHCP6_RELEASE, xid, 0, lease);
  }

  /** The address just obtained is in use by another host (DAD): refuses it, and looks for another one (RFC 8415 18.2.8). */
  decline(now: number): void {
    const { lease } = this;
    if (lease === undefined || this.#state.kind === "stopped") return;
    this.#transmits.length = 0;
    this.#state = { kind: "declining", declined: lease, exchange: this.#exchange(now, DECLINE_PLAN) };
    this.#send(now);
  }

  /** A message to port 546. */
  handle(now: number, { peer, payload }: Datagram): Dhcp6Drop | undefined {
    const state = this.#state;
    if (!("exchange" in state) || state.exchange.count === 0) return "unexpected";
    if (peer.port !== DHCP6_SERVER_PORT) return "wrong-port";
    const m = dhcp6Parse(payload);
    if (typeof m === "string") return m;
    if (m.xid !== state.exchange.xid) return "wrong-xid";
    if (m.type !== DHCP6_ADVERTISE && m.type !== DHCP6_REPLY) return "unexpected";
    // RFC 8415 16.3, 16.10: a server names itself, and us.
    const serverId = dhcp6Option(m.options, OPTION6_SERVER_ID);
    if (serverId === undefined || serverId.length === 0) return "no-server-id";
    const clientId = dhcp6Option(m.options, OPTION6_CLIENT_ID);
    if (clientId === undefined ? state.kind !== "informing" : !isSame(clientId, this.#clientId)) return "wrong-client";
    this.#heed(m.options);
    if (state.kind === "soliciting") return this.#offered(now, state, m, serverId);
    if (m.type !== DHCP6_REPLY) return "unexpected";
    switch (state.kind) {
      case "informing":
        return this.#informed(now, m);
      case "declining":
        this.#solicit(now, { wish: undefined, refusals: 1 });
        return undefined;
      case "confirming":
        return this.#confirmed(now, state, m);
      case "requesting":
        return isSame(serverId, state.offer.serverId) ? this.#replied(now, state, m, serverId) : "wrong-server";
      case "renewing":
        return isSame(serverId, state.lease.serverId) ? this.#replied(now, state, m, serverId) : "wrong-server";
      case "rebinding":
        return this.#replied(now, state, m, serverId);
    }
    return state satisfies never;
  }

  handleTimeout(now: number): void {
    const state = this.#state;
    const { lease } = this;
    if (lease !== undefined && state.kind !== "stopped" && now >= lease.expires) {
      this.#events.push({ kind: "expired", lease });
      return this.#solicit(now, { wish: lease.address, refusals: 0 });
    }
    switch (state.kind) {
      case "stopped":
        return;
      case "informed":
        if (now >= state.refreshAt) this.#inform(now);
        return;
      case "bound":
        if (now >= state.lease.t2) this.#ask(now, "rebinding", state.lease);
        else if (now >= state.lease.t1) this.#ask(now, "renewing", state.lease);
        return;
      case "renewing":
        if (now >= state.lease.t2) this.#ask(now, "rebinding", state.lease);
        else if (now >= state.exchange.at) this.#send(now);
        return;
      case "soliciting":
        if (now < state.exchange.at) return;
        if (state.best !== undefined) this.#request(now, state.search, state.best);
        else this.#send(now);
        return;
      case "rebinding":
      case "informing":
        if (now >= state.exchange.at) this.#send(now);
        return;
      case "requesting":
      case "confirming":
      case "declining":
        if (now < state.exchange.at) return;
        if (!state.exchange.isOver(now)) return this.#send(now);
        if (state.kind === "requesting") this.#refused(now, state.search, state.lease);
        else if (state.kind === "declining") this.#solicit(now, { wish: undefined, refusals: 1 });
        else this.#keep(state.lease); // RFC 8415 18.2.3: who is not contradicted goes on
        return;
    }
    state satisfies never;
  }

  /** When handleTimeout is due next; Infinity when stopped or bound without end. */
  pollAt(): number {
    return dueAt6(this.#state);
  }

  pollTransmit(): Datagram | undefined {
    return this.#transmits.shift();
  }

  /** What happened, in order. May return more after handle and handleTimeout. */
  pollEvent(): Dhcp6Event | undefined {
    return this.#events.shift();
  }

  /** An ADVERTISE, or the REPLY of a server that commits at once. */
  #offered(
    now: number,
    state: State6 & { readonly kind: "soliciting" },
    m: Dhcp6Message,
    serverId: Uint8Array,
  ): Dhcp6Drop | undefined {
    if (m.type === DHCP6_REPLY) {
      // RFC 8415 18.2.10: a REPLY to a SOLICIT counts only with the option.
      if (dhcp6Option(m.options, OPTION6_RAPID_COMMIT) === undefined) return "unexpected";
      return this.#replied(now, state, m, serverId);
    }
    const { search, exchange } = state;
    const lease = this.#leaseOf(m, serverId, exchange, search.wish);
    if (typeof lease === "string") return lease;
    const preference = dhcp6Number(m.options, OPTION6_PREFERENCE, 1) ?? 0;
    const offer = { serverId, preference, address: lease.address };
    // RFC 8415 18.2.1: at once the one that wants to be taken, and the first that comes later than the first interval.
    if (preference === MAX_PREFERENCE || exchange.count > 1) this.#request(now, search, offer);
    else if (state.best === undefined || preference > state.best.preference) this.#state = { ...state, best: offer };
    return undefined;
  }

  #replied(now: number, state: Replied, m: Dhcp6Message, serverId: Uint8Array): Dhcp6Drop | undefined {
    const before = this.lease;
    const wish = before?.address ?? (state.kind === "requesting" ? state.offer.address : undefined);
    const lease = this.#leaseOf(m, serverId, state.exchange, wish);
    if (typeof lease === "object") {
      this.#keep(lease, before);
      return undefined;
    }
    if (state.kind === "requesting") this.#refused(now, { ...state.search, wish: undefined }, before);
    else if (before !== undefined) {
      const ia = ownIa(m.options, this.#iaid);
      // RFC 8415 18.2.10.1: a server that does not know us is asked anew; a lifetime of 0 ends the lease; else it lives on.
      if (ia?.status === STATUS6_NO_BINDING) {
        const offer = { serverId, preference: 0, address: before.address };
        this.#request(now, { wish: before.address, refusals: 0 }, offer, before);
      } else if (ia?.addresses.some(({ address, valid }) => valid === 0 && address.equals(before.address)))
        this.#refused(now, { wish: undefined, refusals: 0 }, before);
    }
    return lease;
  }

  #confirmed(now: number, state: State6 & { readonly kind: "confirming" }, m: Dhcp6Message): Dhcp6Drop | undefined {
    if (dhcp6Status(m.options) === STATUS6_NOT_ON_LINK) {
      this.#events.push({ kind: "expired", lease: state.lease });
      this.#solicit(now, { wish: undefined, refusals: 0 });
    } else this.#keep(state.lease);
    return undefined;
  }

  #informed(now: number, m: Dhcp6Message): Dhcp6Drop | undefined {
    if (dhcp6Status(m.options) !== STATUS6_SUCCESS) return "refused";
    const given = dhcp6Number(m.options, OPTION6_REFRESH_TIME, 4) ?? REFRESH.default;
    this.#state = { kind: "informed", refreshAt: now + Math.max(given, REFRESH.min) * 1000 };
    this.#events.push({ kind: "info", info: infoFrom(m.options) });
    return undefined;
  }

  /** The lease in an answer; a string names why there is none. */
  #leaseOf(
    m: Dhcp6Message,
    serverId: Uint8Array,
    exchange: Transaction,
    wish: IpAddress | undefined,
  ): Lease6 | LeaseRefusal6 | "refused" | "no-ia" {
    if (dhcp6Status(m.options) !== STATUS6_SUCCESS) return "refused";
    const ia = ownIa(m.options, this.#iaid);
    if (ia === undefined) return "no-ia";
    if (ia.status !== STATUS6_SUCCESS) return "refused";
    return leaseFrom6(ia, m.options, serverId, exchange.firstAt, wish);
  }

  /** There is a lease, the first or after another one. */
  #keep(lease: Lease6, before?: Lease6): void {
    this.#state = { kind: "bound", lease };
    const kind = before === undefined ? "bound" : leaseDiffers6(before, lease) ? "changed" : "renewed";
    this.#events.push({ kind, lease });
  }

  /** Begins anew where nobody gave what was asked for, also no lease that there was. */
  #refused(now: number, { wish, refusals }: Search6, lease: Lease6 | undefined): void {
    if (lease !== undefined) this.#events.push({ kind: "expired", lease });
    this.#solicit(now, { wish, refusals: refusals + 1 });
  }

  /** Begins a search, later after refusals. */
  #solicit(now: number, search: Search6): void {
    const wait = search.refusals === 0 ? 0 : Math.min(2 ** (search.refusals - 1) * 1000, REFUSED_WAIT_MAX);
    const exchange = this.#exchange(now, SOLICIT_PLAN, wait);
    exchange.mrt = this.#solMaxRt;
    this.#state = { kind: "soliciting", search, exchange, best: undefined };
    this.#transmits.length = 0;
  }

  #request(now: number, search: Search6, offer: Offer6, lease?: Lease6): void {
    this.#state = { kind: "requesting", search, offer, lease, exchange: this.#exchange(now, REQUEST_PLAN) };
    this.#send(now);
  }

  /** Asks to prolong a lease. */
  #ask(now: number, kind: "renewing" | "rebinding", lease: Lease6): void {
    const plan = kind === "renewing" ? RENEW_PLAN : REBIND_PLAN;
    this.#state = { kind, lease, exchange: this.#exchange(now, plan) };
    this.#send(now);
  }

  #inform(now: number): void {
    const exchange = this.#exchange(now, INFORMATION_PLAN);
    exchange.mrt = this.#infMaxRt;
    this.#state = { kind: "informing", exchange };
  }

  /** A server may ask for longer pauses while it has nothing to give, also in an answer that is no offer (RFC 8415 18.2.9). */
  #heed(options: Dhcp6Options): void {
    const within = (s: number | undefined): s is number => s !== undefined && s >= MAX_RT.min && s <= MAX_RT.max;
    const solicit = dhcp6Number(options, OPTION6_SOL_MAX_RT, 4);
    const inform = dhcp6Number(options, OPTION6_INF_MAX_RT, 4);
    if (within(solicit)) this.#solMaxRt = solicit * 1000;
    if (within(inform)) this.#infMaxRt = inform * 1000;
    const state = this.#state;
    if (state.kind === "soliciting") state.exchange.mrt = this.#solMaxRt;
    if (state.kind === "informing") state.exchange.mrt = this.#infMaxRt;
  }

  #exchange(now: number, plan: RetransmissionPlan, wait = 0): Transaction {
    return new Transaction(now, this.#random, plan, wait);
  }

  /** Sends the message of the current state and sets when it is repeated. */
  #send(now: number): void {
    const state = this.#state;
    if (!("exchange" in state)) return;
    const { exchange } = state;
    const elapsed = exchange.elapsed(now);
    exchange.sent(now, state.kind === "soliciting");
    switch (state.kind) {
      case "soliciting":
        return this.#push(DHCP6_SOLICIT, exchange.xid, elapsed, { address: state.search.wish });
      case "requesting":
        return this.#push(DHCP6_REQUEST, exchange.xid, elapsed, state.offer);
      case "confirming":
        return this.#push(DHCP6_CONFIRM, exchange.xid, elapsed, { address: state.lease.address });
      case "renewing":
        return this.#push(DHCP6_RENEW, exchange.xid, elapsed, state.lease);
      case "rebinding":
        return this.#push(DHCP6_REBIND, exchange.xid, elapsed, { address: state.lease.address });
      case "declining":
        return this.#push(DHCP6_DECLINE, exchange.xid, elapsed, state.declined);
      case "informing":
        return this.#push(DHCP6_INFORMATION_REQUEST, exchange.xid, elapsed, {});
    }
    state satisfies never;
  }

  /** @param to without `serverId` it is for every server, without `address` the IA is empty */
  #push(
    type: number,
    xid: number,
    elapsed: number,
    to: { readonly serverId?: Uint8Array; readonly address?: IpAddress | undefined },
  ): void {
    const { serverId, address } = to;
    const payload = clientMessage6({
      type,
      xid,
      clientId: this.#clientId,
      serverId,
      elapsed,
      iaid: this.#iaid,
      address,
    });
    this.#transmits.push({ socket: SOCKET, peer: { address: ALL_SERVERS, port: DHCP6_SERVER_PORT }, payload });
  }
}

const isSame = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && a.every((byte, i) => byte === b[i]);
