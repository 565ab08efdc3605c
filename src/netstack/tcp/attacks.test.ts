/** Somebody who knows addresses and ports, and sees nothing: RFC 5961, RFC 5927, RFC 4987; and floods. */
import { heapStats } from "bun:jsc";
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { Dialogue } from "../testing/tcp-dialogue.ts";

setDefaultTimeout(60_000);

const PLAIN = "win 60000 mss 1000";

describe("blind in the window (RFC 5961)", () => {
  test("a reset counts at exactly the next number; in the window it is answered, outside it is nothing (3.2)", () => {
    const t = new Dialogue();
    const c = t.connected({}, PLAIN);
    t.push("R 2");
    t.expect(". 1 ack 1");
    t.push("R 100000", "R 0", "R -60000");
    t.nothing();
    expect(c.state).toBe("ESTABLISHED");
    t.push("R 1");
    expect(c.end).toBe("reset");
  });

  test("a SYN is answered, wherever it is, and ends nothing (4.2)", () => {
    const t = new Dialogue();
    const c = t.connected({}, PLAIN);
    for (const seq of [1, 500, 0, -5, 100_000]) {
      t.push(`S ${seq}`);
      t.expect(". 1 ack 1");
      t.advance(500);
    }
    t.push("S. 1 ack 1");
    t.expect(". 1 ack 1");
    expect(c.state).toBe("ESTABLISHED");
  });

  test("data whose acknowledgement is too old or of the future is not taken (5.2)", () => {
    const t = new Dialogue();
    const c = t.connected({}, PLAIN);
    t.push("P. 1:11 ack -100000");
    t.expect(". 1 ack 1");
    t.push("P. 1:11 ack 2");
    expect(c.readable).toBe(0);
    t.push("P. 1:11 ack -50000");
    expect(c.readable).toBe(10);
    expect(t.it.drops.snapshot().TcpBadAck).toBe(2);
  });

  test("what carries no acknowledgement is nothing (RFC 9293 3.10.7.4, fifth)", () => {
    const t = new Dialogue();
    const c = t.connected({}, PLAIN);
    t.push("P 1:11", "F 1", " 1:5");
    expect(c.readable).toBe(0);
    expect(c.state).toBe("ESTABLISHED");
    t.nothing();
  });

  test("answers to what may be forged are one in 500 ms (7)", () => {
    const t = new Dialogue();
    t.connected({}, PLAIN);
    for (let i = 0; i < 1000; i++) t.push("R 5", "S 7", "P. 1:2 ack 99");
    expect(t.take()).toHaveLength(1);
    t.advance(500);
    t.push("R 5");
    expect(t.take()).toHaveLength(1);
  });

  test("an old timestamp is refused, and a missing one (RFC 7323 5.3, 3.2)", () => {
    const t = new Dialogue();
    const c = t.connected();
    t.advance(1000);
    t.push("P. 1:11 ack 1");
    t.expect(". 1 ack 11");
    t.push(`P. 11:21 ack 1 ts ${(t.now | 0) - 900}`);
    t.expect(". 1 ack 11");
    t.push("P. 11:21 ack 1 nots");
    t.nothing();
    expect(c.readable).toBe(10);
    expect(t.it.drops.snapshot()).toMatchObject({ TcpOldTimestamp: 1, TcpNoTimestamp: 1 });
  });

  test("a clock that stood still for 24 days says nothing (RFC 7323 5.5)", () => {
    const t = new Dialogue();
    const c = t.connected();
    t.advance(25 * 24 * 3_600_000);
    t.push("P. 1:11 ack 1 ts 5");
    expect(c.readable).toBe(10);
  });

  test("the timestamp of what lies ahead is not taken for the latest (RFC 7323 4.3)", () => {
    const t = new Dialogue();
    const c = t.connected();
    t.push(`P. 11:21 ack 1 ts ${t.now + 500}`);
    expect(c.tsRecent).toBe(t.now);
    t.push(`P. 1:11 ack 1 ts ${t.now + 100}`);
    expect(c.readable).toBe(20);
  });
});

describe("where policy is silence", () => {
  test("resets are sent for connections of ours only", () => {
    const t = new Dialogue({}, "wan");
    const c = t.connected({}, PLAIN);
    t.peerPort = 5001;
    t.push("S 0 win 60000", ". 5 ack 9");
    t.nothing();
    t.listen();
    t.localPort = 80;
    t.push(". 5 ack 9");
    t.nothing();
    c.abort();
    t.send();
    t.expect("R. 1 ack 1");
    t.nothing();
  });
});

