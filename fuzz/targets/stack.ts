/**
 * The whole stack with NAT: frames from the LAN and packets from the tunnel, with any fields of the virtio header, in any
 * order and time. What leaves must be sound: offload fields within the frame, packets of the tunnel whole.
 */
import { GSO_NONE, VNET_NEEDS_CSUM } from "../../src/lib/batch.ts";
import { seededRandom } from "../../src/lib/random.ts";
import { Drop } from "../../src/netstack/drop.ts";
import { ethernetInterface, tunnelInterface } from "../../src/netstack/interface.ts";
import { NAT_IPV4 } from "../../src/netstack/nat/ip4.ts";
import { Nat } from "../../src/netstack/nat/nat.ts";
import { Router } from "../../src/netstack/router.ts";
import {
  arp,
  Bed,
  cidr,
  frame as ether,
  icmp,
  ipv4,
  mac,
  ROUTER_MAC,
  type Sent,
  tcp,
  udp,
} from "../../src/netstack/testing/bed.ts";
import { ipv4Check, ipv4RefreshChecksum, ipv4TotalLen } from "../../src/netstack/wire/ipv4.ts";
import { Decisions, type Target } from "../target.ts";

const LAN = "192.168.50.1";
const TUN = "10.8.0.2";
const TUNNEL_MTU = 600;
const ADDRESSES = [
  "192.168.50.10",
  "192.168.50.11",
  "198.51.100.7",
  LAN,
  TUN,
  "192.168.50.255",
  "224.0.0.1",
  "0.0.0.0",
];
const ETHERNET = 14;

const bed = new Bed(10);
const outlet = bed.outlet();
const lanScratch = bed.arena();
const tunnel = bed.outlet();
const tunnelScratch = bed.arena();

function newStack(nat: boolean) {
  outlet.take();
  tunnel.take();
  const lan = ethernetInterface({
    slab: bed.slab,
    outlet,
    arena: outlet.arena,
    scratch: lanScratch,
    name: "lan",
    mac: mac(ROUTER_MAC),
    mtu: 1500,
    random: seededRandom(1),
    policy: { echo: true, errors: true, announce: true },
  });
  const tunnelSide = tunnelInterface({
    slab: bed.slab,
    outlet: tunnel,
    scratch: tunnelScratch,
    name: "tunnel",
    random: seededRandom(2),
    policy: { echo: true, errors: true, announce: false },
  });
  const translator = nat
    ? new Nat({ family: NAT_IPV4, slab: bed.slab, random: seededRandom(3), limit: 64 })
    : undefined;
  const router = new Router({ slab: bed.slab, lan, tunnel: tunnelSide, nat: translator, random: seededRandom(7) });
  lan.configure({ address: cidr(`${LAN}/24`) });
  const routes = [{ network: cidr("198.51.100.0/24"), metric: 0 }];
  router.openTunnel(0, { address: cidr(`${TUN}/24`), mtu: TUNNEL_MTU, mssClamp: 0, routes });
  return { lan, tunnelSide, router };
}

function made(decisions: Decisions): Uint8Array<ArrayBuffer> {
  const address = (): string => ADDRESSES[decisions.below(ADDRESSES.length)] as string;
  const [src, dst] = [address(), address()];
  const ports = [1000 + decisions.below(4), [53, 67, 80, 9999][decisions.below(4)] as number] as const;
  switch (decisions.below(8)) {
    case 0:
      return arp(1 + decisions.below(2), src, dst);
    case 1:
      return ether(udp({ src, dst }, ports[0], ports[1], decisions.take(decisions.byte())));
    case 2: {
      const segment = {
        srcPort: ports[0],
        dstPort: ports[1],
        flags: decisions.byte(),
        options: decisions.take(4 * decisions.below(8)),
      };
      segment.options = segment.options.subarray(0, segment.options.length & ~3);
      return ether(tcp({ src, dst }, segment, new Uint8Array(decisions.uint16() >> (decisions.byte() & 7))));
    }
    case 3:
      return ether(
        icmp({ src, dst }, decisions.byte() % 13, decisions.below(6), decisions.uint16(), decisions.take(64)),
      );
    case 4: {
      // an error that quotes a packet of the other way
      const quote = udp({ src: dst, dst: src }, ports[1], ports[0], new Uint8Array(8));
      return ether(
        icmp({ src, dst }, [3, 11, 12][decisions.below(3)] as number, decisions.below(5), decisions.uint16(), quote),
      );
    }
    case 5: {
      const fields = { src, dst, protocol: [1, 6, 17][decisions.below(3)] as number, id: decisions.below(4) };
      const body = new Uint8Array(8 * decisions.below(64));
      return ether(ipv4({ ...fields, fragment: decisions.uint16() & 0x3fff, ttl: decisions.byte() }, body));
    }
    case 6: {
      const options = decisions.take(4 * decisions.below(6));
      return ether(
        ipv4({ src, dst, protocol: 17, options: options.subarray(0, options.length & ~3) }, decisions.take(64)),
      );
    }
    default:
      return decisions.take(decisions.byte());
  }
}

