/**
 * A tunnel with a static key to the real openvpn, without interfaces or privileges: both have only pings and the goodbye to say, which
 * each end believes only if all of it is right.
 */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { parseConfig } from "../../src/protocol/config/parse.ts";
import { StaticSession } from "../../src/protocol/session/static.ts";
import { OpenvpnEnd } from "../support/openvpn-end.ts";
import { OPENVPN, openvpnIsAtLeast } from "../support/world/openvpn-binary.ts";

setDefaultTimeout(60_000);

interface Case {
  readonly lines: readonly string[];
  readonly directions: readonly [string, string];
  /** Our end waits for who has the key. */
  readonly waits?: boolean;
}
/** From 2.7 on a static key has to be allowed: it has no forward secrecy. */
const ALLOWED = openvpnIsAtLeast(2, 7) ? ["allow-deprecated-insecure-static-crypto"] : [];
const GENKEY = openvpnIsAtLeast(2, 5) ? ["secret"] : ["--secret"];
const COMPRESSES = openvpnIsAtLeast(2, 5) ? ["allow-compression yes"] : [];
const CASES: readonly Case[] = [
  { lines: ["cipher AES-256-CBC", "auth SHA256"], directions: ["0", "1"] },
  { lines: ["cipher AES-128-CBC", "auth SHA512", "comp-lzo no", ...COMPRESSES], directions: ["1", "0"] },
  { lines: ["cipher AES-192-CBC", "auth SHA1", "fragment 600"], directions: ["", ""] },
  { lines: ["cipher AES-256-CBC", "auth SHA256"], directions: ["1", "0"], waits: true },
];

describe("a static key, both ends", () => {
  test.each(CASES)("%j", async ({ lines, directions, waits }) => {
    const end = await OpenvpnEnd.create("static-key");
    try {
      expect(Bun.spawnSync([OPENVPN, "--genkey", ...GENKEY, join(end.folder, "key")]).exitCode).toBe(0);
      const common = [...lines, "ping 1", "ping-restart 20", "explicit-exit-notify 1"];
      end.start([`remote 127.0.0.1 ${end.ownPort}`, ...common, ...ALLOWED, `secret key ${directions[0]}`]);
      const own = [
        "dev tun",
        ...common,
        ...(waits ? [] : [`remote 127.0.0.1 ${end.port}`]),
        `secret key ${directions[1]}`,
      ];
      const file = { file: "own", text: own.join("\n") };
      const result = parseConfig(file, (name) => end.read(name), { roles: ["static"] });
      if (!result.ok) throw new Error(JSON.stringify(result.problems));
      const session = new StaticSession(result.config, end.ports, {
        link: { overhead: 28, isStream: false },
        unixSeconds: Math.floor(Date.now() / 1000),
        wallClock: () => 0,
        waits,
      });
      const until = await end.join(session);
      expect(await until(() => session.traffic().pings > 1)).toBe(true);
      expect(await until(() => end.log().includes("Peer Connection Initiated"))).toBe(true);
      session.close(performance.now());
      expect(await until(() => /remote-exit|exit notification/i.test(end.log()))).toBe(true);
      expect(end.log()).not.toMatch(/packet error|FRAG_IN error|decompression/i);
      // What was on the way when the goodbye was said.
      expect({ ...session.drops.snapshot(), "session-ended": 0 }).toEqual({ "session-ended": 0 });
    } finally {
      await end.close();
    }
  });
});