describe("SYN flood (RFC 4987)", () => {
  test("with a full backlog the answer is a cookie, and its acknowledgement a connection with all its options", () => {
    const t = new Dialogue({ halfOpen: 2 });
    const listener = t.listen();
    for (const port of [1, 2]) {
      t.peerPort = port;
      t.push("S 0 win 60000");
    }
    t.take();
    t.peerPort = 5000;
    t.push("S 0 win 60000 mss 1460 ws 6 sackok ts");
    t.expect("S. 0 ack 1 win 65535 mss 1460 ws 7 sackok ts");
    expect(t.tcp.census).toEqual({ connections: 0, halfOpen: 2, timeWait: 0 });
    t.advance(50);
    t.push("P. 1:11 ack 1 win 500");
    const c = listener.accept();
    if (c === undefined) throw new Error();
    expect([c.sndShift, c.hasSack, c.hasTimestamps, c.peerMss, c.wnd]).toEqual([6, true, true, 1460, 500 << 6]);
    t.expect(". 1 ack 11");
    t.read(c, 10);
    t.write(c, 10);
    t.expect("P. 1:11 ack 11");
  });

  test("a cookie of a peer without timestamps has nothing but the MSS", () => {
    const t = new Dialogue({ halfOpen: 0 });
    const listener = t.listen();
    t.push("S 0 win 60000 mss 1400 ws 6 sackok");
    const [synAck = ""] = t.take();
    expect(synAck).not.toMatch(/ws|sackok/);
    t.push(". 1 ack 1 win 500");
    const c = listener.accept();
    expect([c?.sndShift, c?.hasSack, c?.peerMss, c?.wnd]).toEqual([0, false, 1360, 500]);
  });

  test("guessed cookies are refused by silence while there are some, then by a reset, as old ones are", () => {
    const t = new Dialogue({ halfOpen: 0 });
    const listener = t.listen();
    t.push("S 0 win 60000");
    t.take();
    t.push("R. 1 ack 1");
    expect(listener.waiting).toBe(0);
    t.nothing();
    t.push(". 1 ack 2", ". 2 ack 1");
    t.nothing();
    expect(t.it.drops.snapshot().TcpBacklogFull).toBe(2);
    t.advance(129_000);
    t.push(". 1 ack 1");
    t.expect("R 1");
    expect(listener.waiting).toBe(0);
    expect(t.tcp.counters.snapshot().cookiesRefused).toBe(3);
  });

  test("of a cookie's first segments the first may be lost: nothing is said to the second until it has come again", () => {
    const t = new Dialogue({ halfOpen: 0 });
    const listener = t.listen();
    t.push("S 0 win 60000");
    t.take();
    t.push("P. 11:21 ack 1");
    t.nothing();
    t.push("P. 1:11 ack 1");
    expect(listener.waiting).toBe(1);
  });

  test("the same for a FIN alone, and for what answers a SYN-ACK that came twice, with a half-open row or none", () => {
    for (const halfOpen of [0, 1]) {
      const t = new Dialogue({ halfOpen });
      const listener = t.listen();
      t.peerPort = 1;
      t.push("S 0 win 60000");
      const reset = t.frameOf("R 1");
      t.peerPort = 5000;
      t.push("S 0 win 60000");
      t.take();
      const segments = ["F. 11 ack 1", ". 12 ack 1", "P. 1:11 ack 1"].map((text) => t.frameOf(text));
      t.it.ingest(t.now, t.bed.receive(reset));
      if (halfOpen === 1) t.push("S 0 win 60000");
      t.take();
      expect(t.tcp.census.halfOpen).toBe(halfOpen);
      for (const segment of segments.slice(0, 2)) {
        t.it.ingest(t.now, t.bed.receive(segment));
        t.send();
        t.nothing();
      }
      t.it.ingest(t.now, t.bed.receive(segments[2]!));
      expect([listener.waiting, t.tcp.census.halfOpen]).toEqual([1, 0]);
    }
  });

  test("who was answered by a cookie, and asked again when there was room, may acknowledge either answer", () => {
    const t = new Dialogue({ halfOpen: 1 });
    const listener = t.listen();
    t.peerPort = 1;
    t.push("S 0 win 60000");
    const reset = t.frameOf("R 1");
    t.peerPort = 5000;
    t.push("S 0 win 60000");
    const ack = t.frameOf(". 1 ack 1");
    t.it.ingest(t.now, t.bed.receive(reset));
    t.push("S 0 win 60000");
    expect(t.tcp.census.halfOpen).toBe(1);
    t.take();
    t.it.ingest(t.now, t.bed.receive(ack));
    t.send();
    t.nothing();
    expect([listener.waiting, t.tcp.census]).toEqual([1, { connections: 1, halfOpen: 0, timeWait: 0 }]);
  });

  test("cookies do not go around the bounds", () => {
    const t = new Dialogue({ halfOpen: 0, connections: 1 });
    const listener = t.listen();
    for (const port of [1, 2]) {
      t.peerPort = port;
      t.push("S 0 win 60000");
      t.push(". 1 ack 1");
    }
    expect(listener.waiting).toBe(1);
    expect(t.tcp.census.connections).toBe(1);
    const queue = new Dialogue({ halfOpen: 0 });
    const short = queue.listen({ backlog: 2 });
    const acks = [1, 2, 3].map((port) => {
      queue.peerPort = port;
      queue.push("S 0 win 60000");
      return queue.frameOf(". 1 ack 1");
    });
    for (const ack of acks) queue.it.ingest(queue.now, queue.bed.receive(ack));
    expect(short.waiting).toBe(2);
  });

  test("a million SYNs make no object and no growth", () => {
    const t = new Dialogue();
    const listener = t.listen();
    const frame = t.frameOf("S 0 win 60000 mss 1460 ws 6 sackok ts");
    const d = new DataView(frame.buffer);
    const { bed } = t;
    const batch = 64;
    const rx = bed.receive(...Array.from({ length: batch }, () => frame));
    const at = Array.from({ length: batch }, (_, i) => rx.at[i]!);
    let sent = 0;
    const { outlet } = t;
    outlet.flush = () => {
      sent += outlet.batch.count;
      outlet.batch.clear();
      outlet.arena.reset();
    };
    const flood = (rounds: number): void => {
      for (let n = 0; n < rounds; n++) {
        for (let i = 0; i < batch; i++) {
          // Another port and another sequence number: the checksum is told to be good.
          bed.slab.view.setUint16(at[i]! + 34, (n * batch + i) & 0xffff);
          bed.slab.view.setInt32(at[i]! + 38, n * 7919);
          rx.flags[i] = 2;
        }
        t.it.ingest(t.now, rx);
        outlet.flush();
        if (n % 100 === 0) {
          t.now += 1;
          t.it.handleTimeout(t.now);
        }
      }
    };
    expect(d.getUint16(36)).toBe(80);
    flood(2000);
    Bun.gc(true);
    const before = process.memoryUsage().heapUsed;
    const objects = Number(heapStats().objectCount);
    flood(1_000_000 / batch - 2000);
    Bun.gc(true);
    expect(Number(heapStats().objectCount) - objects).toBeLessThan(2000);
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(1 << 20);
    // Some meet a half-open row of their port, and are asked (RFC 5961), not all of them.
    expect(sent).toBeGreaterThan(990_000);
    expect(t.tcp.census).toEqual({ connections: 0, halfOpen: 256, timeWait: 0 });
    expect(listener.waiting).toBe(0);
  });
});

