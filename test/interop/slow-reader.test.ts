/** The log of `morgana appliance` goes to a pipe that nobody reads: the router goes on, and keeps no more than it says. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { closeSync, constants, openSync, readSync } from "node:fs";
import { join } from "node:path";
import type { Daemon } from "../support/world/process.ts";
import { PATIENCE, until } from "../support/world/process.ts";
import { morgana, residentBytes } from "../support/world/router.ts";
import { GATEWAY, SITE, World } from "../support/world/world.ts";
import { NO_WORLD, REFERENCE } from "./subject.ts";

const MIB = 1 << 20;
setDefaultTimeout(180_000);

describe.skipIf(NO_WORLD || REFERENCE)("a log that nobody reads", () => {
  let world: World;
  let router: Daemon;
  let reader: number;

  beforeAll(async () => {
    world = await World.create();
    await world.server();
    const pipe = join(world.dir, "log");
    await world.sh("rt", `mkfifo ${pipe}`);
    reader = openSync(pipe, constants.O_RDWR | constants.O_NONBLOCK);
    const command = ["appliance", "--wan", "w0", "--lan", "l1", "--config", world.config()];
    router = world.start("router", "rt", ["sh", "-c", `exec "$@" > ${pipe}`, "sh", ...morgana(), ...command]);
    expect(await world.tunnelUp(PATIENCE)).toBeDefined();
  });
  afterAll(async () => {
    await world?.close();
    closeSync(reader);
  });

  test("thousands of lines cost it neither packets nor memory, and it says how many are lost", async () => {
    const before = residentBytes(router.pid);
    for (let i = 0; i < 250; i++) {
      router.signal("SIGUSR2");
      expect((await world.ping(GATEWAY)).back).toBe(1);
    }
    expect((await world.ping(SITE, 5)).back).toBe(5);
    expect(residentBytes(router.pid) - before).toBeLessThan(32 * MIB);
    // Somebody reads again.
    const bytes = new Uint8Array(1 << 20);
    let text = "";
    const lost = await until(() => {
      try {
        text += new TextDecoder().decode(bytes.subarray(0, readSync(reader, bytes)));
      } catch {
        // it is empty now
      }
      return /warn log\.lost lines=\d+ /.test(text);
    }, PATIENCE);
    expect(lost).toBeDefined();
    expect(text.length).toBeLessThan(256 * 1024);
  });

  test("and it leaves in good order", async () => {
    expect(await router.stop()).toBe(0);
  });
});
