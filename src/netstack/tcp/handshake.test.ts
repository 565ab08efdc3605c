/** How connections begin: RFC 9293 3.5 and 3.10.7.2 to 3.10.7.4, RFC 5961, RFC 6298 5, RFC 7323 2 and 3, RFC 3168 6.1.1. */
import { describe, expect, test } from "bun:test";
import { addr } from "../testing/bed.ts";
import { Dialogue, PEER } from "../testing/tcp-dialogue.ts";
import { CONNECTED, type Connection, ENDED } from "./connection.ts";

describe("we begin", () => {
  test("SYN offers MSS, window scale, SACK and timestamps; the answer is acknowledged (RFC 9293 3.5)", () => {
    const t = new Dialogue();
    const c = t.connect();
    expect(c.state).toBe("SYN-SENT");
    t.expect("S 0 win 65535 mss 1460 ws 7 sackok ts");
    t.push("S. 0 ack 1 win 1000 mss 1400 ws 3 sackok ts");
    t.expect(". 1 ack 1");
    t.nothing();
    expect(c.state).toBe("ESTABLISHED");
    expect(c.takeEvents() & CONNECTED).toBe(CONNECTED);
    expect(t.tcp.pollReady()).toBe(c);
    expect(t.tcp.pollReady()).toBeUndefined();
  });

  test("the command alone sends nothing, but wants to be called at once: whoever sleeps until then does not sleep", () => {
    const t = new Dialogue();
    const c = t.tcp.connect(t.now, { address: addr(PEER), port: 80 });
    t.nothing();
    expect(t.it.pollAt()).toBe(0);
    t.send();
    t.expect("S 0");
    expect(t.it.pollAt()).toBeGreaterThan(t.now);
    if (typeof c === "string") throw new Error(c);
    c.abort();
    expect(t.it.pollAt()).toBe(0);
  });

  test("what the peer does not offer is not used (RFC 7323 2.2, RFC 2018 2); without MSS segments have 536 bytes (RFC 9293 3.7.1)", () => {
    const t = new Dialogue();
    const c = t.connected({}, "win 3000");
    t.write(c, 1000);
    t.expect("P. 1:1001 ack 1 gso 536 win 65535");
    expect(c.hasTimestamps || c.hasSack || c.hasScale).toBe(false);
  });

  test("the peer's MSS bounds segments, and ours is what the link takes (RFC 6691: without the options)", () => {
    const t = new Dialogue({ mtu: 1000 });
    const c = t.connect();
    t.expect("S 0 mss 960");
    t.push("S. 0 ack 1 win 60000 mss 9000 sackok ts");
    t.expect(". 1 ack 1");
    t.write(c, 948);
    t.expect("P. 1:949 ack 1");
  });

  test("from the port that is asked for, which is in use as long as the connection is, and not in TIME-WAIT (RFC 6191)", () => {
    const t = new Dialogue();
    const begin = () => t.tcp.connect(t.now, { address: addr(PEER), port: t.peerPort }, {}, 1194);
    const again = (first?: string): Connection => {
      const c = begin();
      if (typeof c === "string") throw new Error(c);
      t.send();
      if (first !== undefined) t.expect(first);
      t.expect("S 0");
      t.push("S. 0 ack 1 win 60000 mss 1460 sackok ts");
      t.expect(". 1 ack 1");
      expect([t.localPort, c.localPort, c.state]).toEqual([1194, 1194, "ESTABLISHED"]);
      return c;
    };
    const first = again();
    expect(begin()).toBe("no-port");
    const [isn, stamp] = [t.iss, t.lastTsVal];
    t.advance(5);
    first.close();
    t.send();
    t.expect("F. 1 ack 1");
    t.push("F. 1 ack 2");
    t.expect(". 2 ack 2");
    expect(t.tcp.census.timeWait).toBe(1);
    t.advance(5);
    const second = again();
    // Nothing that is late of the first is of the second.
    expect([(t.iss - isn) | 0, (t.lastTsVal - stamp) | 0].every((ahead) => ahead > 2)).toBe(true);
    expect(t.tcp.census).toEqual({ connections: 1, halfOpen: 0, timeWait: 0 });
    second.abort();
    again("R. 1 ack 1");
  });

  test("SYN is sent again after 1, 3, 7, ... s (RFC 6298 2.1, 5.5) and given up after 127 s: timed out", () => {
    const t = new Dialogue();
    const c = t.connect();
    t.expect("S 0");
    expect([1, 2, 3, 4, 5, 6].map(() => t.after("S 0"))).toEqual([1000, 2000, 4000, 8000, 16000, 32000]);
    t.advance(63_999);
    expect(c.end).toBeUndefined();
    t.advance(1);
    expect(c.end).toBe("timed-out");
    expect(c.takeEvents() & ENDED).toBe(ENDED);
    expect(t.tcp.census.connections).toBe(0);
    t.nothing();
  });

  test("a shorter patience is kept (RFC 9293 3.9.1)", () => {
    const t = new Dialogue();
    const c = t.connect({ userTimeout: 2500 });
    t.advance(2499);
    expect(c.end).toBeUndefined();
    t.advance(1);
    expect(c.end).toBe("timed-out");
  });

  test("aborted before it was sent: nothing is sent", () => {
    const t = new Dialogue();
    const c = t.tcp.connect(t.now, { address: addr(PEER), port: 80 });
    if (typeof c === "string") throw new Error(c);
    c.abort();
    t.send();
    t.nothing();
    expect(c.end).toBe("aborted");
    expect(t.tcp.census.connections).toBe(0);
  });

  test("a reset that acknowledges the SYN: refused (RFC 9293 3.10.7.3)", () => {
    const t = new Dialogue();
    const c = t.connect();
    t.expect("S 0");
    t.push("R. 0 ack 1");
    expect(c.end).toBe("refused");
    t.nothing();
  });

  test("a reset that acknowledges nothing, or something else, is nothing", () => {
    const t = new Dialogue();
    const c = t.connect();
    t.expect("S 0");
    t.push("R 0", "R. 0 ack 2", "R. 0 ack 0");
    expect(c.state).toBe("SYN-SENT");
    t.nothing();
  });

  test("a peer that remembers an old connection is asked again as soon as that is reset, once (RFC 9293 3.5.1)", () => {
    const t = new Dialogue();
    const c = t.connect();
    t.expect("S 0");
    t.push(". 500 ack 7000");
    t.expect("R 7000");
    expect(t.after("S 0")).toBe(2);
    t.push(". 500 ack 7000");
    t.expect("R 7000");
    expect(t.after("S 0")).toBeGreaterThan(1000);
    t.push("S. 0 ack 1");
    expect(c.state).toBe("ESTABLISHED");
  });

  test("an acknowledgement of what was not sent is answered by a reset at that place (RFC 9293 3.10.7.3)", () => {
    const t = new Dialogue();
    const c = t.connect();
    t.expect("S 0");
    t.push(". 0 ack 5");
    t.expect("R 5");
    t.push("S. 0 ack 0");
    t.expect("R 0");
    t.nothing();
    expect(c.state).toBe("SYN-SENT");
  });

  test("both begin at once (RFC 9293 3.5 figure 8)", () => {
    const t = new Dialogue();
    const c = t.connect();
    t.expect("S 0");
    t.push("S 0 win 60000 mss 1460 ws 2 sackok ts");
    expect(c.state).toBe("SYN-RECEIVED");
    t.expect("S. 0 ack 1 ts");
    t.push("S. 0 ack 1 win 60000 mss 1460 ws 2 sackok ts");
    expect(c.state).toBe("ESTABLISHED");
    t.take();
    t.push("P. 1:11 ack 1");
    t.expect(". 1 ack 11");
    t.read(c, 10);
    t.write(c, 5);
    t.expect("P. 1:6 ack 11");
  });

  test("both at once, and the answer is lost: SYN-ACK is sent again, an ACK ends it", () => {
    const t = new Dialogue();
    const c = t.connect();
    t.expect("S 0");
    t.push("S 0 win 60000");
    t.expect("S. 0 ack 1");
    t.after("S. 0 ack 1", 2001);
    t.push(". 1 ack 1");
    expect(c.state).toBe("ESTABLISHED");
  });

  test("both at once, and a reset: refused (RFC 9293 3.10.7.4)", () => {
    const t = new Dialogue();
    const c = t.connect();
    t.push("S 0 win 60000");
    t.push("R 1");
    expect(c.end).toBe("refused");
  });

  test("what is written before the answer is sent behind it, FIN too", () => {
    const t = new Dialogue();
    const c = t.connect();
    t.expect("S 0");
    expect(t.write(c, 100)).toBe(100);
    c.shutdown();
    t.send();
    t.nothing();
    t.push("S. 0 ack 1 win 60000 mss 1460");
    t.expect("FP. 1:102 ack 1");
    t.nothing();
  });

  test("aborted before the answer: nothing is said, and the answer is refused", () => {
    const t = new Dialogue();
    const c = t.connect();
    t.expect("S 0");
    c.abort();
    t.send();
    expect(c.end).toBe("aborted");
    t.nothing();
    t.push("S. 0 ack 1");
    t.expect("R 1");
  });

  test("an answer with data is taken as a whole (RFC 9293 3.10.7.3)", () => {
    const t = new Dialogue();
    const c = t.connect();
    t.expect("S 0");
    t.push("S. 0:11 ack 1 win 60000 mss 1460");
    t.expect(". 1 ack 11");
    t.read(c, 10);
  });

  test("a port that nothing reaches is no reason to try another: two connections have two ports, none with a listener", () => {
    const t = new Dialogue();
    const ports = new Set([1, 2, 3, 4].map(() => t.connect().localPort));
    expect(ports.size).toBe(4);
  });

  test("no more connections than there is room for", () => {
    const t = new Dialogue({ connections: 2 });
    t.connect();
    t.connect();
    expect(() => t.connect()).toThrow("full");
  });
});

