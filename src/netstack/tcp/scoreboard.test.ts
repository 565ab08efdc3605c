import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { seededRandom } from "../../lib/random.ts";
import { Scoreboard } from "./scoreboard.ts";

const MSS = 10;
const NONE = new Int32Array(8);
const boardAt = (seq: number, mss = MSS): Scoreboard => {
  const board = new Scoreboard();
  board.reset(seq, mss);
  return board;
};
/** An ACK with SACK blocks, without timestamps, and RACK's look at it. */
const ack = (
  board: Scoreboard,
  now: number,
  una: number,
  blocks: number[][] = [],
  inRecovery = false,
  minRtt = 40,
): void => {
  board.acknowledge(now, una, Int32Array.from([...blocks.flat(), ...NONE]), blocks.length, -1);
  board.detect(now, 50, minRtt, inRecovery);
};
const lost = (board: Scoreboard): number[] | undefined =>
  board.findLost() ? [board.nextLost, board.nextLostEnd] : undefined;

describe("what an ACK tells", () => {
  test("bytes acknowledged or SACKed count once as delivered, and leave the pipe (RFC 6937 2, RFC 6675 4)", () => {
    const board = boardAt(0);
    board.sent(0, 50);
    board.sent(1, 100);
    expect([board.pipe, board.sacked]).toEqual([100, 0]);
    ack(board, 60, 10, [[40, 60]]);
    expect([board.delivered, board.pipe, board.sacked]).toEqual([30, 70, 20]);
    ack(board, 61, 10, [[40, 60]]);
    expect([board.delivered, board.pipe]).toEqual([0, 70]);
    ack(board, 62, 100);
    expect([board.delivered, board.pipe, board.sacked, board.isEmpty]).toEqual([70, 0, 0, true]);
  });

  test("the round trip of what was sent once: the oldest for the RTO, the newest for the least (RFC 6298 3)", () => {
    const board = boardAt(0);
    board.sent(0, 10);
    board.sent(30, 20);
    ack(board, 100, 20);
    expect([board.rtt, board.rttLatest]).toEqual([100, 70]);
    board.sent(100, 30);
    board.resent(150, 20, 30);
    ack(board, 200, 30);
    expect(Math.max(board.rtt, board.rttLatest)).toBeLessThan(0);
  });

  test("what is acknowledged with a hole that was mended says nothing of the round trip", () => {
    const board = boardAt(0);
    board.sent(0, 30);
    board.resent(100, 0, 10);
    ack(board, 140, 30);
    expect(Math.max(board.rtt, board.rttLatest)).toBeLessThan(0);
    const fresh = boardAt(0);
    fresh.sent(0, 30);
    fresh.resent(100, 0, 10);
    fresh.acknowledge(140, 30, NONE, 0, 100);
    expect(fresh.resentArrived).toBe(true);
    const old = boardAt(0);
    old.sent(0, 30);
    old.resent(100, 0, 10);
    old.acknowledge(140, 30, NONE, 0, 0);
    expect(old.resentArrived).toBe(false);
  });

  test("a block below the acknowledgement, or within the second one, is a duplicate (RFC 2883 4)", () => {
    const board = boardAt(0);
    board.sent(0, 100);
    ack(board, 50, 30, [[10, 20]]);
    expect([board.hasDuplicate, board.duplicateLeft, board.duplicateRight]).toEqual([true, 10, 20]);
    ack(board, 50, 30, [
      [50, 60],
      [40, 70],
    ]);
    expect([board.hasDuplicate, board.sacked]).toEqual([true, 30]);
    ack(board, 50, 30, [
      [40, 70],
      [50, 60],
    ]);
    expect(board.hasDuplicate).toBe(false);
  });

  test("blocks of what was never sent, empty and reversed ones are nothing", () => {
    const board = boardAt(0);
    board.sent(0, 100);
    for (const block of [
      [90, 101],
      [50, 50],
      [60, 50],
      [-5, 10],
      [2 ** 31 - 1, -(2 ** 31)],
    ])
      ack(board, 10, 0, [block]);
    expect([board.sacked, board.pipe, board.delivered]).toEqual([0, 100, 0]);
  });
});

