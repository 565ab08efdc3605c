/** The states of a DHCPv6 client (client.ts draws them), each with all that follows from the time. */
import type { IpAddress } from "../../lib/ip.ts";
import type { Lease6 } from "./lease.ts";
import type { Transaction } from "./retransmission.ts";

export interface Offer6 {
  readonly serverId: Uint8Array;
  readonly preference: number;
  readonly address: IpAddress;
}

/** What is known while there is no lease. */
export interface Search6 {
  /** The address that we had and would like again. */
  readonly wish: IpAddress | undefined;
  /** Searches in a row that ended in a refusal. */
  readonly refusals: number;
}

export type State6 =
  /** The lease is the one that start() will ask to keep. */
  | { readonly kind: "stopped"; readonly lease: Lease6 | undefined }
  | {
      readonly kind: "soliciting";
      readonly search: Search6;
      readonly exchange: Transaction;
      readonly best: Offer6 | undefined;
    }
  /** With a lease that is in force, and of which its server does not know any more. */
  | {
      readonly kind: "requesting";
      readonly search: Search6;
      readonly exchange: Transaction;
      readonly offer: Offer6;
      readonly lease: Lease6 | undefined;
    }
  | { readonly kind: "confirming"; readonly lease: Lease6; readonly exchange: Transaction }
  | { readonly kind: "renewing"; readonly lease: Lease6; readonly exchange: Transaction }
  | { readonly kind: "rebinding"; readonly lease: Lease6; readonly exchange: Transaction }
  | { readonly kind: "bound"; readonly lease: Lease6 }
  | { readonly kind: "declining"; readonly declined: Lease6; readonly exchange: Transaction }
  | { readonly kind: "informing"; readonly exchange: Transaction }
  | { readonly kind: "informed"; readonly refreshAt: number };

export type Dhcp6State = State6["kind"];

/** The states in which a REPLY brings an address. */
export type Replied = Extract<State6, { readonly kind: "soliciting" | "requesting" | "renewing" | "rebinding" }>;

const NEVER = Number.POSITIVE_INFINITY;

/** When something is due in a state; Infinity: nothing. */
export function dueAt6(state: State6): number {
  switch (state.kind) {
    case "stopped":
      return NEVER;
    case "informed":
      return state.refreshAt;
    case "bound":
      return Math.min(state.lease.t1, state.lease.expires);
    case "renewing":
      return Math.min(state.exchange.at, state.lease.t2, state.lease.expires);
    case "rebinding":
    case "confirming":
      return Math.min(state.exchange.at, state.lease.expires);
    case "requesting":
      return Math.min(state.exchange.at, state.lease?.expires ?? NEVER);
    case "soliciting":
    case "declining":
    case "informing":
      return state.exchange.at;
  }
  return state satisfies never;
}
