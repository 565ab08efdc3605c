/**
 * `bun scripts/dns-rate.ts [--seconds N]`: dnsperf on a LAN host asks the gateway for a thousand names, which it has in its cache: as fast as it
 * answers, then at half of the rate that is wanted of it. A row for each: answers a second, how many were lost, and the wait (p50, p99). Exit
 * status 1 where it answers fewer than 20,000 a second, or at half of that loses one or lets 1 % wait 5 ms or more.
 * As fast as it can some are lost: no host is answered without end (`QUESTIONS` in netstack/dns/forwarder.ts).
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { percentile } from "../bench/measure.ts";
import { Subject } from "../test/interop/subject.ts";
import { HOSTS, NameServer } from "../test/support/world/name-server.ts";
import { becomePrivileged } from "../test/support/world/privilege.ts";
import { GATEWAY, TOML, World } from "../test/support/world/world.ts";
import { commandLine } from "./command-line.ts";

const { number } = commandLine("usage: bun scripts/dns-rate.ts [--seconds N]\n\n  --seconds N   10, of each row\n", {
  seconds: { type: "string" },
});
const seconds = number("seconds", 1) ?? 10;
await becomePrivileged();

const LEAST_RATE = 20_000;
const MOST_P99_MS = 5;

const world = await World.create();
const subject = new Subject(world);
let failures = 0;
try {
  await world.server();
  await NameServer.start(world);
  await subject.bootUp(world.config({ toml: TOML.replace("[vpn]", "[vpn]\nnat = true") }));
  const list = join(world.dir, "questions");
  writeFileSync(list, Array.from({ length: HOSTS }, (_, i) => `h${(i * 7) % HOSTS}.example A\n`).join(""));

  /** dnsperf with some more words. Every answer's wait is asked for where `isTimed`: writing them down costs it speed. */
  const ask = async (isTimed: boolean, ...how: string[]) => {
    const words = ["dnsperf", "-s", GATEWAY, "-d", list, "-l", `${seconds}`, "-t", "2", ...how];
    if (isTimed) words.push("-v");
    const { out } = await world.in("lan", words, seconds + 30);
    const field = (name: string): number => Number(new RegExp(`${name}: +([\\d.]+)`).exec(out)?.[1]);
    const waits = [...out.matchAll(/^> NOERROR \S+ \S+ ([\d.]+)$/gm)].map((match) => Number(match[1]) * 1000);
    waits.sort((a, b) => a - b);
    return {
      rate: field("Queries per second"),
      lost: field("Queries lost"),
      p50: percentile(waits, 0.5),
      p99: percentile(waits, 0.99),
    };
  };
  await ask(false, "-n", "1", "-q", "50"); // fills the cache
  console.log("rate | answers/s | lost | p50 ms | p99 ms");
  const fast = await ask(false, "-q", "200");
  console.log(`as fast as it can | ${Math.round(fast.rate)} | ${fast.lost} | |`);
  const half = await ask(true, "-q", "200", "-Q", `${LEAST_RATE / 2}`);
  const waits = `${half.p50.toFixed(2)} | ${half.p99.toFixed(2)}`;
  console.log(`${LEAST_RATE / 2} a second | ${Math.round(half.rate)} | ${half.lost} | ${waits}`);
  if (!(fast.rate >= LEAST_RATE) || half.lost > 0 || !(half.p99 < MOST_P99_MS)) failures++;
} finally {
  await subject.halt();
  await world.close();
}
process.exit(failures > 0 ? 1 : 0);
