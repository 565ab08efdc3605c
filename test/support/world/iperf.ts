/** iperf3 between two hosts of a world: the LAN host and the web host, unless told. */
import { PATIENCE, until } from "./process.ts";
import { type Part, SITE, type World } from "./world.ts";

/** Where iperf3 runs as client and as server, and the server's address. */
export interface Route {
  readonly from: Part;
  readonly to: Part;
  readonly address: string;
}

const THROUGH: Route = { from: "lan", to: "web", address: SITE };

export interface TcpRun {
  readonly mbit: number;
  readonly bytes: number;
  /** Segments that the sender sent again. */
  readonly retransmits: number;
  /** Seconds in a row in which nothing came through, the longest run. */
  readonly stall: number;
  /** The longest time, in seconds, that this process was not run meanwhile: a machine that stands still carries nothing either. */
  readonly standstill: number;
}

export type Way = "up" | "down";

interface Interval {
  readonly sum: { readonly bits_per_second: number };
}

interface Report {
  readonly intervals: readonly Interval[];
  readonly end: {
    readonly sum_sent?: { readonly retransmits?: number };
    readonly sum_received?: { readonly bits_per_second: number; readonly bytes: number };
    readonly sum_received_bidir_reverse?: { readonly bits_per_second: number };
    readonly sum?: { readonly bits_per_second: number; readonly lost_percent: number };
  };
  readonly error?: string;
}

/** One TCP connection for some seconds; `down` is toward the LAN (iperf3's client). rate: in Mbit/s; 0: as fast as it can. */
export async function iperfTcp(
  world: World,
  way: Way,
  seconds: number,
  rate = 0,
  route: Route = THROUGH,
): Promise<TcpRun> {
  const watch = watchMachine();
  const options = ["-t", `${seconds}`, "-b", `${rate}M`, ...(way === "down" ? ["-R"] : [])];
  const report = await iperf(world, options, seconds, route);
  const rates = report.intervals.map((interval) => interval.sum.bits_per_second / 1e6);
  const gaps = rates.map((rate) => (rate < 0.1 ? "0" : " ")).join("");
  return {
    mbit: (report.end.sum_received?.bits_per_second ?? 0) / 1e6,
    bytes: report.end.sum_received?.bytes ?? 0,
    retransmits: report.end.sum_sent?.retransmits ?? 0,
    stall: Math.max(...gaps.split(" ").map((gap) => gap.length)),
    standstill: watch(),
  };
}

/** Watches for times in which timers do not fire; the function ends it and says how long the longest was, in seconds. */
function watchMachine(): () => number {
  let [last, longest] = [performance.now(), 0];
  const look = (): void => {
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
  };
  const timer = setInterval(look, 20);
  return () => {
    clearInterval(timer);
    look();
    return longest / 1000;
  };
}

/** One TCP connection each way at once: Mbit/s. */
export async function iperfBoth(world: World, seconds: number): Promise<{ up: number; down: number }> {
  const { end } = await iperf(world, ["-t", `${seconds}`, "--bidir"], seconds);
  return {
    up: (end.sum_received?.bits_per_second ?? 0) / 1e6,
    down: (end.sum_received_bidir_reverse?.bits_per_second ?? 0) / 1e6,
  };
}

export interface UdpRun {
  /** Of payload that left the sender, and that arrived. */
  readonly sentMbit: number;
  readonly mbit: number;
  readonly lossPercent: number;
}

/** UDP datagrams of `size` bytes of payload at a rate in Mbit/s; 0: as fast as the sender can. */
export async function iperfUdp(world: World, way: Way, size: number, rate: number, seconds: number): Promise<UdpRun> {
  const options = ["-u", "-b", `${rate}M`, "-l", `${size}`, "-t", `${seconds}`, ...(way === "down" ? ["-R"] : [])];
  const { bits_per_second = 0, lost_percent = 100 } = (await iperf(world, options, seconds)).end.sum ?? {};
  const sentMbit = bits_per_second / 1e6;
  return { sentMbit, mbit: sentMbit * (1 - lost_percent / 100), lossPercent: lost_percent };
}

async function iperf(
  world: World,
  options: readonly string[],
  seconds: number,
  { from, to, address }: Route = THROUGH,
): Promise<Report> {
  world.start("iperf", to, ["iperf3", "-s", "-1"]);
  try {
    await until(async () => (await world.in(to, ["ss", "-Hltn", "sport = :5201"])).out !== "", PATIENCE);
    const { code, out } = await world.in(from, ["iperf3", "-c", address, "-J", ...options], seconds + PATIENCE);
    const report = JSON.parse(out.slice(out.indexOf("{"))) as Report;
    if (code !== 0) throw new Error(report.error ?? `iperf3: status ${code}`);
    return report;
  } finally {
    await world.stop("iperf");
  }
}
