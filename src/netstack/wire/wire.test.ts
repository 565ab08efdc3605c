import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { DROP_NAMES, DROP_TEXT, Drop, type DropCode } from "../drop.ts";
import { GuardedView } from "../testing/guarded.ts";
import {
  ARP_LEN,
  ARP_REPLY,
  arpCheck,
  arpEmit,
  arpOperation,
  arpSenderIp,
  arpSenderMacHi,
  arpSenderMacLo,
  arpTargetIp,
} from "./arp.ts";
import {
  change32,
  checksum,
  checksumUpdate16,
  checksumUpdate32,
  fold,
  pseudoSum,
  sumBytes,
  sumHeader,
} from "./checksum.ts";
import {
  etherCheck,
  etherDstHi,
  etherDstLo,
  etherEmit,
  etherSrcHi,
  etherSrcLo,
  etherType,
  isBroadcastMac,
  isGroupMac,
} from "./ethernet.ts";
import {
  icmpCheck,
  icmpCode,
  icmpEchoId,
  icmpEchoSeq,
  icmpEmit,
  icmpIsError,
  icmpNextHopMtu,
  icmpType,
} from "./icmpv4.ts";
import {
  ipv4Check,
  ipv4DecrementTtl,
  ipv4DontFragment,
  ipv4Emit,
  ipv4FragmentOffset,
  ipv4HeaderLen,
  ipv4Id,
  ipv4IsFragment,
  ipv4MoreFragments,
  ipv4OptionsCheck,
  ipv4Protocol,
  ipv4RefreshChecksum,
  ipv4RewriteDst,
  ipv4RewriteSrc,
  ipv4TotalLen,
  ipv4Ttl,
} from "./ipv4.ts";
import { printFrame } from "./print.ts";
import {
  TCP_ACK,
  TCP_SYN,
  tcpAck,
  tcpCheck,
  tcpChecksumValid,
  tcpDstPort,
  tcpEmit,
  tcpFlags,
  tcpHeaderLen,
  tcpSeq,
  tcpSetChecksum,
  tcpSrcPort,
  tcpWindow,
} from "./tcp.ts";
import { tcpMssAt } from "./tcp-options.ts";
import {
  UDP_CHECKSUM_OFFSET,
  udpCheck,
  udpChecksumValid,
  udpDstPort,
  udpEmit,
  udpLen,
  udpSetChecksum,
  udpSetPartialChecksum,
  udpSrcPort,
} from "./udp.ts";

const hex = (text: string): Uint8Array<ArrayBuffer> =>
  Uint8Array.from(text.match(/[0-9a-f]{2}/g) ?? [], (x) => Number.parseInt(x, 16));
const viewOf = (bytes: Uint8Array<ArrayBuffer>): DataView => new DataView(bytes.buffer);
const dirty = (n: number): Uint8Array<ArrayBuffer> => new Uint8Array(n).fill(0xa5);
const seen = fc.assert;

/** The definition in RFC 1071 1, with big numbers: the twin of sumBytes. */
function slowSum(bytes: Uint8Array): number {
  let sum = 0n;
  for (let i = 0; i < bytes.length; i += 2) sum += (BigInt(bytes[i]!) << 8n) | BigInt(bytes[i + 1] ?? 0);
  while (sum >> 16n) sum = (sum & 0xffffn) + (sum >> 16n);
  return Number(sum);
}

// A captured header, 172.16.10.99 to 172.16.10.12, whose checksum is b1e6.
const SYN = hex(`45 00 00 3c 1c 46 40 00 40 06 b1 e6 ac 10 0a 63 ac 10 0a 0c`);

