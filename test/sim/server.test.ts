/** The server's session with one client: logins, verdicts, pushes, and how it ends. The client is the product's own. */
import { describe, expect, test } from "bun:test";
import { noblePrimitives } from "../../src/protocol/control/noble-primitives.ts";
import { HARD_RESET_CLIENT_V2, HARD_RESET_SERVER_V2 } from "../../src/protocol/control/opcode.ts";
import { type ControlPacket, controlEmit, controlRead } from "../../src/protocol/control/packet.ts";
import { controlCrypto } from "../../src/protocol/control/protection.ts";
import { GCM_RENEGOTIATE } from "../../src/protocol/data/aead-key.ts";
import {
  SERVER_TRANSITIONS,
  type ServerSessionEvent,
  type ServerStateKind,
  type Verdict,
} from "../../src/protocol/session/server.ts";
import { PUSH, TLS_CRYPT } from "../support/client-config.ts";
import type { OpenvpnPeer } from "../support/openvpn-peer.ts";
import { packet, Sim } from "../support/sim.ts";

type Options = NonNullable<ConstructorParameters<typeof Sim>[1]>;

/** With the product's server, whose verdicts the test gives. */
function start(options: Options = {}): { sim: Sim; peer: OpenvpnPeer } {
  const sim = new Sim(1, { server: "product", ...options });
  const peer = sim.peer as OpenvpnPeer;
  peer.withholdsPush = true;
  sim.session.start(sim.now);
  return { sim, peer };
}

function login(options: Options = {}): { sim: Sim; peer: OpenvpnPeer } {
  const { sim, peer } = start(options);
  expect(sim.run(5000, () => peer.session.state === "login")).toBe(true);
  return { sim, peer };
}

function up(options: Options = {}): { sim: Sim; peer: OpenvpnPeer } {
  const { sim, peer } = login(options);
  peer.session.decide(sim.now, ACCEPT);
  expect(sim.run(5000, () => sim.session.isUp)).toBe(true);
  sim.run(200);
  return { sim, peer };
}

const ACCEPT: Verdict = { kind: "accept", peerId: 5, options: PUSH };
const moves = (peer: OpenvpnPeer): string[] => peer.events.flatMap((e) => (e.kind === "moved" ? [e.to] : []));
const endOf = (peer: OpenvpnPeer): object | undefined => {
  const event = peer.events.find((e): e is ServerSessionEvent & { kind: "ended" } => e.kind === "ended");
  return event?.end;
};

