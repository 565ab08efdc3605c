/** What happens when segments do not arrive, and when nothing does: RFC 5681, 6298, 6582, 8985, 3522, 4821, RFC 9293 3.8. */
import { describe, expect, test } from "bun:test";
import { seqDiff } from "../../lib/seq32.ts";
import { Dialogue } from "../testing/tcp-dialogue.ts";
import type { Connection, ConnectionOptions } from "./connection.ts";
import { ENDED } from "./connection.ts";

const PLAIN = "win 60000 mss 1000";
/** Segments of 1000 bytes: the timestamps take 12. */
const MODERN = "win 60000 mss 1012 sackok ts";

/** Of the handshake. */
const RTT = 20;

function begin(syn: string, options: ConnectionOptions = {}): readonly [Dialogue, Connection] {
  const t = new Dialogue();
  return [t, t.connected(options, syn, RTT)];
}

describe("retransmission timeout (RFC 6298)", () => {
  test("after RTT + 200 ms at least, then twice as long each time", () => {
    const [t, c] = begin(PLAIN);
    t.write(c, 100);
    t.expect("P. 1:101 ack 1");
    expect(t.after("P. 1:101 ack 1")).toBe(RTT + 200);
    expect([2, 4, 8, 16].map((n) => Math.round(t.after("P. 1:101 ack 1") / n))).toEqual(Array(4).fill(RTT + 200));
  });

  test("an acknowledgement of new data starts it anew (5.3), one of everything stops it (5.2)", () => {
    const [t, c] = begin(PLAIN);
    t.write(c, 2000);
    t.expect("P. 1:2001 ack 1");
    t.advance(150);
    t.push(". 1 ack 1001");
    expect(t.after("P. 1001:2001 ack 1")).toBeGreaterThan(190);
    t.push(". 1 ack 2001");
    t.advance(100_000);
    t.nothing();
  });

  test("what is first under way has the whole time again when it is sent again", () => {
    const [t, c] = begin(MODERN);
    t.write(c, 5000);
    t.take();
    t.advance(30);
    t.push(". 1 ack 1 sack 1001:5001");
    t.expect(". 1:1001");
    expect(t.after(". 1:1001")).toBeCloseTo(c.rtt.rto / 2, 3);
  });

  test("what was sent twice measures nothing: the back-off stays until something new is acknowledged (Karn, 5.5)", () => {
    const [t, c] = begin(PLAIN);
    t.write(c, 100);
    t.take();
    t.after("P. 1:101 ack 1");
    t.after("P. 1:101 ack 1");
    const { srtt, rto } = c.rtt;
    t.advance(300);
    t.push(". 1 ack 101");
    expect([c.rtt.srtt, c.rtt.rto]).toEqual([srtt, rto]);
    t.write(c, 100);
    t.take();
    expect(t.after("P. 101:201 ack 1")).toBeCloseTo(rto, 5);
  });

  test("one segment, and all that was under way follows in slow start (RFC 5681 3.1)", () => {
    const [t, c] = begin(PLAIN);
    t.write(c, 5000);
    t.expect("P. 1:5001 ack 1");
    t.after(". 1:1001 ack 1");
    t.nothing();
    t.push(". 1 ack 1001");
    t.expect(". 1001:3001 ack 1");
    t.push(". 1 ack 3001");
    t.expect("P. 3001:5001 ack 1");
  });

  test("after five minutes of it: timed out, with a reset", () => {
    const [t, c] = begin(PLAIN);
    t.write(c, 100);
    t.advance(299_999);
    expect(c.end).toBeUndefined();
    t.take();
    t.advance(1);
    t.expect("R. 101 ack 1");
    expect(c.end).toBe("timed-out");
    expect(c.takeEvents() & ENDED).toBe(ENDED);
    expect(t.pool.free).toBe(512);
  });

  test("where the network said that there is no way: unreachable (RFC 1122 4.2.3.9: a soft error ends nothing)", () => {
    const [t, c] = begin(PLAIN, { userTimeout: 5000 });
    t.write(c, 100);
    t.icmp(3, 1, 1);
    t.icmp(3, 3, 1);
    expect(c.state).toBe("ESTABLISHED");
    t.advance(5000);
    expect(c.end).toBe("unreachable");
  });

  test("with SACK what RACK does not deem lost yet is left alone (RFC 8985 6.3), and reneging is seen (RFC 2018 8)", () => {
    const [t, c] = begin(MODERN);
    t.write(c, 3000);
    t.expect("P. 1:3001 ack 1");
    t.advance(3);
    t.push(". 1 ack 1 sack 2001:3001");
    t.after(". 1:1001 ack 1");
    t.push(". 1 ack 1001 sack 2001:3001");
    t.take();
    t.push(". 1 ack 2001");
    t.nothing();
    // The peer SACKed the rest and does not acknowledge it: it is sent again.
    t.after("P. 2001:3001 ack 1");
    expect(t.tcp.counters.snapshot().timeouts).toBe(1);
  });
});

