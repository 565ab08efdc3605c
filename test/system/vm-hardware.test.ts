/** Cards and disks of the booted machine: other orders, missing, pulled, kept from the last time. */
import { describe, expect, test } from "bun:test";
import { mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { LAN_MAC, WAN_MAC } from "../../qemu/arguments.ts";
import { makeConfigDisk } from "../../qemu/config-disk.ts";
import { encodeState } from "../../src/platform/state/format.ts";
import { bootedWorld, canBoot } from "../support/world/booted.ts";
import { PATIENCE, until } from "../support/world/process.ts";
import { GATEWAY, SITE, TUNNEL } from "../support/world/world.ts";

describe.skipIf(!canBoot)("the cards and disks of the booted image", () => {
  const at = bootedWorld();

  test("cards named by their MAC in the other order, on an MBR partition: each side is on its own cable", async () => {
    const toml = `[wan]\nmac = "${LAN_MAC}"\n[lan]\nmac = "${WAN_MAC}"\naddress = "${GATEWAY}/24"\n`;
    const router = await at.boot({ config: at.world.config({ toml }), swapped: true, partitions: "mbr" });
    await router.mustSay(/disk\.found .*device=vda1 .*vfat MORGANA/);
    await router.mustSay(/nic\.chosen/);
    const line = await router.says(/nic\.chosen/, 0);
    const [wan, lan] = ["wan", "lan"].map((side) => new RegExp(`${side}=\\w+/(\\S+)`).exec(line ?? "")?.[1] ?? "");
    // PCI addresses of one bus: the card that the machine has first is the LAN now.
    expect(lan! < wan!).toBe(true);
    await router.mustSay(/tunnel\.up/);
    await at.answersOnLan(router);
    expect((await at.world.ping(SITE)).back).toBe(1);
    expect(await router.stop()).toBe(0);
  });

  test("a card that is pulled is named, the LAN stays closed, and with the card back the tunnel is", async () => {
    const router = await at.boot({ machine: "pc", partitions: "gpt" });
    await router.mustSay(/disk\.found .*device=vda1 .*ext4 MORGANA/);
    for (const side of ["wan", "lan"] as const) {
      await router.mustSay(/tunnel\.up/);
      expect(await at.world.tunnelUp(PATIENCE)).toBeDefined();
      const capture = await at.world.capture();
      const mark = router.running.lines.length;
      await router.running.unplug(side);
      await router.mustSay(new RegExp(`nic\\.lost .*the ${side.toUpperCase()}`), mark);
      await at.world.tempt();
      if (side === "wan") {
        await at.answersOnLan(router);
        expect(await at.world.refuses(SITE)).toBe(true);
      }
      expect((await at.world.tally(capture)).odd).toEqual([]);
      await capture.stop();
      // QEMU may still be letting go of the old one.
      const isBack = (): Promise<boolean> =>
        router.running.plug(side).then(
          () => true,
          () => false,
        );
      expect(await until(isBack, PATIENCE)).toBeDefined();
      await router.mustSay(/tunnel\.up/, mark);
      expect(await at.world.tunnelUp(PATIENCE)).toBeDefined();
    }
    expect(router.log()).not.toMatch(/panic|internal\.error/i);
    expect(await router.stop()).toBe(0);
  });

  test("no disk: it says so and stays up", async () => {
    const router = await at.boot({ config: undefined });
    await router.mustSay(/MORGANA|CIDATA/);
    await at.answersOnLan(router);
    expect((await at.world.ping(TUNNEL)).back).toBe(0);
    expect(router.alive).toBe(true);
    expect(router.log()).not.toMatch(/panic/i);
    expect(await router.stop()).toBe(0);
  });

  test("one NIC only: it says which is missing and stays up", async () => {
    const router = await at.boot({ nics: 1 });
    await router.mustSay(
      /\b(lan|LAN|second|two)\b.*(interface|NIC|network)|(interface|NIC|network).*\b(lan|LAN|second|two)\b/,
    );
    expect(await router.ended(3)).toBeUndefined();
    expect(router.log()).not.toMatch(/panic/i);
    expect(await router.stop()).toBe(0);
  });

  test("Ctrl-Alt-Del leaves in good order, also on the state disk: the LAN's network is on it, and its ext4 is clean", async () => {
    const state = join(at.world.dir, "state.img");
    makeConfigDisk(mkdtempSync(join(at.world.dir, "empty-")), state, "ext4", "MORGANA-STATE");
    const router = await at.boot({ state });
    await router.mustSay(/tunnel\.up/);
    await router.running.ctrlAltDel();
    expect(await router.ended(PATIENCE)).toBe(0);
    expect(router.log()).toMatch(/shutdown/);
    expect(Bun.spawnSync(["e2fsck", "-fn", state]).exitCode).toBe(0);
    const file = Bun.spawnSync(["debugfs", "-R", "cat ula.json", state]).stdout.toString();
    expect(file).toMatch(/^morgana-state 1 [0-9a-f]{64}\n"fd[0-9a-f:]+::\/64"$/);
  });

  test("a state disk with FAT: what was kept is there again, what is damaged is named and replaced", async () => {
    const kept = mkdtempSync(join(at.world.dir, "kept-"));
    const lease = { address: "192.168.50.150", mac: "52:54:00:00:50:09", id: "01525400005009", name: "alpha" };
    const leases = [{ ...lease, until: Date.now() + 3_600_000 }];
    writeFileSync(join(kept, "leases.json"), encodeState({ at: Date.now(), leases }));
    writeFileSync(join(kept, "ula.json"), encodeState("fd12:3456:789a:1::/64").slice(0, -3));
    const state = join(at.world.dir, "state-fat.img");
    makeConfigDisk(kept, state, "fat", "MORGANA-STA");
    const router = await at.boot({ state });
    await router.mustSay(/lease\.restored.*leases=1/);
    await router.mustSay(/state\.damaged.*ula\.json of the state disk \(vdb\) is damaged/);
    await at.answersOnLan(router);
    const { out } = await at.world.in("lan", ["dig", `@${GATEWAY}`, "+short", "alpha.lan"]);
    expect(out.trim()).toBe("192.168.50.150");
    expect(await router.stop()).toBe(0);
    const file = Bun.spawnSync(["mtype", "-i", state, "::/ula.json"]).stdout.toString();
    expect(file).toMatch(/^morgana-state 1 [0-9a-f]{64}\n"fd[0-9a-f:]+::\/64"$/);
  });
});
