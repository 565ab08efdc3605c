import { expect, test } from "bun:test";
import { existsSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Log } from "../../lib/log.ts";
import { loadModules, loadOrder } from "./modules.ts";

test("dependencies come first, each module once", () => {
  const order = loadOrder(
    "net/virtio_net.ko: net/failover.ko virtio/virtio.ko\nnet/failover.ko: virtio/virtio.ko\nvirtio/virtio.ko:\n",
  );
  expect(order).toEqual(["virtio/virtio.ko", "net/failover.ko", "net/virtio_net.ko"]);
});

test("a dependency without a line of its own, a circle, blank and broken lines", () => {
  expect(loadOrder("a.ko: b.ko\n")).toEqual(["b.ko", "a.ko"]);
  expect(loadOrder("a.ko: b.ko\nb.ko: a.ko\n").sort()).toEqual(["a.ko", "b.ko"]);
  expect(loadOrder("\nnonsense\n: x\n")).toEqual([]);
});

test("their files are removed, also where none could be loaded", () => {
  const folder = mkdtempSync(join(tmpdir(), "morgana-modules-"));
  writeFileSync(join(folder, "modules.dep"), "no-such.ko:\n");
  const events: string[] = [];
  const log: Log = { enabled: () => true, write: (_level, event) => void events.push(event) };
  loadModules(folder, log);
  expect([existsSync(folder), events]).toEqual([false, ["modules.failed", "modules.loaded"]]);
});