describe("RACK (RFC 8985)", () => {
  test("three segments behind a hole prove it lost at once, without reordering (6.2 step 4)", () => {
    const board = boardAt(0);
    for (let i = 0; i < 5; i++) board.sent(i, 10 * (i + 1));
    ack(board, 50, 0, [[10, 20]]);
    expect([board.newlyLost, board.reoTimeoutAt]).toEqual([0, 49 + 10]);
    ack(board, 51, 0, [[10, 30]]);
    expect(board.newlyLost).toBe(0);
    ack(board, 52, 0, [[10, 40]]);
    expect([board.newlyLost, board.lost, board.pipe, lost(board)]).toEqual([10, 10, 10, [0, 10]]);
  });

  test("a hole behind which little has arrived is lost a quarter of the least RTT later (6.2 step 5)", () => {
    const board = boardAt(0);
    board.sent(0, 10);
    board.sent(0, 20);
    ack(board, 50, 0, [[10, 20]]);
    expect(board.reoTimeoutAt).toBe(60);
    board.detect(59, 50, 40, false);
    expect(board.newlyLost).toBe(0);
    board.detect(60, 50, 40, false);
    expect([board.newlyLost, board.reoTimeoutAt]).toEqual([10, Number.POSITIVE_INFINITY]);
  });

  test("what was sent after what has arrived is not lost, also at the same time", () => {
    const board = boardAt(0);
    board.sent(0, 100);
    ack(board, 50, 0, [[30, 70]], true);
    expect([board.newlyLost, lost(board)]).toEqual([30, [0, 30]]);
  });

  test("a hole that fills by itself is reordering, and from then on there is patience (6.2 step 3)", () => {
    const board = boardAt(0);
    for (let i = 0; i < 6; i++) board.sent(i, 10 * (i + 1));
    ack(board, 50, 0, [[10, 20]]);
    ack(board, 51, 20);
    expect(board.reorderingSeen).toBe(true);
    ack(board, 54, 20, [[30, 60]], true);
    expect(board.newlyLost).toBe(0);
    expect(board.reoTimeoutAt).toBeCloseTo(2 + 49 + 10);
  });

  test("an ACK that was lost before is no reordering", () => {
    const board = boardAt(0);
    for (let i = 0; i < 6; i++) board.sent(i, 10 * (i + 1));
    ack(board, 50, 20, [
      [50, 60],
      [30, 40],
    ]);
    expect(board.reorderingSeen).toBe(false);
  });

  test("a duplicate widens the window by a quarter of SRTT, once in a round trip, for 16 recoveries (6.2 step 4)", () => {
    const reoOf = (board: Scoreboard, now: number): number => {
      board.sent(now, 1010);
      board.sent(now, 1020);
      ack(board, now + 50, 1000, [[1010, 1020]]);
      return board.reoTimeoutAt - now - 50;
    };
    const seen = (recoveries: number, resends = 1): number => {
      const board = boardAt(0);
      board.sent(0, 1000);
      for (let i = 0; i < resends; i++) board.resent(10, 0, 10);
      ack(board, 50, 500, [[0, 10]]);
      ack(board, 51, 500, [[20, 30]]);
      ack(board, 52, 1000);
      for (let i = 0; i < recoveries; i++) board.recovered();
      return reoOf(board, 100);
    };
    expect([seen(0), seen(15), seen(16)]).toEqual([22.5, 22.5, 10]);
    // The network has repeated it.
    expect(seen(0, 0)).toBe(10);
  });

  test("a retransmission is lost too when something that was sent after it arrives", () => {
    const board = boardAt(0);
    board.sent(0, 50);
    ack(board, 50, 0, [[10, 50]], true);
    expect(lost(board)).toEqual([0, 10]);
    board.resent(51, 0, 10);
    expect([board.lost, board.pipe, lost(board)]).toEqual([0, 10, undefined]);
    board.sent(52, 60);
    ack(board, 102, 0, [[10, 60]], true);
    expect(lost(board)).toEqual([0, 10]);
  });

  test("the ACK of a first copy says nothing about the second (6.2 step 2)", () => {
    const board = boardAt(0);
    board.sent(0, 10);
    board.sent(1, 20);
    board.resent(100, 0, 10);
    board.acknowledge(110, 10, NONE, 0, 0);
    board.detect(110, 50, 40, true);
    expect(board.newlyLost).toBe(0);
    const other = boardAt(0);
    other.sent(0, 10);
    other.sent(1, 20);
    other.resent(100, 0, 10);
    other.acknowledge(150, 10, NONE, 0, 100);
    other.detect(150, 50, 40, true);
    expect(other.newlyLost).toBe(10);
  });
});

