/** ICMP echo in IPv4 (RFC 792), as much as a ping needs. */

/** @param from,to dotted quads @param sequence 0 to 65535 */
export function echoRequest(from: string, to: string, sequence: number): Uint8Array {
  const packet = new Uint8Array(28);
  const view = new DataView(packet.buffer);
  packet.set([0x45, 0, 0, packet.length, 0, 0, 0, 0, 64, 1]);
  packet.set([...from.split("."), ...to.split(".")].map(Number), 12);
  view.setUint16(10, checksum(view, 0, 20));
  packet[20] = 8;
  view.setUint16(26, sequence);
  view.setUint16(22, checksum(view, 20, packet.length));
  return packet;
}

/** The sequence number of an echo reply; undefined: it is something else. */
export function echoReply(packet: Uint8Array): number | undefined {
  const isReply = packet.length >= 28 && packet[0] === 0x45 && packet[9] === 1 && packet[20] === 0;
  return isReply ? ((packet[26] as number) << 8) | (packet[27] as number) : undefined;
}

/** RFC 1071. */
function checksum(view: DataView, from: number, end: number): number {
  let sum = 0;
  for (let at = from; at < end; at += 2) sum += view.getUint16(at);
  return ~((sum & 0xffff) + (sum >>> 16)) & 0xffff;
}
