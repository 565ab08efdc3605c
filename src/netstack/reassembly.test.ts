import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { total } from "../../test/support/total.ts";
import { Arena, slabOver } from "../lib/slab.ts";
import { Drop, type DropCode } from "./drop.ts";
import { fragmentCopy, fragmentCount, IPV4_FRAGMENTS } from "./ip4/fragment.ts";
import { REASSEMBLY_MS, Reassembler } from "./reassembly.ts";
import { bytesOf, ipv4 } from "./testing/bed.ts";
import { IPV4_MF, ipv4Check, ipv4RefreshChecksum, ipv4TotalLen } from "./wire/ipv4.ts";

const SRC = "10.0.0.1";
const DST = "10.0.0.2";
const slab = slabOver(new ArrayBuffer(512 * 1024));
const AT = 1000;
const scratch = new Arena(slab, 200_000, 280_000);
/** Where the packet is that the last fragment completed, 0: it did not. */
let completed = 0;

/** The fragment at AT. */
const add = (r: Reassembler, now = 0, neighbour = 0): DropCode => {
  scratch.reset();
  slab.bytes.fill(0xa5, scratch.start, scratch.end);
  const result = r.add(now, slab, AT, neighbour, scratch);
  completed = Math.max(0, result);
  return result < 0 ? (-result as DropCode) : Drop.None;
};
const offer = (r: Reassembler, packet: Uint8Array, now = 0, neighbour = 0): DropCode => {
  slab.bytes.fill(0xa5, AT, AT + packet.length + 64);
  slab.bytes.set(packet, AT);
  return add(r, now, neighbour);
};
const completeLen = (): number => (completed === 0 ? 0 : ipv4TotalLen(slab.view, completed));

/** A fragment of `data` from byte `from` (a multiple of 8). */
const piece = (data: Uint8Array, from: number, to: number, id = 1, src = SRC): Uint8Array =>
  ipv4(
    { src, dst: DST, protocol: 17, id, fragment: (from >> 3) | (to < data.length ? IPV4_MF : 0) },
    data.subarray(from, to),
  );

const whole = (): Uint8Array => {
  const len = completeLen();
  expect(ipv4Check(slab.view, completed, len)).toBe(Drop.None);
  return slab.bytes.slice(completed, completed + len);
};

