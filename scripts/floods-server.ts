/**
 * `bun scripts/floods-server.ts [--packets N] [--rate N] [--connections N] [--only WORD]...`: our server, native, with a real openvpn that
 * pings the LAN through it, under floods of first packets from addresses that are made up, good and bad, and under connections that say
 * nothing. A row for each: what came and what was answered, bytes in and out, memory before and after, pings that were lost. Exit
 * status 1 where more was answered than the contract allows, something was kept, memory grew, a ping was lost or a client does not get in.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { unixSeconds } from "../src/platform/wall-clock.ts";
import type { ControlWrap } from "../src/protocol/config/types.ts";
import { noblePrimitives } from "../src/protocol/control/noble-primitives.ts";
import { controlEmit } from "../src/protocol/control/packet.ts";
import { controlCrypto } from "../src/protocol/control/protection.ts";
import { becomePrivileged } from "../test/support/world/privilege.ts";
import { residentBytes } from "../test/support/world/router.ts";
import { LAN_HOST, ServedWorld, WAN } from "../test/support/world/served-world.ts";
import { statistics } from "../test/support/world/statistics.ts";
import { commandLine } from "./command-line.ts";

const USAGE = `usage: bun scripts/floods-server.ts [--packets N] [--rate N] [--connections N] [--only WORD]...

  --packets N      1000000, of each flood of packets
  --rate N         20000 of them a second
  --connections N  10000
  --only WORD      those whose names hold the word
`;
const { values, number } = commandLine(USAGE, {
  packets: { type: "string" },
  rate: { type: "string" },
  connections: { type: "string" },
  only: { type: "string", multiple: true },
});
const packets = number("packets", 1) ?? 1_000_000;
const rate = number("rate", 1) ?? 20_000;
const connections = number("connections", 1) ?? 10_000;
await becomePrivileged();

const MIB = 1 << 20;
const MOST_GROWTH = 24 * MIB;
/** connect-freq-initial's default, and what an answer may be longer than its packet: the contract. */
const ANSWERS = { count: 100, seconds: 10 } as const;
const PING_MS = 50;
const STAY_S = 15;
const GENERATOR = new URL("../test/support/world/server-flood.ts", import.meta.url).pathname;

const world = await ServedWorld.create();

interface Row {
  readonly name: string;
  readonly lines: readonly string[];
  readonly client: readonly string[];
  /** Keys of the world that first packets are made with; undefined: connections instead. */
  readonly wrap: (() => ControlWrap) | undefined;
  /** They come from the client's own address and port, data packets with its number among them. */
  readonly isInItsName?: boolean;
}

const staticKey = (): Uint8Array =>
  Uint8Array.fromHex(
    /V1-----([^-]*)/.exec(readFileSync(join(world.dir, "static.key"), "utf8"))![1]!.replace(/\s/g, ""),
  );
const v2Key = (): { readonly key: Uint8Array; readonly wrapped: Uint8Array } => {
  const text = readFileSync(join(world.dir, "v2-client.key"), "utf8");
  const bytes = Uint8Array.fromBase64(/key-----([^-]*)/.exec(text)![1]!.replace(/\s/g, ""));
  return { key: bytes.slice(0, 256), wrapped: bytes.slice(256) };
};
const material = { label: "key", origin: { file: "x", line: 1 }, bytes: new Uint8Array(0) };

const ROWS: readonly Row[] = [
  {
    name: "first packets under tls-crypt",
    ...{ lines: ["tls-crypt static.key"], client: ["tls-crypt static.key"] },
    wrap: () => ({ kind: "tls-crypt", key: staticKey(), material }),
  },
  { name: "first packets without a wrap", lines: [], client: [], wrap: () => ({ kind: "none" }) },
  {
    name: "first packets under tls-crypt-v2",
    ...{ lines: ["tls-crypt-v2 v2-server.key force-cookie"], client: ["tls-crypt-v2 v2-client.key"] },
    wrap: () => ({ kind: "tls-crypt-v2", ...v2Key(), material }),
  },
  {
    name: "packets in the client's name",
    ...{ lines: ["tls-crypt static.key"], client: ["tls-crypt static.key"], isInItsName: true },
    wrap: () => ({ kind: "tls-crypt", key: staticKey(), material }),
  },
  {
    name: "connections that say nothing",
    ...{ lines: ["tls-crypt static.key"], client: ["tls-crypt static.key"], wrap: undefined },
  },
];

/** First packets of clients, every second one with a bit changed at its end: without a wrap that is no packet of anybody's either. */
function firstPackets(wrap: ControlWrap): Uint8Array[] {
  const isV2 = wrap.kind === "tls-crypt-v2";
  return Array.from({ length: 2000 }, (_, n) => {
    const sessionId = crypto.getRandomValues(new Uint8Array(8));
    const plain = controlEmit({
      ...{ opcode: isV2 ? 10 : 7, keyId: 0, sessionId, acks: [], peerSessionId: undefined, packetId: 0 },
      payload: new Uint8Array(0),
    });
    const sealed = controlCrypto(wrap, "client", noblePrimitives).seal(plain, 0x0f000001, unixSeconds());
    const bytes = isV2 ? Uint8Array.from([...sealed, ...wrap.wrapped]) : Uint8Array.from(sealed);
    if (n % 2 === 1) bytes[bytes.length - 1]! ^= 1;
    return bytes;
  });
}

