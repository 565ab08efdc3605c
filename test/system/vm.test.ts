/** The image, booted in QEMU between the real neighbours: what a user gets. */
import { describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { makeConfigDisk } from "../../qemu/config-disk.ts";
import { bootedWorld, canBoot } from "../support/world/booted.ts";
import type { Capture } from "../support/world/capture.ts";
import { canMakeNamespaces } from "../support/world/privilege.ts";
import { PATIENCE } from "../support/world/process.ts";
import { queuedSeconds } from "../support/world/router.ts";
import { noCollector, SyslogCollector } from "../support/world/syslog-collector.ts";
import { vmProblem } from "../support/world/vm.ts";
import { GATEWAY, LAN_HOST, SITE, TOML } from "../support/world/world.ts";

const MIB = 1 << 20;

test.skipIf(!canMakeNamespaces())("there is an image and a QEMU to boot it with", () => {
  expect(vmProblem()).toBeUndefined();
});

describe.skipIf(!canBoot)("the booted image", () => {
  const at = bootedWorld();

  for (const machine of ["q35", "pc"] as const) {
    test(`${machine} with 256 MiB: tunnel.up within 20 s, a LAN that works, a clean WAN, the power button`, async () => {
      const capture: Capture = await at.world.capture();
      const router = await at.boot({
        machine,
        config: at.world.config({ profile: at.world.profile({ lines: ["explicit-exit-notify 1"] }) }),
      });
      await router.mustSay(/tunnel\.up/);
      // What it waited for a processor that others had is not the VM's.
      const seconds = (performance.now() - router.poweredAt) / 1000;
      expect(seconds - queuedSeconds(router.pid)).toBeLessThan(20);
      expect(await at.world.tunnelUp(PATIENCE)).toBeDefined();
      await at.world.ping(SITE);
      expect((await at.world.ping(SITE, 20, ["-i", "0.1"])).back).toBe(20);
      expect(await at.world.lanHost("download", [SITE, 20 * MIB, 1], 120)).toMatchObject({ ok: 1, failed: [] });
      expect(await at.world.lanHost("download", [SITE, 2 * MIB, 10], 120)).toMatchObject({ ok: 10, failed: [] });
      expect(await at.world.lanHost("echo", [SITE, 1, 1400, 1473, 8000, 60_000])).toEqual({ ok: 5, failed: [] });
      await at.world.tempt();
      const server = at.world.daemon("server");
      expect(await router.stop()).toBe(0);
      expect(router.log()).toMatch(/shutdown/);
      expect(await server.says(/exit message received|remote-exit/, PATIENCE)).toBeDefined();
      const tally = await at.world.tally(capture);
      expect(tally.odd).toEqual([]);
      expect(tally.sent.openvpn).toBeGreaterThan(100);
      await capture.stop();
    });
  }

  test("a wrong profile on the disk: every line is named, the VM stays up with the LAN closed, and takes the mended disk by itself", async () => {
    const wrong = ["tun-mtu banana", "proto carrier-pigeon"];
    const profile = at.world.profile({ lines: wrong });
    const [image, mended] = ["wrong", "mended"].map((name) => join(at.world.dir, `${name}.iso`)) as [string, string];
    const collector = noCollector() === undefined ? await SyslogCollector.unpack(at.world) : undefined;
    await collector?.start({ tcp: 601 });
    const toml = `${TOML}[log]\nsyslog = "tcp://${LAN_HOST}"\n`;
    makeConfigDisk(at.world.config({ profile, toml }), image);
    const router = await at.boot({ image });
    for (const line of wrong)
      await router.mustSay(new RegExp(`lab\\.ovpn:${profile.split("\r\n").indexOf(line) + 1}: ${line.split(" ")[0]}`));
    await at.answersOnLan(router);
    expect(await at.world.refuses(SITE)).toBe(true);
    const url = `http://${GATEWAY}/health`;
    const health = async () => (await at.world.in("lan", ["curl", "-s", "-m", "20", "-w", " %{http_code}", url])).out;
    expect(await health()).toMatch(/^the tunnel is not there: .*lab\.ovpn:\d+: (tun-mtu|proto): .*\n 503$/);
    expect(router.alive).toBe(true);
    makeConfigDisk(at.world.config({ toml }), mended);
    writeFileSync(image, readFileSync(mended)); // the same file, which QEMU has open
    await router.mustSay(/disk\.changed/);
    await router.mustSay(/tunnel\.up/);
    expect(await health()).toBe("ok: the tunnel is up\n 200");
    expect(router.log()).not.toMatch(/panic/i);
    expect(await router.stop()).toBe(0);
    // Of both configurations, and from the first line to the last.
    expect(await collector?.missing(router)).toEqual(collector && []);
    expect(collector?.lines().at(-1)?.text).toEqual(collector && expect.stringMatching(/tunnel\.down|shutdown/));
    await collector?.stop();
  });
});
