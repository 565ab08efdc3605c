/**
 * Network namespaces for device tests: the calling thread sits in the middle with two interfaces, b0 and c0, whose other
 * ends are the interfaces of two ordinary kernels (namespaces b and c, 10.99.0.2/24 and 10.99.0.3/24).
 *
 *     ns b: b1 10.99.0.2 ---- b0 [ns a: this thread] c0 ---- c1 10.99.0.3 :ns c
 */
import { close, enterNetworkNamespace, open } from "../../src/platform/sys/syscalls.ts";

export interface VethWorld {
  /** Starts a program in namespace b or c. */
  spawn(where: "a" | "b" | "c", command: string[]): Bun.Subprocess<"pipe", "pipe", "pipe">;
  /** Runs a shell command in a namespace and returns its output. @throws Error when it fails */
  run(where: "a" | "b" | "c", command: string): string;
  /** Ends the programs that still run, leaves and removes the namespaces. */
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
  // A killed run whose number this process has got by now may have left them.
  sh(
    `for n in ${a} ${b} ${c}; do ip netns del $n 2>/dev/null || true; ip netns add $n; ip netns exec $n sh -c '${quiet}'; done`,
  );
  sh(`ip link add b0 netns ${a} type veth peer name b1 netns ${b}; ip link add c0 netns ${a} type veth peer name c1 netns ${c}
    ip -n ${b} addr add 10.99.0.2/24 dev b1; ip -n ${b} link set b1 up; ip -n ${c} addr add 10.99.0.3/24 dev c1; ip -n ${c} link set c1 up
    ip -n ${a} link set b0 up`);
  const home = open("/proc/thread-self/ns/net", 0);
  enterNetworkNamespace(`/run/netns/${a}`);
  waitForLink(b, "b1");
  const children: Bun.Subprocess[] = [];
  const inside = (where: string): string[] => ["ip", "netns", "exec", name(where)];
  return {
    spawn: (where, command) => {
      const child = Bun.spawn([...inside(where), ...command], { stdin: "pipe", stdout: "pipe", stderr: "pipe" });
      children.push(child);
      return child;
    },
    run: (where, command) => {
      const done = Bun.spawnSync([...inside(where), "sh", "-ec", command]);
      if (done.exitCode !== 0) throw new Error(`${command}: ${done.stderr.toString()}`);
      return done.stdout.toString();
    },
    remove: () => {
      // Those of a test that failed.
      for (const child of children) child.kill("SIGKILL");
      enterNetworkNamespace(`/proc/self/fd/${home}`);
      close(home);
      for (const n of [a, b, c]) Bun.spawnSync(["ip", "netns", "del", n]);
    },
  };
}

/** Until the kernel's link watch has seen the carrier, what the interface should send is dropped. */
function waitForLink(namespace: string, device: string): void {
  for (let tries = 0; tries < 5000; tries++) {
    const [link] = JSON.parse(Bun.spawnSync(["ip", "-n", namespace, "-j", "link", "show", device]).stdout.toString());
    if (link.operstate === "UP") return;
    Bun.sleepSync(2);
  }
  throw new Error(`${device} does not come up`);
}

/** Whether namespaces can be made here: root with iproute2. */
export const canMakeNamespaces = process.getuid?.() === 0 && Bun.which("ip") !== null;
