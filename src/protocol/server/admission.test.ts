import { describe, expect, test } from "bun:test";
import { AdmittedPeer } from "../../../test/support/admitted-peer.ts";
import { NO_WRAP, SERVER_KEY, TLS_AUTH, TLS_CRYPT, TLS_CRYPT_V2 } from "../../../test/support/client-config.ts";
import { takeClientKey, wrapClientKey } from "../../../test/support/independent/wrap.ts";
import { LOSSY, up } from "../../../test/support/sim.ts";
import type { ControlWrap } from "../config/types.ts";
import { SessionCookies } from "../control/cookie.ts";
import { noblePrimitives } from "../control/noble-primitives.ts";
import { type ControlPacket, controlEmit, controlRead } from "../control/packet.ts";
import { controlCrypto } from "../control/protection.ts";
import {
  DROP_CONTROL_ACKS,
  DROP_CONTROL_AUTHENTICATION,
  DROP_CONTROL_KEY_AGE,
  DROP_CONTROL_KEY_ID,
  DROP_CONTROL_OVERSIZE,
  DROP_CONTROL_SESSION_ID,
  DROP_CONTROL_TRUNCATED,
  DROP_CONTROL_UNEXPECTED,
  DROP_OPCODE_UNKNOWN,
  DROP_PACKET_EMPTY,
} from "../drop.ts";
import { type Admission, type AdmissionConfig, admit, admitStream } from "./admission.ts";

const NOW = 1_700_000_000;
const ADDRESS = Uint8Array.from([192, 0, 2, 1, 4, 210]);
const ELSEWHERE = Uint8Array.from([192, 0, 2, 2, 4, 210]);
const CLIENT = Uint8Array.from([1, 2, 3, 4, 5, 6, 7, 8]);
const { material } = TLS_CRYPT_V2;

function server(wrap: ControlWrap, forceCookie = true, maxAgeDays?: number): AdmissionConfig {
  const own =
    wrap.kind === "tls-crypt-v2" ? NO_WRAP : wrap.kind === "tls-auth" ? ({ ...wrap, direction: 0 } as const) : wrap;
  const keys = { serverKey: SERVER_KEY, material, forceCookie, maxAgeDays };
  return {
    wrap: own,
    crypto: controlCrypto(own, "server", noblePrimitives),
    wrappedKeys: wrap.kind === "tls-crypt-v2" ? keys : undefined,
    cookies: new SessionCookies(new Uint8Array(32).fill(9), 60, noblePrimitives),
    primitives: noblePrimitives,
  };
}

/** A packet of the client, as it goes on the link. */
function sealed(wrap: ControlWrap, fields: Partial<ControlPacket> & { readonly opcode: number }, id = 0x0f000001) {
  const plain = controlEmit({
    keyId: 0,
    sessionId: CLIENT,
    acks: [],
    peerSessionId: undefined,
    packetId: fields.opcode === 5 ? undefined : 0,
    payload: new Uint8Array(0),
    ...fields,
  });
  const packet = controlCrypto(wrap, "client", noblePrimitives).seal(plain, id, 1);
  const isWrapped = fields.opcode === 10 || fields.opcode === 11;
  return isWrapped && wrap.kind === "tls-crypt-v2" ? Buffer.concat([packet, wrap.wrapped]) : packet;
}

const WRAPS: readonly ControlWrap[] = [NO_WRAP, TLS_AUTH, TLS_CRYPT, TLS_CRYPT_V2];
const isV2 = (wrap: ControlWrap): boolean => wrap.kind === "tls-crypt-v2";

/** The server's session id out of its answer to a reset. */
function cookie(wrap: ControlWrap, config: AdmissionConfig): Uint8Array {
  const answer = admit(config, sealed(wrap, { opcode: isV2(wrap) ? 10 : 7 }), ADDRESS, NOW) as Admission & {
    kind: "answer";
  };
  return answer.packet.slice(1, 9);
}

