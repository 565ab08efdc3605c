/** Whole sessions over a virtual network with virtual time: everything here is decided by a seed. */

import { describe, expect, test } from "bun:test";
import { randomBelow } from "../../src/lib/random.ts";
import type { ControlWrap } from "../../src/protocol/config/types.ts";
import { CONTROL_V1, HARD_RESET_SERVER_V2, SOFT_RESET_V1 } from "../../src/protocol/control/opcode.ts";
import { controlEmit, controlRead } from "../../src/protocol/control/packet.ts";
import type { ClientStart } from "../../src/protocol/session/client.ts";
import type { SessionState } from "../../src/protocol/session/state.ts";
import { NO_WRAP as NONE, PUSH, SERVER_KEY, TLS_AUTH, TLS_CRYPT, TLS_CRYPT_V2 } from "../support/client-config.ts";
import type { IndependentServer } from "../support/independent/server.ts";
import { encode } from "../support/independent/wire.ts";
import { unwrap, wrap, wrapClientKey } from "../support/independent/wrap.ts";
import { independentWrap, LOSSY, packet, SERVERS, Sim, up } from "../support/sim.ts";
import { total } from "../support/total.ts";

describe.each(SERVERS)("handshakes with the %s server", (server) => {
  const wraps: [string, ControlWrap][] = [
    ["none", NONE],
    ["tls-auth", TLS_AUTH],
    ["tls-crypt", TLS_CRYPT],
    ["tls-crypt-v2", TLS_CRYPT_V2],
  ];
  for (const [name, wrap] of wraps) {
    for (const ekm of server === "product" ? [true] : [true, false]) {
      test(`${name}, ${ekm ? "TLS exporter" : "PRF"}: keys agree and data flows`, () => {
        const sim = up(1, { server, wrap, peer: { ekm, cipher: ekm ? "AES-256-GCM" : "CHACHA20-POLY1305" } });
        sim.expectFlow();
        expect(sim.events.map((e) => e.kind)).toEqual(["server-answered", "tls-established", "up"]);
        expect(sim.session.drops.snapshot()).toEqual({});
      });
    }
  }

  test("30 seeds of a network that loses, doubles and reorders", () => {
    for (let seed = 1; seed <= 30; seed++) {
      const sim = up(seed, { server, link: LOSSY, wrap: wraps[seed % wraps.length]![1] });
      sim.link = { loss: 0, duplicate: 0, jitter: 0 };
      sim.run(20_000);
      sim.expectFlow();
    }
  });
});

describe("tls-crypt-v2 with a server that keeps nothing of the first packet", () => {
  const options = { wrap: TLS_CRYPT_V2, cookie: true };

  test("the wrapped key goes with the reset and the packet behind it, and nothing else goes before that has arrived", () => {
    const sim = up(1, options);
    sim.expectFlow();
    expect(sim.session.drops.snapshot()).toEqual({});
  });

  test("60 seeds of a network that loses, doubles and reorders", () => {
    for (let seed = 1; seed <= 60; seed++) {
      const sim = up(seed, { ...options, link: LOSSY });
      sim.link = { loss: 0, duplicate: 0, jitter: 0 };
      sim.run(20_000);
      sim.expectFlow();
    }
  });

  test("with the largest wrapped key the packets are no larger than others", () => {
    const wrapped = Uint8Array.from(wrapClientKey(SERVER_KEY, TLS_CRYPT_V2.key, new Uint8Array(734)));
    const large = { ...options, wrap: { ...TLS_CRYPT_V2, wrapped } };
    const sim = up(2, large);
    expect(Math.max(...sim.toPeer.map((p) => p.length))).toBeLessThanOrEqual(1222);
    sim.expectFlow();
    // Then the ClientHello is in several packets, of which only the first can be read by a server that knows nothing.
    for (let seed = 1; seed <= 40; seed++) up(seed, { ...large, link: LOSSY });
  });

  test("a reset that breaks the format ends the session; types that are not known are passed over", () => {
    const answer = (payload: number[]): Sim => {
      const sim = new Sim(1, options);
      sim.session.start(sim.now);
      sim.run(10);
      const key = independentWrap(TLS_CRYPT_V2);
      const reset = unwrap(key, "server", Buffer.from(sim.toPeer[0]!.subarray(0, 54)));
      const from = Buffer.alloc(8, 7);
      const fields = {
        keyId: 0,
        from,
        acks: [0],
        to: reset.plain.subarray(1, 9),
        id: 0,
        payload: Buffer.from(payload),
      };
      sim.deliver(wrap(key, "server", 1, 0, encode({ opcode: HARD_RESET_SERVER_V2, ...fields })));
      sim.run(0);
      return sim;
    };
    const opcodes = (sim: Sim): number[] => sim.toPeer.map((p) => p[0]! >> 3);
    for (const bad of [[0], [0, 1, 0], [0, 1, 0, 2, 0], [0, 1, 0, 1, 1], [0, 9, 0, 4, 1, 2, 3]])
      expect(answer(bad).end).toMatchObject({ kind: "unusable" });
    expect(opcodes(answer([0, 9, 0, 1, 5]))).toEqual([10, 4]);
    expect(opcodes(answer([0, 9, 0, 1, 5, 0, 1, 0, 2, 0x80, 3]))).toEqual([10, 11]);
    expect(opcodes(answer([0, 1, 0, 2, 0xff, 0xfe]))).toEqual([10, 4]);
  });
});

