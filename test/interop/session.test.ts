/** What a session does over its life: restarts, other remotes, and the end. */
import { afterAll, beforeAll, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { PATIENCE, until } from "../support/world/process.ts";
import { morgana } from "../support/world/router.ts";
import { GATEWAY, NOBODY, SERVER_2, SITE, World } from "../support/world/world.ts";
import { NO_WORLD, REFERENCE, Subject } from "./subject.ts";

setDefaultTimeout(180_000);

describe.skipIf(NO_WORLD)("a session with openvpn", () => {
  let world: World;
  let subject: Subject;

  beforeAll(async () => {
    world = await World.create();
    subject = new Subject(world);
  });
  // The one of the test before must not be a client of this test's server.
  beforeEach(async () => void (await subject.halt()));
  afterAll(() => world?.close());

  test("a server that dies: senders are told, and its return brings the tunnel back within 30 s", async () => {
    await world.server();
    await subject.bootUp();
    const capture = await world.capture();
    await world.stop("server", "SIGKILL");
    expect(await until(() => world.refuses(SITE), PATIENCE)).toBeDefined();
    await world.tempt();
    expect((await world.ping(GATEWAY)).back).toBe(1);
    await world.server();
    expect(await subject.up(30)).toBeLessThan(30);
    const tally = await world.tally(capture);
    expect(tally.odd).toEqual([]);
    expect(subject.alive).toBe(true);
    if (!REFERENCE) expect(subject.log()).toMatch(/tunnel\.down/);
  });

  test("a server that restarts in good order says so, and the tunnel is back soon", async () => {
    await world.server({ lines: ["explicit-exit-notify 1"] });
    await subject.bootUp();
    await world.stop("server");
    if (!REFERENCE) await subject.says(/tunnel\.down/);
    await world.server();
    expect(await subject.up(20)).toBeLessThan(20);
  });

  test("the second remote is taken where the first is silent, and the third where a name does not resolve", async () => {
    // One server at a time: two in one namespace would fight over the route to the tunnel's subnet.
    await world.stop("server");
    await world.server({}, "server-2", SERVER_2);
    try {
      await subject.boot(
        world.config({
          profile: world.profile({ remotes: [NOBODY, SERVER_2], lines: ["connect-timeout 3", "connect-retry 1 2"] }),
        }),
      );
      await subject.up();
      if (!REFERENCE) {
        await subject.boot(
          world.config({
            profile: world.profile({
              remotes: ["nothing.example", "dead.example", SERVER_2],
              lines: ["connect-timeout 3", "connect-retry 1 2"],
            }),
          }),
        );
        await subject.up();
      }
    } finally {
      await world.stop("server-2");
    }
  });

  test("SIGTERM ends it with status 0, and the server is told", async () => {
    const server = await world.server();
    await subject.bootUp(world.config({ profile: world.profile({ lines: ["explicit-exit-notify 1"] }) }));
    expect(await subject.halt()).toBe(0);
    expect(await server.says(/exit message received|remote-exit/, PATIENCE)).toBeDefined();
  });

  test.skipIf(REFERENCE)("SIGUSR1 reconnects and SIGUSR2 logs statistics", async () => {
    await world.server();
    const router = await subject.bootUp();
    const mark = router.log().length;
    router.signal("SIGUSR2");
    expect(await router.says(/statistics/i, PATIENCE, mark)).toBeDefined();
    router.signal("SIGUSR1");
    expect(await router.says(/tunnel\.down[\s\S]*tunnel\.up/, PATIENCE, mark)).toBeDefined();
    await subject.up();
  });

  test.skipIf(REFERENCE)("a log that nobody reads any more ends nothing", async () => {
    await world.server();
    const argv = [...morgana(), "appliance", "--wan", "w0", "--lan", "l1", "--config", world.config()];
    const router = world.start("router", "rt", ["bash", "-c", 'exec "$@" > >(head -n 1)', "-", ...argv]);
    expect(await world.tunnelUp(PATIENCE)).toBeDefined();
    router.signal("SIGUSR2");
    expect((await world.ping(SITE, 10, ["-i", "0.2"])).back).toBe(10);
    expect(await world.stop("router")).toBe(0);
    expect(router.log()).not.toContain("EPIPE");
  });

  test("net30 and p2p topologies", async () => {
    await world.server({ topology: "net30" });
    await subject.bootUp();
    expect((await world.ping(SITE, 2)).back).toBe(2);
    await subject.halt();
    await world.server({ topology: "p2p" });
    await subject.bootUp();
    expect((await world.ping(SITE, 2)).back).toBe(2);
  });
});
