/**
 * DHCP client (RFC 2131 4.4, figure 5) as a pure machine.
 *
 *   stopped --start--> selecting --offer--> requesting --ack--> bound --T1--> renewing --T2--> rebinding --end--> selecting
 *   stopped --start, lease still valid--> rebooting --ack--> bound;   nak anywhere --> selecting
 *
 * Use: call start() when the link is up, feed handleMessage() with every UDP payload from port 67 to port 68, call
 * handleTimeout() at pollAt(); after each of these drain pollTransmit() and pollEvent(). Times are monotonic ms.
 * Messages go from port 68 to port 67.
 */
import type { Mac } from "../../lib/mac.ts";
import { type Random, randomBelow } from "../../lib/random.ts";
import {
  BOOT_REPLY,
  BOOT_REQUEST,
  DHCP_ACK,
  DHCP_DECLINE,
  DHCP_DISCOVER,
  DHCP_FLAG_BROADCAST,
  DHCP_NAK,
  DHCP_OFFER,
  DHCP_RELEASE,
  DHCP_REQUEST,
  type DhcpMessage,
  type DhcpRefusal,
  dhcpAddresses,
  dhcpBuild,
  dhcpInt32,
  dhcpNumber,
  dhcpParse,
  OPTION_CLASSLESS_ROUTES,
  OPTION_CLIENT_ID,
  OPTION_DNS,
  OPTION_DOMAIN,
  OPTION_HOSTNAME,
  OPTION_LEASE_TIME,
  OPTION_MAX_MESSAGE,
  OPTION_MESSAGE_TYPE,
  OPTION_MTU,
  OPTION_PARAMETER_LIST,
  OPTION_REQUESTED_ADDRESS,
  OPTION_ROUTER,
  OPTION_SERVER_ID,
  OPTION_SUBNET_MASK,
  OPTION_T1,
  OPTION_T2,
} from "../wire/dhcpv4.ts";
import { type Lease, type LeaseRefusal, leaseDiffers, leaseFrom } from "./lease.ts";

export type { Lease } from "./lease.ts";

export type DhcpState = "stopped" | "rebooting" | "selecting" | "requesting" | "bound" | "renewing" | "rebinding";

/** Why a message was ignored. */
export type DhcpDrop =
  | DhcpRefusal
  | LeaseRefusal
  | "not-a-reply"
  | "wrong-xid"
  | "wrong-client"
  | "no-type"
  | "wrong-server"
  | "unexpected";

/**
 * bound: there is a lease (the first, or again after start); renewed: prolonged, nothing else new; changed: prolonged
 * with another address, route, resolver or MTU; expired, nak: the lease given here must not be used any more.
 */
export type DhcpEvent = { readonly kind: "bound" | "renewed" | "changed" | "expired" | "nak"; readonly lease: Lease };

export interface DhcpTransmit {
  readonly payload: Uint8Array;
  /** 255.255.255.255 or the server, int32. */
  readonly dst: number;
  /** 0.0.0.0 or our own address, int32. */
  readonly src: number;
}

export interface DhcpOptions {
  readonly mac: Mac;
  readonly hostname?: string | undefined;
  readonly random: Random;
}

// RFC 2131 4.1: 4 s, doubled up to 64 s, each plus or minus up to 1 s.
const RETRY_FIRST = 4000;
const RETRY_MAX = 64_000;
const JITTER = 1000;
// Our choices. The first repetition comes early, because a port of a switch often starts to forward a second late.
const RETRY_QUICK = 1500;
const REQUEST_ATTEMPTS = 4;
const REBOOT_ATTEMPTS = 2;
/** RFC 2131 4.4.5 wants at least 60 s between renewals; a lease of a few minutes gets a quarter of T2 - T1 instead. */
const RENEW_MIN = 60_000;
/** RFC 2131 3.1.5: at least 10 s after a DECLINE. */
const DECLINE_WAIT = 10_000;
const NAK_WAIT_MAX = 30_000;
const MAX_MESSAGE = 1472;
const NEVER = Number.POSITIVE_INFINITY;

const PARAMETERS = Uint8Array.of(
  OPTION_SUBNET_MASK,
  OPTION_CLASSLESS_ROUTES, // before option 3 (RFC 3442)
  OPTION_ROUTER,
  OPTION_DNS,
  OPTION_DOMAIN,
  OPTION_MTU,
  OPTION_LEASE_TIME,
  OPTION_SERVER_ID,
  OPTION_T1,
  OPTION_T2,
);

