import { expect, test } from "bun:test";
import { sumBytes } from "../wire/checksum.ts";
import { TCP_ACK, TCP_CHECKSUM_OFFSET, TCP_SYN, tcpEmit } from "../wire/tcp.ts";
import { clampMss } from "./mss.ts";

const AT = 32;
/** Header, two bytes of padding in front of the option or none, MSS 1460. */
const HEADER = 28;

/** What a segment with this MSS has after the clamp, and whether its checksum is right still. */
function clamped(flags: number, mss: number, max: number, padding: 0 | 1): { mss: number; isRight: boolean } {
  const d = new DataView(new ArrayBuffer(128));
  tcpEmit(d, AT, 1000, 80, 1, 0, HEADER, flags, 4096);
  const p = AT + 20 + padding;
  for (let i = AT + 20; i < AT + HEADER; i++) d.setUint8(i, 1);
  d.setUint8(p, 2);
  d.setUint8(p + 1, 4);
  d.setUint16(p + 2, mss);
  const sum = (): number => sumBytes(d, AT, HEADER) % 0xffff;
  d.setUint16(AT + TCP_CHECKSUM_OFFSET, 0xffff - sum());
  const before = sum();
  clampMss(d, AT, max);
  return { mss: d.getUint16(p + 2), isRight: sum() === before };
}

test.each([0, 1] as const)("a SYN's MSS is lowered, with its checksum, and never raised (padding %d)", (padding) => {
  expect(clamped(TCP_SYN, 1460, 1300, padding)).toEqual({ mss: 1300, isRight: true });
  expect(clamped(TCP_SYN | TCP_ACK, 1460, 1300, padding)).toEqual({ mss: 1300, isRight: true });
  expect(clamped(TCP_SYN, 1200, 1300, padding)).toEqual({ mss: 1200, isRight: true });
});

test("what is no SYN is left as it is", () => {
  expect(clamped(TCP_ACK, 1460, 1300, 0)).toEqual({ mss: 1460, isRight: true });
});
