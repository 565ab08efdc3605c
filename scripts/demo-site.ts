/**
 * `npm run demo -- --role site-to-site`: two LANs and the internet between them; our server at one, our client at the other, by the recipe of
 * docs/server.md. Shows that the hosts reach each other both ways by their own addresses, and that nothing but OpenVPN was on either WAN,
 * also while there was no tunnel.
 */
import { inUserNamespace } from "../test/support/world/privilege.ts";
import { PATIENCE, until } from "../test/support/world/process.ts";
import type { RouterProgram } from "../test/support/world/served-world.ts";
import { FAR, NEAR, NEIGHBOUR, SERVER, type Site, SiteWorld } from "../test/support/world/site-world.ts";
import { startVm } from "../test/support/world/vm.ts";
import type { DemoOptions } from "./demo-options.ts";
import { followLog, problems, rows, say } from "./demo-report.ts";

const PINGS = 20;
const BYTES = 10 << 20;
const SITES: readonly Site[] = ["office", "branch"];
/** What says that a site's router is ready. */
const READY: Record<Site, RegExp> = { office: /server\.listening/, branch: /tunnel\.up/ };
const HOSTS = [
  { host: "far", from: "branch", to: "office", own: FAR, target: NEAR },
  { host: "near", from: "office", to: "branch", own: NEAR, target: FAR },
] as const;
/** Of a machine that emulates the processors of two VMs, and has other things to do. */
const BOOT_S = 300;

export async function demonstrateSites(how: DemoOptions): Promise<void> {
  const world = await SiteWorld.create(true);
  const running: RouterProgram[] = [];
  try {
    await demonstrate(world, how, running);
  } catch (error) {
    problems.push(error instanceof Error ? error.message : String(error));
  } finally {
    for (const router of running) await router.stop("SIGTERM", 20);
    await world.close();
  }
}

async function demonstrate(world: SiteWorld, how: DemoOptions, running: RouterProgram[]): Promise<void> {
  say(`the world: the office's LAN with ${NEAR}, the branch's with ${FAR}, the internet between them`);
  await world.capture();
  const began = performance.now();
  const office = await start(world, how, "office", running);
  const branch = await start(world, how, "branch", running);
  const follow = [office, branch].map((router) => followLog(() => router.log()));
  try {
    await ready(office, "office");
    await ready(branch, "branch");
    if ((await world.joined()) === undefined)
      throw new Error(`the hosts do not reach each other:\n${branch.log().slice(-2000)}\n${office.log().slice(-2000)}`);
    rows.push([`${how.native ? "start" : "power-on"} of both to the hosts' first pings`, seconds(began)]);
    for (const host of HOSTS) await reach(world, host);
    await leak(world);
    if (how.keep) await keep(world);
    await cut(world, how, office, running);
    for (const router of running.splice(0).reverse()) {
      const status = await router.stop("SIGTERM", 20);
      if (status !== 0) problems.push(`one ended with status ${status}:\n${router.log().slice(-1500)}`);
    }
  } finally {
    for (const { stop } of follow) stop();
  }
  for (const site of SITES) await wan(world, site);
}

async function start(
  world: SiteWorld,
  { native }: DemoOptions,
  site: Site,
  running: RouterProgram[],
): Promise<RouterProgram> {
  const place = { dir: world.dir, ns: () => world.ns(site), sh: (_: "rt", script: string) => world.sh(site, script) };
  const router = native ? world.start(site, true) : await startVm(place, { config: world.config(site) });
  running.push(router);
  say(native ? `the ${site}'s appliance has been started` : `the ${site}'s VM has been switched on (256 MiB)`);
  return router;
}

async function ready(router: RouterProgram, site: Site): Promise<void> {
  if ((await router.says(READY[site], BOOT_S)) === undefined)
    throw new Error(`the ${site} is not ready:\n${router.log().slice(-3000)}`);
}