describe("loss that is found before a timeout", () => {
  test("without SACK: three duplicates, and a partial acknowledgement means the next one (RFC 5681 3.2, RFC 6582)", () => {
    const [t, c] = begin(PLAIN);
    t.write(c, 8000);
    t.expect("P. 1:8001 ack 1");
    t.push(". 1 ack 1", ". 1 ack 1");
    t.nothing();
    t.push(". 1 ack 1");
    t.expect(". 1:1001 ack 1");
    t.nothing();
    t.push(". 1 ack 1", ". 1 ack 1");
    t.push(". 1 ack 2001");
    t.expect(". 2001:3001 ack 1");
    t.push(". 1 ack 8001");
    expect(c.congestion.inRecovery).toBe(false);
    expect(c.congestion.cwnd).toBe(7000);
    expect(t.tcp.counters.snapshot().timeouts).toBeUndefined();
  });

  test("what is no duplicate does not count as one: another window, or data (RFC 5681 2)", () => {
    const [t, c] = begin(PLAIN);
    t.write(c, 5000);
    t.expect("P. 1:5001 ack 1");
    t.push(". 1 ack 1 win 59000", ". 1 ack 1 win 58000", ". 1 ack 1 win 57000", ". 1 ack 1 win 56000");
    t.push("P. 1:2 ack 1", "P. 2:3 ack 1", "P. 3:4 ack 1", "P. 4:5 ack 1");
    expect(t.take().every((s) => !s.includes("1:1001"))).toBe(true);
  });

  test("with SACK: what was sent before three segments that arrived (RFC 8985 6.2), only that, once", () => {
    const [t, c] = begin(MODERN);
    t.write(c, 8000);
    t.expect("P. 1:8001 ack 1");
    t.advance(20);
    t.push(". 1 ack 1 sack 1001:2001");
    t.push(". 1 ack 1 sack 1001:3001");
    t.nothing();
    t.push(". 1 ack 1 sack 1001:4001");
    t.expect(". 1:1001 ack 1");
    t.nothing();
    t.push(". 1 ack 1 sack 1001:8001");
    t.nothing();
    t.advance(20);
    t.push(". 1 ack 8001");
    expect(c.congestion.inRecovery).toBe(false);
    expect(t.tcp.counters.snapshot()).toMatchObject({ retransmitted: 1, recoveries: 1 });
  });

  test("two segments that arrived: a quarter of the RTT later (RFC 8985 6.2 step 4)", () => {
    const [t, c] = begin(MODERN);
    for (let i = 0; i < 3; i++) {
      t.write(c, 1000);
      t.take();
      t.advance(40);
      t.push(`. 1 ack ${1001 + i * 1000}`);
    }
    t.write(c, 3000);
    t.expect("P. 3001:6001 ack 1");
    t.advance(40);
    t.push(". 1 ack 3001 sack 4001:6001");
    t.nothing();
    const waited = t.after(". 3001:4001 ack 1");
    expect(waited).toBeLessThan(15);
  });

  test("a retransmission that is lost is lost again, without a timeout", () => {
    const [t, c] = begin(MODERN);
    t.write(c, 10_000);
    t.take();
    t.advance(20);
    t.push(". 1 ack 1 sack 1001:5001");
    t.expect(". 1:1001 ack 1");
    t.advance(20);
    t.write(c, 4000);
    t.push(". 1 ack 1 sack 1001:10001");
    t.take();
    t.advance(30);
    t.push(". 1 ack 1 sack 1001:12001");
    t.advance(10);
    expect(t.take().join()).toContain(". 1:1001 ");
    expect(t.tcp.counters.snapshot().timeouts).toBeUndefined();
  });

  test("a loss that was none is undone: the echoed timestamp is older than the retransmission (RFC 3522)", () => {
    const [t, c] = begin(MODERN);
    t.write(c, 8000);
    t.take();
    const echo = t.lastTsVal;
    const { cwnd } = c.congestion;
    t.advance(20);
    t.push(". 1 ack 1 sack 1001:5001");
    t.expect(". 1:1001 ack 1");
    expect(c.congestion.cwnd).toBeLessThan(cwnd);
    t.advance(5);
    t.push(`. 1 ack 5001 ts ${t.now | 0}/${echo}`);
    expect(c.congestion.cwnd).toBeGreaterThanOrEqual(cwnd);
    expect(t.tcp.counters.snapshot().undone).toBe(1);
  });

  test("or everything that was sent again is reported to have been there (RFC 3708), all of it", () => {
    const [t, c] = begin("win 60000 mss 1000 sackok");
    t.write(c, 8000);
    t.take();
    const { cwnd } = c.congestion;
    t.advance(20);
    t.push(". 1 ack 1 sack 2001:8001");
    t.expect(". 1:2001 ack 1");
    t.push(". 1 ack 8001");
    expect(c.congestion.cwnd).toBeLessThan(cwnd);
    t.push(". 1 ack 8001 sack 1:1001");
    // What was not sent again was repeated by the network.
    t.push(". 1 ack 8001 sack 2001:8001");
    expect(c.congestion.cwnd).toBeLessThan(cwnd);
    t.push(". 1 ack 8001 sack 1001:2001");
    expect(c.congestion.cwnd).toBeGreaterThanOrEqual(cwnd);
    expect(t.tcp.counters.snapshot().undone).toBe(1);
  });

  test("a loss that was none is undone when all of it arrives before any was sent again, also without timestamps", () => {
    const [t, c] = begin("win 60000 mss 1000 sackok");
    t.write(c, 8000);
    t.take();
    t.advance(20);
    const { cwnd } = c.congestion;
    t.push(". 1 ack 1 sack 3001:7001", ". 1 ack 7001");
    t.nothing();
    expect(c.congestion.cwnd).toBeGreaterThanOrEqual(cwnd);
    expect(c.congestion.ssthresh).toBe(Number.POSITIVE_INFINITY);
    expect(t.tcp.counters.snapshot()).toMatchObject({ recoveries: 1, undone: 1 });
  });

  test("what the window allowed before a loss was found is sent, also when both come in one batch", () => {
    const alone = begin(MODERN);
    const together = begin(MODERN);
    const sent = [alone, together].map(([t, c], i) => {
      const first = c.nxt;
      t.write(c, 40_000);
      t.take();
      t.advance(20);
      const acks = [". 1 ack 4001", ". 1 ack 4001 sack 5001:9001"];
      if (i === 0) for (const ack of acks) t.push(ack);
      else t.push(...acks);
      return seqDiff(c.nxt, first);
    });
    expect(sent[1]).toBe(sent[0]!);
    expect(sent[0]).toBeGreaterThan(15_000);
  });

  test("a timeout that was too early is undone, and nothing more is sent again", () => {
    const [t, c] = begin(MODERN);
    t.write(c, 8000);
    t.take();
    const echo = t.lastTsVal;
    t.advance(5000);
    expect(c.timeouts).toBeGreaterThan(0);
    t.take();
    t.push(`. 1 ack 1001 ts ${t.now | 0}/${echo}`);
    expect(t.take().join()).not.toContain(":");
    expect(t.tcp.counters.snapshot().undone).toBe(1);
  });
});

