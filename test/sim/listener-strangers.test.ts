/**
 * What those cannot do who are no clients: have anything kept of them, be answered more than the contract says, end or move what is
 * others', or make the server fall. Among them the regressions of published flaws of OpenVPN, by their numbers.
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
import { MAX_NEWCOMERS } from "../../src/protocol/server/roster.ts";
import { NO_WRAP, TLS_AUTH, TLS_CRYPT, TLS_CRYPT_V2 } from "../support/client-config.ts";
import { wholeConfig } from "../support/served/config.ts";
import { World } from "../support/served/world.ts";
import { packet } from "../support/sim.ts";

const WRAPS: readonly ControlWrap[] = [NO_WRAP, TLS_AUTH, TLS_CRYPT, TLS_CRYPT_V2];
/** How many first packets of nobody come: a million where it is asked for. */
const FLOOD = Number(process.env["FLOOD"] ?? 20_000);

const spoofed = (n: number): Endpoint => ({ address: IpAddress.fromIpv4(0x0b000000 + n), port: 1024 + (n % 50_000) });

/** A control packet as a client with the right key makes it. */
function sealed(wrap: ControlWrap, fields: Partial<ControlPacket> & { readonly opcode: number }): Uint8Array {
  const plain = controlEmit({
    ...{ keyId: 0, sessionId: new Uint8Array(8).fill(3), acks: [], peerSessionId: undefined },
    ...{ packetId: fields.opcode === 5 ? undefined : 0, payload: new Uint8Array(0), ...fields },
  });
  const bytes = controlCrypto(wrap, "client", noblePrimitives).seal(plain, 0x0f000001, 1_700_000_000);
  const isWrapped = wrap.kind === "tls-crypt-v2" && (fields.opcode === 10 || fields.opcode === 11);
  return isWrapped ? Buffer.concat([bytes, wrap.wrapped]) : bytes;
}

const reset = (wrap: ControlWrap, sessionId = new Uint8Array(8).fill(3)): Uint8Array =>
  sealed(wrap, { opcode: wrap.kind === "tls-crypt-v2" ? 10 : 7, sessionId });

/** The cookie that the server answers a reset with. */
function cookie(world: World, wrap: ControlWrap, from: Endpoint, sessionId = new Uint8Array(8).fill(3)): Uint8Array {
  world.strange(from, reset(wrap, sessionId));
  const answer = world.sent.at(-1);
  if (answer === undefined || answer.to.port !== from.port) throw new Error("no answer");
  return answer.bytes.slice(1, 9);
}

const third = (wrap: ControlWrap, own: Uint8Array, sessionId = new Uint8Array(8).fill(3)): Uint8Array =>
  sealed(wrap, {
    ...{ opcode: wrap.kind === "tls-crypt-v2" ? 11 : 4, acks: [0], peerSessionId: own, packetId: 1, sessionId },
    payload: Uint8Array.of(22, 3, 1),
  });

describe.each(WRAPS)("first packets of nobody: $kind", (wrap) => {
  test("a flood leaves nothing behind and is answered no more than 100 times in 10 s; a client's packets go on", () => {
    const world = new World(1, { wrap });
    const ann = world.joined("ann");
    const first = reset(wrap);
    const junk = first.with(first.length - 1, first.at(-1)! ^ 1);
    const before = world.sent.length;
    Bun.gc(true);
    const [objects, start] = [heapStats().objectCount, world.now];
    const count = Math.floor(FLOOD / WRAPS.length);
    for (let n = 0; n < count; n++) {
      world.strange(spoofed(n), n % 2 === 0 ? first : junk);
      if (n % 100 === 0) world.run(25);
    }
    const answers = world.sent.slice(before).filter(({ to }) => to.address.w3 >>> 24 === 0x0b);
    const windows = 1 + Math.floor((world.now - start) / 10_000);
    expect(answers.length).toBeLessThanOrEqual(100 * windows);
    expect(answers.length).toBeGreaterThan(90);
    expect(answers.every(({ bytes }) => bytes.length <= first.length + 18)).toBe(true);
    expect([...world.listener.peers()].length).toBe(1);
    world.sent.length = before;
    Bun.gc(true);
    expect(heapStats().objectCount - objects).toBeLessThan(20_000);
    world.expectFlow(ann);
    expect(world.said("peer.down")).toEqual([]);
  });

  test("clients that come back are not held up by each other: their answers do not count", () => {
    const world = new World(1, { wrap });
    const clients = Array.from({ length: 120 }, (_, i) => world.client(`c${i}`));
    expect(world.run(8000, () => clients.every((client) => client.isUp))).toBe(true);
  }, 60_000);

  test("a cookie begins one session: who repeats it gets no other one, and no other answers (CVE-2025-13086)", () => {
    const world = new World(1, { wrap });
    const [from, sessions] = [spoofed(1), [4, 5].map((n) => new Uint8Array(8).fill(n))];
    const thirds = sessions.map((id) => third(wrap, cookie(world, wrap, from, id), id));
    for (let n = 0; n < 20; n++) world.strange(from, thirds[n % 2]!);
    expect(world.listener.counters()).toMatchObject({ "sessions-begun": 2 });
    // Neither an answer's cookie of another address, nor one with a bit changed, nor none at all.
    for (const own of [cookie(world, wrap, spoofed(2)), new Uint8Array(8), new Uint8Array(8).fill(255)])
      world.strange(spoofed(3), third(wrap, own));
    expect(world.listener.counters()).toMatchObject({ "sessions-begun": 2 });
  });
});

