/** What guards a session and what ends it in time: each test fails without the check or the timer that it names. */

import { describe, expect, test } from "bun:test";
import type { ControlWrap } from "../../src/protocol/config/types.ts";
import { NO_WRAP, PUSH, TLS_AUTH, TLS_CRYPT } from "../support/client-config.ts";
import type { IndependentServer } from "../support/independent/server.ts";
import {
  ACK,
  CONTROL,
  type ControlPacket,
  decode,
  encode,
  HARD_RESET_SERVER,
  keyId,
  opcode,
  SOFT_RESET,
} from "../support/independent/wire.ts";
import { unwrap, wrap } from "../support/independent/wrap.ts";
import { independentWrap, packet, Sim, up } from "../support/sim.ts";
import { total } from "../support/total.ts";

const NO_ID = Buffer.alloc(8, 7);

/** The client's first packet, with nothing answered yet. */
function started(lines: readonly string[] = []): { sim: Sim; own: Buffer } {
  const sim = new Sim(1, { wrap: NO_WRAP, lines });
  sim.session.start(sim.now);
  const toServer: Uint8Array[] = [];
  sim.peer.handle = (_now, bytes) => void toServer.push(bytes);
  sim.run(100);
  return { sim, own: decode(Buffer.from(toServer[0] as Uint8Array)).from };
}

const SERVER = Buffer.alloc(8, 0x55);
const reset = (own: Buffer, change: Partial<ControlPacket> = {}): Uint8Array =>
  encode({
    opcode: HARD_RESET_SERVER,
    keyId: 0,
    from: SERVER,
    acks: [0],
    to: own,
    id: 0,
    payload: Buffer.alloc(0),
    ...change,
  });

describe("the first answer", () => {
  const dropped = (change: Partial<ControlPacket>): Record<string, number> => {
    const { sim, own } = started();
    sim.deliver(reset(own, change));
    sim.run(10);
    expect([sim.count("server-answered"), sim.session.state]).toEqual([0, "handshake"]);
    // the client asks on: nothing was taken as acknowledged
    const before = sim.sentAt.length;
    sim.run(3000);
    expect(sim.sentAt.length).toBe(before + 1);
    return sim.session.drops.snapshot();
  };

  test("names our session id: one that names another, or none, is dropped (CVE-2025-13086 is the server's kind of it)", () => {
    expect(dropped({ to: NO_ID })).toEqual({ "control-session-id": 1 });
    expect(dropped({ acks: [], to: undefined })).toEqual({ "control-session-id": 1 });
    expect(dropped({ opcode: ACK, id: undefined, to: NO_ID })).toEqual({ "control-session-id": 1 });
  });

  test("is a reset of key id 0 and packet id 0, or acknowledges ours", () => {
    expect(dropped({ keyId: 1 })).toEqual({ "control-unexpected": 1 });
    expect(dropped({ id: 1 })).toEqual({ "control-unexpected": 1 });
    expect(dropped({ opcode: CONTROL, payload: Buffer.from("x") })).toEqual({ "control-unexpected": 1 });
    expect(dropped({ opcode: SOFT_RESET })).toEqual({ "control-unexpected": 1 });
  });

  test("begins with a reset: TLS before one ends the attempt", () => {
    const { sim, own } = started();
    sim.deliver(reset(own, { opcode: ACK, id: undefined }));
    sim.deliver(reset(own, { opcode: CONTROL, acks: [], to: undefined, payload: Buffer.from("x") }));
    sim.run(10);
    expect(sim.end).toMatchObject({ kind: "unusable", problem: expect.stringContaining("reset") });
  });
});

