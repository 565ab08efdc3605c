/** As PID 1 of a PID namespace, which is what a container's first process is. Nothing here may reach the machine: see SHIELD. */
import { expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { canMakeNamespaces } from "../test/support/world/privilege.ts";

const ROOT = join(import.meta.dir, "..");
const MAIN = `'${process.execPath}' '${join(ROOT, "src/main.ts")}'`;
/** Mounts, names and networks of its own, no sysctl, no disk and no module of the machine: what took them over would find nothing. */
const SHIELD = `set -e
mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys
mount --bind /sys /sys && mount -o remount,bind,ro /sys
if test -d /lib/modules; then mount -t tmpfs none /lib/modules; fi
mount -t tmpfs none /dev && touch /dev/null
hostname untouched
set +e
`;
const shielded = (script: string): string[] => [
  ...["unshare", "--mount", "--uts", "--ipc", "--net", "sh", "-c"],
  SHIELD + script,
];

/** Its answer as PID 1, and what else was other than before. */
function asPid1(words: string): { status: number; out: string; err: string } {
  const { exitCode, stdout, stderr } = Bun.spawnSync(
    shielded(`before=$(cat /proc/self/mounts)
timeout -s KILL 20 unshare -pf --kill-child ${MAIN} ${words}
status=$?
test "$(hostname)" = untouched || echo "the machine was named $(hostname)"
test "$(cat /proc/self/mounts)" = "$before" || echo "file systems were mounted"
exit $status`),
    { stdin: "ignore" },
  );
  return { status: exitCode, out: stdout.toString(), err: stderr.toString() };
}

const isolated = test.skipIf(!canMakeNamespaces());

isolated("as PID 1 it obeys its arguments, and leaves the machine alone", () => {
  expect(asPid1("--version")).toEqual({ status: 0, out: expect.stringMatching(/^morgana \S+\n$/), err: "" });
  expect(asPid1("--help")).toMatchObject({ status: 0, out: expect.stringMatching(/^usage: morgana check/m) });
  expect(asPid1("check nowhere.ovpn")).toMatchObject({ status: 2, out: "" });
  expect(asPid1("")).toMatchObject({ status: 2, out: "", err: expect.stringContaining("usage: morgana") });
});

isolated("appliance as PID 1 leaves at SIGTERM, which the kernel keeps from a PID 1 without a handler", async () => {
  const config = mkdtempSync(join(tmpdir(), "morgana-pid1-"));
  const child = Bun.spawn(
    shielded(`for i in wan lan; do
  ip link add $i type veth peer name $i-far
  for j in $i $i-far; do ip link set $j addrgenmode none up; done
done
exec unshare -pf --kill-child ${MAIN} appliance --wan wan --lan lan --config '${config}'`),
    { stdin: "ignore", stdout: "pipe", stderr: "pipe" },
  );
  const said: string[] = [];
  const read = async (stream: ReadableStream<Uint8Array>): Promise<void> => {
    for await (const piece of stream) {
      said.push(new TextDecoder().decode(piece));
      // It has read its configuration, and so is in its loop.
      if (!stopped && said.join("").includes("stays closed")) {
        stopped = true;
        const [first] = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, "utf8").split(" ");
        process.kill(Number(first), "SIGTERM");
      }
    }
  };
  let stopped = false;
  const giveUp = setTimeout(() => child.kill("SIGKILL"), 20_000);
  try {
    await Promise.all([read(child.stdout), read(child.stderr)]);
    expect(said.join("")).toContain("shutdown");
    expect(await child.exited).toBe(0);
  } finally {
    clearTimeout(giveUp);
    rmSync(config, { recursive: true });
  }
});

test("the stub of the image says the word by which alone a machine is taken over, and as another process it is none", () => {
  const word = /const BOOT = "(.*)"/.exec(readFileSync(join(ROOT, "src/main.ts"), "utf8"))?.[1] ?? "";
  expect(readFileSync(join(ROOT, "image/init.c"), "utf8")).toContain(`{"/morgana", "${word}", 0}`);
  const { exitCode, stderr } = Bun.spawnSync([process.execPath, join(ROOT, "src/main.ts"), word]);
  expect([exitCode, stderr.toString()]).toEqual([2, expect.stringContaining("unknown subcommand")]);
});
