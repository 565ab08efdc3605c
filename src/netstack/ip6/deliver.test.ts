import { describe, expect, test } from "bun:test";
import { GSO_UDP_L4, VNET_NEEDS_CSUM } from "../../lib/batch.ts";
import { Drop } from "../drop.ts";
import type { Forwarder } from "../forwarder.ts";
import type { UdpError } from "../socket/udp-socket.ts";
import { Bed, bytesOf, cidr, HOST_MAC, tunnelSide } from "../testing/bed.ts";
import {
  addr6,
  advert6,
  fragments6,
  frame6,
  HOST_LL,
  icmp6,
  ipv6,
  ROUTER_LL,
  solicit6,
  tcp6,
  udp6,
} from "../testing/bed6.ts";
import { Dialogue6 } from "../testing/dialogue6.ts";
import { ipv6PseudoSum } from "../wire/ipv6.ts";
import { printIpv6 } from "../wire/print.ts";
import { udpChecksumValid } from "../wire/udp.ts";

const OWN = "2001:db8::1";
const HOST = "2001:db8::99";
const FAR = "2001:db8:5::5";
const TO_HOST = `${HOST_MAC} ${OWN} > ${HOST} hops 64`;

/** An interface whose host is known. */
function open(name: "lan" | "wan" = "lan"): Dialogue6 {
  const d = new Dialogue6(name).up();
  const socket = d.it.bindUdp(1, { onDatagram: () => {} })!;
  for (const host of [HOST, HOST_LL]) {
    d.it.sendUdp(d.now, socket, addr6(host), 1, bytesOf(0));
    d.push(advert6(host));
  }
  d.it.closeUdp(socket);
  d.it.counters.values.fill(0);
  return d;
}
const ping = (src: string, dst: string, n = 8, type = 128) => icmp6({ src, dst }, type, 0, 0x00070001, bytesOf(n));

describe("echo (RFC 4443 4)", () => {
  test("is answered with all that it had, from the address that was asked", () => {
    const d = open();
    expect(d.push(frame6(ping(HOST, OWN, 100)))).toEqual([`${TO_HOST} len 148 icmp6 type 129 code 0 id 7 seq 1`]);
    expect(d.push(frame6(ping(HOST_LL, ROUTER_LL)))[0]).toContain(`${ROUTER_LL} > ${HOST_LL}`);
    expect(d.it.counters.snapshot().echo).toBe(2);
  });

  test("to a group is answered from an address of the asker's scope, within the limit of errors", () => {
    const d = open();
    const toAll = frame6(ping(HOST_LL, "ff02::1"), "33:33:00:00:00:01");
    expect(d.push(toAll)[0]).toContain(`${HOST_MAC} ${ROUTER_LL} > ${HOST_LL} hops 64 len 56 icmp6 type 129`);
    const flood = d.push(...Array.from({ length: 200 }, () => toAll));
    expect(flood.length).toBeLessThan(30);
    expect(d.drops()["RateLimited"]).toBe(200 - flood.length);
  });

  test("of a wrong checksum, to a group that we do not listen to, or where policy is silence: nothing", () => {
    const d = open();
    const damaged = ping(HOST, OWN);
    damaged[50]! ^= 1;
    expect(d.push(frame6(damaged), frame6(ping(HOST, "ff02::2"), "33:33:00:00:00:02"))).toEqual([]);
    expect(d.push(frame6(ping(HOST, "ff02::1:ff00:99"), "33:33:ff:00:00:99"))).toEqual([]);
    expect(d.drops()).toEqual({ IcmpBadChecksum: 1, Ipv6NotForUs: 2 });
    const wan = open("wan");
    expect(wan.push(frame6(ping(HOST, OWN)), frame6(ping(HOST_LL, "ff02::1"), "33:33:00:00:00:01"))).toEqual([]);
    expect(wan.drops()).toEqual({ IcmpUnwanted: 2 });
  });

  test("longer than the link is put together and answered in fragments (RFC 8200 4.5)", () => {
    const d = open();
    const pieces = fragments6(ping(HOST, OWN, 4000), 1232, 77);
    const sent = d.push(...pieces.map((piece) => frame6(piece)));
    expect(sent.map((line) => line.replace(/id [0-9a-f]+/, "id x"))).toEqual([
      `${TO_HOST} frag id x 0+ len 1496 icmp6 type 129 code 0 id 7 seq 1`,
      `${TO_HOST} frag id x 1448+ len 1496`,
      `${TO_HOST} frag id x 2896 len 1160`,
    ]);
    expect(d.it.counters.snapshot()).toMatchObject({ echo: 1, fragments: 3 });
    expect(d.accounts).toBe(true);
  });
});

