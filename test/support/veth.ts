/**
 * Network namespaces for device tests: the calling thread sits in the middle with two interfaces, b0 and c0, whose other
 * ends are the interfaces of two ordinary kernels (namespaces b and c, 10.99.0.2/24 and 10.99.0.3/24).
 *
 *     ns b: b1 10.99.0.2 ---- b0 [ns a: this thread] c0 ---- c1 10.99.0.3 :ns c
 */
import { close, enterNetworkNamespace, open } from "../../src/appliance/sys/syscalls.ts";

export interface VethWorld {
  /** Starts a program in namespace b or c. */
  spawn(where: "a" | "b" | "c", command: string[]): Bun.Subprocess<"pipe", "pipe", "pipe">;
  /** Runs a shell command in a namespace and returns its output. @throws Error when it fails */
  run(where: "a" | "b" | "c", command: string): string;
  /** Leaves and removes the namespaces. */
  remove(): void;
}

/** @param prefix of the namespaces' names */
export function makeVethWorld(prefix: string): VethWorld {
  const name = (where: string): string => `${prefix}-${where}-${process.pid}`;
  const sh = (command: string): string => {
    const done = Bun.spawnSync(["sh", "-ec", command]);
    if (done.exitCode !== 0) throw new Error(`${command}: ${done.stderr.toString()}`);
    return done.stdout.toString();
  };
  const [a, b, c] = [name("a"), name("b"), name("c")];
  const quiet = "sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1 2>/dev/null || true";
  sh(`for n in ${a} ${b} ${c}; do ip netns add $n; ip netns exec $n sh -c '${quiet}'; done`);
  sh(`ip link add b0 netns ${a} type veth peer name b1 netns ${b}; ip link add c0 netns ${a} type veth peer name c1 netns ${c}
    ip -n ${b} addr add 10.99.0.2/24 dev b1; ip -n ${b} link set b1 up; ip -n ${c} addr add 10.99.0.3/24 dev c1; ip -n ${c} link set c1 up
    ip -n ${a} link set b0 up`);
  const home = open("/proc/thread-self/ns/net", 0);
  enterNetworkNamespace(`/run/netns/${a}`);
  const inside = (where: string): string[] => ["ip", "netns", "exec", name(where)];
  return {
    spawn: (where, command) =>
      Bun.spawn([...inside(where), ...command], { stdin: "pipe", stdout: "pipe", stderr: "pipe" }),
    run: (where, command) => {
      const done = Bun.spawnSync([...inside(where), "sh", "-ec", command]);
      if (done.exitCode !== 0) throw new Error(`${command}: ${done.stderr.toString()}`);
      return done.stdout.toString();
    },
    remove: () => {
      enterNetworkNamespace(`/proc/self/fd/${home}`);
      close(home);
      for (const n of [a, b, c]) Bun.spawnSync(["ip", "netns", "del", n]);
    },
  };
}

/** Whether namespaces can be made here: root with iproute2. */
export const canMakeNamespaces = process.getuid?.() === 0 && Bun.which("ip") !== null;
