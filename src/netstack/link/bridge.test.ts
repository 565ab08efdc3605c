import { beforeEach, describe, expect, test } from "bun:test";
import { total } from "../../../test/support/total.ts";
import { GSO_TCPV4, GSO_UDP_L4, VNET_NEEDS_CSUM } from "../../lib/batch.ts";
import { seededRandom } from "../../lib/random.ts";
import { arp, Bed, bytesOf, ether, ip, mac, type RecordingOutlet, type Sent, tcp, udp } from "../testing/bed.ts";
import { pseudoSum } from "../wire/checksum.ts";
import { ETHERTYPE_IPV4 } from "../wire/ethernet.ts";
import { IPV4_DF } from "../wire/ipv4.ts";
import { TCP_ACK, TCP_SYN, tcpChecksumValid, tcpSeq } from "../wire/tcp.ts";
import { Bridge } from "./bridge.ts";

const A = "52:54:00:00:00:0a";
const B = "52:54:00:00:00:0b";
const C = "52:54:00:00:00:0c";
const D = "52:54:00:00:00:0d";
const ALL = "ff:ff:ff:ff:ff:ff";

let bed: Bed;
let lan: RecordingOutlet;
let tunnel: RecordingOutlet;
let bridge: Bridge;
let now: number;

const open = (peerToPeer = false, mtu = 1500, mssClamp = 0): void => bridge.open({ mtu, mssClamp, peerToPeer });

beforeEach(() => {
  bed = new Bed();
  [lan, tunnel] = [bed.outlet(), bed.outlet()];
  bridge = new Bridge({ slab: bed.slab, lan, tunnel, random: seededRandom(3), maxPeers: 100 });
  now = 1000;
  open();
  bridge.join(1, { mssClamp: 0 });
  bridge.join(2, { mssClamp: 0 });
});

const frame = (to: string, from: string, n = 46): Uint8Array => ether(0x1234, bytesOf(n), to, from);
const vlan = (id: number, inner: Uint8Array): Uint8Array =>
  Uint8Array.from([...inner.slice(0, 12), 0x81, 0, id >> 8, id & 255, ...inner.slice(12)]);

type Fill = (rx: ReturnType<Bed["receive"]>) => void;

function fromLan(frames: readonly Uint8Array[], fill: Fill = () => {}): void {
  const rx = bed.receive(...frames);
  fill(rx);
  bridge.fromLan(now, rx);
  lan.flush();
  tunnel.flush();
}

function fromPeer(peer: number, ...frames: Uint8Array[]): void {
  const rx = bed.receive(...frames);
  rx.peer.fill(peer, 0, rx.count);
  bridge.fromPeers(now, rx);
  lan.flush();
  tunnel.flush();
}

/** To whom something went since the last call, and what. */
function went(): { lan: Uint8Array[]; peers: [number, Uint8Array][] } {
  const bytes = (s: Sent): Uint8Array => s.bytes;
  return { lan: lan.take().map(bytes), peers: tunnel.take().map((s) => [s.peer, s.bytes]) };
}
const receivers = (): [number, number[]] => {
  const { lan: toLan, peers } = went();
  return [toLan.length, peers.map(([peer]) => peer)];
};

const conserved = (): void => {
  const n = bridge.counters.snapshot();
  const sum = (n.toLan ?? 0) + (n.toPeer ?? 0) + (n.flooded ?? 0) + total(bridge.drops);
  expect((n.fromLan ?? 0) + (n.fromPeers ?? 0)).toBe(sum);
};

/** A is on the LAN, B behind peer 1, C behind peer 2. */
const meet = (): void => {
  fromLan([frame(ALL, A)]);
  fromPeer(1, frame(ALL, B));
  fromPeer(2, frame(ALL, C));
  went();
};

