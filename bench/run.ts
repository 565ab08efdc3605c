/**
 * `npm run bench`: routers side by side on LAN host - router - WAN - openvpn server - web host, alternating within one run.
 *   openvpn   the kernel forwards and translates, openvpn 2.6 is the client
 *   morgana   `morgana appliance` on the same interfaces (the binary, compiled first where it is not of these sources)
 *   wireguard-go at both ends, where one is found (WIREGUARD_GO=) or can be built
 * The first two talk to the same real openvpn server. Figures are medians over the rounds; trust the ratios, not the digits.
 *
 *   npm run bench -- [--rounds 3] [--seconds 5] [--json] [--cipher AES-256-GCM] [--no-vm] [--no-wireguard]
 */
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { build } from "../scripts/build-binary.ts";
import { iperfTcp, iperfUdp } from "../test/support/world/iperf.ts";
import { becomePrivileged } from "../test/support/world/privilege.ts";
import { clearKernelRouter, cpuSeconds, ROOT, startKernelRouter, startNative } from "../test/support/world/router.ts";
import { startVm, vmProblem } from "../test/support/world/vm.ts";
import { SITE, World } from "../test/support/world/world.ts";
import { findWireguard, startWireguard, stopWireguard } from "./wireguard.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "3" },
    seconds: { type: "string", default: "5" },
    cipher: { type: "string", default: "AES-256-GCM" },
    json: { type: "boolean", default: false },
    "no-wireguard": { type: "boolean", default: false },
    "no-vm": { type: "boolean", default: false },
  },
});
const seconds = Number(values.seconds);
const UDP_SIZE = 1300;
const UDP_LOSS_PERCENT = 1;

interface Round {
  readonly tcpUp: number;
  readonly tcpDown: number;
  readonly udp: number;
  readonly rttMs: number;
  readonly cpuUp: number;
  readonly cpuDown: number;
}

const FIGURES: readonly { key: keyof Round; title: string; unit: string; digits: number }[] = [
  { key: "tcpUp", title: "TCP, LAN to internet", unit: "Mbit/s", digits: 0 },
  { key: "tcpDown", title: "TCP, internet to LAN", unit: "Mbit/s", digits: 0 },
  { key: "udp", title: `UDP ${UDP_SIZE} B, loss < ${UDP_LOSS_PERCENT} %`, unit: "Mbit/s", digits: 0 },
  { key: "rttMs", title: "ping RTT, mean of 100", unit: "ms", digits: 3 },
  { key: "cpuUp", title: "CPU s/GB, LAN to internet", unit: "s", digits: 2 },
  { key: "cpuDown", title: "CPU s/GB, internet to LAN", unit: "s", digits: 2 },
];

await becomePrivileged();
await build();
const world = await World.create({ wan: "cable", webMtu: 1500 });
interface Contender {
  readonly start: () => Promise<{ readonly pid: number; log(): string }>;
  readonly stop: () => Promise<unknown>;
}
const routers: Record<string, Contender> = {
  openvpn: { start: () => startKernelRouter(world, world.config()), stop: () => clearKernelRouter(world) },
  morgana: {
    start: async () => startNative(world, world.config(), { compiled: true }),
    stop: () => world.stop("router"),
  },
};
const wireguard = values["no-wireguard"] ? undefined : await findWireguard();
if (wireguard !== undefined)
  routers["wireguard-go"] = { start: () => startWireguard(world, wireguard), stop: () => stopWireguard(world) };
const results = new Map(Object.keys(routers).map((name) => [name, [] as Round[]]));
let failed = false;
const bootSeconds: number[] = [];

try {
  for (let round = 1; round <= Number(values.rounds); round++) {
    for (const name of Object.keys(routers)) {
      try {
        results.get(name)!.push(await measure(name, round));
      } catch (error) {
        failed = true;
        say(`${name}, round ${round}: ${error instanceof Error ? error.message : error}`);
      }
    }
  }
  if (!values["no-vm"] && vmProblem() === undefined) await bootTime();
} finally {
  await world.close();
}
report();
process.exit(failed ? 1 : 0);

