/**
 * What those cannot do who hold a good key of the control channel, and those who are let in, but are no honest clients: packets that are
 * sealed as they should be and hold anything. Among them the regressions of published flaws of OpenVPN, by their numbers.
 */

import { heapStats } from "bun:jsc";
import { describe, expect, test } from "bun:test";
import type { Endpoint } from "../../src/lib/endpoint.ts";
import { IpAddress } from "../../src/lib/ip.ts";
import { randomBelow } from "../../src/lib/random.ts";
import type { ControlWrap } from "../../src/protocol/config/types.ts";
import { noblePrimitives } from "../../src/protocol/control/noble-primitives.ts";
import { type ControlPacket, controlEmit } from "../../src/protocol/control/packet.ts";
import { controlCrypto } from "../../src/protocol/control/protection.ts";
import { NO_WRAP, TLS_AUTH, TLS_CRYPT, TLS_CRYPT_V2 } from "../support/client-config.ts";
import { World } from "../support/served/world.ts";

const WRAPS: readonly ControlWrap[] = [NO_WRAP, TLS_AUTH, TLS_CRYPT, TLS_CRYPT_V2];
const ID = new Uint8Array(8).fill(3);
const NOTHING = new Uint8Array(0);

const from = (n: number): Endpoint => ({ address: IpAddress.fromIpv4(0x0b000000 + n), port: 1024 + (n % 50_000) });

/** Anything, sealed with the right key; packets that bring a wrapped key bring the right one. */
function seal(wrap: ControlWrap, plain: Uint8Array, replayId = 0x0f000001): Uint8Array {
  const bytes = controlCrypto(wrap, "client", noblePrimitives).seal(plain, replayId, 1_700_000_000);
  const opcode = plain[0]! >> 3;
  return wrap.kind === "tls-crypt-v2" && (opcode === 10 || opcode === 11)
    ? Buffer.concat([bytes, wrap.wrapped])
    : bytes;
}

const emit = (fields: Partial<ControlPacket> & { readonly opcode: number }): Uint8Array =>
  controlEmit({
    ...{ keyId: 0, sessionId: ID, acks: [], peerSessionId: undefined, packetId: 0, payload: NOTHING, ...fields },
  });

const RESET = (wrap: ControlWrap): number => (wrap.kind === "tls-crypt-v2" ? 10 : 7);

/** Begins a session as a client of the first two packets does. @returns the server's id of it */
function begin(world: World, wrap: ControlWrap, at: Endpoint, id = ID): Uint8Array {
  world.strange(at, seal(wrap, emit({ opcode: RESET(wrap), sessionId: id })));
  const answer = world.sent.at(-1);
  if (answer === undefined || answer.to.port !== at.port) throw new Error("no answer");
  const own = answer.bytes.slice(1, 9);
  const opcode = wrap.kind === "tls-crypt-v2" ? 11 : 4;
  const payload = Uint8Array.of(22, 3, 1);
  world.strange(
    at,
    seal(wrap, emit({ opcode, sessionId: id, acks: [0], peerSessionId: own, packetId: 1, payload }), 0x0f000002),
  );
  return own;
}