describe("a login", () => {
  test("shows user, password, peer info and the certificate, and waits for the verdict", () => {
    const { sim, peer } = login();
    const event = peer.events.find((e) => e.kind === "login");
    expect(event).toMatchObject({ isRenewal: false, login: { user: "ann", password: "pw" } });
    if (event?.kind !== "login") throw new Error("no login");
    expect(event.login.peerInfo).toContain("IV_CIPHERS=");
    expect(event.login.certificates.length).toBe(1);
    sim.run(10_000);
    expect([peer.session.state, sim.session.state]).toEqual(["login", "push"]);
  });

  test("accepted: the client is pushed to without asking, and data flows both ways", () => {
    const { sim, peer } = up();
    expect(moves(peer)).toEqual(["handshake", "login", "configured", "up"]);
    expect(sim.events.find((e) => e.kind === "up")).toMatchObject({
      options: expect.arrayContaining([...PUSH]),
      peerId: 5,
    });
    sim.expectFlow();
    expect([peer.session.drops.snapshot(), sim.session.drops.snapshot()]).toEqual([{}, {}]);
    expect(peer.session.traffic()).toMatchObject({ sealed: 1, opened: 1 });
  });

  test("accepted before the client asks: the options come with the keys, and nothing is waited for", () => {
    const { sim, peer } = start();
    peer.withholdsPush = false;
    expect(sim.run(5000, () => sim.session.state !== "handshake")).toBe(true);
    expect([sim.session.state, sim.moves]).toEqual(["up", ["handshake", "push", "up"]]);
  });

  test("a tunnel that is up has no deadline: both idle for longer than any of the handshake's", () => {
    const { sim, peer } = login({ lines: ["reneg-sec 0", "ping-restart 0"] });
    peer.session.decide(sim.now, { kind: "accept", peerId: 5, options: ["ifconfig 10.8.0.2 255.255.255.0"] });
    sim.run(300_000);
    expect([peer.session.state, sim.session.state]).toEqual(["up", "up"]);
    sim.expectFlow();
  });

  test("more options than a message takes arrive all the same", () => {
    const routes = Array.from({ length: 150 }, (_, i) => `route 10.${i}.0.0 255.255.0.0`);
    const { sim, peer } = login();
    peer.session.decide(sim.now, { kind: "accept", peerId: 5, options: [...PUSH, ...routes] });
    expect(sim.run(5000, () => sim.session.isUp)).toBe(true);
    const event = sim.events.find((e) => e.kind === "up");
    expect(event?.kind === "up" && routes.every((route) => event.options.includes(route))).toBe(true);
  });

  test("refused: the client hears the reason, acknowledges it, and the session ends", () => {
    const { sim, peer } = login();
    peer.session.decide(sim.now, { kind: "reject", reason: "no such user" });
    expect(sim.run(5000, () => endOf(peer) !== undefined)).toBe(true);
    expect(sim.end).toMatchObject({ kind: "auth-failed", reason: "no such user", temporary: undefined });
    expect(endOf(peer)).toEqual({ kind: "refused", reason: "no such user" });
    expect(moves(peer)).toEqual(["handshake", "login", "closing", "ended"]);
  });

  test("refused for now, with the server's word on when and where to try again", () => {
    const { sim, peer } = login();
    const temporary = { backoff: 42, advance: "no" } as const;
    peer.session.decide(sim.now, { kind: "reject", reason: "busy", temporary });
    sim.run(1000);
    expect(sim.end).toMatchObject({ kind: "auth-failed", reason: "busy", temporary });
  });

  test("pending: the client waits longer than hand-window, and the verdict counts then", () => {
    const { sim, peer } = login({ lines: ["hand-window 20", "reneg-sec 600"] });
    peer.session.decide(sim.now, { kind: "pending", seconds: 120 });
    sim.run(100_000);
    expect([sim.count("auth-pending"), sim.session.state, peer.session.state]).toEqual([1, "push", "login"]);
    peer.session.decide(sim.now, ACCEPT);
    expect(sim.run(5000, () => sim.session.isUp)).toBe(true);
    sim.expectFlow();
  });

  test("without a verdict the session ends after hand-window", () => {
    const { sim, peer } = login();
    sim.run(70_000);
    expect(endOf(peer)).toMatchObject({ kind: "handshake-timeout" });
  });

  test("a client without a cipher in common is told so in OpenVPN's words", () => {
    const { sim, peer } = login({ lines: ["data-ciphers AES-128-GCM"], peer: { cipher: "CHACHA20-POLY1305" } });
    peer.session.decide(sim.now, ACCEPT);
    sim.run(2000);
    expect(sim.end).toMatchObject({ kind: "auth-failed", reason: expect.stringContaining("no shared cipher") });
    expect(endOf(peer)).toMatchObject({ kind: "refused" });
  });

  test("UTF-8 names are the same on both sides", () => {
    const { peer } = login({ authToken: { token: "pässwörd", user: "Zoë" } });
    expect(peer.login).toEqual(["Zoë", "pässwörd"]);
  });

  test("a verdict that nobody asked for has no meaning", () => {
    const { sim, peer } = start();
    peer.session.decide(sim.now, ACCEPT);
    expect(sim.run(5000, () => peer.session.state === "login")).toBe(true);
    peer.session.decide(sim.now, ACCEPT);
    expect(sim.run(5000, () => sim.session.isUp)).toBe(true);
    peer.session.decide(sim.now, { kind: "reject", reason: "late" });
    sim.run(2000);
    expect([peer.session.state, sim.session.state]).toEqual(["up", "up"]);
  });
});

