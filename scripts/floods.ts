/**
 * `bun scripts/floods.ts [--seconds N] [--only WORD]...`: the appliance, native, with a tunnel of the real openvpn, under one flood after the other, from the
 * LAN and at the WAN, by hping3 and, for IPv6, a generator of our own. A row for each: frames a second that its interface received, whether the tunnel stayed
 * up, memory before, at its highest and afterwards, and the p99 of pings through the tunnel in the first two seconds
 * after the flood and in the two after those. Exit status 1 where the tunnel was lost, memory grew, or that p99 is 50 ms or more.
 */
import { Subject } from "../test/interop/subject.ts";
import { becomePrivileged } from "../test/support/world/privilege.ts";
import { residentBytes } from "../test/support/world/router.ts";
import { statistics } from "../test/support/world/statistics.ts";
import { GATEWAY, SERVER, SITE, TUNNEL, World } from "../test/support/world/world.ts";
import { commandLine } from "./command-line.ts";

const USAGE = `usage: bun scripts/floods.ts [--seconds N] [--only WORD]...

  --seconds N   60, of each flood
  --only WORD   those whose names hold the word
`;
const { values, number } = commandLine(USAGE, {
  seconds: { type: "string" },
  only: { type: "string", multiple: true },
});
const seconds = number("seconds", 1) ?? 60;
await becomePrivileged();

const MIB = 1 << 20;
const MOST_GROWTH = 24 * MIB;
const MOST_P99_MS = 50;
const WINDOW_S = 2;

const world = await World.create();
const subject = new Subject(world);
await world.server();
await subject.bootUp();
const wan = world.wanAddress();
const macs = { lan: await world.mac("rt", "l1"), wan: await world.mac("rt", "w0") };
const own = { lan: await world.mac("lan", "l0"), wan: await world.mac("net", "w1") };
const linkLocal = (mac: string): string => {
  const [a, b, c, d, e, f] = mac.split(":");
  return `fe80::${(((Number.parseInt(a!, 16) ^ 2) << 8) | Number.parseInt(b!, 16)).toString(16)}:${c}ff:fe${d}:${e}${f}`;
};

interface Flood {
  readonly name: string;
  readonly side: "lan" | "wan";
  readonly command: readonly string[];
}

const hping = (side: "lan" | "wan", name: string, target: string, ...how: string[]): Flood => ({
  name: `${side} ${name}`,
  side,
  command: ["timeout", `${seconds}`, "hping3", "-q", "--flood", "-I", side === "lan" ? "l0" : "w1", ...how, target],
});
const flood6 = (side: "lan" | "wan", kind: string): Flood => ({
  name: `${side} IPv6 ${kind}`,
  side,
  command: [
    process.execPath,
    new URL("../test/support/world/flood6.ts", import.meta.url).pathname,
    side === "lan" ? "l0" : "w1",
    kind,
    `${seconds}`,
    "7",
    own[side],
    macs[side],
    "fe80::99",
    linkLocal(macs[side]),
  ],
});

const FLOODS: readonly Flood[] = [
  hping("lan", "SYN", SITE, "-S", "-p", "++1"),
  hping("lan", "UDP", GATEWAY, "-2", "-p", "++1", "-d", "64"),
  hping("lan", "UDP into the tunnel", SITE, "-2", "-p", "++1", "-d", "64"),
  hping("lan", "ICMP", GATEWAY, "-1", "-d", "64"),
  hping("lan", "fragments", SITE, "-2", "-x", "-d", "256"),
  hping("wan", "SYN", wan, "-S", "-p", "++1", "--rand-source"),
  hping("wan", "UDP", wan, "-2", "-p", "++1", "-d", "64", "--rand-source"),
  hping("wan", "UDP from the server's address", wan, "-2", "-p", "++1", "-s", "1194", "-k", "-d", "64", "-a", SERVER),
  hping("wan", "ICMP", wan, "-1", "-d", "64", "--rand-source"),
  hping("wan", "fragments", wan, "-2", "-x", "-d", "256", "--rand-source"),
  ...(["lan", "wan"] as const).flatMap((side) =>
    ["neighbours", "fragments", "routers"].map((kind) => flood6(side, kind)),
  ),
];

/** p99 of the pings of a window, ms; Infinity where one of a hundred was lost. */
async function p99(): Promise<number> {
  const { out } = await world.in("lan", ["ping", "-n", "-D", "-i", "0.01", "-w", `${WINDOW_S}`, TUNNEL]);
  const times = [...out.matchAll(/time=([\d.]+)/g)].map((match) => Number(match[1]));
  const sent = Number(/(\d+) packets transmitted/.exec(out)?.[1] ?? 0);
  // The last one may be under way when ping ends.
  while (times.length < sent - 1) times.push(Number.POSITIVE_INFINITY);
  return times.sort((a, b) => a - b)[Math.floor(times.length * 0.99)] ?? Number.POSITIVE_INFINITY;
}

const received = async (side: "lan" | "wan"): Promise<number> => {
  const fields = (await statistics(subject.running))[side]!;
  return (fields["received"] ?? 0) + (fields["kernelDropped"] ?? 0);
};

let failures = 0;
const mib = (bytes: number): string => (bytes / MIB).toFixed(0);
console.log("flood | frames/s | tunnel | MiB before, most, after | p99 ms 0-2 s, 2-4 s");
try {
  for (const { name, side, command } of FLOODS) {
    if (values.only !== undefined && !values.only.some((word) => name.includes(word))) continue;
    const { pid } = subject.running;
    const before = { memory: residentBytes(pid), frames: await received(side), log: subject.log().length };
    let most = 0;
    const watch = setInterval(() => {
      most = Math.max(most, residentBytes(pid));
    }, 500);
    await world.in(side === "lan" ? "lan" : "net", command, seconds + 30);
    clearInterval(watch);
    const early = await p99();
    const late = await p99();
    const after = residentBytes(pid);
    const lost = /tunnel\.down|internal\.error/.exec(subject.log().slice(before.log))?.[0];
    const rate = Math.round(((await received(side)) - before.frames) / seconds);
    const good = lost === undefined && subject.alive && after - before.memory < MOST_GROWTH && late < MOST_P99_MS;
    if (!good) failures++;
    const memory = [before.memory, Math.max(most, after), after].map(mib).join(", ");
    console.log(`${name} | ${rate} | ${lost ?? "up"} | ${memory} | ${early}, ${late}${good ? "" : " | FAILED"}`);
  }
} finally {
  await subject.halt();
  await world.close();
}
process.exit(failures > 0 ? 1 : 0);
