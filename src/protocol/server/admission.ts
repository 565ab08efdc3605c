/**
 * What a server does with a control packet of an address that it has no session with. Nothing is kept of a client before it
 * has shown that its address is its own: its reset is answered by a reset whose session id is a cookie (cookie.ts), and only a
 * packet that acknowledges that one begins a session. With tls-crypt-v2 the key of the client comes with either packet.
 * Source: OpenVPN's ssl_pkt.c (tls_pre_decrypt_lite, check_session_hmac_and_pkt_id) and mudp.c.
 */
import type { WrappedKeysConfig } from "../config/server-types.ts";
import type { ControlWrap } from "../config/types.ts";
import type { SessionCookies } from "../control/cookie.ts";
import type { ControlCrypto } from "../control/crypto.ts";
import { RESEND_WRAPPED_KEY, readsEarlyNegotiation } from "../control/early-negotiation.ts";
import {
  ACK_V1,
  CONTROL_V1,
  CONTROL_WKC_V1,
  HARD_RESET_CLIENT_V2,
  HARD_RESET_CLIENT_V3,
  HARD_RESET_SERVER_V2,
  keyIdOf,
  opcodeOf,
} from "../control/opcode.ts";
import { type ControlPacket, controlCheck, controlEmit, controlRead, MAX_CONTROL_LEN } from "../control/packet.ts";
import { controlCrypto } from "../control/protection.ts";
import { splitWrappedKey, unwrapKey } from "../control/wrapped-key.ts";
import {
  DROP_CONTROL_AUTHENTICATION,
  DROP_CONTROL_KEY_AGE,
  DROP_CONTROL_KEY_ID,
  DROP_CONTROL_OVERSIZE,
  DROP_CONTROL_SESSION_ID,
  DROP_CONTROL_UNEXPECTED,
  DROP_NONE,
  DROP_OPCODE_UNKNOWN,
  DROP_PACKET_EMPTY,
} from "../drop.ts";
import type { ControlPrimitives } from "../ports.ts";

export type Admission =
  /** A reset for the client; nothing is kept. */
  | { readonly kind: "answer"; readonly packet: Uint8Array }
  /** The client is where it says: a session takes this packet as its first one. */
  | {
      readonly kind: "session";
      readonly wrap: ControlWrap;
      readonly metadata: Uint8Array;
      readonly resumed: { readonly ownSessionId: Uint8Array; readonly peerSessionId: Uint8Array };
    }
  /** As above, of a client that cannot be answered so (allow-noncookie): the session answers its reset itself. */
  | { readonly kind: "new-session"; readonly wrap: ControlWrap; readonly metadata: Uint8Array };

export interface AdmissionConfig {
  /** Of clients without a key of their own; `none` beside `wrappedKeys`: there are no such clients. */
  readonly wrap: ControlWrap;
  /** The server's end of `wrap`. */
  readonly crypto: ControlCrypto;
  /** tls-crypt-v2. With forceCookie a client that does not read early negotiation is not answered. */
  readonly wrappedKeys: WrappedKeysConfig | undefined;
  readonly cookies: SessionCookies;
  readonly primitives: ControlPrimitives;
}

/** What of a packet could be opened before anything is known about its sender. */
interface Opened {
  readonly packet: ControlPacket;
  readonly replayId: number;
  readonly wrap: ControlWrap;
  readonly crypto: ControlCrypto;
  readonly metadata: Uint8Array;
}

const NOTHING = new Uint8Array(0);
/** Ids of a first exchange: the resets are 0, what follows them 1. */
const LAST_ID = 1;
const DAY_S = 86_400;
/** What stands beside a client's key: when it was made, in seconds as 64 bits (OpenVPN's tls_crypt.h). */
const METADATA_TIMESTAMP = 1;
const TIMESTAMP_LEN = 1 + 8;