describe("a renegotiation", () => {
  test.each(["server", "client"])(
    "by the %s logs in again; data flows meanwhile, and with the new key after it",
    (who) => {
      const { sim, peer } = up({ lines: [who === "client" ? "reneg-sec 20 20" : "reneg-sec 0"] });
      if (who === "server") peer.renegotiate(sim.now);
      expect(sim.run(30_000, () => peer.events.some((e) => e.kind === "login" && e.isRenewal))).toBe(true);
      sim.expectFlow();
      expect(peer.events.some((e) => e.kind === "rekeyed")).toBe(false);
      peer.session.decide(sim.now, ACCEPT);
      peer.withholdsPush = true;
      sim.run(1000);
      sim.expectFlow();
      expect(peer.events.filter((e) => e.kind === "rekeyed")).toEqual([
        { kind: "rekeyed", keyId: 1, cipher: "AES-256-GCM" },
      ]);
      expect([sim.count("rekeyed"), peer.session.state, sim.end]).toEqual([1, "up", undefined]);
    },
  );

  test("in the epoch format too, after epochs that ended", () => {
    const start = { keyUse: { sent: GCM_RENEGOTIATE, received: GCM_RENEGOTIATE } };
    const { sim, peer } = up({ lines: ["reneg-sec 20 20"], peer: { config: { epoch: true }, start } });
    sim.expectFlow();
    expect(sim.count("rekeyed")).toBe(0);
    expect(sim.run(30_000, () => peer.events.some((e) => e.kind === "login" && e.isRenewal))).toBe(true);
    sim.expectFlow();
    peer.session.decide(sim.now, ACCEPT);
    sim.run(1000);
    sim.expectFlow();
    expect([sim.count("rekeyed"), sim.end, sim.session.drops.snapshot()]).toEqual([1, undefined, {}]);
  });

  test("that waits for its verdict holds back any other, whoever would begin it: a verdict is about one login", () => {
    // the client asks by the clock, the server because its key is worn and because it is told to
    const keyUse = { received: GCM_RENEGOTIATE };
    const { sim, peer } = up({ lines: ["reneg-sec 5 5"], peer: { start: { keyUse } } });
    const renewals = (): number => peer.events.filter((e) => e.kind === "login" && e.isRenewal).length;
    sim.sendData(packet(1));
    expect(sim.run(5000, () => renewals() > 0)).toBe(true);
    for (let n = 0; n < 30; n++) {
      sim.sendData(packet(n));
      peer.session.renegotiate(sim.now);
      sim.run(1000);
    }
    expect([renewals(), peer.session.state, sim.end]).toEqual([1, "up", undefined]);
    peer.session.decide(sim.now, ACCEPT);
    expect(sim.run(10_000, () => renewals() > 1)).toBe(true);
    peer.session.decide(sim.now, { kind: "reject", reason: "locked" });
    sim.run(10_000);
    expect(endOf(peer)).toEqual({ kind: "refused", reason: "locked" });
  });

  test("without a verdict ends the session after hand-window, or after the time that was asked for", () => {
    for (const [pending, seconds] of [
      [undefined, 60],
      [200, 200],
    ] as const) {
      const { sim, peer } = up({ lines: ["reneg-sec 0"] });
      peer.renegotiate(sim.now);
      expect(sim.run(5000, () => peer.events.some((e) => e.kind === "login" && e.isRenewal))).toBe(true);
      const asked = sim.now;
      if (pending !== undefined) peer.session.decide(sim.now, { kind: "pending", seconds: pending });
      sim.run(500_000, () => endOf(peer) !== undefined);
      expect([endOf(peer), sim.now - asked]).toEqual([
        expect.objectContaining({ kind: "handshake-timeout" }),
        seconds * 1000,
      ]);
    }
  });

  test("that is decided has no deadline any more", () => {
    const { sim, peer } = up({ lines: ["reneg-sec 0"] });
    peer.renegotiate(sim.now);
    expect(sim.run(5000, () => peer.events.some((e) => e.kind === "login" && e.isRenewal))).toBe(true);
    peer.session.decide(sim.now, ACCEPT);
    sim.run(200_000);
    expect(endOf(peer)).toBeUndefined();
  });

  test("that is refused ends the session with the reason", () => {
    const { sim, peer } = up();
    peer.renegotiate(sim.now);
    expect(sim.run(5000, () => peer.events.some((e) => e.kind === "login" && e.isRenewal))).toBe(true);
    peer.session.decide(sim.now, { kind: "reject", reason: "account closed" });
    sim.run(5000);
    expect([sim.end?.kind, endOf(peer)]).toEqual(["auth-failed", { kind: "refused", reason: "account closed" }]);
  });
});

