import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chooseAccel } from "./accel.ts";
import { startVm } from "./run.ts";

const directory = mkdtempSync(join(tmpdir(), "morgana-qemu-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));
const image = process.env["MORGANA_IMAGE"] ?? join(import.meta.dir, "../dist");
const bootable = existsSync(join(image, "morgana-kernel")) && Bun.which("qemu-system-x86_64") !== null;

setDefaultTimeout(60_000);

test("the accelerator that was asked for", async () => {
  expect((await chooseAccel("no kernel", "tcg")).args).toContain("tcg,thread=multi");
  const before = process.env["MORGANA_ACCEL"];
  try {
    process.env["MORGANA_ACCEL"] = "tcg";
    expect((await chooseAccel("no kernel")).name).toBe("tcg");
    process.env["MORGANA_ACCEL"] = "fast";
    expect(chooseAccel("no kernel")).rejects.toThrow("MORGANA_ACCEL=fast");
  } finally {
    if (before === undefined) delete process.env["MORGANA_ACCEL"];
    else process.env["MORGANA_ACCEL"] = before;
  }
});

test("what is missing or cannot be is said", () => {
  expect(startVm({ image: directory, accel: "tcg" })).rejects.toThrow("npm run image");
  expect(startVm({ image, diskBus: "ata" })).rejects.toThrow(bootable ? /pc/ : /./);
});

test.skipIf(!bootable || Bun.which("xorriso") === null)("a key on the console, the power button", async () => {
  writeFileSync(join(directory, "office.ovpn"), "client\ndev tun\n");
  const vm = await startVm({ image, configDir: directory });
  try {
    await vm.waitFor(/disk\.found .*vda.*MORGANA/, 40);
    await vm.waitFor(/config\.invalid office\.ovpn/, 10);
    vm.type("s");
    await vm.waitFor(/statistics/, 5);
    await vm.powerdown();
    await vm.waitFor(/shutdown .*power button/, 10);
    expect(await vm.exited).toBe(0);
  } finally {
    await vm.stop(0);
  }
});