describe.each(WRAPS)("with $kind", (wrap) => {
  const config = server(wrap);
  const reset = isV2(wrap) ? 10 : 7;
  const third = isV2(wrap) ? 11 : 4;
  const proof = (own: Uint8Array, more: Partial<ControlPacket> = {}) =>
    sealed(wrap, { opcode: third, acks: [0], peerSessionId: own, packetId: 1, payload: Uint8Array.of(22), ...more });

  test("a reset is answered by one that acknowledges it, and what acknowledges that one begins a session", () => {
    const answer = admit(config, sealed(wrap, { opcode: reset }), ADDRESS, NOW);
    expect(answer).toMatchObject({ kind: "answer" });
    const { packet } = answer as { packet: Uint8Array };
    const opened = controlCrypto(wrap, "client", noblePrimitives).open(packet) as { plain: Uint8Array; id: number };
    const read = controlRead(opened.plain);
    expect(read).toMatchObject({ opcode: 8, keyId: 0, acks: [0], peerSessionId: CLIENT, packetId: 0 });
    expect(Buffer.from(read.payload).toString("hex")).toBe(isV2(wrap) ? "000100020001" : "");
    expect(packet.length - sealed(wrap, { opcode: reset }).length).toBeLessThanOrEqual(18);
    const begun = admit(config, proof(read.sessionId), ADDRESS, NOW + 20);
    expect(begun).toMatchObject({
      kind: "session",
      wrap: { kind: wrap.kind },
      resumed: { ownSessionId: read.sessionId, peerSessionId: CLIENT },
    });
  });

  test("a cookie is good for one address, one client, and not for long (CVE-2025-13086)", () => {
    const own = cookie(wrap, config);
    expect(admit(config, proof(own), ELSEWHERE, NOW)).toBe(DROP_CONTROL_SESSION_ID);
    expect(admit(config, proof(own.with(0, own[0]! ^ 1)), ADDRESS, NOW)).toBe(DROP_CONTROL_SESSION_ID);
    expect(admit(config, proof(own, { sessionId: CLIENT.with(0, 9) }), ADDRESS, NOW)).toBe(DROP_CONTROL_SESSION_ID);
    expect(admit(config, proof(own), ADDRESS, NOW + 200)).toBe(DROP_CONTROL_SESSION_ID);
    expect(admit(config, proof(new Uint8Array(8)), ADDRESS, NOW)).toBe(DROP_CONTROL_SESSION_ID);
  });

  test("what a first exchange does not have is dropped", () => {
    const own = cookie(wrap, config);
    const drop = (bytes: Uint8Array) => admit(config, bytes, ADDRESS, NOW);
    expect(drop(proof(own, { acks: [2] }))).toBe(DROP_CONTROL_UNEXPECTED);
    expect(drop(proof(own, { packetId: 2 }))).toBe(DROP_CONTROL_UNEXPECTED);
    expect(drop(proof(own, { acks: [], peerSessionId: undefined }))).toBe(DROP_CONTROL_UNEXPECTED);
    expect(drop(proof(own, { keyId: 1 }))).toBe(DROP_CONTROL_KEY_ID);
    expect(drop(proof(own, { acks: [0, 1, 0, 1, 0, 1, 0, 1, 0] }))).toBe(DROP_CONTROL_ACKS);
    // A hard reset with another packet id, or one that acknowledges something.
    expect(drop(sealed(wrap, { opcode: reset, packetId: 1 }))).toBe(DROP_CONTROL_UNEXPECTED);
    expect(drop(sealed(wrap, { opcode: reset, acks: [0], peerSessionId: own }))).toBe(DROP_CONTROL_UNEXPECTED);
    expect(drop(new Uint8Array(0))).toBe(DROP_PACKET_EMPTY);
    expect(drop(new Uint8Array(5000).fill(reset << 3))).toBe(DROP_CONTROL_OVERSIZE);
    for (const opcode of [0, 1, 2, 3, 6, 8, 9, 12, 31])
      expect(drop(new Uint8Array(60).fill(opcode << 3))).toBe(DROP_OPCODE_UNKNOWN);
    const whole = sealed(wrap, { opcode: reset });
    for (let length = 1; length < whole.length; length++) expect(typeof drop(whole.subarray(0, length))).toBe("number");
  });
});

