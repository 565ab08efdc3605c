import { describe, expect, test } from "bun:test";
import { bytesOf, cidr, frame, HOST_MAC, ROUTER_MAC } from "../testing/bed.ts";
import { addr6, advert6, frame6, HOST_LL, icmp6, ROUTER_LL, solicit6, UNSOLICITED, udp6 } from "../testing/bed6.ts";
import { Dialogue6 } from "../testing/dialogue6.ts";

const OTHER_MAC = "52:54:00:00:00:77";
const GLOBAL = "2001:db8::1";
const HOST = "2001:db8::99";
const GROUP = "33:33:ff:00:00:01 :: > ff02::1:ff00:1 hops 255 len 72";

describe("an address of ours (RFC 4862 5.4)", () => {
  const start = () => {
    const d = new Dialogue6("wan");
    d.configure({ addresses: [{ address: cidr(`${ROUTER_LL}/64`) }] });
    return d;
  };

  test("is asked for once, from nobody, to the group of its node; after a second it is ours", () => {
    const d = start();
    expect(d.advance(100)).toEqual([`${GROUP} nd solicit ${ROUTER_LL}`]);
    expect(d.advance(899)).toEqual([]);
    expect(d.events).toEqual([]);
    expect(d.advance(101)).toEqual([]);
    expect(d.events).toEqual([`usable ${ROUTER_LL}`]);
    expect(d.it.v6.addressing.linkLocal?.value.toString()).toBe(ROUTER_LL);
  });

  test("is neither heard on nor answered for while it is asked for (RFC 4862 5.4)", () => {
    const d = new Dialogue6("lan");
    d.configure({ addresses: [{ address: cidr(`${ROUTER_LL}/64`) }] });
    d.advance(100);
    expect(d.push(solicit6(ROUTER_LL))).toEqual([]);
    expect(d.push(frame6(icmp6({ src: HOST_LL, dst: ROUTER_LL }, 128, 0, 1, bytesOf(8))))).toEqual([]);
    expect(d.drops()).toEqual({ NdNotForUs: 1, Ipv6NotForUs: 1 });
    expect(d.it.bindUdp(0, { onDatagram: () => {} })).toBeDefined();
  });

  test("is somebody else's when they say so, to all or to us", () => {
    for (const dst of ["ff02::1", ROUTER_LL]) {
      const d = start();
      d.advance(500);
      d.push(advert6(ROUTER_LL, { dst, flags: dst === ROUTER_LL ? 0x20000000 : UNSOLICITED }));
      // What is sent to the address itself nobody hears: it is not ours.
      expect(d.events).toEqual(dst === "ff02::1" ? [`taken ${ROUTER_LL} ${HOST_MAC}`] : []);
      d.advance(1000);
      if (dst === "ff02::1") expect(d.it.v6.addressing.addresses[0]!.state).toBe("taken");
    }
  });

  test("is nobody's when another host asks for it at the same time; our own question that comes back is none", () => {
    const d = start();
    d.advance(200);
    const own = d.it.v6.addressing.addresses[0]!;
    const nonce = Uint8Array.of(0x0e, 1, own.nonceHi >> 8, own.nonceHi, ...new Uint8Array(4));
    new DataView(nonce.buffer).setInt32(4, own.nonceLo);
    const target = solicit6(ROUTER_LL, { src: "::" }).slice(14 + 40 + 8, 14 + 40 + 24);
    const back = icmp6({ src: "::", dst: "ff02::1:ff00:1", hops: 255 }, 135, 0, 0, Uint8Array.of(...target, ...nonce));
    d.push(frame6(back, "33:33:ff:00:00:01", OTHER_MAC));
    expect(d.events).toEqual([]);
    d.push(solicit6(ROUTER_LL, { src: "::" }));
    expect(d.events).toEqual([`taken ${ROUTER_LL} 00:00:00:00:00:00`]);
    d.advance(2000);
    expect(d.push(solicit6(ROUTER_LL))).toEqual([]);
    expect(d.it.v6.addressing.linkLocal).toBeUndefined();
  });

  test("that is there already is not asked for again; one that goes is not answered for", () => {
    const d = new Dialogue6().up();
    d.configure({ addresses: [{ address: cidr(`${ROUTER_LL}/64`) }] });
    expect(d.advance(3000).filter((line) => line.includes("nd "))).toEqual([]);
    expect(d.push(solicit6(ROUTER_LL))).toHaveLength(1);
    expect(d.push(solicit6(GLOBAL, { to: ROUTER_MAC, dst: ROUTER_LL }))).toEqual([]);
  });
});

