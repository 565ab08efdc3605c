/** The smallest machine under floods, and a console that nobody reads. */
import { describe, expect, test } from "bun:test";
import { LAN_MAC, WAN_MAC } from "../../qemu/arguments.ts";
import { bootedWorld, canBoot } from "../support/world/booted.ts";
import { PATIENCE, until } from "../support/world/process.ts";
import { BOOT_SECONDS, type Vm } from "../support/world/vm.ts";
import { SITE } from "../support/world/world.ts";

/** KiB: the program's own, what the machine could still give, and what it has compressed. */
interface Memory {
  readonly own: number;
  readonly available: number;
  readonly swapped: number;
}

describe.skipIf(!canBoot)("the booted image under attack", () => {
  const at = bootedWorld();

  test("with 256 MiB, floods of junk on both sides leave it memory, and it goes on working", async () => {
    const router = await at.boot();
    await router.mustSay(/tunnel\.up/);
    for (const seed of [1, 2]) {
      for (const [side, mac] of [
        ["lan", LAN_MAC],
        ["wan", WAN_MAC],
      ] as const)
        await at.world.junk(side, 100_000, seed, mac);
    }
    expect(await at.world.tunnelUp(PATIENCE, SITE)).toBeDefined(); // forged ARP may have to heal first
    expect((await memory(router)).available).toBeGreaterThan(20_000);
  });

  test("with 256 MiB, giant super-frames on both sides at once leave it memory, twice, and it goes on working", async () => {
    const router = await at.boot();
    await router.mustSay(/tunnel\.up/);
    const port = Number(/203\.0\.113\.1\d\d:(\d+)/.exec(at.world.daemon("server").log())?.[1]);
    const before = await memory(router);
    const during: Memory[] = [];
    for (const _ of [1, 2]) {
      await at.world.flood("wan", "resets", 4, 10_000, { mac: WAN_MAC, port, device: "tw" });
      let over = false;
      const floods = Promise.all([
        at.world.flood("lan", "giants", 6, 2000, { mac: LAN_MAC, port, device: "tl" }),
        at.world.flood("wan", "giants", 6, 2000, { mac: WAN_MAC, port, device: "tw" }),
      ]).finally(() => {
        over = true;
      });
      while (!over) during.push(await memory(router));
      for (const { sent } of await floods) expect(sent).toBeGreaterThan(100);
    }
    // Socket buffers are what a flood fills in the kernel: 7 MiB of them for each device would be 10 MiB more.
    // What is compressed makes more available than it takes from the program's own, and hides them.
    const uncompressed = during.filter(({ swapped }) => swapped === before.swapped);
    expect(uncompressed.length).toBeGreaterThan(3);
    const inKernel = uncompressed.map(({ available, own }) => before.available + before.own - available - own);
    expect(inKernel.filter((kib) => kib > 10_000)).toEqual([]);
    // The program's own goes from 27 to between 45 and 60 MiB: garbage, and the machine code of what was not run before.
    expect(uncompressed.filter(({ own }) => own > 72_000)).toEqual([]);
    expect(router.log()).not.toMatch(/panic|out of memory|internal\.error/i);
    expect(await at.world.tunnelUp(PATIENCE, SITE)).toBeDefined();
    expect(await router.stop()).toBe(0);
  });

  test("with 256 MiB of which 36 are never given away, the kernel compresses what is not used, and it works as before", async () => {
    // Some 48 MiB would be free when it has started, and below these 36 the kernel would panic; it begins to make room at 44.
    const router = await at.boot({ words: "sysctl.vm.min_free_kbytes=36000" });
    await router.mustSay(/tunnel\.up/);
    for (const side of ["lan", "wan"] as const)
      await at.world.junk(side, 50_000, 3, side === "lan" ? LAN_MAC : WAN_MAC);
    expect(await until(async () => (await memory(router)).swapped > 10_000, PATIENCE)).toBeDefined();
    expect(await at.world.tunnelUp(PATIENCE, SITE)).toBeDefined();
    expect((await at.world.ping(SITE, 20)).back).toBe(20);
    expect(await router.stop()).toBe(0);
  });

  /** From the statistics that a key on the console asks for. */
  async function memory(router: Vm): Promise<Memory> {
    const mark = router.running.lines.length;
    let line: string | undefined;
    // Keys within a second of the last ones are not heard.
    for (let i = 0; i < BOOT_SECONDS && line === undefined; i++) {
      if (!router.alive) throw new Error(`the machine is gone:\n${router.log().slice(-3000)}`);
      router.running.type(" ");
      line = await router.running.waitFor(/statistics\.memory.*swappedKiB=/, 1000, mark);
    }
    if (line === undefined) throw new Error(`no statistics of the memory:\n${router.log().slice(-3000)}`);
    const [, own, available, swapped] = /ownKiB=(\d+) availableKiB=(\d+) swappedKiB=(\d+)/.exec(line) ?? [];
    return { own: Number(own), available: Number(available), swapped: Number(swapped) };
  }

  test("Ctrl-S on the console, and keys without end, stop nothing: packets, the power button", async () => {
    const router = await at.boot();
    await router.mustSay(/tunnel\.up/);
    expect(await at.world.tunnelUp(PATIENCE)).toBeDefined();
    router.running.type("\x13");
    for (let i = 0; i < 5; i++) {
      router.running.type("s".repeat(12));
      expect((await at.world.ping(SITE, 6)).back).toBe(6);
    }
    await router.running.powerdown();
    expect(await router.ended(PATIENCE)).toBe(0);
    expect(router.log()).toMatch(/shutdown .*power button/);
    // At most once a second.
    expect(router.log().match(/statistics\.memory/g)!.length).toBeLessThan(60);
  });
});
