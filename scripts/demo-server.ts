/**
 * `npm run demo -- --role server`: our server with a LAN behind it, and three real openvpn clients at once, by UDP, by TCP and by IPv6. Shows
 * what they reach and as whom, that none can lie about its address, that the LAN has no way out, and that they are back after a restart.
 */
import { inUserNamespace } from "../test/support/world/privilege.ts";
import { until } from "../test/support/world/process.ts";
import {
  type Client,
  LAN_HOST,
  type RouterProgram,
  ServedWorld,
  SITE,
  TUNNEL,
  WAN,
  WAN6,
} from "../test/support/world/served-world.ts";
import { startVm } from "../test/support/world/vm.ts";
import type { DemoOptions } from "./demo-options.ts";
import { followLog, problems, rows, say } from "./demo-report.ts";

/** Several places to listen at are OpenVPN 2.7's way to write it. */
const PROFILE = [
  ...[`local ${WAN} 1194 udp4`, `local ${WAN} 1194 tcp4-server`, `local ${WAN6} 1194 udp6`],
  ...["server-ipv6 fd00:8::/64", 'push "redirect-gateway def1"'],
];
const CLIENTS: readonly (readonly [Client, string, { readonly proto: string; readonly remote: string }])[] = [
  ["a", "UDP", { proto: "udp", remote: WAN }],
  ["b", "TCP", { proto: "tcp-client", remote: WAN }],
  ["c", "UDP over IPv6", { proto: "udp6", remote: WAN6 }],
];
const PINGS = 20;
/** Of a VM on a machine that emulates its processor, and has other things to do. */
const BOOT_S = 300;
const BYTES = 10_000_000;

export async function demonstrateServer(how: DemoOptions): Promise<void> {
  const world = await ServedWorld.create();
  try {
    await demonstrate(world, how);
  } catch (error) {
    problems.push(error instanceof Error ? error.message : String(error));
  } finally {
    await world.close();
  }
}

async function demonstrate(world: ServedWorld, how: DemoOptions): Promise<void> {
  say(`the world: a LAN host ${LAN_HOST}, clients on the road, a web server on ${SITE}`);
  const config = world.newConfig(PROFILE);
  let began = performance.now();
  const start = async (): Promise<RouterProgram> => {
    began = performance.now();
    if (how.native) return world.restart(true, true);
    const vm = await startVm(world, { config });
    began = vm.poweredAt;
    world.adopt(vm);
    return vm;
  };
  const server = await start();
  say(how.native ? "the appliance has been started as a process" : "the VM has been switched on (256 MiB)");
  const follow = followLog(() => server.log());
  try {
    if ((await server.says(/server\.listening/, BOOT_S)) === undefined)
      throw new Error(`the server does not listen:\n${server.log().slice(-2000)}`);
    rows.push([how.native ? "start to listening" : "power-on to listening", seconds(began)]);
    for (const [name, , options] of CLIENTS) world.client(name, [], options);
    for (const [name, title] of CLIENTS) {
      const after = await world.joined(name);
      say(`client ${name} is in, by ${title}, as ${await world.address(name)}`);
      rows.push([`client ${name}, ${title}: start to tunnel`, `${after.toFixed(1)} s`]);
    }
    for (const [name, title] of CLIENTS) await reach(world, name, title);
    await forge(world);
    await leak(world);
    if (how.keep) await keep(world);
    say(how.native ? "stopping it, and starting it again" : "pressing the power button, and switching it on again");
    const status = await server.stop("SIGTERM", 20);
    if (status !== 0) problems.push(`it ended with status ${status}`);
  } finally {
    follow.stop();
    await server.stop("SIGTERM", 20);
  }
  const again = await start();
  try {
    const since = performance.now();
    if ((await again.says(/server\.listening/, BOOT_S)) === undefined)
      throw new Error(`after a restart the server does not listen:\n${again.log().slice(-2000)}`);
    await Promise.all(CLIENTS.map(([name]) => world.joined(name, 2)));
    rows.push(["after a restart all clients are back", seconds(since)]);
    if (!(await world.reaches("a", LAN_HOST))) problems.push("after a restart client a does not reach the LAN");
  } finally {
    await again.stop("SIGTERM", 20);
  }
}

/** Pings, a download of the LAN host and one of the web server. */
async function reach(world: ServedWorld, name: Client, title: string): Promise<void> {
  const pings = async (target: string): Promise<number> => {
    await world.reaches(name, target);
    return world.ping(name, target, PINGS);
  };
  const [gateway, host] = [await pings(TUNNEL), await pings(LAN_HOST)];
  const back = await world.ping("lan", await world.address(name), PINGS);
  const good = (await world.downloads(name, LAN_HOST, BYTES)) && (await world.downloads(name, SITE, BYTES));
  if (gateway + host + back !== 3 * PINGS) problems.push(`client ${name} (${title}) lost pings`);
  if (!good) problems.push(`client ${name} (${title}): a download is wrong`);
  rows.push([
    `client ${name}: pings to the gateway, to the LAN, from the LAN`,
    `${gateway}, ${host} and ${back} of ${PINGS}`,
  ]);
  rows.push([`client ${name}: 10 MB from the LAN and from the internet`, good ? "right to the last bit" : "WRONG"]);
}

/** A client that sends as another one, and as a host of the LAN. */
async function forge(world: ServedWorld): Promise<void> {
  say("client a sends as client b and as a host of the LAN");
  let arrived = 0;
  for (const forged of [await world.address("b"), "192.168.50.77"]) {
    await world.sh("a", `ip addr add ${forged}/32 dev tun0`);
    arrived += await world.ping("a", LAN_HOST, 3, ["-I", forged]);
    await world.sh("a", `ip addr del ${forged}/32 dev tun0`);
  }
  if (arrived > 0) problems.push(`${arrived} pings with forged sources were answered`);
  rows.push(["pings with a forged source", `${arrived} of 6 answered`]);
}

/** What the LAN must not reach. */
async function leak(world: ServedWorld): Promise<void> {
  say("the LAN host tries the internet and the WAN");
  let out = 0;
  for (const target of [SITE, "203.0.113.1", "203.0.113.21"]) out += await world.ping("lan", target, 2);
  if (out > 0) problems.push("the LAN has a way out");
  rows.push(["LAN to the internet and the WAN", `${out} of 6 pings answered`]);
}

async function keep(world: ServedWorld): Promise<void> {
  say("it stays until Ctrl-C");
  console.log(`
  a client         ip netns exec ${world.ns("a")} ping ${LAN_HOST}
  the LAN host     ip netns exec ${world.ns("lan")} ping ${await world.address("a")}
  logs             ${world.dir}
${inUserNamespace() ? `  (first: nsenter -t ${process.pid} --user --mount --preserve-credentials)\n` : ""}`);
  await until(() => false, Number.POSITIVE_INFINITY);
}

const seconds = (since: number): string => `${((performance.now() - since) / 1000).toFixed(1)} s`;
