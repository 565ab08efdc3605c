/** How data goes: RFC 9293 3.7 and 3.8, RFC 5681, RFC 2018, RFC 2883, RFC 7323, RFC 3168. */
import { describe, expect, test } from "bun:test";
import { Dialogue } from "../testing/tcp-dialogue.ts";
import { FINISHED, READABLE, WRITABLE } from "./connection.ts";

/** A connection without options, so that a segment has 1000 bytes; the first acknowledgements are over. */
function plain(win = 60_000): readonly [Dialogue, ReturnType<Dialogue["connected"]>] {
  const t = new Dialogue();
  const c = t.connected({}, `win ${win} mss 1000`);
  c.quickAcks = 0;
  return [t, c];
}

describe("what comes in", () => {
  test("is read where it lies, in place, and then consumed", () => {
    const [t, c] = plain();
    t.push("P. 1:101 ack 1");
    expect(c.readable).toBe(100);
    expect(c.peekRun()).toBe(100);
    expect(c.peekRun(40)).toBe(60);
    expect(t.bed.slab.bytes.slice(c.peekAt(1), c.peekAt(1) + 3)).toEqual(Uint8Array.of(7, 14, 21));
    c.consume(1);
    expect(c.peekRun()).toBe(99);
    expect(t.bed.slab.bytes[c.peekAt()]).toBe(7);
    expect(c.takeEvents() & READABLE).toBe(READABLE);
  });

  test("is acknowledged after 40 ms, and every second full segment at once (RFC 5681 4.2)", () => {
    const [t, c] = plain();
    t.push(". 1:1001 ack 1");
    t.nothing();
    expect(t.after(". 1 ack 1001")).toBe(40);
    t.push(". 1001:2001 ack 1");
    t.nothing();
    t.push(". 2001:3001 ack 1");
    t.expect(". 1 ack 3001");
    t.advance(1000);
    t.nothing();
    t.read(c, 3000);
  });

  test("segments that come together are acknowledged once", () => {
    const [t] = plain();
    t.push(". 1:1001 ack 1", ". 1001:2001 ack 1", ". 2001:3001 ack 1", ". 3001:4001 ack 1");
    t.expect(". 1 ack 4001");
    t.nothing();
  });

  test("data of ours carries the acknowledgement", () => {
    const [t, c] = plain();
    t.push(". 1:1001 ack 1");
    t.write(c, 10);
    t.expect("P. 1:11 ack 1001");
    t.advance(40);
    t.nothing();
  });

  test("beyond a hole: acknowledged at once, each, and taken in order (RFC 5681 4.2)", () => {
    const [t, c] = plain();
    t.push(". 1001:2001 ack 1", ". 3001:4001 ack 1", ". 2001:3001 ack 1");
    for (let i = 0; i < 3; i++) t.expect(". 1 ack 1");
    t.nothing();
    expect(c.readable).toBe(0);
    t.push(". 1:1001 ack 1");
    t.expect(". 1 ack 4001");
    t.read(c, 4000);
  });

  test("beyond a hole with SACK: the blocks, the newest first (RFC 2018 4)", () => {
    const t = new Dialogue();
    const c = t.connected();
    t.push(". 1449:2897 ack 1");
    t.expect(". 1 ack 1 sack 1449:2897");
    t.push(". 4345:5793 ack 1");
    t.expect(". 1 ack 1 sack 4345:5793,1449:2897");
    t.push(". 2897:4345 ack 1");
    t.expect(". 1 ack 1 sack 1449:5793");
    t.push(". 1:1449 ack 1");
    t.expect(". 1 ack 5793");
    t.read(c, 5792);
  });

  test("what was there already is reported once (RFC 2883 4.1), and read once", () => {
    const t = new Dialogue();
    const c = t.connected();
    t.push("P. 1:101 ack 1");
    t.expect(". 1 ack 101");
    t.push("P. 1:101 ack 1");
    t.expect(". 1 ack 101 sack 1:101");
    t.push("P. 51:151 ack 1");
    t.expect(". 1 ack 151 sack 51:101");
    t.push("P. 151:161 ack 1");
    t.expect(". 1 ack 161");
    t.read(c, 160);
  });

  test("every second full segment is acknowledged at the beginning and for a while after loss, also within a batch (RFC 5681 4.2)", () => {
    const t = new Dialogue();
    const c = t.connected({}, "win 60000 mss 1000 sackok");
    const batch = (first: number, n: number): string[] =>
      Array.from({ length: n }, (_, i) => `. ${first + 1000 * i}:${first + 1000 * (i + 1)} ack 1`);
    t.push(...batch(1, 4));
    t.expect(". 1 ack 2001");
    t.expect(". 1 ack 4001");
    for (let first = 4001; first < 44_001; first += 4000) {
      t.push(...batch(first, 4));
      t.take();
    }
    t.push(...batch(44_001, 4));
    t.expect(". 1 ack 48001");
    t.nothing();
    t.push(". 49001:50001 ack 1", ". 50001:51001 ack 1");
    t.expect(". 1 ack 48001 sack 49001:50001");
    t.expect(". 1 ack 48001 sack 49001:51001");
    t.push(...batch(48_001, 1));
    t.expect(". 1 ack 51001");
    t.push(...batch(51_001, 5));
    t.expect(". 1 ack 53001");
    t.expect(". 1 ack 55001");
    t.expect(". 1 ack 56001");
    t.read(c, 56_000);
  });

  test("of what was there already each is reported, also when they come together (RFC 2883 4)", () => {
    const t = new Dialogue();
    t.connected();
    t.push("P. 1:101 ack 1");
    t.expect(". 1 ack 101");
    t.push("P. 1:51 ack 1", "P. 51:101 ack 1");
    t.expect(". 1 ack 101 sack 1:51");
    t.expect(". 1 ack 101 sack 51:101");
    t.nothing();
  });

  test("only what the window has room for is taken (RFC 9293 3.10.7.4)", () => {
    const t = new Dialogue();
    const c = t.connected({ receiveBuffer: 3000 }, "win 60000 mss 1000");
    t.push(". 1:1001 ack 1", ". 1001:2001 ack 1", ". 2001:4001 ack 1");
    t.expect(". 1 ack 2001 win 1000");
    t.expect(". 1 ack 3001 win 0");
    expect(c.readable).toBe(3000);
    t.read(c, 3000);
    t.expect(". 1 ack 3001 win 3000");
  });

  test("what lies beyond the right edge is cut off, although there would be memory", () => {
    const t = new Dialogue();
    t.connected({}, "win 60000 mss 1460 sackok");
    t.push(". 65001:66401 ack 1");
    t.expect(". 1 ack 1 win 65535 sack 65001:65536");
  });

  test("into a closed window nothing goes, but its acknowledgement counts and it is answered (RFC 9293 3.8.6.1)", () => {
    const t = new Dialogue();
    const c = t.connected({ receiveBuffer: 2000 }, "win 60000 mss 1000");
    t.write(c, 10);
    t.expect("P. 1:11 ack 1");
    t.push(". 1:1001 ack 1", ". 1001:2001 ack 1");
    t.expect(". 11 ack 2001 win 0");
    t.push(". 2001:2002 ack 11");
    t.expect(". 11 ack 2001 win 0");
    expect(c.una).toBe(c.nxt);
    expect(c.readable).toBe(2000);
  });

  test("the window opens by whole segments, not byte by byte (RFC 9293 3.8.6.2.2)", () => {
    const t = new Dialogue();
    const c = t.connected({ receiveBuffer: 4000 }, "win 60000 mss 1000");
    t.push(". 1:2001 ack 1", ". 2001:4001 ack 1");
    t.expect(". 1 ack 4001 win 0");
    for (let i = 0; i < 9; i++) t.read(c, 100, i * 100);
    t.nothing();
    // Nor when it is asked for.
    t.push(". 4001:4002 ack 1");
    t.expect(". 1 ack 4001 win 0");
    for (let i = 9; i < 19; i++) t.read(c, 100, i * 100);
    t.nothing();
    t.read(c, 100, 1900);
    t.expect(". 1 ack 4001 win 2000");
    t.nothing();
  });

  test("a scaled window is rounded so that its right edge does not move back (RFC 7323 2.4)", () => {
    const t = new Dialogue();
    t.connected({}, "win 60000 mss 1000 ws 0");
    t.push("P. 1:2 ack 1");
    t.expect(". 1 ack 2 win 2048");
  });

  test("the right edge of the window never moves back (RFC 9293 3.8.6)", () => {
    const t = new Dialogue({ pages: 128, pageSize: 4096 });
    const c = t.connected({}, "win 60000 mss 1000 ws 0");
    const other = t.pool;
    t.push(". 1:1001 ack 1");
    const edge = c.rcvAdv;
    // Somebody else takes nearly all memory.
    let last = -1;
    while (other.free > 2) last = other.take(0, last);
    t.push(". 1001:2001 ack 1", ". 2001:3001 ack 1");
    expect((c.rcvAdv - edge) | 0).toBeGreaterThanOrEqual(0);
  });

  test("without memory data is not taken, and comes again", () => {
    const t = new Dialogue({ pages: 128, pageSize: 4096 });
    const c = t.connected({}, "win 60000 mss 1000");
    let last = -1;
    const taken: number[] = [];
    for (; t.pool.free > 0; taken.push(last)) last = t.pool.take(0, last);
    t.push(". 1:1001 ack 1");
    t.expect(". 1 ack 1");
    expect(t.it.drops.snapshot().TcpNoMemory).toBe(1);
    for (const page of taken) t.pool.put(page);
    t.push(". 1:1001 ack 1");
    t.read(c, 1000);
  });

  test("FIN is taken when all before it is there (RFC 9293 3.10.7.4, eighth)", () => {
    const [t, c] = plain();
    t.push("FP. 101:152 ack 1");
    t.expect(". 1 ack 1");
    expect(c.isFinished).toBe(false);
    t.push(". 1:101 ack 1");
    t.expect(". 1 ack 152");
    expect(c.state).toBe("CLOSE-WAIT");
    expect(c.takeEvents() & FINISHED).toBe(FINISHED);
    expect(c.isFinished).toBe(false);
    t.read(c, 150);
    expect(c.isFinished).toBe(true);
  });

  test("data behind FIN is none", () => {
    const [t, c] = plain();
    t.push("F. 1:12 ack 1");
    t.take();
    t.push("P. 12:20 ack 1", "P. 6:30 ack 1");
    expect(c.readable).toBe(10);
    const [t2, c2] = plain();
    t2.push("F. 101 ack 1");
    t2.push("P. 1:201 ack 1");
    expect(c2.readable).toBe(100);
    expect(c2.state).toBe("CLOSE-WAIT");
  });

  test("a mark is echoed until the peer has slowed down (RFC 3168 6.1.3)", () => {
    const t = new Dialogue();
    const c = t.connect({ ecn: true });
    t.expect("SEW 0");
    t.push("S.E 0 ack 1 win 60000 mss 1000");
    t.expect(". 1 ack 1");
    t.push(". 1:1001 ack 1 ce");
    t.expect(".E 1 ack 1001");
    t.push(". 1001:2001 ack 1");
    t.expect(".E 1 ack 2001");
    t.push(".W 2001:3001 ack 1");
    t.expect(". 1 ack 3001");
    t.read(c, 3000);
  });
});

