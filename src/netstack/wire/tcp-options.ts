/** TCP options (RFC 9293 3.2): kind 0 ends the list, kind 1 is one byte of padding, others are kind | length | data. */

import { TCP_HEADER_LEN } from "./tcp.ts";

export const TCP_OPTION_END = 0;
export const TCP_OPTION_NOP = 1;
export const TCP_OPTION_MSS = 2;
export const TCP_OPTION_WINDOW_SCALE = 3;
export const TCP_OPTION_SACK_PERMITTED = 4;
export const TCP_OPTION_SACK = 5;
export const TCP_OPTION_TIMESTAMPS = 8;

/**
 * Offset of the option `kind` in a checked header of `headerLen` bytes, or -1 when it is not there or the list is broken
 * before it. The whole option lies within the header.
 */
export function tcpOptionFind(d: DataView, at: number, headerLen: number, kind: number): number {
  const end = at + headerLen;
  for (let p = at + TCP_HEADER_LEN; p < end; ) {
    const k = d.getUint8(p);
    if (k === TCP_OPTION_END) return -1;
    if (k === TCP_OPTION_NOP) {
      p++;
      continue;
    }
    if (p + 2 > end) return -1;
    const len = d.getUint8(p + 1);
    if (len < 2 || p + len > end) return -1;
    if (k === kind) return p;
    p += len;
  }
  return -1;
}

/** Offset of the MSS value (2 bytes) in a checked header, or -1 when there is no well-formed MSS option. */
export function tcpMssAt(d: DataView, at: number, headerLen: number): number {
  const p = tcpOptionFind(d, at, headerLen, TCP_OPTION_MSS);
  return p >= 0 && d.getUint8(p + 1) === 4 ? p + 2 : -1;
}
