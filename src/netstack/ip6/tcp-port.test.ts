import { describe, expect, test } from "bun:test";
import { GSO_TCPV6, VNET_NEEDS_CSUM } from "../../lib/batch.ts";
import { CONNECTED, type Connection } from "../tcp/connection.ts";
import { PagePool } from "../tcp/pages.ts";
import type { Tcp } from "../tcp/tcp.ts";
import { bytesOf } from "../testing/bed.ts";
import { addr6, advert6, frame6, icmp6, ipv6, tcp6 } from "../testing/bed6.ts";
import { Dialogue6 } from "../testing/dialogue6.ts";
import { PROTO_TCP } from "../wire/ipv4.ts";
import { ipv6PseudoSum } from "../wire/ipv6.ts";
import {
  TCP_ACK,
  TCP_RST,
  TCP_SYN,
  tcpAck,
  tcpChecksumValid,
  tcpEmit,
  tcpSeq,
  tcpSetChecksum,
  tcpSrcPort,
} from "../wire/tcp.ts";

const OWN = "2001:db8::1";
const HOST = "2001:db8::99";

/** A segment of the host's. */
function segment(
  srcPort: number,
  dstPort: number,
  seq: number,
  ack: number,
  flags: number,
  data = bytesOf(0),
): Uint8Array {
  const body = new Uint8Array(20 + data.length);
  const d = new DataView(body.buffer);
  body.set(data, 20);
  tcpEmit(d, 0, srcPort, dstPort, seq, ack, 20, flags, 60_000);
  const packet = ipv6({ src: HOST, dst: OWN }, PROTO_TCP, body);
  const view = new DataView(packet.buffer);
  tcpSetChecksum(view, 40, body.length, ipv6PseudoSum(view, 0, PROTO_TCP));
  return frame6(packet);
}

function open(): { d: Dialogue6; tcp: Tcp } {
  const d = new Dialogue6().up();
  const arena = d.bed.arena(2);
  const tcp = d.it.openTcp({ pool: new PagePool(d.bed.slab, arena.start, 4096, 128) });
  return { d, tcp };
}

/** A connection of ours that the host has accepted: our first sequence number behind the SYN, and our port. */
function connected(d: Dialogue6, tcp: Tcp): { c: Connection; seq: number; port: number } {
  const c = tcp.connect(d.now, { address: addr6(HOST), port: 80 }) as Connection;
  d.it.handleTimeout(d.now);
  d.ingest(d.bed.receive(advert6(HOST)));
  const syn = d.frames().find(({ bytes }) => bytes[20] === PROTO_TCP);
  const seq = tcpSeq(syn!.view, 54);
  const port = tcpSrcPort(syn!.view, 54);
  d.push(segment(80, port, 5000, seq + 1, TCP_SYN | TCP_ACK));
  return { c, seq: seq + 1, port };
}