/** Pings, as whom the host comes, and a download. */
async function reach(world: SiteWorld, { host, from, to, own, target }: (typeof HOSTS)[number]): Promise<void> {
  const way = `${from} to ${to}`;
  const pings = await world.ping(host, target, PINGS);
  if (pings !== PINGS) problems.push(`${way}: ${PINGS - pings} of ${PINGS} pings were lost`);
  const seen = await world.seenAs(host);
  if (seen !== own) problems.push(`${way}: ${own} is seen as ${seen}`);
  rows.push([`${way}: pings; it is seen as`, `${pings} of ${PINGS}; ${seen}`]);
  say(`the ${from}'s host downloads 10 MiB from the ${to}`);
  const took = await world.download(host, BYTES);
  if (typeof took === "string") problems.push(`${way}: the download: ${took}`);
  const figure = typeof took === "string" ? "WRONG" : `right to the last bit, ${took.toFixed(1)} s`;
  rows.push([`${from}'s host: 10 MiB from the ${to}`, figure]);
}

/** What neither LAN may reach: its own WAN, and that of the other. */
async function leak(world: SiteWorld): Promise<void> {
  say("both hosts try the WANs");
  const targets = [NEIGHBOUR.office, NEIGHBOUR.branch];
  let out = 0;
  for (const host of ["near", "far"] as const) for (const target of targets) out += await world.ping(host, target, 2);
  if (out > 0) problems.push("a LAN has a way out beside the tunnel");
  rows.push(["LANs to the WANs", `${out} of 8 pings answered`]);
}

/** The server goes and comes again. */
async function cut(world: SiteWorld, how: DemoOptions, office: RouterProgram, running: RouterProgram[]): Promise<void> {
  say("the office's router goes away, and the hosts go on sending");
  running.splice(running.indexOf(office), 1);
  const status = await office.stop("SIGTERM", 20);
  if (status !== 0) problems.push(`the office's router ended with status ${status}`);
  const refused = await until(() => world.isRefused("far", NEAR), PATIENCE);
  if (refused === undefined) problems.push("without the tunnel the branch's host is not told that there is no way");
  rows.push(["without the tunnel, the branch's host is told", refused === undefined ? "NOTHING" : "unreachable"]);
  const began = performance.now();
  await ready(await start(world, how, "office", running), "office");
  const back = await world.joined(2 * PATIENCE);
  if (back === undefined) problems.push("they do not find each other again");
  rows.push(["the office's router started again, to both hosts' pings", back === undefined ? "NEVER" : seconds(began)]);
}

async function wan(world: SiteWorld, site: Site): Promise<void> {
  const { openvpn, neighbours, other } = await world.seen(site);
  const figure = `${openvpn} of OpenVPN, ${neighbours} of ARP and neighbour discovery, ${other.length} else`;
  rows.push([`packets on the ${site}'s WAN`, figure]);
  if (openvpn === 0) problems.push(`the capture on the ${site}'s WAN saw no OpenVPN packet`);
  if (other.length > 0) problems.push(`on the ${site}'s WAN and should not be: ${other.slice(0, 5).join("; ")}`);
}

async function keep(world: SiteWorld): Promise<void> {
  say("it stays until Ctrl-C");
  console.log(`
  the branch's host    ip netns exec ${world.ns("far")} ping ${NEAR}
  the office's host    ip netns exec ${world.ns("near")} curl http://${FAR}:8080/whoami
  the office's WAN     ip netns exec ${world.ns("net")} tcpdump -ni w1 host ${SERVER}
  configurations       ${world.config("office")}, ${world.config("branch")}
${inUserNamespace() ? `  (first: nsenter -t ${process.pid} --user --mount --preserve-credentials)\n` : ""}`);
  await until(() => false, Number.POSITIVE_INFINITY);
}

const seconds = (since: number): string => `${((performance.now() - since) / 1000).toFixed(1)} s`;
