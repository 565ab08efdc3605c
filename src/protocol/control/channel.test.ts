import { describe, expect, test } from "bun:test";
import vectors from "../../../test/vectors/tls-crypt-v2.json";
import { concat } from "../../lib/bytes.ts";
import type { ControlWrap, Material } from "../config/types.ts";
import {
  DROP_CONTROL_REPLAY,
  DROP_CONTROL_SESSION_ID,
  DROP_CONTROL_TRUNCATED,
  DROP_CONTROL_UNEXPECTED,
  DROP_OPCODE_UNKNOWN,
} from "../drop.ts";
import { type Side, tlsCryptKey } from "../side.ts";
import { ControlChannel } from "./channel.ts";
import { noblePrimitives } from "./noble-primitives.ts";
import {
  ACK_V1,
  CONTROL_V1,
  CONTROL_WKC_V1,
  HARD_RESET_CLIENT_V2,
  HARD_RESET_CLIENT_V3,
  HARD_RESET_SERVER_V2,
  SOFT_RESET_V1,
} from "./opcode.ts";
import { type ControlPacket, controlEmit } from "./packet.ts";
import { controlCrypto, type Protection } from "./protection.ts";
import { Reliable } from "./reliable.ts";
import { ReplayGuard } from "./replay-guard.ts";
import { TlsCrypt } from "./tls-crypt.ts";

const OWN = new Uint8Array(8).fill(1);
const PEER = new Uint8Array(8).fill(2);
const OTHER = new Uint8Array(8).fill(3);
const window = { packets: 64, seconds: 15 };
const KEY = Uint8Array.from({ length: 256 }, (_, i) => i);
const MATERIAL = { bytes: KEY, label: "key" } as Material;

/** Without a wrap: what is forged is taken apart by ids alone. */
function channel(side: Side, wrappedKey?: Uint8Array): ControlChannel {
  const protection = {
    crypto: controlCrypto({ kind: "none" }, side, noblePrimitives),
    guard: new ReplayGuard(0, window),
  };
  return new ControlChannel({ side, ownSessionId: OWN, protection, wrappedKey, linkOverhead: 28 });
}

const forge = (opcode: number, fields: Partial<ControlPacket> = {}): Uint8Array =>
  controlEmit({
    opcode,
    keyId: 0,
    sessionId: PEER,
    acks: [],
    peerSessionId: undefined,
    packetId: opcode === ACK_V1 ? undefined : 0,
    payload: new Uint8Array(0),
    ...fields,
  });
const answering = { acks: [0], peerSessionId: OWN };

describe("a client's channel", () => {
  const answered = (): ControlChannel => {
    const client = channel("client");
    expect(client.receive(forge(HARD_RESET_SERVER_V2, answering), 0)).toMatchObject({ acks: [0] });
    return client;
  };

  test("the first answer must name our session id: nobody can give it who did not see our reset", () => {
    const client = channel("client");
    expect(client.receive(forge(HARD_RESET_SERVER_V2), 0)).toBe(DROP_CONTROL_SESSION_ID);
    expect(client.receive(forge(HARD_RESET_SERVER_V2, { acks: [0], peerSessionId: OTHER }), 0)).toBe(
      DROP_CONTROL_SESSION_ID,
    );
    expect(client.peerSessionId).toBeUndefined();
    client.receive(forge(HARD_RESET_SERVER_V2, answering), 0);
    expect(client.peerSessionId).toEqual(PEER);
  });

  test("the first packet must be a reset, or acknowledge ours", () => {
    for (const opcode of [CONTROL_V1, SOFT_RESET_V1]) {
      expect(channel("client").receive(forge(opcode, answering), 0)).toBe(DROP_CONTROL_UNEXPECTED);
    }
    expect(channel("client").receive(forge(ACK_V1, answering), 0)).toMatchObject({ opcode: ACK_V1 });
  });

  test("a reset of another key or with another packet id is none", () => {
    for (const client of [channel("client"), answered()]) {
      for (const fields of [{ keyId: 1 }, { packetId: 1 }, { keyId: 7, packetId: 0xffffffff }]) {
        const forged = forge(HARD_RESET_SERVER_V2, { ...answering, ...fields });
        expect(client.receive(forged, 0)).toBe(DROP_CONTROL_UNEXPECTED);
      }
    }
  });

  test("every acknowledgement must name our session id, every packet the server's", () => {
    const client = answered();
    for (const opcode of [CONTROL_V1, ACK_V1, SOFT_RESET_V1, HARD_RESET_SERVER_V2]) {
      expect(client.receive(forge(opcode, { acks: [0], peerSessionId: OTHER }), 0)).toBe(DROP_CONTROL_SESSION_ID);
      expect(client.receive(forge(opcode, { ...answering, sessionId: OTHER }), 0)).toBe(DROP_CONTROL_SESSION_ID);
      expect(client.receive(forge(opcode, answering), 0)).toMatchObject({ opcode });
    }
  });

  test("what only a client sends is no opcode here, and is not looked into", () => {
    expect(channel("client").receive(forge(HARD_RESET_CLIENT_V2, answering), 0)).toBe(DROP_OPCODE_UNKNOWN);
  });
});

