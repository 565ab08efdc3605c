/** For tests: hostile frames of a LAN host, the same for a seed: random, cut and flipped versions of plausible ones, half of the flipped with sums mended. */
import { seededRandom } from "../../lib/random.ts";
import { sumBytes } from "../wire/checksum.ts";
import { ipv4RefreshChecksum } from "../wire/ipv4.ts";
import { ipv6PseudoSum, PROTO_ICMPV6 } from "../wire/ipv6.ts";
import { arp, frame, icmp, ipv4, ROUTER_MAC, tcp, udp } from "./bed.ts";
import { frame6, icmp6, ipv6, tcp6, udp6 } from "./bed6.ts";

const LAN = "192.168.50.1";
const HOST = "192.168.50.10";
const TUN = "10.8.0.2";
const SITE = "198.51.100.7";
const LAN6 = "fd12:3456:789a:1::1";
const HOST6 = "fd12:3456:789a:1::10";
const TUN6 = "fd00:8::1000";
const SITE6 = "2001:db8:2::10";
const IPV6 = 0x86dd;

class Dice {
  readonly #random;
  readonly #word = new Uint8Array(4);
  readonly #view = new DataView(this.#word.buffer);

  constructor(seed: number) {
    this.#random = seededRandom(seed);
  }

  below(n: number): number {
    this.#random.fill(this.#word);
    return this.#view.getUint32(0) % n;
  }

  pick<T>(...list: T[]): T {
    return list[this.below(list.length)] as T;
  }

  noise(n: number): Uint8Array<ArrayBuffer> {
    const out = new Uint8Array(n);
    this.#random.fill(out);
    return out;
  }
}

/** @param families which there are, each as likely as the other */
export function* hostileFrames(
  seed: number,
  count: number,
  families: readonly (4 | 6)[] = [4],
): Generator<Uint8Array<ArrayBuffer>> {
  const dice = new Dice(seed);
  for (let i = 0; i < count; i++) {
    const made = dice.pick(...families) === 4 ? made4(dice) : made6(dice);
    const how = dice.below(4);
    if (how === 1 && made.length > 0) {
      for (let k = dice.below(3); k >= 0; k--) made[dice.below(made.length)]! ^= 1 << dice.below(8);
      if (dice.below(2) === 0) mend(made);
    }
    yield how === 2 ? made.slice(0, dice.below(made.length + 1)) : made;
  }
}

function made4(dice: Dice): Uint8Array<ArrayBuffer> {
  const below = (n: number): number => dice.below(n);
  const src = dice.pick(HOST, HOST, SITE, "192.168.50.44", "224.0.0.1");
  const dst = dice.pick(LAN, SITE, TUN, "192.0.2.1", "192.168.50.255", "255.255.255.255");
  const data = dice.noise(below(64));
  switch (below(7)) {
    case 0:
      return arp(dice.pick(1, 2), dice.pick(HOST, "192.168.50.11", LAN, SITE), LAN);
    case 1:
      return frame(udp({ src, dst }, below(65536), dice.pick(53, 67, 68, 1194, 7000, 9999), data));
    case 2: {
      const ports = { srcPort: dice.pick(40000, 80), dstPort: dice.pick(80, 8080, 40000) };
      return frame(tcp({ src, dst }, { ...ports, flags: below(256), options: dice.noise(below(5) * 4) }, data));
    }
    case 3: {
      const quote = udp({ src: dst, dst: src }, 1194, 7, data).slice(0, below(60));
      const type = dice.pick(0, 3, 5, 8, 11, 12, 13);
      return frame(icmp({ src, dst }, type, below(6), below(1 << 30), dice.pick(data, quote)));
    }
    case 4: {
      const protocol = dice.pick(1, 6, 17, 99);
      const fields = { src, dst, protocol, id: below(8), fragment: below(1 << 14), ttl: below(4) };
      return frame(ipv4(fields, dice.noise(below(9) * 8)));
    }
    case 5:
      return frame(ipv4({ src, dst, protocol: 17, options: dice.noise(below(4) * 4) }, data));
    default:
      return dice.noise(below(120));
  }
}

