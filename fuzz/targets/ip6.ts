/**
 * IPv6 of an Ethernet interface and of the tunnel, without a router: frames with any chain of headers, any message of neighbour
 * discovery, any virtio fields, in any order and time, while addresses come and go and datagrams are sent. What leaves must be
 * sound, every frame is counted once, and everything that is kept is bounded.
 */
import { GSO_NONE, VNET_NEEDS_CSUM } from "../../src/lib/batch.ts";
import { IpAddress } from "../../src/lib/ip.ts";
import { seededRandom } from "../../src/lib/random.ts";
import { Drop } from "../../src/netstack/drop.ts";
import { ethernetInterface, type Interface, tunnelInterface } from "../../src/netstack/interface.ts";
import { INTERFACE_COUNTERS, RECEIVED, RECEIVED_BYTES } from "../../src/netstack/interface-counters.ts";
import { ip6Check } from "../../src/netstack/ip6/check.ts";
import { Packet } from "../../src/netstack/packet.ts";
import { Bed, cidr, mac, ROUTER_MAC, type Sent } from "../../src/netstack/testing/bed.ts";
import { addr6, frame6, icmp6, ipv6, tcp6, udp6 } from "../../src/netstack/testing/bed6.ts";
import { ExtensionChain } from "../../src/netstack/wire/ipv6-ext.ts";
import { Decisions, type Target } from "../target.ts";

const OWN = ["fe80::5054:ff:fe00:1", "2001:db8::1", "fd00::1"];
const ADDRESSES = [...OWN, "fe80::99", "2001:db8::99", "2001:db8:5::5", "::", "ff02::1", "ff02::1:ff00:1", "ff02::2"];
const MACS = [ROUTER_MAC, "33:33:00:00:00:01", "33:33:ff:00:00:01", "ff:ff:ff:ff:ff:ff"];
const KINDS = [0, 43, 44, 51, 60];
const TYPES = [1, 2, 3, 4, 128, 129, 130, 133, 134, 135, 136, 137, 143];
const PROTOCOLS = [6, 17, 58, 59, 132];
const ETHERNET = 14;
const MAX_NEIGHBORS = 1024;

const bed = new Bed(10);
const outlet = bed.outlet();
const scratch = bed.arena();
const tunnelOutlet = bed.outlet();
const tunnelScratch = bed.arena();

function made(decisions: Decisions): Uint8Array<ArrayBuffer> {
  const address = (): string => ADDRESSES[decisions.below(ADDRESSES.length)] as string;
  const ext = Array.from({ length: decisions.below(4) }, (): [number, Uint8Array] => {
    const bytes = new Uint8Array(8 * (1 + decisions.below(2)));
    bytes.set(decisions.take(bytes.length));
    const kind = KINDS[decisions.below(KINDS.length)] as number;
    if (kind !== 44 && decisions.below(8) > 0) bytes[1] = bytes.length / 8 - 1;
    return [kind, kind === 44 ? bytes.subarray(0, 8) : bytes];
  });
  const fields = { src: address(), dst: address(), hops: [255, 64, 1, 0][decisions.below(4)] as number, ext };
  const ports = [1000 + decisions.below(3), 1000 + decisions.below(3)] as const;
  switch (decisions.below(6)) {
    case 0:
      return udp6(fields, ports[0], ports[1], decisions.take(decisions.byte()));
    case 1:
      return tcp6(fields, decisions.byte(), new Uint8Array(decisions.byte()));
    case 2: {
      // an error that quotes a packet of the other way
      const quote = udp6(
        { src: fields.dst, dst: fields.src },
        ports[1],
        ports[0],
        new Uint8Array(decisions.uint16() & 0x7ff),
      );
      return icmp6(fields, TYPES[decisions.below(4)] as number, decisions.below(5), decisions.uint16(), quote);
    }
    case 3: {
      // neighbours: a target, and an option
      const target = addr6(address());
      const body = new Uint8Array(16 + 8 * decisions.below(3));
      [target.w0, target.w1, target.w2, target.w3].forEach((word, k) => {
        new DataView(body.buffer).setInt32(4 * k, word);
      });
      body.set(decisions.take(body.length - 16), 16);
      if (body.length > 16 && decisions.below(8) > 0) body.set([1 + decisions.below(2), 1], 16);
      const near = decisions.below(8) > 0 ? { src: fields.src, dst: fields.dst, hops: 255 } : fields;
      return icmp6(near, 133 + decisions.below(5), 0, decisions.byte() << 24, body);
    }
    case 4:
      return icmp6(
        fields,
        TYPES[decisions.below(TYPES.length)] as number,
        decisions.below(2),
        decisions.uint16(),
        decisions.take(64),
      );
    default:
      return ipv6(fields, PROTOCOLS[decisions.below(PROTOCOLS.length)] as number, decisions.take(decisions.byte()));
  }
}

