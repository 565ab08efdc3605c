import { expect, test } from "bun:test";
import { tunnelMss } from "./mtu.ts";

const AEAD_V2 = (size: number): number => size - 24;

test("mssfix N without mode leaves N - 4 - 4 - 16 - 40 for AES-256-GCM with peer-id (OpenVPN test_crypto.c 350)", () => {
  for (let n = 900; n <= 1200; n++)
    expect(tunnelMss({ size: n, mode: "payload" }, 1500, AEAD_V2, 28, 9000)).toBe(n - 4 - 4 - 16 - 40);
});

test("mssfix 1492 mtu, the default, makes TCP fill packets of 1492 bytes on the wire", () => {
  const mss = tunnelMss({ size: 1492, mode: "mtu" }, 1500, AEAD_V2, 28, 9000);
  expect(mss + 40 + 24 + 28).toBe(1492);
});

test("fixed means the packet in the tunnel, 0 means off, and the tunnel's MTU always limits", () => {
  expect(tunnelMss({ size: 1300, mode: "fixed" }, 1500, AEAD_V2, 28, 9000)).toBe(1260);
  expect(tunnelMss({ size: 0, mode: "mtu" }, 1500, AEAD_V2, 28, 9000)).toBe(0);
  expect(tunnelMss({ size: 9000, mode: "mtu" }, 1500, AEAD_V2, 28, 9000)).toBe(1460);
});

test("a network below that takes less than mssfix says limits it, but not what the profile fixes", () => {
  for (const mode of ["mtu", "payload"] as const)
    expect(tunnelMss({ size: 1492, mode }, 1500, AEAD_V2, 28, 1400) + 40 + 24 + 28).toBe(1400);
  expect(tunnelMss({ size: 1460, mode: "payload" }, 1500, AEAD_V2, 28, 1492) + 40 + 24 + 28).toBe(1488);
  expect(tunnelMss({ size: 1450, mode: "fixed" }, 1500, AEAD_V2, 28, 1400)).toBe(1410);
});

test("the largest segment of fragment and compression inside of AEAD leaves room for their bytes", () => {
  const framed = (size: number): number => AEAD_V2(size) - 1 - 4;
  expect(tunnelMss({ size: 1200, mode: "mtu" }, 1500, framed, 28, 1500)).toBe(1200 - 28 - 24 - 5 - 40);
});