/** @param address of the client with its port @returns the drop code where the packet is nobody's */
export function admit(
  config: AdmissionConfig,
  bytes: Uint8Array,
  address: Uint8Array,
  unixSeconds: number,
): Admission | number {
  const opened = open(config, bytes, unixSeconds);
  if (typeof opened === "number") return opened;
  const { packet, wrap, crypto, metadata, replayId } = opened;
  const { cookies, wrappedKeys } = config;
  if (packet.opcode !== HARD_RESET_CLIENT_V2 && packet.opcode !== HARD_RESET_CLIENT_V3) {
    // CVE-2025-13086: which session it acknowledges is what shows that the client has got our answer.
    const own = packet.peerSessionId;
    if (own === undefined || packet.acks.some((id) => id > LAST_ID) || (packet.packetId ?? 0) > LAST_ID)
      return DROP_CONTROL_UNEXPECTED;
    if (!cookies.isOurs(own, address, packet.sessionId, unixSeconds)) return DROP_CONTROL_SESSION_ID;
    return { kind: "session", wrap, metadata, resumed: { ownSessionId: own, peerSessionId: packet.sessionId } };
  }
  if (packet.packetId !== 0 || packet.acks.length > 0) return DROP_CONTROL_UNEXPECTED;
  const readsPayload = readsEarlyNegotiation(replayId);
  if (wrap.kind === "tls-crypt-v2" && !readsPayload)
    return wrappedKeys?.forceCookie === true ? DROP_CONTROL_UNEXPECTED : { kind: "new-session", wrap, metadata };
  const reset = controlEmit({
    opcode: HARD_RESET_SERVER_V2,
    keyId: 0,
    sessionId: cookies.issue(address, packet.sessionId, unixSeconds),
    acks: [0],
    peerSessionId: packet.sessionId,
    packetId: 0,
    payload: wrap.kind === "tls-crypt-v2" ? RESEND_WRAPPED_KEY : NOTHING,
  });
  return { kind: "answer", packet: crypto.seal(reset, 1, unixSeconds >>> 0) };
}

/** The same of the first packet of a connection, whose address is its own: the session takes it as its first one. */
export function admitStream(
  config: AdmissionConfig,
  bytes: Uint8Array,
  unixSeconds: number,
): (Admission & { readonly kind: "new-session" }) | number {
  const opened = open(config, bytes, unixSeconds);
  if (typeof opened === "number") return opened;
  const { packet, wrap, metadata } = opened;
  const isReset = packet.opcode === HARD_RESET_CLIENT_V2 || packet.opcode === HARD_RESET_CLIENT_V3;
  if (!isReset || packet.packetId !== 0 || packet.acks.length > 0) return DROP_CONTROL_UNEXPECTED;
  return { kind: "new-session", wrap, metadata };
}

function open(config: AdmissionConfig, bytes: Uint8Array, unixSeconds: number): Opened | number {
  const { wrap, crypto, wrappedKeys, primitives } = config;
  if (bytes.length === 0) return DROP_PACKET_EMPTY;
  if (bytes.length > MAX_CONTROL_LEN) return DROP_CONTROL_OVERSIZE;
  const opcode = opcodeOf(bytes[0]!);
  if (keyIdOf(bytes[0]!) !== 0) return DROP_CONTROL_KEY_ID;
  if (opcode !== HARD_RESET_CLIENT_V3 && opcode !== CONTROL_WKC_V1) {
    if (opcode !== HARD_RESET_CLIENT_V2 && opcode !== CONTROL_V1 && opcode !== ACK_V1) return DROP_OPCODE_UNKNOWN;
    // Every client has a key of its own: a packet without one is nobody's (OpenVPN's read_control_auth).
    if (wrappedKeys !== undefined && wrap.kind === "none") return DROP_CONTROL_AUTHENTICATION;
    return unseal(bytes, wrap, crypto, NOTHING);
  }
  if (wrappedKeys === undefined) return DROP_OPCODE_UNKNOWN;
  const split = splitWrappedKey(bytes);
  if (typeof split === "number") return split;
  const client = unwrapKey(wrappedKeys.serverKey, split.wrapped, primitives);
  if (client === undefined) return DROP_CONTROL_AUTHENTICATION;
  const { key, metadata } = client;
  const { material, maxAgeDays } = wrappedKeys;
  if (maxAgeDays !== undefined && isOlder(metadata, unixSeconds - maxAgeDays * DAY_S)) return DROP_CONTROL_KEY_AGE;
  const own = { kind: "tls-crypt-v2", key, wrapped: split.wrapped, material } as const;
  return unseal(split.packet, own, controlCrypto(own, "server", primitives), metadata);
}

/** Whether a client's key was made before a time, or does not say when (tls_crypt.c, tls_crypt_v2_check_client_key_age). */
function isOlder(metadata: Uint8Array, unixSeconds: number): boolean {
  if (metadata.length < TIMESTAMP_LEN || metadata[0] !== METADATA_TIMESTAMP) return true;
  const d = new DataView(metadata.buffer, metadata.byteOffset, metadata.byteLength);
  return d.getUint32(1) * 2 ** 32 + d.getUint32(5) < unixSeconds;
}

function unseal(bytes: Uint8Array, wrap: ControlWrap, crypto: ControlCrypto, metadata: Uint8Array): Opened | number {
  const opened = crypto.open(bytes);
  if (typeof opened === "number") return opened;
  const drop = controlCheck(opened.plain);
  if (drop !== DROP_NONE) return drop;
  return { packet: controlRead(opened.plain), replayId: opened.id, wrap, crypto, metadata };
}