export const ip6: Target = {
  runs: 2500,
  run(input, seen) {
    const decisions = new Decisions(input);
    outlet.take();
    tunnelOutlet.take();
    const policies = decisions.below(4) !== 0;
    const lan = ethernetInterface({
      slab: bed.slab,
      outlet,
      arena: outlet.arena,
      scratch,
      name: "lan",
      mac: mac(ROUTER_MAC),
      mtu: 1500,
      random: seededRandom(1),
      policy: { echo: policies, errors: policies, announce: policies },
    });
    const tunnel = tunnelInterface({
      slab: bed.slab,
      outlet: tunnelOutlet,
      scratch: tunnelScratch,
      name: "tunnel",
      random: seededRandom(2),
      policy: { echo: true, errors: true, announce: false },
    });
    tunnel.link.isOpen = true;
    tunnel.link.mtu = 1400;
    tunnel.link.peerOf = () => 0;
    tunnel.configure6(0, { addresses: [{ address: cidr("fd00::1/64") }], onLink: [cidr("::/0")] });
    const receiver = { onDatagram: () => seen("datagram"), onError: () => seen("error of a datagram") };
    const socket = lan.bindUdp(1000, receiver)!;
    tunnel.bindUdp(1000, receiver);
    let now = 1000;
    let frames = 0;
    let packets = 0;
    for (let steps = 0; decisions.left > 0 && steps < 32; steps++) {
      const how = decisions.byte();
      if (steps === 0 || (how & 0xe0) === 0xe0) {
        const count = decisions.below(4);
        lan.configure6(now, {
          addresses: OWN.slice(0, count).map((text) => ({ address: cidr(`${text}/64`) })),
          onLink: [cidr("2001:db8::/64")],
          gateway: decisions.below(2) === 0 ? undefined : addr6("fe80::99"),
          isRouter: decisions.below(2) === 0,
        });
        if (decisions.below(4) > 0) now = settle(lan, now);
      }
      if ((how & 0xe0) === 0xc0) {
        const to = ADDRESSES[decisions.below(ADDRESSES.length)] as string;
        lan.sendUdp(now, socket, addr6(to), 1001, new Uint8Array(decisions.uint16() & 0x0fff));
      }
      if ((how & 0xe0) === 0xa0)
        lan.sendUdp(now, socket, new IpAddress(0x20010db8, 0, 0, decisions.uint16()), 9, new Uint8Array(4));
      const packet = made(decisions);
      if ((how & 1) !== 0 && packet.length > 0) packet[decisions.uint16() % packet.length]! ^= 1 << decisions.below(8);
      const isTunnel = (how & 4) !== 0;
      const from = `52:54:00:00:00:${(0x90 + decisions.below(4)).toString(16)}`;
      const rx = bed.receive(isTunnel ? packet : frame6(packet, MACS[decisions.below(MACS.length)], from));
      if ((how & 8) !== 0) {
        rx.flags[0] = decisions.byte();
        rx.gsoType[0] = decisions.byte();
        rx.gsoSize[0] = decisions.uint16();
        rx.csumStart[0] = decisions.uint16();
        rx.csumOffset[0] = decisions.uint16();
      }
      if ((how & 16) !== 0) now += 1 << (decisions.byte() % 20);
      if (isTunnel) packets++;
      else frames++;
      (isTunnel ? tunnel : lan).ingest(now, rx);
      lan.handleTimeout(now);
      tunnel.handleTimeout(now);
      for (const sent of outlet.take()) check(sent, ETHERNET);
      for (const sent of tunnelOutlet.take()) check(sent, 0);
    }
    checkAccounts(lan, frames);
    checkAccounts(tunnel, packets);
    if (lan.link.nd.neighbors.size > MAX_NEIGHBORS) throw new Error("more neighbours than the table holds");
    for (const counters of [lan.counters, lan.drops, lan.outDrops, tunnel.counters, tunnel.drops])
      for (const name of Object.keys(counters.snapshot())) seen(name);
  },
};

/** Until the addresses are ours. */
function settle(it: Interface, from: number): number {
  let now = from;
  for (const end = from + 2000; it.pollAt() <= end; ) {
    now = Math.max(now, it.pollAt());
    it.handleTimeout(now);
  }
  return now;
}

function checkAccounts({ counters, drops }: Interface, expected: number): void {
  const handled = INTERFACE_COUNTERS.reduce((sum, _, i) => (i > RECEIVED_BYTES ? sum + counters.values[i]! : sum), 0);
  const dropped = drops.values.reduce((a, b) => a + b, 0);
  if (counters.values[RECEIVED] !== expected || handled + dropped !== expected)
    throw new Error(`of ${expected} frames ${handled} were handled and ${dropped} dropped`);
}

const chain = new ExtensionChain();
const packet = new Packet();

function check(sent: Sent, from: number): void {
  const { length } = sent.bytes;
  const most = from === 0 ? 1400 : 1514;
  if (length > most) throw new Error(`a frame of ${length} bytes`);
  if (sent.gsoType !== GSO_NONE || (sent.flags & VNET_NEEDS_CSUM) !== 0)
    throw new Error("offload fields that nobody asked for");
  if (from === ETHERNET && sent.view.getUint16(12) !== 0x86dd) throw new Error("a frame that is not IPv6");
  const drop = ip6Check(sent.view, packet, chain, from, length - from);
  if (drop !== Drop.None || packet.len !== length - from) throw new Error(`a broken packet: ${drop}`);
}
