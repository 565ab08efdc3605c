/**
 * IPv4 beside IPv6 through the appliance: TCP of a LAN host to the far end of one tunnel, which has both, and the router's processor seconds, alternating
 * within one run; the far end is openvpn, then `morgana server`, each on the kernel. `npm run bench -- families`, or
 * `bun bench/families.bench.ts [--rounds N] [--seconds N]`.
 */
import { appendFileSync } from "node:fs";
import { commandLine } from "../scripts/command-line.ts";
import { iperfTcp } from "../test/support/world/iperf.ts";
import { becomePrivileged } from "../test/support/world/privilege.ts";
import { cpuSeconds, startNative } from "../test/support/world/router.ts";
import { GATEWAY, SERVER, TUNNEL, World } from "../test/support/world/world.ts";
import { median } from "./report.ts";
import { PROGRAMS, type Program, startServer, writeEnds } from "./unix-ends.ts";

const USAGE = `usage: npm run bench -- families

  --rounds N        3
  --seconds N       of each measurement: 3
`;
const { number } = commandLine(USAGE, { rounds: { type: "string" }, seconds: { type: "string" } });
const [rounds, seconds] = [number("rounds", 1) ?? 3, number("seconds", 1) ?? 3];
const WARM_UP_SECONDS = 2;
await becomePrivileged();

const LAN6 = "fd12:3456:789a:1";
const ADDRESSES = { IPv4: TUNNEL, IPv6: "fd00:8::1" } as const;
const FAMILIES = ["IPv4", "IPv6"] as const;
const WAYS = ["up", "down"] as const;

const world = await World.create({ wan: "cable" });
try {
  await world.sh(
    "lan",
    `echo 0 > /proc/sys/net/ipv6/conf/l0/disable_ipv6; ip -6 addr add ${LAN6}::2/64 dev l0 nodad; ip -6 route add default via ${LAN6}::1`,
  );
  await world.sh("net", "for i in default all; do echo 0 > /proc/sys/net/ipv6/conf/$i/disable_ipv6; done");
  console.log("far end | way | IPv4 Mbit/s | IPv6 Mbit/s | ratio | router CPU s/GB IPv4 | IPv6 | ratio");
  for (const far of PROGRAMS) await measure(far);
} finally {
  await world.close();
}

async function measure(far: Program): Promise<void> {
  const { server: file } = writeEnds(world, "udp");
  appendFileSync(file, "server-ipv6 fd00:8::/64\n");
  await startServer(world, far, file);
  const toml = `[wan]\naddress = "dhcp"\n[lan]\naddress = "${GATEWAY}/24"\naddress6 = "${LAN6}::1/64"\n`;
  const profile = world.profile({ remotes: [SERVER], password: false });
  const router = startNative(world, world.config({ profile, toml }));
  if ((await world.tunnelUp(30, TUNNEL)) === undefined) throw new Error(`no tunnel:\n${router.log().slice(-1500)}`);

  const figures = { up: newFigures(), down: newFigures() };
  for (let round = -1; round < rounds; round++)
    for (const way of WAYS)
      for (const family of round % 2 === 0 ? FAMILIES : FAMILIES.toReversed()) {
        const route = { from: "lan", to: "net", address: ADDRESSES[family] } as const;
        const before = cpuSeconds(router.pid);
        const { mbit, bytes } = await iperfTcp(world, way, round < 0 ? WARM_UP_SECONDS : seconds, 0, route);
        if (round < 0) continue; // the just-in-time compiler works
        figures[way].mbit[family].push(mbit);
        figures[way].cpu[family].push((cpuSeconds(router.pid) - before) / (bytes / 1e9));
      }
  for (const way of WAYS) {
    const cells = Object.entries(figures[way]).flatMap(([key, { IPv4, IPv6 }]) => {
      const [four, six] = [median(IPv4), median(IPv6)];
      const digits = key === "mbit" ? 0 : 2;
      return [four.toFixed(digits), six.toFixed(digits), (six / four).toFixed(2)];
    });
    console.log([far, way, ...cells].join(" | "));
  }
  await world.stop("router");
  await world.stop("server");
}

function newFigures() {
  const rows = (): Record<(typeof FAMILIES)[number], number[]> => ({ IPv4: [], IPv6: [] });
  return { mbit: rows(), cpu: rows() };
}
