/** The data path allocates nothing per packet: the real one (test/support/loopback.ts) in a child process (allocated.ts). */
import { expect, setDefaultTimeout, test } from "bun:test";
import { allocatedBy } from "./allocated.ts";

setDefaultTimeout(60_000);

/** Compiled code is allocated as well, now and then; an object of two numbers is 32 bytes, a subarray 64. */
const BOUND = 1;
const MILLION = 1_000_000;

interface Run {
  readonly sent: number;
  readonly returned: number;
  readonly received: number;
  /** Of what went to the server, the packets that were in a UDP super-frame. */
  readonly gathered: number;
  readonly wasted: boolean;
  /** The collector's pauses are in it, and whatever else the machine did. */
  readonly longestTurnMs: number;
  readonly nsPerPacket: number;
  /** Allocated bytes for each packet of either direction. */
  readonly bytes: number;
}

async function run(cipher: string, packets: number, ...more: readonly string[]): Promise<Run> {
  const { told, bytes } = await allocatedBy<Omit<Run, "bytes">>("child.ts", cipher, `${packets}`, ...more);
  return { ...told, bytes: bytes / (2 * told.sent) };
}

for (const [cipher, packets] of [
  ["AES-256-GCM", 2 * MILLION],
  ["CHACHA20-POLY1305", MILLION],
] as const) {
  test(`${packets / MILLION} million packets from the LAN through the tunnel and back with ${cipher}: nothing is allocated per packet`, async () => {
    const { sent, returned, received, bytes, longestTurnMs, nsPerPacket } = await run(cipher, packets);
    // Told, not asserted: a busy machine has turns of its own.
    console.log(`${cipher}: ${nsPerPacket} ns a packet, longest turn ${longestTurnMs.toFixed(1)} ms`);
    expect(sent * 2).toBeGreaterThanOrEqual(packets);
    expect([returned, received]).toEqual([sent, sent]);
    expect(bytes).toBeLessThan(BOUND);
  });
}

test("nor in the epoch format", async () => {
  const { sent, returned, received, bytes, nsPerPacket } = await run("AES-256-GCM", 2 * MILLION, "epoch");
  console.log(`epoch: ${nsPerPacket} ns a packet`);
  expect([returned, received]).toEqual([sent, sent]);
  expect(bytes).toBeLessThan(BOUND);
});

test("nor where equal packets leave as UDP super-frames", async () => {
  const { sent, returned, received, gathered, bytes } = await run("AES-256-GCM", 2 * MILLION, "gso");
  expect([returned, received]).toEqual([sent, sent]);
  expect(gathered).toBeGreaterThan(sent / 10);
  expect(bytes).toBeLessThan(BOUND);
});

test("refusing a million packets without a tunnel allocates nothing per packet", async () => {
  const { sent, returned, received, bytes } = await run("AES-256-GCM", 2 * MILLION, "closed");
  expect(returned).toBe(0);
  expect(received).toBeLessThan(sent / 100);
  expect(bytes).toBeLessThan(BOUND);
});

for (const waste of ["object", "subarray"]) {
  test(`one ${waste} for each frame of the LAN is seen`, async () => {
    const { sent, received, wasted, bytes } = await run("AES-256-GCM", MILLION / 4, "open", waste);
    expect(received).toBe(sent);
    expect(wasted).toBe(true);
    expect(bytes).toBeGreaterThan(10 * BOUND);
  });
}

test("a million packets to a LAN host that answers no ARP: dropped without an allocation per packet", async () => {
  const { sent, returned, received, bytes } = await run("AES-256-GCM", MILLION, "silent");
  expect(returned).toBe(sent);
  expect(received).toBe(0);
  expect(bytes).toBeLessThan(BOUND);
});
