import { expect, test } from "bun:test";
import fc from "fast-check";
import { IpAddress, parseIpv4 } from "../../lib/ip.ts";
import { seededRandom } from "../../lib/random.ts";
import { type Slab, slabOver } from "../../lib/slab.ts";
import { DROP_NAMES, Drop } from "../drop.ts";
import { ip4Read } from "../ip4/check.ts";
import { Packet } from "../packet.ts";
import { pseudoSum, sumBytes } from "../wire/checksum.ts";
import {
  ICMP_ECHO_REPLY,
  ICMP_ECHO_REQUEST,
  ICMP_TIME_EXCEEDED,
  ICMP_UNREACHABLE,
  icmpEchoId,
  icmpEmit,
  icmpNextHopMtu,
} from "../wire/icmpv4.ts";
import {
  ipv4Check,
  ipv4Dst,
  ipv4Emit,
  ipv4HeaderLen,
  ipv4Protocol,
  ipv4PseudoSum,
  ipv4RefreshChecksum,
  ipv4Src,
  PROTO_ICMP,
  PROTO_TCP,
  PROTO_UDP,
} from "../wire/ipv4.ts";
import { TCP_ACK, TCP_FIN, TCP_RST, TCP_SYN, tcpChecksumValid, tcpEmit, tcpSetChecksum } from "../wire/tcp.ts";
import { UDP_CHECKSUM_OFFSET, udpChecksumValid, udpDstPort, udpEmit, udpSetChecksum, udpSrcPort } from "../wire/udp.ts";
import { NAT_IPV4 } from "./ip4.ts";
import { Nat } from "./nat.ts";
import { Ports } from "./ports.ts";
import { STATE_UDP, STATE_UDP_NEW, TIMEOUT_MS } from "./states.ts";

const ip = (text: string): number => parseIpv4(text)!.w3;
const EXTERNAL = ip("10.8.0.6");
const HOST = ip("192.168.50.10");
const OTHER = ip("192.168.50.11");
const REMOTE = ip("198.51.100.7");
const ROUTER = ip("203.0.113.99");
const AT = 256;
const REDIRECT = 5;

interface Endpoint {
  readonly address: number;
  readonly port: number;
}

class Bench {
  readonly slab: Slab = slabOver(new ArrayBuffer(70_000));
  readonly d = this.slab.view;
  readonly nat: Nat;
  now = 1_000_000;
  readonly #packet = new Packet();

  constructor(limit = 64) {
    this.nat = new Nat({ family: NAT_IPV4, slab: this.slab, random: seededRandom(7), limit });
    this.nat.setAddress(IpAddress.fromIpv4(EXTERNAL));
    this.slab.bytes.fill(0xa5);
  }

  /** Writes a packet at AT and returns its length. Port: echo identifier for ICMP (of the source out, of the destination in). */
  packet(protocol: number, from: Endpoint, to: Endpoint, flags = TCP_ACK, type = ICMP_ECHO_REQUEST, data = 13): number {
    const { d } = this;
    const l4 = AT + 20;
    const header = protocol === PROTO_TCP ? 20 : 8;
    const len = 20 + header + data;
    for (let i = 0; i < data; i++) d.setUint8(l4 + header + i, (i * 7 + 3) & 255);
    ipv4Emit(d, AT, len, 0x1234, 0x4000, 61, protocol, from.address, to.address);
    if (protocol === PROTO_TCP) {
      tcpEmit(d, l4, from.port, to.port, 1000, 2000, 20, flags, 4096);
      tcpSetChecksum(d, l4, len - 20, pseudoSum(from.address, to.address, PROTO_TCP, 0));
    } else if (protocol === PROTO_UDP) {
      udpEmit(d, l4, from.port, to.port, data);
      udpSetChecksum(d, l4, pseudoSum(from.address, to.address, PROTO_UDP, 0));
    } else {
      icmpEmit(d, l4, len - 20, type, 0, ((type === ICMP_ECHO_REQUEST ? from.port : to.port) << 16) | 9);
    }
    return len;
  }