describe("what comes in", () => {
  test("without an address IPv6 is off: everything is one drop", () => {
    const d = new Dialogue6();
    d.push(frame6(ping(HOST, OWN)), solicit6(OWN), frame6(bytesOf(3)));
    expect(d.drops()).toEqual({ Ipv6: 3 });
    expect(d.it.pollAt()).toBe(Number.POSITIVE_INFINITY);
    d.up();
    d.it.unconfigure6();
    d.push(frame6(ping(HOST, OWN)));
    expect(d.drops()).toEqual({ Ipv6: 4 });
    expect(d.it.pollAt()).toBe(Number.POSITIVE_INFINITY);
  });

  test("addresses that cannot be are refused by name (RFC 4291)", () => {
    const d = open();
    for (const src of ["ff02::5", "::1", "::ffff:1.2.3.4", OWN]) d.push(frame6(ping(src, OWN)));
    d.push(frame6(ping("::", OWN)));
    expect(d.drops()).toEqual({ Ipv6MartianSource: 5 });
    for (const dst of ["::", "::1", "::ffff:1.2.3.4", "ff01::1", "ff00::1"]) d.push(frame6(ping(HOST, dst)));
    expect(d.drops()["Ipv6MartianDestination"]).toBe(5);
    expect(d.sent()).toEqual([]);
  });

  test("what is for another host, or was sent to all although it is for us alone, is not ours", () => {
    const d = open();
    d.push(frame6(ping(HOST, "2001:db8::5")), frame6(ping(HOST, OWN), "33:33:00:00:00:01"));
    d.push(frame6(ping(HOST, OWN), "ff:ff:ff:ff:ff:ff"), frame6(ping(HOST, OWN), "01:00:5e:00:00:01"));
    expect(d.drops()).toEqual({ Ipv6NotForUs: 3, EtherNotForUs: 1 });
  });

  test("the group of all routers is heard by a router alone (RFC 4291 2.8)", () => {
    const d = open();
    const heard: string[] = [];
    d.it.v6.onRouterSolicit = (_now, source, message) => heard.push(`${source} ${message.length}`);
    const solicit = frame6(
      icmp6({ src: HOST_LL, dst: "ff02::2", hops: 255 }, 133, 0, 0, bytesOf(0)),
      "33:33:00:00:00:02",
    );
    d.push(solicit);
    const addresses = [{ address: cidr(`${ROUTER_LL}/64`) }];
    d.configure({ addresses, isRouter: true });
    d.push(solicit);
    expect(heard).toEqual([`${HOST_LL} 8`]);
  });

  test("advertisements of routers go to who asked to hear them; redirects to nobody", () => {
    const d = open("wan");
    const heard: string[] = [];
    const advert = frame6(
      icmp6({ src: HOST_LL, dst: "ff02::1", hops: 255 }, 134, 0, 0, bytesOf(8)),
      "33:33:00:00:00:01",
    );
    d.push(advert);
    expect(d.drops()).toEqual({ IcmpBadType: 1 });
    d.it.v6.onRouterAdvert = (_now, source, message) => heard.push(`${source} ${message[0]} ${message.length}`);
    d.push(advert);
    const far = frame6(icmp6({ src: HOST_LL, dst: "ff02::1", hops: 64 }, 134, 0, 0, bytesOf(8)), "33:33:00:00:00:01");
    const redirect = frame6(icmp6({ src: HOST_LL, dst: OWN, hops: 255 }, 137, 0, 0, new Uint8Array(32)));
    d.push(far, redirect);
    expect(heard).toEqual([`${HOST_LL} 134 16`]);
    expect(d.drops()).toEqual({ IcmpBadType: 2, NdNotLocal: 1 });
  });

  test("a flood of them is cut to 20 at once and 10 a second, advertisements and solicitations each by themselves", () => {
    const d = open("wan");
    const heard = { adverts: 0, solicits: 0 };
    d.it.v6.onRouterAdvert = () => heard.adverts++;
    d.it.v6.onRouterSolicit = () => heard.solicits++;
    const flood = (type: number, rest: number): void => {
      const message = icmp6({ src: HOST_LL, dst: "ff02::1", hops: 255 }, type, 0, 0, bytesOf(rest));
      for (let i = 0; i < 100; i++) d.push(frame6(message, "33:33:00:00:00:01"));
    };
    flood(134, 8);
    expect(heard).toEqual({ adverts: 20, solicits: 0 });
    flood(133, 0);
    expect(heard).toEqual({ adverts: 20, solicits: 20 });
    d.advance(1000);
    flood(134, 8);
    expect(heard).toEqual({ adverts: 30, solicits: 20 });
    expect(d.drops()).toEqual({ NdRouterLimit: 250 });
  });
});