test("whoever has no key never gets a byte", () => {
  for (const wrap of [TLS_AUTH, TLS_CRYPT, TLS_CRYPT_V2]) {
    const world = new World(1, { wrap });
    const other = { ...wrap, key: (wrap as { key: Uint8Array }).key.toReversed() } as ControlWrap;
    for (let opcode = 0; opcode < 32; opcode++) {
      world.strange(
        spoofed(opcode),
        sealed(other, { opcode, ...(opcode === 5 && { acks: [0], peerSessionId: new Uint8Array(8) }) }),
      );
      world.strange(
        spoofed(opcode),
        sealed(NO_WRAP, { opcode, ...(opcode === 5 && { acks: [0], peerSessionId: new Uint8Array(8) }) }),
      );
    }
    world.run(70_000);
    expect([world.sent, world.listener.counters()["sessions-begun"]]).toEqual([[], undefined]);
  }
});

test("connect-freq: new sessions are bounded, and what is over the bound costs no session", () => {
  const { limits } = wholeConfig(TLS_CRYPT);
  const world = new World(1, { config: { limits: { ...limits, connectFreq: { count: 3, seconds: 60 } } } });
  const clients = Array.from({ length: 8 }, (_, i) => world.client(`c${i}`));
  world.run(10_000);
  expect(clients.filter((client) => client.isUp).length).toBe(3);
  expect(world.listener.counters()["sessions-begun"]).toBe(3);
});

test("connect-freq: who is over the bound waits, and is in as soon as there is room", () => {
  const { limits } = wholeConfig(TLS_CRYPT);
  const world = new World(1, { config: { limits: { ...limits, connectFreq: { count: 1, seconds: 5 } } } });
  const clients = [world.client("ann"), world.client("bob")];
  expect(world.run(30_000, () => clients.every((client) => client.isUp))).toBe(true);
  expect(world.listener.counters()["sessions-limited"]).toBeGreaterThan(0);
});

describe("those who are in the midst of a handshake", () => {
  test("are bounded in all, and one host that floods crowds itself out", () => {
    const world = new World(1);
    const host = (n: number): Endpoint => ({ address: IpAddress.fromIpv4(0x0c000001), port: 2000 + n });
    const first = world.joined("bob");
    const honest = world.client("ann", { lines: ["hand-window 60"] });
    world.desk.withPassword.set("ann", "pw");
    world.run(5000, () => world.passwords.waiting === 1);
    for (let n = 0; n < 3 * MAX_NEWCOMERS; n++) {
      const id = new Uint8Array(8).fill(n & 255).with(0, n >> 8);
      world.run(50);
      world.strange(host(n), third(TLS_CRYPT, cookie(world, TLS_CRYPT, host(n), id), id));
    }
    world.passwords.settle(world.now);
    world.run(5000, () => honest.isUp);
    for (const client of [honest, first]) world.expectFlow(client);
    expect(world.said("peer.refused").length).toBeLessThan(60);
  }, 60_000);

  test("of those who share an address the oldest goes, and never a client that is in", () => {
    const world = new World(1);
    const ann = world.joined("ann");
    for (let n = 0; n < MAX_NEWCOMERS + 40; n++) {
      const beside = { address: ann.endpoint.address, port: 3000 + n };
      world.run(20);
      world.strange(beside, third(TLS_CRYPT, cookie(world, TLS_CRYPT, beside)));
    }
    expect(world.said("peer.down")).toEqual([]);
    expect(world.said("peer.refused").every((line) => String(line.fields["reason"]).includes("too many"))).toBe(true);
    world.expectFlow(ann);
  });

  test("end by themselves when nothing comes", () => {
    const world = new World(1);
    for (let n = 0; n < 20; n++) world.strange(spoofed(n), third(TLS_CRYPT, cookie(world, TLS_CRYPT, spoofed(n))));
    world.run(70_000);
    expect(world.listener.pollAt()).toBe(Number.POSITIVE_INFINITY);
    expect(world.said("internal.error")).toEqual([]);
  });
});