describe("a packet from elsewhere has the looks of the server's answer", () => {
  const looks = (packet: Uint8Array, client = channel("client")): boolean => {
    const room = new Uint8Array(packet.length + 7);
    room.set(packet, 3);
    return client.looksLikeAnswer(room, 3, packet.length);
  };
  const wrapped = (wrap: ControlWrap, packet: Uint8Array): boolean => {
    const at = (side: Side): Protection => ({
      crypto: controlCrypto(wrap, side, noblePrimitives),
      guard: new ReplayGuard(0, window),
    });
    const client = new ControlChannel({
      side: "client",
      ownSessionId: OWN,
      protection: at("client"),
      linkOverhead: 28,
    });
    return looks(at("server").crypto.seal(packet, 1, 1), client);
  };
  const auth: ControlWrap = { kind: "tls-auth", key: KEY, direction: undefined, digest: "SHA1", material: MATERIAL };
  const crypt: ControlWrap = { kind: "tls-crypt", key: KEY, material: MATERIAL };

  test("when it is a reset that names our session id, and only then", () => {
    for (const through of [looks, (p: Uint8Array) => wrapped(auth, p)]) {
      expect(through(forge(HARD_RESET_SERVER_V2, answering))).toBe(true);
      expect(through(forge(HARD_RESET_SERVER_V2, { acks: [0], peerSessionId: OTHER }))).toBe(false);
      expect(through(forge(HARD_RESET_SERVER_V2, { payload: new Uint8Array(40) }))).toBe(false);
      expect(through(forge(HARD_RESET_CLIENT_V2, answering))).toBe(false);
    }
    expect(looks(forge(HARD_RESET_SERVER_V2, answering).subarray(0, 25))).toBe(false);
    const many = forge(HARD_RESET_SERVER_V2, answering);
    many[9] = 8;
    expect(looks(many)).toBe(false); // more acknowledgements than there is room for
  });

  test("with tls-crypt by opcode and length, which is all that can be seen", () => {
    expect(wrapped(crypt, forge(HARD_RESET_SERVER_V2, answering))).toBe(true);
    expect(wrapped(crypt, forge(HARD_RESET_SERVER_V2))).toBe(false);
    expect(wrapped(crypt, forge(HARD_RESET_CLIENT_V2, answering))).toBe(false);
  });
});

test("a server's channel takes a client's reset, which acknowledges nothing, and no acknowledgement before it", () => {
  expect(channel("server").receive(forge(ACK_V1, answering), 0)).toBe(DROP_CONTROL_UNEXPECTED);
  const server = channel("server");
  expect(server.receive(forge(HARD_RESET_CLIENT_V2), 0)).toMatchObject({ packetId: 0 });
  expect(server.receive(forge(HARD_RESET_SERVER_V2), 0)).toBe(DROP_OPCODE_UNKNOWN);
});