describe("extension headers (RFC 8200 4)", () => {
  const withExt = (kind: number, ...content: number[]) =>
    frame6(icmp6({ src: HOST, dst: OWN, ext: [[kind, Uint8Array.of(0, 0, ...content)]] }, 128, 0, 0x70001, bytesOf(8)));
  const problem = (code: number, pointer: number): string =>
    `icmp6 type 4 code ${code} rest ${pointer} about ${HOST} > ${OWN}`;

  test("padding and options that may be skipped are; the answer has none", () => {
    const d = open();
    const sent = d.push(withExt(60, 1, 4, 0, 0, 0, 0), withExt(0, 0x1e, 4, 0, 0, 0, 0), withExt(0, 5, 2, 0, 0, 1, 0));
    expect(sent).toEqual(Array(3).fill(`${TO_HOST} len 56 icmp6 type 129 code 0 id 7 seq 1`));
  });

  test("an unknown option is refused as its type says", () => {
    const d = open();
    expect(d.push(withExt(60, 0x5e, 4, 0, 0, 0, 0))).toEqual([]);
    expect(d.push(withExt(60, 0x9e, 4, 0, 0, 0, 0))[0]).toContain(problem(2, 42));
    expect(d.push(withExt(60, 0xde, 4, 0, 0, 0, 0))[0]).toContain(problem(2, 42));
    expect(d.push(withExt(60, 1, 9, 0, 0, 0, 0))).toEqual([]);
    expect(d.drops()).toEqual({ Ipv6BadOption: 4 });
  });

  test("a group hears of an option whose type asks for it, and of no other (RFC 4443 2.4 e.3)", () => {
    const d = open();
    const toAll = (type: number) => {
      const ext: [number, Uint8Array][] = [[60, Uint8Array.of(0, 0, type, 4, 0, 0, 0, 0)]];
      return frame6(icmp6({ src: HOST_LL, dst: "ff02::1", ext }, 128, 0, 0, bytesOf(8)), "33:33:00:00:00:01");
    };
    expect(d.push(toAll(0x9e))[0]).toContain(`${ROUTER_LL} > ${HOST_LL} hops 64 len 112 icmp6 type 4 code 2 rest 42`);
    expect(d.push(toAll(0xde))).toEqual([]);
  });

  test("routing headers: type 0 never (RFC 5095), others with segments left are not ours to follow", () => {
    const d = open();
    expect(d.push(withExt(43, 0, 0, 0, 0, 0, 0))[0]).toContain(problem(0, 42));
    expect(d.push(withExt(43, 4, 1, 0, 0, 0, 0))[0]).toContain(problem(0, 42));
    expect(d.push(withExt(43, 4, 0, 0, 0, 0, 0))[0]).toContain("icmp6 type 129");
    expect(d.drops()).toEqual({ Ipv6RoutingHeader: 2 });
  });

  test("an unknown transport is told, and where it is named; that nothing follows is no problem", () => {
    const d = open();
    expect(d.push(frame6(ipv6({ src: HOST, dst: OWN }, 132, bytesOf(8))))[0]).toContain(problem(1, 6));
    expect(d.push(frame6(ipv6({ src: HOST, dst: OWN }, 59, bytesOf(8))))).toEqual([]);
    expect(d.push(withExt(60, 1, 4, 0, 0, 0, 0).fill(132, 54, 55))[0]).toContain(problem(1, 40));
    expect(d.drops()).toEqual({ Ipv6UnknownProtocol: 3 });
  });

  test("chains that are broken or too long are dropped without a word", () => {
    const d = open();
    const long = Array.from({ length: 9 }, (): [number, Uint8Array] => [60, new Uint8Array(8)]);
    d.push(frame6(icmp6({ src: HOST, dst: OWN, ext: long }, 128, 0, 0, bytesOf(8))));
    d.push(frame6(ipv6({ src: HOST, dst: OWN }, 60, new Uint8Array(4))));
    expect(d.drops()).toEqual({ Ipv6ChainTooLong: 1, Ipv6BadExtension: 1 });
    expect(d.sent()).toEqual([]);
  });
});

