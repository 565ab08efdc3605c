/**
 * `npm run bench`: routers side by side on LAN host - router - WAN - server - web host, alternating within one run.
 *   openvpn        the kernel forwards and translates, openvpn 2.6 is the client
 *   morgana        `morgana appliance` on the same interfaces (the binary, compiled first where it is not of these sources)
 *   base           another checkout's Morgana, with --base: before and after within the same hour
 *   wireguard-go   at both ends, where one is found (WIREGUARD_GO=) or can be built
 * All but the last talk to the same real openvpn server. Figures are medians over the rounds; trust the ratios, not the digits.
 */
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { build } from "../scripts/build-binary.ts";
import { commandLine } from "../scripts/command-line.ts";
import { iperfTcp } from "../test/support/world/iperf.ts";
import { becomePrivileged, missingTools } from "../test/support/world/privilege.ts";
import { run } from "../test/support/world/process.ts";
import { ROOT } from "../test/support/world/router.ts";
import { startVm, vmProblem } from "../test/support/world/vm.ts";
import { World } from "../test/support/world/world.ts";
import { buildBase, type Contender, morgana, openvpn, wireguard } from "./contenders.ts";
import { FIGURES, measure, type Round, UDP_LOSS_PERCENT } from "./measure.ts";
import { median, table } from "./report.ts";
import { findWireguard } from "./wireguard.ts";

/** Benchmarks without a network, each a process of its own: they would share their profiles and heap. */
const PARTS = ["aead", "data-channel", "turn", "control", "server"];

/** In namespaces of their own, and only when they are named. */
const WORLDS = ["unix", "kernel-path", "families", "peers"];

/** Those of our options that a benchmark of WORLDS takes too. */
const OPTIONS_OF: Readonly<Record<string, readonly ("rounds" | "seconds" | "proto")[]>> = {
  unix: ["rounds", "seconds", "proto"],
  families: ["rounds", "seconds"],
  peers: ["rounds", "seconds"],
};

const USAGE = `usage: npm run bench [-- OPTION...] [PART...]

  PART              only these, which need no network: ${PARTS.join(", ")};
                    unix: client and server on the kernels of two hosts (--rounds, --seconds and --proto count);
                    kernel-path: both in one process, whatever else the machine does;
                    families: IPv6 beside IPv4 through the appliance (--rounds and --seconds count);
                    peers: our server by the number of clients, as a program with its system calls (the same)

  --quick           three minutes: one round, 2 s each
  --rounds N        3 where it is not quick
  --seconds N       of each measurement: 5 where it is not quick
  --base DIR        beside another checkout's Morgana, in the same rounds
  --cipher NAME     AES-256-GCM
  --proto NAME      what OpenVPN goes over: udp, or tcp (then without wireguard-go and the VM)
  --json            the figures of every round in place of the tables
  --no-wireguard, --no-vm, --no-parts   without these
`;
const OPTIONS = {
  quick: { type: "boolean", default: false },
  rounds: { type: "string" },
  seconds: { type: "string" },
  base: { type: "string" },
  cipher: { type: "string", default: "AES-256-GCM" },
  proto: { type: "string", default: "udp" },
  json: { type: "boolean", default: false },
  "no-wireguard": { type: "boolean", default: false },
  "no-vm": { type: "boolean", default: false },
  "no-parts": { type: "boolean", default: false },
} as const;
const { values, number, words } = commandLine(USAGE, OPTIONS, (word) => [...PARTS, ...WORLDS].includes(word));
const { cipher, quick, proto: protocol } = values;
if (protocol !== "udp" && protocol !== "tcp") {
  console.error(`bench: --proto ${protocol}: udp and tcp are`);
  process.exit(2);
}
const rounds = number("rounds", 1) ?? (quick ? 1 : 3);
const seconds = number("seconds", 1) ?? (quick ? 2 : 5);
const length = {
  warmUpSeconds: quick ? 2 : 5,
  seconds,
  probes: quick ? 4 : 6,
  probeSeconds: Math.min(seconds, quick ? 1 : 2),
};
if (words.length > 0) process.exit((await runParts(words)) ? 0 : 1);
await becomePrivileged();
const missing = missingTools(["iptables"]);
if (missing.length > 0) {
  console.error(`bench: install ${missing.join(", ")} first (scripts/bootstrap says how)`);
  process.exit(1);
}
await build();
const base = values.base === undefined ? undefined : await buildBase(values.base);
const wireguardGo = values["no-wireguard"] || protocol === "tcp" ? undefined : await findWireguard();