describe("what a connection costs", () => {
  test("an idle one holds no page, and at most 2 KiB beside", () => {
    const count = 4000;
    const t = new Dialogue({ connections: count + 10, halfOpen: 16 });
    const listener = t.listen({ backlog: 16 });
    const kept: unknown[] = [];
    const open = (from: number, to: number): void => {
      for (let port = from; port < to; port++) {
        t.peerPort = port;
        t.hasTimestamps = false;
        t.push("S 0 win 60000 mss 1460 ws 6 sackok ts");
        t.push(". 1 ack 1");
        t.push("P. 1:101 ack 1");
        const c = listener.accept();
        if (c === undefined) throw new Error(`${port}`);
        c.user = port;
        kept.push(c);
        t.write(c, 100);
        t.read(c, 100);
        t.push(". 101 ack 101");
        t.take();
        t.rewind();
      }
    };
    open(1000, 2000);
    Bun.gc(true);
    const before = heapStats();
    open(2000, 1000 + count);
    Bun.gc(true);
    const after = heapStats();
    const bytes = (after.heapSize + after.extraMemorySize - before.heapSize - before.extraMemorySize) / (count - 1000);
    expect(bytes).toBeLessThan(2048);
    expect(t.pool.free).toBe(512);
    expect(kept).toHaveLength(count);
  });
});
