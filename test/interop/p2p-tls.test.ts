/**
 * A point-to-point tunnel by TLS to the real openvpn (tls-server without mode server), without interfaces or privileges: what is agreed
 * on without pushes, pings both ways, a renegotiation, the goodbye.
 */
import "reflect-metadata";
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { LibcryptoPrimitives } from "../../src/platform/crypto/control-primitives.ts";
import { libsslTls } from "../../src/platform/crypto/tls.ts";
import { parseConfig } from "../../src/protocol/config/parse.ts";
import { type AeadKeyUse, GCM_RENEGOTIATE } from "../../src/protocol/data/aead-key.ts";
import { tlsParameters } from "../../src/protocol/exchange/tls-parameters.ts";
import type { CipherName } from "../../src/protocol/ports.ts";
import { ClientSession } from "../../src/protocol/session/client.ts";
import type { SessionEvent } from "../../src/protocol/session/events.ts";
import { OpenvpnEnd } from "../support/openvpn-end.ts";
import { openvpnIsAtLeast } from "../support/world/openvpn-binary.ts";

setDefaultTimeout(60_000);
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
    const end = await OpenvpnEnd.create("p2p-tls");
    try {
      const prints = { a: certificate(end.folder, "a"), b: certificate(end.folder, "b") };
      const timers = ["ping 1", "ping-restart 20", "explicit-exit-notify 1"];
      const peer = ["tls-server", "dh none", "cert a.crt", "key a.key", `peer-fingerprint ${prints.b}`];
      end.start([...peer, ...timers, ...theirs]);
      const own = [
        ...["tls-client", "dev tun", `remote 127.0.0.1 ${end.port}`, "nobind", "cert b.crt", "key b.key"],
        ...[`peer-fingerprint ${prints.a}`, "ifconfig 10.9.0.2 10.9.0.1"],
        ...timers,
        ...ours,
      ];
      const file = { file: "own", text: own.join("\n") };
      const result = parseConfig(file, (name) => end.read(name), { roles: ["client"] });
      if (!result.ok) throw new Error(JSON.stringify(result.problems));
      const { config } = result;
      const tls = libsslTls.context(tlsParameters(config.tls, config.verify));
      const session = new ClientSession(
        config,
        { ...end.ports, control: new LibcryptoPrimitives(), tls },
        { link: { overhead: 28, isStream: false }, unixSeconds: Math.floor(Date.now() / 1000), keyUse },
      );
      const events: SessionEvent[] = [];
      const run = await end.join(session);
      const until = (condition: () => boolean): Promise<boolean> =>
        run(() => {
          for (let e = session.pollEvent(); e !== undefined; e = session.pollEvent()) events.push(e);
          return condition();
        });
      expect(await until(() => session.isUp)).toBe(true);
      const up = events.find((event) => event.kind === "up");
      expect(up).toMatchObject({ options: [], cipher });
      expect(await until(() => session.traffic().pings > 1)).toBe(true);
      expect(await until(() => end.log().includes(`cipher '${cipher}'`))).toBe(true);
      const peerId = up?.kind === "up" ? up.peerId : -1;
      const epochs = HAS_EPOCHS ? ` epoch=${cipher.endsWith("CBC") ? 0 : 1},` : "";
      expect(end.log()).toContain(`TLS_export=1, DATA_v2=1, peer-id ${peerId},${epochs} cipher=${cipher}`);
      if (keyUse !== undefined) {
        expect(await until(() => end.log().includes("Outgoing Epoch Data key 2:"))).toBe(true);
        const { pings } = session.traffic();
        expect(await until(() => session.traffic().pings > pings + 2)).toBe(true);
      }
      session.close(performance.now());
      expect(await until(() => /remote-exit|exit message received/i.test(end.log()))).toBe(true);
      expect(end.log()).not.toMatch(/packet error|TLS Error|Unroutable/);
      expect(session.drops.snapshot()).toEqual({});
    } finally {
      await end.close();
    }
  });
});