describe("who gets a frame", () => {
  test("one for everybody, or for a station that nobody knows, goes to all others, unaltered; from a peer to the LAN alone", () => {
    for (const to of [ALL, "01:00:5e:00:00:fb", D]) {
      const sent = frame(to, A);
      fromLan([sent]);
      expect(went()).toEqual({
        lan: [],
        peers: [
          [1, sent],
          [2, sent],
        ],
      });
      fromPeer(1, frame(to, B));
      expect(receivers()).toEqual([1, []]);
    }
    open(true);
    const sent = frame(D, B);
    fromPeer(1, sent);
    expect(went()).toEqual({ lan: [sent], peers: [[2, sent]] });
    conserved();
  });

  test("each has bytes of its own, since sealing alters them; one alone gets the frame where it was received", () => {
    open(true);
    const places = (rx: ReturnType<Bed["receive"]>, pass: () => void): number[] => {
      pass();
      return [rx, lan.batch, tunnel.batch].flatMap(({ at, count }) => [...at.subarray(0, count)]);
    };
    const rx = bed.receive(frame(ALL, A));
    const toBoth = places(rx, () => bridge.fromLan(now, rx));
    expect([toBoth.length, new Set(toBoth).size]).toEqual([3, 3]);
    went();
    const back = bed.receive(frame(ALL, B));
    back.peer[0] = 1;
    const toOthers = places(back, () => bridge.fromPeers(now, back));
    expect([toOthers.length, toOthers[1] === toOthers[0], toOthers[2] === toOthers[0]]).toEqual([3, true, false]);
    went();
    const known = bed.receive(frame(B, A));
    const toOne = places(known, () => bridge.fromLan(now, known));
    expect([toOne.length, new Set(toOne).size]).toEqual([2, 1]);
    went();
  });

  test("one for a station that was heard goes to where it was heard", () => {
    meet();
    fromLan([frame(B, A), frame(C, A)]);
    expect(receivers()).toEqual([0, [1, 2]]);
    fromPeer(1, frame(A, B));
    expect(receivers()).toEqual([1, []]);
    // From the LAN to the LAN: a hub, or a switch that floods.
    fromLan([frame(A, D)]);
    fromPeer(1, frame(B, B));
    expect([receivers(), bridge.drops.snapshot()]).toEqual([[0, []], { BridgeNoPort: 2 }]);
    conserved();
  });

  test("from peer to peer only where they may", () => {
    meet();
    fromPeer(1, frame(C, B));
    expect([receivers(), bridge.drops.snapshot()]).toEqual([[0, []], { PeerToPeer: 1 }]);
    open(true);
    fromPeer(1, frame(C, B));
    expect(receivers()).toEqual([0, [2]]);
  });

  test("ARP is nobody's but theirs whom it is for: nothing is answered", () => {
    meet();
    const question = arp(1, "192.168.1.5", "192.168.1.6", A);
    fromLan([question]);
    expect(went()).toEqual({
      lan: [],
      peers: [
        [1, question],
        [2, question],
      ],
    });
  });

  test("stations are those of their VLAN, and tags stay as they are", () => {
    fromPeer(1, vlan(7, frame(ALL, B)));
    fromPeer(2, vlan(8, frame(ALL, B)));
    went();
    const sent = [vlan(7, frame(B, A)), vlan(8, frame(B, A))];
    fromLan(sent);
    expect(went().peers).toEqual([
      [1, sent[0]!],
      [2, sent[1]!],
    ]);
  });

  test("without a LAN there are the peers; and one that has left is not there, nor what was behind it", () => {
    bridge = new Bridge({ slab: bed.slab, lan: undefined, tunnel, random: seededRandom(3), maxPeers: 100 });
    open(true);
    bridge.join(1, { mssClamp: 0 });
    fromPeer(1, frame(ALL, B));
    expect(bridge.drops.snapshot()).toEqual({ BridgeNoPort: 1 });
    bridge.join(2, { mssClamp: 0 });
    fromPeer(2, frame(B, C));
    expect(receivers()).toEqual([0, [1]]);
    bridge.leave(1);
    fromPeer(1, frame(C, B));
    fromPeer(99, frame(C, B));
    fromPeer(1000, frame(C, B));
    fromPeer(2, frame(B, C));
    expect([receivers(), bridge.drops.snapshot()]).toEqual([[0, []], { BridgeNoPort: 2, PeerGone: 3 }]);
    conserved();
  });
});