describe("tail loss probe (RFC 8985 7)", () => {
  test("the last segment again after two RTT, before the timeout", () => {
    const [t, c] = begin(MODERN);
    for (let i = 0; i < 4; i++) {
      t.write(c, 1000);
      t.take();
      t.advance(100);
      t.push(`. 1 ack ${1001 + i * 1000}`);
    }
    t.write(c, 3000);
    t.expect("P. 4001:7001 ack 1");
    const waited = t.after("P. 6001:7001 ack 1");
    expect(waited).toBeGreaterThan(2 * 50);
    expect(waited).toBeLessThan(c.rtt.rto);
    expect(t.tcp.counters.snapshot()).toMatchObject({ tailProbes: 1 });
    // The answer shows that the two before it are lost.
    t.advance(100);
    t.push(". 1 ack 4001 sack 6001:7001");
    t.advance(30);
    expect(t.take().join()).toContain(". 4001:");
  });

  test("it waits 2 ms more, of the shortest round trip too, and 200 for a single segment, which may be acknowledged late (7.2)", () => {
    const t = new Dialogue();
    const c = t.connected({}, MODERN, 0.1);
    t.write(c, 2000);
    t.take();
    expect(t.after("P. 1001:2001 ack 1")).toBeCloseTo(2.2, 3);
    t.push(". 1 ack 2001");
    t.write(c, 1000);
    t.take();
    expect(t.after("P. 2001:3001 ack 1")).toBeGreaterThan(199);
  });

  test("new data rather than old", () => {
    const [t, c] = begin("win 2000 mss 1012 sackok ts");
    t.write(c, 4000);
    t.expect(". 1:2001 ack 1");
    t.push(". 1 ack 1 win 3000");
    t.expect(". 2001:3001 ack 1");
    t.push(". 1 ack 1 win 3500");
    t.after(". 3001:3501 ack 1");
  });

  test("a probe that repaired a loss counts as one (7.4)", () => {
    const [t, c] = begin(MODERN);
    t.write(c, 2000);
    t.take();
    t.after("P. 1001:2001 ack 1");
    const { ssthresh } = c.congestion;
    t.push(". 1 ack 2001");
    t.write(c, 1000);
    t.take();
    t.push(". 1 ack 3001");
    expect(c.congestion.ssthresh).toBeLessThan(ssthresh);
  });

  test("a needless one does not", () => {
    const [t, c] = begin(MODERN);
    t.write(c, 2000);
    t.take();
    t.after("P. 1001:2001 ack 1");
    const { ssthresh } = c.congestion;
    t.push(". 1 ack 2001 sack 1001:2001");
    t.write(c, 1000);
    t.take();
    t.push(". 1 ack 3001");
    expect(c.congestion.ssthresh).toBe(ssthresh);
  });
});