describe("solicitations of others (RFC 4861 7.2.3, 7.2.4)", () => {
  test("are answered to who asks, with our MAC, solicited and override", () => {
    const d = new Dialogue6().up();
    expect(d.push(solicit6(GLOBAL, { src: HOST }))).toEqual([
      `${HOST_MAC} ${GLOBAL} > ${HOST} hops 255 len 72 nd advert ${GLOBAL} SO mac ${ROUTER_MAC}`,
    ]);
    expect(d.it.counters.snapshot().neighborDiscovery).toBe(1);
  });

  test("of a host that is about to take our address everybody hears whose it is", () => {
    const d = new Dialogue6().up();
    expect(d.push(solicit6(GLOBAL, { src: "::" }))).toEqual([
      `33:33:00:00:00:01 ${GLOBAL} > ff02::1 hops 255 len 72 nd advert ${GLOBAL} O mac ${ROUTER_MAC}`,
    ]);
  });

  test("a router says that it is one", () => {
    const d = new Dialogue6();
    d.configure({ addresses: [{ address: cidr(`${ROUTER_LL}/64`) }], isRouter: true });
    d.advance(2000);
    expect(d.push(solicit6(ROUTER_LL))[0]).toContain(`advert ${ROUTER_LL} RSO`);
  });

  test("teach us who asks; without a MAC who is known is answered all the same", () => {
    const d = new Dialogue6().up();
    expect(d.push(solicit6(GLOBAL, { src: HOST, mac: "none", dst: GLOBAL }))).toEqual([
      `33:33:ff:00:00:99 ${ROUTER_LL} > ff02::1:ff00:99 hops 255 len 72 nd solicit ${HOST} mac ${ROUTER_MAC}`,
    ]);
    d.push(advert6(HOST, { dst: ROUTER_LL }));
    expect(d.push(solicit6(GLOBAL, { src: HOST, mac: "none", dst: GLOBAL }))[0]).toContain(`${HOST_MAC} ${GLOBAL}`);
  });

  test("from another network are answered, and teach nothing", () => {
    const d = new Dialogue6().up();
    expect(d.push(solicit6(GLOBAL, { src: "2001:db8:9::7" }))).toHaveLength(1);
    expect(d.it.link.nd.neighbors.size).toBe(0);
  });

  test("are refused with a MAC that is no host's, from beyond the link, in fragments, or about others", () => {
    const d = new Dialogue6().up();
    for (const mac of ["33:33:00:00:00:01", "00:00:00:00:00:00", ROUTER_MAC]) d.push(solicit6(GLOBAL, { mac }));
    expect(d.drops()).toEqual({ NdBadFormat: 3 });
    d.push(solicit6(GLOBAL, { hops: 254 }));
    const atomic: [number, Uint8Array] = [44, Uint8Array.of(0, 0, 0, 0, 1, 2, 3, 4)];
    d.push(solicit6(GLOBAL, { ext: [atomic] })); // RFC 6980 5
    expect(d.drops()["NdNotLocal"]).toBe(2);
    d.push(solicit6("2001:db8::ff00:1", { dst: "ff02::1:ff00:1", to: "33:33:ff:00:00:01" }));
    expect(d.drops()["NdNotForUs"]).toBe(1);
    expect(d.sent()).toEqual([]);
    expect(d.it.link.nd.neighbors.size).toBe(0);
    expect(d.accounts).toBe(true);
  });
});