describe("reassembly", () => {
  test("any order, with repetitions, gives the data back", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 9, max: 4000 }),
        fc.integer({ min: 1, max: 60 }),
        fc.array(fc.nat(), { minLength: 1, maxLength: 600 }),
        (size, unit, order) => {
          const data = bytesOf(size, size);
          const pieces: Uint8Array[] = [];
          for (let from = 0; from < size; from += unit * 8)
            pieces.push(piece(data, from, Math.min(size, from + unit * 8)));
          fc.pre(pieces.length > 1 && pieces.length <= 190);
          const r = new Reassembler(IPV4_FRAGMENTS);
          const left = new Set(pieces.keys());
          const send = (i: number): void => {
            const drop = offer(r, pieces[i]!);
            expect(drop).toBe(left.has(i) ? Drop.None : Drop.FragmentRepeated);
            left.delete(i);
          };
          for (const o of order) if (left.size > 0) send(o % pieces.length);
          for (const i of [...left].reverse()) send(i);
          expect(whole().subarray(20)).toEqual(data);
          expect([r.packets, r.bytes]).toEqual([0, 0]);
        },
      ),
      { numRuns: 60 },
    );
  });

  test("it completes exactly when a bitmap of the bytes is full, or the packet is refused for overlap", () => {
    const fragment = fc.record({ from: fc.nat(7), units: fc.integer({ min: 1, max: 3 }), last: fc.boolean() });
    fc.assert(
      fc.property(fc.array(fragment, { maxLength: 12 }), (list) => {
        const r = new Reassembler(IPV4_FRAGMENTS);
        const map = new Uint8Array(11);
        const seen = new Set<string>();
        let end = -1;
        let dead = false;
        for (const { from, units, last } of list) {
          const to = from + units;
          const body = new Uint8Array(units * 8).fill(7);
          if (from === 0 && last) continue; // not a fragment
          const drop = offer(
            r,
            ipv4({ src: SRC, dst: DST, protocol: 17, id: 5, fragment: from | (last ? 0 : IPV4_MF) }, body),
          );
          const high = map.lastIndexOf(1) + 1;
          const outside = last ? (end >= 0 && end !== to) || high > to : end >= 0 && to > end;
          const repeated = seen.has(`${from} ${to}`) && !outside;
          const overlaps = !repeated && map.subarray(from, to).includes(1);
          if (dead || outside || overlaps) {
            dead = true;
            expect(drop).toBe(Drop.FragmentOverlap);
            continue;
          }
          if (repeated) {
            expect(drop).toBe(Drop.FragmentRepeated);
            continue;
          }
          expect(drop).toBe(Drop.None);
          seen.add(`${from} ${to}`);
          map.fill(1, from, to);
          if (last) end = to;
          const full = end >= 0 && map.subarray(0, end).every((b) => b === 1);
          expect(completeLen()).toBe(full ? 20 + end * 8 : 0);
          if (full) return;
        }
      }),
      { numRuns: 1000 },
    );
  });

  test("an overlap refuses the whole packet until its time is over (RFC 5722)", () => {
    const r = new Reassembler(IPV4_FRAGMENTS);
    const data = bytesOf(64);
    expect(offer(r, piece(data, 0, 32))).toBe(Drop.None);
    expect(offer(r, piece(data, 24, 64))).toBe(Drop.FragmentOverlap);
    expect(offer(r, piece(data, 32, 64))).toBe(Drop.FragmentOverlap);
    expect([r.bytes, r.packets]).toEqual([0, 1]);
    expect(offer(r, piece(data, 0, 32), REASSEMBLY_MS)).toBe(Drop.None);
    expect(offer(r, piece(data, 32, 64), REASSEMBLY_MS)).toBe(Drop.None);
    expect(completeLen()).toBe(84);
  });

  test("empty, uneven and overlong fragments are refused by name", () => {
    const r = new Reassembler(IPV4_FRAGMENTS);
    const make = (fragment: number, n: number): Uint8Array =>
      ipv4({ src: SRC, dst: DST, protocol: 17, fragment }, bytesOf(n));
    expect(offer(r, make(IPV4_MF, 0))).toBe(Drop.FragmentBadLength);
    expect(offer(r, make(IPV4_MF, 12))).toBe(Drop.FragmentBadLength);
    expect(offer(r, make(0x1fff, 9))).toBe(Drop.FragmentTooLong); // the ping of death
    expect(r.packets).toBe(0);
  });

  test("a congestion mark on any fragment is one on the packet; beside a fragment that takes none it is refused (RFC 3168 5.3)", () => {
    const marked = (first: number, second: number): [DropCode, number] => {
      const r = new Reassembler(IPV4_FRAGMENTS);
      const data = bytesOf(64);
      const mark = (packet: Uint8Array, ecn: number): Uint8Array => {
        packet[1] = 0x28 | ecn;
        ipv4RefreshChecksum(new DataView(packet.buffer), 0);
        return packet;
      };
      offer(r, mark(piece(data, 0, 32), first));
      const drop = offer(r, mark(piece(data, 32, 64), second));
      return [drop, drop === Drop.None ? whole()[1]! : -1];
    };
    expect(marked(2, 2)).toEqual([Drop.None, 0x2a]);
    expect(marked(2, 3)).toEqual([Drop.None, 0x2b]);
    expect(marked(3, 1)).toEqual([Drop.None, 0x2b]);
    expect(marked(0, 0)).toEqual([Drop.None, 0x28]);
    expect(marked(0, 3)).toEqual([Drop.FragmentMixedEcn, -1]);
  });

  test("an unfinished packet ends with its time", () => {
    const r = new Reassembler(IPV4_FRAGMENTS);
    offer(r, piece(bytesOf(64), 0, 32), 5);
    expect(r.pollAt()).toBe(5 + REASSEMBLY_MS);
    r.handleTimeout(r.pollAt());
    expect([r.packets, r.bytes, r.lost.snapshot(), r.pollAt()]).toEqual([
      0,
      0,
      { FragmentTimeout: 1 },
      Number.POSITIVE_INFINITY,
    ]);
  });

  test("a flood of one source is bounded and costs another source nothing", () => {
    const r = new Reassembler(IPV4_FRAGMENTS);
    const data = bytesOf(3000);
    offer(r, piece(data, 0, 1480, 1, "10.0.0.9"));
    for (let id = 0; id < 3000; id++) offer(r, piece(data, 0, 1480, id));
    expect(r.packets).toBeLessThanOrEqual(128);
    expect(r.bytes).toBeLessThanOrEqual(2 * 1024 * 1024);
    expect(r.lost.snapshot().FragmentLimit).toBeGreaterThan(2800);
    offer(r, piece(data, 1480, 3000, 1, "10.0.0.9"));
    expect(whole().subarray(20)).toEqual(data);
    const long = bytesOf(65_000);
    for (let id = 0; id < 40; id++)
      for (let n = 0; n < 43; n++) offer(r, piece(long, n * 1480, n * 1480 + 1480, id + 5000));
    expect(r.bytes).toBeLessThanOrEqual(2 * 1024 * 1024);
    expect(r.bytes).toBeGreaterThan(1024 * 1024);
  });

  test("a packet in more pieces than an MTU of 576 makes is refused", () => {
    const r = new Reassembler(IPV4_FRAGMENTS);
    const data = bytesOf(1616);
    for (let n = 0; n < 192; n++) expect(offer(r, piece(data, 8 * n, 8 * n + 8))).toBe(Drop.None);
    expect(offer(r, piece(data, 8 * 192, 8 * 193))).toBe(Drop.FragmentLimit);
    expect([r.bytes, completeLen()]).toEqual([0, 0]);
  });

  test("a flood of tiny fragments from many sources does not pick out the packet that has the most bytes", () => {
    const r = new Reassembler(IPV4_FRAGMENTS);
    const data = bytesOf(3000);
    const source = (i: number): string => `10.1.${i >> 8}.${i & 255}`;
    for (let i = 0; i < 1000; i++) offer(r, piece(data, 0, 8, 1, source(i)));
    offer(r, piece(data, 0, 1480));
    for (let i = 1000; i < 1100; i++) offer(r, piece(data, 0, 8, 1, source(i)));
    offer(r, piece(data, 1480, 3000));
    expect(whole().subarray(20)).toEqual(data);
  });

  test("where its own packet is the one to give way, a fragment goes with it, and what is kept of others is right", () => {
    const r = new Reassembler(IPV4_FRAGMENTS);
    const data = bytesOf(65_512);
    const put = (n: number, i: number): DropCode =>
      offer(r, piece(data, n * 512, Math.min(data.length, n * 512 + 512), 1, `10.1.0.${i}`));
    // 32 packets of 32 sources fill the memory to its last block; the oldest is the first to give way.
    for (let n = 0; n < 127; n++) for (let i = 0; i < 32; i++) expect(put(n, i)).toBe(Drop.None);
    expect(r.bytes).toBe(2 * 1024 * 1024);
    expect(put(127, 0)).toBe(Drop.FragmentLimit);
    expect([r.packets, r.lost.snapshot()]).toEqual([31, { FragmentLimit: 1 }]);
    for (let i = 1; i < 32; i++) {
      expect(put(127, i)).toBe(Drop.None);
      expect(whole().subarray(20)).toEqual(data);
    }
    expect([r.packets, r.bytes]).toEqual([0, 0]);
  });

  test("what was refused for an overlap is not counted again when it gives way", () => {
    const r = new Reassembler(IPV4_FRAGMENTS);
    const data = bytesOf(64);
    offer(r, piece(data, 0, 32));
    expect(offer(r, piece(data, 8, 64))).toBe(Drop.FragmentOverlap);
    for (let id = 2; id < 130; id++) offer(r, piece(data, 0, 32, id));
    expect(r.packets).toBe(128);
    expect(total(r.lost)).toBe(0);
  });

  test("the same id from another host, to another host or of another protocol is another packet", () => {
    const r = new Reassembler(IPV4_FRAGMENTS);
    const data = bytesOf(64);
    offer(r, piece(data, 0, 32, 1, "10.0.0.3"));
    offer(r, piece(data, 32, 64, 1, "10.0.0.4"));
    expect(completeLen()).toBe(0);
    expect(r.packets).toBe(2);
    offer(r, piece(data, 0, 32, 2), 0, 1);
    offer(r, piece(data, 32, 64, 2), 0, 2); // of another peer of the tunnel
    expect([completeLen(), r.packets]).toEqual([0, 4]);
    offer(r, piece(data, 32, 64, 2), 0, 1);
    expect(whole().subarray(20)).toEqual(data);
  });

  test.each([1, 2, 3])(
    "a crowd of sources with %d packets each does not push out who has another number of them",
    (each) => {
      const r = new Reassembler(IPV4_FRAGMENTS);
      const data = bytesOf(3000);
      const ids = [11, 12, 13, 14, 15];
      for (const id of ids) offer(r, piece(data, 0, 1480, id, "10.0.0.9"));
      for (let i = 0; i < 1000; i++)
        for (let id = 0; id < each; id++) offer(r, piece(data, 0, 1480, id, `10.1.${i >> 8}.${i & 255}`));
      expect(r.packets).toBeLessThanOrEqual(128);
      for (const id of ids) {
        offer(r, piece(data, 1480, 3000, id, "10.0.0.9"));
        expect(whole().subarray(20)).toEqual(data);
      }
    },
  );
});