describe("what is refused", () => {
  test("frames that are cut short, sources that cannot be, what no bridge forwards, everything while it is closed", () => {
    const at = (to: string): Uint8Array => frame(to, A);
    fromLan([
      bytesOf(13),
      vlan(1, frame(ALL, A)).slice(0, 17),
      frame(ALL, "01:00:5e:00:00:01"),
      frame(ALL, "00:00:00:00:00:00"),
    ]);
    fromLan(["01:80:c2:00:00:01", "01:80:c2:00:00:0e", "01:80:c2:00:00:0f"].map(at));
    expect(receivers()).toEqual([0, []]);
    expect(bridge.drops.snapshot()).toEqual({ EtherTruncated: 2, EtherBadSource: 2, BridgeReserved: 3 });
    // What spanning trees say passes, and what is like it and is not reserved.
    fromLan(["01:80:c2:00:00:00", "01:80:c2:00:00:10"].map(at));
    expect(receivers()).toEqual([0, [1, 2, 1, 2]]);
    bridge.close();
    fromLan([at(ALL)]);
    fromPeer(1, frame(ALL, B));
    expect([receivers(), bridge.drops.snapshot().TunnelClosed]).toEqual([[0, []], 2]);
    conserved();
  });

  test("a station that was just heard on the LAN does not become a peer's; after a while it may have moved", () => {
    meet();
    fromPeer(1, frame(ALL, A));
    expect([receivers(), bridge.drops.snapshot()]).toEqual([[0, []], { BridgeMacHeld: 1 }]);
    now += 3000;
    fromPeer(1, frame(ALL, A));
    fromLan([frame(A, D)]);
    expect(receivers()).toEqual([1, [1]]);
  });

  test("a peer whose stations are named has those alone", () => {
    bridge.join(1, { mssClamp: 0, macs: [mac(B)] });
    fromPeer(1, frame(ALL, D), frame(ALL, B));
    expect([receivers(), bridge.drops.snapshot()]).toEqual([[1, []], { BridgeForeignMac: 1 }]);
  });

  test("one peer's stations push out its own", () => {
    meet();
    const station = (i: number): string =>
      `02:00:00:00:${(i >> 8).toString(16).padStart(2, "0")}:${(i & 255).toString(16).padStart(2, "0")}`;
    for (let i = 0; i < 500; i++) fromPeer(1, frame(A, station(i)));
    expect(bridge.stations.countOf(2)).toBe(256);
    expect(bridge.stations.size).toBe(258);
    went();
    fromLan([frame(C, A)]);
    expect(receivers()).toEqual([0, [2]]);
  });

  test("copies for everybody are limited, in all and by port; what is for a known station is not", () => {
    open(true);
    meet();
    for (let peer = 3; peer < 100; peer++) bridge.join(peer, { mssClamp: 0 });
    for (let i = 0; i < 300; i++) fromPeer(1, frame(ALL, B));
    const flooded = went().lan.length;
    expect([flooded, bridge.drops.snapshot()]).toEqual([102, { BridgeFlood: 198 }]);
    fromPeer(1, frame(C, B));
    fromPeer(2, frame(ALL, C));
    expect(receivers()[1].length).toBe(1 + 98);
    now += 1000;
    fromPeer(1, frame(ALL, B));
    expect(receivers()[0]).toBe(1);
    conserved();
  });
});

