/**
 * The byte that comp-lzo and compress put on each data packet, inside of the encryption. Nothing is ever compressed here;
 * the byte says so in the way that the option asks for (OpenVPN's comp.h; seen with openvpn 2.6):
 *
 *     stub        comp-lzo no               0xfa  packet
 *     stub-swap   compress, compress stub   0xfb  packet without its first byte  that first byte
 *
 * `compress stub-v2` escapes only a payload that starts with 0x50, which no IP packet does: "none" here.
 */
import { DROP_DATA_COMPRESSED, DROP_DATA_FRAMING, DROP_NONE } from "../drop.ts";

export type CompressionFraming = "none" | "stub" | "stub-swap";

const NOT_COMPRESSED = 0xfa;
const NOT_COMPRESSED_SWAP = 0xfb;
const LZO = 0x66;
const LZ4 = 0x69;

export const COMPRESSION_HEADER_LEN = 1;

/**
 * Frames the packet [at, at + len), len > 0, which grows by COMPRESSION_HEADER_LEN: at its start, or with "stub-swap" at its
 * end, into the tailroom.
 * @returns where it starts now
 */
export function compressionEmit(bytes: Uint8Array, framing: CompressionFraming, at: number, len: number): number {
  if (framing === "stub") {
    bytes[at - 1] = NOT_COMPRESSED;
    return at - 1;
  }
  bytes[at + len] = bytes[at]!;
  bytes[at] = NOT_COMPRESSED_SWAP;
  return at;
}

/** @param avail bytes of the opened payload @returns DROP_NONE: compressionStrip may be called */
export function compressionCheck(bytes: Uint8Array, framing: CompressionFraming, at: number, avail: number): number {
  const first = avail > 0 ? bytes[at] : -1;
  if (first === (framing === "stub" ? NOT_COMPRESSED : NOT_COMPRESSED_SWAP)) return DROP_NONE;
  return first === LZO || first === LZ4 ? DROP_DATA_COMPRESSED : DROP_DATA_FRAMING;
}

/**
 * Takes the framing off the checked [at, at + len), in place; COMPRESSION_HEADER_LEN less is left.
 * @returns where the packet starts
 */
export function compressionStrip(bytes: Uint8Array, framing: CompressionFraming, at: number, len: number): number {
  if (framing === "stub") return at + 1;
  bytes[at] = bytes[at + len - 1]!;
  return at;
}
