/**
 * TCP options: kind 0 ends the list, kind 1 is one byte of padding, others are kind | length | data (RFC 9293 3.2).
 *   2 | 4 | MSS (2)   3 | 3 | shift (1)   4 | 2 SACK permitted   5 | 2 + 8n | left (4), right (4), ...   8 | 10 | TSval (4) | TSecr (4)
 * RFC 9293 3.7.1 (MSS), 7323 2.2 and 3.2 (window scale, timestamps), 2018 2 and 3 (SACK).
 */

import { TCP_HEADER_LEN } from "./tcp.ts";

const TCP_OPTION_END = 0;
const TCP_OPTION_NOP = 1;
const TCP_OPTION_MSS = 2;
const TCP_OPTION_WINDOW_SCALE = 3;
const TCP_OPTION_SACK_PERMITTED = 4;
const TCP_OPTION_SACK = 5;
const TCP_OPTION_TIMESTAMPS = 8;

const MSS_LEN = 4;
const WINDOW_SCALE_LEN = 3;
const SACK_PERMITTED_LEN = 2;
const TIMESTAMPS_LEN = 10;
const SACK_BLOCK_LEN = 8;
/** Two bytes of padding, kind and length of timestamps: how everybody begins a segment (RFC 7323 appendix A). */
const ALIGNED_TIMESTAMPS = 0x0101080a;
const ALIGNED_TIMESTAMPS_LEN = 12;

/** A larger shift counts as this (RFC 7323 2.3). */
export const MAX_WINDOW_SCALE = 14;
/** As many SACK blocks as 40 bytes of options hold. */
export const MAX_SACK_BLOCKS = 4;

/** What the options of one segment say; filled anew for each. */
export class TcpOptions {
  /** 0: there is none, or it says 0. Only SYNs have it, and the next two. */
  mss = 0;
  /** Shift of the sender's windows, at most 14; -1: none. */
  windowScale = -1;
  sackPermitted = false;
  hasTimestamps = false;
  tsVal = 0;
  tsEcr = 0;
  sackCount = 0;
  /** left, right of each SACK block, as they came: whoever uses them checks them. */
  readonly sack = new Int32Array(2 * MAX_SACK_BLOCKS);
}

/**
 * Reads the options of a checked header of `headerLen` bytes. What is unknown is skipped, a known option with a wrong length is as if it
 * were not there, and a list that is broken ends there: what came before counts. `isSyn`: MSS, window scale and SACK
 * permitted mean something in SYNs only (RFC 7323 2.2).
 */
export function tcpOptionsRead(d: DataView, at: number, headerLen: number, isSyn: boolean, out: TcpOptions): void {
  out.mss = 0;
  out.windowScale = -1;
  out.sackPermitted = false;
  out.hasTimestamps = false;
  out.sackCount = 0;
  const end = at + headerLen;
  let p = at + TCP_HEADER_LEN;
  if (p + ALIGNED_TIMESTAMPS_LEN <= end && d.getInt32(p) === ALIGNED_TIMESTAMPS) {
    readTimestamps(d, p + 4, out);
    p += ALIGNED_TIMESTAMPS_LEN;
  }
  while (p < end) {
    const kind = d.getUint8(p);
    if (kind === TCP_OPTION_END) return;
    if (kind === TCP_OPTION_NOP) {
      p++;
      continue;
    }
    if (p + 2 > end) return;
    const len = d.getUint8(p + 1);
    if (len < 2 || p + len > end) return;
    if (kind === TCP_OPTION_TIMESTAMPS) {
      if (len === TIMESTAMPS_LEN) readTimestamps(d, p + 2, out);
    } else if (kind === TCP_OPTION_SACK) {
      readSack(d, p, len, out);
    } else if (isSyn) {
      if (kind === TCP_OPTION_MSS && len === MSS_LEN) out.mss = d.getUint16(p + 2);
      else if (kind === TCP_OPTION_WINDOW_SCALE && len === WINDOW_SCALE_LEN)
        out.windowScale = Math.min(d.getUint8(p + 2), MAX_WINDOW_SCALE);
      else if (kind === TCP_OPTION_SACK_PERMITTED && len === SACK_PERMITTED_LEN) out.sackPermitted = true;
    }
    p += len;
  }
}

