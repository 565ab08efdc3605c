/**
 * A point-to-point tunnel by TLS to the real openvpn (tls-server without mode server), without interfaces or privileges: what is agreed
 * on without pushes, pings both ways, a renegotiation, the goodbye.
 */
import "reflect-metadata";
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Batch } from "../../src/lib/batch.ts";
import { Arena } from "../../src/lib/slab.ts";
import { LibcryptoAead } from "../../src/platform/crypto/aead.ts";
import { LibcryptoCbc } from "../../src/platform/crypto/cbc.ts";
import { LibcryptoPrimitives } from "../../src/platform/crypto/control-primitives.ts";
import { systemRandom } from "../../src/platform/crypto/random.ts";
import { libsslTls } from "../../src/platform/crypto/tls.ts";
import { NativeMemory } from "../../src/platform/sys/memory.ts";
import { parseConfig } from "../../src/protocol/config/parse.ts";
import { type AeadKeyUse, GCM_RENEGOTIATE } from "../../src/protocol/data/aead-key.ts";
import { tlsParameters } from "../../src/protocol/exchange/tls-parameters.ts";
import { type CipherName, NO_DECOMPRESSORS } from "../../src/protocol/ports.ts";
import { ClientSession } from "../../src/protocol/session/client.ts";
import type { SessionEvent } from "../../src/protocol/session/events.ts";
import { OPENVPN, openvpnIsAtLeast } from "../support/world/openvpn-binary.ts";

setDefaultTimeout(60_000);
const AT = 1024;
const HAS_EPOCHS = openvpnIsAtLeast(2, 7);

interface Case {
  readonly name: string;
  readonly theirs: readonly string[];
  readonly ours: readonly string[];
  readonly cipher: CipherName;
  readonly keyUse?: AeadKeyUse;
}

/** A certificate of its own for each end. @returns its fingerprint */
function certificate(folder: string, name: string): string {
  const made = Bun.spawnSync(
    [
      ...[
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "9",
      ],
      ...["-subj", `/CN=${name}`, "-keyout", join(folder, `${name}.key`), "-out", join(folder, `${name}.crt`)],
    ],
    { stdout: "ignore", stderr: "ignore" },
  );
  expect(made.exitCode).toBe(0);
  const shown = Bun.spawnSync([
    "openssl",
    "x509",
    "-noout",
    "-fingerprint",
    "-sha256",
    "-in",
    join(folder, `${name}.crt`),
  ]);
  return shown.stdout.toString().trim().split("=")[1] as string;
}

const CASES: readonly Case[] = [
  { name: "what both prefer", theirs: [], ours: [], cipher: "AES-256-GCM" },
  {
    name: "the server's order of ciphers",
    theirs: ["data-ciphers CHACHA20-POLY1305:AES-128-GCM"],
    ours: ["data-ciphers AES-128-GCM:CHACHA20-POLY1305"],
    cipher: "CHACHA20-POLY1305",
  },
  {
    name: "CBC",
    theirs: ["data-ciphers AES-256-CBC", "auth SHA256"],
    ours: ["data-ciphers AES-256-CBC", "auth SHA256"],
    cipher: "AES-256-CBC",
  },
  // openvpn 2.7 and newer follows
  ...(HAS_EPOCHS
    ? [
        {
          name: "an epoch of ours that is over",
          theirs: [],
          ours: [],
          cipher: "AES-256-GCM" as const,
          keyUse: { sent: GCM_RENEGOTIATE },
        },
      ]
    : []),
];

