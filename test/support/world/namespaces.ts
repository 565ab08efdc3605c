/**
 * Network namespaces under names of their own for each run: `mg<pid>-lan` and so on. They are removed when the run ends, by whatever way;
 * what a killed run left behind is removed by the next one.
 */
import { existsSync, readdirSync } from "node:fs";
import { must } from "./process.ts";

const NAME = /^mg(\d+)-[a-z]+$/;
const live = new Set<string>();
let hooked = false;

/** Makes a namespace with IPv6 off and loopback up. */
export async function addNamespace(name: string): Promise<void> {
  if (!NAME.test(name)) throw new Error(`${name}: not a name of ours`);
  hook();
  live.add(name);
  await must(["ip", "netns", "add", name]);
  await must(
    inside(name, [
      "sh",
      "-c",
      "for i in all default; do echo 1 > /proc/sys/net/ipv6/conf/$i/disable_ipv6; done 2>/dev/null; ip link set lo up",
    ]),
  );
}

/** The command line that runs a program in a namespace. It execs, so that the process id is the program's. */
export function inside(name: string, argv: readonly string[]): string[] {
  return ["ip", "netns", "exec", name, ...argv];
}

/** Ends what runs in the namespace and removes it. Synchronous: it also runs while the process exits. */
export function removeNamespace(name: string): void {
  live.delete(name);
  if (!existsSync(`/run/netns/${name}`)) return;
  const pids = Bun.spawnSync(["ip", "netns", "pids", name]).stdout.toString().split("\n").map(Number);
  for (const pid of pids) {
    if (pid > 1 && pid !== process.pid) killQuietly(pid);
  }
  Bun.spawnSync(["ip", "netns", "del", name]);
}

/** Removes the namespaces of runs that are gone. */
export function removeStale(): void {
  if (!existsSync("/run/netns")) return;
  for (const name of readdirSync("/run/netns")) {
    const pid = NAME.exec(name)?.[1];
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) removeNamespace(name);
  }
}

function hook(): void {
  if (hooked) return;
  hooked = true;
  const all = () => {
    for (const name of [...live]) removeNamespace(name);
  };
  process.on("exit", all);
  for (const [signal, status] of [
    ["SIGINT", 130],
    ["SIGTERM", 143],
    ["SIGHUP", 129],
  ] as const) {
    process.on(signal, () => {
      all();
      process.exit(status);
    });
  }
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // it has ended by itself
  }
}
