/**
 * `bun fuzz/frames.ts [--frames N] [--seed N]`: hostile frames of both families (src/netstack/testing/hostile.ts) through the stack of a router with
 * translators and forwards, from the LAN and, without their Ethernet headers, from the tunnel, with any fields of the virtio header, while time
 * goes on and the tunnel comes and goes. Every frame is counted once: received = handled + named drops, of both interfaces and of
 * the router. Exit status 1 where that does not hold.
 */
import { commandLine } from "../scripts/command-line.ts";
import { Batch, VNET_NEEDS_CSUM } from "../src/lib/batch.ts";
import type { Counters } from "../src/lib/counters.ts";
import type { Outlet } from "../src/lib/outlet.ts";
import { seededRandom } from "../src/lib/random.ts";
import type { Arena } from "../src/lib/slab.ts";
import { ethernetInterface, type Interface, tunnelInterface } from "../src/netstack/interface.ts";
import { INTERFACE_COUNTERS, RECEIVED, RECEIVED_BYTES } from "../src/netstack/interface-counters.ts";
import type { NatFamily } from "../src/netstack/nat/family.ts";
import { NAT_IPV4 } from "../src/netstack/nat/ip4.ts";
import { NAT_IPV6 } from "../src/netstack/nat/ip6.ts";
import { Nat } from "../src/netstack/nat/nat.ts";
import { Router } from "../src/netstack/router.ts";
import { addr, Bed, cidr, mac, ROUTER_MAC } from "../src/netstack/testing/bed.ts";
import { addr6 } from "../src/netstack/testing/bed6.ts";
import { hostileFrames } from "../src/netstack/testing/hostile.ts";
import { PROTO_TCP, PROTO_UDP } from "../src/netstack/wire/ipv4.ts";
import { total } from "../test/support/total.ts";

const ETHERNET = 14;
/** Frames of a turn, milliseconds of one, turns between two changes of the tunnel. */
const AT_ONCE = 50;
const TURN_MS = 40;
const TUNNEL_EVERY = 500;

interface Tally {
  readonly frames: number;
  /** Where a sum is wrong. */
  readonly problems: readonly string[];
  readonly drops: Readonly<Record<string, number>>;
}

/** Sends `count` frames through; throws where the stack does. */
export function frames(count: number, seed: number): Tally {
  const stack = new Stack(seed);
  let batch: Uint8Array<ArrayBuffer>[] = [];
  let left = count;
  for (const frame of hostileFrames(seed, count, [4, 6])) {
    batch.push(frame);
    if (batch.length < AT_ONCE && --left > 0) continue;
    stack.turn(batch);
    batch = [];
  }
  return stack.tally();
}

class Stack {
  readonly #bed = new Bed();
  readonly #lan: Interface;
  readonly #tunnel: Interface;
  readonly #router: Router;
  readonly #outlets: Outlet[] = [];
  readonly #dice = seededRandom(9);
  readonly #die = new Uint8Array(8);
  #now = 1000;
  #turns = 0;
  #frames = 0;