describe("a closed window (RFC 9293 3.8.6.1)", () => {
  test("is asked about, ever less often, as long as it is answered", () => {
    const [t, c] = begin("win 1000 mss 1000");
    t.write(c, 3000);
    t.expect(". 1:1001 ack 1");
    t.push(". 1 ack 1001 win 0");
    const waits: number[] = [];
    for (let i = 0; i < 60; i++) {
      waits.push(t.after(". 1000 ack 1"));
      t.push(". 1 ack 1001 win 0");
    }
    for (let i = 1; i < waits.length; i++) expect(waits[i]!).toBeGreaterThanOrEqual(waits[i - 1]!);
    expect([waits[1]! / waits[0]!, waits[2]! / waits[1]!]).toEqual([2, 2]);
    expect(waits.at(-1)).toBe(60_000);
    expect(c.state).toBe("ESTABLISHED");
  });
});

describe("more of a closed window", () => {
  function closed(options: ConnectionOptions = {}): readonly [Dialogue, Connection] {
    const [t, c] = begin("win 1000 mss 1000", options);
    t.write(c, 3000);
    t.expect(". 1:1001 ack 1");
    t.push(". 1 ack 1001 win 0");
    return [t, c];
  }

  test("that opens is used at once", () => {
    const [t, c] = closed();
    t.after(". 1000 ack 1");
    t.push(". 1 ack 1001 win 5000");
    t.expect("P. 1001:3001 ack 1");
    expect(c.tries).toBe(0);
  });

  test("that opens a little is used after a while (RFC 9293 3.8.6.2.1)", () => {
    const [t] = closed();
    t.push(". 1 ack 1001 win 100");
    t.nothing();
    t.after(". 1001:1101 ack 1");
  });

  test("whose peer is silent: timed out", () => {
    const [t, c] = closed({ userTimeout: 30_000 });
    t.advance(29_000);
    expect(c.end).toBeUndefined();
    t.advance(32_000);
    expect(c.end).toBe("timed-out");
  });

  test("of a connection that was let go of: not for ever, whatever the peer says", () => {
    const [t, c] = closed({ userTimeout: 30_000 });
    c.close();
    for (let i = 0; i < 20 && c.end === undefined; i++) {
      t.advance(5000);
      if (c.end === undefined) t.push(". 1 ack 1001 win 0");
    }
    expect(c.end).toBe("timed-out");
  });

  test("holds FIN back as well, which has a number of its own", () => {
    const [t, c] = begin("win 1000 mss 1000");
    t.write(c, 1000);
    c.shutdown();
    t.expect("P. 1:1001 ack 1");
    t.push(". 1 ack 1001 win 0");
    t.after(". 1000 ack 1");
    t.push(". 1 ack 1001 win 1");
    t.expect("F. 1001 ack 1");
  });
});

