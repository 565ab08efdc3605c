import { expect, test } from "bun:test";
import { ipv4RefreshChecksum } from "../wire/ipv4.ts";
import { clampMssOfPacket } from "./mss.ts";

/** A SYN with an MSS of 1460 and nothing else. */
function syn(): DataView<ArrayBuffer> {
  const hex = "4500002c000140004006000000000000000000000400005000000001000000006002ffff00000000020405b4";
  const d = new DataView(Uint8Array.fromHex(hex).buffer);
  ipv4RefreshChecksum(d, 0);
  return d;
}
const mss = (d: DataView): number => d.getUint16(42);

test("the SYN of an unchecked packet is clamped; one that is small enough stays", () => {
  const d = syn();
  clampMssOfPacket(d, 0, 44, 1200);
  expect(mss(d)).toBe(1200);
  clampMssOfPacket(d, 0, 44, 1300);
  expect(mss(d)).toBe(1200);
});

test("what is no IPv4 packet with a whole TCP header stays as it is, whatever it says", () => {
  const spoiled: [string, (d: DataView) => void][] = [
    ["IPv6", (d) => d.setUint8(0, 0x65)],
    ["a header of 16 bytes", (d) => d.setUint8(0, 0x44)],
    ["a header that leaves 16 bytes", (d) => d.setUint8(0, 0x47)],
    ["more than there is", (d) => d.setUint16(2, 45)],
    ["UDP", (d) => d.setUint8(9, 17)],
    ["a later fragment", (d) => d.setUint16(6, 1)],
    ["a TCP header of 16 bytes", (d) => d.setUint8(32, 0x40)],
    ["a TCP header of 28 bytes", (d) => d.setUint8(32, 0x70)],
  ];
  for (const [name, spoil] of spoiled) {
    const d = syn();
    spoil(d);
    ipv4RefreshChecksum(d, 0);
    clampMssOfPacket(d, 0, 44, 1200);
    expect([name, mss(d)]).toEqual([name, 1460]);
  }
  for (let len = 0; len < 44; len++) {
    const d = new DataView(syn().buffer.slice(0, len));
    expect(() => clampMssOfPacket(d, 0, len, 1200)).not.toThrow();
  }
});
