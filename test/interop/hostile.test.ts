/**
 * Junk on both sides: random, cut off and bit-flipped frames, seeded. `JUNK=1000000` sets how many a side (100,000 unless told).
 * The appliance lives, works, accounts for every frame, and does not grow.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import type { Capture } from "../support/world/capture.ts";
import { PATIENCE, until } from "../support/world/process.ts";
import { residentBytes } from "../support/world/router.ts";
import { type Fields, statistics, sum, sumOf } from "../support/world/statistics.ts";
import { SITE, World } from "../support/world/world.ts";
import { NO_WORLD, REFERENCE, Subject } from "./subject.ts";

const COUNT = Number(process.env["JUNK"] ?? 100_000);
const SEED = Number(process.env["JUNK_SEED"] ?? 42);
const MIB = 1 << 20;

setDefaultTimeout(60_000 + COUNT / 2);

describe.skipIf(NO_WORLD || REFERENCE)(`${COUNT} hostile frames a side`, () => {
  let world: World;
  let subject: Subject;
  let capture: Capture;
  const macs = { lan: "", wan: "" };

  beforeAll(async () => {
    world = await World.create();
    subject = new Subject(world);
    await world.server();
    capture = await world.capture();
    await subject.bootUp();
    macs.lan = await world.mac("rt", "l1");
    macs.wan = await world.mac("rt", "w0");
  });
  afterAll(() => world?.close());

  /** One round on both sides, and back to work. */
  async function round(seed: number): Promise<number> {
    for (const side of ["lan", "wan"] as const)
      expect(await world.junk(side, COUNT, seed, macs[side])).toBeGreaterThan(COUNT * 0.9);
    // Forged ARP answers may have to heal first.
    expect(await until(async () => (await world.ping(SITE)).back === 1, PATIENCE)).toBeDefined();
    expect(subject.alive).toBe(true);
    return residentBytes(subject.running.pid);
  }

  test("the appliance goes on working, and its memory does not grow with them", async () => {
    await round(SEED);
    const before = await round(SEED + 1);
    // The collector's own breathing is not growth: a leak shows in each of two rounds.
    const after = Math.min(await round(SEED + 2), await round(SEED + 3));
    expect(after - before).toBeLessThan(16 * MIB);
    expect(await world.lanHost<{ ok: number }>("download", [SITE, 5 * MIB, 1])).toMatchObject({ ok: 1 });
  });

  test("every frame is accounted for: received = handled + named drops, and the kernel's own count agrees", async () => {
    const parts = await statistics(subject.running);
    for (const side of ["lan", "wan"] as const) {
      const fields = parts[side]!;
      expect(fields["received"]).toBeGreaterThan(COUNT);
      expect(handled(fields) + sumOf(fields, "drop.")).toBe(fields["received"]!);
      const device = sum(fields, ["rxFrames", "rxTruncated", "rxRunt", "rxErrors"]);
      // What the kernel counts between two reads may still be in the ring.
      expect(Math.abs(device - fields["kernelReceived"]!)).toBeLessThanOrEqual(64);
      expect(Math.abs(sum(fields, ["rxFrames"]) - fields["received"]!)).toBeLessThanOrEqual(64);
    }
    const router = parts["router"]!;
    expect(sum(router, ["toTunnel", "lanBack", "lanHeld"]) + sumOf(router, "lanDrop.")).toBe(router["lanReceived"]!);
    expect(sum(router, ["toLan"]) + sumOf(router, "tunnelDrop.")).toBe(router["tunnelReceived"]!);
  });

  test("nothing of it made the router speak on the WAN", async () => {
    const tally = await world.tally(capture);
    expect(tally.odd).toEqual([]);
  });
});

/** All that the interface did with frames; each frame counts once. */
const handled = (fields: Fields): number =>
  sum(fields, ["arp", "echo", "icmpErrors", "udp", "tcpReset", "fragments", "answeredUnreachable", "forwarded"]);