describe("keepalive (RFC 9293 3.8.4)", () => {
  const keepalive = { idle: 10_000, interval: 1000, count: 3 };

  test("asks a silent peer, and is quiet when it answers", () => {
    const [t, c] = begin(PLAIN, { keepalive });
    t.advance(9999);
    t.nothing();
    t.advance(1);
    t.expect(". 0 ack 1");
    t.push(". 1 ack 1");
    t.advance(9999);
    t.nothing();
    t.advance(1);
    t.expect(". 0 ack 1");
    expect(c.state).toBe("ESTABLISHED");
  });

  test("gives up after so many questions", () => {
    const [t, c] = begin(PLAIN, { keepalive });
    t.advance(12_999);
    expect(t.take()).toHaveLength(3);
    expect(c.end).toBeUndefined();
    t.advance(1);
    expect(c.end).toBe("timed-out");
    t.expect("R. 1 ack 1");
  });

  test("is off unless asked for", () => {
    const [t, c] = begin(PLAIN);
    t.advance(100 * 3_600_000);
    t.nothing();
    expect(c.state).toBe("ESTABLISHED");
    expect(t.it.pollAt()).toBeGreaterThan(t.now);
  });

  test("the question of a peer is answered, but not each of many", () => {
    const [t] = begin(PLAIN);
    t.push(". 0 ack 1");
    t.expect(". 1 ack 1");
    t.push(". 0 ack 1");
    t.nothing();
    t.advance(500);
    t.push(". 0 ack 1");
    t.expect(". 1 ack 1");
  });
});

describe("a black hole (RFC 4821 7.7)", () => {
  test("after three timeouts of full segments they become smaller, and smaller still", () => {
    const t = new Dialogue();
    const c = t.connected({}, "win 60000 mss 1460");
    t.write(c, 3000);
    t.take();
    t.after(". 1:1461 ack 1");
    t.after(". 1:1461 ack 1");
    t.after(". 1:1241 ack 1");
    t.after(". 1:513 ack 1");
    t.push(". 1 ack 513");
    t.expect(". 513:1537 ack 1 gso 512");
    expect(t.tcp.counters.snapshot()).toMatchObject({ blackHoles: 2, timeouts: 4 });
  });

  test("small segments that are lost say nothing about the path", () => {
    const [t, c] = begin(PLAIN);
    t.write(c, 100);
    t.advance(30_000);
    expect(c.timeouts).toBeGreaterThan(4);
    expect(c.pathMtu).toBe(1500);
  });
});

describe("ICMP errors (RFC 5927)", () => {
  test("in the handshake: port and protocol unreachable end it, others only say why it fails", () => {
    const t = new Dialogue();
    const c = t.connect({ userTimeout: 5000 });
    t.icmp(3, 3, 7);
    t.icmp(3, 0, 0);
    expect(c.state).toBe("SYN-SENT");
    t.advance(5000);
    expect(c.end).toBe("unreachable");
    const d = t.connect();
    t.send();
    t.icmp(3, 3, 0);
    expect(d.end).toBe("refused");
  });

  test("none is believed about what is not under way", () => {
    const [t, c] = begin(PLAIN);
    t.write(c, 1000);
    t.push(". 1 ack 1001");
    for (const seq of [1, 1000, 1001, 50_000]) t.icmp(3, 4, seq, 576);
    for (const seq of [1, 1001]) t.icmp(3, 1, seq);
    expect(c.pathMtu).toBe(1500);
    expect(c.softError).toBe(false);
    expect(t.it.drops.snapshot().IcmpBadQuote).toBe(6);
  });
});
