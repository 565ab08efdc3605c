/** When a key is replaced, what a renegotiation leaves behind, and keys that are nearly used up. */

import { describe, expect, test } from "bun:test";
import type { ControlWrap } from "../../src/protocol/config/types.ts";
import { noblePrimitives } from "../../src/protocol/control/noble-primitives.ts";
import { renegotiationCrypto } from "../../src/protocol/control/protection.ts";
import { GCM_RENEGOTIATE, PACKET_ID_RENEGOTIATE } from "../../src/protocol/data/aead-key.ts";
import { DROP_CONTROL_AUTHENTICATION } from "../../src/protocol/drop.ts";
import { NO_WRAP, PUSH, TLS_AUTH, TLS_CRYPT, TLS_CRYPT_V2 } from "../support/client-config.ts";
import { LOSSY, packet, SERVERS, type Sim, up } from "../support/sim.ts";
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

describe.each([NO_WRAP, TLS_AUTH, TLS_CRYPT, TLS_CRYPT_V2] as ControlWrap[])(
  "dynamic tls-crypt on top of $kind",
  (wrap) => {
    test.each([true, false])(
      "renegotiations by both sides go under the key of the first TLS session (stateless server: %s)",
      (cookie) => {
        const sim = up(3, { wrap, cookie, dynamic: true, lines: ["reneg-sec 6 6"] });
        const before = sim.toPeer.length;
        for (let round = 0; round < 5; round++) {
          exchange(sim, 100);
          sim.peer.renegotiate(sim.now);
          exchange(sim, 100);
        }
        expect(sim.count("rekeyed")).toBeGreaterThanOrEqual(8);
        expect(sim.session.drops.snapshot()).toEqual({});
        // What is on the wire is tls-crypt, and no larger than any control packet.
        const renewed = sim.toPeer.slice(before).filter((p) => p[0]! >> 3 !== 9 && (p[0]! & 7) > 0);
        expect(renewed.length).toBeGreaterThan(30);
        for (const bytes of renewed) expect(bytes.length).toBeLessThanOrEqual(1222);
        sim.expectFlow();
      },
    );

    test("over a bad network, with either server", () => {
      for (const server of SERVERS) {
        for (let seed = 1; seed <= 4; seed++) {
          const sim = up(seed, { wrap, server, dynamic: true, link: LOSSY, lines: ["reneg-sec 20 20"] });
          sim.run(100_000);
          sim.link = { loss: 0, duplicate: 0, jitter: 0 };
          sim.run(20_000);
          sim.expectFlow();
          expect(sim.count("rekeyed")).toBeGreaterThanOrEqual(3);
        }
      }
    });
  },
);

test("dynamic tls-crypt: who has not the profile's key cannot take part, though he knows what TLS exports", () => {
  const exported = new Uint8Array(256).fill(0xba);
  const seal = (wrap: ControlWrap) =>
    renegotiationCrypto(exported.slice(), wrap, "client", noblePrimitives).seal(packet(1), 1, 1);
  const open = (wrap: ControlWrap, bytes: Uint8Array) =>
    renegotiationCrypto(exported.slice(), wrap, "server", noblePrimitives).open(bytes);
  for (const wrap of [NO_WRAP, TLS_AUTH, TLS_CRYPT, TLS_CRYPT_V2])
    expect(open(wrap, seal(wrap))).toMatchObject({ id: 1 });
  expect(open(TLS_CRYPT, seal(NO_WRAP))).toBe(DROP_CONTROL_AUTHENTICATION);
  // As test_tls_crypt.c: a key of zeros changes nothing.
  expect(open({ ...TLS_CRYPT, key: new Uint8Array(256) } as ControlWrap, seal(NO_WRAP))).toMatchObject({ id: 1 });
});

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

describe("OpenVPN takes nothing of an exchange once it has seen the reset of the next one, and over a stream ends the connection for it:", () => {
  const STREAM = { link: { overhead: 42, isStream: true } };
  /** The key ids of control packets to the server, from the n-th packet on. */
  const keyIds = (sim: Sim, from: number): number[] =>
    sim.toPeer.slice(from).flatMap((bytes) => (bytes[0]! >> 3 === 9 ? [] : [bytes[0]! & 7]));

  test("what comes with the reset of the server is read and no longer acknowledged", () => {
    for (const server of SERVERS) {
      const sim = up(5, { lines: [NO_TIMER], server, start: STREAM, peer: { start: STREAM } });
      const from = sim.toPeer.length;
      sim.peer.say("INFO,behind it is a reset");
      sim.peer.renegotiate(sim.now);
      expect(sim.run(1500, () => sim.count("rekeyed") === 1)).toBe(true);
      sim.run(9000);
      expect([sim.count("info"), new Set(keyIds(sim, from))]).toEqual([1, new Set([1])]);
      sim.expectFlow();
    }
  });

  test("what comes right before the reset of the client is acknowledged before that", () => {
    const run = (say: (sim: Sim) => void): { resetAt: number; ids: number[]; heard: number } => {
      const sim = up(6, { lines: ["reneg-sec 25 25"], start: STREAM });
      const from = sim.toPeer.length;
      say(sim);
      sim.run(60_000, () => keyIds(sim, from).includes(1));
      const resetAt = sim.now;
      sim.run(5000);
      expect(sim.count("rekeyed")).toBe(1);
      return { resetAt, ids: keyIds(sim, from), heard: sim.count("info") };
    };
    const { resetAt } = run(() => {});
    const { ids, heard } = run((sim) => {
      sim.run(resetAt - 20 - sim.now);
      sim.peer.say("INFO,in the same turn");
    });
    expect([heard, ids[0], ids.toSorted()]).toEqual([1, 0, ids]);
  });

  test("what the send window has no room for is said under the next key, each message once and in its order", () => {
    const sim = up(7, { lines: [NO_TIMER], server: "product", start: STREAM, peer: { start: STREAM } });
    for (let n = 0; n < 8; n++) sim.peer.say(`INFO,${n}${"x".repeat(1500)}`);
    sim.peer.renegotiate(sim.now);
    expect(sim.run(2000, () => sim.count("rekeyed") === 1)).toBe(true);
    sim.run(2000);
    const heard = sim.events.flatMap((event) => (event.kind === "info" ? [event.text[0]] : []));
    expect(heard.join("")).toBe("01234567");
  });

  test("room in the send window is room for what TLS adds to a message too: nothing of it is cut off", () => {
    // Behind a packet there is room for five, which messages of these lengths fill, and their records do not fit.
    for (let length = 5636; length < 5650; length += 2) {
      const sim = up(9, { lines: [NO_TIMER], server: "product", start: STREAM, peer: { start: STREAM } });
      for (const each of ["before", "x".repeat(length)]) sim.peer.say(`INFO,${each}`);
      sim.peer.renegotiate(sim.now);
      sim.run(2000, () => sim.count("rekeyed") === 1 && sim.count("info") === 2);
      expect([length, sim.count("rekeyed"), sim.count("info")]).toEqual([length, 1, 2]);
    }
  });

  test("a message that is larger than the window goes all the same", () => {
    const sim = up(8, { lines: [NO_TIMER], server: "product", start: STREAM, peer: { start: STREAM } });
    const text = "x".repeat(9000);
    for (const each of ["before", text, "behind"]) sim.peer.say(`INFO,${each}`);
    sim.run(3000);
    expect(sim.count("info")).toBe(3);
  });
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