function readTimestamps(d: DataView, at: number, out: TcpOptions): void {
  out.hasTimestamps = true;
  out.tsVal = d.getInt32(at);
  out.tsEcr = d.getInt32(at + 4);
}

function readSack(d: DataView, at: number, len: number, out: TcpOptions): void {
  const count = (len - 2) / SACK_BLOCK_LEN;
  if (count < 1 || count > MAX_SACK_BLOCKS || !Number.isInteger(count)) return;
  for (let i = 0; i < 2 * count; i++) out.sack[i] = d.getInt32(at + 2 + 4 * i);
  out.sackCount = count;
}

/**
 * Writes the options of a SYN or SYN-ACK at `at` and returns their length, a multiple of 4, at most 20. In a SYN-ACK only
 * what the SYN had may be answered (RFC 7323 2.2 and 3.2, RFC 2018 2).
 * @param windowScale -1: none
 */
export function tcpSynOptionsEmit(
  d: DataView,
  at: number,
  mss: number,
  windowScale: number,
  sackPermitted: boolean,
  hasTimestamps: boolean,
  tsVal: number,
  tsEcr: number,
): number {
  let p = at;
  d.setUint16(p, (TCP_OPTION_MSS << 8) | MSS_LEN);
  d.setUint16(p + 2, mss);
  p += 4;
  if (hasTimestamps) {
    p += emitTimestamps(d, p, tsVal, tsEcr, sackPermitted);
  } else if (sackPermitted) {
    d.setInt32(
      p,
      (TCP_OPTION_NOP << 24) | (TCP_OPTION_NOP << 16) | (TCP_OPTION_SACK_PERMITTED << 8) | SACK_PERMITTED_LEN,
    );
    p += 4;
  }
  if (windowScale >= 0) {
    d.setInt32(p, (TCP_OPTION_NOP << 24) | (TCP_OPTION_WINDOW_SCALE << 16) | (WINDOW_SCALE_LEN << 8) | windowScale);
    p += 4;
  }
  return p - at;
}

/** Bytes that {@link tcpSegmentOptionsEmit} writes. */
export const tcpSegmentOptionsLen = (hasTimestamps: boolean, sackCount: number): number =>
  (hasTimestamps ? ALIGNED_TIMESTAMPS_LEN : 0) + (sackCount === 0 ? 0 : 4 + SACK_BLOCK_LEN * sackCount);

/** SACK blocks that fit beside the timestamps (RFC 2018 3). */
export const tcpSackRoom = (hasTimestamps: boolean): number => (hasTimestamps ? MAX_SACK_BLOCKS - 1 : MAX_SACK_BLOCKS);

/** Writes the options of a segment that is no SYN at `at`, aligned, and returns their length. `sack` holds left and right of each block. */
export function tcpSegmentOptionsEmit(
  d: DataView,
  at: number,
  hasTimestamps: boolean,
  tsVal: number,
  tsEcr: number,
  sack: Int32Array,
  sackCount: number,
): number {
  let p = at;
  if (hasTimestamps) p += emitTimestamps(d, p, tsVal, tsEcr, false);
  if (sackCount > 0) {
    d.setInt32(
      p,
      (TCP_OPTION_NOP << 24) | (TCP_OPTION_NOP << 16) | (TCP_OPTION_SACK << 8) | (2 + SACK_BLOCK_LEN * sackCount),
    );
    p += 4;
    for (let i = 0; i < 2 * sackCount; i++) d.setInt32(p + 4 * i, sack[i]!);
    p += SACK_BLOCK_LEN * sackCount;
  }
  return p - at;
}

/** In place of the padding in front of the timestamps a SYN has room for SACK permitted. */
function emitTimestamps(d: DataView, at: number, tsVal: number, tsEcr: number, sackPermitted: boolean): number {
  d.setInt32(
    at,
    sackPermitted
      ? (TCP_OPTION_SACK_PERMITTED << 24) | (SACK_PERMITTED_LEN << 16) | (TCP_OPTION_TIMESTAMPS << 8) | TIMESTAMPS_LEN
      : ALIGNED_TIMESTAMPS,
  );
  d.setInt32(at + 4, tsVal);
  d.setInt32(at + 8, tsEcr);
  return ALIGNED_TIMESTAMPS_LEN;
}

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
    if (kind === TCP_OPTION_MSS) return len === MSS_LEN ? p + 2 : -1;
    p += len;
  }
  return -1;
}
