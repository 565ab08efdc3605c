/**
 * The header of data packets, which is the same for every kind of key. Functions over (DataView of the slab, absolute
 * offset). What follows it is the key's (aead-key.ts).
 *
 *     V1: opcode|key id (1)
 *     V2: opcode|key id (1)  peer id (3)
 *
 * Source: OpenVPN's ssl_pkt.h.
 */
import { DATA_V1, DATA_V2, firstByte } from "../control/opcode.ts";
import { DROP_DATA_TRUNCATED, DROP_NONE } from "../drop.ts";

export const DATA_V1_HEADER_LEN = 1;
export const DATA_V2_HEADER_LEN = 4;
/** No peer id: packets go as DATA_V1. */
export const PEER_ID_NONE = 0xffffff;

export const dataHeaderLen = (isV2: boolean): number => (isV2 ? DATA_V2_HEADER_LEN : DATA_V1_HEADER_LEN);

/** @param avail bytes from `at` to the end of the datagram, at least 1 */
export function dataCheck(avail: number, isV2: boolean): number {
  return avail < dataHeaderLen(isV2) ? DROP_DATA_TRUNCATED : DROP_NONE;
}

/** @param at start of a DATA_V2 packet */
export const dataPeerId = (d: DataView, at: number): number => d.getUint32(at) & 0xffffff;

export function dataEmitV1(d: DataView, at: number, keyId: number): void {
  d.setUint8(at, firstByte(DATA_V1, keyId));
}

/** The same with the peer id. */
export function dataEmitV2(d: DataView, at: number, keyId: number, peerId: number): void {
  d.setUint32(at, (firstByte(DATA_V2, keyId) << 24) | peerId);
}
