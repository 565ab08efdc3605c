/** The world itself, with the kernel and openvpn as its router: what fails here is not the appliance's fault. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readdirSync, readlinkSync, statSync } from "node:fs";
import { canMakeNamespaces } from "./privilege.ts";
import { PATIENCE, until } from "./process.ts";
import { startKernelRouter } from "./router.ts";
import { GATEWAY, SITE, World } from "./world.ts";

setDefaultTimeout(120_000);

describe.skipIf(!canMakeNamespaces())("a world with a reference router", () => {
  let world: World;

  beforeAll(async () => {
    world = await World.create();
    await world.server();
    await startKernelRouter(world, world.config());
  });
  afterAll(() => world?.close());

  test("the LAN reaches the web host through the tunnel", async () => {
    expect(await world.tunnelUp(PATIENCE)).toBeDefined();
    expect((await world.ping(SITE, 5)).back).toBe(5);
    expect(await world.lanHost<{ ok: number }>("download", [SITE, 3_000_000, 2])).toMatchObject({ ok: 2 });
    expect(await world.lanHost("echo", [SITE, 1, 1400, 1473, 9000, 60000])).toEqual({ ok: 5, failed: [] });
    expect(await world.lanHost("refused", [SITE])).toEqual({ udp: true, tcp: true });
    expect(await world.lanHost("flows", [SITE, 200, 50])).toEqual({ udp: 200, tcp: 50 });
  });

  test("path MTU errors reach the LAN host, and an upload goes round them", async () => {
    const { mtu, echoed } = await world.lanHost<{ mtu: number; echoed: number }>("pmtu", [SITE, 1372]);
    expect(mtu).toBe(1280);
    expect(echoed).toBe(1252);
    expect(await world.lanHost<{ ok: number }>("upload", [SITE, 1 << 20, 2])).toEqual({ ok: 2 });
  });

  test("a capture sorts what was on the WAN, and a leak is seen as one", async () => {
    const capture = await world.capture();
    await world.ping(SITE, 3);
    const clean = await world.tally(capture);
    expect(clean.sent.openvpn).toBeGreaterThan(2);
    expect(clean.sent.other).toBe(0);
    await world.sh("rt", "ping -c 1 -W 5 203.0.113.1");
    const leaky = await world.tally(capture);
    expect(leaky.sent.other).toBeGreaterThan(0);
    expect(leaky.odd[0]).toContain("ICMP");
  });

  test("a bad link loses and delays", async () => {
    const pings = await world.badLink({ loss: 20, delay: 20, seed: 3 }, async () =>
      world.ping(SITE, 40, ["-i", "0.05"]),
    );
    expect(pings.meanMs).toBeGreaterThan(39);
    expect(pings.back).toBeLessThan(40);
    expect(pings.back).toBeGreaterThan(10);
    expect((await world.ping(GATEWAY)).back).toBe(1);
  });
});

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  test.skipIf(!canMakeNamespaces())(`a run that ${signal} ends leaves neither namespaces nor processes`, async () => {
    const code = `import { World } from "${import.meta.dir}/world.ts"; const world = await World.create(); console.log("up " + world.ns("lan")); await Bun.sleep(60_000);`;
    const child = Bun.spawn([process.execPath, "-e", code], { stdout: "pipe", stderr: "inherit" });
    let said = "";
    for await (const part of child.stdout) {
      said += new TextDecoder().decode(part);
      if (said.endsWith("\n")) break;
    }
    const name = /up (\S+)lan\n/.exec(said)![1]!;
    const namespaces = readdirSync("/run/netns").filter((other) => other.startsWith(name));
    expect(namespaces).toHaveLength(5);
    const inodes = namespaces.map((namespace) => `net:[${statSync(`/run/netns/${namespace}`).ino}]`);
    expect(processesIn(inodes)).not.toEqual([]);
    child.kill(signal);
    expect(await child.exited).toBe(signal === "SIGINT" ? 130 : 143);
    expect(namespaces.filter((namespace) => existsSync(`/run/netns/${namespace}`))).toEqual([]);
    // The kernel ends them in its own time.
    await until(() => processesIn(inodes).length === 0, PATIENCE);
    expect(processesIn(inodes)).toEqual([]);
  });
}

/** The ids of the processes in some network namespaces (`net:[inode]`). */
function processesIn(namespaces: readonly string[]): string[] {
  return readdirSync("/proc").filter((pid) => {
    try {
      return /^\d+$/.test(pid) && namespaces.includes(readlinkSync(`/proc/${pid}/ns/net`));
    } catch {
      return false; // ended meanwhile
    }
  });
}