describe("the peer begins", () => {
  test("SYN, SYN-ACK, ACK; the connection is accepted (RFC 9293 3.10.7.2)", () => {
    const t = new Dialogue();
    const listener = t.listen();
    t.push("S 0 win 60000 mss 1460 ws 5 sackok ts");
    t.expect("S. 0 ack 1 win 65535 mss 1460 ws 7 sackok ts");
    expect(t.tcp.census).toEqual({ connections: 0, halfOpen: 1, timeWait: 0 });
    expect(listener.accept()).toBeUndefined();
    t.push(". 1 ack 1 win 100");
    const c = listener.accept();
    expect(c?.state).toBe("ESTABLISHED");
    expect(c?.wnd).toBe(100 << 5);
    expect(`${c?.remote.address}:${c?.remote.port}`).toBe("10.0.0.2:5000");
    expect(t.tcp.census).toEqual({ connections: 1, halfOpen: 0, timeWait: 0 });
    t.nothing();
  });

  test("only what was offered is answered", () => {
    const t = new Dialogue();
    t.listen();
    t.push("S 0 win 60000");
    const [synAck = ""] = t.take();
    expect(synAck).toMatch(/^S\. 0 ack 1 win 65535 mss 1460$/);
  });

  test("data with the last step is not lost, and neither is FIN", () => {
    const t = new Dialogue();
    const listener = t.listen();
    t.push("S 0 win 60000 mss 1460 ts");
    t.expect("S. 0 ack 1");
    t.push("FP. 1:12 ack 1");
    const c = listener.accept();
    if (c === undefined) throw new Error();
    t.expect(". 1 ack 12");
    expect(c.state).toBe("CLOSE-WAIT");
    t.read(c, 10);
    expect(c.isFinished).toBe(true);
  });

  test("SYN again: our answer again, the same one", () => {
    const t = new Dialogue();
    t.listen();
    t.push("S 0 win 60000 ts");
    t.expect("S. 0 ack 1");
    const { iss } = t;
    t.push("S 0 win 60000 ts");
    t.expect("S. 0 ack 1");
    expect(t.iss).toBe(iss);
    t.nothing();
  });

  test("SYN-ACK is sent again after 1, 3, 7, 15, 31 s, and forgotten after 63", () => {
    const t = new Dialogue();
    t.listen();
    t.push("S 0 win 60000");
    t.expect("S. 0 ack 1");
    expect([1, 2, 3, 4, 5].map(() => t.after("S. 0 ack 1"))).toEqual([1000, 2000, 4000, 8000, 16000]);
    t.advance(31_999);
    expect(t.tcp.census.halfOpen).toBe(1);
    t.advance(1);
    expect(t.tcp.census.halfOpen).toBe(0);
    t.nothing();
  });

  test("a reset at exactly the next number ends it, one beside that does not (RFC 5961 3.2)", () => {
    const t = new Dialogue();
    t.listen();
    t.push("S 0 win 60000", "R 2", "R 0");
    expect(t.tcp.census.halfOpen).toBe(1);
    t.push("R 1");
    expect(t.tcp.census.halfOpen).toBe(0);
  });

  test("an acknowledgement of something else is answered by a reset, and the handshake goes on (RFC 9293 3.10.7.4)", () => {
    const t = new Dialogue();
    const listener = t.listen();
    t.push("S 0 win 60000");
    t.expect("S. 0 ack 1");
    t.push(". 1 ack 7");
    t.expect("R 7");
    t.push(". 1 ack 1");
    expect(listener.accept()?.state).toBe("ESTABLISHED");
  });

  test("another SYN is answered by what we know (RFC 5961 4.2), and so is data outside of the window", () => {
    const t = new Dialogue();
    const listener = t.listen();
    t.push("S 0 win 60000");
    t.expect("S. 0 ack 1");
    for (let seq = 1000; seq < 1100; seq++) t.push(`S ${seq} win 60000`);
    t.expect(". 1 ack 1");
    t.nothing();
    t.advance(500);
    t.push(". 100000:100010 ack 1");
    t.expect(". 1 ack 1");
    t.nothing();
    expect(listener.waiting).toBe(0);
  });

  test("what is no SYN to a listener is refused: ACK by a reset, FIN and a reset by silence (RFC 9293 3.10.7.2)", () => {
    const t = new Dialogue();
    t.listen();
    t.push(". 5 ack 9");
    t.expect("R 9");
    t.push("F 5", "R 5", "SF 5");
    t.nothing();
  });

  test("a full accept queue takes no more, and the handshake goes on when there is room", () => {
    const t = new Dialogue();
    const listener = t.listen({ backlog: 1 });
    t.push("S 0 win 60000");
    t.expect("S. 0 ack 1");
    const first = t.iss;
    t.peerPort = 5001;
    t.push("S 0 win 60000");
    t.expect("S. 0 ack 1");
    t.push(". 1 ack 1");
    expect(listener.waiting).toBe(1);
    t.peerPort = 5000;
    t.iss = first;
    t.push(". 1 ack 1");
    expect(listener.waiting).toBe(1);
    expect(t.tcp.census).toEqual({ connections: 1, halfOpen: 1, timeWait: 0 });
    t.peerPort = 5002;
    t.push("S 0 win 60000");
    t.nothing();
    listener.accept();
    t.push("S 0 win 60000");
    t.expect("S. 0 ack 1");
  });

  test("who stops listening breaks off what waits", () => {
    const t = new Dialogue();
    const listener = t.listen();
    t.push("S 0 win 60000");
    t.push(". 1 ack 1");
    t.take();
    t.tcp.unlisten(listener);
    t.send();
    t.expect("R. 1 ack 1");
    t.peerPort = 5001;
    t.push("S 0");
    t.expect("R. 0 ack 1");
    expect(t.tcp.listen(80)).toBeDefined();
  });

  test("a wrong checksum is nobody's segment", () => {
    const t = new Dialogue();
    t.listen();
    const frame = t.frameOf("S 0 win 60000");
    frame[14 + 20 + 14]! ^= 1;
    t.it.ingest(t.now, t.bed.receive(frame));
    expect(t.it.drops.snapshot().TcpBadChecksum).toBe(1);
    expect(t.tcp.census.halfOpen).toBe(0);
  });
});

