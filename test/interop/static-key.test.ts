/**
 * A tunnel with a static key to the real openvpn, without interfaces or privileges: both have only pings and the goodbye to say, which
 * each end believes only if all of it is right.
 */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { Batch } from "../../src/lib/batch.ts";
import { parseConfig } from "../../src/protocol/config/parse.ts";
import { noblePrimitives } from "../../src/protocol/control/noble-primitives.ts";
import { NOTHING_SEEN } from "../../src/protocol/session/sightings.ts";
import { StaticSession } from "../../src/protocol/session/static.ts";
import { Dialer } from "../../src/tunnel/dialer.ts";
import { DialHistory } from "../../src/tunnel/history.ts";
import type { LinkFactory, LinkReceiver } from "../../src/tunnel/link.ts";
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
        "ifconfig 10.9.0.1 10.9.0.2",
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

test("of two remotes the one that says nothing gives its place to the other, and that is told", async () => {
  const end = await OpenvpnEnd.create("static-key");
  const lines: string[] = [];
  const waiting: { readonly port: number; readonly bytes: Uint8Array }[] = [];
  const socket = await Bun.udpSocket({
    hostname: "127.0.0.1",
    socket: { data: (_s, bytes, port) => void waiting.push({ port, bytes: Uint8Array.from(bytes) }), error: () => {} },
  });
  // Bound, and mute.
  const silent = await Bun.udpSocket({ hostname: "127.0.0.1" });
  let heard: { readonly port: number; readonly receiver: LinkReceiver } | undefined;
  const links: LinkFactory = {
    hasLoopback: true,
    refusal: () => undefined,
    open(_now, { remote }, receiver) {
      heard = { port: remote.port, receiver };
      const send = (bytes: Uint8Array): void => void socket.send(bytes, remote.port, "127.0.0.1");
      return {
        ...{ overhead: 28, isStream: false, isOpen: true, mtu: 1500, admit: (rows) => rows.count, settle: () => {} },
        ...{ endpoint: () => remote, sightings: () => NOTHING_SEEN, drops: () => ({}), close: () => {} },
        send: (_at, _path, rows) => {
          for (let i = 0; i < rows.count; i++) send(end.memory.bytes.slice(rows.at[i]!, rows.at[i]! + rows.len[i]!));
        },
        sendPacket: (_at, _path, packet) => send(packet),
      };
    },
  };
  try {
    expect(Bun.spawnSync([OPENVPN, "--genkey", ...GENKEY, join(end.folder, "key")]).exitCode).toBe(0);
    const common = ["cipher AES-256-CBC", "auth SHA256", "ping 1", "ping-restart 3"];
    end.start([`remote 127.0.0.1 ${socket.port}`, ...common, ...ALLOWED, "secret key 1"]);
    const own = ["dev tun", "ifconfig 10.9.0.1 10.9.0.2", ...common, "secret key 0"];
    const remotes = [silent.port, end.port].map((port) => `remote 127.0.0.1 ${port}`);
    const file = { file: "own", text: [...own, ...remotes].join("\n") };
    const result = parseConfig(file, (name) => end.read(name), { roles: ["static"] });
    if (!result.ok) throw new Error(JSON.stringify(result.problems));
    const { config } = result;
    const dialer = new Dialer({
      ...{ ...end.ports, config, links, control: noblePrimitives },
      history: new DialHistory(config, end.ports.random),
      side: { lan: [], up: () => undefined, down: () => {}, deliver: () => {} },
      resolver: { resolve: () => {}, cancel: () => {}, pollAt: () => Number.POSITIVE_INFINITY, poll: () => {} },
      tls: { context: () => expect.unreachable("a static key has no TLS") },
      log: { enabled: () => true, write: (_level, event, message) => void lines.push(`${event} ${message}`) },
      unixSeconds: () => Math.floor(Date.now() / 1000),
    });
    dialer.networkUp(performance.now());
    const rows = new Batch(1);
    const hears = (): boolean => {
      const now = performance.now();
      for (const { port, bytes } of waiting.splice(0)) {
        rows.clear();
        end.memory.bytes.set(bytes, 1024);
        rows.push(1024, bytes.length);
        if (port === heard?.port) heard.receiver.handleRows(now, 0, rows);
      }
      dialer.poll(now);
      return (dialer.counters()?.["pings"] ?? 0) > 1;
    };
    for (let i = 0; i < 1500 && !hears(); i++) await Bun.sleep(20);
    expect(heard?.port).toBe(end.port);
    expect(hears()).toBe(true);
    expect(lines.filter((line) => line.startsWith("tunnel.down"))).toEqual([
      expect.stringContaining("nothing came from the other end for 3 s"),
    ]);
    expect(end.log()).not.toMatch(/packet error/i);
    dialer.stop(performance.now(), "the test is over");
  } finally {
    socket.close();
    silent.close();
    await end.close();
  }
});
