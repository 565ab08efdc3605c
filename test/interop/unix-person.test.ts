/** `morgana client` as people start it: at a terminal, with files that others may read, and by a binary that has its capability. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, chownSync, cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { BINARY, build } from "../../scripts/build-binary.ts";
import { DANTE_PORT, startDante } from "../support/world/dante.ts";
import { inUserNamespace } from "../support/world/privilege.ts";
import { must, PATIENCE } from "../support/world/process.ts";
import {
  asHost,
  clientUp,
  clientWords,
  fetchBytes,
  hostState,
  withFiles,
  writeProfile,
} from "../support/world/unix-client.ts";
import { SERVER, SERVER_2, SITE, WAN_GATEWAY, World } from "../support/world/world.ts";
import { NO_WORLD } from "./subject.ts";

const LONG = 3 * PATIENCE * 1000;
const [USER, GROUP] = [65_534, 65_533];

/** Runs a program on a terminal of its own and answers what it asks; what it shows goes to stdout. */
const TERMINAL = `import os, pty, signal, sys
answers = [(b"User: ", b"ann\\n"), (b"Password: ", b"correct horse\\n")]
child, fd = pty.fork()
if child == 0: os.execvp(sys.argv[1], sys.argv[1:])
signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))
seen = b""
while True:
    try: data = os.read(fd, 4096)
    except OSError: break
    if not data: break
    sys.stdout.buffer.write(data); sys.stdout.flush()
    seen += data
    if answers and answers[0][0] in seen:
        seen = b""
        os.write(fd, answers.pop(0)[1])
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))`;

describe.skipIf(NO_WORLD)("the client as people start it", () => {
  let world: World;
  let before: string;

  beforeAll(async () => {
    world = await World.create();
    await asHost(world);
    await world.server();
    before = await hostState(world);
  }, 60_000);
  afterEach(async () => {
    expect(await world.stop("client")).toBe(0);
    expect(await hostState(world)).toBe(before);
  });
  afterAll(() => world?.close());

  const reaches = async (target: string): Promise<boolean> =>
    (await world.in("rt", ["ping", "-n", "-c", "2", "-i", "0.2", "-w", "30", target])).out.includes("2 received");

  test(
    "user and password are asked for on the terminal, and what is typed of the password is not shown",
    async () => {
      const profile = writeProfile(world, "asks");
      writeFileSync(profile, readFileSync(profile, "utf8").replace("auth-user-pass asks.login", "auth-user-pass"));
      const client = world.start("client", "rt", ["python3", "-c", TERMINAL, ...clientWords(world, profile)]);
      expect(await client.says(/ tunnel\.up /, PATIENCE)).toBeDefined();
      expect(client.log()).toMatch(/User: ann\r?\n/);
      expect(client.log()).not.toContain("horse");
      expect(await reaches(SITE)).toBe(true);
    },
    LONG,
  );

  test(
    "without a terminal that is a problem at its line; a login that others may read is warned about",
    async () => {
      const profile = writeProfile(world, "loose");
      const text = readFileSync(profile, "utf8");
      writeFileSync(profile, text.replace("auth-user-pass loose.login", "auth-user-pass"));
      const refused = world.start("refused", "rt", clientWords(world, profile));
      expect(await refused.ended(PATIENCE)).toBe(1);
      expect(refused.log()).toMatch(/ config\.invalid .*loose\.ovpn:\d+: auth-user-pass: /);
      writeFileSync(profile, text);
      chmodSync(join(world.dir, "loose.login"), 0o644);
      const client = await clientUp(world, profile);
      expect(client.log()).toMatch(/ config\.warning .*others may read loose\.login.*chmod 600 \S*loose\.login/);
    },
    LONG,
  );

  test.skipIf(inUserNamespace())(
    "a binary with cap_net_admin=ep, for a group alone, does for a plain user what root's does, with that capability and no other",
    async () => {
      await build();
      const binary = join(world.dir, "bin", "morgana");
      mkdirSync(join(world.dir, "bin"));
      cpSync(BINARY, binary);
      chownSync(binary, 0, GROUP);
      chmodSync(binary, 0o750);
      await must(["setcap", "cap_net_admin=ep", binary]);
      const profile = writeProfile(world, "group");
      const own = join(world.dir, "run-group");
      mkdirSync(own);
      for (const path of [own, join(world.dir, "group.login")]) chownSync(path, USER, USER);
      chmodSync(world.dir, 0o755);
      // The shell is the first whom nothing of root's is left to, when it executes the binary.
      const as = (...groups: string[]): string[] => [
        ...["setpriv", "--reuid", `${USER}`, "--regid", `${USER}`, ...groups, "--inh-caps", "-all"],
        ...["sh", "-c", 'exec "$@"', "sh"],
      ];
      const words = [binary, "client", profile];
      const others = await world.in("rt", [...as("--clear-groups"), ...words]);
      expect(others.out).toContain("ermission denied");
      const run = [...as("--groups", `${GROUP}`), "env", `RUNTIME_DIRECTORY=${own}`, ...words];
      const client = world.start("client", "rt", withFiles(world, run));
      expect(await client.says(/ tunnel\.up /, PATIENCE)).toBeDefined();
      expect(client.log()).not.toMatch(/ host\.(refused|journal) /);
      expect(readFileSync(`/proc/${client.pid}/status`, "utf8")).toMatch(
        /CapPrm:\t0000000000001000\nCapEff:\t0000000000001000\n(?:.*\n)*NoNewPrivs:\t1\n/,
      );
      expect(await reaches(SITE)).toBe(true);
      expect(await world.sh("rt", `ip route get ${SITE}`)).toContain("dev tun0");
    },
    LONG,
  );

  test.each([
    ["at the proxy's own address", WAN_GATEWAY],
    ["at another address", SERVER_2],
  ] as const)(
    "UDP through a SOCKS proxy whose relay is %s, while all else goes through the tunnel",
    async (_name, relay) => {
      await startDante(world, relay);
      const lines = [`socks-proxy ${WAN_GATEWAY} ${DANTE_PORT}`];
      const client = await clientUp(world, writeProfile(world, "socks", { lines, remotes: [SERVER] }));
      expect(await fetchBytes(world, 3_000_000)).toBe(3_000_000);
      expect(world.daemon("server").log()).toContain(`Peer Connection Initiated with [AF_INET]${relay}:`);
      for (const address of new Set([WAN_GATEWAY, relay]))
        expect(await world.sh("rt", `ip route get ${address}`)).toContain("dev w0");
      expect(client.log()).not.toMatch(/ (warn|error) /);
      expect(await world.stop("client")).toBe(0);
      await world.stop("dante");
      await clientUp(world, writeProfile(world, "direct"));
    },
    LONG,
  );
});
