/**
 * Addresses that no public name has (DNS rebinding): a page of the internet whose name turns into an address of the LAN, or of the
 * browser's own machine, gets what only those may ask for. Looked for in what an answer says of addresses: A, AAAA and the hints
 * of SVCB and HTTPS (RFC 9460 7.3).
 */
import { type DnsRecordView, DnsType } from "../wire/dns-message.ts";

const HINT_IPV4 = 4;
const HINT_IPV6 = 6;

/** Whether the data of a record that was read names a private address; what has no such form says nothing. */
export function isPrivateRecord(d: DataView, { type, dataAt, end }: DnsRecordView): boolean {
  switch (type) {
    case DnsType.A:
      return end - dataAt === 4 && isPrivateIpv4(d.getUint32(dataAt));
    case DnsType.AAAA:
      return end - dataAt === 16 && isPrivateIpv6(d, dataAt);
    case DnsType.SVCB:
    case DnsType.HTTPS:
      return hasPrivateHint(d, dataAt, end);
    default:
      return false;
  }
}

/** 0/8, 10/8, 127/8, 169.254/16, 172.16/12, 192.168/16 (RFC 6890 2.2.2): "this host" is the browser's own, too. */
function isPrivateIpv4(address: number): boolean {
  const top = address >>> 24;
  const half = address >>> 16;
  return top === 0 || top === 10 || top === 127 || half === 0xa9fe || address >>> 20 === 0xac1 || half === 0xc0a8;
}

/** ::, ::1, fc00::/7, fe80::/10, fec0::/10, and IPv4 in ::ffff:0:0/96, ::/96 and 64:ff9b::/96 (RFC 6052). */
function isPrivateIpv6(d: DataView, at: number): boolean {
  const w0 = d.getUint32(at);
  const w1 = d.getUint32(at + 4);
  const w2 = d.getUint32(at + 8);
  const w3 = d.getUint32(at + 12);
  const top = w0 >>> 25;
  if (top === 0x7e || w0 >>> 22 === 0x3fa || w0 >>> 22 === 0x3fb) return true;
  if (w0 === 0 && w1 === 0 && (w2 === 0 || w2 === 0xffff)) return (w2 === 0 && w3 <= 1) || isPrivateIpv4(w3);
  return w0 === 0x64ff9b && w1 === 0 && w2 === 0 && isPrivateIpv4(w3);
}

/** SVCB data (RFC 9460 2.2): priority (2), a name without pointers, then key (2), length (2), value. */
function hasPrivateHint(d: DataView, dataAt: number, end: number): boolean {
  let p = dataAt + 2;
  while (p < end && d.getUint8(p) !== 0) p += d.getUint8(p) + 1;
  for (p++; p + 4 <= end; ) {
    const key = d.getUint16(p);
    const next = p + 4 + d.getUint16(p + 2);
    if (next > end) return false;
    if (key === HINT_IPV4) {
      for (let at = p + 4; at + 4 <= next; at += 4) if (isPrivateIpv4(d.getUint32(at))) return true;
    } else if (key === HINT_IPV6) {
      for (let at = p + 4; at + 16 <= next; at += 16) if (isPrivateIpv6(d, at)) return true;
    }
    p = next;
  }
  return false;
}