describe("acknowledgements", () => {
  test("for another session acknowledge nothing: what was said is said again", () => {
    const sim = up(2, { wrap: NO_WRAP });
    const [client, server] = idsOf(sim);
    sim.peer.mute = true;
    sim.peer.renegotiate(sim.now);
    sim.peer.mute = false;
    sim.run(10, () => false);
    const before = total(sim.session.drops);
    for (const to of [NO_ID, server]) sim.deliver(encode(ack(server, to, [0, 1, 2])));
    expect(total(sim.session.drops)).toBe(before + 2);
    expect(sim.run(10_000, () => sim.count("rekeyed") === 1)).toBe(true);
    expect(client.equals(server)).toBe(false);
    sim.expectFlow();
  });

  test("of what came twice are sent twice: a server whose acknowledgements are lost comes to its end", () => {
    const sim = up(3, { wrap: NO_WRAP });
    const acksOf = (id: number): number => acked.filter((ids) => ids.includes(id)).length;
    const acked: (readonly number[])[] = [];
    const handle = sim.peer.handle.bind(sim.peer);
    sim.peer.handle = (now, bytes) => {
      if (opcode(bytes) === ACK && keyId(bytes) === 0) acked.push(decode(Buffer.from(bytes)).acks);
      handle(now, bytes);
    };
    const last = sim.fromPeer.filter((p) => opcode(p) === CONTROL).at(-1) as Uint8Array;
    const { id } = decode(Buffer.from(last));
    for (let i = 1; i <= 3; i++) {
      sim.deliver(last);
      sim.run(100);
      expect(acksOf(id as number)).toBe(i);
    }
  });
});

describe("protected control packets", () => {
  const sides = [
    {
      how: TLS_AUTH,
      client: independentWrap(TLS_AUTH),
      server: independentWrap({ ...TLS_AUTH, direction: 0 } as ControlWrap),
    },
    { how: TLS_CRYPT, client: independentWrap(TLS_CRYPT), server: independentWrap(TLS_CRYPT) },
  ];

  test.each(sides)(
    "$how.kind: each is taken once, a late one within the window still, and time does not go back",
    ({ how, client, server }) => {
      const sim = up(4, { wrap: how });
      const last = Buffer.from(sim.fromPeer.filter((p) => opcode(p) === CONTROL).at(-1) as Uint8Array);
      const { plain, replay } = unwrap(client, "client", last);
      const { id, time } = replay as { id: number; time: number };
      const taken = (replayId: number, at: number): boolean => {
        const before = sim.session.drops.snapshot()["control-replay"] ?? 0;
        sim.deliver(wrap(server, "server", replayId, at, plain));
        return (sim.session.drops.snapshot()["control-replay"] ?? 0) === before;
      };
      expect([taken(id + 100, time), taken(id + 100, time)]).toEqual([true, false]);
      expect([taken(id + 90, time), taken(id + 90, time), taken(id + 36, time)]).toEqual([true, false, false]);
      expect(taken(id + 101, time - 1)).toBe(false);
      // a later time starts the ids anew, and the earlier ones are over
      expect([taken(0, time + 1), taken(1, time + 1), taken(1, time + 1)]).toEqual([false, true, false]);
      expect([taken(2, time + 1), taken(id + 150, time)]).toEqual([true, false]);
    },
  );

  test("what is authentic, but of another session, uses up no replay ids", () => {
    const sim = up(5, { wrap: TLS_CRYPT });
    const how = independentWrap(TLS_CRYPT);
    const last = Buffer.from(sim.fromPeer.at(-1) as Uint8Array);
    const { plain, replay } = unwrap(how, "client", last);
    const other = Buffer.from(plain);
    other.fill(9, 1, 9);
    const { id, time } = replay as { id: number; time: number };
    for (let i = 1; i < 400; i++) sim.deliver(wrap(how, "server", id + i, time, other));
    expect(sim.session.drops.snapshot()).toEqual({ "control-session-id": 399 });
    sim.peer.renegotiate(sim.now);
    expect(sim.run(5000, () => sim.count("rekeyed") === 1)).toBe(true);
  });
});

