/**
 * Headers of capture files that tcpdump and Wireshark read (draft-ietf-opsawg-pcap), little endian, microseconds:
 *
 *     file:    magic (4)  version 2.4 (4)  0 (8)  most bytes of a record (4)  link type (4)
 *     record:  seconds (4)  microseconds (4)  bytes kept (4)  bytes of the packet (4), then the packet
 */
const MAGIC = 0xa1b2c3d4;
const MOST_BYTES = 262_144;

export const LINKTYPE_ETHERNET = 1;
/** IPv4 and IPv6 packets without a link header. */
export const LINKTYPE_RAW = 101;

export function pcapFileHeader(linkType: number): Uint8Array<ArrayBuffer> {
  const d = new DataView(new ArrayBuffer(24));
  d.setUint32(0, MAGIC, true);
  d.setUint16(4, 2, true);
  d.setUint16(6, 4, true);
  d.setUint32(16, MOST_BYTES, true);
  d.setUint32(20, linkType, true);
  return new Uint8Array(d.buffer);
}

/** @param ms of the packet, from any start */
export function pcapRecordHeader(ms: number, length: number): Uint8Array<ArrayBuffer> {
  const d = new DataView(new ArrayBuffer(16));
  d.setUint32(0, Math.floor(ms / 1000), true);
  d.setUint32(4, Math.floor((ms % 1000) * 1000), true);
  d.setUint32(8, length, true);
  d.setUint32(12, length, true);
  return new Uint8Array(d.buffer);
}
