/**
 * A stack with a connection that it begins and a listener, against a peer that sends any segments in any order, and an owner that
 * does anything with its connections. What leaves must be sound (the dialogue looks at every segment's checksum), and at the end nothing may be held.
 */
import { type Connection, ENDED } from "../../src/netstack/tcp/connection.ts";
import { Dialogue, LISTEN_PORT, PEER_PORT } from "../../src/netstack/testing/tcp-dialogue.ts";
import { Decisions, type Target } from "../target.ts";

const PAGES = 24;
const FLAGS = [".", "P.", "", "S", "S.", "F.", "FP.", "R", "R.", "SF", "SR", "SFRP.UEW", ".E", ".W", "SEW", "F"];
const SYNS = ["win 60000", "win 60000 mss 1000 ws 3 sackok ts", "win 1000 mss 100 sackok", "win 0 mss 65000 ws 14 ts"];
const JUMPS = [0, 0, 0, 0, 1, -1, 100, -100, 1000, 30_000, -70_000, 0x7fff_ffff];
const WAITS = [0, 1, 40, 250, 600, 5000, 70_000, 400_000];

export const tcp: Target = {
  runs: 600,
  run(input, seen) {
    const d = new Decisions(input);
    const t = new Dialogue({ pages: PAGES, pageSize: 1024, connections: 3, halfOpen: d.below(3), timeWait: 1 });
    const options = {
      noDelay: d.below(2) === 1,
      receiveBuffer: [500, 5000, 1 << 20][d.below(3)]!,
      sendBuffer: [300, 5000, 1 << 20][d.below(3)]!,
      userTimeout: 60_000,
      ecn: d.below(2) === 1,
      ...(d.below(2) === 1 && { keepalive: { idle: 5000, interval: 500, count: 3 } }),
    };
    t.checksData = false;
    const listener = t.listen(options);
    const known: Connection[] = [];
    const watch = (c: Connection | undefined): void => {
      if (c !== undefined) known.push(c);
    };
    if (d.below(2) === 1) watch(t.connect(options));
    else t.localPort = LISTEN_PORT;
    // Where the peer is in its stream, and how far it has our bytes.
    let seq = 0;
    let ack = 0;
    while (d.left > 0) {
      const what = d.below(16);
      if (what < 7) {
        const flags = FLAGS[d.below(FLAGS.length)]!;
        const len = [0, 0, 1, 100, 1000, 1400][d.below(6)]!;
        const from = seq + JUMPS[d.below(JUMPS.length)]!;
        const isSyn = flags.includes("S");
        const span = len + (isSyn ? 1 : 0) + (flags.includes("F") ? 1 : 0);
        const window = isSyn ? SYNS[d.below(SYNS.length)]! : `win ${d.uint16()}`;
        const left = ack + d.below(200) * 10;
        const sack = d.below(4) === 0 ? ` sack ${left}:${left + d.uint16()}` : "";
        const marked = d.below(8) === 0 ? " ce" : "";
        t.push(`${flags} ${from}:${from + span} ack ${ack + JUMPS[d.below(JUMPS.length)]!} ${window}${sack}${marked}`);
        if (d.below(2) === 0) seq = Math.max(seq, Math.min(from + span, seq + 3000));
      } else if (what === 7) ack += [1, 100, 536, 1460, 5000][d.below(5)]!;
      else if (what === 8) t.advance(WAITS[d.below(WAITS.length)]!);
      else if (what === 9) t.icmp(3, d.below(16), ack + JUMPS[d.below(JUMPS.length)]!, d.uint16());
      else if (what === 10) watch(listener.accept());
      else if (what === 11) {
        t.peerPort = PEER_PORT + d.below(3);
        t.localPort = d.below(2) === 0 ? LISTEN_PORT : (known[0]?.localPort ?? LISTEN_PORT);
      } else {
        const of = known[d.below(Math.max(known.length, 1))];
        if (of === undefined) continue;
        if (what === 12) t.write(of, d.uint16() % 5000);
        if (what === 13) {
          of.read(new Uint8Array(1 + d.uint16()));
        }
        if (what === 14) of.shutdown();
        if (what === 15) [() => of.close(), () => of.abort()][d.below(2)]!();
        t.send();
      }
      for (const c of known) {
        seen(c.end ?? c.state);
        if (((c.takeEvents() & ENDED) !== 0) !== (c.end !== undefined) && c.end === undefined)
          throw new Error("ended without a reason");
        if (c.readable < 0 || c.writable < 0) throw new Error("less than nothing");
      }
      t.take();
    }
    for (const name of Object.keys(t.tcp.counters.snapshot())) seen(name);
    for (const name of Object.keys(t.it.drops.snapshot())) seen(name);
    t.tcp.unlisten(listener);
    for (const c of known) c.abort();
    t.send();
    t.advance(200_000);
    const { connections, halfOpen, timeWait } = t.tcp.census;
    if (connections + halfOpen + timeWait !== 0) throw new Error(`left: ${JSON.stringify(t.tcp.census)}`);
    if (t.pool.free !== PAGES) throw new Error(`${PAGES - t.pool.free} pages are left`);
  },
};