test("a packet with a wrapped key is for a server whose client has one, and is then as any other", () => {
  const wrapped = Uint8Array.fromHex(vectors.wrapped[0]!.key);
  const packet = concat(forge(CONTROL_WKC_V1, { packetId: 1 }), wrapped);
  const reset = concat(forge(HARD_RESET_CLIENT_V3), wrapped);
  for (const side of ["client", "server"] as const) expect(channel(side).receive(packet, 0)).toBe(DROP_OPCODE_UNKNOWN);
  expect(channel("server").receive(reset, 0)).toBe(DROP_OPCODE_UNKNOWN);
  expect(channel("client", wrapped).receive(packet, 0)).toBe(DROP_OPCODE_UNKNOWN);
  const server = channel("server", wrapped);
  expect(server.receive(forge(HARD_RESET_CLIENT_V2), 0)).toBe(DROP_OPCODE_UNKNOWN);
  expect(server.receive(reset, 0)).toMatchObject({ packetId: 0 });
  expect(server.receive(packet, 0)).toMatchObject({ opcode: CONTROL_V1, packetId: 1, payload: new Uint8Array(0) });
  expect(server.receive(forge(CONTROL_WKC_V1), 0)).toBe(DROP_CONTROL_TRUNCATED);
});

describe("protection", () => {
  const protection = (side: Side, key: Uint8Array): Protection => ({
    crypto: new TlsCrypt(key, tlsCryptKey(side), noblePrimitives),
    guard: new ReplayGuard(0, window),
  });
  const pair = (clientId = PEER) => {
    const make = (side: Side, ownSessionId: Uint8Array) =>
      new ControlChannel({ side, ownSessionId, protection: protection(side, KEY), linkOverhead: 28 });
    return { client: make("client", clientId), server: make("server", OWN) };
  };
  const due = (keyId: number, opcode: number) => {
    const reliable = new Reliable(2000);
    reliable.queue(opcode, new Uint8Array(0));
    return { keyId, reliable };
  };

  test("a packet counts once, and one of another session uses up no replay id", () => {
    const { client, server } = pair();
    const reset = client.poll(due(0, HARD_RESET_CLIENT_V2), 0)!;
    expect(server.receive(reset, 0)).toMatchObject({ packetId: 0 });
    expect(server.receive(reset, 0)).toBe(DROP_CONTROL_REPLAY);
    const stranger = pair(OTHER).client;
    stranger.poll(due(0, CONTROL_V1), 0);
    const second = stranger.poll(due(0, CONTROL_V1), 0)!; // replay id 2
    expect(server.receive(second, 0)).toBe(DROP_CONTROL_SESSION_ID);
    expect(server.receive(client.poll(due(0, CONTROL_V1), 0)!, 0)).toMatchObject({ opcode: CONTROL_V1 });
  });

  test("all key ids but the first may have keys and replay ids of their own (dynamic tls-crypt)", () => {
    const { client, server } = pair();
    server.receive(client.poll(due(0, HARD_RESET_CLIENT_V2), 0)!, 0);
    const own = KEY.map((byte) => byte ^ 0x42);
    client.protectRenegotiations(protection("client", own));
    const packet = client.poll(due(1, SOFT_RESET_V1), 0)!;
    expect(typeof server.receive(packet, 0)).toBe("number");
    server.protectRenegotiations(protection("server", own));
    expect(server.receive(packet, 0)).toMatchObject({ keyId: 1 });
    expect(server.receive(client.poll(due(0, CONTROL_V1), 0)!, 0)).toMatchObject({ keyId: 0 });
    expect(server.receive(client.poll(due(1, CONTROL_V1), 0)!, 0)).toMatchObject({ keyId: 1 });
    // One counter for all of them: the third packet under the new key has its third replay id.
    const seventh = client.poll(due(7, CONTROL_V1), 0)!;
    expect(new DataView(seventh.buffer).getUint32(9)).toBe(3);
    expect(server.receive(seventh, 0)).toMatchObject({ keyId: 7 });
  });
});