/** One router, booted anew, and all its figures. */
async function measure(name: string, round: number): Promise<Round> {
  await world.server({ ciphers: values.cipher });
  try {
    const router = await routers[name]!.start();
    if ((await world.tunnelUp(30, SITE)) === undefined) throw new Error(`no tunnel:\n${router.log().slice(-1500)}`);
    await iperfTcp(world, "up", 1); // the first second warms up the just-in-time compiler and the ARP caches
    const up = await loaded(router.pid, "up");
    const down = await loaded(router.pid, "down");
    const udp = await udpLimit();
    const ping = await world.ping(SITE, 100, ["-i", "0.01"]);
    const figures = {
      tcpUp: up.mbit,
      tcpDown: down.mbit,
      udp,
      rttMs: ping.meanMs,
      cpuUp: up.cpuPerGb,
      cpuDown: down.cpuPerGb,
    };
    say(
      `${name}, round ${round}: ${FIGURES.map(({ key, digits }) => `${key} ${figures[key].toFixed(digits)}`).join(", ")}`,
    );
    return figures;
  } finally {
    await routers[name]!.stop();
  }
}

/** Power-on to `tunnel.up` of the image with 256 MiB, as often as there are rounds. */
async function bootTime(): Promise<void> {
  await world.server({ ciphers: values.cipher }); // another contender may have taken its place
  for (let round = 1; round <= Number(values.rounds); round++) {
    const vm = await startVm(world, { config: world.config() });
    const up = await vm.says(/tunnel\.up/, 60);
    if (up !== undefined) bootSeconds.push((performance.now() - vm.poweredAt) / 1000);
    else failed = true;
    say(
      `VM, round ${round}: ${up === undefined ? `no tunnel:\n${vm.log().slice(-1500)}` : `tunnel.up after ${bootSeconds.at(-1)!.toFixed(1)} s`}`,
    );
    if ((await vm.stop()) !== 0) failed = true;
  }
}

async function loaded(pid: number, way: "up" | "down"): Promise<{ mbit: number; cpuPerGb: number }> {
  const before = cpuSeconds(pid);
  const { mbit, bytes } = await iperfTcp(world, way, seconds);
  return { mbit, cpuPerGb: (cpuSeconds(pid) - before) / (bytes / 1e9) };
}

/** The highest rate that loses less than the limit: up in steps of half as much again, then between the last two. */
async function udpLimit(): Promise<number> {
  let good = 0;
  let offer = 100;
  const holds = async (mbit: number): Promise<boolean> => {
    const run = await iperfUdp(world, mbit, UDP_SIZE, 2);
    if (run.lossPercent >= UDP_LOSS_PERCENT) return false;
    good = Math.max(good, run.mbit);
    return run.mbit > mbit * 0.9;
  };
  while (offer < 20_000 && (await holds(offer))) offer *= 1.5;
  for (let low = offer / 1.5, step = 0; step < 3; step++) {
    const middle = (low + offer) / 2;
    if (await holds(middle)) low = middle;
    else offer = middle;
  }
  return good;
}

function report(): void {
  const median = (name: string, key: keyof Round): number => {
    const sorted = results
      .get(name)!
      .map((round) => round[key])
      .sort((a, b) => a - b);
    return sorted[sorted.length >> 1] ?? Number.NaN;
  };
  if (values.json) {
    console.log(JSON.stringify({ cipher: values.cipher, rounds: Object.fromEntries(results) }));
    return;
  }
  const names = Object.keys(routers);
  console.log(`\n${values.cipher}, medians of ${values.rounds} rounds of ${seconds} s`);
  console.log(
    ["".padEnd(28), "".padEnd(7), ...names.map((name) => name.padStart(13)), "morgana / openvpn".padStart(19)].join(""),
  );
  for (const { key, title, unit, digits } of FIGURES) {
    const figures = names.map((name) => median(name, key));
    const ratio = figures[1]! / figures[0]!;
    console.log(
      [
        title.padEnd(28),
        unit.padEnd(7),
        ...figures.map((figure) => figure.toFixed(digits).padStart(13)),
        ratio.toFixed(2).padStart(19),
      ].join(""),
    );
  }
  if (bootSeconds.length > 0) {
    const middle = bootSeconds.sort((a, b) => a - b)[bootSeconds.length >> 1]!;
    console.log(`${"VM (TCG, 256 MiB), power-on to tunnel.up".padEnd(45)} ${middle.toFixed(1)} s`);
  }
  const files = ["morgana", "morgana-kernel", "morgana-initrd.img"]
    .map((name) => join(ROOT, "dist", name))
    .filter((path) => existsSync(path));
  for (const path of files)
    console.log(`${path.slice(ROOT.length + 1).padEnd(35)}${(statSync(path).size / 1e6).toFixed(1).padStart(13)} MB`);
}

function say(text: string): void {
  console.error(text);
}
