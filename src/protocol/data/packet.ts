/**
 * Data packets with AEAD (classic format, tag first). Functions over (DataView of the slab, absolute offset).
 *
 *     V1: opcode|key id (1)               packet id (4)  tag (16)  ciphertext      additional data: the packet id
 *     V2: opcode|key id (1)  peer id (3)  packet id (4)  tag (16)  ciphertext      additional data: all 8 bytes before the tag
 *
 * Nothing moves when a packet is sealed: the header is written in front of it. Source: OpenVPN's ssl_pkt.h and crypto.h.
 */

import { DATA_V1, DATA_V2, firstByte } from "../control/opcode.ts";
import { DROP_DATA_TRUNCATED, DROP_NONE } from "../drop.ts";

export const TAG_LEN = 16;
export const DATA_V1_OVERHEAD = 1 + 4 + TAG_LEN;
export const DATA_V2_OVERHEAD = 4 + 4 + TAG_LEN;
/** No peer id: packets go as DATA_V1. */
export const PEER_ID_NONE = 0xffffff;

/** @param avail bytes from `at` to the end of the datagram, at least 1 */
export function dataCheck(avail: number, isV2: boolean): number {
  return avail < (isV2 ? DATA_V2_OVERHEAD : DATA_V1_OVERHEAD) ? DROP_DATA_TRUNCATED : DROP_NONE;
}

/** @param at start of a DATA_V2 packet */
export const dataPeerId = (d: DataView, at: number): number => d.getUint32(at) & 0xffffff;

/** Writes opcode, key id and packet id in front of `at` - TAG_LEN, where the tag goes. @param at start of the payload */
export function dataEmitV1(d: DataView, at: number, keyId: number, packetId: number): void {
  d.setUint8(at - DATA_V1_OVERHEAD, firstByte(DATA_V1, keyId));
  d.setUint32(at - TAG_LEN - 4, packetId);
}

/** The same with the peer id. */
export function dataEmitV2(d: DataView, at: number, keyId: number, peerId: number, packetId: number): void {
  d.setUint32(at - DATA_V2_OVERHEAD, (firstByte(DATA_V2, keyId) << 24) | peerId);
  d.setUint32(at - TAG_LEN - 4, packetId);
}
