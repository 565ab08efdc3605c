/** Sockets of the kernel, a router that takes less behind its far side, and a host behind that: what the router says is heard. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { canMakeNamespaces, makeVethWorld, type VethWorld } from "../../test/support/veth.ts";
import { Batch } from "../lib/batch.ts";
import { type Endpoint, formatEndpoint } from "../lib/endpoint.ts";
import { parseIp } from "../lib/ip.ts";
import { pathMtuTo } from "../platform/net/udp-socket.ts";
import { NativeMemory } from "../platform/sys/memory.ts";
import { Poller } from "../platform/sys/poller.ts";
import type { Link, LinkReceiver } from "../tunnel/link.ts";
import type { PeerLink } from "../tunnel/listen.ts";
import { HOST_LINKS_BYTES, HostLinks } from "./links.ts";
import { KernelPorts, SERVER_PORTS_BYTES } from "./server-ports.ts";

const NARROW = 1400;
const PORT = 5000;
const FAR = { ipv4: "10.99.1.2", ipv6: "fd00:99:1::2" } as const;
type Family = keyof typeof FAR;
const FAMILIES = ["ipv4", "ipv6"] as const;

const farOf = (family: Family): Endpoint => ({ address: parseIp(FAR[family])!, port: PORT });

describe.skipIf(!canMakeNamespaces)("behind a router whose next link takes 1400 bytes", () => {
  let world: VethWorld;
  let memory: NativeMemory;
  let payload: number;
  beforeAll(() => {
    world = makeVethWorld("pm");
    const v6 = "for i in all default $(ls /sys/class/net); do sysctl -qw net.ipv6.conf.$i.disable_ipv6=0; done";
    world.run("b", `ip link add n0 type veth peer name n1 netns pm-c-${process.pid}`);
    for (const where of ["a", "b", "c"] as const) world.run(where, v6);
    world.run(
      "b",
      `sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1; ip link set n0 mtu ${NARROW} up
       ip addr add 10.99.1.1/24 dev n0; ip addr add fd00:99:1::1/64 dev n0 nodad; ip addr add fd00:99::2/64 dev b1 nodad`,
    );
    world.run(
      "c",
      `ip link set n1 mtu ${NARROW} up; ip addr add ${FAR.ipv4}/24 dev n1; ip addr add ${FAR.ipv6}/64 dev n1 nodad
       ip route add default via 10.99.1.1; ip -6 route add default via fd00:99:1::1`,
    );
    world.run(
      "a",
      `ip link set lo up; ip addr add 10.99.0.1/24 dev b0; ip addr add fd00:99::1/64 dev b0 nodad
       ip route add default via 10.99.0.2; ip -6 route add default via fd00:99::2`,
    );
    memory = new NativeMemory(SERVER_PORTS_BYTES + HOST_LINKS_BYTES + (256 << 10));
    payload = memory.take(128 << 10, 64).at;
  });
  afterAll(() => world?.remove());

  /** As long as the kernel believes in a narrow way: in seconds. */
  const believes = (seconds: number): string =>
    world.run("a", `sysctl -qw net.ipv4.route.mtu_expires=${seconds} net.ipv6.route.mtu_expires=${seconds}`);
  const forgets = (): string => world.run("a", "ip route flush cache; ip -6 route flush cache");

  /** So many packets of one size. */
  function rows(count: number, len: number): Batch {
    const batch = new Batch(64);
    for (let i = 0; i < count; i++) batch.push(payload + 256 + i * 1600, len);
    return batch;
  }

  /** Datagrams that the kernel was given: one for a run. */
  function given(family: Family): number {
    const [name, file] = family === "ipv4" ? ["Udp", "snmp"] : ["Udp6OutDatagrams", "snmp6"];
    const lines = readFileSync(`/proc/thread-self/net/${file}`, "utf8").split("\n");
    if (family === "ipv6")
      return Number(lines.find((line) => line.startsWith(`${name} `) || line.startsWith(`${name}\t`))?.split(/\s+/)[1]);
    const [names, values] = lines.filter((line) => line.startsWith("Udp: ")).map((line) => line.split(" "));
    return Number(values![names!.indexOf("OutDatagrams")]);
  }

  /** Until the condition holds, woken by what the kernel has for the poller. */
  function until(condition: () => boolean, step: () => void): void {
    for (const end = performance.now() + 10_000; !condition(); step())
      if (performance.now() > end) throw new Error("it does not come to hold");
  }

  for (const family of FAMILIES)
    test(`a server's port hears it, of whom it is, and asks the kernel, which forgets in its own time: ${family}`, () => {
      believes(600);
      const ports = new KernelPorts({ memory, poller: new Poller() });
      const told: string[] = [];
      const open = ports.listen(
        0,
        { address: undefined, port: PORT + 1, protocol: "udp", family, origin: { file: "x", line: 1 } },
        4096,
        {
          handleDatagrams: () => {},
          narrowed: (_now, _port, to, mtu) => void told.push(`${formatEndpoint(to)} ${mtu}`),
          accepted: () => undefined,
        },
      );
      if (typeof open === "string") throw new Error(open);
      const peer = open.dial!(farOf(family)) as PeerLink;
      expect([peer.mtu, peer.pathMtu?.(0)]).toEqual([1500, 1500]);
      peer.send(0, rows(10, 1440));
      until(
        () => told.length > 0,
        () => ports.receive(0, 64),
      );
      expect(told[0]).toBe(`${formatEndpoint(farOf(family))} ${NARROW}`);
      expect(peer.pathMtu?.(0)).toBe(NARROW);
      until(
        () => ports.receive(0, 64) === 0 && ports.drained,
        () => {},
      );
      // What is larger goes all the same, in fragments; and what fits goes as one again.
      const before = given(family);
      peer.send(0, rows(10, 1440));
      expect([given(family) - before, open.drops()]).toEqual([10, {}]);
      peer.send(0, rows(10, 1000));
      expect(given(family) - before).toBe(11);
      expect(Object.values(open.drops()).every((count) => count === 0)).toBe(true);
      forgets();
      believes(1);
      told.length = 0;
      peer.send(0, rows(1, 1440));
      until(
        () => told.length > 0,
        () => ports.receive(0, 64),
      );
      until(
        () => peer.pathMtu?.(0) === 1500,
        () => {},
      );
      forgets();
      open.close();
    });

  for (const family of FAMILIES)
    test(`so does a client's link: ${family}`, () => {
      believes(600);
      const links = new HostLinks({
        memory,
        poller: new Poller(),
        prepare: () => 1500,
        prepareBeside: () => undefined,
      });
      const told: string[] = [];
      const receiver: LinkReceiver = {
        opened: () => {},
        narrowed: (_now, to, mtu) => void told.push(`${to} ${mtu}`),
        unreachable: () => {},
        ended: () => {},
        handleRows: () => {},
        looksLikeAnswer: () => false,
      };
      const request = { remote: farOf(family), localPort: undefined, float: false, longest: 2000 };
      const link = links.open(0, { protocol: "udp", ...request }, receiver) as Link;
      expect([link.mtu, link.pathMtu?.(0)]).toEqual([1500, 1500]);
      link.send(0, 0, rows(10, 1440));
      until(
        () => told.length > 0,
        () => links.receive(0, 64),
      );
      expect([told[0], link.pathMtu?.(0)]).toEqual([`${FAR[family]} ${NARROW}`, NARROW]);
      link.close();
      // The next session's knows it at once.
      const next = links.open(0, { protocol: "udp", ...request }, receiver) as Link;
      expect(next.pathMtu?.(0)).toBe(NARROW);
      next.close();
      forgets();
    });

  test("of an address that there is no way to nothing is known", () => {
    world.run("a", "ip route del default");
    expect(pathMtuTo({ address: parseIp("192.0.2.1")!, port: 1 })).toBe(Number.POSITIVE_INFINITY);
    expect(pathMtuTo({ address: parseIp("10.99.0.2")!, port: 1 })).toBe(1500);
    world.run("a", "ip route add default via 10.99.0.2");
  });
});
