/** `morgana server` on the kernel of a host, with our own client. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Daemon, PATIENCE } from "../support/world/process.ts";
import { morgana } from "../support/world/router.ts";
import { asHost, clientUp, hostState, writeProfile } from "../support/world/unix-client.ts";
import { World } from "../support/world/world.ts";
import { NO_WORLD } from "./subject.ts";

const LONG = 2 * PATIENCE * 1000;

describe.skipIf(NO_WORLD)("the server on the kernel's tun", () => {
  let world: World;
  let before: string;

  beforeAll(async () => {
    world = await World.create();
    await asHost(world);
    before = await hostState(world, "net");
  }, 60_000);
  afterEach(async () => {
    await world.stop("client");
    expect(await world.stop("server")).toBe(0);
    expect(await hostState(world, "net")).toBe(before);
  });
  afterAll(() => world?.close());

  /** Starts our server in the place of the internet's. */
  async function serve(): Promise<Daemon> {
    const config = [
      ...["dev tun", "proto udp", "port 1194", "server 10.8.0.0 255.255.255.0", "topology subnet"],
      ...["ca ca.crt", "cert server.crt", "key server.key", "dh none", "tls-crypt static.key", "keepalive 2 10"],
    ];
    const file = join(world.dir, "unix-server.conf");
    writeFileSync(file, `${config.join("\n")}\n`);
    const argv = ["env", `RUNTIME_DIRECTORY=${join(world.dir, "run-server")}`, ...morgana(), "server", file];
    const daemon = world.start("server", "net", argv);
    if ((await daemon.says(/ server\.listening /, PATIENCE)) === undefined) throw new Error(daemon.log());
    return daemon;
  }

  const ping = async (...words: readonly string[]): Promise<string> =>
    (await world.in("rt", ["ping", "-n", "-i", "0.2", ...words])).out;

  test(
    "serves our own client over UDP, and a packet from an address that is not the client's goes nowhere",
    async () => {
      const server = await serve();
      await clientUp(world, writeProfile(world, "own", { remotes: ["203.0.113.1"], password: false }));
      expect(await ping("-c", "3", "-w", "30", "10.8.0.1")).toContain("3 received");
      await world.sh("rt", "ip addr add 10.8.0.77/24 dev tun0");
      expect(await ping("-c", "2", "-W", "1", "-I", "10.8.0.77", "10.8.0.1")).toContain("0 received");
      server.signal("SIGUSR2");
      // What the client's kernel says from its link-local address is none of its own either.
      const count = (await server.says(/source-not-of-client=(\d+)/, PATIENCE))?.[1];
      expect(Number(count)).toBeGreaterThanOrEqual(2);
    },
    LONG,
  );
});