describe("logins that ask for more than user and password", () => {
  const secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
  const base64 = (text: string): string => Buffer.from(text).toString("base64");
  const sign = (lines: readonly string[], answer: string | undefined, start: Partial<ClientStart> = {}): Sim =>
    new Sim(1, { lines, answer, start, server: "independent" });
  /** What the server was asked to check. */
  const login = (sim: Sim): readonly (string | undefined)[] => {
    sim.session.start(sim.now);
    sim.run(5000, () => sim.peer.login[0] !== undefined);
    return sim.peer.login;
  };

  test("static-challenge: the answer goes with the password, as it stands or as the code of the moment", () => {
    const lines = ['static-challenge "PIN?" 1'];
    expect(login(sign(lines, "blue: 42"))).toEqual(["ann", `SCRV1:${base64("pw")}:${base64("blue: 42")}`]);
    expect(login(sign([`${lines[0]} concat`], "42"))).toEqual(["ann", "pw42"]);
    // RFC 6238, appendix B, at 1111111109 s: 07081804, of which six digits count here.
    const at = { wallClock: () => 1111111109 };
    expect(login(sign(lines, `otpauth://totp/x?secret=${secret}`, at))[1]).toBe(
      `SCRV1:${base64("pw")}:${base64("081804")}`,
    );
    expect(login(sign(lines, undefined))).toEqual(["ann", "pw"]);
  });

  test("each renegotiation has a code of its own time; where the server gave a token, that goes instead", () => {
    let time = 1111111109;
    const start = { wallClock: () => time };
    const options = {
      lines: ['static-challenge "PIN?" 1 concat', "reneg-sec 0"],
      answer: `otpauth://totp/x?secret=${secret}`,
      start,
    };
    const sim = up(1, options);
    expect(sim.peer.login[1]).toBe("pw081804");
    time = 1234567890;
    sim.peer.renegotiate(sim.now);
    sim.run(2000);
    expect(sim.peer.login[1]).toBe("pw005924");
    const withToken = up(1, { ...options, peer: { push: [...PUSH, "auth-token abc"] } });
    withToken.peer.renegotiate(withToken.now);
    withToken.run(2000);
    expect(withToken.peer.login[1]).toBe("abc");
  });

  const asked = (text: string, answer: string | undefined, start: Partial<ClientStart> = {}): Sim => {
    const sim = sign(["reneg-sec 0"], answer, start);
    sim.peer.withholdsPush = true;
    login(sim);
    sim.run(2000, () => sim.session.state === "push");
    sim.peer.say(text);
    sim.run(1000);
    return sim;
  };

  test("CRV1: the session that follows answers, once", () => {
    const question = `AUTH_FAILED,CRV1:R,E:st8te:${base64("bob")}:Your code: now?`;
    const first = asked(question, "4711");
    expect(first.end).toMatchObject({ kind: "auth-failed", willAnswer: true, reason: "Your code: now?" });
    const second = asked(question, "4711", { login: first.session.loginMemory });
    expect(second.peer.login).toEqual(["bob", "CRV1::st8te::4711"]);
    expect(second.end).toMatchObject({ kind: "auth-failed", willAnswer: false });
    expect(login(sign([], "4711", { login: second.session.loginMemory }))).toEqual(["ann", "pw"]);
    // A text that is only to be read is answered by nothing.
    expect(asked("AUTH_FAILED,CRV1:E:st8te:Ym9i:Read this", undefined).end).toMatchObject({ willAnswer: true });
    expect(asked(question, undefined).end).toMatchObject({ willAnswer: false });
  });

  test("an answer is for one login: the renegotiation behind it has user and password", () => {
    const challenge = { needsAnswer: true, state: "st8te", user: "bob", text: "Code?" };
    const sim = up(1, { lines: ["reneg-sec 0"], answer: "4711", start: { login: { challenge } } });
    expect(sim.peer.login).toEqual(["bob", "CRV1::st8te::4711"]);
    sim.peer.renegotiate(sim.now);
    sim.run(2000);
    expect(sim.peer.login).toEqual(["ann", "pw"]);
  });

  test("CR_TEXT is answered while the login waits; without an answer a person is told", () => {
    const sim = asked("INFO_PRE,CR_TEXT:R,E:PIN?", "4711");
    expect((sim.peer as IndependentServer).messages).toContain(`CR_RESPONSE,${base64("4711")}`);
    const none = asked("INFO_PRE,CR_TEXT:R,E:PIN?", undefined);
    expect((none.peer as IndependentServer).messages.join()).not.toContain("CR_RESPONSE");
    expect(none.events.find((e) => e.kind === "warning")).toMatchObject({ text: expect.stringContaining("auth.txt") });
    expect(asked("INFO_PRE,CR_TEXT:E:Good morning", "4711").events.at(-1)).toEqual({
      kind: "info",
      text: "Good morning",
    });
  });

  test("a server cannot have the answer said without end", () => {
    const sim = asked("INFO", "4711");
    for (let i = 0; i < 100; i++) sim.peer.say("INFO_PRE,CR_TEXT:R:PIN?");
    sim.run(20_000);
    const said = (sim.peer as IndependentServer).messages.filter((text) => text.startsWith("CR_RESPONSE"));
    expect(said.length).toBeLessThanOrEqual(20);
    expect(said.length).toBeGreaterThan(0);
  });

  test("a web page is an event with its address", () => {
    for (const text of ["WEB_AUTH:hidden,external:https://vpn.example/x?y=1:2", "OPEN_URL:https://vpn.example/x?y=1:2"])
      expect(asked(`INFO_PRE,${text}`, undefined).events.at(-1)).toEqual({
        kind: "open-url",
        url: "https://vpn.example/x?y=1:2",
      });
  });
});