describe("keys", () => {
  test("reneg-pkts and reneg-bytes renew the key in use", () => {
    for (const line of ["reneg-pkts 50", "reneg-bytes 3000"]) {
      const sim = up(6, { lines: ["reneg-sec 0", line] });
      for (let n = 0; n < 40; n++) sim.sendData(packet(n));
      sim.run(1000);
      expect([line, sim.count("rekeyed")]).toEqual([line, 0]);
      // what comes in counts too
      for (let n = 0; n < 12; n++) sim.answerData(packet(n));
      expect(sim.run(5000, () => sim.count("rekeyed") === 1)).toBe(true);
      sim.expectFlow();
    }
  });

  test("a key whose packet ids come to their end on the server's side is renewed", () => {
    const sim = up(7, { lines: ["reneg-sec 0"] });
    (sim.peer as IndependentServer).skipDataIds(0xff00_0000);
    sim.answerData(packet(1));
    expect(sim.run(5000, () => sim.count("rekeyed") === 1)).toBe(true);
    sim.expectFlow();
  });

  test("reneg-sec: the key is renewed in its time, and not before", () => {
    const sim = up(8, { lines: ["reneg-sec 100 100"], peer: { push: PUSH.slice(0, 3) } });
    sim.run(98_000, () => sim.count("rekeyed") > 0);
    expect(sim.count("rekeyed")).toBe(0);
    sim.run(3000);
    expect(sim.count("rekeyed")).toBe(1);
  });

  test("a renegotiation that is done has no end: the session idles on past its hand-window", () => {
    const sim = up(9, { lines: ["reneg-sec 0", "hand-window 20"], peer: { push: PUSH.slice(0, 2) } });
    sim.peer.renegotiate(sim.now);
    expect(sim.run(5000, () => sim.count("rekeyed") === 1)).toBe(true);
    sim.run(100_000);
    expect(sim.end).toBeUndefined();
    sim.expectFlow();
  });

  test("late packets of the exchange before are acknowledged: the server does not repeat them for ever", () => {
    const sim = up(10, { wrap: NO_WRAP, lines: ["reneg-sec 0"] });
    const last = sim.fromPeer.filter((p) => opcode(p) === CONTROL).at(-1) as Uint8Array;
    sim.peer.renegotiate(sim.now);
    expect(sim.run(5000, () => sim.count("rekeyed") === 1)).toBe(true);
    const before = sim.sentAt.length;
    sim.deliver(last);
    sim.run(100);
    expect(sim.sentAt.length).toBe(before + 1);
  });

  test("the old key opens packets for tran-window, and not longer", () => {
    const sim = up(11, { lines: ["reneg-sec 0", "tran-window 30"] });
    const old = sim.peer.seal(sim.now, packet(1)) as Uint8Array;
    const older = sim.peer.seal(sim.now, packet(2)) as Uint8Array;
    sim.peer.renegotiate(sim.now);
    sim.run(5000, () => sim.count("rekeyed") === 1);
    sim.run(1000);
    sim.expectFlow();
    sim.deliver(old);
    expect(sim.received.at(-1)).toEqual(packet(1));
    sim.run(31_000);
    sim.deliver(older);
    expect(sim.session.drops.snapshot()).toEqual({ "data-key-id": 1 });
  });
});

describe("data packets", () => {
  test("with another peer id, without a tag that fits, and repeated are drops of their own", () => {
    const sim = up(12);
    const sealed = sim.peer.seal(sim.now, packet(1)) as Uint8Array;
    const change = (at: number): Uint8Array => sealed.map((byte, i) => (i === at ? byte ^ 1 : byte));
    sim.deliver(change(3));
    sim.deliver(change(sealed.length - 1));
    sim.deliver(change(8));
    expect(sim.received).toEqual([]);
    // forged ones use up no packet id
    sim.deliver(sealed);
    sim.deliver(sealed);
    expect(sim.received).toEqual([packet(1)]);
    expect(sim.session.drops.snapshot()).toEqual({ "data-peer-id": 1, "data-authentication": 2, "data-replay": 1 });
  });

  test("come late within replay-window and not behind it", () => {
    const sim = up(13, { lines: ["replay-window 16"] });
    const sealed = Array.from({ length: 40 }, (_, n) => sim.peer.seal(sim.now, packet(n)) as Uint8Array);
    sim.deliver(sealed[39] as Uint8Array);
    sim.deliver(sealed[24] as Uint8Array);
    sim.deliver(sealed[23] as Uint8Array);
    expect(sim.received).toEqual([packet(39), packet(24)]);
    expect(sim.session.drops.snapshot()).toEqual({ "data-replay": 1 });
  });
});