describe("neighbours (RFC 4861 7.2.2, 7.2.5, 7.3)", () => {
  const payload = bytesOf(4);
  const send = (d: Dialogue6, to: string): string[] => {
    const socket = d.it.bindUdp(5000, { onDatagram: () => {} })!;
    d.it.sendUdp(d.now, socket, addr6(to), 9, payload);
    d.it.closeUdp(socket);
    return d.sent();
  };
  const ASKED = `33:33:ff:00:00:99 ${ROUTER_LL} > ff02::1:ff00:99 hops 255 len 72 nd solicit ${HOST} mac ${ROUTER_MAC}`;
  const SENT = `${HOST_MAC} ${GLOBAL} > ${HOST} hops 64 len 52 udp 5000 > 9 len 4`;

  test("who is not known is asked for, at the group of its node; what waits leaves with the answer", () => {
    const d = new Dialogue6().up();
    expect(send(d, HOST)).toEqual([ASKED]);
    expect(d.push(advert6(HOST))).toEqual([SENT]);
    expect(send(d, HOST)).toEqual([SENT]);
  });

  test("who does not answer three times is unreachable, and that is told", () => {
    const d = new Dialogue6().up();
    send(d, HOST);
    expect(d.advance(2500)).toEqual([ASKED, ASKED]);
    expect(d.events).toEqual([]);
    d.advance(600);
    expect(d.events).toEqual([`unreachable ${HOST}`]);
    expect(d.it.outDrops.snapshot()).toEqual({ NeighborUnreachable: 1 });
  });

  test("after 30 s of use its own MAC is asked, and an answer without a MAC confirms it", () => {
    const d = new Dialogue6().up();
    send(d, HOST);
    d.push(advert6(HOST));
    d.advance(31_000);
    expect(send(d, HOST)).toEqual([
      `${HOST_MAC} ${ROUTER_LL} > ${HOST} hops 255 len 72 nd solicit ${HOST} mac ${ROUTER_MAC}`,
      SENT,
    ]);
    d.push(advert6(HOST, { mac: "none" }));
    expect(d.drops()).toEqual({});
    expect(d.advance(5000)).toEqual([]);
    expect(send(d, HOST)).toEqual([SENT]);
  });

  test("an advertisement that nobody asked for is not learnt, whatever its flags", () => {
    const d = new Dialogue6().up();
    for (const flags of [0, 0x20000000, 0x40000000, 0x60000000]) d.push(advert6(HOST, { flags }));
    expect(d.drops()).toEqual({ NdUnsolicited: 4 });
    expect(d.it.link.nd.neighbors.size).toBe(0);
  });

  test("one that contradicts what is known makes us ask everybody, and the known MAC is used until that is decided", () => {
    const d = new Dialogue6().up();
    send(d, HOST);
    d.push(advert6(HOST));
    const forged = advert6(HOST, { from: OTHER_MAC, dst: "ff02::1", flags: UNSOLICITED });
    expect(d.push(forged)).toEqual([ASKED]);
    expect(d.push(advert6(HOST, { from: OTHER_MAC }))).toEqual([]);
    expect(send(d, HOST)).toEqual([SENT]);
    d.push(advert6(HOST));
    d.advance(1000);
    expect(d.events).toEqual([`two ${HOST} ${HOST_MAC} ${OTHER_MAC}`]);
    expect(send(d, HOST)).toEqual([SENT]);
    expect(d.drops()).toEqual({ NdUnsolicited: 1, NdContradiction: 1 });
  });

  test("a neighbour that really moved is found anew", () => {
    const d = new Dialogue6().up();
    send(d, HOST);
    d.push(advert6(HOST));
    d.push(advert6(HOST, { from: OTHER_MAC, dst: "ff02::1", flags: UNSOLICITED }));
    d.push(advert6(HOST, { from: OTHER_MAC }));
    d.advance(1000);
    expect(send(d, HOST)).toEqual([SENT.replace(HOST_MAC, OTHER_MAC)]);
    expect(d.events).toEqual([]);
  });

  test("a gateway that says that it is no router any more is told of (RFC 4861 7.2.5)", () => {
    const d = new Dialogue6("wan");
    const gateway = addr6("fe80::9");
    d.configure({ addresses: [{ address: cidr(`${ROUTER_LL}/64`) }, { address: cidr("2001:db8::1/64") }], gateway });
    d.advance(2000);
    d.outlet.take();
    d.events.length = 0;
    expect(send(d, "2001:db8:5::5")[0]).toContain("nd solicit fe80::9");
    d.push(advert6("fe80::9", { flags: 0xe0000000 | 0 }));
    expect(d.events).toEqual([]);
    d.advance(31_000);
    send(d, "2001:db8:5::5");
    d.push(advert6("fe80::9"));
    expect(d.events).toEqual(["unreachable fe80::9"]);
  });

  test("the table is bounded, and a scan pushes out what never answered", () => {
    const d = new Dialogue6().up();
    send(d, HOST);
    d.push(advert6(HOST));
    for (let i = 0; i < 3000; i++) send(d, `2001:db8::1:${i.toString(16)}`);
    expect(d.it.link.nd.neighbors.size).toBeLessThanOrEqual(1024);
    expect(send(d, HOST)).toEqual([SENT]);
  });
});

