/**
 * How control packets are protected: with nothing, tls-auth or tls-crypt. A ControlCrypto is keys alone. It turns the plain
 * form of a packet (packet.ts) into what is on the link and back, and remembers nothing, so that one serves all peers with
 * the same key, and a packet can be opened before there is a session for it. Counters and replay window are in
 * replay-guard.ts.
 */
/** Replay id and time in front of each protected packet, 4 bytes each (OpenVPN's packet_id.c, long form). */
export const REPLAY_ID_LEN = 8;

/** An authentic packet. Whether it is a replay is the guard's question. */
export interface Opened {
  readonly plain: Uint8Array;
  readonly id: number;
  /** Seconds. */
  readonly time: number;
}

export interface ControlCrypto {
  /** Bytes that sealing adds. */
  readonly overhead: number;
  /** Whether packets carry a replay id, and prove that the sender has the key. */
  readonly authenticates: boolean;
  /** Whether all after the session id is encrypted. */
  readonly conceals: boolean;
  seal(plain: Uint8Array, id: number, time: number): Uint8Array;
  /** The packet's plain form, or the drop code. */
  open(packet: Uint8Array): Opened | number;
}