describe("fragments (RFC 8200 4.5)", () => {
  const big = (n = 3000) => udp6({ src: HOST, dst: OWN }, 7, 9, bytesOf(n));
  const listen = (d: Dialogue6): number[] => {
    const heard: number[] = [];
    d.it.bindUdp(9, { onDatagram: (_now, _src, _port, _at, len) => heard.push(len) });
    return heard;
  };

  test("in any order are one packet, whose checksum is that of the whole", () => {
    const d = open();
    const heard = listen(d);
    d.push(
      ...fragments6(big(), 1000)
        .toReversed()
        .map((piece) => frame6(piece)),
    );
    expect(heard).toEqual([3000]);
    expect(d.it.v6.reassembler.packets).toBe(0);
  });

  test("one that is whole by itself waits for nobody, whatever has its identification (RFC 6946)", () => {
    const d = open();
    const heard = listen(d);
    const [first] = fragments6(big(), 1000, 5);
    const [atomic] = fragments6(big(100), 1000, 5);
    d.push(frame6(first!), frame6(atomic!));
    expect(heard).toEqual([100]);
    expect(d.it.v6.reassembler.packets).toBe(1);
  });

  test("that overlap refuse their whole packet (RFC 5722)", () => {
    const d = open();
    const heard = listen(d);
    const [a, b, c] = fragments6(big(), 1000);
    const overlap = b!.slice();
    new DataView(overlap.buffer).setUint16(42, 992 | 1);
    d.push(frame6(a!), frame6(overlap), frame6(b!), frame6(c!));
    expect(heard).toEqual([]);
    expect(d.drops()["FragmentOverlap"]).toBe(3);
  });

  test("of a wrong size are told of: the payload length, or the offset where the packet is too long", () => {
    const d = open();
    const [first] = fragments6(big(), 1000);
    const odd = first!.slice(0, -3);
    new DataView(odd.buffer).setUint16(4, odd.length - 40);
    expect(d.push(frame6(odd))[0]).toContain("icmp6 type 4 code 0 rest 4 ");
    const beyond = first!.slice();
    new DataView(beyond.buffer).setUint16(42, 0xfff8);
    expect(d.push(frame6(beyond))[0]).toContain("icmp6 type 4 code 0 rest 42 ");
    expect(d.drops()).toEqual({ FragmentBadLength: 1, FragmentTooLong: 1 });
  });

  test("a first one without its transport header is refused and told (RFC 7112)", () => {
    const d = open();
    const [first] = fragments6(ipv6({ src: HOST, dst: OWN }, 6, bytesOf(64)), 16);
    expect(d.push(frame6(first!))[0]).toContain("icmp6 type 4 code 3 rest 0 ");
    expect(d.drops()).toEqual({ FragmentIncompleteChain: 1 });
  });

  test("that never become a packet are told after 20 s, if the first is there", () => {
    const d = open();
    const [a, b] = fragments6(big(), 1000, 1);
    const [, later] = fragments6(big(), 1000, 2);
    d.push(frame6(a!), frame6(b!), frame6(later!));
    expect(d.advance(21_000)).toEqual([
      `${TO_HOST} len 1096 icmp6 type 3 code 1 rest 0 about ${HOST} > ${OWN} next 44`,
    ]);
    expect(d.it.outDrops.snapshot()).toEqual({ FragmentTimeout: 2 });
  });

  test("headers in front of the fragment header stay, and the field that named it names what follows", () => {
    const d = open();
    const heard = listen(d);
    const whole = udp6({ src: HOST, dst: OWN }, 7, 9, bytesOf(200)).slice(40);
    const piece = (offset: number, more: boolean) => {
      const fragment = new Uint8Array(8);
      new DataView(fragment.buffer).setUint16(2, offset | (more ? 1 : 0));
      const ext: [number, Uint8Array][] = [
        [0, Uint8Array.of(0, 0, 1, 4, 0, 0, 0, 0)],
        [60, Uint8Array.of(0, 0, 1, 4, 0, 0, 0, 0)],
        [44, fragment],
      ];
      return frame6(ipv6({ src: HOST, dst: OWN, ext }, 17, whole.slice(offset, more ? offset + 104 : undefined)));
    };
    d.push(piece(0, true), piece(104, false));
    expect(heard).toEqual([200]);
  });
});