  /** From outside to an inside address itself. */
  direct(len: number): number {
    return this.nat.direct(this.now, this.#read(len));
  }

  /** Through the translator, with `len` bytes at AT. */
  outbound(len: number): number {
    return this.nat.outbound(this.now, this.#read(len));
  }

  inbound(len: number): number {
    return this.nat.inbound(this.now, this.#read(len));
  }

  #read(len: number): Packet {
    ip4Read(this.d, this.#packet, AT);
    this.#packet.len = len;
    return this.#packet;
  }

  send(protocol: number, from: Endpoint, to: Endpoint, flags = TCP_ACK): number {
    return this.outbound(this.packet(protocol, from, to, flags));
  }

  receive(protocol: number, from: Endpoint, to: Endpoint, flags = TCP_ACK): number {
    return this.inbound(this.packet(protocol, from, to, flags, ICMP_ECHO_REPLY));
  }

  source(): Endpoint {
    const port = ipv4Protocol(this.d, AT) === PROTO_ICMP ? icmpEchoId(this.d, AT + 20) : udpSrcPort(this.d, AT + 20);
    return { address: ipv4Src(this.d, AT), port };
  }

  destination(): Endpoint {
    const port = ipv4Protocol(this.d, AT) === PROTO_ICMP ? icmpEchoId(this.d, AT + 20) : udpDstPort(this.d, AT + 20);
    return { address: ipv4Dst(this.d, AT), port };
  }

  /** Every checksum of the packet at AT, from nothing. */
  valid(at = AT, avail = 65_000): boolean {
    const { d } = this;
    if (ipv4Check(d, at, avail) !== Drop.None) return false;
    const headerLen = ipv4HeaderLen(d, at);
    const l4 = at + headerLen;
    const len = d.getUint16(at + 2) - headerLen;
    const protocol = ipv4Protocol(d, at);
    if (protocol === PROTO_TCP) return tcpChecksumValid(d, l4, len, ipv4PseudoSum(d, at));
    if (protocol === PROTO_UDP) return udpChecksumValid(d, l4, ipv4PseudoSum(d, at));
    return sumBytes(d, l4, len) === 0xffff;
  }
}

const at = (address: number, port: number): Endpoint => ({ address, port });
const name = (code: number): string => DROP_NAMES[code] as string;

test("a flow of each protocol goes out with the outside address and its own port, and its answer comes back", () => {
  for (const protocol of [PROTO_TCP, PROTO_UDP, PROTO_ICMP]) {
    const b = new Bench();
    const remote = at(REMOTE, protocol === PROTO_ICMP ? 0 : 443);
    expect(b.send(protocol, at(HOST, 5353), remote, TCP_SYN)).toBe(Drop.None);
    expect(b.source()).toEqual(at(EXTERNAL, 5353));
    expect(b.valid()).toBe(true);
    expect(b.receive(protocol, remote, at(EXTERNAL, 5353), TCP_SYN | TCP_ACK)).toBe(Drop.None);
    expect(b.destination()).toEqual(at(HOST, 5353));
    expect(b.valid()).toBe(true);
    expect(b.nat.size).toBe(1);
  }
});

test("two hosts with one port get different outside ports, and one endpoint keeps its port to every remote (RFC 4787 REQ-1)", () => {
  const b = new Bench();
  b.send(PROTO_UDP, at(HOST, 5000), at(REMOTE, 53));
  b.send(PROTO_UDP, at(OTHER, 5000), at(REMOTE, 53));
  const second = b.source();
  expect(second.port).not.toBe(5000);
  expect(second.port).toBeGreaterThanOrEqual(1024);
  b.send(PROTO_UDP, at(OTHER, 5000), at(ROUTER, 99));
  expect(b.source()).toEqual(second);
  expect(b.receive(PROTO_UDP, at(REMOTE, 53), second)).toBe(Drop.None);
  expect(b.destination()).toEqual(at(OTHER, 5000));
  expect(b.nat.counters.snapshot()["ports-changed"]).toBe(1);
});

test("only the endpoint that was spoken to gets in (RFC 4787 REQ-8, address and port dependent)", () => {
  const b = new Bench();
  b.send(PROTO_UDP, at(HOST, 5000), at(REMOTE, 53));
  const drops = [
    b.receive(PROTO_UDP, at(REMOTE, 54), at(EXTERNAL, 5000)),
    b.receive(PROTO_UDP, at(ROUTER, 53), at(EXTERNAL, 5000)),
    b.receive(PROTO_UDP, at(REMOTE, 53), at(EXTERNAL, 5001)),
    b.receive(PROTO_TCP, at(REMOTE, 53), at(EXTERNAL, 5000), TCP_SYN),
    b.receive(PROTO_UDP, at(REMOTE, 53), at(HOST, 5000)),
  ];
  expect(drops.map(name)).toEqual(Array(5).fill("NatNoMapping"));
  const len = b.packet(PROTO_ICMP, at(REMOTE, 5000), at(EXTERNAL, 5000), 0, ICMP_ECHO_REQUEST);
  expect(name(b.inbound(len))).toBe("NatNoMapping");
  expect(b.nat.size).toBe(1);
});

test("a checksum of 0 stays none; a result of 0 is sent as 0xffff; a wrong one stays wrong", () => {
  const b = new Bench();
  let len = b.packet(PROTO_UDP, at(HOST, 7), at(REMOTE, 9));
  b.d.setUint16(AT + 26, 0);
  b.outbound(len);
  expect(b.d.getUint16(AT + 20 + UDP_CHECKSUM_OFFSET)).toBe(0);
  len = b.packet(PROTO_UDP, at(HOST, 7), at(REMOTE, 9), 0, 0, 2);
  // Choose the data so that the checksum under the outside address is exactly 0, as RFC 768 writes it: 0xffff.
  b.d.setUint16(AT + 28, 0);
  b.d.setUint16(AT + 26, 0);
  const rest = sumBytes(b.d, AT + 20, 10, pseudoSum(EXTERNAL, REMOTE, PROTO_UDP, 10));
  b.d.setUint16(AT + 28, ~rest & 0xffff);
  udpSetChecksum(b.d, AT + 20, pseudoSum(HOST, REMOTE, PROTO_UDP, 0));
  b.outbound(len);
  expect(b.d.getUint16(AT + 20 + UDP_CHECKSUM_OFFSET)).toBe(0xffff);
  expect(b.valid()).toBe(true);
  len = b.packet(PROTO_TCP, at(HOST, 7), at(REMOTE, 9), TCP_SYN);
  b.d.setUint16(AT + 36, b.d.getUint16(AT + 36) ^ 0x0100);
  b.outbound(len);
  expect(b.valid()).toBe(false);
});

test("rewritten packets equal packets that were made with the new endpoint", () => {
  const port = fc.integer({ min: 1, max: 65535 });
  fc.assert(
    fc.property(
      fc.constantFrom(PROTO_TCP, PROTO_UDP, PROTO_ICMP),
      port,
      port,
      fc.integer(),
      fc.nat(200),
      (p, a, c, remote, n) => {
        const b = new Bench();
        const to = at(remote, p === PROTO_ICMP ? 0 : c);
        b.send(p, at(OTHER, a), to);
        const len = b.packet(p, at(HOST, a), to, TCP_ACK, ICMP_ECHO_REQUEST, n);
        expect(b.outbound(len)).toBe(Drop.None);
        const outside = b.source();
        const got = b.slab.bytes.slice(AT, AT + len);
        b.packet(p, outside, to, TCP_ACK, ICMP_ECHO_REQUEST, n);
        expect(got).toEqual(b.slab.bytes.slice(AT, AT + len));
        b.packet(p, to, outside, TCP_ACK, ICMP_ECHO_REPLY, n);
        expect(b.inbound(len)).toBe(Drop.None);
        const back = b.slab.bytes.slice(AT, AT + len);
        b.packet(p, to, at(HOST, a), TCP_ACK, ICMP_ECHO_REPLY, n);
        expect(back).toEqual(b.slab.bytes.slice(AT, AT + len));
      },
    ),
    { numRuns: 100 },
  );
});

/** Makes, at AT, an error from `from` to `to` that quotes `quoted` bytes of the packet that is at AT now. */
function quote(b: Bench, quoted: number, from: number, to: number, type: number, code: number, rest: number): number {
  const copy = b.slab.bytes.slice(AT, AT + quoted);
  b.slab.bytes.set(copy, AT + 28);
  ipv4Emit(b.d, AT, 28 + quoted, 1, 0, 60, PROTO_ICMP, from, to);
  icmpEmit(b.d, AT + 20, 8 + quoted, type, code, rest);
  return 28 + quoted;
}

test("an error from outside reaches the host with its own packet quoted, whole or cut (RFC 5508 REQ-4)", () => {
  for (const protocol of [PROTO_TCP, PROTO_UDP, PROTO_ICMP]) {
    const whole = protocol === PROTO_TCP ? 53 : 41;
    for (const quoted of [28, 36, whole]) {
      const b = new Bench();
      const to = at(REMOTE, protocol === PROTO_ICMP ? 0 : 443);
      b.send(protocol, at(OTHER, 40000), to);
      b.send(protocol, at(HOST, 40000), to); // its port changes
      expect(b.source().port).not.toBe(40000);
      const len = quote(b, quoted, ROUTER, EXTERNAL, ICMP_UNREACHABLE, 4, 1380);
      expect(name(b.inbound(len))).toBe("None");
      expect(b.valid()).toBe(true);
      expect(ipv4Dst(b.d, AT)).toBe(HOST);
      expect(ipv4Src(b.d, AT)).toBe(ROUTER);
      expect(icmpNextHopMtu(b.d, AT + 20)).toBe(1380);
      const seen = b.slab.bytes.slice(AT + 28, AT + 28 + quoted);
      b.packet(protocol, at(HOST, 40000), to);
      expect(seen).toEqual(b.slab.bytes.slice(AT, AT + quoted));
    }
  }
});

test("an error of a LAN host leaves with the packet quoted as it came in", () => {
  for (const protocol of [PROTO_TCP, PROTO_UDP, PROTO_ICMP]) {
    const b = new Bench();
    const remote = at(REMOTE, protocol === PROTO_ICMP ? 0 : 443);
    b.send(protocol, at(OTHER, 40000), remote);
    b.send(protocol, at(HOST, 40000), remote);
    const outside = b.source();
    const received = b.packet(protocol, remote, outside, TCP_ACK, ICMP_ECHO_REPLY);
    const original = b.slab.bytes.slice(AT, AT + received);
    b.inbound(received);
    const len = quote(b, received, HOST, REMOTE, ICMP_UNREACHABLE, 3, 0);
    expect(name(b.outbound(len))).toBe("None");
    expect(b.valid()).toBe(true);
    expect(ipv4Src(b.d, AT)).toBe(EXTERNAL);
    expect(b.slab.bytes.slice(AT + 28, AT + 28 + received)).toEqual(original);
  }
});

test("a quoted UDP checksum of 0 and IPv4 options in the quote are handled", () => {
  const b = new Bench();
  let len = b.packet(PROTO_UDP, at(HOST, 5000), at(REMOTE, 53));
  b.d.setUint16(AT + 26, 0);
  b.outbound(len);
  // 4 bytes of options (NOPs) in the quoted header.
  const packet = b.slab.bytes.slice(AT, AT + len);
  b.slab.bytes.set(packet.subarray(20), AT + 24);
  b.slab.bytes.set([1, 1, 1, 0], AT + 20);
  b.d.setUint8(AT, 0x46);
  b.d.setUint16(AT + 2, len + 4);
  ipv4RefreshChecksum(b.d, AT);
  const options = b.slab.bytes.slice(AT, AT + 40);
  len = quote(b, 31, ROUTER, EXTERNAL, ICMP_TIME_EXCEEDED, 0, 0);
  expect(name(b.inbound(len))).toBe("IcmpBadQuote");
  b.slab.bytes.set(options, AT);
  len = quote(b, 32, ROUTER, EXTERNAL, ICMP_TIME_EXCEEDED, 0, 0);
  expect(name(b.inbound(len))).toBe("None");
  expect(b.valid()).toBe(true);
  expect(ipv4Src(b.d, AT + 28)).toBe(HOST);
  expect(b.d.getUint16(AT + 28 + 24 + 6)).toBe(0);
});

test("a quoted UDP checksum that becomes 0 is written as 0xffff, as the packet's own was", () => {
  const b = new Bench();
  const len = b.packet(PROTO_UDP, at(HOST, 7), at(REMOTE, 9), 0, 0, 2);
  b.d.setUint16(AT + 26, 0);
  b.d.setUint16(AT + 28, 0);
  b.d.setUint16(AT + 28, ~sumBytes(b.d, AT + 20, 10, pseudoSum(HOST, REMOTE, PROTO_UDP, 10)) & 0xffff);
  udpSetChecksum(b.d, AT + 20, pseudoSum(HOST, REMOTE, PROTO_UDP, 0));
  expect(b.d.getUint16(AT + 20 + UDP_CHECKSUM_OFFSET)).toBe(0xffff);
  b.outbound(len);
  const error = quote(b, len, ROUTER, EXTERNAL, ICMP_UNREACHABLE, 3, 0);
  expect(b.inbound(error)).toBe(Drop.None);
  expect(b.d.getUint16(AT + 48 + UDP_CHECKSUM_OFFSET)).toBe(0xffff);
  expect(b.valid()).toBe(true);
});

test("errors that quote nothing of ours, fragments, other types and redirects are refused by name and end no session", () => {
  const b = new Bench();
  const errorFor = (change: (q: number) => void, type = ICMP_UNREACHABLE): string => {
    b.packet(PROTO_UDP, at(EXTERNAL, 5000), at(REMOTE, 53));
    const len = quote(b, 36, ROUTER, EXTERNAL, type, 3, 0);
    change(AT + 28);
    return name(b.inbound(len));
  };
  b.send(PROTO_UDP, at(HOST, 5000), at(REMOTE, 53));
  const { d } = b;
  expect(errorFor(() => {})).toBe("None");
  expect(errorFor((q) => d.setUint16(q + 20, 5001))).toBe("IcmpBadQuote");
  expect(errorFor((q) => d.setUint16(q + 22, 54))).toBe("IcmpBadQuote");
  expect(errorFor((q) => d.setInt32(q + 12, HOST))).toBe("IcmpBadQuote");
  expect(errorFor((q) => d.setInt32(q + 16, ROUTER))).toBe("IcmpBadQuote");
  expect(errorFor((q) => d.setUint16(q + 6, 3))).toBe("IcmpBadQuote");
  expect(errorFor((q) => d.setUint8(q, 0x65))).toBe("IcmpBadQuote");
  expect(errorFor((q) => d.setUint8(q, 0x44))).toBe("IcmpBadQuote");
  expect(errorFor((q) => d.setUint8(q + 9, 47))).toBe("NatUnsupported");
  b.packet(PROTO_UDP, at(EXTERNAL, 5000), at(REMOTE, 53));
  expect(name(b.inbound(quote(b, 27, ROUTER, EXTERNAL, ICMP_UNREACHABLE, 3, 0)))).toBe("IcmpBadQuote");
  expect(errorFor(() => {}, REDIRECT)).toBe("NatUnsupported");
  expect(errorFor(() => {})).toBe("None");
  expect(b.nat.size).toBe(1);
});

test("other protocols, echo replies that nobody asked for, and no outside address are refused by name", () => {
  const b = new Bench();
  let len = b.packet(PROTO_UDP, at(HOST, 5000), at(REMOTE, 53));
  b.d.setUint8(AT + 9, 47);
  expect(name(b.outbound(len))).toBe("NatUnsupported");
  len = b.packet(PROTO_ICMP, at(HOST, 0), at(REMOTE, 1), 0, ICMP_ECHO_REPLY);
  expect(name(b.outbound(len))).toBe("NatNoMapping");
  len = b.packet(PROTO_ICMP, at(HOST, 0), at(REMOTE, 1), 0, 13);
  expect(name(b.outbound(len))).toBe("NatUnsupported");
  b.nat.setAddress(undefined);
  expect(name(b.send(PROTO_UDP, at(HOST, 5000), at(REMOTE, 53)))).toBe("NatNoAddress");
  expect(b.nat.size).toBe(0);
});

test("to an inside address itself an echo may come, and no other message but an error", () => {
  const b = new Bench();
  const come = (type: number): string => name(b.direct(b.packet(PROTO_ICMP, at(REMOTE, 1), at(HOST, 0), 0, type)));
  expect([come(ICMP_ECHO_REPLY), come(13), come(REDIRECT), b.nat.size]).toEqual([
    ...["NatUnsupported", "NatUnsupported", "NatUnsupported"],
    0,
  ]);
  expect([come(ICMP_TIME_EXCEEDED), b.nat.size, come(ICMP_ECHO_REQUEST), b.nat.size]).toEqual(["None", 0, "None", 1]);
});

test("no packet of any length and content throws, reads past its end, or changes a byte outside of it", () => {
  const b = new Bench();
  const end = { value: 0 };
  class Guarded extends DataView<ArrayBuffer> {
    #ok(p: number, n: number): void {
      if (p < AT || p + n > end.value) throw new RangeError(`access at ${p - AT} of ${end.value - AT}`);
    }
    override getUint8(p: number): number {
      this.#ok(p, 1);
      return super.getUint8(p);
    }
    override getUint16(p: number, le?: boolean): number {
      this.#ok(p, 2);
      return super.getUint16(p, le);
    }
    override getInt32(p: number, le?: boolean): number {
      this.#ok(p, 4);
      return super.getInt32(p, le);
    }
    override setUint16(p: number, v: number): void {
      this.#ok(p, 2);
      super.setUint16(p, v);
    }
    override setInt32(p: number, v: number): void {
      this.#ok(p, 4);
      super.setInt32(p, v);
    }
  }
  const view = new Guarded(b.slab.bytes.buffer as ArrayBuffer);
  const nat = new Nat({ family: NAT_IPV4, slab: { bytes: b.slab.bytes, view }, random: seededRandom(1), limit: 16 });
  nat.setAddress(IpAddress.fromIpv4(EXTERNAL));
  const seen = new Set<string>();
  fc.assert(
    fc.property(
      fc.boolean(),
      fc.constantFrom(PROTO_TCP, PROTO_UDP, PROTO_ICMP, 47),
      fc.constantFrom(5, 6, 15),
      fc.uint8Array({ maxLength: 120 }),
      fc.constantFrom(0, 3, 8, 11, 12, undefined),
      fc.option(fc.constantFrom(0x45, 0x46, 0x4f, 0x44)),
      (out, protocol, words, data, type, quoted) => {
        const len = words * 4 + data.length;
        end.value = AT + len;
        b.slab.bytes.set(data, AT + words * 4);
        if (type !== undefined && data.length > 0) b.slab.bytes[AT + words * 4] = type;
        if (quoted !== null && data.length > 8) b.slab.bytes[AT + words * 4 + 8] = quoted;
        b.d.setUint8(AT, 0x40 | words);
        b.d.setUint16(AT + 2, len);
        b.d.setUint8(AT + 9, protocol);
        b.d.setInt32(AT + 12, out ? HOST : REMOTE);
        b.d.setInt32(AT + 16, out ? REMOTE : EXTERNAL);
        const p = new Packet();
        const before = b.slab.bytes.slice(AT, AT + len);
        ip4Read(b.d, p, AT);
        const code = out ? nat.outbound(5, p) : nat.inbound(5, p);
        if (code !== Drop.None) expect(b.slab.bytes.slice(AT, AT + len)).toEqual(before);
        seen.add(name(code));
      },
    ),
    { numRuns: 3000, seed: 11 },
  );
  expect([...seen].sort()).toEqual(["IcmpBadQuote", "NatMalformed", "NatNoMapping", "NatUnsupported", "None"]);
});

test("a host that scans takes from itself: the established flows of another stay", () => {
  const b = new Bench(256);
  for (let i = 0; i < 20; i++) {
    b.send(PROTO_TCP, at(OTHER, 2000 + i), at(REMOTE, 443), TCP_SYN);
    b.receive(PROTO_TCP, at(REMOTE, 443), at(EXTERNAL, 2000 + i), TCP_SYN | TCP_ACK);
    b.send(PROTO_TCP, at(OTHER, 2000 + i), at(REMOTE, 443), TCP_ACK);
  }
  // The scanner has a connection of its own that it uses least recently of all.
  b.send(PROTO_TCP, at(HOST, 1999), at(REMOTE, 22), TCP_SYN);
  b.receive(PROTO_TCP, at(REMOTE, 22), at(EXTERNAL, 1999), TCP_SYN | TCP_ACK);
  b.send(PROTO_TCP, at(HOST, 1999), at(REMOTE, 22), TCP_ACK);
  for (let i = 0; i < 5000; i++) {
    b.now += 1;
    expect(b.send(PROTO_TCP, at(HOST, 30000), at(ip("100.64.0.0") + i, 80), TCP_SYN)).toBe(Drop.None);
  }
  expect(b.nat.size).toBe(256);
  expect(b.nat.sessionsOf(IpAddress.fromIpv4(OTHER))).toBe(20);
  expect(b.nat.sessionsOf(IpAddress.fromIpv4(HOST))).toBe(236);
  for (let i = 0; i < 20; i++) expect(b.receive(PROTO_TCP, at(REMOTE, 443), at(EXTERNAL, 2000 + i))).toBe(Drop.None);
  expect(b.receive(PROTO_TCP, at(REMOTE, 22), at(EXTERNAL, 1999))).toBe(Drop.None);
  // The other host can still open new ones: the scanner gives way.
  expect(b.send(PROTO_TCP, at(OTHER, 3000), at(REMOTE, 80), TCP_SYN)).toBe(Drop.None);
  expect(b.nat.sessionsOf(IpAddress.fromIpv4(HOST))).toBe(235);
});

/** Opens a TCP connection that the other side confirms. */
function connect(b: Bench, from: Endpoint, remote: Endpoint): void {
  b.send(PROTO_TCP, from, remote, TCP_SYN);
  const outside = b.source();
  b.receive(PROTO_TCP, remote, outside, TCP_SYN | TCP_ACK);
  b.send(PROTO_TCP, from, remote, TCP_ACK);
}

test("what nobody answers gives way first, from however many sources it comes: confirmed connections stay", () => {
  const b = new Bench(2048);
  for (let i = 0; i < 300; i++) connect(b, at(HOST, 20_000 + i), at(REMOTE, 443));
  // One host with the other addresses of the subnet as its sources, none of which has as many sessions as the honest one.
  for (let i = 0; i < 10_000; i++) {
    b.now += 1;
    const source = at(ip("192.168.50.11") + (i % 240), 1024 + Math.floor(i / 240));
    expect(b.send(PROTO_TCP, source, at(ROUTER, 80), TCP_SYN)).toBe(Drop.None);
  }
  expect([b.nat.size, b.nat.sessionsOf(IpAddress.fromIpv4(HOST))]).toEqual([2048, 300]);
  // The honest host begins another one meanwhile, and has the time to finish that.
  b.send(PROTO_TCP, at(HOST, 30_000), at(REMOTE, 443), TCP_SYN);
  const outside = b.source();
  for (let i = 0; i < 500; i++) b.send(PROTO_TCP, at(OTHER + (i % 240), 40_000 + i), at(ROUTER, 80), TCP_SYN);
  expect(b.receive(PROTO_TCP, at(REMOTE, 443), outside, TCP_SYN | TCP_ACK)).toBe(Drop.None);
  for (let i = 0; i < 300; i++) expect(b.receive(PROTO_TCP, at(REMOTE, 443), at(EXTERNAL, 20_000 + i))).toBe(Drop.None);
});

test("who fills the table with answered flows does not keep others from beginning new ones", () => {
  const b = new Bench(256);
  for (let i = 0; i < 256; i++) connect(b, at(OTHER, 20_000 + i), at(REMOTE, 443));
  expect(b.nat.sessionsOf(IpAddress.fromIpv4(OTHER))).toBe(256);
  // Sixteen at once, each before the first of them is answered.
  for (let i = 0; i < 16; i++) b.send(PROTO_TCP, at(HOST, 5000 + i), at(REMOTE, 80), TCP_SYN);
  for (let i = 0; i < 16; i++)
    expect(b.receive(PROTO_TCP, at(REMOTE, 80), at(EXTERNAL, 5000 + i), TCP_SYN | TCP_ACK)).toBe(Drop.None);
  expect([b.nat.sessionsOf(IpAddress.fromIpv4(HOST)), b.nat.sessionsOf(IpAddress.fromIpv4(OTHER))]).toEqual([16, 240]);
});

test("2,000 UDP flows and 300 TCP connections are held at once", () => {
  const b = new Bench(16_384);
  for (let i = 0; i < 2000; i++) expect(b.send(PROTO_UDP, at(HOST, 10_000 + i), at(REMOTE, 9000))).toBe(Drop.None);
  for (let i = 0; i < 300; i++) b.send(PROTO_TCP, at(OTHER, 10_000 + i), at(REMOTE, 80), TCP_SYN);
  b.now += 20_000;
  for (let i = 0; i < 2000; i++) {
    expect(b.receive(PROTO_UDP, at(REMOTE, 9000), at(EXTERNAL, 10_000 + i))).toBe(Drop.None);
    expect(b.destination()).toEqual(at(HOST, 10_000 + i));
  }
  for (let i = 0; i < 300; i++) {
    expect(b.receive(PROTO_TCP, at(REMOTE, 80), at(EXTERNAL, 10_000 + i), TCP_SYN | TCP_ACK)).toBe(Drop.None);
  }
  expect(b.nat.size).toBe(2300);
});

/** Whether the answer still comes in `ms` after the flow was last used. */
function answeredAfter(ms: number, b: Bench, protocol: number, tick: boolean): boolean {
  b.now += ms;
  if (tick && b.nat.pollAt() <= b.now) b.nat.handleTimeout(b.now);
  return b.receive(protocol, at(REMOTE, protocol === PROTO_ICMP ? 0 : 80), at(EXTERNAL, 5000)) === Drop.None;
}

test("idle times: UDP 30 s unanswered and 5 minutes answered, ICMP 60 s, TCP open 2 h 4 min, SYN and FIN 4 min, RST 30 s", () => {
  const remote = at(REMOTE, 80);
  const inside = at(HOST, 5000);
  const outside = at(EXTERNAL, 5000);
  const open = (b: Bench): void => {
    b.send(PROTO_TCP, inside, remote, TCP_SYN);
    b.receive(PROTO_TCP, remote, outside, TCP_SYN | TCP_ACK);
    b.send(PROTO_TCP, inside, remote, TCP_ACK);
  };
  const cases: [string, number, (b: Bench) => void, number][] = [
    ["udp unanswered", PROTO_UDP, (b) => b.send(PROTO_UDP, inside, remote), 30_000],
    [
      "udp answered",
      PROTO_UDP,
      (b) => {
        b.send(PROTO_UDP, inside, remote);
        b.receive(PROTO_UDP, remote, outside);
      },
      300_000,
    ],
    ["icmp", PROTO_ICMP, (b) => b.send(PROTO_ICMP, inside, at(REMOTE, 0)), 61_000],
    ["tcp syn", PROTO_TCP, (b) => b.send(PROTO_TCP, inside, remote, TCP_SYN), 241_000],
    ["tcp open", PROTO_TCP, open, 7_450_000],
    ["tcp start not seen", PROTO_TCP, (b) => b.send(PROTO_TCP, inside, remote, TCP_ACK), 300_000],
    [
      "tcp start not seen, answered",
      PROTO_TCP,
      (b) => {
        b.send(PROTO_TCP, inside, remote, TCP_ACK);
        b.receive(PROTO_TCP, remote, outside, TCP_ACK);
      },
      7_450_000,
    ],
    [
      "tcp half closed",
      PROTO_TCP,
      (b) => {
        open(b);
        b.send(PROTO_TCP, inside, remote, TCP_FIN | TCP_ACK);
      },
      7_450_000,
    ],
    [
      "tcp closed",
      PROTO_TCP,
      (b) => {
        open(b);
        b.send(PROTO_TCP, inside, remote, TCP_FIN | TCP_ACK);
        b.receive(PROTO_TCP, remote, outside, TCP_FIN | TCP_ACK);
        b.send(PROTO_TCP, inside, remote, TCP_ACK);
      },
      241_000,
    ],
    [
      "tcp reset from outside",
      PROTO_TCP,
      (b) => {
        open(b);
        b.receive(PROTO_TCP, remote, outside, TCP_RST | TCP_ACK);
      },
      30_000,
    ],
    [
      "tcp closed and opened again from the same port, then half closed",
      PROTO_TCP,
      (b) => {
        open(b);
        b.send(PROTO_TCP, inside, remote, TCP_FIN | TCP_ACK);
        b.receive(PROTO_TCP, remote, outside, TCP_FIN | TCP_ACK);
        open(b);
        b.send(PROTO_TCP, inside, remote, TCP_FIN | TCP_ACK);
      },
      7_450_000,
    ],
    [
      "tcp half closed and never answered, then opened again from the same port and half closed by the other side",
      PROTO_TCP,
      (b) => {
        open(b);
        b.send(PROTO_TCP, inside, remote, TCP_FIN | TCP_ACK);
        open(b);
        b.receive(PROTO_TCP, remote, outside, TCP_FIN | TCP_ACK);
      },
      7_450_000,
    ],
    [
      "tcp reset by the host, whatever the other side still sends",
      PROTO_TCP,
      (b) => {
        open(b);
        b.send(PROTO_TCP, inside, remote, TCP_RST);
        b.now += 20_000;
        expect(b.receive(PROTO_TCP, remote, outside, TCP_ACK)).toBe(Drop.None);
      },
      10_000,
    ],
    [
      "tcp reset, but the host goes on and is answered (a forged RST)",
      PROTO_TCP,
      (b) => {
        open(b);
        b.receive(PROTO_TCP, remote, outside, TCP_RST);
        b.send(PROTO_TCP, inside, remote, TCP_ACK);
        b.receive(PROTO_TCP, remote, outside, TCP_ACK);
      },
      7_450_000,
    ],
  ];
  for (const [what, protocol, make, ms] of cases) {
    for (const tick of [true, false]) {
      for (const [after, alive] of [
        [ms - 1, true],
        [ms, false],
      ] as const) {
        const b = new Bench();
        make(b);
        expect([what, after, answeredAfter(after, b, protocol, tick)]).toEqual([what, after, alive]);
      }
    }
  }
});

test("a port is free again after its last session, and a new address forgets all, the same none", () => {
  const b = new Bench();
  b.send(PROTO_UDP, at(HOST, 5000), at(REMOTE, 80));
  b.send(PROTO_UDP, at(HOST, 5000), at(REMOTE, 81));
  expect(b.nat.pollAt()).toBe(b.now + (TIMEOUT_MS[STATE_UDP_NEW] as number));
  b.now += 20_000;
  b.send(PROTO_UDP, at(HOST, 5000), at(REMOTE, 81));
  b.now += 10_000;
  b.nat.handleTimeout(b.now);
  expect(b.nat.size).toBe(1);
  b.send(PROTO_UDP, at(OTHER, 5000), at(REMOTE, 80));
  expect(b.source().port).not.toBe(5000);
  expect(b.nat.setAddress(IpAddress.fromIpv4(EXTERNAL))).toBe(false);
  expect(b.nat.size).toBe(2);
  expect(b.nat.setAddress(IpAddress.fromIpv4(ip("10.8.0.7")))).toBe(true);
  expect([b.nat.size, b.nat.pollAt()]).toEqual([0, Number.POSITIVE_INFINITY]);
  b.send(PROTO_UDP, at(OTHER, 5000), at(REMOTE, 80));
  expect(b.source()).toEqual(at(ip("10.8.0.7"), 5000));
});

test("a session ends at the time that was announced for it, whatever fraction of a millisecond that has", () => {
  fc.assert(
    fc.property(fc.double({ min: 0, max: 1e9, noNaN: true }), (now) => {
      const b = new Bench(4);
      b.now = now;
      b.send(PROTO_UDP, at(HOST, 5000), at(REMOTE, 80));
      b.nat.handleTimeout(b.nat.pollAt());
      return b.nat.size === 0;
    }),
  );
});

test("when every port is taken there is none, and one that is put back is found", () => {
  const ports = new Ports(seededRandom(3));
  for (let p = 1024; p < 65536; p++) expect(ports.take(PROTO_UDP, p, 1)).toBe(p);
  expect(ports.take(PROTO_UDP, 5000, 2)).toBe(-1);
  expect(ports.take(PROTO_TCP, 5000, 2)).toBe(5000);
  ports.put(PROTO_UDP, 40_000);
  expect(ports.take(PROTO_UDP, 5000, 2)).toBe(40_000);
  expect(ports.take(PROTO_UDP, 0, 2)).toBe(-1);
  expect(ports.take(PROTO_ICMP, 0, 2)).toBe(0);
});

test("against a plain map: random traffic, time and table pressure", () => {
  interface Flow {
    readonly host: number;
    readonly port: number;
    readonly remote: Endpoint;
    readonly outside: number;
    used: number;
    answered: boolean;
  }
  const step = fc.record({
    what: fc.constantFrom(
      ...Array<"out">(24).fill("out"),
      ...Array<"in">(8).fill("in"),
      "stranger",
      "wait",
      "longwait",
    ),
    host: fc.nat(3),
    port: fc.nat(3),
    remote: fc.nat(3),
    remotePort: fc.nat(1),
    pick: fc.nat(),
  });
  fc.assert(
    fc.property(fc.array(step, { minLength: 60, maxLength: 250 }), (steps) => {
      const limit = 20;
      const share = 1; // of the unconfirmed: one in 16
      const b = new Bench(limit);
      const flows = new Map<string, Flow>();
      const life = (f: Flow): number => TIMEOUT_MS[f.answered ? STATE_UDP : STATE_UDP_NEW] as number;
      const expire = (): void => {
        for (const [key, f] of flows) if (b.now >= f.used + life(f)) flows.delete(key);
      };
      for (const s of steps) {
        b.now += 1001; // coarser than the grain of touch, so that order of use is exact
        expire();
        b.nat.handleTimeout(b.now);
        if (s.what === "out") {
          const from = at(HOST + s.host, 1024 + s.port);
          const remote = at(REMOTE + s.remote, 53 + s.remotePort);
          const key = `${from.address} ${from.port} ${remote.address} ${remote.port}`;
          if (!flows.has(key) && flows.size === limit) {
            const evictedBefore = b.nat.counters.snapshot().evicted ?? 0;
            const before = new Map(
              [...flows.values()].map((f) => [f.host, b.nat.sessionsOf(IpAddress.fromIpv4(f.host))]),
            );
            expect(b.send(PROTO_UDP, from, remote)).toBe(Drop.None);
            expect(b.nat.counters.snapshot().evicted).toBe(evictedBefore + 1);
            // Which one: of the unanswered where they are more than their share, of the host that has most, the longest idle.
            const weak = [...flows].filter(([, f]) => !f.answered);
            const strong = [...flows].filter(([, f]) => f.answered);
            const rank = weak.length <= share && strong.length > 0 ? strong : weak;
            const counts = new Map<number, number>();
            for (const [, f] of rank) counts.set(f.host, (counts.get(f.host) ?? 0) + 1);
            const most = Math.max(...counts.values());
            const losers = [...before]
              .filter(([host, n]) => b.nat.sessionsOf(IpAddress.fromIpv4(host)) === n - (host === from.address ? 0 : 1))
              .filter(([host]) => counts.get(host) === most);
            const loser = losers.find(([host]) => host !== from.address) ?? losers[0];
            expect(loser).toBeDefined();
            const own = rank.filter(([, f]) => f.host === loser?.[0]);
            const victim = own.sort((x, y) => x[1].used - y[1].used)[0] as [string, Flow];
            flows.delete(victim[0]);
          } else {
            expect(b.send(PROTO_UDP, from, remote)).toBe(Drop.None);
          }
          const outside = b.source();
          expect(outside.address).toBe(EXTERNAL);
          for (const f of flows.values()) {
            // One inside endpoint, one outside port; two never share one.
            expect(f.outside === outside.port).toBe(f.host === from.address && f.port === from.port);
          }
          const old = flows.get(key);
          flows.set(key, {
            host: from.address,
            port: from.port,
            remote,
            outside: outside.port,
            used: b.now,
            answered: old?.answered ?? false,
          });
        } else if (s.what === "in" && flows.size > 0) {
          const f = [...flows.values()][s.pick % flows.size] as Flow;
          expect(b.receive(PROTO_UDP, f.remote, at(EXTERNAL, f.outside))).toBe(Drop.None);
          expect(b.destination()).toEqual(at(f.host, f.port));
          f.used = b.now;
          f.answered = true;
        } else if (s.what === "stranger") {
          const remote = at(REMOTE + s.remote, 53 + s.remotePort);
          const known = [...flows.values()].some(
            (f) => f.outside === 1024 + s.port && f.remote.address === remote.address && f.remote.port === remote.port,
          );
          if (!known) expect(name(b.receive(PROTO_UDP, remote, at(EXTERNAL, 1024 + s.port)))).toBe("NatNoMapping");
        } else if (s.what === "wait") {
          b.now += 9000;
        } else if (s.what === "longwait") {
          b.now += 100_000;
        }
        expire();
        b.nat.handleTimeout(b.now);
        expect(b.nat.size).toBe(flows.size);
      }
    }),
    { numRuns: 150 },
  );
});