test("a timeout takes the first segment for lost, and of the others what RACK's time is over for (RFC 8985 6.3)", () => {
  const board = boardAt(0);
  board.sent(0, 100);
  ack(board, 50, 10);
  board.sent(290, 120);
  board.timeOut(300);
  expect([board.newlyLost, board.pipe, lost(board)]).toEqual([90, 20, [10, 100]]);
  const young = boardAt(0);
  young.sent(0, 10);
  ack(young, 50, 10);
  young.sent(100, 60);
  young.timeOut(120);
  expect([young.newlyLost, lost(young)]).toEqual([10, [10, 20]]);
});

test("a peer that takes back what it SACKed gets all of it again after a timeout (RFC 2018 8)", () => {
  const board = boardAt(0);
  board.sent(0, 100);
  ack(board, 50, 0, [[20, 60]]);
  ack(board, 51, 20);
  expect(board.hasReneged).toBe(true);
  board.timeOut(300);
  expect([board.sacked, board.pipe, lost(board)]).toEqual([0, 0, [20, 100]]);
});

test("without SACK each duplicate ACK takes a segment from the pipe until the next that acknowledges (RFC 5681 3.2)", () => {
  const board = boardAt(0);
  board.sent(0, 100);
  ack(board, 50, 0);
  board.guess();
  expect([board.delivered, board.pipe]).toEqual([10, 90]);
  ack(board, 50, 0);
  board.guess();
  board.loseFirst();
  expect([board.pipe, lost(board)]).toEqual([70, [0, 10]]);
  board.resent(51, 0, 10);
  board.acknowledge(100, 60, NONE, 0, -1);
  expect(board.pipe).toBe(40);
});

test("a peer that SACKs every second byte gets no more rows than there are, and everything is sent again in the end", () => {
  const board = boardAt(0, 1);
  board.sent(0, 10_000);
  for (let i = 1; i < 10_000; i += 2) ack(board, 50, 0, [[i, i + 1]], true);
  expect(board.sacked).toBeLessThan(1000);
  board.timeOut(400);
  let sent = 0;
  for (let now = 400; board.findLost(); now++) {
    const len = Math.min(board.nextLostEnd - board.nextLost, 7);
    board.resent(now, board.nextLost, board.nextLost + len);
    if (++sent > 20_000) throw new Error("it does not end");
  }
  for (let seq = 10_000; seq < 12_000; seq++) board.sent(1000 + 10 * seq, seq + 1);
  expect(board.lost).toBe(0);
  expect(board.pipe + board.sacked).toBe(12_000);
  ack(board, 1e6, 12_000);
  expect([board.isEmpty, board.pipe, board.sacked]).toEqual([true, 0, 0]);
});

/** One record a byte, and RFC 8985 word for word. */
class BytesModel {
  readonly base: number;
  una = 0;
  bytes: { sentAt: number; sacked: boolean; lost: boolean; resent: boolean }[] = [];
  xmitAt = Number.NEGATIVE_INFINITY;
  endSeq = 0;
  rtt = 0;
  fack = 0;
  reordering = false;
  delivered = 0;
  constructor(base: number) {
    this.base = base;
  }
  sent(now: number, n: number): void {
    for (let i = 0; i < n; i++) this.bytes.push({ sentAt: now, sacked: false, lost: false, resent: false });
  }
  resent(now: number, start: number, end: number): void {
    for (let i = start; i < end; i++) {
      const byte = this.bytes[i]!;
      if (!byte.sacked) Object.assign(byte, { sentAt: now, lost: false, resent: true });
    }
  }
  ack(now: number, una: number, blocks: number[][], minRtt: number): void {
    this.delivered = 0;
    const fackBefore = this.fack;
    const deliver = (i: number): void => {
      const { sentAt, resent, sacked } = this.bytes[i]!;
      if (sacked) return;
      this.delivered++;
      this.fack = Math.max(this.fack, i + 1);
      const rtt = now - sentAt;
      if (resent && rtt < minRtt) return;
      if (!resent && i + 1 < fackBefore) this.reordering = true;
      if (sentAt > this.xmitAt || (sentAt === this.xmitAt && i + 1 > this.endSeq)) {
        this.xmitAt = sentAt;
        this.endSeq = i + 1;
        this.rtt = rtt;
      }
    };
    for (; this.una < una; this.una++) deliver(this.una);
    for (const [left, right] of blocks as [number, number][])
      for (let i = left; i < right; i++) {
        deliver(i);
        Object.assign(this.bytes[i]!, { sacked: true, lost: false });
      }
  }
  detect(now: number, srtt: number, minRtt: number, inRecovery: boolean): void {
    const sacked = this.live().filter(([, byte]) => byte.sacked).length;
    const reo = !this.reordering && (inRecovery || sacked >= 3 * MSS) ? 0 : Math.min(minRtt / 4, srtt);
    for (const [i, byte] of this.live())
      if (
        !byte.sacked &&
        !byte.lost &&
        (this.xmitAt > byte.sentAt || (this.xmitAt === byte.sentAt && this.endSeq > i + 1))
      )
        if (byte.sentAt + this.rtt + reo <= now) byte.lost = true;
  }
  live(): [number, BytesModel["bytes"][number]][] {
    return this.bytes.map((byte, i): [number, BytesModel["bytes"][number]] => [i, byte]).slice(this.una);
  }
}