describe("UDP", () => {
  test("a closed port is told; without a checksum nothing is heard (RFC 8200 8.1)", () => {
    const d = open();
    expect(d.push(frame6(udp6({ src: HOST, dst: OWN }, 7, 9, bytesOf(4))))[0]).toContain("icmp6 type 1 code 4");
    const none = udp6({ src: HOST, dst: OWN }, 7, 9, bytesOf(4));
    none.fill(0, 46, 48);
    expect(d.push(frame6(none))).toEqual([]);
    const wrong = udp6({ src: HOST, dst: OWN }, 7, 9, bytesOf(4));
    wrong[47]! ^= 1;
    d.push(frame6(wrong));
    expect(d.drops()).toEqual({ UdpNoChecksum: 1, UdpBadChecksum: 1 });
  });

  test("one socket hears both families, and answers each", () => {
    const d = open();
    const heard: string[] = [];
    const socket = d.it.bindUdp(9, {
      onDatagram: (now, src, port, _at, len) => {
        heard.push(`${src} ${port} ${len}`);
        d.it.sendUdp(now, socket!, src, port, bytesOf(len));
      },
    });
    expect(d.push(frame6(udp6({ src: HOST, dst: OWN }, 7, 9, bytesOf(4))))).toEqual([
      `${TO_HOST} len 52 udp 9 > 7 len 4`,
    ]);
    expect(heard).toEqual([`${HOST} 7 4`]);
  });

  test("longer than the link leaves in fragments, with a checksum", () => {
    const d = open();
    const socket = d.it.bindUdp(9, { onDatagram: () => {} })!;
    d.it.sendUdp(d.now, socket, addr6(HOST), 7, bytesOf(2000));
    expect(d.sent().map((line) => line.replace(/id [0-9a-f]+/, "id x"))).toEqual([
      `${TO_HOST} frag id x 0+ len 1496 udp 9 > 7 len 2000`,
      `${TO_HOST} frag id x 1448 len 608`,
    ]);
  });

  test("to a group leaves from the address of its scope, by the group's MAC", () => {
    const d = open("wan");
    const socket = d.it.bindUdp(546, { onDatagram: () => {} })!;
    d.it.sendUdp(d.now, socket, addr6("ff02::1:2"), 547, bytesOf(10));
    expect(d.sent()).toEqual([`33:33:00:01:00:02 ${ROUTER_LL} > ff02::1:2 hops 64 len 58 udp 546 > 547 len 10`]);
  });

  test("a peer's datagrams are collected in place, and a super-frame is split; others are strangers", () => {
    const d = open();
    const rows: number[] = [];
    const strangers: string[] = [];
    const socket = d.it.bindUdp(1194, { onDatagram: () => {} })!;
    const sink = {
      batch: d.bed.rx,
      drain: () => {},
      stranger: (src: Int32Array, port: number) => {
        strangers.push(`${[...src].map((w) => (w >>> 0).toString(16))} ${port}`);
        return Drop.UdpWrongPeer;
      },
    };
    const batch = { room: 9, push: (_at: number, len: number) => rows.push(len) } as unknown as typeof sink.batch;
    socket.collect({ ...sink, batch }, addr6(HOST), 7);
    const rx = d.bed.receive(
      frame6(udp6({ src: HOST, dst: OWN }, 7, 1194, bytesOf(250))),
      frame6(udp6({ src: "2001:db8::98", dst: OWN }, 7, 1194, bytesOf(4))),
    );
    rx.flags[0] = VNET_NEEDS_CSUM;
    rx.gsoType[0] = GSO_UDP_L4;
    rx.gsoSize[0] = 100;
    d.ingest(rx);
    expect(rows).toEqual([100, 100, 50]);
    expect(strangers).toEqual(["20010db8,0,0,98 7"]);
  });

  test("a batch leaves as one super-frame with partial checksums where the device takes it", () => {
    const d = open();
    d.outlet.udpGso = true;
    const socket = d.it.bindUdp(1194, { onDatagram: () => {} })!;
    const arena = d.bed.arena();
    const rows = d.bed.rx;
    rows.clear();
    for (const len of [400, 400, 100]) {
      const at = arena.take(len);
      d.bed.slab.bytes.set(bytesOf(len), at);
      rows.push(at, len);
    }
    d.it.sendUdpBatch(d.now, socket, addr6(HOST), 1194, rows);
    const [sent] = d.frames();
    expect(sent).toMatchObject({
      gsoType: GSO_UDP_L4,
      gsoSize: 400,
      flags: VNET_NEEDS_CSUM,
      csumStart: 54,
      csumOffset: 6,
    });
    expect(printIpv6(sent!.view, 14, sent!.bytes.length - 14)).toBe(
      `${OWN} > ${HOST} hops 64 len 948 udp 1194 > 1194 len 900`,
    );
    rows.clear();
    const at = arena.take(1500);
    d.bed.slab.bytes.set(bytesOf(1500), at);
    rows.push(at, 1500);
    d.it.sendUdpBatch(d.now, socket, addr6(HOST), 1194, rows);
    const pieces = d.frames();
    expect(pieces.map(({ bytes }) => bytes.length)).toEqual([1510, 122]);
    const whole = Uint8Array.of(
      ...pieces[0]!.bytes.slice(14, 54),
      ...pieces.flatMap(({ bytes }) => [...bytes.slice(62)]),
    );
    const view = new DataView(whole.buffer);
    expect(udpChecksumValid(view, 40, ipv6PseudoSum(view, 0, 17))).toBe(true);
  });
});