describe("what the server says", () => {
  test("a key message without an end ends the attempt", () => {
    const sim = new Sim(14, { wrap: NO_WRAP });
    const server = sim.peer as IndependentServer;
    server.keyMessage = () =>
      Buffer.concat([
        Buffer.from([0, 0, 0, 0, 2]),
        Buffer.alloc(64),
        Buffer.from([0x30, 0x00]),
        Buffer.alloc(9000, 65),
      ]);
    sim.session.start(sim.now);
    expect(sim.run(20_000, () => sim.end !== undefined)).toBe(true);
    expect(sim.end).toMatchObject({ kind: "unusable", problem: "a string is too long" });
  });

  test("a certificate that is not the one asked for ends the session before a login is sent", () => {
    const sim = new Sim(15, { lines: ["verify-x509-name other name"] });
    sim.session.start(sim.now);
    expect(sim.run(20_000, () => sim.end !== undefined)).toBe(true);
    expect([sim.end?.kind, sim.peer.login]).toEqual(["certificate-rejected", [undefined, undefined]]);
  });

  test("its OCC exit notice ends the session", () => {
    const sim = up(17);
    const exit = Uint8Array.fromHex("287f346bd4ef7a812d56b8d3afc5459c06");
    sim.deliver(sim.peer.seal(sim.now, exit) as Uint8Array);
    sim.run(10);
    expect([sim.end?.kind, sim.received]).toEqual(["server-exit", []]);
  });
});

