/**
 * A point-to-point tunnel by TLS with the real openvpn (tls-client without pull, tls-server without mode server), as either end,
 * without interfaces or privileges: what is agreed on without pushes, pings both ways, renegotiations, the goodbye.
 */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { LibcryptoPrimitives } from "../../src/platform/crypto/control-primitives.ts";
import { libsslTls } from "../../src/platform/crypto/tls.ts";
import { parseConfig } from "../../src/protocol/config/parse.ts";
import { type AeadKeyUse, GCM_RENEGOTIATE } from "../../src/protocol/data/aead-key.ts";
import { serverTlsParameters, tlsParameters } from "../../src/protocol/exchange/tls-parameters.ts";
import type { CipherName } from "../../src/protocol/ports.ts";
import { ClientSession } from "../../src/protocol/session/client.ts";
import type { SessionEvent } from "../../src/protocol/session/events.ts";
import { P2pSession } from "../../src/protocol/session/p2p.ts";
import { OpenvpnEnd } from "../support/openvpn-end.ts";
import { OPENVPN, openvpnIsAtLeast } from "../support/world/openvpn-binary.ts";

setDefaultTimeout(60_000);
const HAS_EPOCHS = openvpnIsAtLeast(2, 7);
/** Before it two ends negotiate nothing: each has one cipher, and of what they announce neither makes use. */
const NEGOTIATES = openvpnIsAtLeast(2, 6);