describe("tls-client without pull", () => {
  test.each(CASES)("$name", async ({ theirs, ours, cipher, keyUse }) => {
    const folder = mkdtempSync(join(tmpdir(), "p2p-tls-"));
    const memory = new NativeMemory(64 * 1024);
    const prints = { a: certificate(folder, "a"), b: certificate(folder, "b") };
    const waiting: Uint8Array[] = [];
    const socket = await Bun.udpSocket({
      hostname: "127.0.0.1",
      socket: { data: (_s, bytes) => void waiting.push(Uint8Array.from(bytes)), error: () => {} },
    });
    const probe = await Bun.udpSocket({ hostname: "127.0.0.1" });
    const port = probe.port;
    probe.close();
    const timers = ["ping 1", "ping-restart 20"];
    const conf = ["dev null", "tls-server", "dh none", `lport ${port}`, "local 127.0.0.1", "cert a.crt", "key a.key"];
    const rest = [`peer-fingerprint ${prints.b}`, "verb 4", "explicit-exit-notify 1"];
    writeFileSync(join(folder, "peer.conf"), `${[...conf, ...rest, ...timers, ...theirs].join("\n")}\n`);
    const peer = Bun.spawn([OPENVPN, "--cd", folder, "--config", "peer.conf", "--log", "log"], { stdout: "ignore" });
    const logFile = join(folder, "log");
    const log = (): string => (existsSync(logFile) ? readFileSync(logFile, "utf8") : "");
    try {
      const own = [
        ...["tls-client", "dev tun", `remote 127.0.0.1 ${port}`, "nobind", "cert b.crt", "key b.key"],
        ...[`peer-fingerprint ${prints.a}`, "ifconfig 10.9.0.2 10.9.0.1", "explicit-exit-notify 1"],
        ...timers,
        ...ours,
      ];
      const read = (name: string): Uint8Array => new Uint8Array(readFileSync(join(folder, name)));
      const result = parseConfig({ file: "own", text: own.join("\n") }, read, { roles: ["client"] });
      if (!result.ok) throw new Error(JSON.stringify(result.problems));
      const { config } = result;
      const session = new ClientSession(
        config,
        {
          slab: memory,
          aead: new LibcryptoAead(memory, memory.pointer),
          cbc: new LibcryptoCbc(memory, memory.pointer),
          random: systemRandom,
          scratch: new Arena(memory, 32 * 1024, 64 * 1024),
          decompressors: NO_DECOMPRESSORS,
          control: new LibcryptoPrimitives(),
          tls: libsslTls.context(tlsParameters(config.tls, config.verify)),
        },
        { link: { overhead: 28, isStream: false }, unixSeconds: Math.floor(Date.now() / 1000), keyUse },
      );
      const events: SessionEvent[] = [];
      const [datagrams, plain] = [new Batch(1), new Batch(1)];
      const turn = (): void => {
        const now = performance.now();
        for (const bytes of waiting.splice(0)) {
          memory.bytes.set(bytes, AT);
          datagrams.clear();
          datagrams.push(AT, bytes.length);
          session.handleBatch(now, datagrams, plain);
        }
        session.handleTimeout(now);
        for (let p = session.pollTransmit(now); p !== undefined; p = session.pollTransmit(now))
          socket.send(p, port, "127.0.0.1");
        for (let e = session.pollEvent(); e !== undefined; e = session.pollEvent()) events.push(e);
      };
      const until = async (condition: () => boolean): Promise<boolean> => {
        for (const end = performance.now() + 20_000; performance.now() < end; await Bun.sleep(20)) {
          turn();
          if (condition()) return true;
        }
        return false;
      };
      for (let i = 0; i < 500 && !log().includes("link remote"); i++) await Bun.sleep(20);
      session.start(performance.now());
      expect(await until(() => session.isUp)).toBe(true);
      const up = events.find((event) => event.kind === "up");
      expect(up).toMatchObject({ options: [], cipher });
      expect(await until(() => session.traffic().pings > 1)).toBe(true);
      expect(await until(() => log().includes(`cipher '${cipher}'`))).toBe(true);
      const peerId = up?.kind === "up" ? up.peerId : -1;
      const epochs = HAS_EPOCHS ? ` epoch=${cipher.endsWith("CBC") ? 0 : 1},` : "";
      expect(log()).toContain(`TLS_export=1, DATA_v2=1, peer-id ${peerId},${epochs} cipher=${cipher}`);
      if (keyUse !== undefined) {
        expect(await until(() => log().includes("Outgoing Epoch Data key 2:"))).toBe(true);
        const { pings } = session.traffic();
        expect(await until(() => session.traffic().pings > pings + 2)).toBe(true);
      }
      session.close(performance.now());
      expect(await until(() => /remote-exit|exit message received/i.test(log()))).toBe(true);
      expect(log()).not.toMatch(/packet error|TLS Error|Unroutable/);
      expect(session.drops.snapshot()).toEqual({});
    } finally {
      peer.kill();
      await peer.exited;
      socket.close();
      rmSync(folder, { recursive: true });
    }
  });
});
