import { describe, expect, test } from "bun:test";
import { Congestion } from "./congestion.ts";

const MSS = 1000;

/** A sender that always has data, on a path of `rtt` ms: what is sent comes back as one ACK a segment, a round trip later. */
class Path {
  readonly cc = new Congestion();
  now = 1000;
  una = 0;
  nxt = 0;

  constructor(mss = MSS) {
    this.cc.reset(mss, 0);
  }

  get pipe(): number {
    return this.nxt - this.una;
  }

  /** @param limit what the application has under way at most */
  send(limit = Number.POSITIVE_INFINITY): void {
    const n = Math.max(0, Math.min(this.cc.room(this.pipe), limit - this.pipe));
    const whole = n - (n % MSS);
    this.nxt += whole;
    if (whole > 0) this.cc.onSent(this.now, whole, this.pipe);
  }

  ack(rtt: number, bytes = MSS): void {
    this.una += bytes;
    this.cc.onAck(this.now, bytes, rtt, rtt, this.una, this.nxt, this.pipe, true);
  }

  /** One round trip; the ACKs come evenly, and each lets data out. */
  roundTrip(rtt: number, limit = Number.POSITIVE_INFINITY): void {
    this.send(limit);
    const segments = this.pipe / MSS;
    for (let i = 0; i < segments; i++) {
      this.now += rtt / segments;
      this.ack(rtt);
      this.send(limit);
    }
  }

  /** One segment is lost and repaired within a round trip. */
  lose(): void {
    this.send();
    expect(this.cc.onLoss(this.una, this.nxt, this.pipe - MSS)).toBe(true);
    const end = this.nxt;
    this.cc.onSent(this.now, MSS, this.pipe);
    while (this.una < end) this.ack(-1);
  }
}

describe("the initial window (RFC 6928)", () => {
  test("is ten segments, however large they are, and one after two lost SYNs", () => {
    const of = (mss: number, lostSyns = 0): number => {
      const cc = new Congestion();
      cc.reset(mss, lostSyns);
      return cc.cwnd;
    };
    expect([of(536), of(1460), of(8960), of(1460, 1), of(1460, 2)]).toEqual([5360, 14_600, 89_600, 14_600, 1460]);
  });
});

describe("slow start", () => {
  test("doubles the window in a round trip (RFC 5681 3.1)", () => {
    const path = new Path();
    const seen = [];
    for (let i = 0; i < 5; i++) {
      path.roundTrip(100);
      seen.push(path.cc.cwnd);
    }
    expect(seen[0]).toBeGreaterThanOrEqual(20_000);
    for (let i = 1; i < 5; i++) expect(seen[i]! / seen[i - 1]!).toBeGreaterThanOrEqual(2);
  });

  test("does not grow a window that is not used (RFC 9438 5.8)", () => {
    const path = new Path();
    for (let i = 0; i < 20; i++) path.roundTrip(100, 4 * MSS);
    expect(path.cc.cwnd).toBeLessThanOrEqual(20_000);
  });

  test("a round trip that grows by an eighth slows it to a quarter, and five such rounds end it (RFC 9406 4.2)", () => {
    const path = new Path();
    path.roundTrip(100);
    path.roundTrip(100);
    let before = path.cc.cwnd;
    path.roundTrip(120);
    path.roundTrip(120);
    expect(path.cc.ssthresh).toBe(Number.POSITIVE_INFINITY);
    before = path.cc.cwnd;
    path.roundTrip(120);
    expect(path.cc.cwnd / before).toBeLessThan(1.35);
    expect(path.cc.cwnd / before).toBeGreaterThan(1.15);
    for (let i = 0; i < 5; i++) path.roundTrip(120);
    expect(path.cc.ssthresh).toBeLessThanOrEqual(path.cc.cwnd);
  });

  test("one slow segment, or less than 4 ms, is no reason; and a round trip that shrinks again lets it go on (RFC 9406 4.2)", () => {
    const path = new Path();
    path.roundTrip(100);
    path.send();
    path.ack(300);
    for (let i = 0; i < 12; i++) path.ack(103);
    path.roundTrip(103);
    let before = path.cc.cwnd;
    path.roundTrip(103);
    expect(path.cc.cwnd / before).toBeGreaterThan(1.9);
    path.roundTrip(130);
    path.roundTrip(130);
    path.roundTrip(100);
    before = path.cc.cwnd;
    path.roundTrip(100);
    expect(path.cc.cwnd / before).toBeGreaterThan(1.9);
    expect(path.cc.ssthresh).toBe(Number.POSITIVE_INFINITY);
  });
});

