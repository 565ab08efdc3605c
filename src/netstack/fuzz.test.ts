import { expect, test } from "bun:test";
import { total } from "../../test/support/total.ts";
import { VNET_NEEDS_CSUM } from "../lib/batch.ts";
import { seededRandom } from "../lib/random.ts";
import { NAT_IPV4 } from "./nat/ip4.ts";
import { Nat } from "./nat/nat.ts";
import { Router } from "./router.ts";
import { arp, Bed, bytesOf, cidr, frame, icmp, ipv4, side, tcp, tunnelSide, udp } from "./testing/bed.ts";
import { ipv4RefreshChecksum } from "./wire/ipv4.ts";
import { printFrame } from "./wire/print.ts";

const LAN = "192.168.50.1";
const HOST = "192.168.50.10";
const TUN = "10.8.0.2";
const SITE = "198.51.100.7";

/** Random, cut and flipped versions of plausible frames; half of the flipped ones get their header checksum mended. */
function* frames(seed: number, count: number): Generator<Uint8Array<ArrayBuffer>> {
  const random = seededRandom(seed);
  const word = new Uint8Array(4);
  const below = (n: number): number => {
    random.fill(word);
    return new DataView(word.buffer).getUint32(0) % n;
  };
  const pick = <T>(...list: T[]): T => list[below(list.length)] as T;
  const noise = (n: number): Uint8Array<ArrayBuffer> => {
    const out = new Uint8Array(n);
    random.fill(out);
    return out;
  };
  for (let i = 0; i < count; i++) {
    const src = pick(HOST, HOST, SITE, "192.168.50.44", "224.0.0.1");
    const dst = pick(LAN, SITE, TUN, "192.0.2.1", "192.168.50.255", "255.255.255.255");
    const data = noise(below(64));
    const quote = udp({ src: dst, dst: src }, 1194, 7, data).slice(0, below(60));
    const made = pick<() => Uint8Array<ArrayBuffer>>(
      () => arp(pick(1, 2), pick(HOST, "192.168.50.11", LAN, SITE), LAN),
      () => frame(udp({ src, dst }, below(65536), pick(53, 67, 68, 1194, 9999), data)),
      () => frame(tcp({ src, dst }, { flags: below(256), options: noise(below(5) * 4) }, data)),
      () => frame(icmp({ src, dst }, pick(0, 3, 5, 8, 11, 12, 13), below(6), below(1 << 30), pick(data, quote))),
      () =>
        frame(
          ipv4(
            { src, dst, protocol: pick(1, 6, 17, 99), id: below(8), fragment: below(1 << 14), ttl: below(4) },
            noise(below(9) * 8),
          ),
        ),
      () => frame(ipv4({ src, dst, protocol: 17, options: noise(below(4) * 4) }, data)),
      () => noise(below(120)),
    )();
    const how = below(4);
    if (how === 1 && made.length > 0) {
      for (let k = below(3); k >= 0; k--) made[below(made.length)]! ^= 1 << below(8);
      const headerLen = (made[14]! & 15) * 4;
      if (below(2) === 0 && made.length >= 34 && headerLen >= 20 && made.length >= 14 + headerLen)
        ipv4RefreshChecksum(new DataView(made.buffer), 14);
    }
    yield how === 2 ? made.slice(0, below(made.length + 1)) : made;
  }
}

const stack = (nat: boolean) => {
  const bed = new Bed();
  const lan = side(bed, "lan");
  const tunnel = tunnelSide(bed);
  const translator = nat
    ? new Nat({ family: NAT_IPV4, slab: bed.slab, random: seededRandom(3), limit: 512 })
    : undefined;
  const router = new Router({
    slab: bed.slab,
    lan: lan.it,
    tunnel: tunnel.it,
    nat: translator,
    random: seededRandom(7),
  });
  lan.it.configure({ address: cidr(`${LAN}/24`) });
  const routes = [{ network: cidr("198.51.100.0/24"), metric: 0 }];
  router.openTunnel(0, { address: cidr(`${TUN}/24`), mtu: 600, mssClamp: 0, routes });
  return { bed, lan, tunnel, router };
};

const HANDLED = [
  "arp",
  "echo",
  "icmpErrors",
  "udp",
  "tcpReset",
  "fragments",
  "answeredUnreachable",
  "forwarded",
] as const;