describe("tls-crypt-v2", () => {
  const config = server(TLS_CRYPT_V2);

  test("the session gets the client's key and what was put beside it", () => {
    const begun = admit(config, sealed(TLS_CRYPT_V2, { opcode: 10 }, 1), ADDRESS, NOW);
    // A client that does not read early negotiation: not with force-cookie, else without a cookie.
    expect(begun).toBe(DROP_CONTROL_UNEXPECTED);
    expect(admit(server(TLS_CRYPT_V2, false), sealed(TLS_CRYPT_V2, { opcode: 10 }, 1), ADDRESS, NOW)).toMatchObject({
      kind: "new-session",
      wrap: { kind: "tls-crypt-v2", key: TLS_CRYPT_V2.key },
      metadata: new Uint8Array(Buffer.from("\0office")),
    });
  });

  test("a packet without a key is nobody's where all clients have one (OpenVPN's read_control_auth)", () => {
    const proof = { acks: [0], peerSessionId: config.cookies.issue(ADDRESS, CLIENT, NOW) };
    const bare = [
      sealed(NO_WRAP, { opcode: 7 }),
      sealed(NO_WRAP, { ...proof, opcode: 4, packetId: 1 }),
      sealed(NO_WRAP, { ...proof, opcode: 5 }),
    ];
    expect(bare.map((bytes) => admit(config, bytes, ADDRESS, NOW))).toEqual(
      new Array(3).fill(DROP_CONTROL_AUTHENTICATION),
    );
    // With tls-crypt beside it, a client may have that one.
    const both = { ...server(TLS_CRYPT), wrappedKeys: config.wrappedKeys };
    expect(admit(both, sealed(TLS_CRYPT, { opcode: 7 }), ADDRESS, NOW)).toMatchObject({ kind: "answer" });
    expect(typeof admit(both, sealed(NO_WRAP, { opcode: 7 }), ADDRESS, NOW)).toBe("number");
  });

  test("a key of another server, one that is damaged, and lengths out of bounds", () => {
    const packet = Buffer.from(sealed(TLS_CRYPT_V2, { opcode: 10 }));
    const drop = (bytes: Uint8Array, of = config) => admit(of, bytes, ADDRESS, NOW);
    const other = { ...TLS_CRYPT_V2, wrapped: wrapClientKey(SERVER_KEY.toReversed(), TLS_CRYPT_V2.key, Buffer.of(0)) };
    expect(drop(sealed(other, { opcode: 10 }))).toBe(DROP_CONTROL_AUTHENTICATION);
    for (let at = 0; at < packet.length; at += 7)
      expect(typeof drop(packet.with(at, packet[at]! ^ 0x10))).toBe("number");
    for (const length of [0, 4, 289, 1025, 60_000]) {
      const bent = Buffer.from(packet);
      bent.writeUInt16BE(length, bent.length - 2);
      expect(drop(bent)).toBe(DROP_CONTROL_AUTHENTICATION);
    }
    expect(drop(packet.subarray(0, 200))).toBe(DROP_CONTROL_TRUNCATED);
    // CVE-2026-35058: garbage under a good key.
    const { packet: head } = takeClientKey(SERVER_KEY, packet);
    const empty = controlCrypto(TLS_CRYPT_V2, "client", noblePrimitives).seal(head.subarray(0, 9), 1, 1);
    expect(typeof drop(Buffer.concat([empty, TLS_CRYPT_V2.wrapped]))).toBe("number");
    expect(drop(packet, server(TLS_CRYPT))).toBe(DROP_OPCODE_UNKNOWN);
  });
});

describe("tls-crypt-v2-max-age", () => {
  const made = (days: number): Uint8Array => {
    const metadata = Buffer.alloc(9);
    metadata[0] = 1;
    metadata.writeBigUInt64BE(BigInt(NOW - days * 86_400), 1);
    return metadata;
  };
  const answerTo = (metadata: Uint8Array, maxAgeDays: number | undefined) => {
    const wrapped = Uint8Array.from(wrapClientKey(SERVER_KEY, TLS_CRYPT_V2.key, Buffer.from(metadata)));
    const wrap = { ...TLS_CRYPT_V2, wrapped };
    return admit(server(wrap, true, maxAgeDays), sealed(wrap, { opcode: 10 }), ADDRESS, NOW);
  };

  test("a key that was made too long ago is refused, one that was not is taken (test_tls_crypt.c: 30 days)", () => {
    expect(answerTo(made(29), 30)).toMatchObject({ kind: "answer" });
    expect(answerTo(made(31), 30)).toBe(DROP_CONTROL_KEY_AGE);
    expect(answerTo(made(10_000), undefined)).toMatchObject({ kind: "answer" });
  });

  test("one that does not say when is refused", () => {
    expect(answerTo(Buffer.from("\0office"), 30)).toBe(DROP_CONTROL_KEY_AGE);
    expect(answerTo(made(1).subarray(0, 8), 30)).toBe(DROP_CONTROL_KEY_AGE);
  });
});

test.each(WRAPS)("the first packet of a connection is a client's reset, and nothing else: $kind", (wrap) => {
  const config = server(wrap);
  const reset = isV2(wrap) ? 10 : 7;
  expect(admitStream(config, sealed(wrap, { opcode: reset }), NOW)).toMatchObject({ kind: "new-session" });
  const other = sealed(wrap, { opcode: isV2(wrap) ? 11 : 4, acks: [0], peerSessionId: CLIENT, packetId: 1 });
  expect(admitStream(config, other, NOW)).toBe(DROP_CONTROL_UNEXPECTED);
  expect(admitStream(config, sealed(wrap, { opcode: reset, packetId: 1 }), NOW)).toBe(DROP_CONTROL_UNEXPECTED);
  expect(typeof admitStream(config, Buffer.from("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"), NOW)).toBe("number");
});

test.each(WRAPS)("a client of its own is admitted and comes up: $kind", (wrap) => {
  for (const forceCookie of [true, false]) {
    const peer = new AdmittedPeer(server(wrap, forceCookie));
    const sim = up(1, { wrap, server: peer });
    sim.expectFlow();
    expect([sim.session.drops.snapshot(), peer.drops]).toEqual([{}, []]);
  }
});

test.each(WRAPS)("and over a bad network: $kind", (wrap) => {
  for (let seed = 1; seed <= 15; seed++) {
    const sim = up(seed, { wrap, server: new AdmittedPeer(server(wrap)), link: LOSSY });
    sim.link = { loss: 0, duplicate: 0, jitter: 0 };
    sim.run(20_000);
    sim.expectFlow();
  }
});
