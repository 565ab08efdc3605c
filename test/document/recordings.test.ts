/**
 * The second reader decodes connections with the real openvpn by docs/protocol.md alone, and finds what the client saw. How they were
 * made is in record.ts.
 */
import { describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { read } from "./document.ts";
import { HAS_READER, secondReader } from "./second-reader.ts";

const FOLDER = join(import.meta.dir, "recordings");
const FILES = readdirSync(FOLDER).sort();

interface Packet {
  readonly from: string;
  bytes: string;
}

test("every protection, both derivations of keys, AEAD and CBC, UDP and TCP", () => {
  expect(FILES.map((file) => file.replace(".json", ""))).toEqual([
    "tcp-chacha20-poly1305-compress",
    "tls-auth-aes-256-cbc-comp-lzo",
    "tls-crypt-aes-128-gcm-prf",
    "tls-crypt-aes-256-gcm-epochs",
    "tls-crypt-v2-aes-256-gcm",
  ]);
});

describe.skipIf(!HAS_READER)("the second reader (Debian: python3-cryptography)", () => {
  test.each(FILES)("%s: logins, messages, keys of a renegotiation and every packet of the tunnel", (file) => {
    const { seen, server, client } = JSON.parse(read(join(FOLDER, file)));
    const found = secondReader("recording", join(FOLDER, file));
    const payloads = (side: string): string[] =>
      found.data.flatMap(([from, , , payload]: string[]) => (from === side && payload !== "ping" ? [payload] : []));
    expect(payloads("client")).toEqual(seen.sent);
    expect(payloads("server")).toEqual(seen.received);
    expect(seen.received.length).toBeGreaterThan(5);
    expect(found.messages).toEqual([
      ["client", "PUSH_REQUEST"],
      ["server", ["PUSH_REPLY", ...seen.options].join(",")],
      ["client", "EXIT"],
    ]);
    expect(
      found.logins.map(([side, keyId, strings]: [string, number, string[]]) => [side, keyId, strings[1], strings[2]]),
    ).toEqual(
      [0, ...seen.rekeyed].flatMap((keyId: number) => [
        ["client", keyId, "ann", "correct horse"],
        ["server", keyId, null, null],
      ]),
    );
    for (const side of ["client", "server"]) {
      // Packet ids of each key are 1, 2, 3, ...
      const ids = Map.groupBy(
        found.data.filter(([from]: string[]) => from === side),
        ([, keyId]: [string, number]) => keyId,
      );
      for (const packets of ids.values())
        expect((packets as number[][]).map(([, , id]) => id)).toEqual(packets.map((_, i) => i + 1));
      expect([...ids.keys()]).toEqual([0, ...seen.rekeyed]);
    }
    // Without the exporter keys come of the PRF.
    expect(seen.options.some((option: string) => option.includes("tls-ekm"))).toBe(!file.includes("prf"));
    expect(seen.options.some((option: string) => option.includes("aead-epoch"))).toBe(file.includes("epochs"));
    const opcodes = new Set(found.opcodes.map(([side, opcode]: [string, number]) => `${side} ${opcode}`));
    const hasOwnKey = client.some((line: string) => line.startsWith("tls-crypt-v2"));
    expect([opcodes.has("client 10"), opcodes.has("client 11"), found.resends]).toEqual([
      hasOwnKey,
      hasOwnKey,
      hasOwnKey,
    ]);
    expect(opcodes.has("client 3") && opcodes.has("server 8")).toBe(true);
    expect(server.length).toBeGreaterThan(0);
  });

  test.each(FILES)("%s: with one bit changed it does not agree, be it of a handshake or of the tunnel", (file) => {
    const recording = JSON.parse(read(join(FOLDER, file)));
    const folder = mkdtempSync(join(tmpdir(), "recording-"));
    const path = join(folder, file);
    // One of the handshake, one of the tunnel: the last byte of each, and without tls-auth that is one of TLS.
    const packets = recording.packets as Packet[];
    const isData = ({ bytes }: Packet): boolean =>
      [6, 9].includes(Number.parseInt(bytes.slice(recording.stream ? 4 : 0).slice(0, 2), 16) >> 3);
    for (const changed of [
      packets.findIndex((p) => p.from === "server" && p.bytes.length > 1000),
      packets.findIndex(isData),
    ]) {
      const { bytes } = packets[changed] as Packet;
      const last = Number.parseInt(bytes.slice(-2), 16) ^ 1;
      (packets[changed] as Packet).bytes = bytes.slice(0, -2) + last.toString(16).padStart(2, "0");
      writeFileSync(path, JSON.stringify(recording));
      (packets[changed] as Packet).bytes = bytes;
      expect(() => secondReader("recording", path)).toThrow();
    }
    rmSync(folder, { recursive: true });
  });
});