describe("errors (RFC 4443 2.4)", () => {
  const closed = (fields: { src?: string; dst?: string } = {}) =>
    udp6({ src: fields.src ?? HOST, dst: fields.dst ?? OWN }, 7, 9, bytesOf(4));

  test("quote as much as 1280 bytes hold, and are rate limited by host", () => {
    const d = open();
    expect(d.push(frame6(udp6({ src: HOST, dst: OWN }, 7, 9, bytesOf(1400))))[0]).toContain("len 1280 icmp6 type 1");
    const flood = Array.from({ length: 300 }, () => frame6(closed()));
    expect(d.push(...flood).length).toBeLessThan(26);
    expect(d.push(frame6(closed({ src: "2001:db8::98" })))[0]).toContain("nd solicit 2001:db8::98");
    expect(d.it.outDrops.snapshot().RateLimited).toBeGreaterThan(270);
  });

  test("are not sent about errors and redirects, to nobody or groups, nor beyond the link", () => {
    const d = open();
    const quote = closed({ src: OWN, dst: HOST });
    const problemOf = (type: number) => {
      const ext: [number, Uint8Array][] = [[60, Uint8Array.of(0, 0, 0x9e, 4, 0, 0, 0, 0)]];
      return frame6(icmp6({ src: HOST, dst: OWN, ext, hops: 255 }, type, 0, 0, quote));
    };
    expect(d.push(problemOf(1), problemOf(100), problemOf(137))).toEqual([]);
    expect(d.push(problemOf(128))).toHaveLength(1);
    const addresses = [{ address: cidr(`${ROUTER_LL}/64`) }, { address: cidr(`${OWN}/64`) }];
    d.configure({ addresses, onLink: [cidr("2001:db8::/64")], gateway: addr6(HOST_LL) });
    expect(d.push(frame6(closed({ src: FAR })))).toEqual([]);
    expect(d.push(frame6(udp6({ src: HOST_LL, dst: "ff02::1" }, 7, 9, bytesOf(4)), "33:33:00:00:00:01"))).toEqual([]);
    expect(d.drops()).toEqual({ Ipv6BadOption: 4, UdpNoPort: 2 });
  });

  test("on the WAN there are none", () => {
    const d = open("wan");
    expect(d.push(frame6(closed()), frame6(ipv6({ src: HOST, dst: OWN }, 132, bytesOf(8))))).toEqual([]);
    expect(d.push(frame6(ipv6({ src: HOST, dst: OWN, ext: [[43, new Uint8Array(8)]] }, 17, bytesOf(8))))).toEqual([]);
    const [first] = fragments6(closed(), 8);
    expect(d.push(frame6(first!))).toEqual([]);
    expect(d.advance(30_000)).toEqual([]);
    expect(d.accounts).toBe(true);
  });
});