describe("the end", () => {
  test.each([
    ["EXIT over the control channel", true],
    ["an exit notice over the data channel", false],
  ])("a client that leaves with %s", (_how, ccExit) => {
    const { sim, peer } = up({ lines: ["explicit-exit-notify 2"] });
    if (ccExit) sim.session.close(sim.now);
    else sim.sendData(Uint8Array.fromHex("287f346bd4ef7a812d56b8d3afc5459c06"));
    sim.run(5000);
    expect(endOf(peer)).toEqual({ kind: "client-exit" });
  });

  test("the server leaves: the client hears it before the session is closed", () => {
    const { sim, peer } = up({ peer: { config: { exitNotify: 2 } } });
    peer.session.close(sim.now);
    expect(peer.session.state).toBe("closing");
    sim.run(5000);
    expect([sim.end, endOf(peer)]).toEqual([{ kind: "server-exit" }, { kind: "closed" }]);
  });

  test("what is said while a renegotiation is under way is said through that: a client of OpenVPN takes nothing of the one before", () => {
    for (const say of [
      (peer: OpenvpnPeer) => peer.say("INFO,late"),
      (peer: OpenvpnPeer, now: number) => peer.session.dismiss(now, "RESTART", 5),
    ]) {
      const { sim, peer } = up({ lines: ["reneg-sec 0"] });
      const from = sim.fromPeer.length;
      peer.renegotiate(sim.now);
      say(peer, sim.now);
      sim.run(3000);
      const ids = sim.fromPeer.slice(from).flatMap((bytes) => (bytes[0]! >> 3 === 9 ? [] : [bytes[0]! & 7]));
      expect(new Set(ids)).toEqual(new Set([1]));
      if (sim.count("info") === 0) expect([endOf(peer), sim.end?.kind]).toEqual([{ kind: "closed" }, "server-restart"]);
      else sim.expectFlow();
    }
  });

  test("a client that is gone is given up after ping-restart", () => {
    const keepalive = { ping: 0, timeout: 30, action: "restart", inactive: undefined, sessionTimeout: 0 } as const;
    const { sim, peer } = up({ peer: { config: { keepalive } } });
    sim.link.loss = 1;
    sim.run(31_000);
    expect(endOf(peer)).toEqual({ kind: "ping-timeout", seconds: 30, exit: false });
  });

  test("a client that vanishes in the handshake is given up after 15 s", () => {
    const { sim, peer } = start();
    expect(sim.run(5000, () => peer.session.state === "handshake")).toBe(true);
    sim.run(50);
    sim.link.loss = 1;
    sim.lose();
    const before = sim.now;
    sim.run(60_000, () => endOf(peer) !== undefined);
    expect(endOf(peer)).toMatchObject({ kind: "handshake-timeout", silentSeconds: 15 });
    expect(sim.now - before).toBeLessThan(20_000);
  });
});