describe("into the tunnel", () => {
  const SRC = "192.168.1.5";
  const DST = "192.168.1.6";
  const inFrame = (packet: Uint8Array, to = B): Uint8Array => ether(ETHERTYPE_IPV4, packet, to, A);
  const pseudo = pseudoSum(ip(SRC), ip(DST), 6, 0);
  beforeEach(meet);

  test("a checksum that was left to a device is completed, behind a VLAN tag too", () => {
    for (const tagged of [false, true]) {
      const whole = tcp({ src: SRC, dst: DST }, { flags: TCP_ACK }, bytesOf(33));
      const partial = whole.slice();
      new DataView(partial.buffer).setUint16(36, pseudoSum(ip(SRC), ip(DST), 6, 53));
      const sent = tagged ? vlan(5, inFrame(partial)) : inFrame(partial);
      fromLan([sent], (rx) => {
        rx.flags[0] = VNET_NEEDS_CSUM;
        rx.csumStart[0] = tagged ? 38 : 34;
        rx.csumOffset[0] = 16;
      });
      const got = went().peers[0]!;
      expect(got).toEqual([1, tagged ? vlan(5, inFrame(whole)) : inFrame(whole)]);
    }
  });

  test("a super-frame is split, each segment with its header; for everybody each gets all of them", () => {
    for (const to of [B, ALL]) {
      const packet = tcp({ src: SRC, dst: DST, fragment: IPV4_DF }, { flags: TCP_ACK, seq: 100 }, bytesOf(4000));
      fromLan([vlan(9, inFrame(packet, to))], (rx) => {
        rx.flags[0] = VNET_NEEDS_CSUM;
        rx.gsoType[0] = GSO_TCPV4;
        rx.gsoSize[0] = 1460;
        rx.csumStart[0] = 38;
        rx.csumOffset[0] = 16;
      });
      const { peers } = went();
      const isFlood = to === ALL || peers.length > 3;
      expect(peers.map(([peer]) => peer)).toEqual(isFlood ? [1, 1, 1, 2, 2, 2] : [1, 1, 1]);
      for (const [i, [, bytes]] of peers.entries()) {
        const d = new DataView(bytes.buffer, bytes.byteOffset);
        expect(bytes.slice(0, 18)).toEqual(vlan(9, inFrame(packet, to)).slice(0, 18));
        expect(tcpSeq(d, 38)).toBe(100 + (i % 3) * 1460);
        expect(tcpChecksumValid(d, 38, bytes.length - 38, pseudo)).toBe(true);
      }
      conserved();
    }
  });

  test("what does not fit the tunnel's MTU is dropped by name: no bridge makes fragments", () => {
    open(false, 1400);
    fromLan([
      inFrame(udp({ src: SRC, dst: DST }, 1, 2, bytesOf(1380))),
      inFrame(udp({ src: SRC, dst: DST }, 1, 2, bytesOf(1372))),
    ]);
    fromLan([inFrame(tcp({ src: SRC, dst: DST }, { flags: TCP_ACK }, bytesOf(4000)))], (rx) => {
      rx.gsoType[0] = GSO_TCPV4;
      rx.gsoSize[0] = 1460;
    });
    fromLan([inFrame(tcp({ src: SRC, dst: DST }, { flags: TCP_ACK }, bytesOf(60_000)))], (rx) => {
      rx.gsoType[0] = GSO_TCPV4;
      rx.gsoSize[0] = 100;
    });
    fromLan([inFrame(udp({ src: SRC, dst: DST }, 1, 2, bytesOf(4000)))], (rx) => {
      rx.gsoType[0] = GSO_TCPV4;
      rx.gsoSize[0] = 1000;
    });
    fromLan([frame(B, A)], (rx) => {
      rx.gsoType[0] = GSO_UDP_L4;
      rx.gsoSize[0] = 10;
    });
    expect(receivers()).toEqual([0, [1]]);
    expect(bridge.drops.snapshot()).toEqual({ TooBig: 2, GsoTooManySegments: 1, GsoEncapsulated: 2 });
    conserved();
  });

  test("the MSS of a SYN is clamped to the tunnel and to the peer, both ways, behind a VLAN tag too", () => {
    const options = Uint8Array.of(2, 4, 1460 >> 8, 1460 & 255);
    const syn = tcp({ src: SRC, dst: DST }, { flags: TCP_SYN, options }, bytesOf(0));
    const mssOf = (bytes: Uint8Array): number =>
      new DataView(bytes.buffer, bytes.byteOffset).getUint16(bytes.length - 2);
    open(false, 1500, 1400);
    fromLan([inFrame(syn)]);
    bridge.join(1, { mssClamp: 1300 });
    fromPeer(1, ether(ETHERTYPE_IPV4, syn, A, B));
    fromLan([vlan(3, inFrame(syn))]);
    const { lan: toLan, peers } = went();
    expect([...toLan.map(mssOf), ...peers.map(([, bytes]) => mssOf(bytes))]).toEqual([1300, 1400, 1400, 1400]);
    const first = peers[0]![1];
    expect(tcpChecksumValid(new DataView(first.buffer), 34, first.length - 34, pseudo)).toBe(true);
  });

  test("segments that continue each other leave to the LAN as one super-frame, if their headers are the same", () => {
    const segment = (i: number, to: string): Uint8Array =>
      ether(
        ETHERTYPE_IPV4,
        tcp({ src: SRC, dst: DST, id: i, fragment: IPV4_DF }, { flags: TCP_ACK, seq: 100 + i * 500 }, bytesOf(500)),
        to,
        B,
      );
    fromPeer(1, segment(0, A), segment(1, A), segment(2, A));
    expect(lan.sent.map(({ bytes, gsoType, gsoSize }) => [bytes.length, gsoType, gsoSize])).toEqual([
      [54 + 1500, GSO_TCPV4, 500],
    ]);
    lan.take();
    fromPeer(1, segment(0, A), segment(1, D));
    expect(lan.take().map(({ bytes }) => bytes.length)).toEqual([554, 554]);
  });
});
