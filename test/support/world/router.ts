/** The routers that can stand in a world's middle. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Daemon } from "./process.ts";
import { SERVER_NAME } from "./profile.ts";
import { GATEWAY, SERVER, type World } from "./world.ts";

export const ROOT = join(import.meta.dir, "../../..");

/** The appliance's command: `MORGANA=` if set, else the sources with this Bun, or the compiled binary when asked for. */
export function morgana(compiled = false): string[] {
  const chosen = process.env["MORGANA"];
  if (chosen !== undefined) return [chosen];
  return compiled ? [join(ROOT, "dist/morgana")] : [process.execPath, join(ROOT, "src/main.ts")];
}

/** `morgana appliance` as a process on the router's interfaces. */
export function startNative(
  world: World,
  config: string,
  options: { compiled?: boolean; binary?: string | undefined; more?: readonly string[] } = {},
): Daemon {
  const argv = [
    ...(options.binary === undefined ? morgana(options.compiled) : [options.binary]),
    "appliance",
    "--wan",
    "w0",
    "--lan",
    "l1",
    "--config",
    config,
    ...(options.more ?? []),
  ];
  return world.start("router", "rt", argv);
}

/**
 * The reference: the kernel forwards and translates, openvpn is the client. It has no kill switch, and takes a fixed WAN address and the
 * server by address.
 */
export async function startKernelRouter(world: World, config: string): Promise<Daemon> {
  await forwardByKernel(world, "tun-r");
  const profile = readdirSync(config).find((name) => name.endsWith(".ovpn"))!;
  const text = readFileSync(join(config, profile), "utf8")
    .replaceAll(SERVER_NAME, SERVER)
    .replace("dev tun", "dev tun-r\r\ndev-type tun");
  const file = join(world.dir, "reference.conf");
  writeFileSync(file, text);
  const auth = join(config, "auth.txt");
  return world.start("router", "rt", [
    "openvpn",
    "--config",
    file,
    ...(existsSync(auth) ? ["--auth-user-pass", auth] : []),
  ]);
}

/** Tells the kernel in the router's place its addresses, to forward, and to translate the LAN to the address of the tunnel's interface. */
export async function forwardByKernel(world: World, tunnel: string): Promise<void> {
  await world.sh(
    "rt",
    `ip addr replace 203.0.113.50/24 dev w0; ip addr replace ${GATEWAY}/24 dev l1; ip route replace default via 203.0.113.1
     echo 1 > /proc/sys/net/ipv4/ip_forward
     iptables -t nat -F POSTROUTING; iptables -t nat -A POSTROUTING -o ${tunnel} -j MASQUERADE`,
  );
}

/** Stops the router's program and undoes `forwardByKernel`. */
export async function clearKernelRouter(world: World): Promise<void> {
  await world.stop("router");
  await world.sh(
    "rt",
    `ip addr flush dev w0; ip addr flush dev l1; echo 0 > /proc/sys/net/ipv4/ip_forward
     iptables -t nat -F POSTROUTING; iptables -t mangle -F FORWARD`,
  );
}

/** Resident memory of a process in bytes. */
export function residentBytes(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) * 1024;
}

/** Seconds that the threads of a process were ready to run while others had the processors (Linux, Documentation/scheduler/sched-stats). */
export function queuedSeconds(pid: number): number {
  const tasks = `/proc/${pid}/task`;
  let nanoseconds = 0;
  for (const task of readdirSync(tasks)) {
    try {
      nanoseconds += Number(readFileSync(`${tasks}/${task}/schedstat`, "utf8").split(" ")[1]);
    } catch {
      // the thread has ended meanwhile, or this kernel does not tell
    }
  }
  return nanoseconds / 1e9;
}

/** CPU seconds that a process has used so far, its threads' included, in steps of 10 ms (proc_pid_stat(5)). */
export function cpuTimes(pid: number): { readonly user: number; readonly kernel: number } {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]!.split(" ");
  return { user: Number(fields[11]) / 100, kernel: Number(fields[12]) / 100 };
}

/** The same, user and kernel together. */
export function cpuSeconds(pid: number): number {
  const { user, kernel } = cpuTimes(pid);
  return user + kernel;
}