describe("checksum", () => {
  test("known sums: RFC 1071 3, and a header whose checksum b1e6 is right", () => {
    expect(sumBytes(viewOf(hex("00 01 f2 03 f4 f5 f6 f7")), 0, 8)).toBe(0xddf2);
    expect(checksum(viewOf(SYN), 0, 20)).toBe(0);
  });

  test("the fast sum is the slow one at every alignment and length", () => {
    seen(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(7), (data, shift) => {
        const memory = dirty(data.length + 16);
        memory.set(data, shift);
        return sumBytes(viewOf(memory), shift, data.length) === slowSum(data);
      }),
    );
    const big = new Uint8Array(65535).fill(0xff);
    expect(sumBytes(viewOf(big), 0, 65535)).toBe(slowSum(big));
  });

  test("the sum of a header is that of its 20 bytes", () => {
    seen(
      fc.property(fc.uint8Array({ minLength: 20, maxLength: 20 }), fc.nat(5), (data, shift) => {
        const memory = new Uint8Array(shift + 20);
        memory.set(data, shift);
        return sumHeader(viewOf(memory), shift) === slowSum(data);
      }),
    );
  });

  test("sums of parts that start at even offsets add up", () => {
    seen(
      fc.property(fc.uint8Array({ maxLength: 100 }), fc.nat(50), (data, half) => {
        const d = viewOf(Uint8Array.from(data));
        const cut = Math.min(half * 2, data.length & ~1);
        return sumBytes(d, cut, data.length - cut, sumBytes(d, 0, cut)) % 0xffff === slowSum(data) % 0xffff;
      }),
    );
  });

  test("an update is a full recompute (RFC 1624), also where the sum becomes 0xffff", () => {
    const words = fc.array(fc.nat(0xffff), { minLength: 4, maxLength: 20 });
    seen(
      fc.property(words, fc.nat(), fc.oneof(fc.nat(0xffff), fc.constant(0), fc.constant(0xffff)), (list, n, after) => {
        fc.pre(list.some((w) => w !== 0)); // an all-zero message has no valid form with an update
        const bytes = new Uint8Array(list.length * 2);
        const d = viewOf(bytes);
        list.forEach((w, i) => {
          d.setUint16(i * 2, w);
        });
        const at = (n % list.length) * 2;
        const updated = checksumUpdate16(checksum(d, 0, bytes.length), d.getUint16(at), after);
        d.setUint16(at, after);
        return updated === checksum(d, 0, bytes.length) || bytes.every((b) => b === 0);
      }),
    );
    seen(
      fc.property(fc.uint8Array({ minLength: 12, maxLength: 12 }), fc.integer(), (list, after) => {
        const bytes = Uint8Array.from(list);
        const d = viewOf(bytes);
        const sum = fold(sumBytes(d, 0, 12) + change32(d.getInt32(4), after));
        const check = checksumUpdate32(checksum(d, 0, 12), d.getInt32(4), after);
        d.setInt32(4, after);
        return (
          sum % 0xffff === sumBytes(d, 0, 12) % 0xffff && (~check & 0xffff) % 0xffff === sumBytes(d, 0, 12) % 0xffff
        );
      }),
    );
  });

  test("the pseudo-header's sum is the sum of its bytes", () => {
    seen(
      fc.property(fc.integer(), fc.integer(), fc.nat(255), fc.nat(65535), (src, dst, protocol, len) => {
        const d = viewOf(new Uint8Array(12));
        d.setInt32(0, src);
        d.setInt32(4, dst);
        d.setUint8(9, protocol);
        d.setUint16(10, len);
        return pseudoSum(src, dst, protocol, len) === sumBytes(d, 0, 12);
      }),
    );
    expect(fold(0xffffffff)).toBe(0xffff);
  });
});