interface Case {
  readonly name: string;
  readonly theirs: readonly string[];
  readonly ours: readonly string[];
  readonly cipher: CipherName;
  readonly keyUse?: AeadKeyUse;
  /** Of the whole test. */
  readonly wrap?: "tls-auth" | "tls-crypt";
  readonly renegotiates?: boolean;
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

const NEGOTIATED: readonly Case[] = [
  { name: "what both prefer", theirs: [], ours: [], cipher: "AES-256-GCM" },
  {
    name: "tls-crypt, with keys of its own for renegotiations",
    theirs: [],
    ours: [],
    cipher: "AES-256-GCM",
    wrap: "tls-crypt",
    renegotiates: true,
  },
  { name: "tls-auth", theirs: ["auth SHA256"], ours: ["auth SHA256"], cipher: "AES-256-GCM", wrap: "tls-auth" },
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

const OLD: readonly Case[] = [
  {
    name: "one cipher",
    theirs: ["cipher AES-256-GCM"],
    ours: ["cipher AES-256-GCM"],
    cipher: "AES-256-GCM",
    renegotiates: true,
  },
  {
    name: "CBC",
    theirs: ["cipher AES-128-CBC", "auth SHA256"],
    ours: ["data-ciphers AES-128-CBC", "cipher AES-128-CBC", "auth SHA256"],
    cipher: "AES-128-CBC",
  },
];

const COMMON = NEGOTIATES ? NEGOTIATED : OLD;
const ORDER = { theirs: "CHACHA20-POLY1305:AES-128-GCM", ours: "AES-128-GCM:CHACHA20-POLY1305" };
const orders = (cipher: CipherName): Case => ({
  name: "the TLS server's order of ciphers",
  theirs: [`data-ciphers ${ORDER.theirs}`],
  ours: [`data-ciphers ${ORDER.ours}`],
  cipher,
});

const ENDS = [
  ["tls-client", [...COMMON, ...(NEGOTIATES ? [orders("CHACHA20-POLY1305")] : [])]],
  ["tls-server", [...COMMON, ...(NEGOTIATES ? [orders("AES-128-GCM")] : [])]],
] as const;

describe.each(ENDS)("our end is %s", (end, cases) => {
  test.each(cases)("$name", async ({ theirs, ours, cipher, keyUse, wrap, renegotiates }) => {
    const far = await OpenvpnEnd.create("p2p-tls");
    try {
      const prints = { a: certificate(far.folder, "a"), b: certificate(far.folder, "b") };
      const isServer = end === "tls-server";
      if (wrap !== undefined) {
        const form = openvpnIsAtLeast(2, 5) ? ["--genkey", "secret", "ta.key"] : ["--genkey", "--secret", "ta.key"];
        expect(Bun.spawnSync([OPENVPN, ...form], { cwd: far.folder }).exitCode).toBe(0);
      }
      const wrapped = (direction: number) =>
        wrap === undefined ? [] : [`${wrap} ta.key${wrap === "tls-auth" ? ` ${direction}` : ""}`];
      const timers = ["ping 1", "ping-restart 20", "explicit-exit-notify 1"];
      const trust = (print: string, name: string) =>
        openvpnIsAtLeast(2, 6) ? `peer-fingerprint ${print}` : `ca ${name}.crt`;
      far.start([
        ...(isServer ? ["tls-client", `remote 127.0.0.1 ${far.ownPort}`] : ["tls-server", "dh none"]),
        ...["cert a.crt", "key a.key", trust(prints.b, "b"), ...wrapped(0), ...timers, ...theirs],
      ]);
      const own = [
        ...["dev tun", `remote 127.0.0.1 ${far.port}`, "nobind", "cert b.crt", "key b.key", ...wrapped(1)],
        ...[end, `peer-fingerprint ${prints.a}`, "ifconfig 10.9.0.2 10.9.0.1", ...timers, ...ours],
      ];
      const file = { file: "own", text: own.join("\n") };
      const result = parseConfig(file, (name) => far.read(name), { roles: ["client", "p2p"] });
      if (!result.ok) throw new Error(JSON.stringify(result.problems));
      const { config } = result;
      const { tls, verify } = config;
      const context = libsslTls.context(
        isServer ? serverTlsParameters(tls, verify, "require") : tlsParameters(tls, verify),
      );
      const ports = { ...far.ports, control: new LibcryptoPrimitives(), tls: context };
      const start = { link: { overhead: 28, isStream: false }, unixSeconds: Math.floor(Date.now() / 1000), keyUse };
      const session =
        config.role === "p2p"
          ? new P2pSession(config, ports, { ...start, begins: true })
          : new ClientSession(config, ports, start);
      const events: SessionEvent[] = [];
      const run = await far.join(session);
      const until = (condition: () => boolean): Promise<boolean> =>
        run(() => {
          for (let e = session.pollEvent(); e !== undefined; e = session.pollEvent()) events.push(e);
          return condition();
        });
      expect(await until(() => session.isUp)).toBe(true);
      const up = events.find((event) => event.kind === "up");
      expect(up).toMatchObject({ options: [], cipher });
      expect(await until(() => session.traffic().pings > 1)).toBe(true);
      expect(await until(() => far.log().toLowerCase().includes(`cipher '${cipher.toLowerCase()}'`))).toBe(true);
      const peerId = up?.kind === "up" ? up.peerId : -1;
      const epochs = HAS_EPOCHS ? ` epoch=${cipher.endsWith("CBC") ? 0 : 1},` : "";
      // 2.8 has one for each way
      const ids = new RegExp(`peer-id ${peerId},(?: tx-peer-id ${peerId},)?${epochs} cipher=${cipher}`);
      if (NEGOTIATES) expect(far.log()).toMatch(ids);
      if (NEGOTIATES) expect(far.log()).toContain("TLS_export=1, DATA_v2=1");
      if (keyUse !== undefined) {
        expect(await until(() => far.log().includes("Outgoing Epoch Data key 2:"))).toBe(true);
        const { pings } = session.traffic();
        expect(await until(() => session.traffic().pings > pings + 2)).toBe(true);
      }
      if (renegotiates) {
        session.renegotiate(performance.now());
        expect(await until(() => events.some((event) => event.kind === "rekeyed"))).toBe(true);
        const { pings } = session.traffic();
        expect(await until(() => session.traffic().pings > pings + 2)).toBe(true);
      }
      session.close(performance.now());
      expect(await until(() => /remote-exit|exit message received|exit notification/i.test(far.log()))).toBe(true);
      expect(far.log()).not.toMatch(/packet error|TLS Error|Unroutable/);
      // What was on the way when the goodbye was said.
      expect({ ...session.drops.snapshot(), "session-ended": 0 }).toEqual({ "session-ended": 0 });
    } finally {
      await far.close();
    }
  });
});
