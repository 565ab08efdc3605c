import { expect, test } from "bun:test";
import { expectConserved } from "../../test/support/conserved.ts";
import { total } from "../../test/support/total.ts";
import { VNET_NEEDS_CSUM } from "../lib/batch.ts";
import { seededRandom } from "../lib/random.ts";
import { NAT_IPV4 } from "./nat/ip4.ts";
import { Nat } from "./nat/nat.ts";
import { Router } from "./router.ts";
import { arp, Bed, bytesOf, cidr, frame, icmp, side, tunnelSide } from "./testing/bed.ts";
import { hostileFrames } from "./testing/hostile.ts";
import { printFrame } from "./wire/print.ts";

const LAN = "192.168.50.1";
const HOST = "192.168.50.10";
const TUN = "10.8.0.2";

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
    for (const junk of hostileFrames(nat ? 11 : 12, 20_000)) {
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
    expectConserved(router);
    expect(router.tunnel.counters.snapshot()["toTunnel"]).toBeGreaterThan(100);
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
    for (const junk of hostileFrames(5, 2000)) {
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