describe("formats, on memory that is dirty", () => {
  test("Ethernet", () => {
    const bytes = dirty(20);
    const d = viewOf(bytes);
    etherEmit(d, 3, 0x5254, 0x00123456, 0x0200, -2, 0x86dd);
    expect(bytes.toHex()).toBe(`a5a5a5${"525400123456"}${"0200fffffffe"}86dd${"a5a5a5"}`);
    expect([etherDstHi(d, 3), etherDstLo(d, 3), etherSrcHi(d, 3), etherSrcLo(d, 3), etherType(d, 3)]).toEqual([
      0x5254, 0x00123456, 0x0200, -2, 0x86dd,
    ]);
    expect(etherCheck(d, 3, 13)).toBe(Drop.EtherTruncated);
    expect([isGroupMac(0x0100), isGroupMac(0x5254), isBroadcastMac(0xffff, -1), isBroadcastMac(0xffff, 0)]).toEqual([
      true,
      false,
      true,
      false,
    ]);
  });

  test("ARP: the bytes of a reply as tcpdump shows them", () => {
    const bytes = dirty(ARP_LEN);
    const d = viewOf(bytes);
    arpEmit(d, 0, ARP_REPLY, 0x5254, 0x00000001, 0xc0a83201 | 0, 0x5254, 0x00000099, 0xc0a8320a | 0);
    expect(bytes.toHex()).toBe("0001080006040002" + "525400000001c0a83201" + "525400000099c0a8320a");
    expect([arpOperation(d, 0), arpSenderMacHi(d, 0), arpSenderMacLo(d, 0), arpSenderIp(d, 0) >>> 0]).toEqual([
      2, 0x5254, 1, 0xc0a83201,
    ]);
    expect(arpTargetIp(d, 0) >>> 0).toBe(0xc0a8320a);
    expect(arpCheck(d, 0, 28)).toBe(Drop.None);
    expect(arpCheck(d, 0, 27)).toBe(Drop.ArpTruncated);
    for (const at of [1, 3, 4, 5]) {
      const wrong = bytes.slice();
      wrong[at]! ^= 1;
      expect(arpCheck(viewOf(wrong), 0, 28)).toBe(Drop.ArpBadFormat);
    }
  });

  test("IPv4: the emitted header is the known one, and reads back", () => {
    const bytes = dirty(20);
    const d = viewOf(bytes);
    ipv4Emit(d, 0, 0x3c, 0x1c46, 0x4000, 64, 6, 0xac100a63 | 0, 0xac100a0c | 0);
    expect(bytes).toEqual(SYN);
    expect([ipv4HeaderLen(d, 0), ipv4TotalLen(d, 0), ipv4Id(d, 0), ipv4Ttl(d, 0), ipv4Protocol(d, 0)]).toEqual([
      20, 60, 0x1c46, 64, 6,
    ]);
    expect([ipv4DontFragment(d, 0), ipv4MoreFragments(d, 0), ipv4FragmentOffset(d, 0), ipv4IsFragment(d, 0)]).toEqual([
      true,
      false,
      0,
      false,
    ]);
  });

  test("IPv4: refusals by name", () => {
    const check = (change: (d: DataView) => void, avail = 60): DropCode => {
      const bytes = new Uint8Array(60);
      const d = viewOf(bytes);
      ipv4Emit(d, 0, 60, 1, 0, 64, 6, 1, 2);
      change(d);
      return ipv4Check(d, 0, avail);
    };
    expect(check(() => {})).toBe(Drop.None);
    expect(check(() => {}, 100)).toBe(Drop.None); // Ethernet padding
    expect(check(() => {}, 19)).toBe(Drop.Ipv4Truncated);
    expect(check(() => {}, 59)).toBe(Drop.Ipv4BadTotalLength);
    expect(check((d) => d.setUint8(0, 0x65))).toBe(Drop.Ipv4BadVersion);
    expect(check((d) => d.setUint8(0, 0x44))).toBe(Drop.Ipv4BadHeaderLength);
    expect(check((d) => d.setUint8(0, 0x4f), 59)).toBe(Drop.Ipv4BadHeaderLength);
    expect(check((d) => d.setUint16(2, 19))).toBe(Drop.Ipv4BadTotalLength);
    expect(check((d) => d.setUint8(8, 63))).toBe(Drop.Ipv4BadChecksum);
  });

  test("IPv4 options: source routes and broken lists are refused, others pass", () => {
    const options = (...list: number[]): DropCode => {
      const bytes = new Uint8Array(20 + ((list.length + 3) & ~3));
      bytes[0] = 0x40 | (bytes.length >> 2);
      bytes.set(list, 20);
      return ipv4OptionsCheck(viewOf(bytes), 0);
    };
    expect(options(1, 1, 148, 4, 0, 0)).toBe(Drop.None); // router alert
    expect(options(0, 99, 99)).toBe(Drop.None); // ends before
    expect(options(131, 3, 4)).toBe(Drop.Ipv4SourceRoute);
    expect(options(1, 137, 3, 4)).toBe(Drop.Ipv4SourceRoute);
    expect(options(68, 40)).toBe(Drop.Ipv4BadOptions);
    expect(options(68, 1)).toBe(Drop.Ipv4BadOptions);
    expect(options(1, 1, 1, 68)).toBe(Drop.Ipv4BadOptions);
  });

  test("IPv4: every rewrite leaves the checksum that a recompute gives", () => {
    const rewrites: ((d: DataView, value: number) => void)[] = [
      (d) => ipv4DecrementTtl(d, 0),
      (d, v) => ipv4RewriteSrc(d, 0, v),
      (d, v) => ipv4RewriteDst(d, 0, v),
    ];
    seen(
      fc.property(
        fc.constantFrom(...rewrites),
        fc.integer(),
        fc.integer(),
        fc.integer({ min: 1, max: 255 }),
        (rewrite, value, src, ttl) => {
          const bytes = dirty(20);
          const d = viewOf(bytes);
          ipv4Emit(d, 0, 1000, 7, 0, ttl, 17, src, 0x01020304);
          rewrite(d, value);
          const updated = bytes.slice();
          ipv4RefreshChecksum(d, 0);
          expect(updated).toEqual(bytes);
        },
      ),
    );
  });

  test("ICMP: an echo reply of ping, and the error types", () => {
    const bytes = dirty(12);
    const d = viewOf(bytes);
    d.setUint32(8, 0x61626364);
    icmpEmit(d, 0, 12, 0, 0, 0x12340001);
    expect(bytes.toHex()).toBe("0000290412340001" + "61626364");
    expect([icmpType(d, 0), icmpCode(d, 0), icmpEchoId(d, 0), icmpEchoSeq(d, 0), icmpNextHopMtu(d, 0)]).toEqual([
      0, 0, 0x1234, 1, 1,
    ]);
    expect(icmpCheck(d, 0, 12, true)).toBe(Drop.None);
    expect(icmpCheck(d, 0, 7, true)).toBe(Drop.IcmpTruncated);
    d.setUint8(9, 0);
    expect(icmpCheck(d, 0, 12, true)).toBe(Drop.IcmpBadChecksum);
    expect(icmpCheck(d, 0, 12, false)).toBe(Drop.None);
    expect([0, 3, 4, 5, 8, 11, 12, 13].filter(icmpIsError)).toEqual([3, 4, 5, 11, 12]);
  });

  test("UDP: a DNS query's header as the kernel wrote it, none, partial and wrong checksums", () => {
    const src = 0x0a000001;
    const dst = 0x0a000002;
    const bytes = dirty(12);
    const d = viewOf(bytes);
    udpEmit(d, 0, 1194, 53, 4);
    expect(bytes.toHex()).toBe("04aa0035000c0000a5a5a5a5");
    expect([udpSrcPort(d, 0), udpDstPort(d, 0), udpLen(d, 0)]).toEqual([1194, 53, 12]);
    expect(udpChecksumValid(d, 0, pseudoSum(src, dst, 17, 0))).toBe(true);
    udpSetChecksum(d, 0, pseudoSum(src, dst, 17, 0));
    expect(udpChecksumValid(d, 0, pseudoSum(src, dst, 17, 0))).toBe(true);
    expect(udpChecksumValid(d, 0, pseudoSum(src, dst + 1, 17, 0))).toBe(false);
    const full = d.getUint16(UDP_CHECKSUM_OFFSET);
    udpSetPartialChecksum(d, 0, pseudoSum(src, dst, 17, 0));
    expect(~sumBytes(d, 0, 12) & 0xffff).toBe(full); // what a device does with it
    expect([udpCheck(d, 0, 7), udpCheck(d, 0, 11), udpCheck(d, 0, 12), udpCheck(d, 0, 99)]).toEqual([
      Drop.UdpTruncated,
      Drop.UdpBadLength,
      Drop.None,
      Drop.None,
    ]);
    d.setUint16(4, 7);
    expect(udpCheck(d, 0, 12)).toBe(Drop.UdpBadLength);
  });

  test("UDP: a checksum that comes out as 0 is sent as 0xffff (RFC 768)", () => {
    const d = viewOf(new Uint8Array(10));
    udpEmit(d, 0, 1, 2, 2);
    const rest = ~sumBytes(d, 0, 10, pseudoSum(5, 6, 17, 10)) & 0xffff;
    d.setUint16(8, rest);
    udpSetChecksum(d, 0, pseudoSum(5, 6, 17, 0));
    expect(d.getUint16(UDP_CHECKSUM_OFFSET)).toBe(0xffff);
    expect(udpChecksumValid(d, 0, pseudoSum(5, 6, 17, 0))).toBe(true);
  });

  test("TCP: header fields and checksum", () => {
    const bytes = dirty(26);
    const d = viewOf(bytes);
    tcpEmit(d, 0, 40000, 443, -1, 2, 24, TCP_SYN | TCP_ACK, 65535);
    bytes.set([2, 4, 5, 0xb4], 20);
    expect(bytes.toHex()).toBe("9c4001bbffffffff000000026012ffff00000000020405b4a5a5");
    expect([tcpSrcPort(d, 0), tcpDstPort(d, 0), tcpSeq(d, 0), tcpAck(d, 0), tcpHeaderLen(d, 0)]).toEqual([
      40000, 443, -1, 2, 24,
    ]);
    expect([tcpFlags(d, 0), tcpWindow(d, 0)]).toEqual([0x12, 65535]);
    tcpSetChecksum(d, 0, 26, pseudoSum(7, 8, 6, 0));
    expect(tcpChecksumValid(d, 0, 26, pseudoSum(7, 8, 6, 0))).toBe(true);
    expect(tcpChecksumValid(d, 0, 25, pseudoSum(7, 8, 6, 0))).toBe(false);
    expect([tcpCheck(d, 0, 19), tcpCheck(d, 0, 23), tcpCheck(d, 0, 24)]).toEqual([
      Drop.TcpTruncated,
      Drop.TcpBadHeaderLength,
      Drop.None,
    ]);
    d.setUint8(12, 0x40);
    expect(tcpCheck(d, 0, 26)).toBe(Drop.TcpBadHeaderLength);
  });

  test("TCP options of a Linux SYN", () => {
    const bytes = new Uint8Array(40);
    bytes.set(hex("020405b4 0402 080a 00112233 00000000 01 030307"), 20);
    const d = viewOf(bytes);
    expect(tcpMssAt(d, 0, 40)).toBe(22);
    expect(tcpMssAt(d, 0, 20)).toBe(-1);
    bytes[21] = 3; // an MSS of the wrong length
    expect(tcpMssAt(d, 0, 40)).toBe(-1);
    bytes.set(hex("0402 080a 00112233 00000000 01 030307 020405b4"), 20); // behind all others
    expect(tcpMssAt(d, 0, 40)).toBe(38);
    bytes[21] = 0; // a length that would loop for ever
    expect(tcpMssAt(d, 0, 40)).toBe(-1);
    bytes.set([1, 1, 2], 37); // a kind without its length, at the very end
    bytes.set(new Uint8Array(17).fill(1), 20);
    expect(tcpMssAt(d, 0, 40)).toBe(-1);
  });
});