describe("CUBIC (RFC 9438)", () => {
  /** A path whose window was `segments` when a segment was lost. */
  const after = (segments: number): Path => {
    const path = new Path();
    while (path.cc.cwnd < segments * MSS) path.roundTrip(100);
    path.cc.cwnd = segments * MSS;
    path.una = path.nxt;
    path.lose();
    return path;
  };

  test("a loss takes 0.3 of the window (4.6)", () => {
    const path = after(100);
    expect([path.cc.cwnd, path.cc.ssthresh, path.cc.inRecovery]).toEqual([70_000, 70_000, false]);
  });

  test("then it goes along C (t - K)^3 + W_max: flat at the old window after K s, steeper behind (4.2)", () => {
    const path = after(1000);
    const k = Math.cbrt(300 / 0.4);
    const start = path.now;
    let worst = 0;
    while ((path.now - start) / 1000 < 2 * k) {
      path.roundTrip(100);
      const t = (path.now - start) / 1000;
      const curve = (0.4 * (t - k) ** 3 + 1000) * MSS;
      worst = Math.max(worst, Math.abs(path.cc.cwnd / curve - 1));
    }
    expect(worst).toBeLessThan(0.02);
    expect(path.cc.cwnd).toBeGreaterThan(1250 * MSS);
  });

  test("where that is slower than Reno it grows as Reno does (4.3)", () => {
    const path = after(20);
    const rounds = 20;
    const before = path.cc.cwnd;
    for (let i = 0; i < rounds; i++) path.roundTrip(10);
    // 0.53 segments a round trip up to the old window, one behind it
    const reno = before + 6 * MSS + (rounds - 6 / 0.53) * MSS;
    expect(Math.abs(path.cc.cwnd - reno)).toBeLessThan(2 * MSS);
  });

  test("who loses below the old window makes room for others: the next plateau is lower (4.7)", () => {
    const plateau = (path: Path): number => {
      for (let i = 0; i < 400; i++) {
        const before = path.cc.cwnd;
        path.roundTrip(100);
        if (path.cc.cwnd - before < 0.2 * MSS) return path.cc.cwnd;
      }
      return 0;
    };
    expect(plateau(after(1000)) / MSS).toBeGreaterThan(985);
    const twice = after(1000);
    twice.lose();
    expect(twice.cc.cwnd).toBeCloseTo(490 * MSS, -3);
    expect(plateau(twice) / MSS).toBeGreaterThan(580);
    expect(plateau(twice) / MSS).toBeLessThan(620);
  });

  test("time without anything to send does not count (5.8)", () => {
    const path = after(1000);
    path.roundTrip(100);
    const before = path.cc.cwnd;
    path.una = path.nxt;
    path.now += 60_000;
    path.roundTrip(100);
    expect(path.cc.cwnd / before).toBeLessThan(1.1);
  });

  test("a window that the application does not use does not grow (5.8)", () => {
    const path = after(100);
    path.una = path.nxt;
    for (let i = 0; i < 100; i++) path.roundTrip(100, 10 * MSS);
    expect(path.cc.cwnd).toBeLessThan(73 * MSS);
  });
});

