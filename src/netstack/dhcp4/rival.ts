/**
 * Looks for another DHCP server on the link: asks as a host without an address does, three times, and hears who offers it
 * one. Nothing is ever requested, so that all it costs the other one is an offer.
 */
import { IpAddress } from "../../lib/ip.ts";
import type { Mac } from "../../lib/mac.ts";
import type { Random } from "../../lib/random.ts";
import type { Datagram } from "../service.ts";
import {
  BOOT_REPLY,
  DHCP_DISCOVER,
  DHCP_OFFER,
  DHCP_SERVER_PORT,
  dhcpAddresses,
  dhcpNumber,
  dhcpParse,
  OPTION_MESSAGE_TYPE,
  OPTION_SERVER_ID,
} from "../wire/dhcpv4.ts";
import { clientMessage } from "./message.ts";

/** Our choices. A server that first pings the address which it offers answers after one to three seconds. */
const ASK_EVERY_MS = 800;
const ASKS = 3;
const LISTEN_MS = 3200;
const NEVER = Number.POSITIVE_INFINITY;
const BROADCAST = IpAddress.fromIpv4(-1);

export class RivalSearch {
  readonly #mac: Mac;
  readonly #random: Random;
  /** Of the questions; undefined while it does not look. */
  #xid: number | undefined;
  #asked = 0;
  #askAt = NEVER;
  #endAt = NEVER;

  /** @param mac of our interface, in whose name it asks */
  constructor(mac: Mac, random: Random) {
    this.#mac = mac;
    this.#random = random;
  }

  get isLooking(): boolean {
    return this.#xid !== undefined;
  }

  start(now: number): void {
    const bytes = new Uint8Array(4);
    this.#random.fill(bytes);
    this.#xid = new DataView(bytes.buffer).getInt32(0);
    this.#asked = 0;
    this.#askAt = now;
    this.#endAt = now + LISTEN_MS;
  }

  stop(): void {
    this.#xid = undefined;
    this.#askAt = NEVER;
    this.#endAt = NEVER;
  }

  /** A message to port 68. @returns the server that it is from, or why it is not an answer to us */
  answer({ peer, payload }: Datagram): IpAddress | "not-an-answer" {
    const m = dhcpParse(payload);
    if (typeof m === "string" || m.op !== BOOT_REPLY || m.xid !== this.#xid) return "not-an-answer";
    if (m.chaddr.hi !== this.#mac.hi || m.chaddr.lo !== this.#mac.lo) return "not-an-answer";
    if (dhcpNumber(m, OPTION_MESSAGE_TYPE, 1) !== DHCP_OFFER) return "not-an-answer";
    const server = dhcpAddresses(m, OPTION_SERVER_ID)?.[0];
    return server === undefined ? peer.address : IpAddress.fromIpv4(server);
  }

  /** The next question, where it is due. */
  ask(now: number, socket: number): Datagram | undefined {
    if (this.#xid === undefined || now < this.#askAt) return undefined;
    this.#asked++;
    this.#askAt = this.#asked < ASKS ? now + ASK_EVERY_MS : NEVER;
    const question = { mac: this.#mac, hostname: undefined, type: DHCP_DISCOVER, xid: this.#xid, secs: 0, ciaddr: 0 };
    return { socket, peer: { address: BROADCAST, port: DHCP_SERVER_PORT }, payload: clientMessage(question, []) };
  }

  /** Whether nobody has answered in time; then it has ended. */
  isInVain(now: number): boolean {
    if (now < this.#endAt) return false;
    this.stop();
    return true;
  }

  pollAt(): number {
    return Math.min(this.#askAt, this.#endAt);
  }
}
