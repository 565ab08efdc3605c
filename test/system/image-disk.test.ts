/** dist/morgana.iso and dist/morgana.qcow2: each boots by BIOS and by UEFI, and is not taken for the config disk. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { missingForDisk } from "../../image/disk.ts";
import type { Boot, Firmware } from "../../qemu/arguments.ts";
import { startVm, vmProblem } from "../../qemu/vm.ts";
import { ROOT } from "../support/world/router.ts";

setDefaultTimeout(400_000);
/** Under TCG, on a machine that other tests use as well: longer means that it hangs. */
const PATIENCE_MS = 180_000;
const [ISO, QCOW2] = ["morgana.iso", "morgana.qcow2"].map((name) => join(ROOT, "dist", name)) as [string, string];
const UEFI: Firmware = { code: "/usr/share/OVMF/OVMF_CODE_4M.fd", variables: "/usr/share/OVMF/OVMF_VARS_4M.fd" };
const WAYS: readonly (readonly [string, Exclude<Boot, { kind: "kernel" }>])[] = [
  ["the ISO as a CD-ROM by BIOS", { kind: "cdrom", image: ISO, firmware: "bios" }],
  ["the ISO as a CD-ROM by UEFI", { kind: "cdrom", image: ISO, firmware: UEFI }],
  ["the qcow2 as a disk by BIOS", { kind: "disk", image: QCOW2, format: "qcow2", firmware: "bios" }],
  ["the qcow2 as a disk by UEFI", { kind: "disk", image: QCOW2, format: "qcow2", firmware: UEFI }],
];

test("there is what a disk is made of, and what boots it", () => {
  expect(missingForDisk()).toEqual([]);
  expect(vmProblem()).toBeUndefined();
  expect(existsSync(UEFI.code)).toBe(true);
});

describe.skipIf(missingForDisk().length > 0 || vmProblem() !== undefined || !existsSync(UEFI.code))("the disk", () => {
  const folder = mkdtempSync(join(tmpdir(), "morgana-disk-"));
  beforeAll(() => {
    writeFileSync(join(folder, "office.ovpn"), "client\ndev tun\n");
    const made = Bun.spawnSync([process.execPath, "scripts/image.ts", "--disk"], { cwd: ROOT, stderr: "pipe" });
    if (made.exitCode !== 0) throw new Error(`scripts/image.ts failed:\n${made.stderr}`);
  }, 600_000);
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  for (const [title, boot] of WAYS) {
    // Firmware and GRUB have memory of their own, and UEFI's are larger.
    const memory = boot.firmware === "bios" ? 256 : 320;
    test(`${title} with ${memory} MiB: finds its config disk beside it, and leaves by the power button`, async () => {
      const vm = await startVm({ boot, memory, config: folder, accel: "tcg" });
      try {
        expect(
          await vm.waitFor(/disk\.found .*iso9660 CIDATA/, PATIENCE_MS),
          vm.lines.slice(-20).join("\n"),
        ).toBeDefined();
        expect(await vm.waitFor(/config\.invalid office\.ovpn/, PATIENCE_MS)).toBeDefined();
        await vm.powerdown();
        expect(await vm.ended(PATIENCE_MS)).toBe(0);
      } finally {
        await vm.stop();
      }
    });
  }
});