describe("recovery", () => {
  test("a window of losses is one decrease, and the next comes when all of it is acknowledged (RFC 9438 4.6)", () => {
    const cc = new Congestion();
    cc.reset(MSS, 0);
    cc.cwnd = 100 * MSS;
    expect(cc.onLoss(0, 100 * MSS, 99 * MSS)).toBe(true);
    expect(cc.onLoss(0, 100 * MSS, 80 * MSS)).toBe(false);
    cc.onAck(0, MSS, -1, 100, 99 * MSS, 150 * MSS, 50 * MSS, true);
    expect(cc.inRecovery).toBe(true);
    cc.onAck(0, MSS, -1, 100, 100 * MSS, 150 * MSS, 50 * MSS, true);
    expect([cc.inRecovery, cc.ssthresh]).toEqual([false, 70_000]);
    expect(cc.onLoss(100 * MSS, 150 * MSS, 49 * MSS)).toBe(true);
    expect(cc.ssthresh).toBeCloseTo(49_000, -2);
  });

  test("what is sent is spread over the round trip: 7 for 10 that arrive (RFC 6937 3.1)", () => {
    const cc = new Congestion();
    cc.reset(MSS, 0);
    cc.cwnd = 100 * MSS;
    let pipe = 96 * MSS;
    cc.onLoss(0, 100 * MSS, pipe);
    let sent = 0;
    const seen: number[] = [];
    for (let i = 0; i < 90; i++) {
      pipe -= MSS;
      cc.onAck(0, MSS, -1, 100, 0, 100 * MSS, pipe, false);
      while (cc.room(pipe) >= MSS) {
        pipe += MSS;
        sent += MSS;
        cc.onSent(0, MSS, pipe);
      }
      seen.push(sent / (i + 1) / MSS);
    }
    expect(Math.abs(seen[9]! - 0.7)).toBeLessThan(0.11);
    expect(Math.abs(seen[49]! - 0.7)).toBeLessThan(0.03);
    expect(pipe / MSS).toBeGreaterThan(65);
    expect(pipe / MSS).toBeLessThanOrEqual(75);
  });

  test("a pipe that many losses emptied fills one for one where more is lost, and by one more where not (RFC 6937 3.1)", () => {
    const cc = new Congestion();
    cc.reset(MSS, 0);
    cc.cwnd = 100 * MSS;
    cc.onLoss(0, 100 * MSS, 20 * MSS);
    cc.onSent(0, MSS, 21 * MSS);
    cc.onAck(0, 2 * MSS, -1, 100, 0, 100 * MSS, 19 * MSS, false);
    expect(cc.room(19 * MSS)).toBe(2 * MSS);
    cc.onSent(0, 2 * MSS, 21 * MSS);
    cc.onAck(0, 2 * MSS, -1, 100, 1000, 100 * MSS, 19 * MSS, true);
    expect(cc.room(19 * MSS)).toBe(3 * MSS);
  });

  test("the first segment goes at once", () => {
    const cc = new Congestion();
    cc.reset(MSS, 0);
    cc.onLoss(0, 10 * MSS, 9 * MSS);
    expect(cc.room(9 * MSS)).toBe(MSS);
  });

  test("a timeout leaves one segment, and slow start goes to 0.7 of the old window (RFC 5681 3.1, RFC 9438 4.8)", () => {
    const path = new Path();
    path.cc.cwnd = 100 * MSS;
    path.nxt = 100 * MSS;
    path.cc.onTimeout(path.nxt);
    expect([path.cc.cwnd, path.cc.ssthresh]).toEqual([MSS, 70_000]);
    path.cc.onTimeout(path.nxt);
    expect([path.cc.cwnd, path.cc.ssthresh]).toEqual([MSS, 70_000]);
    path.una = path.nxt;
    path.roundTrip(100);
    expect([path.cc.inRecovery, path.cc.cwnd]).toEqual([false, 2 * MSS]);
    for (let i = 0; i < 6; i++) path.roundTrip(100);
    expect(path.cc.cwnd).toBeGreaterThanOrEqual(70_000);
    expect(path.cc.cwnd).toBeLessThan(75_000);
  });

  test("a loss that was none is taken back, once (RFC 9438 4.9)", () => {
    const cc = new Congestion();
    cc.reset(MSS, 0);
    cc.cwnd = 100 * MSS;
    cc.onLoss(0, 100 * MSS, 50 * MSS);
    cc.undo();
    expect([cc.cwnd, cc.ssthresh, cc.inRecovery]).toEqual([100 * MSS, Number.POSITIVE_INFINITY, false]);
    cc.onTimeout(100 * MSS);
    cc.undo();
    expect(cc.cwnd).toBe(100 * MSS);
    cc.cwnd = 50 * MSS;
    cc.undo();
    expect(cc.cwnd).toBe(50 * MSS);
  });
});

test("each RTO without sending halves the window, down to the initial one (RFC 5681 4.1)", () => {
  const path = new Path();
  path.cc.cwnd = 200 * MSS;
  path.send();
  path.una = path.nxt;
  path.cc.onIdle(path.now + 300, 300);
  expect(path.cc.cwnd).toBe(200 * MSS);
  path.cc.onIdle(path.now + 700, 300);
  expect([path.cc.cwnd, path.cc.ssthresh]).toEqual([50 * MSS, Number.POSITIVE_INFINITY]);
  path.cc.onIdle(path.now + 1e6, 300);
  expect(path.cc.cwnd).toBe(10 * MSS);
});
