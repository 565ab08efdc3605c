import { expect, test } from "bun:test";
import fc from "fast-check";
import type { DataConfig } from "../config/types.ts";
import { PEER_ID_NONE } from "../data/packet.ts";
import type { CipherName } from "../ports.ts";
import type { Side } from "../side.ts";
import { agreedOptions, clientAbilities, planKeys } from "./ncp.ts";

const data: DataConfig = {
  ciphers: ["CHACHA20-POLY1305", "AES-256-GCM", "AES-128-GCM"],
  fallbackCipher: undefined,
  auth: "SHA1",
  compression: "none",
  allowCompression: undefined,
  fragment: undefined,
  replayWindow: { packets: 64, seconds: 15 },
};
const cipher = (peerInfo: string, options = "V4", own: DataConfig = data): string | undefined =>
  planKeys(own, clientAbilities(peerInfo, options), 5, true)?.cipher;

test("the server's order decides (ssl_ncp.c, ncp_get_best_cipher)", () => {
  expect(cipher("IV_CIPHERS=AES-128-GCM:AES-256-GCM")).toBe("AES-256-GCM");
  expect(cipher("IV_CIPHERS=aes-128-gcm:chacha20-poly1305")).toBe("CHACHA20-POLY1305");
});

test("IV_CIPHERS wins over IV_NCP; IV_NCP=2 alone stands for the two GCM ciphers", () => {
  expect(cipher("IV_NCP=2\nIV_CIPHERS=AES-128-GCM")).toBe("AES-128-GCM");
  expect(cipher("IV_NCP=2")).toBe("AES-256-GCM");
});

test("a client without negotiation is taken where its own cipher is in the server's list", () => {
  expect(cipher("", "V4,cipher AES-128-GCM,auth [null-digest]")).toBe("AES-128-GCM");
  expect(cipher("", "V4,cipher AES-256-CBC,auth SHA1")).toBeUndefined();
  expect(cipher("", "V4")).toBeUndefined();
  const old = { ...data, ciphers: ["AES-256-GCM", "AES-256-CBC"], fallbackCipher: "AES-128-CBC" } as const;
  expect(cipher("", "V4,cipher AES-256-CBC,auth SHA1", old)).toBe("AES-256-CBC");
  expect(cipher("IV_NCP=2", "V4,cipher AES-256-CBC", old)).toBe("AES-256-GCM");
  expect(cipher("", "V4", old)).toBe("AES-128-CBC");
});

test("data-ciphers-fallback is for clients that name no cipher at all", () => {
  const own: DataConfig = { ...data, fallbackCipher: "AES-256-GCM" };
  expect(cipher("", "V4", own)).toBe("AES-256-GCM");
  expect(cipher("", "V4,cipher BF-CBC", own)).toBeUndefined();
  expect(cipher("IV_CIPHERS=BF-CBC", "V4", own)).toBeUndefined();
});

test("IV_PROTO is read as openvpn reads it (test_ssl.c): 94 as 94, words as 0, and no other name is taken for it", () => {
  expect(clientAbilities("IV_PROTO=94\n", "")).toMatchObject({ dataV2: true, takesPush: true, keyExport: true });
  expect(clientAbilities("IV_PROTO=94\n", "").controlExit).toBe(false);
  expect(clientAbilities("IV_PROTO=990\n", "").controlExit).toBe(true);
  for (const text of ["IV_PROTO=seven\n", "UV_IV_PROTO=773\n", "IV_PROTO=\n", "IV_PROTO=99999999999\n"]) {
    expect(clientAbilities(text, "")).toMatchObject({ dataV2: false, keyExport: false });
  }
});

test("without DATA_V2 there is no peer id, without the exporter the PRF", () => {
  const plan = planKeys(data, clientAbilities("IV_NCP=2\nIV_PROTO=4\n", ""), 5, true);
  expect(plan).toMatchObject({ peerId: PEER_ID_NONE, derivation: "prf" });
  expect(planKeys(data, clientAbilities("IV_NCP=2\nIV_PROTO=10\n", ""), 5, true)).toMatchObject({
    peerId: 5,
    derivation: "ekm",
  });
});

test("the epoch format is for both ends that have it, told by protocol-flags, and for AEAD", () => {
  const epoch = (proto: number, ciphers = "AES-128-GCM", own: DataConfig = data, hasEpoch = true) =>
    planKeys(own, clientAbilities(`IV_CIPHERS=${ciphers}\nIV_PROTO=${proto}\n`, ""), 5, hasEpoch)?.epoch;
  expect(epoch(8094)).toBe(true);
  expect(epoch(8094 - 1024)).toBe(false);
  expect(epoch(8094 - 128)).toBe(false);
  expect(epoch(8094, "AES-128-GCM", data, false)).toBe(false);
  expect(epoch(8094, "AES-256-CBC", { ...data, ciphers: ["AES-256-CBC"] })).toBe(false);
});

test("any peer info is read without a throw", () => {
  fc.assert(fc.property(fc.string(), fc.string(), (info, options) => void clientAbilities(info, options)));
});

test("two ends that do not push agree by what both announced: the TLS server's order, and flags only with NCP_P2P (ssl_ncp.c)", () => {
  const agreed = (peerInfo: string): string[] =>
    agreedOptions("client", ["AES-256-GCM", "AES-128-GCM"], clientAbilities(peerInfo, "V4"), () => 0xabcdef);
  expect(agreed("IV_CIPHERS=CHACHA20-POLY1305:AES-128-GCM:AES-256-GCM\nIV_PROTO=686\n")).toEqual([
    "cipher AES-128-GCM",
    `peer-id ${0xabcdef}`,
    "protocol-flags tls-ekm cc-exit dyn-tls-crypt",
  ]);
  // what openvpn 2.7 announces
  expect(agreed("IV_CIPHERS=AES-256-GCM\nIV_PROTO=1722\n").at(-1)).toBe(
    "protocol-flags tls-ekm cc-exit dyn-tls-crypt aead-epoch",
  );
  expect(agreed("IV_CIPHERS=BF-CBC\nIV_PROTO=1722\n").at(-1)).not.toContain("aead-epoch");
  expect(agreed("IV_CIPHERS=AES-256-GCM\nIV_PROTO=34\n")).toEqual(["cipher AES-256-GCM", `peer-id ${0x76706e}`]);
  expect(agreed("IV_CIPHERS=AES-256-GCM\nIV_PROTO=654\n")).toEqual(["cipher AES-256-GCM"]);
  expect(agreed("IV_CIPHERS=BF-CBC\nIV_PROTO=32\n")).toEqual([]);
  expect(agreed("")).toEqual([]);
});

test("the TLS server of two ends reads the same out of it, by its own order", () => {
  const [one, other] = ["CHACHA20-POLY1305:AES-128-GCM", "AES-128-GCM:CHACHA20-POLY1305"] as const;
  const agreed = (side: Side, own: string, peer: string): string[] =>
    agreedOptions(
      side,
      own.split(":") as CipherName[],
      clientAbilities(`IV_CIPHERS=${peer}\nIV_PROTO=1722`, "V4"),
      () => 7,
    );
  expect(agreed("server", one, other)[0]).toBe("cipher CHACHA20-POLY1305");
  expect(agreed("client", other, one)).toEqual(agreed("server", one, other));
  expect(agreed("server", other, one)).toEqual(agreed("client", one, other));
});
