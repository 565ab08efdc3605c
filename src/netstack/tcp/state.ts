/** The states of a connection (RFC 9293 3.3.2). LISTEN is a {@link ListenSocket}; half-open and TIME-WAIT are rows (backlog.ts, time-wait.ts). */
export const CLOSED = 0;
export const SYN_SENT = 1;
export const SYN_RECEIVED = 2;
export const ESTABLISHED = 3;
export const FIN_WAIT_1 = 4;
export const FIN_WAIT_2 = 5;
export const CLOSE_WAIT = 6;
export const CLOSING = 7;
export const LAST_ACK = 8;

const NAMES = [
  "CLOSED",
  "SYN-SENT",
  "SYN-RECEIVED",
  "ESTABLISHED",
  "FIN-WAIT-1",
  "FIN-WAIT-2",
  "CLOSE-WAIT",
  "CLOSING",
  "LAST-ACK",
] as const;
export type StateName = (typeof NAMES)[number];

export const stateName = (state: number): StateName => NAMES[state] as StateName;

/** Both sides have each other's SYN. */
export const isSynchronized = (state: number): boolean => state >= ESTABLISHED;
/** Data of the peer may still come. */
export const mayReceive = (state: number): boolean =>
  state === ESTABLISHED || state === FIN_WAIT_1 || state === FIN_WAIT_2;