describe("what goes out", () => {
  test("ten segments at first, as one super-frame with PSH at the end of what was written (RFC 6928 2)", () => {
    const [t, c] = plain();
    t.write(c, 20_000);
    t.expect(". 1:10001 ack 1 gso 1000");
    t.nothing();
    t.push(". 1 ack 10001");
    t.expect("P. 10001:20001 ack 1 gso 1000");
    t.push(". 1 ack 20001");
    t.advance(10_000);
    t.nothing();
  });

  test("as much as the peer's window takes, and the rest when it opens", () => {
    const [t, c] = plain(2500);
    t.write(c, 5000);
    t.expect(". 1:2001 ack 1");
    t.nothing();
    t.push(". 1 ack 2001 win 2500");
    t.expect(". 2001:4001 ack 1");
    t.push(". 1 ack 4001 win 2500");
    t.expect("P. 4001:5001 ack 1");
  });

  test("a window of less than a segment is filled when it is half of the largest (RFC 9293 3.8.6.2.1)", () => {
    const [t, c] = plain(600);
    t.write(c, 2000);
    t.expect(". 1:601 ack 1");
    t.push(". 1 ack 601 win 200");
    t.nothing();
    t.push(". 1 ack 601 win 300");
    t.expect(". 601:901 ack 1");
  });

  test("window updates count only when they are newer than the last (RFC 9293 3.10.7.4)", () => {
    const [t, c] = plain(1000);
    t.write(c, 3000);
    t.expect(". 1:1001 ack 1");
    t.push("P. 11:21 ack 1 win 5000");
    t.take();
    expect(c.wnd).toBe(5000);
    t.push("P. 1:11 ack 1 win 100");
    expect(c.wnd).toBe(5000);
  });

  test("Nagle: a small segment waits for the acknowledgement of the small one before it (RFC 9293 3.7.4)", () => {
    const [t, c] = plain();
    t.write(c, 10);
    t.expect("P. 1:11 ack 1");
    t.write(c, 10);
    t.write(c, 10);
    t.nothing();
    t.push(". 1 ack 11");
    t.expect("P. 11:31 ack 1");
    t.write(c, 1000);
    t.expect("P. 31:1031 ack 1");
  });

  test("Nagle switched off", () => {
    const t = new Dialogue();
    const c = t.connected({ noDelay: true });
    t.write(c, 10);
    t.expect("P. 1:11 ack 1");
    t.write(c, 10);
    t.expect("P. 11:21 ack 1");
  });

  test("FIN does not wait for anything, and closes a small segment", () => {
    const [t, c] = plain();
    t.write(c, 10);
    t.expect("P. 1:11 ack 1");
    t.write(c, 10);
    t.nothing();
    c.shutdown();
    t.send();
    t.expect("FP. 11:22 ack 1");
    expect(c.state).toBe("FIN-WAIT-1");
    expect(c.writeBytes(Uint8Array.of(1))).toBe(0);
  });

  test("a write that was cut short is told when there is room", () => {
    const t = new Dialogue();
    const c = t.connected({ sendBuffer: 4000 }, "win 60000 mss 1000");
    expect(t.write(c, 5000)).toBe(4000);
    t.expect("P. 1:4001 ack 1");
    c.takeEvents();
    expect(c.writable).toBe(0);
    t.push(". 1 ack 3001");
    expect(c.takeEvents() & WRITABLE).toBe(WRITABLE);
    expect(c.writable).toBe(3000);
  });

  test("what is sent says what was received last, with the peer's clock (RFC 7323 3.2, 4.3)", () => {
    const t = new Dialogue();
    const c = t.connected();
    t.push("P. 1:11 ack 1 ts 77777");
    t.take();
    t.write(c, 10);
    const [sent = ""] = t.take();
    expect(sent).toContain("/77777");
  });

  test("an ICMP error about the size makes segments smaller, at once and without slowing down (RFC 1191, RFC 5927 4)", () => {
    const [t, c] = plain();
    t.write(c, 3000);
    t.expect("P. 1:3001 ack 1 gso 1000");
    const { cwnd } = c.congestion;
    t.icmp(3, 4, 5000, 600); // not under way
    t.icmp(3, 4, 1, 300); // less than every network takes: 552
    t.send();
    t.expect("P. 1:3001 ack 1 gso 512");
    expect(c.congestion.cwnd).toBe(cwnd);
    t.icmp(3, 4, 1, 1400); // larger than what is known
    t.send();
    t.nothing();
    expect(t.tcp.counters.snapshot().pathMtuErrors).toBe(1);
  });

  test("of a peer that marks: slower once a window, CWR on new data, and only that may be marked (RFC 3168 6.1.2, 6.1.5)", () => {
    const t = new Dialogue();
    const c = t.connect({ ecn: true });
    t.expect("SEW 0");
    t.push("S.E 0 ack 1 win 60000 mss 1000");
    const [handshake = ""] = t.take();
    expect(handshake).not.toContain("ect");
    t.write(c, 30_000);
    t.expect(". 1:10001 ect 2");
    t.push(".E 1 ack 1001");
    const before = c.congestion.cwnd;
    t.push(".E 1 ack 10001");
    expect(c.congestion.cwnd).toBeLessThan(10_000);
    expect(before).toBeLessThanOrEqual(10_000);
    const sent = t.take();
    expect(sent.join()).toContain("W");
    expect(sent.every((s) => !s.includes(":") || s.includes("ect 2"))).toBe(true);
    expect(t.tcp.counters.snapshot().congestionEchoes).toBe(1);
  });

  test("after a pause the window is used as at the beginning (RFC 5681 4.1)", () => {
    const [t, c] = plain();
    for (let end = 0, n = 10; n < 80; n *= 2) {
      t.write(c, n * 1000);
      t.take();
      end += n * 1000;
      t.push(`. 1 ack ${end + 1}`);
    }
    expect(c.congestion.cwnd).toBeGreaterThan(60_000);
    t.advance(60_000);
    t.write(c, 60_000);
    expect(t.take().join()).toMatch(/^\. 70001:80001 /);
  });
});

