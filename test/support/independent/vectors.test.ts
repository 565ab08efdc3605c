/** The independent server's parts against numbers that OpenVPN's own unit tests publish. */
import { expect, test } from "bun:test";
import { direction, encrypt, openPacket, sealPacket } from "./data.ts";
import { decodeClientMessage, prf } from "./keys.ts";
import { decode, encode } from "./wire.ts";
import { unwrap, type Wrap, wrap } from "./wrap.ts";

const hex = (text: string): Buffer => Buffer.from(text.replace(/\s/g, ""), "hex");

/** The static key of test_pkt.c. */
const KEY = hex(`
  37268ea8f95d7f71f9fb8fc03770c460 daf714a483d815c013ce0a537efc18f2 8f4f172669d9e6a413bac6741d8ea054
  00f49b7fd6326470f23798c606bf53d4 de63ebc64ec59d57ce5d04d5b62e68b5 3ca6e5354351097fa370446c4d269f18
  7bb6ae54af2dc70ff7317fe2f8754b82 82aad4202f9fa42c8640245d883e2c54 a0c1c489a036cf3a8964d8d289c1583b
  9447c262b1da5fd167a5d27bd5ac5143 17bc2343a31a2efc38dd920d910375f5 1c2e27f3afd36c49269da079f7ce466e
  bb0f9ad13e9bbb4665974e6bc24b513c 5700393bf4a3e7f967e2f384069ac8a8 e78b18b15604993fd16515cce9c0f3e4
  2b4126b999005ade802797b0eeb8b9e6`);

test("tls-auth: the client's reset of test_pkt.c", () => {
  const packet = hex("38 de694c5c7bfba274 93537c1ded4e781529ae7cfe4b8c6d6b2b51f05a 00000001 61d3bf6c 00 00000000");
  const how = (own: 0 | 1): Wrap => ({ kind: "tls-auth", key: KEY, direction: own, digest: "sha1" });
  const opened = unwrap(how(0), "server", packet);
  expect([opened.plain.toString("hex"), opened.replay]).toEqual([
    "38de694c5c7bfba2740000000000",
    { id: 1, time: 0x61d3bf6c },
  ]);
  expect(wrap(how(1), "client", 1, 0x61d3bf6c, opened.plain)).toEqual(packet);
  expect(() => unwrap(how(1), "server", packet)).toThrow();
});

test("tls-crypt: the client's reset of test_pkt.c", () => {
  const packet = hex(
    "38 f419cb12d1f9e48f 00000001 61d3f8e1 330206f56802be44fbed905064e3db43416bec5e526719462b7eb90c96defc9b 05c44879f7",
  );
  const how: Wrap = { kind: "tls-crypt", key: KEY };
  const opened = unwrap(how, "server", packet);
  expect(opened.plain.toString("hex")).toBe("38f419cb12d1f9e48f0000000000");
  expect(wrap(how, "client", 1, 0x61d3f8e1, opened.plain)).toEqual(packet);
  expect(() => unwrap(how, "client", packet)).toThrow();
});

test("the ACK of test_pkt.c", () => {
  const bytes = hex("28 aeb9afe1f01d79c8 01 00000000 dd85db535623b02e");
  const packet = decode(bytes);
  expect(packet).toMatchObject({ opcode: 5, keyId: 0, acks: [0], to: hex("dd85db535623b02e"), id: undefined });
  expect(encode(packet)).toEqual(bytes);
});

test("the TLS 1.0 PRF of test_crypto.c", () => {
  const secret = Buffer.from(
    "Lorem ipsum dolor sit amet, consectetur adipisici elit, sed eiusmod tempor incidunt ut labore et dolore magna aliqua.",
  );
  const seed = Buffer.from("Quis aute iure reprehenderit in voluptate velit esse cillum dolore");
  expect(prf(secret, "", seed, 32).toString("hex")).toBe(
    "d98c8518c85e946927916acfc2d592fbb1567e4b4b1459e6a904ac2ddab72d67",
  );
});

test("the data channel of test_ssl.c: tag and ciphertext with the first half of the keys", () => {
  const block = Buffer.alloc(256).map((_, i) => "abcdefgh01234567ABCDEFGHjkuchenl".charCodeAt(i % 32) ^ i);
  const text = Buffer.from("The quick little fox jumps over the bureaucratic hurdles");
  const to = direction("AES-256-GCM", block, 0);
  const sealed = encrypt(to, Buffer.concat([hex("00000001"), to.iv]), hex("0700001700000001"), text);
  expect(sealed.tag.toString("hex")).toBe("1fdd908f0e9dc25e79d832020d58e73f");
  // at offset 30 behind the header: packet id and tag are 20 of them
  expect(sealed.text.toString("hex", 10, 16)).toBe("a82e6b1706d9");
});

test.each(["AES-256-GCM", "AES-128-GCM", "CHACHA20-POLY1305"] as const)(
  "%s, V1 and V2: round trip, and every bit counts",
  (cipher) => {
    const to = direction(cipher, Buffer.alloc(256, 7), 1);
    const from = { ...to };
    for (const peerId of [5, 0xffffff]) {
      const packet = sealPacket(to, 3, peerId, 9, Buffer.from("hello"));
      expect(openPacket(from, peerId, packet)).toEqual({ id: 9, payload: Buffer.from("hello") });
      // the first byte of a V1 packet is not covered
      for (let i = peerId === 0xffffff ? 1 : 0; i < packet.length; i++) {
        const forged = Buffer.from(packet);
        forged[i] = (forged[i] as number) ^ 1;
        expect(() => openPacket(from, peerId, forged)).toThrow();
      }
    }
  },
);

test("a key-method message: whole, cut, and without a NUL", () => {
  const strings = Buffer.from("\0\x04abc\0\0\0\0\0\0\x03x\n\0", "latin1");
  const message = Buffer.concat([hex("0000000002"), Buffer.alloc(112, 1), strings]);
  expect(decodeClientMessage(Buffer.concat([message, Buffer.from("PUSH")]))).toMatchObject({
    length: message.length,
    message: { options: "abc", user: undefined, password: undefined, peerInfo: "x\n" },
  });
  for (let length = 0; length < message.length; length++)
    expect(decodeClientMessage(message.subarray(0, length))).toBeUndefined();
  message[message.length - 1] = 1;
  expect(() => decodeClientMessage(message)).toThrow();
});