describe("somebody claims an address of ours", () => {
  test("it is told, and answered to everybody, at most every 10 s", () => {
    const d = new Dialogue6().up();
    const claim = advert6(GLOBAL, { dst: "ff02::1", flags: UNSOLICITED, from: OTHER_MAC });
    expect(d.push(claim)).toEqual([
      `33:33:00:00:00:01 ${GLOBAL} > ff02::1 hops 255 len 72 nd advert ${GLOBAL} O mac ${ROUTER_MAC}`,
    ]);
    expect(d.events).toEqual([`conflict ${GLOBAL} ${OTHER_MAC}`]);
    expect(d.push(claim)).toEqual([]);
    d.advance(10_000);
    expect(d.push(claim)).toHaveLength(1);
    expect(d.it.v6.addressing.addresses[1]!.state).toBe("usable");
    d.push(solicit6(ROUTER_LL, { src: GLOBAL, from: OTHER_MAC }));
    expect(d.events.at(-1)).toBe(`conflict ${GLOBAL} ${OTHER_MAC}`);
    expect(d.it.link.nd.neighbors.size).toBe(0);
    expect(d.drops()).toEqual({ NdConflict: 4 });
    d.push(frame6(icmp6({ src: GLOBAL, dst: ROUTER_LL }, 128, 0, 1, bytesOf(8))));
    expect(d.drops()["Ipv6MartianSource"]).toBe(1);
  });
});

test("when the link comes back our addresses are told, and nothing is known of others", () => {
  const d = new Dialogue6().up();
  d.push(solicit6(GLOBAL, { src: HOST }));
  d.it.linkChanged();
  expect(d.sent().map((line) => line.replace(/ .* nd/, " nd"))).toEqual([
    `33:33:00:00:00:01 nd advert ${ROUTER_LL} O mac ${ROUTER_MAC}`,
    `33:33:00:00:00:01 nd advert ${GLOBAL} O mac ${ROUTER_MAC}`,
  ]);
  expect(d.it.link.nd.neighbors.size).toBe(0);
});

test("IPv4 and IPv6 neighbours are apart, and a UDP datagram of each leaves by its own", () => {
  const d = new Dialogue6().up();
  d.it.configure({ address: cidr("192.168.50.1/24") });
  d.outlet.take();
  d.push(solicit6(GLOBAL, { src: HOST }));
  expect([d.it.link.neighbors.size, d.it.link.nd.neighbors.size]).toEqual([0, 1]);
  const heard: string[] = [];
  d.it.bindUdp(53, { onDatagram: (_now, src, port) => heard.push(`${src} ${port}`) });
  d.push(frame6(udp6({ src: HOST, dst: GLOBAL }, 7, 53, payload4)), frame(payload4));
  expect(heard).toEqual([`${HOST} 7`]);
});
const payload4 = bytesOf(4);