describe("closing (RFC 9293 3.6)", () => {
  test("we first: FIN-WAIT-1, FIN-WAIT-2, TIME-WAIT", () => {
    const [t, c] = plain();
    c.shutdown();
    t.send();
    t.expect("F. 1 ack 1");
    expect(c.state).toBe("FIN-WAIT-1");
    t.push(". 1 ack 2");
    expect(c.state).toBe("FIN-WAIT-2");
    t.push("P. 1:11 ack 2");
    t.push("F. 11 ack 2");
    t.expect(". 2 ack 12");
    t.nothing();
    expect(c.end).toBe("closed");
    t.read(c, 10);
    expect(t.tcp.census).toEqual({ connections: 0, halfOpen: 0, timeWait: 1 });
    t.advance(59_999);
    expect(t.tcp.census.timeWait).toBe(1);
    t.advance(1);
    expect(t.tcp.census.timeWait).toBe(0);
  });

  test("both at once: CLOSING, TIME-WAIT", () => {
    const [t, c] = plain();
    c.shutdown();
    t.send();
    t.expect("F. 1 ack 1");
    t.push("F. 1 ack 1");
    expect(c.state).toBe("CLOSING");
    t.expect(". 2 ack 2");
    t.push(". 2 ack 2");
    expect(c.end).toBe("closed");
    expect(t.tcp.census.timeWait).toBe(1);
  });

  test("the peer first: CLOSE-WAIT, LAST-ACK, closed without TIME-WAIT", () => {
    const [t, c] = plain();
    t.push("F. 1 ack 1");
    t.expect(". 1 ack 2");
    expect(c.state).toBe("CLOSE-WAIT");
    t.write(c, 100);
    t.expect("P. 1:101 ack 2");
    c.shutdown();
    t.send();
    t.expect("F. 101 ack 2");
    expect(c.state).toBe("LAST-ACK");
    t.push(". 2 ack 102");
    expect(c.end).toBe("closed");
    expect(t.tcp.census).toEqual({ connections: 0, halfOpen: 0, timeWait: 0 });
  });

  test("FIN and the acknowledgement of ours in one segment: TIME-WAIT", () => {
    const [t, c] = plain();
    c.shutdown();
    t.send();
    t.expect("F. 1 ack 1");
    t.push("F. 1 ack 2");
    t.expect(". 2 ack 2");
    expect(c.end).toBe("closed");
    expect(t.tcp.census.timeWait).toBe(1);
  });

  test("FIN is sent again like data, and so is its answer", () => {
    const [t, c] = plain();
    c.shutdown();
    t.send();
    t.expect("F. 1 ack 1");
    t.after("F. 1 ack 1", 1100);
    t.push("F. 1 ack 2");
    t.expect(". 2 ack 2");
    t.advance(500);
    t.push("F. 1 ack 2");
    t.expect(". 2 ack 2");
    expect(t.tcp.census.timeWait).toBe(1);
  });

  test("in CLOSE-WAIT FIN again is acknowledged again", () => {
    const [t] = plain();
    t.push("F. 1 ack 1");
    t.expect(". 1 ack 2");
    t.push("F. 1 ack 1");
    t.expect(". 1 ack 2");
  });

  test("closed with something unread: a reset tells the peer (RFC 9293 3.6.1)", () => {
    const [t, c] = plain();
    t.push("P. 1:11 ack 1");
    c.close();
    t.send();
    t.expect("R. 1 ack 11");
    expect(c.end).toBe("aborted");
    expect(t.pool.free).toBe(512);
  });

  test("data for whom nobody is left is answered by a reset (RFC 2525 2.17)", () => {
    const [t, c] = plain();
    c.close();
    t.send();
    t.expect("F. 1 ack 1");
    t.push(". 1 ack 2");
    t.push("P. 1:11 ack 2");
    t.expect("R. 2 ack 1");
    expect(c.end).toBe("aborted");
  });

  test("half closed and let go of: FIN-WAIT-2 ends after 60 s", () => {
    const [t, c] = plain();
    c.close();
    t.send();
    t.expect("F. 1 ack 1");
    t.push(". 1 ack 2");
    t.advance(59_000);
    expect(c.state).toBe("FIN-WAIT-2");
    t.advance(1000);
    expect(c.end).toBe("closed");
    expect(t.tcp.census.connections).toBe(0);
  });

  test("half closed and not let go of: as long as the peer likes", () => {
    const [t, c] = plain();
    c.shutdown();
    t.send();
    t.push(". 1 ack 2");
    t.advance(3_600_000);
    expect(c.state).toBe("FIN-WAIT-2");
    t.push("P. 1:11 ack 2");
    t.read(c, 10);
  });

  test("abort: a reset, and everything is gone", () => {
    const [t, c] = plain();
    t.write(c, 5000);
    t.take();
    c.abort();
    t.send();
    t.expect("R. 5001 ack 1");
    expect(c.end).toBe("aborted");
    expect(t.pool.free).toBe(512);
    t.push(". 1 ack 5001");
    t.expect("R 5001");
  });

  test("a reset by the peer: what was not read is gone", () => {
    const [t, c] = plain();
    t.push("P. 1:11 ack 1");
    t.push("R 11");
    expect(c.end).toBe("reset");
    expect(c.readable).toBe(0);
    expect(c.isFinished).toBe(true);
    expect(t.pool.free).toBe(512);
    t.send();
  });

  test("a reset when all that is missing is the last word: closed", () => {
    const [t, c] = plain();
    t.push("F. 1 ack 1");
    c.shutdown();
    t.send();
    t.push("R 2");
    expect(c.end).toBe("closed");
  });

  test("our address is not ours any more", () => {
    const [t, c] = plain();
    t.it.unconfigure();
    expect(c.end).toBe("address-lost");
    expect(t.tcp.census.connections).toBe(0);
  });
});