describe("PUSH_UPDATE", () => {
  const changes = (sim: Sim) => sim.events.flatMap((e) => (e.kind === "changed" ? [e.options] : []));

  test("the options change while the tunnel is up, in one message or several", () => {
    const sim = up(1);
    sim.peer.say("PUSH_UPDATE,route 10.1.0.0 255.255.0.0,-?dhcp-option");
    sim.run(200);
    expect(changes(sim)).toEqual([[...sim.options("up"), "route 10.1.0.0 255.255.0.0"]]);
    sim.peer.say("PUSH_UPDATE,route 10.2.0.0 255.255.0.0,push-continuation 2");
    sim.run(200);
    expect(changes(sim)).toHaveLength(1);
    sim.peer.say("PUSH_UPDATE,tun-mtu 1400,?dev tap,push-continuation 1");
    sim.run(1000);
    expect(changes(sim).at(-1)).toEqual([...sim.options("up"), "route 10.2.0.0 255.255.0.0", "tun-mtu 1400"]);
    expect(sim.events.find((e) => e.kind === "warning")).toMatchObject({ text: expect.stringContaining("?dev tap") });
    expect(sim.session.state).toBe("up");
    sim.expectFlow();
  });

  test("however many updates come, a change is said at once, and the last of them within a second", () => {
    const sim = up(1);
    for (let n = 0; n < 60; n++) {
      sim.peer.say(`PUSH_UPDATE,route 10.${n}.0.0`);
      sim.run(50);
    }
    sim.run(1000);
    expect(changes(sim).length).toBeWithin(3, 6);
    expect(changes(sim)[0]).toEqual([...sim.options("up"), "route 10.0.0.0"]);
    expect(changes(sim).at(-1)).toEqual([...sim.options("up"), "route 10.59.0.0"]);
  });

  test("half an update is not said, not even of an earlier one that waits to be", () => {
    const sim = up(1);
    for (const text of ["route 10.1.0.0", "route 10.2.0.0", "route 10.3.0.0,push-continuation 2"]) {
      sim.peer.say(`PUSH_UPDATE,${text}`);
      sim.run(100);
    }
    sim.run(3000);
    expect(changes(sim)).toEqual([[...sim.options("up"), "route 10.1.0.0"]]);
    sim.peer.say("PUSH_UPDATE,route 10.4.0.0,push-continuation 1");
    sim.run(200);
    expect(changes(sim).slice(1)).toEqual([[...sim.options("up"), "route 10.3.0.0", "route 10.4.0.0"]]);
  });

  test("one that never ends does end the session; what it holds is told 20 times at most", () => {
    const sim = up(1);
    for (let n = 0; n < 10 && sim.session.isUp; n++) {
      sim.peer.say(`PUSH_UPDATE,${new Array(500).fill("?a").join(",")},push-continuation 2`);
      sim.run(500);
    }
    expect(sim.end).toMatchObject({ kind: "push-rejected", problem: expect.stringContaining("too many options") });
    expect(sim.count("warning")).toBe(20);
  });

  test("one that cannot be used ends the session, and changes nothing", () => {
    const sim = up(1);
    sim.peer.say("PUSH_UPDATE,route 10.1.0.0,cipher AES-128-GCM");
    sim.run(200);
    expect(changes(sim)).toEqual([]);
    expect(sim.end).toMatchObject({ kind: "push-rejected", problem: expect.stringContaining("cipher AES-128-GCM") });
  });
});

describe("handshakes", () => {
  test("without a peer id: DATA_V1 both ways", () => {
    const sim = up(1, { peer: { peerId: 0xffffff, cipher: "AES-128-GCM" } });
    sim.expectFlow();
    expect(sim.fromPeer.at(-1)![0]! >> 3).toBe(6);
  });

  test("the reset that acknowledges ours is lost, and the ones after it acknowledge nothing (OpenVPN up to 2.5)", () => {
    const sim = new Sim(1, { wrap: NONE, lines: ["tls-timeout 3"] });
    sim.session.start(sim.now);
    sim.run(30, () => sim.fromPeer.length > 0);
    sim.lose();
    expect(sim.run(10_000, () => sim.session.isUp)).toBe(true);
    const resets = sim.fromPeer.map(controlRead).filter((p) => p.opcode === HARD_RESET_SERVER_V2);
    expect(resets.slice(0, 2).map((p) => p.acks)).toEqual([[0], []]);
    sim.run(500);
    sim.expectFlow();
  });
});

