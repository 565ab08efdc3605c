/**
 * Control and ACK packets in their plain form, which is what tls-auth and tls-crypt protect:
 *
 *     opcode|key id (1)  own session id (8)  n (1)  n x acknowledged id (4)  [peer session id (8) if n > 0]
 *     [packet id (4)  payload - absent in ACK_V1]
 *
 * These are few: whole packets as Uint8Array, objects are fine. Source: OpenVPN's ssl_pkt.h and reliable.h.
 */
import { DROP_CONTROL_ACKS, DROP_CONTROL_TRUNCATED, DROP_NONE } from "../drop.ts";
import { ACK_V1, firstByte, keyIdOf, opcodeOf } from "./opcode.ts";

export const SESSION_ID_LEN = 8;
/** Of an acknowledgement, and of the packet's own id. */
export const ACK_LEN = 4;
export const PACKET_ID_LEN = 4;
/** Opcode and own session id: what is never encrypted. */
export const CONTROL_HEADER_LEN = 1 + SESSION_ID_LEN;
/** Our choice, twice OpenVPN's own buffer: a longer datagram is refused before the work of looking into it. */
export const MAX_CONTROL_LEN = 4096;
/** Ids that an ACK_V1 may carry; more in any packet is refused. */
export const MAX_ACKS = 8;
/** Ids that ride on another control packet. */
export const MAX_PIGGYBACK_ACKS = 4;
/** Bytes of a packet beside protection and payload, with as many acknowledgements as ride along at most. */
export const CONTROL_OVERHEAD = CONTROL_HEADER_LEN + 1 + 4 * MAX_PIGGYBACK_ACKS + SESSION_ID_LEN + 4;

export interface ControlPacket {
  readonly opcode: number;
  readonly keyId: number;
  readonly sessionId: Uint8Array;
  readonly acks: readonly number[];
  /** Present exactly when there are acks. */
  readonly peerSessionId: Uint8Array | undefined;
  /** undefined in an ACK_V1. */
  readonly packetId: number | undefined;
  readonly payload: Uint8Array;
}

/** DROP_NONE when {@link controlRead} may read the plain packet. */
export function controlCheck(p: Uint8Array): number {
  if (p.length < CONTROL_HEADER_LEN + 1) return DROP_CONTROL_TRUNCATED;
  const isAck = opcodeOf(p[0]!) === ACK_V1;
  const acks = p[CONTROL_HEADER_LEN]!;
  if (acks > MAX_ACKS || (isAck && acks === 0)) return DROP_CONTROL_ACKS;
  const need = CONTROL_HEADER_LEN + 1 + (acks > 0 ? 4 * acks + SESSION_ID_LEN : 0) + (isAck ? 0 : 4);
  return p.length < need ? DROP_CONTROL_TRUNCATED : DROP_NONE;
}

/** The packet's fields; the arrays are copies. Only after {@link controlCheck}. */
export function controlRead(p: Uint8Array): ControlPacket {
  const d = new DataView(p.buffer, p.byteOffset, p.byteLength);
  const opcode = opcodeOf(p[0]!);
  const count = p[CONTROL_HEADER_LEN]!;
  let at = CONTROL_HEADER_LEN + 1;
  const acks: number[] = [];
  for (let i = 0; i < count; i++, at += 4) acks.push(d.getUint32(at));
  let peerSessionId: Uint8Array | undefined;
  if (count > 0) {
    peerSessionId = p.slice(at, at + SESSION_ID_LEN);
    at += SESSION_ID_LEN;
  }
  let packetId: number | undefined;
  if (opcode !== ACK_V1) {
    packetId = d.getUint32(at);
    at += 4;
  }
  return {
    opcode,
    keyId: keyIdOf(p[0]!),
    sessionId: p.slice(1, CONTROL_HEADER_LEN),
    acks,
    peerSessionId,
    packetId,
    payload: opcode === ACK_V1 ? p.slice(0, 0) : p.slice(at),
  };
}

/** The plain form of a packet. */
export function controlEmit(packet: ControlPacket): Uint8Array {
  const { acks, peerSessionId, packetId, payload } = packet;
  const size =
    CONTROL_HEADER_LEN +
    1 +
    (acks.length > 0 ? 4 * acks.length + SESSION_ID_LEN : 0) +
    (packetId === undefined ? 0 : 4 + payload.length);
  const p = new Uint8Array(size);
  const d = new DataView(p.buffer);
  p[0] = firstByte(packet.opcode, packet.keyId);
  p.set(packet.sessionId, 1);
  p[CONTROL_HEADER_LEN] = acks.length;
  let at = CONTROL_HEADER_LEN + 1;
  for (const id of acks) {
    d.setUint32(at, id);
    at += 4;
  }
  if (acks.length > 0 && peerSessionId !== undefined) {
    p.set(peerSessionId, at);
    at += SESSION_ID_LEN;
  }
  if (packetId !== undefined) {
    d.setUint32(at, packetId);
    p.set(payload, at + 4);
  }
  return p;
}
