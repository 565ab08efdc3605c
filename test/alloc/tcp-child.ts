/**
 * Two stacks in one slab, whose frames are copied from one to the other: one connection sends as much as it can, and another one small
 * requests and answers. Marks on stderr when what is measured begins and ends (allocated.ts).
 *
 *   bun tcp-child.ts TURNS whole|split
 *
 * "split": the link gathers nothing, so that segments are copied one by one.
 */
import { writeSync } from "node:fs";
import { Batch } from "../../src/lib/batch.ts";
import { parseIp } from "../../src/lib/ip.ts";
import { seededRandom } from "../../src/lib/random.ts";
import { Arena, HEADROOM, slabOver, TAILROOM } from "../../src/lib/slab.ts";
import { type EthernetInterface, ethernetInterface } from "../../src/netstack/interface.ts";
import type { Connection } from "../../src/netstack/tcp/connection.ts";
import { PagePool } from "../../src/netstack/tcp/pages.ts";
import type { Tcp } from "../../src/netstack/tcp/tcp.ts";
import { cidr, mac } from "../../src/netstack/testing/bed.ts";

const WARM_UP_TURNS = 3000;
const REGION = 4 << 20;
const PAGE = 4096;
const PAGES = 1024;
const ROWS = 256;
const REQUEST = 100;

const [turns = "20000", way = "whole"] = process.argv.slice(2);
const slab = slabOver(new ArrayBuffer(8 * REGION + 2 * PAGE * PAGES));
let end = 0;
const region = (): Arena => {
  const arena = new Arena(slab, end, end + REGION);
  end += REGION;
  return arena;
};

interface Side {
  readonly it: EthernetInterface;
  readonly tcp: Tcp;
  readonly out: Batch;
  readonly outArena: Arena;
  readonly rx: Batch;
  readonly rxArena: Arena;
}

function side(address: string, macText: string, seed: number): Side {
  const out = new Batch(ROWS);
  const outArena = region();
  const outlet = {
    batch: out,
    arena: outArena,
    flush: () => {
      throw new Error("a turn sends more than the outlet holds");
    },
  };
  const it = ethernetInterface({
    slab,
    outlet,
    arena: outArena,
    scratch: region(),
    name: "lan",
    mac: mac(macText),
    mtu: 1500,
    random: seededRandom(seed),
    policy: { echo: true, errors: true, announce: false },
  });
  it.configure({ address: cidr(address) });
  if (way === "split") it.link.gathers = () => false;
  const pool = new PagePool(slab, 8 * REGION + (seed - 1) * PAGE * PAGES, PAGE, PAGES);
  return { it, tcp: it.openTcp({ pool }), out, outArena, rx: new Batch(ROWS), rxArena: region() };
}

const a = side("10.0.0.1/24", "52:54:00:00:00:0a", 1);
const b = side("10.0.0.2/24", "52:54:00:00:00:0b", 2);
let now = 1000;
let frames = 0;

/** Hands what `from` has sent to `to`. */
function carry(from: Side, to: Side): void {
  const { out } = from;
  to.rx.clear();
  to.rxArena.reset();
  for (let i = 0; i < out.count; i++) {
    const first = i;
    let len = out.len[i]!;
    while (out.more[i] === 1) len += out.len[++i]!;
    if (to.rx.room === 0 || to.rxArena.room < len + HEADROOM + TAILROOM + 8) throw new Error("no room");
    const at = to.rxArena.take(len);
    const row = to.rx.push(at, len);
    let put = at;
    for (let k = first; k <= i; k++) {
      slab.bytes.copyWithin(put, out.at[k]!, out.at[k]! + out.len[k]!);
      put += out.len[k]!;
    }
    to.rx.flags[row] = out.flags[first]!;
    to.rx.gsoType[row] = out.gsoType[first]!;
    to.rx.gsoSize[row] = out.gsoSize[first]!;
    to.rx.hdrLen[row] = out.hdrLen[first]!;
    to.rx.csumStart[row] = out.csumStart[first]!;
    to.rx.csumOffset[row] = out.csumOffset[first]!;
    frames++;
  }
  out.clear();
  from.outArena.reset();
  to.it.ingest(now, to.rx);
  if (to.tcp.pollAt() <= now) to.tcp.handleTimeout(now);
}

function consume(c: Connection): number {
  let n = 0;
  for (let run = c.peekRun(); run > 0; run = c.peekRun()) {
    c.consume(run);
    n += run;
  }
  return n;
}

const connect = (port: number): readonly [Connection, Connection] => {
  const listener = b.tcp.listen(port);
  const near = a.tcp.connect(now, { address: parseIp("10.0.0.2")!, port }, { noDelay: true, sendBuffer: 200_000 });
  if (typeof near === "string") throw new Error(near);
  for (let i = 0; i < 20; i++) {
    now += 1;
    a.it.handleTimeout(now);
    carry(a, b);
    carry(b, a);
    const far = listener?.accept();
    if (far !== undefined) return [near, far];
  }
  throw new Error("not connected");
};
const [bulk, sink] = connect(1);
const [client, server] = connect(2);
const source = region().take(REGION / 2);
let moved = 0;
let exchanges = 0;
let asked = 0;
let answered = 0;

function turn(): void {
  now += 0.2;
  bulk.write(source, 100_000);
  if (answered === asked) {
    client.write(source, REQUEST);
    asked += REQUEST;
  }
  // Of TCP alone: what else an interface does in time is not what is measured.
  a.tcp.handleTimeout(now);
  carry(a, b);
  moved += consume(sink);
  const got = consume(server);
  if (got > 0) server.write(source, got);
  b.tcp.handleTimeout(now);
  carry(b, a);
  const back = consume(client);
  answered += back;
  if (back > 0 && answered === asked) exchanges++;
}

for (let i = 0; i < WARM_UP_TURNS; i++) turn();
const before = { moved, exchanges, frames };
writeSync(2, "FROM HERE\n");
for (let i = 0; i < Number(turns); i++) turn();
writeSync(2, "TO HERE\n");
console.log(
  JSON.stringify({
    moved: moved - before.moved,
    exchanges: exchanges - before.exchanges,
    frames: frames - before.frames,
  }),
);