describe("renegotiations", () => {
  test.each(["server", "client"])("by the %s: no packet is lost, through the wrap of the key ids", (who) => {
    const sim = up(2, { lines: who === "client" ? ["reneg-sec 20 20"] : ["reneg-sec 0"] });
    let n = 0;
    for (; n < 200; n++) {
      if (who === "server" && n % 20 === 10) sim.peer.renegotiate(sim.now);
      sim.sendData(packet(2 * n));
      sim.answerData(packet(2 * n + 1));
      sim.run(1000);
    }
    expect(sim.count("rekeyed")).toBeGreaterThanOrEqual(9);
    expect(sim.peer.received.map((p) => p.toHex())).toEqual(Array.from({ length: n }, (_, i) => packet(2 * i).toHex()));
    expect(sim.received.map((p) => p.toHex())).toEqual(Array.from({ length: n }, (_, i) => packet(2 * i + 1).toHex()));
    expect([sim.end, sim.session.counters.snapshot().renegotiations]).toEqual([undefined, sim.count("rekeyed")]);
  });

  test.each(["server", "client"])(
    "by the %s, with packets one way only: at most those on their way are lost",
    (who) => {
      const sim = up(3, { lines: [who === "client" ? "reneg-sec 5 5" : "reneg-sec 0", "hand-window 60"] });
      let n = 0;
      for (; n < 300; n++) {
        if (who === "server" && n % 50 === 25) sim.peer.renegotiate(sim.now);
        for (let i = 0; i < 10; i++) {
          sim.sendData(packet(10 * n + i));
          sim.run(10);
        }
      }
      sim.run(1000);
      expect(sim.count("rekeyed")).toBeGreaterThanOrEqual(5);
      expect(sim.end).toBeUndefined();
      // a server forgets its older key when it begins
      expect(10 * n - sim.peer.received.length).toBeLessThanOrEqual(who === "server" ? 3 * sim.count("rekeyed") : 0);
    },
  );

  test("by a server that begins the next one at once, again and again: one a second at most, and the session lives", () => {
    const sim = up(4, { lines: ["reneg-sec 0"] });
    const start = sim.now;
    for (let n = 0; n < 10; n++) {
      sim.peer.renegotiate(sim.now);
      expect(sim.run(10_000, () => sim.count("rekeyed") > n)).toBe(true);
    }
    expect(sim.now - start).toBeGreaterThanOrEqual(9000);
    expect(sim.end).toBeUndefined();
    sim.expectFlow();
  });

  test("over a bad network the session lives on, and what arrives is what was sent", () => {
    for (let seed = 1; seed <= 5; seed++) {
      const sim = up(seed, { link: LOSSY, lines: ["reneg-sec 30 30"] });
      const sent = new Set<string>();
      for (let n = 0; n < 150; n++) {
        sent.add(packet(n).toHex());
        sim.sendData(packet(n));
        sim.run(1000);
      }
      expect(sim.end).toBeUndefined();
      expect(sim.count("rekeyed")).toBeGreaterThanOrEqual(3);
      const arrived = sim.peer.received.map((p) => p.toHex());
      expect(new Set(arrived).size).toBe(arrived.length);
      expect(arrived.every((p) => sent.has(p))).toBe(true);
      expect(arrived.length).toBeGreaterThan(100);
    }
  });

  test("log in with the auth-token, and with each renewed one that the server pushes", () => {
    const sim = up(5, { lines: ["reneg-sec 0"], peer: { push: [...PUSH, "auth-token first"] } });
    const rekey = () => {
      sim.peer.renegotiate(sim.now);
      sim.run(5000);
      return sim.peer.login;
    };
    expect(sim.peer.login).toEqual(["ann", "pw"]);
    expect(rekey()).toEqual(["ann", "first"]);
    // as a server with auth-gen-token does after each renegotiation: a reply with nothing else
    sim.peer.say("PUSH_REPLY,auth-token second");
    expect(rekey()).toEqual(["ann", "second"]);
    expect(rekey()).toEqual(["ann", "second"]);
    expect([sim.end, sim.count("up")]).toEqual([undefined, 1]);
  });

  test("the token of the session before logs in; a refusal then means the token, whatever the server calls it", () => {
    const authToken = { token: "before", user: undefined };
    const sim = up(5, { lines: ["reneg-sec 0"], authToken });
    expect([...sim.peer.login, sim.session.loginMemory.authToken]).toEqual(["ann", "before", authToken]);
    for (const text of ["AUTH_FAILED", "AUTH_FAILED,SESSION:expired", "AUTH_FAILED,CRV1:R:id:YW5u:PIN?"]) {
      const token = up(5, { lines: ["reneg-sec 0"], authToken });
      token.peer.say(text);
      token.run(1000);
      expect(token.end).toMatchObject({ kind: "auth-failed", tokenRefused: true });
      expect(token.session.loginMemory.authToken).toBeUndefined();
    }
    for (const text of ["AUTH_FAILED", "AUTH_FAILED,SESSION:expired"]) {
      const password = up(5, { lines: ["reneg-sec 0"] });
      password.peer.say(text);
      password.run(1000);
      expect(password.end).toMatchObject({ kind: "auth-failed", tokenRefused: false });
    }
    const busy = up(5, { lines: ["reneg-sec 0"], authToken });
    busy.peer.say("AUTH_FAILED,TEMP[backoff 5]:busy");
    busy.run(1000);
    expect([busy.end, busy.session.loginMemory.authToken]).toMatchObject([
      { kind: "auth-failed", tokenRefused: false },
      authToken,
    ]);
  });

  test.each([
    ["0", "reneg-sec 15 15", 3],
    ["1", "reneg-sec 0", 0],
  ])("a pushed reneg-sec %s changes nothing for a profile with %s, and is told once", (pushed, line, expected) => {
    const sim = up(6, { lines: [line], peer: { push: [...PUSH, `reneg-sec ${pushed}`] } });
    sim.run(50_000);
    const text = `the server pushed reneg-sec ${pushed}: only the profile says when keys are renewed; ignored`;
    expect([sim.end, sim.count("rekeyed")]).toEqual([undefined, expected]);
    expect(sim.events.filter((e) => e.kind === "warning")).toEqual([{ kind: "warning", text }]);
  });

  test("a pushed value that is passed over is named", () => {
    const sim = up(6, { peer: { push: [...PUSH, "ping-restart 2m"] } });
    const text = "the server pushed ping-restart 2m: not a number from 0 to 2147483647; ignored";
    expect(sim.events).toContainEqual({ kind: "warning", text });
  });

  test("a token without a user is not sent, as openvpn does not", () => {
    const sim = up(5, { login: false, lines: ["reneg-sec 0"], peer: { push: [...PUSH, "auth-token first"] } });
    sim.peer.renegotiate(sim.now);
    sim.run(5000);
    expect([sim.count("rekeyed"), sim.peer.login]).toEqual([1, [undefined, undefined]]);
    const named = ["auth-token first", "auth-token-user YW5u"];
    const other = up(5, { login: false, lines: ["reneg-sec 0"], peer: { push: [...PUSH, ...named] } });
    other.peer.renegotiate(other.now);
    other.run(5000);
    expect(other.peer.login).toEqual(["ann", "first"]);
  });

  test("a pull-filter keeps a renewed auth-token out", () => {
    const sim = up(6, { lines: ["reneg-sec 0", 'pull-filter ignore "auth-token"'] });
    sim.peer.say("PUSH_REPLY,auth-token second");
    sim.peer.renegotiate(sim.now);
    sim.run(5000);
    expect([...sim.peer.login, sim.count("rekeyed")]).toEqual(["ann", "pw", 1]);
  });

  test("a peer that does not finish one ends the session after hand-window", () => {
    const sim = up(3, { lines: ["hand-window 20", "reneg-sec 30 30"], peer: { push: PUSH.slice(0, 3) } });
    sim.peer.mute = true;
    expect(sim.run(55_000, () => sim.end !== undefined)).toBe(true);
    expect(sim.end?.kind).toBe("renegotiation-failed");
  });
});