export const stack: Target = {
  runs: 2500,
  run(input, seen) {
    const decisions = new Decisions(input);
    const { lan, tunnelSide, router } = newStack(decisions.below(4) !== 0);
    let now = 1000;
    for (let steps = 0; decisions.left > 0 && steps < 32; steps++) {
      const how = decisions.byte();
      const bytes = made(decisions);
      if ((how & 1) !== 0 && bytes.length > 0) {
        const at = decisions.uint16() % bytes.length;
        bytes[at] = (bytes[at] as number) ^ (1 << decisions.below(8));
        const headerLen = ((bytes[ETHERNET] ?? 0) & 15) * 4;
        if ((how & 2) !== 0 && headerLen >= 20 && bytes.length >= ETHERNET + headerLen)
          ipv4RefreshChecksum(new DataView(bytes.buffer), ETHERNET);
      }
      const isTunnel = (how & 4) !== 0;
      const rx = bed.receive(isTunnel ? bytes.subarray(ETHERNET) : bytes);
      if ((how & 8) !== 0 && rx.count > 0) {
        rx.flags[0] = decisions.byte();
        rx.gsoType[0] = decisions.byte();
        rx.gsoSize[0] = decisions.uint16();
        rx.hdrLen[0] = decisions.uint16();
        rx.csumStart[0] = decisions.uint16();
        rx.csumOffset[0] = decisions.uint16();
      }
      if ((how & 16) !== 0) now += 1 << (decisions.byte() % 20);
      if (isTunnel) tunnelSide.ingest(now, rx);
      else lan.ingest(now, rx);
      lan.handleTimeout(now);
      tunnelSide.handleTimeout(now);
      router.handleTimeout(now);
      for (const sent of outlet.take()) checkFrame(sent, 65_535 + ETHERNET);
      for (const sent of tunnel.take()) checkTunnelPacket(sent);
    }
    for (const counters of [
      lan.counters,
      lan.drops,
      lan.outDrops,
      tunnelSide.counters,
      tunnelSide.drops,
      router.lan!.counters,
      router.lan!.drops,
      router.tunnel.counters,
      router.tunnel.drops,
    ])
      for (const name of Object.keys(counters.snapshot())) seen(name);
  },
};

function checkFrame(sent: Sent, most: number): void {
  const { length } = sent.bytes;
  if (length > most || length === 0) throw new Error(`a frame of ${length} bytes`);
  if ((sent.flags & VNET_NEEDS_CSUM) !== 0 && sent.csumStart + sent.csumOffset + 2 > length)
    throw new Error(`a checksum at ${sent.csumStart} + ${sent.csumOffset} of ${length} bytes`);
  if (sent.gsoType !== GSO_NONE && (sent.gsoSize === 0 || (sent.flags & VNET_NEEDS_CSUM) === 0))
    throw new Error(`a super-frame with segments of ${sent.gsoSize} bytes, flags ${sent.flags}`);
}

function checkTunnelPacket(sent: Sent): void {
  checkFrame(sent, TUNNEL_MTU);
  if (sent.flags !== 0 || sent.gsoType !== GSO_NONE) throw new Error("offload fields in the tunnel");
  const drop = ipv4Check(sent.view, 0, sent.bytes.length);
  if (drop !== Drop.None || ipv4TotalLen(sent.view, 0) !== sent.bytes.length)
    throw new Error(`a broken packet: ${drop}`);
}
