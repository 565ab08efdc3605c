/**
 * A tunnel with a static key to the real openvpn, without interfaces or privileges: both have only pings and the goodbye to say, which
 * each end believes only if all of it is right.
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
import { systemRandom } from "../../src/platform/crypto/random.ts";
import { NativeMemory } from "../../src/platform/sys/memory.ts";
import { parseConfig } from "../../src/protocol/config/parse.ts";
import { NO_DECOMPRESSORS } from "../../src/protocol/ports.ts";
import { StaticSession } from "../../src/protocol/session/static.ts";

setDefaultTimeout(60_000);
const OPENVPN = process.env["OPENVPN"] ?? Bun.which("openvpn") ?? "/usr/sbin/openvpn";
const AT = 1024;

interface Case {
  readonly lines: readonly string[];
  readonly directions: readonly [string, string];
}
const CASES: readonly Case[] = [
  { lines: ["cipher AES-256-CBC", "auth SHA256"], directions: ["0", "1"] },
  { lines: ["cipher AES-128-CBC", "auth SHA512", "comp-lzo no", "allow-compression yes"], directions: ["1", "0"] },
  { lines: ["cipher AES-192-CBC", "auth SHA1", "fragment 600"], directions: ["", ""] },
];

describe("a static key, both ends", () => {
  test.each(CASES)("%j", async ({ lines, directions }) => {
    const folder = mkdtempSync(join(tmpdir(), "static-key-"));
    const memory = new NativeMemory(64 * 1024);
    const key = Bun.spawnSync([OPENVPN, "--genkey", "secret", join(folder, "key")]);
    expect(key.exitCode).toBe(0);
    const waiting: Uint8Array[] = [];
    const ours = await Bun.udpSocket({
      hostname: "127.0.0.1",
      socket: { data: (_s, bytes) => void waiting.push(Uint8Array.from(bytes)), error: () => {} },
    });
    const theirs = await Bun.udpSocket({ hostname: "127.0.0.1" });
    const port = theirs.port;
    theirs.close();
    const common = ["dev tun", ...lines, "ping 1", "ping-restart 20"];
    const conf = [
      "dev null",

      `lport ${port}`,
      `remote 127.0.0.1 ${ours.port}`,
      "local 127.0.0.1",
    ];
    const texts = [...conf, ...common.slice(1), `secret key ${directions[0]}`, "verb 4", "explicit-exit-notify 1"];
    writeFileSync(join(folder, "peer.conf"), `${texts.join("\n")}\n`);
    const peer = Bun.spawn([OPENVPN, "--cd", folder, "--config", "peer.conf", "--log", "log"], { stdout: "ignore" });
    const logFile = join(folder, "log");
    const log = (): string => (existsSync(logFile) ? readFileSync(logFile, "utf8") : "");
    try {
      const own = [...common, `remote 127.0.0.1 ${port}`, `secret key ${directions[1]}`, "explicit-exit-notify 1"];
      const read = (name: string): Uint8Array => new Uint8Array(readFileSync(join(folder, name)));
      const result = parseConfig({ file: "own", text: own.join("\n") }, read, { roles: ["static"] });
      if (!result.ok) throw new Error(JSON.stringify(result.problems));
      const session = new StaticSession(
        result.config,
        {
          slab: memory,
          aead: new LibcryptoAead(memory, memory.pointer),
          cbc: new LibcryptoCbc(memory, memory.pointer),
          random: systemRandom,
          scratch: new Arena(memory, 32 * 1024, 64 * 1024),
          decompressors: NO_DECOMPRESSORS,
        },
        { link: { overhead: 28, isStream: false }, unixSeconds: Math.floor(Date.now() / 1000), wallClock: () => 0 },
      );
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
          ours.send(p, port, "127.0.0.1");
      };
      const until = async (condition: () => boolean): Promise<boolean> => {
        for (const end = performance.now() + 20_000; performance.now() < end; await Bun.sleep(20)) {
          turn();
          if (condition()) return true;
        }
        return false;
      };
      // Until the other end listens, what is sent to it is refused.
      for (let i = 0; i < 500 && !log().includes("link remote"); i++) await Bun.sleep(20);
      session.start(performance.now());
      expect(await until(() => session.traffic().pings > 1)).toBe(true);
      expect(await until(() => log().includes("Peer Connection Initiated"))).toBe(true);
      session.close(performance.now());
      expect(await until(() => /remote-exit|exit notification/i.test(log()))).toBe(true);
      expect(log()).not.toMatch(/packet error|FRAG_IN error|decompression/i);
      expect(session.drops.snapshot()).toEqual({});
    } finally {
      peer.kill();
      await peer.exited;
      ours.close();
      rmSync(folder, { recursive: true });
    }
  });
});