test("it knows what a record for each byte knows, and RACK finds the same losses", () => {
  const word = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
  fc.assert(
    fc.property(word, fc.nat(2 ** 30), fc.boolean(), (base, seed, waits) => {
      const random = seededRandom(seed);
      const word = new Uint8Array(2);
      const below = (n: number): number => {
        random.fill(word);
        return ((word[0]! << 8) | word[1]!) % n;
      };
      const minRtt = waits ? 1e-6 : 0; // no grain to speak of: every time has rows of its own
      const board = boardAt(base);
      const model = new BytesModel(base);
      const seq = (i: number): number => (base + i) | 0;
      let now = 0;
      for (let turn = 0; turn < 60; turn++) {
        now += below(3) * 7;
        const kind = below(5);
        if (kind === 0) {
          const n = 1 + below(40);
          model.sent(now, n);
          board.sent(now, seq(model.bytes.length));
        } else if (kind === 1) {
          if (board.findLost()) {
            const start = (board.nextLost - base) | 0;
            const end = start + Math.min(1 + below(15), (board.nextLostEnd - board.nextLost) | 0);
            model.resent(now, start, end);
            board.resent(now, seq(start), seq(end));
          }
        } else {
          const { length } = model.bytes;
          const una = below(4) === 0 ? Math.min(length, model.una + below(30)) : model.una;
          const blocks: number[][] = [];
          for (let i = below(4); i > 0; i--) {
            const left = una + below(Math.max(1, length - una));
            const right = Math.min(length, left + 1 + below(25));
            // Not one that would be a duplicate.
            if (left >= una && left < right && blocks.length === 0) blocks.push([left, right]);
            else if (left >= una && left < right && (blocks[0]![0]! < left || blocks[0]![1]! > right))
              blocks.push([left, right]);
          }
          const sack = Int32Array.from([...blocks.flat().map(seq), ...NONE]);
          const inRecovery = below(2) === 0;
          model.ack(now, una, blocks, minRtt);
          model.detect(now, 1000, minRtt, inRecovery);
          board.acknowledge(now, seq(una), sack, blocks.length, -1);
          board.detect(now, 1000, minRtt, inRecovery);
          expect(board.delivered).toBe(model.delivered);
          expect(board.reorderingSeen).toBe(model.reordering);
        }
        const live = model.live();
        expect(board.sacked).toBe(live.filter(([, byte]) => byte.sacked).length);
        expect(board.lost).toBe(live.filter(([, byte]) => byte.lost).length);
        expect(board.pipe).toBe(live.filter(([, byte]) => !byte.sacked && !byte.lost).length);
        const first = live.find(([, byte]) => byte.lost)?.[0];
        const until =
          first === undefined
            ? undefined
            : (live.find(([i, byte]) => i > first && !byte.lost)?.[0] ?? model.bytes.length);
        expect(lost(board)?.map((x) => (x - base) | 0)).toEqual(first === undefined ? undefined : [first, until!]);
      }
    }),
    { numRuns: 200 },
  );
});