describe("TIME-WAIT", () => {
  function waiting(stamps: boolean): Dialogue {
    const t = new Dialogue();
    const [c] = t.accepted({}, `win 60000 mss 1000${stamps ? " ts" : ""}`);
    c.shutdown();
    t.send();
    t.expect("F. 1 ack 1");
    t.push("F. 1 ack 2");
    t.expect(". 2 ack 2");
    expect(t.tcp.census.timeWait).toBe(1);
    return t;
  }

  test("a reset does not end it (RFC 1337)", () => {
    const t = waiting(false);
    t.push("R 2", "R. 2 ack 2");
    expect(t.tcp.census.timeWait).toBe(1);
    t.nothing();
  });

  test("FIN again: answered, and the time begins anew", () => {
    const t = waiting(false);
    t.advance(50_000);
    for (let i = 0; i < 100; i++) t.push("F. 1 ack 2");
    t.expect(". 2 ack 2");
    t.nothing();
    t.advance(59_000);
    expect(t.tcp.census.timeWait).toBe(1);
    t.advance(1000);
    expect(t.tcp.census.timeWait).toBe(0);
  });

  test("a SYN with a later number takes its place, and ours begins beyond the old one (RFC 9293 3.10.7.4)", () => {
    const t = waiting(false);
    const { iss } = t;
    t.push("S 3 win 60000");
    t.expect("S. 0 ack 4");
    expect((t.iss - iss) | 0).toBeGreaterThan(65_535);
    expect(t.tcp.census).toEqual({ connections: 0, halfOpen: 1, timeWait: 0 });
    expect(t.tcp.counters.snapshot().timeWaitReused).toBe(1);
  });

  test("an old SYN does not", () => {
    const t = waiting(false);
    t.push("S 1 win 60000");
    t.expect(". 2 ack 2");
    expect(t.tcp.census.timeWait).toBe(1);
  });

  test("with timestamps a later one decides, whatever the number (RFC 6191 2)", () => {
    const t = waiting(true);
    t.push(`S -5 win 60000 ts ${t.now - 1}`);
    expect(t.tcp.census.timeWait).toBe(1);
    t.take();
    t.push(`S -5 win 60000 ts ${t.now + 1}`);
    t.expect("S. 0 ack -4");
    expect(t.tcp.census.halfOpen).toBe(1);
  });

  test("a full table lets the oldest go", () => {
    const t = new Dialogue({ timeWait: 2 });
    const listener = t.listen();
    for (let i = 0; i < 4; i++) {
      t.peerPort = 6000 + i;
      t.push("S 0 win 60000");
      t.take();
      t.push(". 1 ack 1");
      listener.accept()?.shutdown();
      t.send();
      t.push("F. 1 ack 2");
      t.take();
    }
    expect(t.tcp.census.timeWait).toBe(2);
    expect(t.tcp.counters.snapshot().timeWaitEvicted).toBe(2);
  });
});
