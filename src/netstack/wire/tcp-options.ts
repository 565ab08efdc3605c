/** TCP options (RFC 9293 3.2): kind 0 ends the list, kind 1 is one byte of padding, others are kind | length | data. */

import { TCP_HEADER_LEN } from "./tcp.ts";

const TCP_OPTION_END = 0;
const TCP_OPTION_NOP = 1;
const TCP_OPTION_MSS = 2;

/**
 * Offset of the MSS value (2 bytes) in a checked header of `headerLen` bytes, or -1 when there is no MSS option, it is
 * malformed, or the list is broken before it. The whole option lies within the header.
 */
export function tcpMssAt(d: DataView, at: number, headerLen: number): number {
  const end = at + headerLen;
  for (let p = at + TCP_HEADER_LEN; p < end; ) {
    const kind = d.getUint8(p);
    if (kind === TCP_OPTION_END) return -1;
    if (kind === TCP_OPTION_NOP) {
      p++;
      continue;
    }
    if (p + 2 > end) return -1;
    const len = d.getUint8(p + 1);
    if (len < 2 || p + len > end) return -1;
    if (kind === TCP_OPTION_MSS) return len === 4 ? p + 2 : -1;
    p += len;
  }
  return -1;
}