/** Data packets of the first client that are nobody's. */
const dataPackets = (): Uint8Array[] =>
  Array.from({ length: 2000 }, () => Uint8Array.from([0x48, 0, 0, 0, ...crypto.getRandomValues(new Uint8Array(120))]));

/** Bytes of the server's interface, in and out. */
async function traffic(): Promise<{ readonly received: number; readonly sent: number }> {
  const [link] = JSON.parse((await world.in("rt", ["ip", "-j", "-s", "link", "show", "w0"])).out);
  return { received: link.stats64.rx.bytes, sent: link.stats64.tx.bytes };
}

const macOf = async (part: "rt" | "d", device: string): Promise<string> =>
  (
    await world.sh(part, `cat /sys/class/net/${device}/address || ip -br link show ${device} | awk '{print $3}'`)
  ).trim();

let failures = 0;
try {
  for (const row of ROWS) {
    if (values.only !== undefined && !values.only.some((word) => row.name.includes(word))) continue;
    const { wrap } = row;
    const listen = [`local ${WAN} 1194 udp`, `local ${WAN} 1194 tcp`];
    const server = await world.serve([...listen, ...row.lines], { without: ["port", "proto", "tls-crypt"] });
    await world.join("a", row.client, { without: ["tls-crypt"] });
    await world.ping("a", LAN_HOST);
    const before = { memory: residentBytes(server.pid), traffic: await traffic(), at: performance.now() };
    const log = server.log().length;
    const ping = world.start("ping", "a", ["ping", "-n", "-i", `${PING_MS / 1000}`, "-W", "5", "-O", LAN_HOST]);
    let most = 0;
    const watch = setInterval(() => {
      most = Math.max(most, residentBytes(server.pid));
    }, 500);
    const file = join(world.dir, "payloads");
    const limit = (packets / rate) * 5 + 120;
    const macs = [await macOf("d", "e0"), await macOf("rt", "w0")];
    const payloads = wrap === undefined ? [] : [...firstPackets(wrap()), ...(row.isInItsName ? dataPackets() : [])];
    writeFileSync(file, payloads.map((bytes) => bytes.toHex()).join("\n"));
    const stranger = ["connections", WAN, "1194", `${connections}`, `${STAY_S}`];
    const from = row.isInItsName ? [/address=(\S+)/.exec(await world.says(/peer\.up/))![1]!] : [];
    const spoofer = ["packets", "e0", ...macs, WAN, "1194", file, `${packets}`, `${rate}`, "7", ...from];
    const argv = [process.execPath, GENERATOR, ...(wrap === undefined ? stranger : spoofer)];
    const flood = world.in("d", ["sh", "-c", `ulimit -n $(ulimit -Hn); exec "$@"`, "sh", ...argv], limit);
    // Who comes in the midst of it: over UDP only when first packets may be answered, over TCP also then.
    if (wrap === undefined) await world.join("b", row.client, { without: ["tls-crypt"], proto: "tcp-client" });
    const result = (await flood).out.trim();
    clearInterval(watch);
    ping.signal("SIGINT");
    await ping.ended(10);
    const seconds = (performance.now() - before.at) / 1000;
    const [, transmitted = "0", answered = "0"] = /(\d+) packets transmitted, (\d+) received/.exec(ping.log()) ?? [];
    // The last one may be under way when ping ends.
    const lost = Math.max(0, Number(transmitted) - Number(answered) - 1);
    const after = { memory: residentBytes(server.pid), traffic: await traffic() };
    const counted = (await statistics(server))["session"] ?? {};
    const answers = counted["first-packets-answered"] ?? 0;
    const allowed = ANSWERS.count * (2 + Math.floor(seconds / ANSWERS.seconds));
    const [received, sent] = [
      after.traffic.received - before.traffic.received,
      after.traffic.sent - before.traffic.sent,
    ];
    const wrong = [
      ...(lost > 0 ? [`${lost} pings of ${transmitted} lost`] : []),
      ...(answers > allowed ? [`${answers} answers where ${allowed} are allowed`] : []),
      ...(wrap !== undefined && sent > received ? ["more bytes left than came"] : []),
      ...(after.memory - before.memory > MOST_GROWTH ? ["memory grew"] : []),
      ...(/internal\.error|peer\.down/.test(server.log().slice(log)) ? ["the server says so"] : []),
      ...(server.alive ? [] : ["the server is gone"]),
      ...((counted["clients"] ?? 0) === (wrap === undefined ? 2 : 1) ? [] : [`${counted["clients"]} clients are in`]),
    ];
    if (wrong.length > 0) failures++;
    const mib = (bytes: number): string => (bytes / MIB).toFixed(1);
    console.log(
      [
        row.name,
        result,
        `pings ${answered}/${transmitted}`,
        `answered ${answers} of at most ${allowed}; sessions begun ${counted["sessions-begun"] ?? 0}`,
        `MiB in ${mib(received)}, out ${mib(sent)}`,
        `memory MiB before ${mib(before.memory)}, most ${mib(most)}, after ${mib(after.memory)}`,
        wrong.length === 0 ? "good" : `FAILED: ${wrong.join("; ")}`,
      ].join(" | "),
    );
  }
} finally {
  await world.close();
}
process.exit(failures > 0 ? 1 : 0);
