/**
 * Why a packet was dropped. A drop code is a negative number, so one return value can be an offset or the reason why there
 * is none; `~code` is its index in the counters. New drops go to the end; each has the sentence that an operator reads.
 */
import { Counters } from "../lib/counters.ts";

const DROPS = {
  "packet-empty": "a datagram without a byte",
  "opcode-unknown": "the first byte is no opcode of OpenVPN that this side receives",
  "control-truncated": "a control packet ends within its header",
  "control-acks": "a control packet acknowledges more ids than a packet may, or is an ACK of nothing",
  "control-authentication": "the tls-auth HMAC or tls-crypt tag is wrong: another key, or a forged or damaged packet",
  "control-replay": "the control packet's replay id was seen before or is too old",
  "control-session-id": "a control packet of another session",
  "control-key-id": "a control packet for a key that is not in use",
  "control-unexpected": "a control packet that has no meaning in this state (a late or forged reset)",
  "control-window": "a control packet ahead of the receive window",
  "data-truncated": "a data packet shorter than its header",
  "data-early": "a data packet before the tunnel is up",
  "data-key-id": "a data packet of a key that is not in use",
  "data-peer-id": "a data packet with another peer id",
  "data-replay": "the data packet's id was seen before or is outside of the replay window",
  "data-authentication": "the data packet's tag is wrong: forged or damaged",
  "data-no-room": "the caller's batch of opened packets was full",
  "seal-no-key": "a packet to send while there is no key to send with",
  "seal-exhausted": "a packet to send after the key's packet ids were used up",
  "session-ended": "a packet after the end of the session",
  "data-framing": "an opened packet without the compression byte that comp-lzo or compress asks for",
  "data-compressed":
    "an opened packet that the peer compressed, and there is no library to read it, or allow-compression forbids it",
  "control-oversize": "a control packet longer than any that OpenVPN sends",
  "data-decompression": "an opened packet that is compressed, but damaged or larger than tun-mtu-max",
  "data-fragment": "an opened packet without the header that fragment asks for, or with one that cannot be",
  "data-fragment-lost": "a packet in pieces of which some did not come in time",
  "seal-too-large": "a packet to send that fragment would cut into more pieces than it may have",
  "data-padding": "an authentic packet of CBC whose end is no padding",
  "data-epoch": "a data packet of an epoch that is over, or further ahead than any that may come next",
  "control-key-age": "a client's tls-crypt-v2 key is older than tls-crypt-v2-max-age, or does not say how old it is",
} as const;

export type SessionDrop = keyof typeof DROPS;

export const SESSION_DROP_NAMES = Object.keys(DROPS) as SessionDrop[];

/** The sentence for an operator. */
export const sessionDropText = (name: SessionDrop): string => DROPS[name];

/** The drops of one session, by name. */
export class SessionDrops extends Counters<SessionDrop> {
  constructor() {
    super(SESSION_DROP_NAMES);
  }

  /** Counts `n` packets that were dropped for this reason. */
  drop(code: number, n = 1): void {
    this.values[~code]! += n;
  }

  /** Counts what another one has counted. */
  add({ values }: SessionDrops): void {
    for (let i = 0; i < values.length; i++) this.values[i]! += values[i]!;
  }
}

const code = (name: SessionDrop): number => ~SESSION_DROP_NAMES.indexOf(name);

/** No drop. */
export const DROP_NONE = 0;
export const DROP_PACKET_EMPTY = code("packet-empty");
export const DROP_OPCODE_UNKNOWN = code("opcode-unknown");
export const DROP_CONTROL_TRUNCATED = code("control-truncated");
export const DROP_CONTROL_ACKS = code("control-acks");
export const DROP_CONTROL_AUTHENTICATION = code("control-authentication");
export const DROP_CONTROL_REPLAY = code("control-replay");
export const DROP_CONTROL_SESSION_ID = code("control-session-id");
export const DROP_CONTROL_KEY_ID = code("control-key-id");
export const DROP_CONTROL_UNEXPECTED = code("control-unexpected");
export const DROP_CONTROL_WINDOW = code("control-window");
export const DROP_DATA_TRUNCATED = code("data-truncated");
export const DROP_DATA_EARLY = code("data-early");
export const DROP_DATA_KEY_ID = code("data-key-id");
export const DROP_DATA_PEER_ID = code("data-peer-id");
export const DROP_DATA_REPLAY = code("data-replay");
export const DROP_DATA_AUTHENTICATION = code("data-authentication");
export const DROP_DATA_NO_ROOM = code("data-no-room");
export const DROP_SEAL_NO_KEY = code("seal-no-key");
export const DROP_SEAL_EXHAUSTED = code("seal-exhausted");
export const DROP_SESSION_ENDED = code("session-ended");
export const DROP_DATA_FRAMING = code("data-framing");
export const DROP_DATA_COMPRESSED = code("data-compressed");
export const DROP_CONTROL_OVERSIZE = code("control-oversize");
export const DROP_DATA_DECOMPRESSION = code("data-decompression");
export const DROP_DATA_FRAGMENT = code("data-fragment");
export const DROP_DATA_FRAGMENT_LOST = code("data-fragment-lost");
export const DROP_SEAL_TOO_LARGE = code("seal-too-large");
export const DROP_DATA_PADDING = code("data-padding");
export const DROP_DATA_EPOCH = code("data-epoch");
export const DROP_CONTROL_KEY_AGE = code("control-key-age");

/** What ends a stream, as in OpenVPN (forward.c, process_incoming_link_part1; ssl.c, tls_pre_decrypt): it cannot be the network's doing. */
const BREAKS_STREAM: ReadonlySet<number> = new Set([
  DROP_OPCODE_UNKNOWN,
  DROP_CONTROL_TRUNCATED,
  DROP_CONTROL_ACKS,
  DROP_CONTROL_AUTHENTICATION,
  DROP_CONTROL_REPLAY,
  DROP_CONTROL_OVERSIZE,
  DROP_DATA_TRUNCATED,
  DROP_DATA_REPLAY,
  DROP_DATA_AUTHENTICATION,
]);

/** The name of the drop that ends the stream under a session; undefined: the session goes on. */
export const streamBreak = (isStream: boolean, drop: number): SessionDrop | undefined =>
  drop !== DROP_NONE && isStream && BREAKS_STREAM.has(drop) ? SESSION_DROP_NAMES[~drop] : undefined;