describe("numbers that others cannot guess", () => {
  test("initial sequence numbers of two tuples have nothing in common, those of one go up by 250 a ms (RFC 6528 3, RFC 9293 3.4.1)", () => {
    const t = new Dialogue();
    t.listen();
    const issOf = (port: number): number => {
      t.peerPort = port;
      t.push("S 0 win 60000");
      t.take();
      t.push("R 1");
      return t.iss;
    };
    const first = issOf(5000);
    const other = issOf(5001);
    expect(Math.abs((other - first) | 0)).toBeGreaterThan(100_000);
    t.now += 1000;
    expect((issOf(5000) - first) | 0).toBe(250_000);
  });

  test("each tuple has a clock of its own (RFC 7323 5.4)", () => {
    const t = new Dialogue();
    t.listen();
    const stampOf = (port: number): number => {
      t.peerPort = port;
      t.push("S 0 win 60000 ts");
      t.take();
      return t.lastTsVal;
    };
    expect(Math.abs((stampOf(5000) - stampOf(5001)) | 0)).toBeGreaterThan(100_000);
  });
});

describe("ECN (RFC 3168 6.1.1)", () => {
  test("a peer that asks is answered; we ask only where we are told to", () => {
    const t = new Dialogue();
    const listener = t.listen();
    t.push("SEW 0 win 60000 mss 1460");
    t.expect("S.E 0 ack 1");
    t.push(". 1 ack 1");
    expect(listener.accept()?.hasEcn).toBe(true);
    t.peerPort = 5001;
    t.connect();
    t.expect("S 0");
  });

  test("asked for in the SYN, agreed by ECE alone; a SYN that is sent again does not ask", () => {
    for (const [answer, agreed] of [
      ["S.E 0 ack 1", true],
      ["S.EW 0 ack 1", false],
      ["S. 0 ack 1", false],
    ] as const) {
      const t = new Dialogue();
      const c = t.connect({ ecn: true });
      t.expect("SEW 0");
      t.push(answer);
      expect(c.hasEcn).toBe(agreed);
    }
    const t = new Dialogue();
    t.connect({ ecn: true });
    t.expect("SEW 0");
    t.after("S 0");
  });
});
