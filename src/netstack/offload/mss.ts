/** The MSS clamp: a SYN that crosses the tunnel announces no more than fits it (RFC 879, RFC 6691; OpenVPN's mssfix). */
import { checksumUpdate16 } from "../wire/checksum.ts";
import { TCP_CHECKSUM_OFFSET, TCP_SYN, tcpFlags, tcpHeaderLen } from "../wire/tcp.ts";
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

const swap = (x: number): number => ((x & 0xff) << 8) | (x >>> 8);