function made6(dice: Dice): Uint8Array<ArrayBuffer> {
  const below = (n: number): number => dice.below(n);
  const src = dice.pick(HOST6, HOST6, SITE6, "fd12:3456:789a:1::44", "fe80::99", "::", "ff02::1");
  const dst = dice.pick(
    LAN6,
    SITE6,
    TUN6,
    "2001:db8:ffff::1",
    "fe80::5054:ff:fe00:1",
    "ff02::1",
    "ff02::2",
    "ff02::1:ff00:1",
  );
  const ext = Array.from({ length: Math.max(0, below(6) - 2) }, (): [number, Uint8Array] => {
    const kind = dice.pick(0, 43, 44, 51, 60);
    const bytes = dice.noise(8 * (1 + below(2)));
    if (kind !== 44 && below(8) > 0) bytes[1] = bytes.length / 8 - 1;
    return [kind, kind === 44 ? bytes.subarray(0, 8) : bytes];
  });
  const fields = { src, dst, hops: dice.pick(255, 64, 1, 0), ext };
  const data = dice.noise(below(64));
  const to = dice.pick(ROUTER_MAC, ROUTER_MAC, "33:33:00:00:00:01", "33:33:ff:00:00:01");
  switch (below(6)) {
    case 0:
      return frame6(udp6(fields, below(65536), dice.pick(53, 546, 547, 7000, 9999), data), to);
    case 1:
      return frame6(tcp6(fields, below(256), data), to);
    case 2: {
      const quote = udp6({ src: dst, dst: src }, 53, 1000, data).slice(0, below(100));
      return frame6(
        icmp6(fields, dice.pick(1, 2, 3, 4, 128, 129, 137, 143), below(6), below(1 << 30), dice.pick(data, quote)),
        to,
      );
    }
    case 3: {
      // A message of neighbour discovery: address, and an option.
      const body = dice.noise(16 + 8 * below(4));
      if (body.length > 16 && below(8) > 0) body.set([1 + below(5), 1], 16);
      if (below(2) === 0)
        body.set([0xfd, 0x12, 0x34, 0x56, 0x78, 0x9a, 0, 1, 0, 0, 0, 0, 0, 0, 0, below(2) === 0 ? 1 : 0x10]);
      return frame6(icmp6({ src, dst, hops: 255 }, 133 + below(5), 0, below(256) << 24, body), to);
    }
    case 4:
      return frame6(ipv6(fields, dice.pick(6, 17, 58, 59, 132), data), to);
    default: {
      // A fragment of few packets, at any place.
      const head = dice.noise(8);
      head[2] = below(8);
      head.set([0, 0, 0, below(8)], 4);
      return frame6(ipv6({ ...fields, ext: [[44, head]] }, dice.pick(6, 17, 58), dice.noise(8 * below(20))), to);
    }
  }
}

/** Mends the sum of an IPv4 header, or the one of an ICMPv6 message right behind an IPv6 header: else the first check would stop nearly all. */
function mend(made: Uint8Array<ArrayBuffer>): void {
  const d = new DataView(made.buffer);
  if (made.length >= 58 && d.getUint16(12) === IPV6) {
    if (made[20] !== PROTO_ICMPV6) return;
    d.setUint16(56, 0);
    const len = made.length - 54;
    d.setUint16(56, ~sumBytes(d, 54, len, ipv6PseudoSum(d, 14, PROTO_ICMPV6) + len) & 0xffff);
    return;
  }
  const headerLen = (made[14]! & 15) * 4;
  if (made.length >= 34 && headerLen >= 20 && made.length >= 14 + headerLen) ipv4RefreshChecksum(d, 14);
}