describe("hostile packets", () => {
  const hostile = (sim: Sim, recorded: readonly Uint8Array[]): Uint8Array => {
    const choice = randomBelow(sim.random, 3);
    if (choice === 0) {
      const bytes = new Uint8Array(randomBelow(sim.random, 200));
      sim.random.fill(bytes);
      return bytes;
    }
    const bytes = recorded[randomBelow(sim.random, recorded.length)]!.slice();
    if (choice === 1) return bytes.slice(0, randomBelow(sim.random, bytes.length));
    bytes[randomBelow(sim.random, bytes.length)]! ^= 1 << randomBelow(sim.random, 8);
    return bytes;
  };

  /** What came through, and what was said. */
  const taken = (sim: Sim) => ({
    control: sim.session.counters.snapshot()["control-received"],
    received: sim.received.length,
    sent: sim.sentAt.length,
    events: sim.events.length,
  });

  test.each([TLS_AUTH, TLS_CRYPT])("once up: each is one named drop, and the session works on ($kind)", (wrap) => {
    const sim = up(4, { wrap });
    for (let i = 0; i < 5; i++) sim.expectFlow();
    const recorded = [...sim.fromPeer];
    const before = { ...taken(sim), drops: total(sim.session.drops) };
    for (let i = 0; i < 1000; i++) sim.deliver(hostile(sim, recorded));
    for (const bytes of recorded) sim.deliver(bytes);
    sim.run(100);
    // nothing was taken, nothing was answered
    expect({ ...taken(sim), drops: total(sim.session.drops) }).toEqual({
      ...before,
      drops: before.drops + 1000 + recorded.length,
    });
    const drops = sim.session.drops.snapshot();
    for (const name of ["control-authentication", "control-replay", "data-authentication", "data-replay"] as const)
      expect(drops[name]).toBeGreaterThan(4);
    expect(sim.session.isUp).toBe(true);
    sim.expectFlow();
    sim.peer.renegotiate(sim.now);
    sim.run(5000);
    expect(sim.count("rekeyed")).toBe(1);
    sim.expectFlow();
  });

  test.each([TLS_AUTH, TLS_CRYPT])("during the handshake ($kind)", (wrap) => {
    const recorded = up(5, { wrap }).fromPeer;
    const sim = new Sim(6, { wrap });
    sim.session.start(sim.now);
    let sent = 0;
    const connected = sim.run(60_000, () => {
      for (let i = 0; i < 20; i++, sent++) sim.deliver(hostile(sim, recorded));
      return sim.session.isUp;
    });
    expect(connected).toBe(true);
    expect(total(sim.session.drops)).toBe(sent);
    sim.run(500);
    sim.expectFlow();
  });

  test("own packets that come back authentic (tls-auth without a direction) use up no replay ids of the server", () => {
    const wrap: ControlWrap = { ...TLS_AUTH, direction: undefined } as ControlWrap;
    const sim = new Sim(12, { wrap, peer: { wrap } });
    const reflected: Uint8Array[] = [];
    const poll = sim.session.pollTransmit.bind(sim.session);
    sim.session.pollTransmit = (now) => {
      const packet = poll(now);
      if (packet !== undefined) reflected.push(packet);
      return packet;
    };
    sim.session.start(sim.now);
    let back = 0;
    const reflect = () => {
      for (const packet of reflected.splice(0)) {
        sim.deliver(packet);
        back++;
      }
      return sim.session.isUp;
    };
    expect(sim.run(10_000, reflect)).toBe(true);
    // each is a drop of its own, and nothing of the server's was one: none had to be said again
    expect(back).toBeGreaterThan(4);
    expect(total(sim.session.drops)).toBe(back);
    const ids = sim.fromPeer.map((bytes) => unwrap(independentWrap(wrap), "client", Buffer.from(bytes)).plain);
    const controls = ids.map(controlRead).filter((p) => p.packetId !== undefined);
    expect(new Set(controls.map((p) => p.packetId)).size).toBe(controls.length);
  });

  test("a control packet that is longer than any is refused unseen, a flood of INFO is counted", () => {
    const sim = up(13);
    sim.deliver(new Uint8Array(5000).fill(sim.fromPeer[0]![0]!));
    expect(sim.session.drops.snapshot()).toEqual({ "control-oversize": 1 });
    for (let i = 0; i < 50; i++) sim.peer.say(`INFO,${i}`);
    sim.run(5000);
    expect([sim.count("info"), sim.session.counters.snapshot()["control-messages-ignored"]]).toEqual([20, 30]);
    sim.expectFlow();
  });

  test("packets that name the session, but have no place in it, are drops of their own", () => {
    const sim = up(13, { wrap: NONE });
    const sessionId = sim.fromPeer[0]!.slice(1, 9);
    const forge = (opcode: number, keyId: number, packetId: number, id = sessionId): void =>
      sim.deliver(
        controlEmit({
          opcode,
          keyId,
          sessionId: id,
          acks: [],
          peerSessionId: undefined,
          packetId,
          payload: new Uint8Array(4),
        }),
      );
    forge(CONTROL_V1, 0, 1000);
    forge(CONTROL_V1, 4, 0);
    forge(SOFT_RESET_V1, 3, 0);
    forge(SOFT_RESET_V1, 1, 9);
    forge(CONTROL_V1, 0, 0, new Uint8Array(8));
    expect(sim.session.drops.snapshot()).toEqual({
      "control-window": 1,
      "control-key-id": 1,
      "control-unexpected": 2,
      "control-session-id": 1,
    });
    sim.expectFlow();
  });

  test("a push reply with broken TLS right behind it ends the session: there is nothing to export keys from", () => {
    const sim = new Sim(14, { wrap: NONE });
    sim.peer.withholdsPush = true;
    sim.peer.isForgiving = true;
    sim.session.start(sim.now);
    sim.run(3000, () => sim.session.state === "push");
    sim.run(1000);
    const last = sim.fromPeer.map(controlRead).filter((p) => p.packetId !== undefined);
    const { sessionId, packetId } = last.at(-1)!;
    const [acks, peerSessionId] = [[], undefined];
    const forged = { opcode: CONTROL_V1, keyId: 0, sessionId, acks, peerSessionId, payload: Uint8Array.of(99, 0, 0) };
    sim.deliver(controlEmit({ ...forged, packetId: packetId! + 2 }));
    sim.peer.withholdsPush = false;
    expect(sim.run(20_000, () => sim.end !== undefined)).toBe(true);
    expect(sim.end?.kind).toBe("tls-failed");
  });

  test("without a wrap a forger can end a handshake, but not keep it from ending, and every packet is accounted for", () => {
    const ends: Record<string, number> = {};
    for (let seed = 1; seed <= 10; seed++) {
      const sim = new Sim(seed, { wrap: NONE });
      sim.peer.isForgiving = true;
      sim.session.start(sim.now);
      const start = sim.now;
      expect(
        sim.run(121_000, () => {
          if (sim.fromPeer.length > 0) for (let i = 0; i < 5; i++) sim.deliver(hostile(sim, sim.fromPeer));
          return sim.session.isUp || sim.end !== undefined;
        }),
      ).toBe(true);
      const { "datagrams-received": received = 0, "control-received": control = 0 } = sim.session.counters.snapshot();
      expect(received).toBe(control + total(sim.session.drops));
      expect(sim.now - start).toBeLessThanOrEqual(120_000);
      const end = sim.end?.kind ?? "up";
      ends[end] = (ends[end] ?? 0) + 1;
    }
    // what it can do is break TLS, or forge the reset
    expect(Object.keys(ends).sort().join()).toMatch(/^(handshake-timeout,)?(tls-failed,)?(unusable,)?(up)?$/);
  });
});

