/** `morgana appliance` as a process on two interfaces of a network namespace of its own. */
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { canMakeNamespaces } from "../../test/support/world/privilege.ts";

const MAIN = [process.execPath, join(import.meta.dir, "../main.ts")];
const LINKS = `for i in wan lan other; do
  ip link add $i type veth peer name $i-far
  for j in $i $i-far; do ip link set $j addrgenmode none up; done
done
exec "$@"`;
const isolated = test.skipIf(!canMakeNamespaces());
const appliance = (config: string, wan = "wan", lan = "lan"): string[] => [
  ...MAIN,
  ...["appliance", "--wan", wan, "--lan", lan, "--config", config],
];

/** Runs `use` beside an appliance without a profile, and returns its status after SIGTERM. */
async function beside(
  use: (it: { says(pattern: RegExp, mark?: number): Promise<number>; pid: number; config: string }) => Promise<void>,
): Promise<number> {
  const config = mkdtempSync(join(tmpdir(), "morgana-appliance-"));
  const child = Bun.spawn(["unshare", "--net", "sh", "-ec", LINKS, "sh", ...appliance(config)], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "inherit",
  });
  let log = "";
  let waiting: (() => void) | undefined;
  const reading = (async () => {
    for await (const piece of child.stdout) {
      log += new TextDecoder().decode(piece);
      waiting?.();
    }
  })();
  const giveUp = setTimeout(() => child.kill("SIGKILL"), 30_000);
  /** Where the log ends once a line from `mark` on matches. */
  const says = async (pattern: RegExp, mark = 0): Promise<number> => {
    while (!pattern.test(log.slice(mark))) {
      if (child.exitCode !== null || child.signalCode !== null) throw new Error(`it has ended:\n${log}`);
      await Promise.race([new Promise<void>((resolve) => (waiting = resolve)), child.exited]);
    }
    return log.length;
  };
  try {
    await says(/stays closed/);
    await use({ says, pid: child.pid, config });
    child.kill("SIGTERM");
    const status = await child.exited;
    await reading;
    return status;
  } finally {
    clearTimeout(giveUp);
    child.kill("SIGKILL");
    rmSync(config, { recursive: true });
  }
}

isolated("SIGHUP and SIGUSR1 have the configuration read again, and end nothing", async () => {
  const status = await beside(async ({ says, pid, config }) => {
    let mark = await says(/stays closed/);
    for (const signal of ["SIGHUP", "SIGUSR1"] as const) {
      writeFileSync(join(config, "appliance.toml"), `[vpn]\nconfig = "${signal}.ovpn"\n`);
      process.kill(pid, signal);
      mark = await says(new RegExp(`reconnect[\\s\\S]*"${signal}.ovpn" is not there[\\s\\S]*stays closed`), mark);
    }
  });
  expect(status).toBe(0);
});

isolated(
  "a second one on an interface that one has is refused by its name; in another namespace it is not",
  async () => {
    const status = await beside(async ({ pid, config }) => {
      for (const [wan, lan, used] of [
        ["wan", "other", "wan"],
        ["other", "lan", "lan"],
      ] as const) {
        const argv = ["nsenter", `--net=/proc/${pid}/ns/net`, ...appliance(config, wan, lan)];
        const { exitCode, stderr } = Bun.spawnSync(argv, { timeout: 20_000 });
        expect(stderr.toString()).toMatch(new RegExp(`^morgana: ${used} is in use: another morgana appliance`, "m"));
        expect(exitCode).toBe(1);
      }
      expect(await beside(async () => {})).toBe(0);
    });
    expect(status).toBe(0);
  },
);