describe("timers", () => {
  test("a push request is repeated every 5 s until a reply comes", () => {
    const sim = new Sim(18);
    sim.peer.withholdsPush = true;
    sim.session.start(sim.now);
    sim.run(5000, () => sim.session.state === "push");
    sim.run(21_000);
    expect((sim.peer as IndependentServer).messages.filter((m) => m === "PUSH_REQUEST").length).toBe(5);
    sim.peer.withholdsPush = false;
    expect(sim.run(6000, () => sim.session.isUp)).toBe(true);
  });

  test("a server that never pushes: handshake-timeout after hand-window", () => {
    const sim = new Sim(19, { lines: ["hand-window 30"] });
    sim.peer.withholdsPush = true;
    sim.session.start(sim.now);
    sim.run(5000, () => sim.session.state === "push");
    const start = sim.now;
    expect(sim.run(60_000, () => sim.end !== undefined)).toBe(true);
    expect([sim.end?.kind, sim.now - start]).toEqual(["handshake-timeout", 30_000]);
  });

  test("pings: one after each silence of ours, none while we send", () => {
    const sim = up(20);
    const server = sim.peer as IndependentServer;
    const start = server.pings;
    sim.run(35_000);
    expect(server.pings - start).toBe(3);
    for (let n = 0; n < 35; n++) {
      sim.sendData(packet(n));
      sim.run(1000);
    }
    expect(server.pings - start).toBe(3);
  });

  test("pings of the server keep the session, its silence ends it after ping-restart; ping-exit says so", () => {
    for (const [pushed, exit] of [
      ["ping-restart 20", false],
      ["ping-exit 20", true],
    ] as const) {
      const sim = up(21, { peer: { push: [...PUSH.slice(0, 3), pushed] } });
      for (let n = 0; n < 10; n++) {
        sim.run(10_000);
        sim.deliver((sim.peer as IndependentServer).ping(sim.now) as Uint8Array);
      }
      const start = sim.now;
      expect(sim.run(60_000, () => sim.end !== undefined)).toBe(true);
      expect([sim.end, sim.now - start]).toEqual([{ kind: "ping-timeout", seconds: 20, exit }, 20_000]);
    }
  });

  test("inactive: a session with less than so many bytes in so many seconds is over; pings do not count", () => {
    const sim = up(22, { lines: ["inactive 60 300"], peer: { push: PUSH.slice(0, 3) } });
    const server = sim.peer as IndependentServer;
    const start = sim.now;
    for (let n = 0; sim.end === undefined && n < 30; n++) {
      if (n < 12) sim.sendData(packet(n));
      sim.deliver(server.ping(sim.now) as Uint8Array);
      sim.run(10_000, () => sim.end !== undefined);
      if (n < 12) expect(sim.end).toBeUndefined();
    }
    expect(sim.end?.kind).toBe("inactive");
    expect(sim.now - start).toBeWithin(120_000, 240_001);
  });

  test("session-timeout ends a session however busy it is", () => {
    const sim = up(23, { lines: ["session-timeout 60"] });
    const start = sim.now;
    for (let n = 0; n < 100 && sim.end === undefined; n++) {
      sim.sendData(packet(n));
      sim.answerData(packet(n));
      sim.run(1000, () => sim.end !== undefined);
    }
    expect([sim.end?.kind, sim.now - start]).toEqual(["session-timeout", expect.any(Number)]);
    expect(sim.now - start).toBeWithin(59_000, 60_001);
  });

  test("a goodbye waits for the server's acknowledgement, and at most for explicit-exit-notify", () => {
    const heard = up(24, { lines: ["explicit-exit-notify 3"] });
    heard.session.close(heard.now);
    const start = heard.now;
    expect(heard.run(10_000, () => heard.end !== undefined)).toBe(true);
    expect([heard.peer.exited, heard.now - start < 500]).toEqual([true, true]);
    const unheard = up(24, { lines: ["explicit-exit-notify 3"] });
    unheard.link.loss = 1;
    unheard.session.close(unheard.now);
    const begin = unheard.now;
    expect(unheard.run(10_000, () => unheard.end !== undefined)).toBe(true);
    expect([unheard.end, unheard.now - begin]).toEqual([{ kind: "closed" }, 3000]);
  });

  test("a goodbye without control messages is said explicit-exit-notify times, a second apart", () => {
    const sim = up(25, { lines: ["explicit-exit-notify 3"], peer: { ekm: false } });
    const from = sim.sentAt.length;
    const start = sim.now;
    sim.session.close(sim.now);
    expect(sim.run(10_000, () => sim.end !== undefined)).toBe(true);
    sim.run(100);
    expect(sim.sentAt.slice(from).map((at) => at - start)).toEqual([0, 1000, 2000]);
    expect(sim.peer.exited).toBe(true);
  });

  test("whatever the profile or the server says, a goodbye is said five times at most", () => {
    const sim = up(27, { peer: { ekm: false, push: [...PUSH, "explicit-exit-notify 100"] } });
    const from = sim.sentAt.length;
    sim.session.close(sim.now);
    expect(sim.run(200_000, () => sim.end !== undefined)).toBe(true);
    sim.run(100);
    expect(sim.sentAt.length - from).toBe(5);
  });

  test("a server that does not answer a renegotiation: over after hand-window", () => {
    const sim = up(26, { lines: ["hand-window 20", "reneg-sec 30 30"], peer: { push: PUSH.slice(0, 2) } });
    const start = sim.now;
    sim.peer.mute = true;
    expect(sim.run(80_000, () => sim.end !== undefined)).toBe(true);
    expect([sim.end?.kind, sim.now - start]).toEqual(["renegotiation-failed", expect.any(Number)]);
    expect(sim.now - start).toBeWithin(49_000, 50_001);
  });
});

/** The session ids of a session without protection: the client's, the server's. */
function idsOf(sim: Sim): [Buffer, Buffer] {
  const answer = decode(Buffer.from(sim.fromPeer.find((p) => opcode(p) === HARD_RESET_SERVER) as Uint8Array));
  return [answer.to as Buffer, answer.from];
}

const ack = (from: Buffer, to: Buffer, acks: readonly number[]): ControlPacket => ({
  opcode: ACK,
  keyId: 1,
  from,
  acks,
  to,
  id: undefined,
  payload: Buffer.alloc(0),
});