describe("states and inputs", () => {
  const reach: Record<SessionState, () => Sim> = {
    idle: () => new Sim(7),
    handshake: () => {
      const sim = new Sim(7);
      sim.session.start(sim.now);
      return sim;
    },
    push: () => {
      const sim = new Sim(7);
      sim.peer.withholdsPush = true;
      sim.session.start(sim.now);
      sim.run(5000, () => sim.session.state === "push");
      return sim;
    },
    up: () => up(7, { lines: ["explicit-exit-notify 3"] }),
    closing: () => {
      const sim = reach.up();
      sim.session.close(sim.now);
      return sim;
    },
    ended: () => {
      const sim = reach.idle();
      sim.session.close(sim.now);
      return sim;
    },
  };
  const inputs: Record<string, (sim: Sim) => void> = {
    start: (sim) => sim.session.start(sim.now),
    close: (sim) => sim.session.close(sim.now),
    "every opcode": (sim) => {
      for (let first = 0; first < 256; first++)
        for (const len of [1, 30, 90]) sim.deliver(new Uint8Array(len).fill(first));
    },
    "an empty datagram": (sim) => sim.deliver(new Uint8Array(0)),
    seal: (sim) => sim.sendData(packet(1)),
    "handleTimeout now": (sim) => sim.session.handleTimeout(sim.now),
    "poll everything": (sim) => {
      sim.session.pollAt();
      sim.session.pollTransmit(sim.now);
      sim.session.pollEvent();
    },
  };
  const moves: Record<string, Partial<Record<SessionState, SessionState>>> = {
    start: { idle: "handshake" },
    close: { idle: "ended", handshake: "ended", push: "ended", up: "closing" },
  };
  for (const state of Object.keys(reach) as SessionState[]) {
    for (const [name, input] of Object.entries(inputs)) {
      test(`${state}: ${name}`, () => {
        const sim = reach[state]();
        expect(sim.session.state).toBe(state);
        input(sim);
        expect(sim.session.state).toBe(moves[name]?.[state] ?? state);
      });
    }
  }
});

