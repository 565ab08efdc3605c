import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { until } from "../test/support/world/process.ts";
import { findAccel, parseAccel, TCG } from "./accel.ts";
import { type MachineSpec, qemuArguments } from "./arguments.ts";
import { startVm, vmProblem } from "./vm.ts";

const KERNEL = join(import.meta.dir, "../dist/morgana-kernel");
const directory = mkdtempSync(join(tmpdir(), "morgana-qemu-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** Of a wait for what takes seconds under TCG on a machine with nothing else to do. */
const PATIENCE_MS = 100_000;
setDefaultTimeout(300_000);

test("the accelerator that was asked for", async () => {
  expect(await findAccel("tcg", "no kernel")).toEqual(TCG);
  expect(parseAccel("kvm", "--accel")).toBe("kvm");
  expect(() => parseAccel("fast", "MORGANA_ACCEL")).toThrow('MORGANA_ACCEL is auto, kvm or tcg, not "fast"');
});

test("the WAN's card comes first, a comma in a name is doubled, ATA needs the machine pc", () => {
  const spec: MachineSpec = {
    machine: "q35",
    accel: TCG,
    memory: 256,
    cpus: 2,
    boot: { kind: "kernel", kernel: "k", initrd: "i", cmdline: "c" },
    wan: { kind: "tap", name: "tw" },
    lan: { kind: "alone" },
    disk: { image: "a,b.iso", bus: "virtio-blk" },
    state: "state,1.img",
    qmp: "q",
  };
  const text = qemuArguments(spec).join(" ");
  expect(text).toMatch(/tap,id=wan,ifname=tw.*netdev=wan.*netdev=lan/);
  expect(text).toContain("file=a,,b.iso,format=raw,readonly=on");
  expect(text).toContain("file=state,,1.img,format=raw,if=virtio");
  expect(() => qemuArguments({ ...spec, disk: { image: "a", bus: "ata" } })).toThrow("take pc");
});

test("an image that is missing is said", async () => {
  expect(vmProblem(directory)).toMatch(/npm run image/);
  await expect(startVm({ dist: directory, accel: "tcg" })).rejects.toThrow("npm run image");
});

test.skipIf(vmProblem() !== undefined)(
  "QEMU ends with a program that is killed while it tries an accelerator",
  async () => {
    const script = `
    import { guestRuns, TCG } from ${JSON.stringify(join(import.meta.dir, "accel.ts"))};
    await guestRuns({ ...TCG, accel: "tcg" }, ${JSON.stringify(KERNEL)}, 1e9);
  `;
    const program = Bun.spawn([process.execPath, "-e", script]);
    let qemu = "";
    const isQemu = (pid: string): boolean => readFileSync(`/proc/${pid}/comm`, "utf8").startsWith("qemu");
    const started = (): boolean => {
      const children = readFileSync(`/proc/${program.pid}/task/${program.pid}/children`, "utf8");
      qemu = children.split(" ").find((pid) => pid !== "" && isQemu(pid)) ?? "";
      return qemu !== "";
    };
    expect(await until(started, PATIENCE_MS / 1000)).toBeDefined();
    // Stopped, it cannot end by itself.
    process.kill(Number(qemu), "SIGSTOP");
    program.kill("SIGKILL");
    await program.exited;
    const gone = await until(() => !existsSync(`/proc/${qemu}`), 20);
    if (gone === undefined) process.kill(Number(qemu), "SIGKILL");
    expect(gone).toBeDefined();
  },
);

test.skipIf(vmProblem() !== undefined || Bun.which("xorriso") === null)(
  "a booted machine: a key on the console asks for statistics, the power button switches off",
  async () => {
    writeFileSync(join(directory, "office.ovpn"), "client\ndev tun\n");
    const vm = await startVm({ config: directory, accel: "tcg" });
    try {
      expect(await vm.waitFor(/disk\.found .*vda/, PATIENCE_MS)).toBeDefined();
      expect(await vm.waitFor(/config\.invalid office\.ovpn/, PATIENCE_MS)).toBeDefined();
      vm.type("s");
      expect(await vm.waitFor(/statistics/, PATIENCE_MS)).toBeDefined();
      await vm.powerdown();
      expect(await vm.waitFor(/shutdown .*power button/, PATIENCE_MS)).toBeDefined();
      expect(await vm.ended(PATIENCE_MS)).toBe(0);
    } finally {
      await vm.stop();
    }
  },
);