describe("TCP over IPv6", () => {
  test("a connection begins, from the address that is right for the peer, and its MSS is what the link takes", () => {
    const { d, tcp } = open();
    const c = tcp.connect(d.now, { address: addr6(HOST), port: 80 }) as Connection;
    d.it.handleTimeout(d.now);
    expect(d.sent()[0]).toContain("nd solicit 2001:db8::99");
    const [line] = d.push(advert6(HOST));
    expect(line).toMatch(/2001:db8::1 > 2001:db8::99 hops 64 .*\[S\] .* mss 1440 /);
    expect(c.state).toBe("SYN-SENT");
    const all = connected(d, tcp);
    expect(all.c.takeEvents() & CONNECTED).toBe(CONNECTED);
  });

  test("without an address for the peer it does not", () => {
    const { d, tcp } = open();
    d.it.unconfigure6();
    expect(tcp.connect(d.now, { address: addr6(HOST), port: 80 })).toBe("no-address");
  });

  test("bytes leave as super-frames of GSO_TCPV6 whose checksum a device completes", () => {
    const { d, tcp } = open();
    const { c, seq, port } = connected(d, tcp);
    d.outlet.take();
    c.writeBytes(bytesOf(3000));
    d.it.handleTimeout(d.now);
    const fields = d.frames().map(({ bytes, gsoType, gsoSize, flags, csumStart, csumOffset }) => ({
      payload: bytes.length - 74,
      gsoType,
      gsoSize,
      flags,
      csumStart,
      csumOffset,
    }));
    // The host offered no MSS: 1220 bytes (RFC 9293 3.7.1).
    const expected = { gsoType: GSO_TCPV6, gsoSize: 1220, flags: VNET_NEEDS_CSUM, csumStart: 54, csumOffset: 16 };
    expect(fields).toEqual([{ payload: 3000, ...expected }]);
    d.push(segment(80, port, 5001, seq + 3000, TCP_ACK, bytesOf(100)));
    expect(c.readable).toBe(100);
    expect(d.it.counters.snapshot().tcp).toBe(2);
  });

  test("a listener hears the host; one segment of a super-frame is as good as many", () => {
    const { d, tcp } = open();
    const listener = tcp.listen(80)!;
    d.ingest(d.bed.receive(segment(4000, 80, 1, 0, TCP_SYN)));
    d.ingest(d.bed.receive(advert6(HOST)));
    const answer = d.frames().find(({ bytes }) => bytes[20] === PROTO_TCP);
    d.push(segment(4000, 80, 2, tcpSeq(answer!.view, 54) + 1, TCP_ACK));
    const c = listener.accept()!;
    expect([c.state, `${c.remote.address}`]).toEqual(["ESTABLISHED", HOST]);
    const rx = d.bed.receive(segment(4000, 80, 2, tcpSeq(answer!.view, 54) + 1, TCP_ACK, bytesOf(5000)));
    rx.gsoType[0] = GSO_TCPV6;
    rx.gsoSize[0] = 1220;
    rx.flags[0] = VNET_NEEDS_CSUM;
    d.ingest(rx);
    expect(c.readable).toBe(5000);
  });

  test("too big: the segments become smaller; forged quotes change nothing (RFC 8201, RFC 5927 4)", () => {
    const { d, tcp } = open();
    const { c, seq, port } = connected(d, tcp);
    const quote = (at: number, from = port): Uint8Array => {
      const header = tcp6({ src: OWN, dst: HOST }, TCP_ACK, bytesOf(1300));
      const view = new DataView(header.buffer);
      view.setUint16(40, from);
      view.setInt32(44, at);
      return header;
    };
    const tooBig = (mtu: number, quoted: Uint8Array) =>
      frame6(icmp6({ src: "2001:db8::7", dst: OWN }, 2, 0, mtu, quoted.slice(0, 1200)));
    c.writeBytes(bytesOf(5000));
    d.it.handleTimeout(d.now);
    d.outlet.take();
    d.push(
      tooBig(1280, quote(seq + 60_000)),
      tooBig(1280, quote(seq, port + 1)),
      tooBig(1280, quote(seq).slice(0, 47)),
    );
    expect(c.pathMtu).toBe(1500);
    expect(d.drops()["IcmpBadQuote"]).toBe(3);
    d.push(tooBig(1000, quote(seq)));
    expect(c.pathMtu).toBe(1280);
  });

  test("a closed port is answered by a reset, over either family's rules", () => {
    const { d } = open();
    d.ingest(d.bed.receive(segment(4000, 81, 7, 0, TCP_SYN, bytesOf(3)), advert6(HOST)));
    const reset = d.frames().find(({ bytes }) => bytes[20] === PROTO_TCP)!;
    expect([reset.view.getUint8(54 + 13), tcpAck(reset.view, 54)]).toEqual([TCP_RST | TCP_ACK, 11]);
    expect(tcpChecksumValid(reset.view, 54, 20, ipv6PseudoSum(reset.view, 14, PROTO_TCP))).toBe(true);
    expect(d.it.counters.snapshot().tcpReset).toBe(1);
    const wan = new Dialogue6("wan").up();
    expect(wan.push(segment(4000, 81, 7, 0, TCP_SYN))).toEqual([]);
    expect(wan.drops()).toEqual({ TcpNoPort: 1 });
  });
});
