import { expect, test } from "bun:test";
import fc from "fast-check";
import { Arena, HEADROOM, slabOver } from "../../lib/slab.ts";
import { Reassembler } from "../reassembly.ts";
import { bytesOf } from "../testing/bed.ts";
import { fragments6, udp6 } from "../testing/bed6.ts";
import { ipv6TotalLen } from "../wire/ipv6.ts";
import { fragmentCopy, fragmentCount, IPV6_FRAGMENTS } from "./fragment.ts";

const AT = 1000;
const TO = 80_000;
const SCRATCH = 200_000;
const bed = () => {
  const slab = slabOver(new ArrayBuffer(400_000));
  slab.bytes.fill(0xa5);
  return { slab, scratch: new Arena(slab, SCRATCH, 400_000), r: new Reassembler(IPV6_FRAGMENTS) };
};
const packet = (n: number, src = "2001:db8::1") => udp6({ src, dst: "2001:db8::2" }, 7, 9, bytesOf(n));

test("pieces are multiples of 8 within the MTU, and put together they are the packet (RFC 8200 4.5)", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1300, max: 65_000 }), fc.integer({ min: 1280, max: 9000 }), (n, mtu) => {
      const { slab, scratch, r } = bed();
      const whole = packet(n);
      slab.bytes.set(whole, AT);
      const count = fragmentCount(whole.length, mtu);
      if (whole.length <= mtu) return;
      const pieces = Array.from({ length: count }, (_, i) => {
        const len = fragmentCopy(slab, AT, i, mtu, 77, TO);
        expect(len).toBeLessThanOrEqual(mtu);
        expect(ipv6TotalLen(slab.view, TO)).toBe(len);
        expect(slab.view.getUint16(TO + 42) & 6).toBe(0);
        return slab.bytes.slice(TO, TO + len);
      });
      let done = 0;
      for (const [i, piece] of pieces.toReversed().entries()) {
        slab.bytes.set(piece, TO);
        done = r.add(0, slab, TO, 0, scratch);
        expect(done === 0).toBe(i < count - 1);
      }
      expect(slab.bytes.slice(done, done + whole.length)).toEqual(whole);
    }),
    { numRuns: 40 },
  );
});

test("packets of other sources, destinations and identifications are apart; the protocol is no part of the name", () => {
  const { slab, scratch, r } = bed();
  const add = (piece: Uint8Array): number => {
    slab.bytes.set(piece, TO);
    return r.add(0, slab, TO, 0, scratch);
  };
  const [a, b] = fragments6(packet(100), 64, 1) as [Uint8Array, Uint8Array];
  expect(add(a)).toBe(0);
  for (const at of [8, 23, 24, 39, 44, 47]) {
    const other = b.slice();
    other[at]! ^= 1;
    expect(add(other)).toBe(0);
  }
  expect(r.packets).toBe(7);
  b[40] = 99;
  expect(add(b)).toBeGreaterThan(0);
  expect(slab.bytes[SCRATCH + HEADROOM + 2 + 6]).toBe(17); // the first one names it
});

test("a packet of 65,535 bytes of payload is the longest", () => {
  const { slab, scratch, r } = bed();
  const whole = packet(65_527 - 8); // with the UDP header 65,527: the last fragment ends there
  const pieces = fragments6(whole, 1232);
  let done = 0;
  for (const piece of pieces) {
    slab.bytes.set(piece, TO);
    done = r.add(0, slab, TO, 0, scratch);
  }
  expect(slab.bytes.slice(done, done + whole.length)).toEqual(whole);
});
