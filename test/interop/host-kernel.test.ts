/** The kernel of the machine beside the appliance: kept off its interfaces whatever is set there, also by who comes after a crash; refused where it cannot be. */

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import type { Capture } from "../support/world/capture.ts";
import { PATIENCE, until } from "../support/world/process.ts";
import { morgana } from "../support/world/router.ts";
import { SITE, World } from "../support/world/world.ts";
import { NO_WORLD, REFERENCE, Subject } from "./subject.ts";

setDefaultTimeout(120_000);

/** Addresses of the kernel on the LAN's interface and on the WAN's. */
const KERNEL_LAN = "192.168.50.77";
const KERNEL_WAN = "203.0.113.77";
const KERNEL6_LAN = "fd00:77::1";

describe.skipIf(NO_WORLD || REFERENCE)("the machine's own kernel", () => {
  let world: World;
  let subject: Subject;
  let capture: Capture;

  const qdiscs = async (): Promise<string> => `${await world.sh("rt", "tc qdisc show dev w0; tc qdisc show dev l1")}`;
  const answers = async (part: "lan" | "net", address: string): Promise<boolean> =>
    (await world.in(part, ["ping", "-n", "-c", "1", "-W", "1", address])).code === 0;
  const withoutPrivilege = (): string[] => [
    "setpriv",
    "--bounding-set=-net_admin",
    "--inh-caps=-net_admin",
    ...morgana(),
    "appliance",
    "--wan",
    "w0",
    "--lan",
    "l1",
    "--config",
    world.config(),
  ];

  beforeAll(async () => {
    world = await World.create();
    subject = new Subject(world);
    await world.server();
    await world.sh("lan", "sysctl -qw net.ipv6.conf.l0.disable_ipv6=0; ip -6 addr add fd00:77::2/64 dev l0 nodad");
    await world.sh(
      "rt",
      `ip addr add ${KERNEL_LAN}/24 dev l1; ip addr add ${KERNEL_WAN}/24 dev w0
       sysctl -qw net.ipv4.conf.all.forwarding=1 net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.all.forwarding=1
       ip -6 addr add ${KERNEL6_LAN}/64 dev l1 nodad; ip route add default via 203.0.113.1`,
    );
  });
  afterAll(() => world?.close());

  test("with addresses on both interfaces, forwarding and IPv6 it hears nothing and says nothing while the appliance runs, which is told", async () => {
    expect(await answers("lan", KERNEL_LAN)).toBe(true);
    expect(await answers("net", KERNEL_WAN)).toBe(true);
    const boot = await subject.boot();
    for (const address of [KERNEL_LAN, KERNEL_WAN, "fd00:0077:"])
      expect(await boot.says(new RegExp(`interface\\.deaf.*${address}`), PATIENCE)).toBeDefined();
    await subject.up();
    capture = await world.capture();
    await world.in("lan", ["ip", "neigh", "flush", "dev", "l0"]);
    const fromLan = [KERNEL_LAN, KERNEL6_LAN, KERNEL_WAN].map((address) => answers("lan", address));
    expect(await Promise.all([...fromLan, answers("net", KERNEL_WAN)])).toEqual([false, false, false, false]);
    // What it would say by itself, and forward.
    await world.in("rt", ["ping", "-n", "-c", "1", "-W", "1", "203.0.113.1"]);
    await world.sh("lan", `ip route add 198.51.100.0/24 via ${KERNEL_LAN}`);
    expect(await answers("lan", SITE)).toBe(false);
    await world.sh("lan", "ip route del 198.51.100.0/24");
    expect((await world.ping(SITE)).back).toBe(1);
    expect((await world.tally(capture)).odd).toEqual([]);
  });

  test("who takes the block away has it set again", async () => {
    await world.sh("rt", "tc qdisc del dev l1 clsact");
    expect(
      await until(async () => /bpf/.test(await world.sh("rt", "tc filter show dev l1 ingress")), 10),
    ).toBeDefined();
    expect(await answers("lan", KERNEL_LAN)).toBe(false);
  });

  test("a process that is killed leaves the interfaces deaf; the next one takes them over, and at its end all is as it was", async () => {
    await world.stop("router", "SIGKILL");
    expect(await answers("lan", KERNEL_LAN)).toBe(false);
    expect(await qdiscs()).toMatch(/clsact[\s\S]*clsact/);
    await subject.bootUp();
    expect(await subject.halt()).toBe(0);
    expect(await qdiscs()).not.toContain("clsact");
    expect(await answers("lan", KERNEL_LAN)).toBe(true);
    expect(await answers("net", KERNEL_WAN)).toBe(true);
  });

  test("who may not set the block is refused, with a line and a command for each danger, and leaves nothing", async () => {
    const { code, out } = await world.in("rt", withoutPrivilege());
    expect(code).toBe(1);
    expect(out).toMatch(
      new RegExp(`^morgana: l1 .*the kernel has the address ${KERNEL_LAN} on it; run: ip addr flush dev l1$`, "m"),
    );
    expect(out).toMatch(/^morgana: w0: the kernel forwards IPv4 packets from it; run: sysctl -w .*w0\.forwarding=0$/m);
    expect(await qdiscs()).not.toContain("clsact");
  });

  test("and without dangers starts; forwarding that is turned on later is named as a leak", async () => {
    await world.sh(
      "rt",
      `ip addr flush dev l1; ip addr flush dev w0
       sysctl -qw net.ipv4.conf.all.forwarding=0 net.ipv6.conf.all.forwarding=0 net.ipv6.conf.all.disable_ipv6=1`,
    );
    const router = world.start("router", "rt", withoutPrivilege());
    expect(await router.says(/interface\.shared.*w0.*CAP_NET_ADMIN/, PATIENCE)).toBeDefined();
    expect(await world.tunnelUp(PATIENCE)).toBeDefined();
    await world.sh("rt", "echo 1 > /proc/sys/net/ipv4/ip_forward");
    expect(
      await router.says(/interface\.unsafe.*the kernel forwards IPv4 packets from it.*l1\.forwarding=0/, PATIENCE),
    ).toBeDefined();
    await world.sh("rt", "echo 0 > /proc/sys/net/ipv4/ip_forward");
    expect(await router.says(/interface\.safe.*no longer so.*l1\.forwarding=0/, PATIENCE)).toBeDefined();
    expect(await router.stop()).toBe(0);
  });

  test("where an interface goes while the kernel is being kept off, the others are the kernel's again", async () => {
    const module = JSON.stringify(join(import.meta.dir, "../../src/appliance/host-kernel.ts"));
    const script = `import { HostKernel } from ${module};
      const log = { enabled: () => true, write: () => {} };
      try { new HostKernel(log, ["w0", "gone"]).keepOff(); } catch { console.log("thrown"); }`;
    const ran = await world.in("rt", [process.execPath, "-e", script]);
    expect(ran.out).toContain("thrown");
    expect(await qdiscs()).not.toContain("clsact");
  });
});