test("a session can begin with the client's second packet, where the first was answered without keeping anything", () => {
  const crypto = controlCrypto(TLS_CRYPT, "server", noblePrimitives);
  /** The client's reset, which goes no further. */
  const reset = (sim: Sim): ControlPacket => {
    const opened = crypto.open(sim.session.pollTransmit(sim.now)!);
    if (typeof opened === "number") throw new Error(`drop ${opened}`);
    return controlRead(opened.plain);
  };
  // the same seed, the same session id
  const peerSessionId = reset(start().sim).sessionId;
  const ownSessionId = new Uint8Array(8).fill(9);
  const { sim, peer } = start({ peer: { start: { resumed: { ownSessionId, peerSessionId } } } });
  expect(reset(sim)).toMatchObject({ opcode: HARD_RESET_CLIENT_V2, sessionId: peerSessionId });
  const answer = controlEmit({
    opcode: HARD_RESET_SERVER_V2,
    keyId: 0,
    sessionId: ownSessionId,
    acks: [0],
    peerSessionId,
    packetId: 0,
    payload: new Uint8Array(0),
  });
  sim.deliver(crypto.seal(answer, 1, 1_700_000_000));
  peer.withholdsPush = false;
  expect(sim.run(5000, () => sim.session.isUp)).toBe(true);
  sim.run(200);
  sim.expectFlow();
  expect([peer.session.drops.snapshot(), sim.session.drops.snapshot()]).toEqual([{}, {}]);
});

describe("states and inputs", () => {
  const reach: Record<Exclude<ServerStateKind, "configured">, () => { sim: Sim; peer: OpenvpnPeer }> = {
    idle: () => start(),
    handshake: () => {
      const reached = start();
      reached.sim.run(5000, () => reached.peer.session.state === "handshake");
      return reached;
    },
    login: () => login(),
    up: () => up(),
    closing: () => {
      const reached = up({ peer: { config: { exitNotify: 3 } } });
      reached.sim.link.loss = 1;
      reached.peer.session.close(reached.sim.now);
      return reached;
    },
    ended: () => {
      const reached = up();
      reached.peer.session.abandon(reached.sim.now);
      return reached;
    },
  };
  const inputs: Record<string, (sim: Sim, peer: OpenvpnPeer) => void> = {
    start: (sim, { session }) => session.start(sim.now),
    accept: (sim, { session }) => session.decide(sim.now, ACCEPT),
    reject: (sim, { session }) => session.decide(sim.now, { kind: "reject", reason: "no" }),
    pending: (sim, { session }) => session.decide(sim.now, { kind: "pending", seconds: 9 }),
    renegotiate: (sim, { session }) => session.renegotiate(sim.now),
    close: (sim, { session }) => session.close(sim.now),
    abandon: (sim, { session }) => session.abandon(sim.now),
    "every opcode": (sim, peer) => {
      for (let first = 0; first < 256; first++) {
        for (const len of [1, 30, 90]) peer.handle(sim.now, new Uint8Array(len).fill(first));
      }
    },
    seal: (sim, peer) => void peer.seal(sim.now, packet(1)),
    "handleTimeout now": (sim, { session }) => session.handleTimeout(sim.now),
  };
  for (const state of Object.keys(reach) as (keyof typeof reach)[]) {
    for (const [name, input] of Object.entries(inputs)) {
      test(`${state}: ${name} leads where the table allows`, () => {
        const { sim, peer } = reach[state]();
        const from = peer.session.state;
        input(sim, peer);
        peer.handleTimeout(sim.now);
        let last = from;
        const seen = moves(peer);
        for (const to of seen.slice(seen.lastIndexOf(from) + 1) as ServerStateKind[]) {
          expect(SERVER_TRANSITIONS[last]).toContain(to);
          last = to;
        }
        expect(peer.session.state).toBe(last);
      });
    }
  }
});