for (const nat of [false, true]) {
  test(`junk ${nat ? "with" : "without"} NAT: nothing throws, received = handled + named drops, storage is bounded`, () => {
    const { bed, lan, tunnel, router } = stack(nat);
    const random = seededRandom(9);
    const dice = new Uint8Array(4);
    let now = 0;
    let batch: Uint8Array<ArrayBuffer>[] = [];
    for (const junk of frames(nat ? 11 : 12, 20_000)) {
      batch.push(junk);
      if (batch.length < 50) continue;
      now += 40;
      const rx = bed.receive(...batch);
      for (let i = 0; i < rx.count; i++) {
        random.fill(dice);
        if (dice[0]! < 40) rx.flags[i] = dice[1]! & 3;
        if (dice[0]! < 20) {
          rx.gsoType[i] = dice[2]! % 6;
          rx.gsoSize[i] = dice[3]!;
          rx.flags[i] = VNET_NEEDS_CSUM;
        }
      }
      lan.it.ingest(now, rx);
      tunnel.it.ingest(now, bed.receive(...batch.map((f) => f.slice(14))));
      for (const s of [...lan.outlet.take(), ...tunnel.outlet.take()]) expect(s.bytes.length).toBeLessThan(66_000);
      lan.it.handleTimeout(now);
      router.handleTimeout(now);
      batch = [];
    }
    const interfaceCounters = lan.it.counters.snapshot();
    const handled = HANDLED.reduce((sum, name) => sum + (interfaceCounters[name] ?? 0), 0);
    expect(interfaceCounters.received).toBe(20_000);
    expect(handled + total(lan.it.drops)).toBe(20_000);
    const fromTunnel = tunnel.it.counters.snapshot();
    const handledThere = HANDLED.reduce((sum, name) => sum + (fromTunnel[name] ?? 0), 0);
    expect(handledThere + total(tunnel.it.drops)).toBe(20_000);
    const c = { ...router.lan.counters.snapshot(), ...router.tunnel.counters.snapshot() } as Record<string, number>;
    expect(c["lanReceived"]).toBe(
      (c["toTunnel"] ?? 0) + (c["lanBack"] ?? 0) + (c["lanHeld"] ?? 0) + total(router.lan.drops),
    );
    expect(c["tunnelReceived"] ?? 0).toBe((c["toLan"] ?? 0) + total(router.tunnel.drops));
    expect(c["toTunnel"]).toBeGreaterThan(100);
    expect(lan.it.link.neighbors.size).toBeLessThanOrEqual(256);
    expect(lan.it.v4.reassembler.packets).toBeLessThanOrEqual(128);
    expect(lan.it.v4.reassembler.bytes).toBeLessThanOrEqual(2 * 1024 * 1024);

    // It still works, and whatever was forged has been found out.
    let answered = false;
    for (let t = 0; t < 60_000 && !answered; t += 500) {
      now += 500;
      lan.it.handleTimeout(now);
      lan.it.ingest(now, bed.receive(frame(icmp({ src: HOST, dst: LAN }, 8, 0, 1, bytesOf(8)))));
      for (const s of lan.outlet.take()) {
        const text = printFrame(s.view, 0, s.bytes.length);
        if (text.includes(`who-has ${HOST}`) && !text.includes("> 52:54:00:00:00:98")) {
          if (/> (ff:ff:ff:ff:ff:ff|52:54:00:00:00:99) /.test(text)) lan.it.ingest(now, bed.receive(arp(2, HOST, LAN)));
        }
        if (text.includes("> 52:54:00:00:00:99 ") && text.includes("icmp type 0")) answered = true;
      }
    }
    expect(answered).toBe(true);
  });
}

test("a seed gives the same frames out again, whatever lies around those that come in", () => {
  const run = (around: number): string => {
    const { bed, lan, tunnel } = stack(true);
    lan.outlet.take();
    const dice = seededRandom(8);
    const die = new Uint8Array(6);
    let text = "";
    let now = 0;
    let batch: Uint8Array<ArrayBuffer>[] = [];
    for (const junk of frames(5, 2000)) {
      batch.push(junk);
      if (batch.length < 10) continue;
      now += 70;
      for (const way of ["lan", "tunnel"]) {
        bed.slab.bytes.fill(around); // nothing lives in the slab from turn to turn
        const rx = bed.receive(...(way === "lan" ? batch : batch.map((f) => f.slice(14))));
        for (let i = 0; i < rx.count; i++) {
          dice.fill(die);
          const [flags, kind, gsoType, gsoSize, start, offset] = die as unknown as number[];
          rx.flags[i] = flags! & 3;
          rx.csumStart[i] = start! & 127;
          rx.csumOffset[i] = offset! & 31;
          if (kind! > 40) continue;
          rx.gsoType[i] = gsoType! & 7;
          rx.gsoSize[i] = gsoSize!;
        }
        if (way === "lan") lan.it.ingest(now, rx);
        else tunnel.it.ingest(now, rx);
        for (const s of [...lan.outlet.take(), ...tunnel.outlet.take()]) text += s.bytes.toHex();
      }
      batch = [];
    }
    return text;
  };
  const first = run(0xa5);
  expect(first.length).toBeGreaterThan(10_000);
  expect(run(0x3c)).toBe(first);
});