const world = await World.create({ wan: "cable", webMtu: 1500 });
const contenders: Contender[] = [openvpn(world, cipher, protocol), morgana(world, cipher, protocol, "morgana")];
if (base !== undefined) contenders.push(morgana(world, cipher, protocol, "base", base));
if (wireguardGo !== undefined) contenders.push(wireguard(world, wireguardGo));
const results = new Map(contenders.map(({ name }) => [name, [] as Round[]]));
const vm: Record<"boot" | "up" | "down", number[]> = { boot: [], up: [], down: [] };
let failed = false;

try {
  for (let round = 0; round < rounds; round++) {
    // Each is first in its turn: what warms up or slows down with time is nobody's alone.
    for (let place = 0; place < contenders.length; place++) {
      const contender = contenders[(round + place) % contenders.length]!;
      try {
        const figures = await measure(world, contender, length);
        results.get(contender.name)!.push(figures);
        const words = FIGURES.map(({ key, digits }) => `${key} ${figures[key]!.toFixed(digits)}`);
        say(`${contender.name}, round ${round + 1}: ${words.join(", ")}`);
      } catch (error) {
        failed = true;
        say(`${contender.name}, round ${round + 1}: ${error instanceof Error ? error.message : error}`);
      }
    }
  }
  if (!values["no-vm"] && protocol === "udp") await throughVm();
} finally {
  await world.close();
}
if (values.json) console.log(JSON.stringify({ cipher, seconds, rounds: Object.fromEntries(results), vm }));
else await report();
process.exit(failed ? 1 : 0);

/** The image with 256 MiB: power-on to `tunnel.up`, and TCP through it. */
async function throughVm(): Promise<void> {
  const problem = vmProblem();
  if (problem !== undefined) return say(`no VM: ${problem}`);
  await world.server({ ciphers: cipher }); // another contender may have taken its place
  for (let round = 1; round <= rounds; round++) {
    const router = await startVm(world, { config: world.config() });
    const up = await router.says(/tunnel\.up/, 60);
    if (up === undefined) {
      failed = true;
      say(`VM, round ${round}: no tunnel:\n${router.log().slice(-1500)}`);
    } else {
      vm.boot.push((performance.now() - router.poweredAt) / 1000);
      await world.tunnelUp(30);
      for (const way of ["up", "down"] as const) vm[way].push((await iperfTcp(world, way, seconds)).mbit);
      say(
        `VM, round ${round}: ${(["boot", "up", "down"] as const).map((key) => `${key} ${vm[key].at(-1)!.toFixed(1)}`).join(", ")}`,
      );
    }
    if ((await router.stop()) !== 0) failed = true;
  }
}

async function report(): Promise<void> {
  console.log(
    `\nOpenVPN over ${protocol.toUpperCase()}, ${cipher}, medians of ${rounds} rounds of ${seconds} s; beside each figure its ratio to openvpn's`,
  );
  console.log(`UDP: the rate that loses less than ${UDP_LOSS_PERCENT} %; 64 B in thousands of datagrams a second\n`);
  console.log(table(results));
  if (vm.boot.length > 0) {
    console.log(`\nVM, 256 MiB: power-on to tunnel.up ${median(vm.boot).toFixed(1)} s`);
    console.log(`VM, 256 MiB: TCP ${median(vm.up).toFixed(0)} Mbit/s up, ${median(vm.down).toFixed(0)} down`);
  }
  console.log("");
  for (const name of ["morgana", "morgana-kernel", "morgana-initrd.img"]) {
    const path = join(ROOT, "dist", name);
    if (existsSync(path))
      console.log(`dist/${name.padEnd(25)}${(statSync(path).size / 1e6).toFixed(1).padStart(8)} MB`);
  }
  if (!values["no-parts"] && !(await runParts(PARTS))) failed = true;
}

/** @returns whether all went well */
async function runParts(names: readonly string[]): Promise<boolean> {
  let isGood = true;
  for (const name of names) {
    const given = (OPTIONS_OF[name] ?? []).flatMap((option) => {
      const value = values[option];
      return value !== undefined ? [`--${option}`, value] : [];
    });
    const argv = [process.execPath, join(ROOT, `bench/${name}.bench.ts`), ...given];
    const { code, out } = await run(argv, WORLDS.includes(name) ? 3600 : 300);
    if (code !== 0) isGood = false;
    console.log(`\n${name}\n${out.trimEnd()}`);
  }
  return isGood;
}

function say(text: string): void {
  console.error(text);
}
