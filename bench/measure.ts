/** One round: a contender, started anew, and all its figures. */
import { iperfBoth, iperfTcp, iperfUdp, type Way } from "../test/support/world/iperf.ts";
import { roundTrips } from "../test/support/world/ping.ts";
import { cpuSeconds } from "../test/support/world/router.ts";
import { SITE, type World } from "../test/support/world/world.ts";
import type { Contender, Ends } from "./contenders.ts";

export const UDP_LOSS_PERCENT = 1;
const PING_EVERY_S = 0.01;
/** Mbit/s that every contender carries: the same load for all, where a saturated one is more for the faster. */
const SAME_LOAD = 250;

interface Figure {
  readonly key: string;
  readonly title: string;
  readonly unit: string;
  readonly digits: number;
}

const figure = (key: string, title: string, unit: string, digits = 0): Figure => ({ key, title, unit, digits });

export const FIGURES: readonly Figure[] = [
  figure("tcpUp", "TCP, LAN to internet", "Mbit/s"),
  figure("tcpDown", "TCP, internet to LAN", "Mbit/s"),
  figure("bothUp", "TCP both ways at once, up", "Mbit/s"),
  figure("bothDown", "TCP both ways at once, down", "Mbit/s"),
  figure("udp1300Up", "UDP 1300 B, up", "Mbit/s"),
  figure("udp1300Down", "UDP 1300 B, down", "Mbit/s"),
  figure("udp64Up", "UDP 64 B, up", "1000/s", 1),
  figure("udp64Down", "UDP 64 B, down", "1000/s", 1),
  figure("idleP50", "ping, idle, p50", "ms", 3),
  figure("idleP99", "ping, idle, p99", "ms", 3),
  figure("loadUpP50", "ping, saturated upload, p50", "ms", 2),
  figure("loadUpP99", "ping, saturated upload, p99", "ms", 2),
  figure("loadDownP50", "ping, saturated download, p50", "ms", 2),
  figure("loadDownP99", "ping, saturated download, p99", "ms", 2),
  figure("sameUpP50", `ping, upload of ${SAME_LOAD} Mbit/s, p50`, "ms", 2),
  figure("sameUpP99", `ping, upload of ${SAME_LOAD} Mbit/s, p99`, "ms", 2),
  figure("routerUp", "router, CPU s/GB up", "s", 2),
  figure("routerDown", "router, CPU s/GB down", "s", 2),
  figure("serverUp", "server process, CPU s/GB up", "s", 2),
  figure("serverDown", "server process, CPU s/GB down", "s", 2),
];

/** By the keys of FIGURES. */
export type Round = Readonly<Record<string, number>>;

export interface Length {
  /** Of TCP each way before anything is measured. */
  readonly warmUpSeconds: number;
  /** Of each TCP run. */
  readonly seconds: number;
  /** Rates that are tried for each UDP figure, and seconds of each. */
  readonly probes: number;
  readonly probeSeconds: number;
}

/** @throws Error with the end of the router's log when there is no tunnel */
export async function measure(world: World, contender: Contender, length: Length): Promise<Round> {
  try {
    const ends = await contender.start();
    if ((await world.tunnelUp(30, SITE)) === undefined) throw new Error(`no tunnel:\n${ends.log().slice(-1500)}`);
    // The just-in-time compiler works for seconds after the first packets, on the processors that are measured.
    for (const way of ["up", "down"] as const) await iperfTcp(world, way, length.warmUpSeconds);
    const idle = await pings(world, 2);
    const up = await loaded(world, ends, "up", length.seconds);
    const down = await loaded(world, ends, "down", length.seconds);
    const same = await loaded(world, ends, "up", length.seconds, SAME_LOAD);
    const both = await iperfBoth(world, length.seconds);
    const udp = (way: Way, size: number): Promise<number> => udpLimit(world, way, size, length);
    const thousands = (mbit: number): number => (mbit * 1000) / 8 / 64;
    return {
      tcpUp: up.mbit,
      tcpDown: down.mbit,
      bothUp: both.up,
      bothDown: both.down,
      udp1300Up: await udp("up", 1300),
      udp1300Down: await udp("down", 1300),
      udp64Up: thousands(await udp("up", 64)),
      udp64Down: thousands(await udp("down", 64)),
      idleP50: percentile(idle, 0.5),
      idleP99: percentile(idle, 0.99),
      loadUpP50: percentile(up.rtt, 0.5),
      loadUpP99: percentile(up.rtt, 0.99),
      loadDownP50: percentile(down.rtt, 0.5),
      loadDownP99: percentile(down.rtt, 0.99),
      sameUpP50: percentile(same.rtt, 0.5),
      sameUpP99: percentile(same.rtt, 0.99),
      routerUp: up.router,
      routerDown: down.router,
      serverUp: up.server,
      serverDown: down.server,
    };
  } finally {
    await contender.stop();
  }
}

/** sorted: ascending. */
export const percentile = (sorted: readonly number[], share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;

/** Round trips in ms for about so many seconds, sorted; an echo that was lost took for ever. */
async function pings(world: World, seconds: number): Promise<number[]> {
  const count = Math.max(1, Math.floor(seconds / PING_EVERY_S));
  // With a deadline ping goes on beyond `count` until that many are answered, instead of waiting one interval for the last.
  const argv = ["ping", "-n", "-c", `${count}`, "-i", `${PING_EVERY_S}`, "-w", `${Math.ceil(seconds) + 2}`, SITE];
  return roundTrips((await world.in("lan", argv, seconds + 30)).out, count);
}

/** TCP one way, with pings beside it; processor seconds per gigabyte of both ends. */
async function loaded(
  world: World,
  ends: Ends,
  way: Way,
  seconds: number,
  rate = 0,
): Promise<{ mbit: number; rtt: number[]; router: number; server: number }> {
  const before = [cpuSeconds(ends.router), cpuSeconds(ends.server)] as const;
  const load = iperfTcp(world, way, seconds, rate);
  // Not while the connection grows.
  const rtt = Bun.sleep(300).then(() => pings(world, seconds - 0.5));
  const [{ mbit, bytes }, sorted] = await Promise.all([load, rtt]);
  const perGb = (pid: number, from: number): number => (cpuSeconds(pid) - from) / (bytes / 1e9);
  return { mbit, rtt: sorted, router: perGb(ends.router, before[0]), server: perGb(ends.server, before[1]) };
}

/** The highest rate in Mbit/s of payload that loses less than the limit: begun at what comes through a flood, then halved. */
async function udpLimit(
  world: World,
  way: Way,
  size: number,
  { probes, probeSeconds }: Pick<Length, "probes" | "probeSeconds">,
): Promise<number> {
  let [best, low, high] = [0, 0, Number.POSITIVE_INFINITY];
  let offer = Math.max(1, (await iperfUdp(world, way, size, 0, probeSeconds)).mbit);
  for (let probe = 0; probe < probes; probe++) {
    const { sentMbit, mbit, lossPercent } = await iperfUdp(world, way, size, offer, probeSeconds);
    if (lossPercent < UDP_LOSS_PERCENT) {
      best = Math.max(best, mbit);
      // More than the sender can.
      if (sentMbit < 0.9 * offer) break;
      low = offer;
    } else high = offer;
    offer = high === Number.POSITIVE_INFINITY ? low * 1.3 : low === 0 ? high * 0.7 : (low + high) / 2;
  }
  return best;
}
