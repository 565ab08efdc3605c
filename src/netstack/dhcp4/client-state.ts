/** The states of a DHCP client (client.ts draws them), each with all that follows from the time. */
import type { Random } from "../../lib/random.ts";
import type { Lease } from "./lease.ts";

const NEVER = Number.POSITIVE_INFINITY;

/** One question to the servers and its repetitions. */
export class Exchange {
  readonly xid: number;
  readonly startedAt: number;
  /** Of the DISCOVER, which the REQUEST that follows repeats (RFC 2131 4.4.1). */
  secs = 0;
  /** When the message that an ACK will answer was first sent: the lease counts from there (RFC 2131 4.4.1). */
  requestedAt = 0;
  attempt = 0;
  retryAt = NEVER;

  constructor(now: number, random: Random) {
    const bytes = new Uint8Array(4);
    random.fill(bytes);
    this.xid = new DataView(bytes.buffer).getInt32(0);
    this.startedAt = now;
  }
}

/** What is known while there is no lease. */
export interface Search {
  /** The address that we had and would like again, 0: none. */
  readonly wish: number;
  /** Refusals in a row. */
  readonly naks: number;
}

export type State =
  /** The lease is the one that start() will ask to keep. */
  | { readonly kind: "stopped"; readonly lease: Lease | undefined; readonly wish: number }
  | { readonly kind: "selecting"; readonly search: Search; readonly exchange: Exchange }
  | {
      readonly kind: "requesting";
      readonly search: Search;
      readonly exchange: Exchange;
      readonly offer: { readonly address: number; readonly serverId: number };
    }
  | { readonly kind: "rebooting" | "renewing" | "rebinding"; readonly lease: Lease; readonly exchange: Exchange }
  | { readonly kind: "bound"; readonly lease: Lease };

export type DhcpState = State["kind"];

/** The states in which a REQUEST waits for its ACK or NAK. */
export type Asking = Extract<State, { readonly kind: "requesting" | "rebooting" | "renewing" | "rebinding" }>;

/** Whether this server was asked: an offer and a renewal have one addressee, the other questions are for everybody. */
export function isAnswerOf(state: Asking, serverId: number): boolean {
  if (state.kind === "requesting") return serverId === state.offer.serverId;
  return state.kind !== "renewing" || serverId === state.lease.serverId;
}

/** When something is due in a state; Infinity: nothing. */
export function dueAt(state: State): number {
  switch (state.kind) {
    case "stopped":
      return NEVER;
    case "bound":
      return state.lease.t1;
    case "renewing":
      return Math.min(state.exchange.retryAt, state.lease.t2);
    case "rebinding":
    case "rebooting":
      return Math.min(state.exchange.retryAt, state.lease.expires);
    case "selecting":
    case "requesting":
      return state.exchange.retryAt;
  }
  return state satisfies never;
}