describe("connections", () => {
  test("10,000 that say nothing: bounded, the oldest go, and a client gets in", () => {
    const world = new World(1);
    const idle = Array.from({ length: 10_000 }, () => world.idleStream());
    expect(idle.filter((stream) => stream.isOpen).length).toBeLessThanOrEqual(MAX_NEWCOMERS);
    const ann = world.joined("ann", { isStream: true });
    world.run(11_000);
    expect(idle.filter((stream) => stream.isOpen).length).toBe(0);
    world.expectFlow(ann);
    expect(world.said("peer.refused").length).toBeLessThan(60);
  });

  test("whose first packet is no client's are closed at once, and a wrong packet later ends them", () => {
    for (const wrap of WRAPS) {
      const world = new World(1, { wrap });
      const stream = world.idleStream();
      world.sayStream(stream, new TextEncoder().encode("GET / HTTP/1.1"));
      expect(stream.isOpen).toBe(false);
      const second = world.idleStream();
      world.sayStream(second, reset(wrap));
      expect([second.isOpen, second.sent.length > 0]).toEqual([true, true]);
      world.sayStream(second, Uint8Array.of(0, 1, 2, 3));
      world.run(100);
      expect(second.isOpen).toBe(false);
    }
  });
});

describe("packets that look like a client's", () => {
  test("data with the number of nobody, or of a client, from anywhere: nothing is sent, delivered or moved", () => {
    const world = new World(1);
    const ann = world.joined("ann");
    const before = [world.sent.length, world.side.received.length];
    for (let n = 0; n < 4000; n++) {
      const bytes = new Uint8Array(4 + randomBelow(world.random, 90));
      world.random.fill(bytes);
      bytes[0] = (9 << 3) | (n & 7);
      if (n % 2 === 0) bytes.set([0, 0, n % 4 === 0 ? 0 : world.peerOf(ann)], 1);
      world.strange(n % 3 === 0 ? ann.endpoint : spoofed(n), bytes);
    }
    expect([world.sent.length, world.side.received.length]).toEqual(before);
    expect([world.said("peer.float"), world.said("internal.error")]).toEqual([[], []]);
    world.expectFlow(ann);
  });

  test("control packets at a client's address with any content leave its session as it is", () => {
    for (const wrap of WRAPS) {
      const world = new World(1, { wrap });
      const ann = world.joined("ann");
      const own = world.sent.find(({ to }) => to.port === ann.endpoint.port)!.bytes.slice(1, 9);
      for (let opcode = 0; opcode < 32; opcode++)
        for (const packetId of [0, 1, 5, 0xffffffff])
          for (const sessionId of [new Uint8Array(8), own]) {
            const acks = opcode === 5 ? [0] : [];
            const peerSessionId = opcode === 5 ? own : undefined;
            const fields = { opcode, packetId: opcode === 5 ? undefined : packetId, sessionId, acks, peerSessionId };
            // Without a wrap whoever sees a session can end it: not with another session id.
            if (wrap.kind === "none" && sessionId === own) continue;
            world.strange(ann.endpoint, sealed(wrap, fields));
            world.strange(ann.endpoint, sealed(NO_WRAP, fields).subarray(0, 5 + opcode));
          }
      world.run(3000);
      expect([world.said("peer.down"), world.said("internal.error")]).toEqual([[], []]);
      world.expectFlow(ann);
    }
  });

  test("of a client that is gone: its control and data packets mean nothing any more (CVE-2026-40215)", () => {
    const world = new World(1);
    const ann = world.joined("ann");
    const late = [world.sealUp(ann, packet(1)), ...ann.sent];
    world.listener.kill(world.now, "ann");
    world.run(3000);
    ann.isDead = true;
    const bob = world.joined("bob");
    const before = world.side.received.length;
    for (const bytes of late) for (const from of [ann.endpoint, bob.endpoint]) world.strange(from, bytes);
    world.run(20_000);
    expect(world.side.received.length).toBe(before);
    expect(world.said("internal.error")).toEqual([]);
    world.expectFlow(bob);
  });
});