describe("fragmentation", () => {
  test("pieces fit, are whole units, and put together again are the packet", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 9000 }), fc.integer({ min: 68, max: 1500 }), (size, mtu) => {
        const packet = ipv4({ src: SRC, dst: DST, protocol: 17, id: 3 }, bytesOf(size));
        const source = 100_000;
        slab.bytes.set(packet, source);
        const n = fragmentCount(slab.view, source, mtu);
        fc.pre(packet.length > mtu && n <= 190);
        const r = new Reassembler(IPV4_FRAGMENTS);
        for (let i = 0; i < n; i++) {
          const len = fragmentCopy(slab, source, i, mtu, AT);
          expect(len).toBeLessThanOrEqual(mtu);
          expect(ipv4Check(slab.view, AT, len)).toBe(Drop.None);
          expect(add(r)).toBe(Drop.None);
        }
        expect(whole().subarray(20)).toEqual(packet.slice(20));
      }),
      { numRuns: 60 },
    );
  });

  test("options: all on the first piece, those with the copied flag on the others (RFC 791 3.2)", () => {
    // Timestamp (68, not copied), padding, router alert (148, copied).
    const options = Uint8Array.of(68, 8, 5, 0, 0, 0, 0, 0, 1, 148, 4, 0, 0, 0, 0, 0);
    const packet = ipv4({ src: SRC, dst: DST, protocol: 17, id: 3, options }, bytesOf(600));
    slab.bytes.set(packet, 100_000);
    fragmentCopy(slab, 100_000, 0, 400, AT);
    expect(slab.bytes.slice(AT + 20, AT + 36)).toEqual(options);
    const len = fragmentCopy(slab, 100_000, 1, 400, AT);
    expect(slab.bytes.slice(AT, AT + 1).toHex()).toBe("46");
    expect(slab.bytes.slice(AT + 20, AT + 24)).toEqual(Uint8Array.of(148, 4, 0, 0));
    expect(ipv4Check(slab.view, AT, len)).toBe(Drop.None);
  });

  test("a fragment can be fragmented: offsets go on, only the last piece of the last fragment ends the packet", () => {
    const middle = ipv4({ src: SRC, dst: DST, protocol: 17, id: 3, fragment: IPV4_MF | 10 }, bytesOf(160));
    slab.bytes.set(middle, 100_000);
    fragmentCopy(slab, 100_000, 0, 100, AT);
    expect(slab.view.getUint16(AT + 6)).toBe(IPV4_MF | 10);
    fragmentCopy(slab, 100_000, 1, 100, AT);
    expect(slab.view.getUint16(AT + 6)).toBe(IPV4_MF | 20);
    const last = ipv4({ src: SRC, dst: DST, protocol: 17, id: 3, fragment: 10 }, bytesOf(160));
    slab.bytes.set(last, 100_000);
    fragmentCopy(slab, 100_000, 1, 100, AT);
    expect(slab.view.getUint16(AT + 6)).toBe(20);
  });
});