  constructor(seed: number) {
    const bed = this.#bed;
    const { slab } = bed;
    const random = seededRandom(seed);
    const lanOutlet = this.#outlet(bed.arena());
    const lan = ethernetInterface({
      slab,
      outlet: lanOutlet,
      arena: lanOutlet.arena,
      scratch: bed.arena(),
      name: "lan",
      mac: mac(ROUTER_MAC),
      mtu: 1500,
      random,
      policy: { echo: true, errors: true, announce: true },
    });
    const tunnel = tunnelInterface({
      slab,
      outlet: this.#outlet(bed.arena()),
      scratch: bed.arena(),
      name: "tunnel",
      random,
      policy: { echo: true, errors: true, announce: false },
    });
    const nat = (family: NatFamily): Nat => new Nat({ family, slab, random, limit: 512 });
    const [nat4, nat6] = [nat(NAT_IPV4), nat(NAT_IPV6)];
    nat4.setForwards([
      { protocol: PROTO_TCP, port: 8080, to: { address: addr("192.168.50.10"), port: 80 } },
      { protocol: PROTO_UDP, port: 7000, to: { address: addr("192.168.50.11"), port: 7007 } },
    ]);
    const host6 = addr6("fd12:3456:789a:1::10");
    nat6.setForwards([{ protocol: PROTO_UDP, port: 7000, to: { address: host6, port: 7007 } }]);
    this.#router = new Router({ slab, lan, tunnel, nat: nat4, nat6, random });
    lan.configure({ address: cidr("192.168.50.1/24") });
    const addresses = ["fe80::5054:ff:fe00:1/64", "fd12:3456:789a:1::1/64"].map((text) => ({ address: cidr(text) }));
    lan.configure6(this.#now, { addresses });
    this.#lan = lan;
    this.#tunnel = tunnel;
    this.#open();
  }

  /** The frames from the LAN and, without their Ethernet headers, from the tunnel. */
  turn(frames: readonly Uint8Array[]): void {
    this.#now += TURN_MS;
    this.#turns++;
    if (this.#turns % TUNNEL_EVERY === 0) this.#router.closeTunnel();
    if (this.#turns % TUNNEL_EVERY === TUNNEL_EVERY / 10) this.#open();
    const now = this.#now;
    this.#frames += frames.length;
    const rx = this.#bed.receive(...frames);
    this.#fields(rx);
    this.#lan.ingest(now, rx);
    this.#flush();
    this.#tunnel.ingest(now, this.#bed.receive(...frames.map((frame) => frame.slice(ETHERNET))));
    this.#flush();
    for (const part of [this.#lan, this.#tunnel, this.#router]) part.handleTimeout(now);
    this.#flush();
  }

  tally(): Tally {
    const problems: string[] = [];
    const drops: Record<string, number> = {};
    const add = (name: string, counters: Counters): number => {
      for (const [key, n] of Object.entries(counters.snapshot())) drops[`${name}.${key}`] = n ?? 0;
      return total(counters);
    };
    const check = (what: string, received: number, sum: number): void => {
      if (received !== sum) problems.push(`${what}: ${received} received, ${sum} handled or dropped`);
    };
    for (const it of [this.#lan, this.#tunnel]) {
      const handled = INTERFACE_COUNTERS.reduce(
        (sum, _name, i) => (i === RECEIVED || i === RECEIVED_BYTES ? sum : sum + it.counters.values[i]!),
        0,
      );
      check(it.name, this.#frames, handled + add(it.name, it.drops));
    }
    for (const { face, counters, drops } of this.#router.sides) {
      const { name } = face;
      const values = counters.snapshot() as Record<string, number | undefined>;
      const n = (what: string): number => values[`${name}${what}`] ?? 0;
      const gone = n("Sent") + n("Back") + n("Held") + add(`router.${name}`, drops);
      check(`router, from the ${name}`, n("Received"), gone);
    }
    return { frames: this.#frames, problems, drops };
  }

  #open(): void {
    const routes = ["198.51.100.0/24", "2001:db8:2::/48"].map((text) => ({ network: cidr(text), metric: 0 }));
    const [address, address6] = [cidr("10.8.0.2/24"), cidr("fd00:8::1000/64")];
    this.#router.openTunnel(this.#now, { address, address6, mtu: 1280, mssClamp: 0, routes });
  }

  #outlet(arena: Arena): Outlet {
    const batch = new Batch(256);
    const outlet = {
      batch,
      arena,
      flush(): void {
        batch.clear();
        arena.reset();
      },
    };
    this.#outlets.push(outlet);
    return outlet;
  }

  #flush(): void {
    for (const outlet of this.#outlets) outlet.flush();
  }

  /** What a neighbour on the same host can write into the virtio header. */
  #fields(rx: Batch): void {
    for (let i = 0; i < rx.count; i++) {
      this.#dice.fill(this.#die);
      const [how, flags, gsoType, gsoSize, hdrLen, start, offset] = this.#die as unknown as number[];
      if (how! < 40) rx.flags[i] = flags! & 3;
      if (how! >= 20) continue;
      rx.gsoType[i] = gsoType! & 7;
      rx.gsoSize[i] = gsoSize!;
      rx.hdrLen[i] = hdrLen!;
      rx.flags[i] = VNET_NEEDS_CSUM;
      rx.csumStart[i] = start! & 127;
      rx.csumOffset[i] = offset! & 31;
    }
  }
}

if (import.meta.main) {
  const USAGE = "usage: bun fuzz/frames.ts [--frames N] [--seed N]\n\n  --frames N   1,000,000\n  --seed N     1\n";
  const { number } = commandLine(USAGE, { frames: { type: "string" }, seed: { type: "string" } });
  const start = performance.now();
  const { frames: done, problems, drops } = frames(number("frames", 1) ?? 1_000_000, number("seed", 0) ?? 1);
  for (const [name, n] of Object.entries(drops)) if (n > 0) process.stdout.write(`${name} ${n}\n`);
  for (const problem of problems) process.stderr.write(`${problem}\n`);
  process.stdout.write(
    `${done} frames a side in ${Math.round((performance.now() - start) / 1000)} s, ${problems.length} sums wrong\n`,
  );
  process.exit(problems.length > 0 ? 1 : 0);
}
