/** `morgana appliance` and the machine that it is a guest of: interfaces that are made anew, a library that is missing. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { type Daemon, must, PATIENCE } from "../support/world/process.ts";
import { morgana, startNative } from "../support/world/router.ts";
import { World } from "../support/world/world.ts";
import { NO_WORLD, REFERENCE } from "./subject.ts";

setDefaultTimeout(180_000);

describe.skipIf(NO_WORLD || REFERENCE)("an interface that is made anew, a library that is missing", () => {
  let world: World;
  let router: Daemon;

  beforeAll(async () => {
    world = await World.create();
    await world.server();
    router = startNative(world, world.config());
    expect(await world.tunnelUp(PATIENCE)).toBeDefined();
  });
  afterAll(() => world?.close());

  /** As in the world's own plan. */
  async function makeWan(): Promise<void> {
    const peer = ["peer", "name", "m0", "netns", world.ns("mid")];
    await must(["ip", "link", "add", "w0", "netns", world.ns("rt"), "type", "veth", ...peer]);
    await world.sh("mid", "ip link set m0 up master mid0");
    await world.sh("rt", "ip link set w0 up");
  }

  test("is opened again, and the tunnel comes up through it", async () => {
    await world.sh("rt", "ip link del w0");
    await makeWan();
    expect(await router.says(/warn interface\.replaced .*w0/, PATIENCE)).toBeDefined();
    expect(await world.tunnelUp(PATIENCE)).toBeDefined();
  });

  test("with an address of the kernel on it too, which has no effect", async () => {
    const mark = router.log().length;
    await world.sh("rt", "ip link del w0");
    await makeWan();
    await world.sh("rt", "ip addr add 192.0.2.1/24 dev w0");
    expect(await router.says(/warn interface\.deaf .*192\.0\.2\.1/, PATIENCE, mark)).toBeDefined();
    expect(await world.tunnelUp(PATIENCE)).toBeDefined();
    await world.sh("rt", "ip addr flush dev w0");
  });

  test("and it leaves in good order", async () => {
    expect(await router.stop()).toBe(0);
  });

  test("a machine without OpenSSL: a sentence, status 1, and the interfaces are as they were", async () => {
    await world.sh("rt", "ip link set w0 down; ip link set l1 down");
    const hidden = "$(readlink -f $(ldconfig -p | sed -n 's/.*libcrypto.so.3 .*=> //p' | head -1))";
    const command = [...morgana(), "appliance", "--wan", "w0", "--lan", "l1", "--config", world.config()];
    const script = `mount --bind /dev/null ${hidden}; exec "$@"`;
    const { code, out } = await world.in("rt", ["unshare", "-m", "sh", "-ec", script, "sh", ...command]);
    expect(code).toBe(1);
    expect(out).toMatch(/^morgana: OpenSSL's libcrypto\.so\.3 is needed/m);
    expect(out).not.toMatch(/^\s+at /m);
    for (const name of ["w0", "l1"])
      expect(await world.sh("rt", `ip -o link show ${name}`)).not.toMatch(/<[^>]*\bUP\b/);
  });
});
