/**
 * Lifetimes of frames: neighbours that are known, unknown and lost, packets in place, in fragments and parked, flushes at any
 * moment, in small batches and arenas. A region is overwritten when its frames end, and every packet names its sender and
 * its length, so a frame that is sent too late, twice or half is seen.
 */
import { Batch } from "../../src/lib/batch.ts";
import type { Outlet } from "../../src/lib/outlet.ts";
import { seededRandom } from "../../src/lib/random.ts";
import { Arena, slabOver } from "../../src/lib/slab.ts";
import { ethernetInterface } from "../../src/netstack/interface.ts";
import { IPV4_FRAGMENTS } from "../../src/netstack/ip4/fragment.ts";
import { Reassembler } from "../../src/netstack/reassembly.ts";
import { addr, arp, cidr, ip, mac, ROUTER_MAC } from "../../src/netstack/testing/bed.ts";
import { ETHERTYPE_ARP, ETHERTYPE_IPV4, etherType } from "../../src/netstack/wire/ethernet.ts";
import { ipv4Check, ipv4HeaderLen, ipv4IsFragment, ipv4TotalLen } from "../../src/netstack/wire/ipv4.ts";
import { Decisions, type Target } from "../target.ts";

const OWN = "192.168.50.1";
const HOSTS = ["192.168.50.10", "192.168.50.11", "192.168.50.12"];
const MACS = ["52:54:00:00:00:10", "52:54:00:00:00:11", "52:54:00:00:00:12"];
const RX = 0;
const SCRATCH = 64 * 1024;
const ARENA = 256 * 1024;
const END = 320 * 1024;
const COPY = END;
const slab = slabOver(new ArrayBuffer(END + 128 * 1024));
const ETHERNET = 14;
const UDP = 8;
const IP = 20;

/** An arena whose frames turn to rubbish when their life ends. */
class MortalArena extends Arena {
  override reset(mark?: number): void {
    this.slab.bytes.fill(0xa5, this.start, this.end);
    super.reset(mark);
  }
}

class CheckedOutlet implements Outlet {
  readonly batch = new Batch(8);
  readonly arena = new MortalArena(slab, ARENA, END);
  /** Whole packets that were sent, "host:number". */
  readonly sent: string[] = [];
  readonly #fragments = new Reassembler(IPV4_FRAGMENTS);
  readonly #copies = new Arena(slab, COPY, COPY + 128 * 1024);
  udpGso = false;

  flush(): void {
    const { batch } = this;
    const d = slab.view;
    for (let i = 0; i < batch.count; i++) {
      const at = batch.at[i] as number;
      const len = batch.len[i] as number;
      const type = etherType(d, at);
      if (type === ETHERTYPE_ARP) {
        if (d.getUint16(at + ETHERNET) !== 1 || len !== ETHERNET + 28) throw new Error("a broken ARP frame");
        continue;
      }
      if (type !== ETHERTYPE_IPV4) throw new Error(`a frame of type ${type.toString(16)}`);
      if (ipv4Check(d, at + ETHERNET, len - ETHERNET) !== 0) throw new Error("a broken packet");
      let packet = at + ETHERNET;
      if (ipv4IsFragment(d, packet)) {
        this.#copies.reset();
        packet = this.#fragments.add(0, slab, packet, 0, this.#copies);
        if (packet < 0) throw new Error("fragments that do not fit");
        if (packet === 0) continue;
      }
      this.#read(d, packet);
    }
    batch.clear();
    this.arena.reset();
  }

  #read(d: DataView, packet: number): void {
    const payload = packet + ipv4HeaderLen(d, packet) + UDP;
    const length = ipv4TotalLen(d, packet) - IP - UDP;
    const [host, number, said] = [d.getUint8(payload), d.getUint16(payload + 1), d.getUint16(payload + 3)];
    if (said !== length) throw new Error(`a packet of ${length} bytes that says ${said}`);
    for (let i = 5; i < length; i++)
      if (d.getUint8(payload + i) !== ((number + i) & 0xff)) throw new Error(`byte ${i} of packet ${number} is wrong`);
    if (d.getInt32(packet + 16) !== ip(HOSTS[host] as string)) throw new Error("a packet for another host");
    this.sent.push(`${host}:${number}`);
  }
}

export const outlet: Target = {
  runs: 1500,
  run(input, seen) {
    const decisions = new Decisions(input);
    const out = new CheckedOutlet();
    const it = ethernetInterface({
      slab,
      outlet: out,
      arena: out.arena,
      scratch: new MortalArena(slab, SCRATCH, ARENA),
      name: "lan",
      mac: mac(ROUTER_MAC),
      mtu: 600,
      random: seededRandom(1),
      policy: { echo: true, errors: true, announce: true },
    });
    it.configure({ address: cidr(`${OWN}/24`) });
    const socket = it.bindUdp(5000, { onDatagram() {} });
    if (socket === undefined) throw new Error("no port");
    const rx = new Batch(1);
    let now = 0;
    let number = 0;
    const accepted: string[] = [];
    for (let steps = 0; decisions.left > 0 && steps < 80; steps++) {
      switch (decisions.below(6)) {
        case 0:
        case 1:
        case 2: {
          const host = decisions.below(HOSTS.length);
          const length = 5 + (decisions.uint16() % 3000);
          const payload = Uint8Array.from({ length }, (_, i) => (number + i) & 0xff);
          new DataView(payload.buffer).setUint8(0, host);
          new DataView(payload.buffer).setUint16(1, number);
          new DataView(payload.buffer).setUint16(3, length);
          if (it.sendUdp(now, socket, addr(HOSTS[host] as string), 9, payload) === 0)
            accepted.push(`${host}:${number}`);
          number++;
          break;
        }
        case 3: {
          // the host says where it is, in an answer or a question
          const host = decisions.below(HOSTS.length);
          const frame = arp(1 + decisions.below(2), HOSTS[host] as string, OWN, MACS[host] as string);
          slab.bytes.set(frame, RX + 256);
          rx.clear();
          rx.push(RX + 256, frame.length);
          it.ingest(now, rx);
          break;
        }
        case 4:
          out.flush();
          break;
        default:
          now += decisions.byte() * 20;
          it.handleTimeout(now);
      }
    }
    out.flush();
    for (const host of HOSTS.keys()) {
      const of = (list: readonly string[]): string[] => list.filter((name) => name.startsWith(`${host}:`));
      const [sent, taken] = [of(out.sent), of(accepted)];
      // once each, in their order, and none that was refused
      let at = 0;
      for (const name of sent) {
        at = taken.indexOf(name, at) + 1;
        if (at === 0) throw new Error(`${name} was sent twice, out of order, or though it was refused`);
      }
      seen(`sent ${Math.min(sent.length, 4)} of ${Math.min(taken.length, 6)}`);
    }
    for (const name of Object.keys(it.outDrops.snapshot())) seen(name);
  },
};
