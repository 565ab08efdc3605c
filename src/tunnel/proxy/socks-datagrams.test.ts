/** The headers of a SOCKS relay: put in front of what goes there, taken off what comes, and what has none that can be right. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { Batch } from "../../lib/batch.ts";
import { parseIp } from "../../lib/ip.ts";
import { HEADROOM, slabOver } from "../../lib/slab.ts";
import { SocksDatagrams } from "./socks-datagrams.ts";

const FOUR = { address: parseIp("203.0.113.10")!, port: 1194 };
const SIX = { address: parseIp("2001:db8::10")!, port: 443 };
const HEADER4 = [0, 0, 0, 1, 203, 0, 113, 10, 4, 170];

function framed(server: typeof FOUR, ...packets: readonly (readonly number[])[]) {
  const slab = slabOver(new ArrayBuffer(1 << 16));
  const rows = new Batch(16);
  packets.forEach((packet, i) => {
    const at = HEADROOM + i * 1024;
    slab.bytes.set(packet, at);
    rows.push(at, packet.length);
  });
  const bytes = (): number[][] =>
    Array.from({ length: rows.count }, (_, i) => [...slab.bytes.subarray(rows.at[i]!, rows.at[i]! + rows.len[i]!)]);
  return { framing: new SocksDatagrams(slab, server), rows, bytes };
}

test("a packet has the server's address in front, of either family (RFC 1928 7)", () => {
  const four = framed(FOUR, [1, 2, 3], []);
  four.framing.wrap(four.rows);
  expect(four.bytes()).toEqual([[...HEADER4, 1, 2, 3], HEADER4]);
  expect([...four.framing.wrapPacket(Uint8Array.of(9))]).toEqual([...HEADER4, 9]);
  const six = framed(SIX, [7]);
  six.framing.wrap(six.rows);
  expect(six.bytes()[0]).toEqual([0, 0, 0, 4, 0x20, 1, 0xd, 0xb8, ...Array(11).fill(0), 0x10, 1, 187, 7]);
  expect([four.framing.overhead, six.framing.overhead]).toEqual([10, 22]);
});

test("what comes loses its header, whichever address is in it; a fragment, a name and what is cut short are dropped and counted", () => {
  const { framing, rows, bytes } = framed(
    FOUR,
    [...HEADER4, 1, 2],
    [0, 0, 1, 1, 203, 0, 113, 10, 4, 170, 3],
    [0, 0, 0, 3, 1, 65, 4, 170, 4, 0, 0, 0],
    [0, 0, 0, 3, 30, ...Array(30).fill(65), 4, 170, 4],
    HEADER4.slice(0, -1),
    [],
    [0, 0, 0, 4, ...Array(16).fill(9), 4, 170, 5],
    HEADER4,
  );
  framing.unwrap(rows);
  expect(bytes()).toEqual([[1, 2], [5], []]);
  expect(framing.malformed).toBe(5);
});

test("what was wrapped is unwrapped as it was, and any bytes are without a throw", () => {
  const packets = fc.array(fc.array(fc.nat(255), { maxLength: 60 }), { maxLength: 8 });
  fc.assert(
    fc.property(packets, fc.boolean(), (list, isSix) => {
      const { framing, rows, bytes } = framed(isSix ? SIX : FOUR, ...list);
      framing.wrap(rows);
      framing.unwrap(rows);
      expect(bytes()).toEqual(list);
      framing.unwrap(rows);
      expect(rows.count + framing.malformed).toBe(list.length);
    }),
  );
});