export class DhcpClient {
  readonly #mac: Mac;
  readonly #hostname: Uint8Array | undefined;
  readonly #random: Random;
  #state: DhcpState = "stopped";
  #xid = 0;
  #startedAt = 0;
  #secs = 0;
  /** When the message that an ACK will answer was first sent: the lease counts from there (RFC 2131 4.4.1). */
  #requestedAt = 0;
  #attempt = 0;
  #retryAt = NEVER;
  #offer: { address: number; serverId: number } | undefined;
  #lease: Lease | undefined;
  #previous = 0;
  #naks = 0;
  readonly #transmits: DhcpTransmit[] = [];
  readonly #events: DhcpEvent[] = [];

  constructor(options: DhcpOptions) {
    this.#mac = options.mac;
    this.#random = options.random;
    const name = options.hostname?.slice(0, 63);
    if (name && /^[\x21-\x7e]+$/.test(name)) this.#hostname = Uint8Array.from(name, (c) => c.charCodeAt(0));
  }

  get state(): DhcpState {
    return this.#state;
  }

  /** The lease in force; while stopped the one that start() will ask to keep. */
  get lease(): Lease | undefined {
    return this.#lease;
  }

  /** The link is up: asks to keep the lease that there was (INIT-REBOOT), or for a new one. */
  start(now: number): void {
    if (this.#state !== "stopped") this.stop();
    this.#naks = 0;
    if (this.#lease && this.#lease.expires > now) {
      this.#begin(now, "rebooting");
      this.#send(now);
    } else {
      this.#lease = undefined;
      this.#discover(now);
    }
  }

  /** The link is down or the interface is going away: silent from now on; a lease is remembered for the next start. */
  stop(): void {
    this.#state = "stopped";
    this.#retryAt = NEVER;
    this.#transmits.length = 0;
  }

  linkDown(_now: number): void {
    this.stop();
  }

  /** Gives the lease back and stops. One message is left for pollTransmit. */
  release(_now: number): void {
    const lease = this.#lease;
    const held = this.#state === "bound" || this.#state === "renewing" || this.#state === "rebinding";
    this.stop();
    this.#lease = undefined;
    if (!lease || !held) return;
    this.#newXid();
    this.#push(DHCP_RELEASE, lease.address, lease.serverId, lease.address, [
      [OPTION_SERVER_ID, dhcpInt32(lease.serverId)],
    ]);
  }

  /** The address just obtained is in use by another host (ARP): refuses it and starts again after 10 s. */
  decline(now: number): void {
    const lease = this.#lease;
    if (!lease || this.#state === "stopped") return;
    this.#lease = undefined;
    this.#previous = 0;
    this.#begin(now, "selecting");
    this.#push(DHCP_DECLINE, 0, BROADCAST, 0, [
      [OPTION_REQUESTED_ADDRESS, dhcpInt32(lease.address)],
      [OPTION_SERVER_ID, dhcpInt32(lease.serverId)],
    ]);
    this.#retryAt = now + DECLINE_WAIT;
  }

  /**
   * A UDP payload from port 67 to port 68.
   * @param _src the sender's address: it says nothing (relays), the server identifier counts
   * @returns why it was ignored, undefined when it was used
   */
  handleMessage(now: number, _src: number, message: Uint8Array): DhcpDrop | undefined {
    if (this.#state === "stopped") return "unexpected";
    const m = dhcpParse(message);
    if (typeof m === "string") return m;
    if (m.op !== BOOT_REPLY) return "not-a-reply";
    if (m.xid !== this.#xid) return "wrong-xid";
    if (m.chaddr.hi !== this.#mac.hi || m.chaddr.lo !== this.#mac.lo) return "wrong-client";
    const type = dhcpNumber(m, OPTION_MESSAGE_TYPE, 1);
    if (type === undefined) return "no-type";
    if (type === DHCP_OFFER) return this.#handleOffer(now, m);
    if (type === DHCP_ACK) return this.#handleAck(m);
    if (type === DHCP_NAK) return this.#handleNak(now, m);
    return "unexpected";
  }

  handleTimeout(now: number): void {
    if (this.#state === "stopped") return;
    const lease = this.#lease;
    if (lease && now >= lease.expires) {
      this.#lose(now, "expired", lease);
      return;
    }
    if (lease && this.#state !== "rebooting") {
      if (now >= lease.t2 && this.#state !== "rebinding") {
        this.#begin(now, "rebinding");
        this.#send(now);
        return;
      }
      if (now >= lease.t1 && this.#state === "bound") {
        this.#begin(now, "renewing");
        this.#send(now);
        return;
      }
    }
    if (now < this.#retryAt) return;
    const giveUp =
      (this.#state === "requesting" && this.#attempt >= REQUEST_ATTEMPTS) ||
      (this.#state === "rebooting" && this.#attempt >= REBOOT_ATTEMPTS);
    if (giveUp) {
      // A lease that could not be confirmed belongs to another network as likely as not; it is asked for again below.
      if (lease) this.#lose(now, "expired", lease);
      else this.#discover(now);
    } else {
      this.#send(now);
    }
  }

  /** When handleTimeout is due next; Infinity when stopped or bound without end. */
  pollAt(): number {
    if (this.#state === "stopped") return NEVER;
    const lease = this.#lease;
    if (!lease) return this.#retryAt;
    const phase = this.#state === "bound" ? lease.t1 : this.#state === "renewing" ? lease.t2 : lease.expires;
    return Math.min(this.#retryAt, phase);
  }

  /** A message to send, or undefined. May return another after start, release, decline, handleMessage, handleTimeout. */
  pollTransmit(_now: number): DhcpTransmit | undefined {
    return this.#transmits.shift();
  }

  /** What happened to the lease, in order. May return more after start, handleMessage, handleTimeout. */
  pollEvent(): DhcpEvent | undefined {
    return this.#events.shift();
  }

  #handleOffer(now: number, m: DhcpMessage): DhcpDrop | undefined {
    if (this.#state !== "selecting") return "unexpected";
    const offered = leaseFrom(m, now);
    if (typeof offered === "string") return offered;
    this.#offer = { address: offered.address, serverId: offered.serverId };
    this.#state = "requesting";
    this.#attempt = 0;
    this.#send(now);
    return undefined;
  }

  #handleAck(m: DhcpMessage): DhcpDrop | undefined {
    const state = this.#state;
    if (state === "selecting" || state === "bound" || state === "stopped") return "unexpected";
    const lease = leaseFrom(m, this.#requestedAt);
    if (typeof lease === "string") return lease;
    if (state === "requesting" && lease.serverId !== this.#offer?.serverId) return "wrong-server";
    if (state === "renewing" && lease.serverId !== this.#lease?.serverId) return "wrong-server";
    const before = this.#lease;
    this.#lease = lease;
    this.#previous = lease.address;
    this.#offer = undefined;
    this.#naks = 0;
    this.#state = "bound";
    this.#retryAt = NEVER;
    const kind = state === "requesting" || !before ? "bound" : this.#kindOf(state, before, lease);
    this.#events.push({ kind, lease });
    return undefined;
  }

  #kindOf(state: DhcpState, before: Lease, lease: Lease): DhcpEvent["kind"] {
    if (leaseDiffers(before, lease)) return "changed";
    return state === "rebooting" ? "bound" : "renewed";
  }

  #handleNak(now: number, m: DhcpMessage): DhcpDrop | undefined {
    const state = this.#state;
    if (state === "selecting" || state === "bound") return "unexpected";
    const serverId = dhcpAddresses(m, OPTION_SERVER_ID)?.[0];
    if (serverId === undefined) return "no-server-id";
    if (state === "requesting" && serverId !== this.#offer?.serverId) return "wrong-server";
    if (state === "renewing" && serverId !== this.#lease?.serverId) return "wrong-server";
    this.#previous = 0;
    const lease = this.#lease;
    if (lease) this.#lose(now, "nak", lease);
    else this.#discover(now);
    // A server that refuses what it offered would keep both of us busy without pause.
    const wait = Math.min((2 ** this.#naks++ - 1) * 1000, NAK_WAIT_MAX);
    if (wait > 0) {
      this.#transmits.length = 0;
      this.#attempt = 0;
      this.#retryAt = now + wait;
    }
    return undefined;
  }

  #lose(now: number, kind: "expired" | "nak", lease: Lease): void {
    this.#lease = undefined;
    this.#events.push({ kind, lease });
    this.#discover(now);
  }

  #discover(now: number): void {
    this.#begin(now, "selecting");
    this.#send(now);
  }

  /** Enters a state that starts an exchange of its own. */
  #begin(now: number, state: DhcpState): void {
    this.#state = state;
    this.#newXid();
    this.#startedAt = now;
    this.#attempt = 0;
    this.#offer = undefined;
    this.#transmits.length = 0;
  }

  #newXid(): void {
    const bytes = new Uint8Array(4);
    this.#random.fill(bytes);
    this.#xid = new DataView(bytes.buffer).getInt32(0);
  }

  /** Sends the message of the current state and sets when it is repeated. */
  #send(now: number): void {
    const lease = this.#lease;
    // RFC 2131 4.4.1: a REQUEST repeats the secs of the DISCOVER that it follows.
    if (this.#state !== "requesting") this.#secs = Math.min(65535, Math.floor((now - this.#startedAt) / 1000));
    if (this.#attempt === 0) this.#requestedAt = now; // the earliest that an ACK can answer: errs to the safe side
    switch (this.#state) {
      case "selecting": {
        const wish: [number, Uint8Array][] = this.#previous
          ? [[OPTION_REQUESTED_ADDRESS, dhcpInt32(this.#previous)]]
          : [];
        this.#push(DHCP_DISCOVER, 0, BROADCAST, 0, wish);
        break;
      }
      case "requesting": {
        const offer = this.#offer as { address: number; serverId: number };
        this.#push(DHCP_REQUEST, 0, BROADCAST, 0, [
          [OPTION_REQUESTED_ADDRESS, dhcpInt32(offer.address)],
          [OPTION_SERVER_ID, dhcpInt32(offer.serverId)],
        ]);
        break;
      }
      case "rebooting":
        // RFC 2131 4.3.2: no server identifier, ciaddr zero.
        this.#push(DHCP_REQUEST, 0, BROADCAST, 0, [[OPTION_REQUESTED_ADDRESS, dhcpInt32((lease as Lease).address)]]);
        break;
      case "renewing":
        this.#push(DHCP_REQUEST, (lease as Lease).address, (lease as Lease).serverId, (lease as Lease).address, []);
        break;
      case "rebinding":
        this.#push(DHCP_REQUEST, (lease as Lease).address, BROADCAST, (lease as Lease).address, []);
        break;
      case "bound":
      case "stopped":
        return;
    }
    this.#retryAt = now + this.#interval(now);
    this.#attempt++;
  }

  #interval(now: number): number {
    const lease = this.#lease;
    if (lease && (this.#state === "renewing" || this.#state === "rebinding")) {
      const [start, end] = this.#state === "renewing" ? [lease.t1, lease.t2] : [lease.t2, lease.expires];
      return Math.max((end - now) / 2, Math.min(RENEW_MIN, (end - start) / 4), 1000);
    }
    if (this.#attempt === 0) return RETRY_QUICK + randomBelow(this.#random, JITTER) - JITTER / 2;
    const base = Math.min(RETRY_FIRST * 2 ** (this.#attempt - 1), RETRY_MAX);
    return base + randomBelow(this.#random, 2 * JITTER + 1) - JITTER;
  }

  #push(type: number, ciaddr: number, dst: number, src: number, more: [number, Uint8Array][]): void {
    const mac = this.#mac;
    const hardware = Uint8Array.of(1, mac.hi >>> 8, mac.hi & 255, ...dhcpInt32(mac.lo));
    const options = new Map<number, Uint8Array>([
      [OPTION_MESSAGE_TYPE, Uint8Array.of(type)],
      [OPTION_CLIENT_ID, hardware],
      ...more,
    ]);
    if (type === DHCP_DISCOVER || type === DHCP_REQUEST) {
      options.set(OPTION_MAX_MESSAGE, Uint8Array.of(MAX_MESSAGE >> 8, MAX_MESSAGE & 255));
      if (this.#hostname) options.set(OPTION_HOSTNAME, this.#hostname);
      options.set(OPTION_PARAMETER_LIST, PARAMETERS);
    }
    const secs = type === DHCP_DISCOVER || type === DHCP_REQUEST ? this.#secs : 0;
    // Without an address of our own only a broadcast reaches us for sure (RFC 2131 4.1).
    const flags = src === 0 && type !== DHCP_DECLINE ? DHCP_FLAG_BROADCAST : 0;
    const payload = dhcpBuild({
      op: BOOT_REQUEST,
      xid: this.#xid,
      secs,
      flags,
      ciaddr,
      yiaddr: 0,
      siaddr: 0,
      giaddr: 0,
      chaddr: mac,
      options,
    });
    this.#transmits.push({ payload, dst, src });
  }
}

const BROADCAST = -1;
