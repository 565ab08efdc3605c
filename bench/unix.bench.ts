/**
 * Client and server on the kernels of two hosts that a cable joins, each of them openvpn or Morgana: TCP through the tunnel each way, and
 * the processor seconds of either end, alternating within one run. `npm run bench -- unix`, or
 * `bun bench/unix.bench.ts [--rounds N] [--seconds N] [--proto tcp] [--only CLIENT/SERVER,...] [--json]`.
 */
import { join } from "node:path";
import { commandLine } from "../scripts/command-line.ts";
import { iperfTcp, type Route, type Way } from "../test/support/world/iperf.ts";
import { OPENVPN } from "../test/support/world/openvpn-binary.ts";
import { becomePrivileged } from "../test/support/world/privilege.ts";
import type { Daemon } from "../test/support/world/process.ts";
import { cpuSeconds, morgana } from "../test/support/world/router.ts";
import { TUNNEL } from "../test/support/world/world.ts";
import { median } from "./report.ts";
import { PROGRAMS, type Program, ready, startServer, twoHosts, writeEnds } from "./unix-ends.ts";

const USAGE = `usage: npm run bench -- unix

  --rounds N        3
  --seconds N       of each measurement: 3
  --proto NAME      what OpenVPN goes over: udp, or tcp
  --only A/B,...    these alone: client/server, each openvpn or morgana
  --json            the figures of every round in place of the table
`;
const { values, number, refuse } = commandLine(USAGE, {
  rounds: { type: "string" },
  seconds: { type: "string" },
  proto: { type: "string", default: "udp" },
  only: { type: "string" },
  json: { type: "boolean", default: false },
});
const proto =
  values.proto === "udp" || values.proto === "tcp" ? values.proto : refuse(`--proto ${values.proto}: udp and tcp are`);
const [rounds, seconds] = [number("rounds", 1) ?? 3, number("seconds", 1) ?? 3];
/** Of each way before anything is measured: the just-in-time compiler works meanwhile. */
const WARM_UP_SECONDS = 2;
const ROUTE: Route = { from: "rt", to: "net", address: TUNNEL };

const ALL = PROGRAMS.flatMap((client) => PROGRAMS.map((server) => `${client}/${server}`));
const pairs = values.only?.split(",") ?? ALL;
const unknown = pairs.filter((pair) => !ALL.includes(pair));
if (unknown.length > 0) refuse(`--only ${unknown.join(",")}: ${ALL.join(", ")} are`);
await becomePrivileged();

const FIGURES = [
  "up",
  "down",
  "clientUp",
  "clientDown",
  "serverUp",
  "serverDown",
  "lostUp",
  "lostDown",
  "fullUp",
  "fullDown",
] as const;
type Round = Record<(typeof FIGURES)[number], number>;
const TITLES: Readonly<Record<keyof Round, string>> = {
  up: "TCP, client to server, Mbit/s",
  down: "TCP, server to client, Mbit/s",
  clientUp: "client, CPU s/GB up",
  clientDown: "client, CPU s/GB down",
  serverUp: "server, CPU s/GB up",
  serverDown: "server, CPU s/GB down",
  lostUp: "sent again up, segments/MB",
  lostDown: "sent again down, segments/MB",
  fullUp: "server's socket full, packets/MB",
  fullDown: "client's socket full, packets/MB",
};

const world = await twoHosts();
const results = new Map(pairs.map((pair) => [pair, [] as Round[]]));
let failed = false;
try {
  for (let round = 0; round < rounds; round++)
    for (let place = 0; place < pairs.length; place++) {
      const pair = pairs[(round + place) % pairs.length]!;
      try {
        const figures = await measure(pair);
        results.get(pair)!.push(figures);
        const words = FIGURES.map((key) => `${key} ${figures[key].toFixed(2)}`);
        console.error(`${pair}, round ${round + 1}: ${words.join(", ")}`);
      } catch (error) {
        failed = true;
        console.error(`${pair}, round ${round + 1}: ${(error as Error).message}`);
      }
    }
} finally {
  await world.close();
}
console.log(values.json ? JSON.stringify(Object.fromEntries(results)) : table());
process.exit(failed ? 1 : 0);

async function measure(pair: string): Promise<Round> {
  const [client, server] = pair.split("/") as [Program, Program];
  try {
    const ends = {
      server: await startServer(world, server, writeEnds(world, proto).server),
      client: await startClient(client),
    };
    const one = async (way: Way) => {
      await iperfTcp(world, way, WARM_UP_SECONDS, 0, ROUTE);
      const receiver = way === "up" ? "net" : "rt";
      const before = [cpuSeconds(ends.client.pid), cpuSeconds(ends.server.pid), await socketFull(receiver)] as const;
      const { mbit, bytes, retransmits } = await iperfTcp(world, way, seconds, 0, ROUTE);
      const perGb = (pid: number, from: number): number => (cpuSeconds(pid) - from) / (bytes / 1e9);
      return {
        ...{
          mbit,
          lost: retransmits / (bytes / 1e6),
          full: ((await socketFull(receiver)) - before[2]) / (bytes / 1e6),
        },
        ...{ client: perGb(ends.client.pid, before[0]), server: perGb(ends.server.pid, before[1]) },
      };
    };
    const [up, down] = [await one("up"), await one("down")];
    return {
      ...{ up: up.mbit, clientUp: up.client, serverUp: up.server, lostUp: up.lost, fullUp: up.full },
      ...{
        down: down.mbit,
        clientDown: down.client,
        serverDown: down.server,
        lostDown: down.lost,
        fullDown: down.full,
      },
    };
  } finally {
    await world.stop("client");
    await world.stop("server");
  }
}

async function startClient(program: Program): Promise<Daemon> {
  const { client: file } = writeEnds(world, proto);
  const argv =
    program === "openvpn"
      ? [OPENVPN, "--config", file]
      : ["env", `RUNTIME_DIRECTORY=${join(world.dir, "run-client")}`, ...morgana(), "client", "--no-dns", file];
  return await ready(world.start("client", "rt", argv), /Initialization Sequence Completed| tunnel\.up /);
}

/** Datagrams that found a socket's receive buffer full, of all sockets of a host so far (/proc/net/snmp). */
async function socketFull(part: "rt" | "net"): Promise<number> {
  const { out } = await world.in(part, ["cat", "/proc/net/snmp"]);
  const [names, numbers] = out.split("\n").filter((line) => line.startsWith("Udp:"));
  return Number(numbers!.split(" ")[names!.split(" ").indexOf("RcvbufErrors")]);
}

/** Medians, each with its ratio to openvpn at both ends where that was measured. */
function table(): string {
  const lines = ["".padEnd(32) + pairs.map((pair) => pair.padStart(24)).join("")];
  for (const key of FIGURES) {
    const of = (pair: string): number => median((results.get(pair) ?? []).map((round) => round[key]));
    const cells = pairs.map((pair) => {
      const ratio = pair === ALL[0] || !pairs.includes(ALL[0]!) ? "" : (of(pair) / of(ALL[0]!)).toFixed(2);
      return (
        of(pair)
          .toFixed(key === "up" || key === "down" ? 0 : 2)
          .padStart(17) + ratio.padStart(7)
      );
    });
    lines.push(TITLES[key].padEnd(32) + cells.join(""));
  }
  return lines.join("\n");
}
