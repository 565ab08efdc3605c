import { expect, test } from "bun:test";
import { claimInterface } from "./claim.ts";

/** No machine has so many interfaces. */
const INDEX = 0x7ffffff0;

test("an interface is one router's; whoever comes second is told which, and by whom", () => {
  const release = claimInterface("w0", INDEX);
  expect(() => claimInterface("w0", INDEX)).toThrow(/^w0 is in use: another morgana appliance/);
  claimInterface("l0", INDEX + 1)();
  release();
  claimInterface("w0", INDEX)();
});

test("it goes away with the process that had it, and is another namespace's own", () => {
  const claim = `import { claimInterface } from ${JSON.stringify(`${import.meta.dir}/claim.ts`)};
    claimInterface("w0", ${INDEX}); process.kill(process.pid, "SIGKILL");`;
  const { signalCode } = Bun.spawnSync([process.execPath, "-e", claim]);
  expect(signalCode).toBe("SIGKILL");
  claimInterface("w0", INDEX)();
});
