/**
 * OpenVPN's control packets in clear, as its documents describe them:
 *
 *     opcode << 3 | key id (1)   session id of the sender (8)   n (1)   n acknowledged ids (4 each)
 *     session id of the receiver (8), only where n > 0          packet id (4) and payload, not in ACK_V1
 */

export const SOFT_RESET = 3;
export const CONTROL = 4;
export const ACK = 5;
export const DATA_V1 = 6;
export const HARD_RESET_CLIENT = 7;
export const HARD_RESET_SERVER = 8;
export const DATA_V2 = 9;
export const HARD_RESET_CLIENT_WKC = 10;
export const CONTROL_WKC = 11;

export interface ControlPacket {
  readonly opcode: number;
  readonly keyId: number;
  readonly from: Buffer;
  readonly acks: readonly number[];
  /** Present where there are acks. */
  readonly to: Buffer | undefined;
  /** Absent in an ACK. */
  readonly id: number | undefined;
  readonly payload: Buffer;
}

export const opcode = (packet: Uint8Array): number => (packet[0] ?? 0) >> 3;
export const keyId = (packet: Uint8Array): number => (packet[0] ?? 0) & 7;

export function encode(packet: ControlPacket): Buffer {
  const head = Buffer.alloc(10);
  head[0] = (packet.opcode << 3) | packet.keyId;
  packet.from.copy(head, 1);
  head[9] = packet.acks.length;
  const parts = [head, ...packet.acks.map(uint32)];
  if (packet.acks.length > 0) parts.push(packet.to ?? Buffer.alloc(8));
  if (packet.id !== undefined) parts.push(uint32(packet.id), packet.payload);
  return Buffer.concat(parts);
}

/** Throws where the packet breaks the format. */
export function decode(bytes: Buffer): ControlPacket {
  const count = bytes.readUInt8(9);
  if (count > 8) throw new Error(`${count} acknowledgements in one packet`);
  const acks = Array.from({ length: count }, (_, i) => bytes.readUInt32BE(10 + 4 * i));
  let at = 10 + 4 * count;
  let to: Buffer | undefined;
  if (count > 0) {
    to = bytes.subarray(at, at + 8);
    if (to.length < 8) throw new Error("the receiver's session id is cut");
    at += 8;
  }
  const isAck = opcode(bytes) === ACK;
  if (isAck && (count === 0 || at !== bytes.length)) throw new Error("an ACK of nothing, or with something behind it");
  return {
    opcode: opcode(bytes),
    keyId: keyId(bytes),
    from: bytes.subarray(1, 9),
    acks,
    to,
    id: isAck ? undefined : bytes.readUInt32BE(at),
    payload: isAck ? Buffer.alloc(0) : bytes.subarray(at + 4),
  };
}

export function uint32(n: number): Buffer {
  const out = Buffer.alloc(4);
  out.writeUInt32BE(n);
  return out;
}
