import "reflect-metadata";
import { describe, expect, test } from "bun:test";
import { CERTIFICATE, clientConfig, NO_WRAP } from "../../../test/support/client-config.ts";
import { fakeTlsContext } from "../../../test/support/fake-tls.ts";
import { seededRandom } from "../../lib/random.ts";
import { encodeUtf8 } from "../config/utf8.ts";
import { ControlChannel } from "../control/channel.ts";
import { noblePrimitives } from "../control/noble-primitives.ts";
import { CONTROL_V1, HARD_RESET_CLIENT_V2, HARD_RESET_SERVER_V2 } from "../control/opcode.ts";
import { controlCrypto } from "../control/protection.ts";
import { ReplayGuard } from "../control/replay-guard.ts";
import type { TlsContext, TlsEngine } from "../ports.ts";
import type { Side } from "../side.ts";
import { type ExchangeParts, KeyExchange, type KeyExchangeEvent } from "./key-exchange.ts";
import { MAX_KEY_METHOD_LEN } from "./key-method.ts";

const random = seededRandom(1);
const { control, verify } = clientConfig([], NO_WRAP);
const text = { options: "V4", user: "ann", password: "pw", peerInfo: undefined };

function parts(side: Side, more: Partial<ExchangeParts> = {}): ExchangeParts {
  const id = (of: Side): Uint8Array => new Uint8Array(8).fill(of === "client" ? 1 : 2);
  const crypto = controlCrypto(NO_WRAP, side, noblePrimitives);
  const protection = { crypto, guard: new ReplayGuard(0, { packets: 64, seconds: 15 }) };
  const channel = new ControlChannel({ side, ownSessionId: id(side), protection, linkOverhead: 28 });
  channel.peerSessionId = id(side === "client" ? "server" : "client");
  const tls = fakeTlsContext(side === "server", random, CERTIFICATE);
  return { side, control, verify: () => verify, tls, random, channel, ownText: () => text, ...more };
}

const begin = (of: ExchangeParts): KeyExchange =>
  new KeyExchange(of, 0, of.side === "client" ? HARD_RESET_CLIENT_V2 : HARD_RESET_SERVER_V2, 0);

/** All that each of them says reaches the other, in order. */
function talk(one: KeyExchange, other: KeyExchange): void {
  const session = { keyId: 0, sessionId: new Uint8Array(8), peerSessionId: undefined };
  for (let rounds = 0; rounds < 20; rounds++) {
    for (const [from, to] of [
      [one, other],
      [other, one],
    ] as const) {
      for (let p = from.reliable.pollSend(0); p !== undefined; p = from.reliable.pollSend(0)) {
        to.handle({ ...session, opcode: p.opcode, acks: [], packetId: p.id, payload: p.payload });
      }
      const acks = from.reliable.takeAcks(8);
      to.handle({ ...session, opcode: CONTROL_V1, acks, packetId: undefined, payload: new Uint8Array(0) });
    }
  }
}

const eventsOf = (exchange: KeyExchange): KeyExchangeEvent[] => {
  const events: KeyExchangeEvent[] = [];
  for (let e = exchange.poll(); e !== undefined; e = exchange.poll()) events.push(e);
  return events;
};

describe.each(["ekm", "prf"] as const)("keys by %s", (derivation) => {
  test("are the same on both sides, and can be derived once", () => {
    const [client, server] = [begin(parts("client")), begin(parts("server"))];
    talk(client, server);
    expect([client.state, server.state]).toEqual(["done", "done"]);
    const block = client.deriveKeys(derivation);
    expect(block.length).toBe(256);
    expect(server.deriveKeys(derivation)).toEqual(block);
    expect(() => client.deriveKeys(derivation)).toThrow();
    // what they were made of is wiped
    for (const { peerMessage } of [client, server]) {
      for (const bytes of Object.values(peerMessage!.source)) expect(bytes.every((b: number) => b === 0)).toBe(true);
    }
  });
});

test("what the peer says right behind its key-method message comes after 'done'", () => {
  const [client, server] = [begin(parts("client")), begin(parts("server"))];
  talk(client, server);
  server.send(encodeUtf8("PUSH_REPLY,ping 10\0INFO,hello\0"));
  talk(client, server);
  const kinds = eventsOf(client).map((e) => (e.kind === "message" ? e.message.kind : e.kind));
  expect(kinds).toEqual(["tls-established", "done", "push-reply", "info"]);
  expect(server.peerMessage).toMatchObject(text);
});

test("a certificate that a directive refuses ends it, and no login is sent", () => {
  let asked = 0;
  const refusing = parts("client", {
    verify: () => ({ ...verify, peerFingerprints: ["00".repeat(32)] }),
    ownText: () => {
      asked++;
      return text;
    },
  });
  const client = begin(refusing);
  talk(client, begin(parts("server")));
  expect(client.failure).toMatchObject({ kind: "certificate-rejected", problem: { directive: "peer-fingerprint" } });
  expect([client.state, asked]).toEqual(["failed", 0]);
});

test("the first packet of a peer must be a reset", () => {
  const client = begin(parts("client"));
  const packet = { keyId: 0, sessionId: new Uint8Array(8), acks: [], peerSessionId: undefined, packetId: 0 };
  client.handle({ ...packet, opcode: CONTROL_V1, payload: new Uint8Array(1) });
  expect(client.failure).toMatchObject({ kind: "unusable" });
});

test("a key-method message without end is given up", () => {
  const saying = (bytes: Uint8Array): TlsContext => {
    const inner = fakeTlsContext(true, random, CERTIFICATE);
    return {
      close: () => inner.close(),
      engine: (accept): TlsEngine => {
        const engine = inner.engine(accept);
        const { send } = engine;
        engine.send = () => send.call(engine, bytes);
        return engine;
      },
    };
  };
  const head = new Uint8Array(5 + 64);
  head[4] = 2;
  // options of 0x3fff bytes, of which fewer than that come
  const endless = (length: number): Uint8Array => Uint8Array.from([...head, 0x1f, 0x00, ...new Uint8Array(length)]);
  for (const [length, state] of [
    [MAX_KEY_METHOD_LEN - 71 - 1000, "key-exchange"],
    [MAX_KEY_METHOD_LEN, "done"],
  ] as const) {
    const client = begin(parts("client"));
    talk(client, begin(parts("server", { tls: saying(endless(length)) })));
    expect([length, client.state]).toEqual([length, state]);
  }
  const room = MAX_KEY_METHOD_LEN - 71 + 1;
  const tooLong = Uint8Array.from([...head, room >> 8, room & 0xff, ...new Uint8Array(100)]);
  const client = begin(parts("client"));
  talk(client, begin(parts("server", { tls: saying(tooLong) })));
  expect(client.failure).toMatchObject({ kind: "unusable", problem: "a string is too long" });
});