test("random, cut and changed packets of every kind, from everywhere: the server lives, and a client notices nothing", () => {
  for (const wrap of WRAPS) {
    const world = new World(7, { wrap });
    const ann = world.joined("ann");
    const templates = [...ann.sent, world.sealUp(ann, packet(3)), reset(wrap)];
    for (let n = 0; n < 4000; n++) {
      const template = templates[randomBelow(world.random, templates.length)]!;
      const bytes = template.slice(0, 1 + randomBelow(world.random, template.length));
      for (let k = randomBelow(world.random, 4); k > 0; k--) {
        const at = randomBelow(world.random, bytes.length);
        bytes[at] = bytes[at]! ^ (1 << randomBelow(world.random, 8));
      }
      // What she has sent herself may do what it did when it came from her.
      if (wrap.kind === "none") world.strange(spoofed(n % 7), bytes);
      else world.strange(n % 5 === 0 ? ann.endpoint : spoofed(n % 7), bytes);
      if (n % 50 === 0) world.run(500);
    }
    world.run(5000);
    expect(world.said("internal.error")).toEqual([]);
    expect([...world.listener.peers()].map(({ name }) => name)).toEqual(["ann"]);
    world.expectFlow(ann);
  }
}, 60_000);

test("a datagram with the number of a client that comes over a connection does not touch it", () => {
  const world = new World(1);
  const ann = world.joined("ann", { isStream: true });
  const bytes = world.sealUp(ann, packet(1));
  for (const forged of [bytes, bytes.with(20, 0), bytes.subarray(0, 12)]) world.strange(spoofed(1), forged);
  world.run(1000);
  expect([world.said("peer.down"), world.listener.counters()["peer-unknown"]]).toEqual([[], 3]);
  world.expectFlow(ann);
});

describe("passwords that are looked into", () => {
  test("of one address are bounded; who is over that is told to come again, and others have room", () => {
    const world = new World(1);
    const place = world.newEndpoint();
    const crowd = Array.from({ length: 40 }, (_, n) => `c${n}`);
    for (const name of [...crowd, "ann"]) world.desk.withPassword.set(name, "pw");
    const clients = crowd.map((name, n) => world.client(name, { endpoint: { ...place, port: 2000 + n } }));
    world.run(5000);
    expect(world.passwords.waiting).toBe(32);
    expect(clients.filter(({ end }) => end !== undefined).map(({ end }) => end)).toMatchObject(
      Array.from({ length: 8 }, () => ({ kind: "auth-failed", temporary: { backoff: 5 } })),
    );
    world.client("ann");
    world.run(5000);
    expect(world.passwords.waiting).toBe(33);
    world.passwords.settle(world.now);
    world.run(5000);
    expect(world.listener.peers().length).toBe(33);
    const late = world.client("ann", { endpoint: { ...place, port: 3000 } });
    world.passwords.isPrompt = true;
    expect(world.run(5000, () => late.isUp)).toBe(true);
  });

  test("of who has left are not, and where there is no room at all a client is told to come again", () => {
    const world = new World(1);
    for (const name of ["ann", "bob", "cid"]) world.desk.withPassword.set(name, "pw");
    const ann = world.client("ann", { isStream: true });
    world.passwords.room = 1;
    expect(world.run(5000, () => world.passwords.waiting === 1)).toBe(true);
    const bob = world.client("bob");
    world.run(5000);
    expect(bob.end).toMatchObject({ kind: "auth-failed", temporary: { backoff: 5 } });
    world.disconnect(ann);
    expect(world.passwords.waiting).toBe(0);
    world.passwords.isPrompt = true;
    world.joined("cid");
  });
});
