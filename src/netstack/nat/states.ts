/** The states of the translator's sessions: how long each lasts, and how TCP goes from one to the other. */
import { TCP_RST, TCP_SYN } from "../wire/tcp.ts";

/** Session states; the order is that of {@link TIMEOUT_MS}. */
export const STATE_UDP_NEW = 0;
export const STATE_UDP = 1;
export const STATE_ICMP = 2;
export const STATE_TCP_SYN = 3;
export const STATE_TCP_SYN_ACK = 4;
export const STATE_TCP_PICKUP = 5;
export const STATE_TCP_ESTABLISHED = 6;
export const STATE_TCP_CLOSING = 7;
export const STATE_TCP_RESET = 8;
export const STATES = 9;

/** Idle time after which a session of each state is forgotten, ms. */
export const TIMEOUT_MS: readonly number[] = Object.freeze([
  30_000, // UDP, no answer yet. Differs from RFC 4787 REQ-5 (2 minutes) because scans would fill the table; as Linux
  300_000, // UDP with answers (RFC 4787 REQ-5: 5 minutes recommended)
  61_000, // ICMP echo (RFC 5508 REQ-2: at least 60 s; the 1 s is TOUCH_GRAIN_MS)
  241_000, // TCP, SYN from inside (RFC 5382 REQ-5: transitory connections at least 4 minutes)
  241_000, // TCP, SYN from both sides
  300_000, // TCP whose start was not seen, until the other side confirms it
  7_450_000, // TCP, open (RFC 5382 REQ-5: 2 hours 4 minutes, and a little)
  241_000, // TCP after FIN of both sides
  30_000, // TCP after RST; a segment from inside opens it again (RFC 7857 2.2), so that a forged RST does no lasting harm
]);
/** 1: confirmed by the other side. */
export const RANK: readonly number[] = Object.freeze([0, 1, 0, 0, 0, 0, 1, 0, 0]);

export const TCP_FIN_OUT = 1;
export const TCP_FIN_IN = 2;

/** A SYN, also the one of a SYN-ACK. */
export const opens = (flags: number): boolean => (flags & (TCP_SYN | TCP_RST)) === TCP_SYN;

/**
 * The state after a segment that neither resets nor begins a connection anew.
 * @param hasSyn of the side that did not begin @param inward 1: from outside
 */
export function tcpNext(state: number, hasSyn: boolean, isOpener: boolean, inward: 0 | 1): number {
  switch (state) {
    case STATE_TCP_SYN:
      return hasSyn ? STATE_TCP_SYN_ACK : state;
    case STATE_TCP_SYN_ACK:
      return isOpener ? STATE_TCP_ESTABLISHED : state;
    case STATE_TCP_PICKUP:
      return isOpener ? state : STATE_TCP_ESTABLISHED;
    case STATE_TCP_RESET:
      return inward === 0 && !hasSyn ? STATE_TCP_PICKUP : state;
    default:
      return state;
  }
}