describe("bounds", () => {
  test("whatever a frame holds, nothing outside it is read, and every line is printable", () => {
    const type = fc.constantFrom(0x0800, 0x0806, 0x86dd);
    const body = fc.uint8Array({ maxLength: 120 });
    const shape = fc.record({
      type,
      body,
      ihl: fc.nat(15),
      protocol: fc.constantFrom(1, 6, 17, 99),
      cut: fc.nat(30),
      mend: fc.boolean(),
    });
    seen(
      fc.property(shape, ({ type, body, ihl, protocol, cut, mend }) => {
        const len = Math.max(0, 14 + body.length - cut);
        const memory = dirty(14 + body.length + 64);
        const at = 32;
        memory.set(body, at + 14);
        const d = viewOf(memory);
        if (len >= 14) d.setUint16(at + 12, type);
        if (mend && len >= 34 && type === 0x0800) {
          d.setUint8(at + 14, 0x40 | ihl);
          d.setUint8(at + 23, protocol);
          d.setUint16(at + 16, len - 14);
          d.setUint16(at + 20, 0);
          if (ihl >= 5 && 14 + ihl * 4 <= len) ipv4RefreshChecksum(d, at + 14);
        }
        const line = printFrame(new GuardedView(memory, at, at + len), at, len);
        expect(line).toMatch(/^[\x20-\x7e]+$/);
      }),
      { numRuns: 2000 },
    );
  });

  test("checks and option walks stay inside what they are given", () => {
    seen(
      fc.property(fc.uint8Array({ maxLength: 80 }), (data) => {
        const memory = dirty(data.length + 64);
        memory.set(data, 32);
        const d = new GuardedView(memory, 32, 32 + data.length);
        const n = data.length;
        arpCheck(d, 32, n);
        udpCheck(d, 32, n);
        icmpCheck(d, 32, n, true);
        if (tcpCheck(d, 32, n) === Drop.None) tcpMssAt(d, 32, tcpHeaderLen(d, 32));
        if (n >= 20 && ipv4HeaderLen(d, 32) >= 20 && ipv4HeaderLen(d, 32) <= n) ipv4OptionsCheck(d, 32);
        ipv4Check(d, 32, n);
      }),
      { numRuns: 1000 },
    );
  });
});

test("every drop code has a sentence, and the codes are dense", () => {
  DROP_NAMES.forEach((name, code) => {
    expect(Drop[name]).toBe(code as DropCode);
    expect(DROP_TEXT[name]).toMatch(/^[A-Z].*\.$/);
  });
});
