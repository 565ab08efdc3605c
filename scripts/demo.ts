/**
 * `npm run demo`: the main job in one command. A LAN host, a router, a real openvpn server and a web server in network namespaces; the router
 * is the appliance, booted in QEMU. Shows that the LAN reaches the web server through the tunnel and that nothing else was on the WAN.
 */
import type { Kind, Tally } from "../test/support/world/capture.ts";
import { iperfTcp } from "../test/support/world/iperf.ts";
import { becomePrivileged, inUserNamespace } from "../test/support/world/privilege.ts";
import { until } from "../test/support/world/process.ts";
import { startNative } from "../test/support/world/router.ts";
import { startVm, Vm } from "../test/support/world/vm.ts";
import { GATEWAY, SERVER, SITE, TUNNEL, World } from "../test/support/world/world.ts";
import { commandLine } from "./command-line.ts";
import { finish, followLog, problems, rows, say } from "./demo-report.ts";
import { ROOT } from "./steps.ts";

const USAGE = `usage: npm run demo [-- [--native] [--keep] [--role client|server|site-to-site]]

  --native   the appliance as a process on the same interfaces instead of a VM
  --keep     leave it running until Ctrl-C
  --role     server: our server, real openvpn clients, a LAN behind it and the internet
             site-to-site: our server and our client between two LANs
`;

const { values, refuse } = commandLine(USAGE, {
  native: { type: "boolean", default: false },
  keep: { type: "boolean", default: false },
  role: { type: "string", default: "client" },
});
if (!["client", "server", "site-to-site"].includes(values.role)) refuse(`--role ${values.role}: no such role`);

const MIB = 1 << 20;
const PINGS = 20;
const SECONDS = 5;

if (!inUserNamespace()) await build();
await becomePrivileged();
if (values.role === "server") {
  const { demonstrateServer } = await import("./demo-server.ts");
  await demonstrateServer(values);
  process.exit(finish());
}
if (values.role === "site-to-site") {
  const { demonstrateSites } = await import("./demo-site.ts");
  await demonstrateSites(values);
  process.exit(finish());
}
const world = await World.create({ webMtu: 1500 });
try {
  await demonstrate();
} catch (error) {
  problems.push(error instanceof Error ? error.message : String(error));
} finally {
  await world.close();
}
process.exit(finish());

/** Makes what runs: the image, or for --native the binary. Quick when nothing has changed. */
async function build(): Promise<void> {
  const script = values.native ? "scripts/build.ts" : "scripts/image.ts";
  say(values.native ? "building the binary" : "building the image");
  const child = Bun.spawn([process.execPath, script], { cwd: ROOT, stdio: ["ignore", "inherit", "inherit"] });
  if ((await child.exited) !== 0) {
    console.error(`demo: ${script} failed`);
    process.exit(1);
  }
}

