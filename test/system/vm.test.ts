/** The image, booted in QEMU between the real neighbours: what a user gets. */
import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { LAN_MAC, WAN_MAC } from "../../qemu/arguments.ts";
import { makeConfigDisk } from "../../qemu/config-disk.ts";
import { encodeState } from "../../src/appliance/state/format.ts";
import type { Capture } from "../support/world/capture.ts";
import { canMakeNamespaces } from "../support/world/privilege.ts";
import { PATIENCE, until } from "../support/world/process.ts";
import { queuedSeconds } from "../support/world/router.ts";
import { startVm, type Vm, type VmOptions, vmProblem } from "../support/world/vm.ts";
import { GATEWAY, SITE, TUNNEL, World } from "../support/world/world.ts";

const MIB = 1 << 20;
/** Under TCG, on a machine that other tests use as well: longer means that it hangs. */
const BOOT_SECONDS = 120;

setDefaultTimeout(400_000);

test.skipIf(!canMakeNamespaces())("there is an image and a QEMU to boot it with", () => {
  expect(vmProblem()).toBeUndefined();
});

describe.skipIf(!canMakeNamespaces() || vmProblem() !== undefined)("the booted image", () => {
  let world: World;
  let vm: Vm | undefined;

  beforeAll(async () => {
    world = await World.create();
    await world.server();
  });
  afterEach(async () => {
    if (vm?.alive) await vm.kill();
    vm = undefined;
  });
  afterAll(() => world?.close());

  async function boot(options: Partial<VmOptions> = {}): Promise<Vm> {
    vm = await startVm(world, { config: world.config(), ...options });
    return vm;
  }

  /** Waits for a line on the console; fails with the end of what is there. */
  async function says(pattern: RegExp, seconds = BOOT_SECONDS): Promise<void> {
    if ((await vm!.says(pattern, seconds)) === undefined)
      throw new Error(`the console does not say ${pattern}:\n${vm!.log().slice(-3000)}`);
  }

  /** The same for the lines from number `mark` on. */
  async function saysFrom(mark: number, pattern: RegExp, seconds = BOOT_SECONDS): Promise<void> {
    if ((await vm!.running.waitFor(pattern, seconds * 1000, mark)) === undefined)
      throw new Error(`the console does not say ${pattern}:\n${vm!.log().slice(-3000)}`);
  }

  async function answersOnLan(): Promise<void> {
    const after = await until(async () => (await world.ping(GATEWAY, 1, ["-W", "1"])).back === 1, BOOT_SECONDS);
    if (after === undefined) throw new Error(`the gateway does not answer:\n${vm!.log().slice(-3000)}`);
  }

  for (const machine of ["q35", "pc"] as const) {
    test(`${machine} with 256 MiB: tunnel.up within 20 s, a LAN that works, a clean WAN, the power button`, async () => {
      const capture: Capture = await world.capture();
      const router = await boot({
        machine,
        config: world.config({ profile: world.profile({ lines: ["explicit-exit-notify 1"] }) }),
      });
      await says(/tunnel\.up/);
      // What it waited for a processor that others had is not the VM's.
      const seconds = (performance.now() - router.poweredAt) / 1000;
      expect(seconds - queuedSeconds(router.pid)).toBeLessThan(20);
      expect(await world.tunnelUp(PATIENCE)).toBeDefined();
      await world.ping(SITE);
      expect((await world.ping(SITE, 20, ["-i", "0.1"])).back).toBe(20);
      expect(await world.lanHost("download", [SITE, 20 * MIB, 1], 120)).toMatchObject({ ok: 1, failed: [] });
      expect(await world.lanHost("download", [SITE, 2 * MIB, 10], 120)).toMatchObject({ ok: 10, failed: [] });
      expect(await world.lanHost("echo", [SITE, 1, 1400, 1473, 8000, 60_000])).toEqual({ ok: 5, failed: [] });
      await world.tempt();
      const server = world.daemon("server");
      expect(await router.stop()).toBe(0);
      expect(router.log()).toMatch(/shutdown/);
      expect(await server.says(/exit message received|remote-exit/, PATIENCE)).toBeDefined();
      const tally = await world.tally(capture);
      expect(tally.odd).toEqual([]);
      expect(tally.sent.openvpn).toBeGreaterThan(100);
      await capture.stop();
    });
  }

  test("with 256 MiB, floods of junk on both sides leave it memory, and it goes on working", async () => {
    const router = await boot();
    await says(/tunnel\.up/);
    for (const seed of [1, 2]) {
      for (const [side, mac] of [
        ["lan", LAN_MAC],
        ["wan", WAN_MAC],
      ] as const)
        await world.junk(side, 100_000, seed, mac);
    }
    expect(await world.tunnelUp(PATIENCE, SITE)).toBeDefined(); // forged ARP may have to heal first
    const mark = router.running.lines.length;
    router.running.type(" ");
    await saysFrom(mark, /statistics\.memory/);
    const available = /availableKiB=(\d+)/.exec(router.log().slice(router.log().lastIndexOf("statistics.memory")))?.[1];
    expect(Number(available)).toBeGreaterThan(20_000);
  });

  test("with 256 MiB, giant super-frames on both sides at once leave it memory, twice, and it goes on working", async () => {
    const router = await boot();
    await says(/tunnel\.up/);
    const port = Number(/203\.0\.113\.1\d\d:(\d+)/.exec(world.daemon("server").log())?.[1]);
    const least: number[] = [];
    for (const _ of [1, 2]) {
      await world.flood("wan", "resets", 4, 10_000, { mac: WAN_MAC, port, device: "tw" });
      let over = false;
      const floods = Promise.all([
        world.flood("lan", "giants", 6, 2000, { mac: LAN_MAC, port, device: "tl" }),
        world.flood("wan", "giants", 6, 2000, { mac: WAN_MAC, port, device: "tw" }),
      ]).finally(() => {
        over = true;
      });
      while (!over) least.push(await available(router));
      for (const { sent } of await floods) expect(sent).toBeGreaterThan(100);
    }
    // 31 MB are left; with socket buffers of 7 MB for each device 8 less.
    expect(Math.min(...least)).toBeGreaterThan(27_000);
    expect(router.log()).not.toMatch(/panic|out of memory|internal\.error/i);
    expect(await world.tunnelUp(PATIENCE, SITE)).toBeDefined();
    expect(await router.stop()).toBe(0);
  });

  /** KiB that the machine could still give, from the statistics that a key on the console asks for. */
  async function available(router: Vm): Promise<number> {
    const mark = router.running.lines.length;
    let line: string | undefined;
    // Keys within a second of the last ones are not heard.
    for (let i = 0; i < BOOT_SECONDS && line === undefined; i++) {
      router.running.type(" ");
      line = await router.running.waitFor(/statistics\.memory.*availableKiB=/, 1000, mark);
    }
    return Number(/availableKiB=(\d+)/.exec(line ?? "")?.[1]);
  }

  test("Ctrl-S on the console, and keys without end, stop nothing: packets, the power button", async () => {
    const router = await boot();
    await says(/tunnel\.up/);
    expect(await world.tunnelUp(PATIENCE)).toBeDefined();
    router.running.type("\x13");
    for (let i = 0; i < 5; i++) {
      router.running.type("s".repeat(12));
      expect((await world.ping(SITE, 6)).back).toBe(6);
    }
    await router.running.powerdown();
    expect(await router.ended(PATIENCE)).toBe(0);
    expect(router.log()).toMatch(/shutdown .*power button/);
    // At most once a second.
    expect(router.log().match(/statistics\.memory/g)!.length).toBeLessThan(60);
  });

  test("a wrong profile on the disk: every line is named, the VM stays up with the LAN closed, and takes the mended disk by itself", async () => {
    const wrong = ["tun-mtu banana", "proto carrier-pigeon"];
    const profile = world.profile({ lines: wrong });
    const [image, mended] = ["wrong", "mended"].map((name) => join(world.dir, `${name}.iso`)) as [string, string];
    makeConfigDisk(world.config({ profile }), image);
    const router = await boot({ image });
    for (const line of wrong)
      await says(new RegExp(`lab\\.ovpn:${profile.split("\r\n").indexOf(line) + 1}: ${line.split(" ")[0]}`));
    await answersOnLan();
    expect(await world.refuses(SITE)).toBe(true);
    expect(router.alive).toBe(true);
    makeConfigDisk(world.config(), mended);
    writeFileSync(image, readFileSync(mended)); // the same file, which QEMU has open
    await says(/disk\.changed/);
    await says(/tunnel\.up/);
    expect(router.log()).not.toMatch(/panic/i);
    expect(await router.stop()).toBe(0);
  });

  test("cards named by their MAC in the other order, on an MBR partition: each side is on its own cable", async () => {
    const toml = `[wan]\nmac = "${LAN_MAC}"\n[lan]\nmac = "${WAN_MAC}"\naddress = "${GATEWAY}/24"\n`;
    const router = await boot({ config: world.config({ toml }), swapped: true, partitions: "mbr" });
    await says(/disk\.found .*device=vda1 .*vfat MORGANA/);
    await says(/nic\.chosen/);
    const line = await router.says(/nic\.chosen/, 0);
    const [wan, lan] = ["wan", "lan"].map((side) => new RegExp(`${side}=\\w+/(\\S+)`).exec(line ?? "")?.[1] ?? "");
    // PCI addresses of one bus: the card that the machine has first is the LAN now.
    expect(lan! < wan!).toBe(true);
    await says(/tunnel\.up/);
    await answersOnLan();
    expect((await world.ping(SITE)).back).toBe(1);
    expect(await router.stop()).toBe(0);
  });

  test("a card that is pulled is named, the LAN stays closed, and with the card back the tunnel is", async () => {
    const router = await boot({ machine: "pc", partitions: "gpt" });
    await says(/disk\.found .*device=vda1 .*ext4 MORGANA/);
    for (const side of ["wan", "lan"] as const) {
      await says(/tunnel\.up/);
      expect(await world.tunnelUp(PATIENCE)).toBeDefined();
      const capture = await world.capture();
      const mark = router.running.lines.length;
      await router.running.unplug(side);
      await saysFrom(mark, new RegExp(`nic\\.lost .*the ${side.toUpperCase()}`));
      await world.tempt();
      if (side === "wan") {
        await answersOnLan();
        expect(await world.refuses(SITE)).toBe(true);
      }
      expect((await world.tally(capture)).odd).toEqual([]);
      await capture.stop();
      // QEMU may still be letting go of the old one.
      const isBack = (): Promise<boolean> =>
        router.running.plug(side).then(
          () => true,
          () => false,
        );
      expect(await until(isBack, PATIENCE)).toBeDefined();
      await saysFrom(mark, /tunnel\.up/);
      expect(await world.tunnelUp(PATIENCE)).toBeDefined();
    }
    expect(router.log()).not.toMatch(/panic|internal\.error/i);
    expect(await router.stop()).toBe(0);
  });

  test("no disk: it says so and stays up", async () => {
    const router = await boot({ config: undefined });
    await says(/MORGANA|CIDATA/);
    await answersOnLan();
    expect((await world.ping(TUNNEL)).back).toBe(0);
    expect(router.alive).toBe(true);
    expect(router.log()).not.toMatch(/panic/i);
    expect(await router.stop()).toBe(0);
  });

  test("one NIC only: it says which is missing and stays up", async () => {
    const router = await boot({ nics: 1 });
    await says(/\b(lan|LAN|second|two)\b.*(interface|NIC|network)|(interface|NIC|network).*\b(lan|LAN|second|two)\b/);
    expect(await router.ended(3)).toBeUndefined();
    expect(router.log()).not.toMatch(/panic/i);
    expect(await router.stop()).toBe(0);
  });

  test("Ctrl-Alt-Del leaves in good order, also on the state disk: the LAN's network is on it, and its ext4 is clean", async () => {
    const state = join(world.dir, "state.img");
    makeConfigDisk(mkdtempSync(join(world.dir, "empty-")), state, "ext4", "MORGANA-STATE");
    const router = await boot({ state });
    await says(/tunnel\.up/);
    await router.running.ctrlAltDel();
    expect(await router.ended(PATIENCE)).toBe(0);
    expect(router.log()).toMatch(/shutdown/);
    expect(Bun.spawnSync(["e2fsck", "-fn", state]).exitCode).toBe(0);
    const file = Bun.spawnSync(["debugfs", "-R", "cat ula.json", state]).stdout.toString();
    expect(file).toMatch(/^morgana-state 1 [0-9a-f]{64}\n"fd[0-9a-f:]+::\/64"$/);
  });

  test("a state disk with FAT: what was kept is there again, what is damaged is named and replaced", async () => {
    const kept = mkdtempSync(join(world.dir, "kept-"));
    const lease = { address: "192.168.50.150", mac: "52:54:00:00:50:09", id: "01525400005009", name: "alpha" };
    const leases = [{ ...lease, until: Date.now() + 3_600_000 }];
    writeFileSync(join(kept, "leases.json"), encodeState({ at: Date.now(), leases }));
    writeFileSync(join(kept, "ula.json"), encodeState("fd12:3456:789a:1::/64").slice(0, -3));
    const state = join(world.dir, "state-fat.img");
    makeConfigDisk(kept, state, "fat", "MORGANA-STA");
    const router = await boot({ state });
    await says(/lease\.restored.*leases=1/);
    await says(/state\.damaged.*ula\.json of the state disk \(vdb\) is damaged/);
    await answersOnLan();
    const { out } = await world.in("lan", ["dig", `@${GATEWAY}`, "+short", "alpha.lan"]);
    expect(out.trim()).toBe("192.168.50.150");
    expect(await router.stop()).toBe(0);
    const file = Bun.spawnSync(["mtype", "-i", state, "::/ula.json"]).stdout.toString();
    expect(file).toMatch(/^morgana-state 1 [0-9a-f]{64}\n"fd[0-9a-f:]+::\/64"$/);
  });
});
