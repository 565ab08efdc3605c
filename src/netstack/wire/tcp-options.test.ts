import { expect, test } from "bun:test";
import fc from "fast-check";
import { GuardedView } from "../testing/guarded.ts";
import { TCP_HEADER_LEN } from "./tcp.ts";
import {
  TcpOptions,
  tcpMssAt,
  tcpOptionsRead,
  tcpSackRoom,
  tcpSegmentOptionsEmit,
  tcpSegmentOptionsLen,
  tcpSynOptionsEmit,
} from "./tcp-options.ts";

const AT = 64;
const OPTIONS = AT + TCP_HEADER_LEN;
const memory = (): Uint8Array<ArrayBuffer> => new Uint8Array(256).fill(0xa5);
const hex = (text: string): number[] => text.split(" ").map((byte) => Number.parseInt(byte, 16));

/** The options that `bytes` say, read within exactly them. */
function read(bytes: readonly number[], isSyn = true): TcpOptions {
  const all = memory();
  all.set(bytes, OPTIONS);
  const out = new TcpOptions();
  // As if another segment had been read before.
  out.mss = 7;
  out.windowScale = 7;
  out.sackPermitted = true;
  out.hasTimestamps = true;
  out.sackCount = 4;
  const headerLen = TCP_HEADER_LEN + bytes.length;
  tcpOptionsRead(new GuardedView(all, AT, AT + headerLen), AT, headerLen, isSyn, out);
  return out;
}
const none = { mss: 0, windowScale: -1, sackPermitted: false, hasTimestamps: false, sackCount: 0 };

test("a SYN of Linux is read", () => {
  // MSS 1460, SACK permitted, timestamps 1234567890 and 0, NOP, window scale 7
  const syn = hex("02 04 05 b4 04 02 08 0a 49 96 02 d2 00 00 00 00 01 03 03 07");
  const seen = { mss: 1460, windowScale: 7, sackPermitted: true, hasTimestamps: true, tsVal: 1234567890, tsEcr: 0 };
  expect(read(syn)).toMatchObject({ ...seen, sackCount: 0 });
  expect(read(syn, false)).toMatchObject({ ...none, hasTimestamps: true, tsVal: 1234567890 });
});

test("timestamps and SACK blocks of a segment of Linux are read", () => {
  const ack = hex("01 01 08 0a 00 00 00 05 ff ff ff ff 01 01 05 12 80 00 00 00 80 00 05 b4 00 00 00 01 00 00 00 02");
  const seen = read(ack, false);
  expect(seen).toMatchObject({ ...none, hasTimestamps: true, tsVal: 5, tsEcr: -1, sackCount: 2 });
  expect([...seen.sack.subarray(0, 4)]).toEqual([-0x80000000, -0x80000000 + 1460, 1, 2]);
});

test("a window shift over 14 counts as 14 (RFC 7323 2.3)", () => {
  expect(read(hex("03 03 ff 00")).windowScale).toBe(14);
});

test("an option with a wrong length is as if it were not there, and those behind it are read", () => {
  const behind = hex("02 04 02 18");
  for (const wrong of [
    "02 03 05",
    "03 02",
    "03 04 01 01",
    "04 03 00",
    "08 09 1 1 1 1 1 1 1",
    "05 02",
    "05 09 1 1 1 1 1 1 1",
    "fe 06 1 1 1 1",
  ])
    expect(read([...hex(wrong), ...behind])).toMatchObject({ ...none, mss: 536 });
});

test("five SACK blocks cannot be, and one of 40 bytes ends the list", () => {
  expect(read([5, 34, ...new Array(32).fill(0), 1, 1, 1, 1])).toMatchObject({ ...none, sackCount: 4 });
  expect(read([5, 42, ...new Array(38).fill(0)])).toMatchObject(none);
});

test("a list that is broken ends there, what came before counts", () => {
  for (const broken of ["08 00 01 01", "08 01 01 01", "08 0a 01 01", "01 01 01 08", "00 03 03 07"])
    expect(read([...hex("02 04 02 18"), ...hex(broken)])).toMatchObject({ ...none, mss: 536 });
});

test("whatever the bytes, nothing is read beyond them and every value is in its range", () => {
  const kinds = fc.oneof(fc.nat(9), fc.nat(255));
  fc.assert(
    fc.property(fc.array(kinds, { maxLength: 40 }), fc.boolean(), (bytes, isSyn) => {
      const seen = read(bytes, isSyn);
      expect(seen.windowScale).toBeLessThanOrEqual(14);
      expect(seen.sackCount).toBeLessThanOrEqual(4);
      if (!isSyn) expect(seen).toMatchObject({ mss: 0, windowScale: -1, sackPermitted: false });
    }),
    { numRuns: 2000 },
  );
});

const word = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });

test("what a SYN says is read back, in a list that is aligned and ends with it", () => {
  fc.assert(
    fc.property(
      fc.nat(0xffff),
      fc.integer({ min: -1, max: 14 }),
      fc.boolean(),
      fc.boolean(),
      word,
      word,
      (mss, windowScale, sackPermitted, hasTimestamps, tsVal, tsEcr) => {
        const all = memory();
        const d = new GuardedView(all, OPTIONS, OPTIONS + 20);
        const len = tcpSynOptionsEmit(d, OPTIONS, mss, windowScale, sackPermitted, hasTimestamps, tsVal, tsEcr);
        expect(len % 4).toBe(0);
        expect(all[OPTIONS + len]).toBe(0xa5);
        const seen = read([...all.subarray(OPTIONS, OPTIONS + len)]);
        expect(seen).toMatchObject({ mss, windowScale, sackPermitted, hasTimestamps, sackCount: 0 });
        if (hasTimestamps) expect([seen.tsVal, seen.tsEcr]).toEqual([tsVal, tsEcr]);
        expect(tcpMssAt(new DataView(all.buffer), AT, TCP_HEADER_LEN + len)).toBe(OPTIONS + 2);
      },
    ),
  );
});

test("what a segment says is read back, and its length is known before", () => {
  const blocks = fc.array(fc.tuple(word, word), { maxLength: 4 });
  fc.assert(
    fc.property(fc.boolean(), word, word, blocks, (hasTimestamps, tsVal, tsEcr, wanted) => {
      const sack = wanted.slice(0, tcpSackRoom(hasTimestamps)).flat();
      const all = memory();
      const d = new GuardedView(all, OPTIONS, OPTIONS + 40);
      const len = tcpSegmentOptionsEmit(
        d,
        OPTIONS,
        hasTimestamps,
        tsVal,
        tsEcr,
        Int32Array.from(sack),
        sack.length / 2,
      );
      expect(len).toBe(tcpSegmentOptionsLen(hasTimestamps, sack.length / 2));
      expect(len % 4).toBe(0);
      expect(all[OPTIONS + len]).toBe(0xa5);
      const seen = read([...all.subarray(OPTIONS, OPTIONS + len)], false);
      expect(seen).toMatchObject({ hasTimestamps, sackCount: sack.length / 2 });
      expect([...seen.sack.subarray(0, sack.length)]).toEqual(sack);
      if (hasTimestamps) expect([seen.tsVal, seen.tsEcr]).toEqual([tsVal, tsEcr]);
    }),
  );
});