async function demonstrate(): Promise<void> {
  say(`the world: a LAN host, a WAN with DHCP and DNS, an openvpn server on ${SERVER}, a web server on ${SITE}`);
  await world.server();
  const capture = await world.capture();

  let power = performance.now();
  const since = (): number => (performance.now() - power) / 1000;
  const router = values.native
    ? startNative(world, world.config(), { compiled: true })
    : await startVm(world, { config: world.config() });
  if (router instanceof Vm) power = router.poweredAt;
  say(
    router instanceof Vm
      ? `the VM has been switched on (256 MiB, ${router.running.accel === "kvm" ? "KVM" : "no KVM, so the processor is emulated"})`
      : "the appliance has been started as a process",
  );
  const follow = followLog(() => router.log());
  try {
    const gateway = await until(
      async () => !router.alive || (await world.ping(GATEWAY, 1, ["-W", "1"])).back === 1,
      60,
    );
    if (gateway === undefined || !router.alive)
      throw new Error(`the gateway does not answer ping on ${GATEWAY}:\n${router.log().slice(-3000)}`);
    const booted = since();
    say(`${GATEWAY} answers ping`);
    rows.push([
      values.native ? "start to the gateway's first answer" : "power-on to the gateway's first answer",
      `${booted.toFixed(1)} s`,
    ]);

    if ((await router.says(/tunnel\.up/, 60)) === undefined || (await world.tunnelUp(20)) === undefined) {
      throw new Error(`no tunnel:\n${router.log().slice(-3000)}`);
    }
    const up = since();
    say("the tunnel is up");
    rows.push([
      values.native ? "start to the first ping through the tunnel" : "power-on to the first ping through the tunnel",
      `${up.toFixed(1)} s`,
    ]);

    await world.ping(SITE, 2);
    for (const [title, target] of [
      ["ping through the tunnel", TUNNEL],
      ["ping to the web server", SITE],
    ] as const) {
      const ping = await world.ping(target, PINGS, ["-i", "0.05"]);
      if (ping.back !== PINGS) problems.push(`${PINGS - ping.back} of ${PINGS} pings to ${target} were lost`);
      rows.push([title, `${ping.back} of ${PINGS}, mean ${ping.meanMs.toFixed(2)} ms`]);
    }
    say("fetching a page of 10 MiB");
    const page = await world.lanHost<{ ok: number; seconds: number; failed: string[] }>(
      "download",
      [SITE, 10 * MIB, 1],
      120,
    );
    if (page.ok !== 1) problems.push(`the page: ${page.failed.join(", ")}`);
    rows.push(["10 MiB over HTTP", page.ok === 1 ? `right to the last bit, ${page.seconds.toFixed(1)} s` : "WRONG"]);
    for (const [title, way] of [
      ["TCP, internet to LAN", "down"],
      ["TCP, LAN to internet", "up"],
    ] as const) {
      say(`measuring ${title} for ${SECONDS} s`);
      rows.push([title, `${(await iperfTcp(world, way, SECONDS)).mbit.toFixed(0)} Mbit/s`]);
    }
    say("trying to get past the tunnel: the WAN's hosts, its resolver, the server's address, DNS to the gateway");
    await world.tempt();
    if (values.keep) await keep();
    say(values.native ? "stopping it" : "pressing the power button");
    const status = await router.stop("SIGTERM", 20);
    if (status !== 0) problems.push(`it ended with status ${status}:\n${router.log().slice(-1500)}`);
    wan(await world.tally(capture));
  } finally {
    follow.stop();
    await router.stop("SIGTERM", 15);
  }
}

/** Rows about the WAN: packets by kind, and whether only the right ones were there. */
function wan(tally: Tally): void {
  const kinds: readonly [Kind, string][] = [
    ["openvpn", "OpenVPN"],
    ["arp", "ARP"],
    ["nd", "IPv6 neighbour and router discovery"],
    ["dhcp", "DHCP"],
    ["dns", "DNS for the remote"],
    ["other", "anything else"],
  ];
  for (const [kind, title] of kinds)
    rows.push([`WAN packets: ${title}`, `${tally.sent[kind]} from the router, ${tally.received[kind]} to it`]);
  // Nothing but the router's own must leave it; what its neighbours say is theirs.
  if (tally.strays.length > 0) rows.push(["  that came to it", `${tally.strays.join("; ")}: not answered`]);
  if (tally.sent.other > 0) problems.push(`on the WAN and should not be: ${tally.odd.join("; ")}`);
  if (tally.sent.openvpn === 0) problems.push("the capture on the WAN saw no OpenVPN packet");
}

async function keep(): Promise<void> {
  const lan = world.ns("lan");
  say("it stays until Ctrl-C");
  console.log(`
  the LAN host     ip netns exec ${lan} ping ${SITE}
                   ip netns exec ${lan} curl http://${SITE}:8080/ping
  the WAN          ip netns exec ${world.ns("net")} tcpdump -ni w1
  logs             ${world.dir}
${inUserNamespace() ? `  (first: nsenter -t ${process.pid} --user --mount --preserve-credentials)\n` : ""}`);
  await new Promise<never>(() => setInterval(() => {}, 1 << 30));
}
