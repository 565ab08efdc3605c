/**
 * Packets of all ways through a server's router, marked on stderr where that begins and ends: `bun served-child.ts LAN TURNS`, where LAN is
 * routed, translated or closed.
 */
import { writeSync } from "node:fs";
import { Batch } from "../../src/lib/batch.ts";
import type { Outlet } from "../../src/lib/outlet.ts";
import { bytesOf, frame, tcp, udp } from "../../src/netstack/testing/bed.ts";
import { frame6, udp6 } from "../../src/netstack/testing/bed6.ts";
import {
  BRANCH_HOST,
  HOST,
  HOST6,
  PEER,
  PEER6,
  Served,
  type ServedOptions,
  SITE,
  SITE6,
  WAN,
  WAN6,
} from "../../src/netstack/testing/served.ts";
import { TCP_ACK } from "../../src/netstack/wire/tcp.ts";

const [lan, turns] = process.argv.slice(2);
const s = new Served({ internet: true, lan: lan as NonNullable<ServedOptions["lan"]>, peerToPeer: true });
const { slab } = s.bed;
const arena = s.bed.arena(2);

/** Packets that come again and again: their bytes, which the way alters, and where they are kept. */
class Traffic {
  readonly rx = new Batch(16);
  readonly #kept: number[] = [];

  constructor(peer: number, packets: readonly Uint8Array[]) {
    for (const packet of packets) {
      const kept = arena.take(packet.length);
      slab.bytes.set(packet, kept);
      this.#kept.push(kept);
      this.rx.peer[this.rx.push(arena.take(packet.length), packet.length)] = peer;
    }
  }

  restore(): Batch {
    const { rx } = this;
    for (let i = 0; i < rx.count; i++) {
      const kept = this.#kept[i]!;
      slab.bytes.copyWithin(rx.at[i]!, kept, kept + rx.len[i]!);
    }
    return rx;
  }
}

const data = bytesOf(100);
const fromPeer = new Traffic(1, [
  udp({ src: PEER[1], dst: SITE }, 5000, 443, data),
  tcp({ src: PEER[1], dst: SITE }, { srcPort: 5001, flags: TCP_ACK }, data),
  udp6({ src: PEER6[1], dst: SITE6 }, 5000, 443, data),
  udp({ src: PEER[1], dst: BRANCH_HOST }, 1, 2, data),
  udp({ src: PEER[1], dst: HOST }, 5, 6, data),
  udp6({ src: PEER6[1], dst: HOST6 }, 5, 6, data),
]);
const fromWan = new Traffic(0, [
  frame(udp({ src: SITE, dst: WAN }, 443, 5000, data)),
  frame(tcp({ src: SITE, dst: WAN }, { srcPort: 80, dstPort: 5001, flags: TCP_ACK }, data)),
  frame6(udp6({ src: SITE6, dst: WAN6 }, 443, 5000, data)),
  frame(udp({ src: SITE, dst: WAN }, 9, 9, data)),
]);
const fromLan = new Traffic(0, [
  frame(udp({ src: HOST, dst: PEER[1] }, 7, 8, data)),
  frame6(udp6({ src: HOST6, dst: PEER6[1] }, 7, 8, data)),
]);
const outlets: readonly Outlet[] = [s.tunnelOut, s.wan!.outlet, s.lan!.outlet];

/** What left is not looked at. */
function forget(): void {
  for (let i = 0; i < outlets.length; i++) {
    outlets[i]!.batch.clear();
    outlets[i]!.arena.reset();
  }
}

function turn(): void {
  s.now += 0.05;
  s.tunnel.ingest(s.now, fromPeer.restore());
  forget();
  s.wan!.it.ingest(s.now, fromWan.restore());
  forget();
  s.lan!.it.ingest(s.now, fromLan.restore());
  forget();
}

for (let i = 0; i < 20_000; i++) turn();
const sent = (): number => s.router.sides.reduce((sum, { counters: { values } }) => sum + values[3]! + values[4]!, 0);
const before = sent();
writeSync(2, "FROM HERE\n");
for (let i = 0; i < Number(turns); i++) turn();
writeSync(2, "TO HERE\n");
console.log(JSON.stringify({ forwarded: sent() - before }));