describe("timers", () => {
  const silent = (lines: readonly string[] = []): Sim => {
    const sim = new Sim(8, { lines, link: { loss: 1 } });
    sim.session.start(sim.now);
    return sim;
  };

  test("silence: hard resets at most 8 s apart, told at 15 s, over after hand-window", () => {
    const sim = silent(["hand-window 60"]);
    const start = sim.now;
    expect(sim.run(14_900, () => sim.count("silence") > 0)).toBe(false);
    expect(sim.run(200, () => sim.count("silence") > 0)).toBe(true);
    expect(sim.run(60_000, () => sim.end !== undefined)).toBe(true);
    expect([sim.now - start, sim.end]).toEqual([60_000, { kind: "no-answer", seconds: 60 }]);
    const gaps = sim.sentAt.slice(1).map((at, i) => at - sim.sentAt[i]!);
    expect(gaps.length).toBeGreaterThanOrEqual(7);
    expect(Math.max(...gaps)).toBeLessThanOrEqual(8000);
    expect(sim.count("silence")).toBe(1);
  });

  test("connect-timeout bounds the wait for an answer, not the handshake behind it (man openvpn)", () => {
    const unanswered = silent(["connect-timeout 5"]);
    unanswered.run(60_000, () => unanswered.end !== undefined);
    expect(unanswered.end).toEqual({ kind: "no-answer", seconds: 5 });
    const slow = new Sim(15, { lines: ["connect-timeout 5"] });
    slow.session.start(slow.now);
    slow.run(1000, () => slow.count("server-answered") > 0);
    slow.peer.mute = true;
    slow.run(8000);
    slow.peer.mute = false;
    expect(slow.run(20_000, () => slow.session.isUp)).toBe(true);
  });

  test("auth-pending: the wait is counted from the end of the handshake, however often the server says it", () => {
    const sim = new Sim(17, { lines: ["hand-window 30", "reneg-sec 200 200"] });
    sim.peer.withholdsPush = true;
    sim.session.start(sim.now);
    sim.run(5000, () => sim.session.state === "push");
    const start = sim.now;
    for (let i = 0; i < 30 && sim.end === undefined; i++) {
      sim.peer.say("AUTH_PENDING,timeout 90");
      sim.run(10_000, () => sim.end !== undefined);
    }
    expect([sim.end?.kind, sim.now - start]).toEqual(["handshake-timeout", 90_000]);
    // what is waited for was told
    expect(sim.count("stalled")).toBe(0);
  });

  test("auth-pending is told with the time that is waited, not with any number that the server says", () => {
    const sim = new Sim(17, { lines: ["hand-window 30", "reneg-sec 200 200"] });
    sim.peer.withholdsPush = true;
    sim.session.start(sim.now);
    sim.run(5000, () => sim.session.state === "push");
    for (const text of ["AUTH_PENDING,timeout 999999999", "AUTH_PENDING,timeout 7", "AUTH_PENDING"]) {
      sim.peer.say(text);
      sim.run(1000);
    }
    const told = sim.events.filter((event) => event.kind === "auth-pending");
    expect(told.map((event) => event.seconds)).toEqual([100, 7, 30]);
  });

  test("auth-pending without end is told 20 times, and the rest counted", () => {
    const sim = up(19);
    for (let i = 0; i < 100; i++) {
      sim.peer.say("AUTH_PENDING");
      sim.run(100);
    }
    expect([sim.count("auth-pending"), sim.session.counters.snapshot()["control-messages-ignored"]]).toEqual([20, 80]);
  });

  test("a server that is replaced in the middle of the handshake acknowledges nothing more: known after 15 s, and from where", () => {
    for (const [phase, reached] of [
      ["hello", (sim: Sim) => sim.count("server-answered") > 0],
      ["key-exchange", (sim: Sim) => sim.count("tls-established") > 0],
      ["push", (sim: Sim) => sim.session.state === "push"],
    ] as const) {
      const sim = new Sim(9, { lines: ["hand-window 60"] });
      sim.peer.withholdsPush = true;
      sim.session.start(sim.now);
      expect(sim.run(5000, () => reached(sim))).toBe(true);
      sim.lose();
      sim.peer.mute = true;
      const start = sim.now;
      sim.run(60_000, () => sim.end !== undefined);
      expect(sim.end).toEqual({ kind: "handshake-timeout", phase, silentSeconds: 15 });
      expect(sim.now - start).toBeWithin(14_000, 20_001);
    }
  });

  test("a server that acknowledges, but does not go on: a hint at 15 s, handshake-timeout after hand-window", () => {
    const sim = new Sim(9, { lines: ["hand-window 30"] });
    sim.peer.withholdsPush = true;
    sim.session.start(sim.now);
    sim.run(5000, () => sim.session.state === "push");
    const start = sim.now;
    sim.run(60_000, () => sim.end !== undefined);
    expect([sim.count("stalled"), sim.end, sim.now - start]).toEqual([
      1,
      { kind: "handshake-timeout", phase: "push", silentSeconds: undefined },
      30_000,
    ]);
  });

  test("ping-restart: a minute without a packet ends the session; pings kept it until then", () => {
    const sim = up(10);
    sim.link.loss = 1;
    const start = sim.now;
    sim.run(100_000, () => sim.end !== undefined);
    expect(sim.end).toEqual({ kind: "ping-timeout", seconds: 60, exit: false });
    expect(sim.now - start).toBeWithin(55_000, 60_001);
    expect(sim.session.counters.snapshot()["pings-sent"]).toBeGreaterThanOrEqual(5);
  });

  test("explicit-exit-notify: the server hears it, and the session is closed", () => {
    const sim = up(11, { lines: ["explicit-exit-notify 2"] });
    sim.session.close(sim.now);
    expect(sim.run(10_000, () => sim.end !== undefined)).toBe(true);
    sim.run(100);
    expect([sim.end, sim.peer.exited]).toEqual([{ kind: "closed" }, true]);
  });

  test("EXIT is waited for until the server acknowledges it, and said again where it is lost", () => {
    const sim = up(11, { lines: ["explicit-exit-notify 5"] });
    const start = sim.now;
    sim.session.close(sim.now);
    sim.run(0);
    sim.lose();
    expect(sim.session.state).toBe("closing");
    expect(sim.run(10_000, () => sim.end !== undefined)).toBe(true);
    // said again after tls-timeout, and acknowledged 40 ms later
    expect([sim.peer.exited, sim.now - start]).toEqual([true, 2040]);
    const lost = up(11, { lines: ["explicit-exit-notify 5"] });
    lost.link.loss = 1;
    lost.session.close(lost.now);
    const closedAt = lost.now;
    lost.run(60_000, () => lost.end !== undefined);
    expect([lost.end, lost.now - closedAt]).toEqual([{ kind: "closed" }, 5000]);
  });

  test.each([
    ["of the profile", ["session-timeout 50"], []],
    ["that is pushed", ["session-timeout 5000"], ["session-timeout 50"]],
  ])("session-timeout %s ends a session that works", (_whose, lines, pushed) => {
    const sim = up(18, { lines, peer: { push: [...PUSH, ...pushed] } });
    const start = sim.now;
    for (let n = 0; n < 200 && sim.end === undefined; n++) {
      sim.answerData(packet(n));
      sim.run(1000, () => sim.end !== undefined);
    }
    expect(sim.end).toEqual({ kind: "session-timeout" });
    expect(sim.now - start).toBeWithin(49_000, 50_001);
  });

  test.each([true, false])("a renegotiation that falls due during the goodbye is not waited for (EXIT %p)", (ekm) => {
    const sim = up(16, { lines: ["explicit-exit-notify 3", "reneg-sec 10 10"], peer: { ekm } });
    sim.run(8500);
    sim.peer.mute = true;
    sim.session.close(sim.now);
    expect(sim.run(10_000, () => sim.end !== undefined)).toBe(true);
    expect([sim.end, sim.count("rekeyed")]).toEqual([{ kind: "closed" }, 0]);
  });

  test.each([
    ["AUTH_FAILED,no", "auth-failed"],
    ["RESTART,[N]", "server-restart"],
    ["HALT,x", "server-halt"],
    ["EXIT", "server-exit"],
  ] as const)("the server says %s", (text, kind) => {
    const sim = up(12);
    sim.peer.say(text);
    sim.run(1000);
    expect(sim.end?.kind).toBe(kind);
  });
});
