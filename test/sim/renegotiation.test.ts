/** When a key is replaced, what a renegotiation leaves behind, and keys that are nearly used up. */

import { describe, expect, test } from "bun:test";
import { GCM_RENEGOTIATE, PACKET_ID_RENEGOTIATE } from "../../src/protocol/data/aead-key.ts";
import { PUSH } from "../support/client-config.ts";
import { packet, SERVERS, type Sim, up } from "../support/sim.ts";
import { total } from "../support/total.ts";

const QUIET = ["topology subnet", "ifconfig 10.8.0.2 255.255.255.0", "ping 10"];
const NO_TIMER = "reneg-sec 0";

function exchange(sim: Sim, packets: number): void {
  for (let n = 0; n < packets; n++) {
    sim.sendData(packet(n));
    sim.answerData(packet(n));
    sim.run(50);
  }
}

describe("a key is replaced before it is worn out", () => {
  test.each([
    ["its packet ids near their end", { packetId: PACKET_ID_RENEGOTIATE - 3 }],
    ["AES-GCM has encrypted nearly as much as it may", { sent: GCM_RENEGOTIATE - 12 }],
    ["AES-GCM has decrypted nearly as much as it may", { received: GCM_RENEGOTIATE - 12 }],
  ])("when %s", (_name, keyUse) => {
    const sim = up(1, { lines: [NO_TIMER], start: { keyUse } });
    exchange(sim, 2);
    expect(sim.count("rekeyed")).toBe(0);
    exchange(sim, 2);
    sim.run(1000);
    expect(sim.count("rekeyed")).toBe(1);
    sim.expectFlow();
  });
});

describe("a key whose packet ids are used up", () => {
  const usedUp = { lines: [NO_TIMER, "hand-window 20"], start: { keyUse: { packetId: 0xffffffff - 1 } } };

  test("seals nothing more, and the next one takes over", () => {
    const sim = up(1, usedUp);
    // ids 0xfffffffe and 0xffffffff are left; the renegotiation begins with the first of them
    for (let n = 0; n < 4; n++) sim.sendData(packet(n));
    expect(sim.session.drops.snapshot()).toEqual({ "seal-exhausted": 2 });
    expect(sim.run(5000, () => sim.count("rekeyed") > 0)).toBe(true);
    sim.run(30_000);
    expect(sim.end).toBeUndefined();
    sim.expectFlow();
  });

  test("and a server that lets no other come about: the session ends after hand-window, and nothing spins until then", () => {
    const sim = up(1, { ...usedUp, peer: { push: [...QUIET, "ping-restart 120"] } });
    sim.peer.mute = true;
    for (let n = 0; n < 4; n++) sim.sendData(packet(n));
    const start = sim.now;
    let turns = 0;
    // a ping falls due every 10 s, and cannot be sealed
    sim.run(60_000, () => ++turns > 1000 || sim.end !== undefined);
    expect([sim.end?.kind, sim.now - start]).toEqual(["renegotiation-failed", 20_000]);
    expect(turns).toBeLessThan(100);
  });
});

test("after a renegotiation a session idles for longer than hand-window: the deadline was that of the renegotiation", () => {
  for (const who of ["server", "client"]) {
    const lines = [who === "client" ? "reneg-sec 25 25" : NO_TIMER, "hand-window 5"];
    const sim = up(2, { lines, peer: { push: QUIET } });
    if (who === "server") sim.peer.renegotiate(sim.now);
    else sim.run(25_000);
    expect(sim.run(2000, () => sim.count("rekeyed") === 1)).toBe(true);
    sim.run(6000);
    expect(sim.end).toBeUndefined();
    sim.expectFlow();
  }
});

test("a packet of the exchange before that comes late is read and acknowledged: it was lost at first", () => {
  for (const server of SERVERS) {
    const sim = up(3, { lines: [NO_TIMER], server });
    sim.peer.say("INFO,late");
    sim.run(0);
    sim.lose();
    sim.peer.renegotiate(sim.now);
    expect(sim.run(1500, () => sim.count("rekeyed") === 1)).toBe(true);
    expect(sim.count("info")).toBe(0);
    expect(sim.run(2000, () => sim.count("info") === 1)).toBe(true);
    sim.run(100);
    const sent = sim.fromPeer.length;
    sim.run(9000);
    expect([total(sim.session.drops), sim.fromPeer.length]).toEqual([0, sent]);
  }
});

test("a key that never took over does when the next renegotiation begins, and its packets arrive", () => {
  const sim = up(4, { lines: [NO_TIMER], peer: { push: PUSH } });
  for (let n = 0; n < 3; n++) {
    sim.peer.renegotiate(sim.now);
    sim.run(1500);
    sim.sendData(packet(n));
    sim.run(100);
    expect(sim.peer.received.at(-1)).toEqual(packet(n));
  }
});