describe("errors about our own datagrams", () => {
  const wan = () => {
    const d = new Dialogue6("wan");
    const gateway = addr6(HOST_LL);
    d.configure({ addresses: [{ address: cidr(`${ROUTER_LL}/64`) }, { address: cidr(`${OWN}/64`) }], gateway });
    d.advance(2000);
    const told: UdpError[] = [];
    const socket = d.it.bindUdp(9, { onDatagram: () => {}, onError: (_now, error) => told.push(error) })!;
    const send = (n: number) => {
      d.it.sendUdp(d.now, socket, addr6(FAR), 7, bytesOf(n));
      return d.frames().map(({ bytes }) => bytes.length - 14);
    };
    send(1);
    d.push(advert6(HOST_LL));
    return { d, told, send };
  };
  const tooBig = (mtu: number, quote: Uint8Array, dst = OWN) =>
    frame6(icmp6({ src: "2001:db8:7::1", dst }, 2, 0, mtu, quote.slice(0, 1200)));
  const ours = (n: number, port = 9, src = OWN) => udp6({ src, dst: FAR }, port, 7, bytesOf(n));

  test("too big for a path: the socket hears, and from now on fragments fit it (RFC 8201)", () => {
    const { d, told, send } = wan();
    expect(send(1400)).toEqual([1448]);
    d.push(tooBig(1300, ours(1400)));
    expect(told.map(({ type, code, mtu, dst, dstPort }) => [type, code, mtu, `${dst}`, dstPort])).toEqual([
      [2, 0, 1300, FAR, 7],
    ]);
    expect(send(1400)).toEqual([1296, 208]);
    d.push(tooBig(68, ours(1400)));
    expect(send(1400)).toEqual([1280, 224]);
    d.advance(600_001);
    send(1);
    d.push(advert6(HOST_LL));
    expect(send(1400)).toEqual([1448]);
  });

  test("a quote of what we never sent, or of what was no larger, changes nothing", () => {
    const { d, told, send } = wan();
    d.push(tooBig(1300, ours(1200))); // 1248 bytes fit 1300
    d.push(tooBig(1300, ours(1400, 10)), tooBig(1300, ours(1400, 9, "2001:db8::7")));
    d.push(tooBig(1300, ours(1400).slice(0, 47)), tooBig(1300, ours(1400).fill(0x40, 0, 1)));
    d.push(tooBig(1300, tcp6({ src: OWN, dst: FAR }, 2, bytesOf(1400))));
    const [, later] = fragments6(ours(3000), 1448);
    later!.set([0, 9, 0, 7], 48); // data that looks like our ports
    d.push(tooBig(1300, later!));
    expect(told).toEqual([]);
    expect(d.drops()).toEqual({ IcmpBadQuote: 7 });
    expect(send(1400)).toEqual([1448]);
  });

  test("unreachable is told too, also of a datagram that left in fragments", () => {
    const { d, told } = wan();
    const [first] = fragments6(ours(3000), 1232);
    d.push(frame6(icmp6({ src: "2001:db8:7::1", dst: OWN }, 1, 3, 0, first!)));
    expect(told).toMatchObject([{ type: 1, code: 3, mtu: 0 }]);
    expect(d.it.counters.snapshot().icmpErrors).toBe(1);
  });
});

