/**
 * `bun scripts/crowd.ts [--clients N]`: our server, native, and very many real openvpn clients at once, a quarter each over UDP and TCP of
 * both families. They come in, move data (pings and a download each, all at once), and come back when the server ends and another begins.
 * A table of how long it took, what was lost, and the server's memory and processor time. Exit status 1 where a client was not in, data
 * was lost, or not all were back within 60 s.
 */
import { OPENVPN } from "../test/support/world/openvpn-binary.ts";
import { becomePrivileged } from "../test/support/world/privilege.ts";
import { type Daemon, until } from "../test/support/world/process.ts";
import { cpuSeconds, residentBytes } from "../test/support/world/router.ts";
import { LAN_HOST, ServedWorld, WAN, WAN6 } from "../test/support/world/served-world.ts";
import { commandLine } from "./command-line.ts";

const USAGE = `usage: bun scripts/crowd.ts [--clients N] [--bytes N]

  --clients N   200
  --bytes N     100000, that each downloads
`;
const { number } = commandLine(USAGE, { clients: { type: "string" }, bytes: { type: "string" } });
const count = number("clients", 1) ?? 200;
const bytes = number("bytes", 1) ?? 100_000;
await becomePrivileged();

/** All of them are back so soon after a restart. */
const BACK_S = 60;
/** For what has no bound but that it ends. */
const PATIENCE_S = 300;
const AT_ONCE = 32;
const PINGS = 5;
const MIB = 1 << 20;

const names = Array.from({ length: count }, (_, n) => `${n}`);
const WAYS = ["udp", "udp6", "tcp-client", "tcp6-client"] as const;
const world = await ServedWorld.create(names);
const clients: Daemon[] = [];
const problems: string[] = [];

const LINES = [
  ...["udp", "tcp"].flatMap((proto) => [`local ${WAN} 1194 ${proto}`, `local ${WAN6} 1194 ${proto}6`]),
  ...["server 10.8.0.0 255.255.248.0", "max-clients 2000", "keepalive 5 30"],
];

function row(what: string, value: string, problem?: string): void {
  console.log(`${what.padEnd(44)} ${value}${problem === undefined ? "" : ` | FAILED: ${problem}`}`);
  if (problem !== undefined) problems.push(problem);
}

/** Waits for the nth time that each is through; says how long half of them and the last one took. */
async function allIn(what: string, times: number, most: number): Promise<void> {
  const start = performance.now();
  const waiting = new Set(clients);
  const took: number[] = [];
  await until(
    () => {
      for (const client of waiting)
        if (client.log().split("Initialization Sequence Completed").length > times) {
          waiting.delete(client);
          took.push((performance.now() - start) / 1000);
        }
      return waiting.size === 0;
    },
    most,
    250,
  );
  const [half, last] = [took[Math.floor(count / 2)] ?? Number.NaN, took.at(-1) ?? Number.NaN];
  const first = [...waiting][0];
  const problem = first && `${waiting.size} clients are not in after ${most} s; ${first.name} says:\n${tail(first)}`;
  row(what, `${count - waiting.size} of ${count}; half ${half.toFixed(1)} s, all ${last.toFixed(1)} s`, problem);
}

const tail = (daemon: Daemon): string => daemon.log().split("\n").slice(-8).join("\n");

/** Runs a command for each device, some at once. @returns the lines that they print */
async function forEach(command: string): Promise<string[]> {
  const { out } = await world.in(
    "a",
    ["sh", "-c", `seq 0 ${count - 1} | xargs -P ${AT_ONCE} -I{} sh -c '${command}'`],
    PATIENCE_S,
  );
  return out.trim().split("\n");
}

async function moveData(what: string): Promise<void> {
  const answered = (await forEach(`ping -n -q -c ${PINGS} -i 0.3 -W 5 -s 1200 -I tun{} ${LAN_HOST}`))
    .map((line) => /(\d+) received/.exec(line)?.[1])
    .reduce((sum, got) => sum + Number(got ?? 0), 0);
  row(
    `${what}: pings of 1,200 bytes, answered`,
    `${answered} of ${count * PINGS}`,
    answered < count * PINGS ? "pings were lost" : undefined,
  );
  const start = performance.now();
  const url = `http://${LAN_HOST}:8080/bytes/${bytes}`;
  const whole = (
    await forEach(`curl -s --interface tun{} --max-time 120 -o /dev/null -w "%{size_download}\\n" ${url}`)
  ).filter((line) => Number(line) === bytes).length;
  const rate = (whole * bytes * 8) / 1000 / (performance.now() - start);
  row(
    `${what}: downloads of ${bytes} bytes`,
    `${whole} of ${count}; ${rate.toFixed(0)} Mbit/s in all`,
    whole < count ? "downloads failed" : undefined,
  );
}

function cost(server: Daemon, what: string): void {
  const [memory, seconds] = [residentBytes(server.pid) / MIB, cpuSeconds(server.pid)];
  row(`${what}: the server has`, `${memory.toFixed(0)} MiB, ${seconds.toFixed(1)} s of a processor`);
}

try {
  await world.sh("a", "for i in all default; do echo 0 > /proc/sys/net/ipv4/conf/$i/rp_filter; done");
  const server = await world.serve(LINES, { without: ["port", "proto"] });
  cost(server, "listening");
  for (const [n, name] of names.entries()) {
    const proto = WAYS[n % WAYS.length]!;
    const argv = [
      ...[OPENVPN, "--client", "--dev", `tun${n}`, "--proto", proto, "--nobind", "--verb", "3"],
      ...["--remote", proto.includes("6") ? WAN6 : WAN, "1194", "--remote-cert-tls", "server", "--ca", "ca.crt"],
      ...["--cert", `client-${name}.crt`, "--key", `client-${name}.key`, "--tls-crypt", "static.key"],
      ...["--connect-retry", "1", "5", "--route-noexec", "--auth-nocache"],
    ];
    clients.push(world.start(`client ${name}`, "a", argv));
  }
  await allIn("connect", 1, PATIENCE_S);
  cost(server, "all in");
  await moveData("at first");
  cost(server, "after that");
  await world.stop("server");
  const next = await world.restart();
  await allIn("back after the server's restart", 2, BACK_S);
  await moveData("after the restart");
  cost(next, "all back");
  for (const daemon of [server, next])
    for (const line of daemon
      .log()
      .split("\n")
      .filter((text) => /internal\.error|ERROR/.test(text))
      .slice(0, 5))
      row("the server says", line, "an error of the server");
} finally {
  for (const client of clients) client.signal("SIGKILL");
  await world.close();
}
process.exit(problems.length > 0 ? 1 : 0);
