/** The MSS clamp: a SYN that crosses the tunnel announces no more than fits it (RFC 879, RFC 6691; OpenVPN's mssfix). */
import { Drop } from "../drop.ts";
import { checksumUpdate16 } from "../wire/checksum.ts";
import { ipv4Check, ipv4FragmentOffset, ipv4HeaderLen, ipv4Protocol, ipv4TotalLen, PROTO_TCP } from "../wire/ipv4.ts";
import { TCP_CHECKSUM_OFFSET, TCP_SYN, tcpCheck, tcpFlags, tcpHeaderLen } from "../wire/tcp.ts";
import { tcpMssAt } from "../wire/tcp-options.ts";

/** Lowers the MSS option of the checked TCP header at `at` to `max` when it is a SYN with a larger one; the checksum follows. */
export function clampMss(d: DataView, at: number, max: number): void {
  if ((tcpFlags(d, at) & TCP_SYN) === 0) return;
  const p = tcpMssAt(d, at, tcpHeaderLen(d, at));
  if (p < 0) return;
  const before = d.getUint16(p);
  if (before <= max) return;
  d.setUint16(p, max);
  // At an odd offset the value lies across two words of the sum: there its bytes count swapped (RFC 1071 2 B).
  const odd = ((p - at) & 1) !== 0;
  const check = d.getUint16(at + TCP_CHECKSUM_OFFSET);
  d.setUint16(
    at + TCP_CHECKSUM_OFFSET,
    odd ? checksumUpdate16(check, swap(before), swap(max)) : checksumUpdate16(check, before, max),
  );
}

/** The same for the `len` bytes at `at`, which nobody has checked: what is not an IPv4 packet with a whole TCP header is left as it is. */
export function clampMssOfPacket(d: DataView, at: number, len: number, max: number): void {
  if (ipv4Check(d, at, len) !== Drop.None) return;
  if (ipv4Protocol(d, at) !== PROTO_TCP || ipv4FragmentOffset(d, at) !== 0) return;
  const tcp = at + ipv4HeaderLen(d, at);
  if (tcpCheck(d, tcp, at + ipv4TotalLen(d, at) - tcp) === Drop.None) clampMss(d, tcp, max);
}

const swap = (x: number): number => ((x & 0xff) << 8) | (x >>> 8);