describe("the forwarder", () => {
  const forwarding = () => {
    const d = open();
    const seen: string[] = [];
    const forwarder: Forwarder = {
      checkSource: (p) => {
        seen.push("source");
        return d.bed.slab.view.getUint8(p.at + 8 + 5) === 9 ? Drop.ForeignSource : Drop.None;
      },
      isForwarded: () => false,
      forward: (_now, p) => seen.push(`${p.isV6} ${printIpv6(d.bed.slab.view, p.at, p.len)}`),
    };
    d.it.v6.forwarder = forwarder;
    return { d, seen };
  };

  test("gets what is for others, checked, and is asked for the source of what is for us", () => {
    const { d, seen } = forwarding();
    d.push(frame6(ping(HOST, FAR)), frame6(ping(HOST, OWN)));
    expect(seen).toEqual(["source", `true ${HOST} > ${FAR} hops 64 len 56 icmp6 type 128 code 0 id 7 seq 1`, "source"]);
    d.push(frame6(ping("2001:db8:9::1", FAR)), frame6(ping("2001:db8:9::1", OWN)));
    expect(d.drops()).toEqual({ ForeignSource: 2 });
  });

  test("does not get what belongs to the link: link-local, groups, what was sent to all, a route of the sender's", () => {
    const { d, seen } = forwarding();
    d.push(frame6(ping(HOST_LL, FAR)), frame6(ping(HOST, "fe80::7")), frame6(ping("::", FAR)));
    d.push(frame6(ping(HOST, "ff05::9")), frame6(ping(HOST, FAR), "33:33:00:00:00:01"));
    const routed = ipv6({ src: HOST, dst: FAR, ext: [[43, new Uint8Array(8)]] }, 17, bytesOf(8));
    expect(d.push(frame6(routed))).toEqual([]);
    expect(seen.filter((line) => line !== "source")).toEqual([]);
    expect(d.drops()).toEqual({ Ipv6NotForUs: 5, Ipv6RoutingHeader: 1 });
  });

  test("behind a translator gets what comes to our address, whole, but for echo and neighbours", () => {
    const { d, seen } = forwarding();
    d.it.v6.isTranslated = true;
    expect(d.push(frame6(ping(HOST, OWN)), solicit6(OWN, { src: HOST }))).toHaveLength(2);
    const pieces = fragments6(udp6({ src: HOST, dst: OWN }, 7, 9, bytesOf(300)), 160);
    d.push(frame6(fragments6(udp6({ src: HOST, dst: OWN }, 7, 9, bytesOf(300)), 160, 2)[0]!));
    expect(d.advance(30_000)).toEqual([]); // nobody is told of lost ones: whose they were is not known
    d.push(frame6(tcp6({ src: HOST, dst: OWN }, 2, bytesOf(0))), ...pieces.map((piece) => frame6(piece)));
    expect(seen.filter((line) => line !== "source")).toEqual([
      `true ${HOST} > ${OWN} hops 64 len 60 tcp 40000 > 80 [S] seq 1000 ack 2000 win 512 data 0`,
      `true ${HOST} > ${OWN} hops 64 len 348 udp 7 > 9 len 300`,
    ]);
  });
});

describe("in the tunnel", () => {
  const tunnel = () => {
    const bed = new Bed();
    const { it, outlet } = tunnelSide(bed);
    it.link.isOpen = true;
    it.link.peerOf = () => 3;
    it.configure6(0, { addresses: [{ address: cidr("fd00:8::2/64") }], onLink: [cidr("::/0")] });
    return { bed, it, outlet };
  };

  test("an address is ours at once, a peer is answered by its number, and rows of either family come in", () => {
    const { bed, it, outlet } = tunnel();
    const rx = bed.receive(ping("fd00:8::1", "fd00:8::2"));
    rx.peer[0] = 5;
    it.ingest(0, rx);
    const [sent] = outlet.take();
    expect(printIpv6(sent!.view, 0, sent!.bytes.length)).toBe(
      "fd00:8::2 > fd00:8::1 hops 64 len 56 icmp6 type 129 code 0 id 7 seq 1",
    );
    expect(sent!.peer).toBe(5);
  });

  test("there is no neighbour discovery in it, and nobody listens to groups", () => {
    const { bed, it, outlet } = tunnel();
    it.ingest(0, bed.receive(solicit6("fd00:8::2", { src: "fd00:8::1" }).slice(14)));
    expect(it.drops.snapshot()).toEqual({ NdNotLocal: 1 });
    const socket = it.bindUdp(9, { onDatagram: () => {} })!;
    expect(it.sendUdp(0, socket, addr6("ff02::1"), 9, bytesOf(1))).toBe(Drop.NoRoute);
    it.link.isOpen = false;
    it.ingest(0, bed.receive(ping("fd00:8::1", "fd00:8::2")));
    expect(it.drops.snapshot()).toEqual({ NdNotLocal: 1, TunnelClosed: 1 });
    expect(outlet.take()).toEqual([]);
  });
});