describe.each(WRAPS)("packets under a good key: $kind", (wrap) => {
  test("of nobody, with anything in them: nothing throws, nothing is kept (CVE-2026-35058, CVE-2025-2704)", () => {
    const world = new World(3, { wrap });
    const ann = world.joined("ann");
    const begun = world.listener.counters()["sessions-begun"];
    for (let n = 0; n < 4000; n++) {
      const plain = new Uint8Array(10 + randomBelow(world.random, 90));
      world.random.fill(plain);
      plain[0] = (randomBelow(world.random, 12) << 3) | (n % 5 === 0 ? n & 7 : 0);
      plain.set(ID, 1);
      // Few acknowledgements: else nearly all fall at the first look.
      plain[9] = n % 11;
      world.strange(from(n % 7), seal(wrap, plain, n % 3 === 0 ? n : 0x0f000001));
      if (n % 100 === 0) world.run(200);
    }
    expect(world.listener.counters()["sessions-begun"]).toBe(begun);
    expect(world.said("internal.error")).toEqual([]);
    expect(world.listener.peers().map(({ name }) => name)).toEqual(["ann"]);
    world.expectFlow(ann);
  });

  test("a first packet whose id is not 0, that acknowledges something or is of another key is not answered", () => {
    const world = new World(3, { wrap });
    const opcode = RESET(wrap);
    for (const fields of [
      { packetId: 1 },
      { packetId: 0xffffffff },
      { acks: [0], peerSessionId: ID },
      { acks: [0, 1, 2, 3, 4, 5, 6, 7], peerSessionId: ID },
      { keyId: 1 },
      { keyId: 7 },
    ])
      world.strange(from(1), seal(wrap, emit({ opcode, ...fields })));
    expect([world.sent, world.listener.counters()["sessions-begun"]]).toEqual([[], undefined]);
    world.strange(from(1), seal(wrap, emit({ opcode })));
    expect(world.sent.length).toBe(1);
  });

  test("within a session that never comes to TLS: acknowledgements of nothing, ids far ahead and garbage end it, or it ends by itself; memory stays", () => {
    const world = new World(3, { wrap });
    const ann = world.joined("ann");
    const { size } = heapOf();
    for (let n = 0; n < 60; n++) {
      const at = from(100 + n);
      const id = new Uint8Array(8).fill(n + 1);
      const own = begin(world, wrap, at, id);
      for (let k = 0; k < 60; k++) {
        const plain = new Uint8Array(10 + randomBelow(world.random, 60));
        world.random.fill(plain);
        plain[0] = [4, 5, 7, 8, 10, 11, 3][k % 7]! << 3;
        plain.set(id, 1);
        const acks = k % 10;
        plain[9] = acks;
        if (acks > 0 && 10 + 4 * acks + 8 <= plain.length) plain.set(own, 10 + 4 * acks);
        // Ids that are expected next, so that what lies behind them is read.
        const idAt = 10 + (acks > 0 ? 4 * acks + 8 : 0);
        if (idAt + 4 <= plain.length) plain.set([0, 0, 0, 1 + (k >> 2)], idAt);
        world.strange(at, seal(wrap, plain, 0x0f000003 + k));
      }
      world.run(150);
    }
    world.run(70_000);
    expect(world.listener.counters()["sessions-begun"]).toBe(61);
    expect(world.listener.peers().map(({ name }) => name)).toEqual(["ann"]);
    expect(world.said("internal.error")).toEqual([]);
    world.sent.length = 0;
    world.lines.length = 0;
    expect(heapOf().size - size).toBeLessThan(3_000_000);
    world.expectFlow(ann);
  }, 60_000);
});

function heapOf(): { readonly size: number } {
  Bun.gc(true);
  return { size: heapStats().heapSize };
}

test("sessions of tls-crypt-v2 that are begun and left, over and over: memory is what it was (CVE-2026-12932, CVE-2026-13698)", () => {
  const wrap = TLS_CRYPT_V2;
  const world = new World(5, { wrap });
  const round = (): number => {
    for (let n = 0; n < 400; n++) {
      begin(world, wrap, from(n), new Uint8Array(8).fill(1 + (n & 127)).with(0, n >> 7));
      world.run(150);
    }
    world.run(70_000);
    world.sent.length = 0;
    world.lines.length = 0;
    expect(world.listener.counters()["clients"]).toBe(0);
    return heapOf().size;
  };
  const first = round();
  round();
  expect(round() - first).toBeLessThan(1_000_000);
  expect(world.listener.pollAt()).toBe(Number.POSITIVE_INFINITY);
}, 120_000);

test("a client that is refused, or that left, and goes on sending: its session ends in time, and once (CVE-2024-28882)", () => {
  const world = new World(1);
  world.desk.refused.set("eve", "no");
  const eve = world.client("eve");
  expect(world.run(10_000, () => world.said("peer.refused").length > 0)).toBe(true);
  const sent = [...eve.sent];
  for (let n = 0; n < 200; n++) {
    for (const bytes of sent) world.strange(eve.endpoint, bytes);
    world.run(100);
  }
  expect(world.listener.pollAt()).toBe(Number.POSITIVE_INFINITY);
  const ann = world.joined("ann", { lines: ["explicit-exit-notify 1"] });
  ann.session.close(world.now);
  world.run(100);
  const late = [...ann.sent];
  for (let n = 0; n < 100; n++) {
    for (const bytes of late.slice(-20)) world.strange(ann.endpoint, bytes);
    world.run(100);
  }
  world.run(70_000);
  expect(world.said("peer.down").length).toBe(1);
  expect([world.listener.counters()["clients"], world.desk.guests.size]).toEqual([0, 0]);
  expect(world.listener.pollAt()).toBe(Number.POSITIVE_INFINITY);
});
