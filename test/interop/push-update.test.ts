/** A server changes what it pushed while the tunnel is up: openvpn 2.7 and newer, by its management interface (`OPENVPN=`). */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { openvpnIsAtLeast } from "../support/world/openvpn-binary.ts";
import { PATIENCE } from "../support/world/process.ts";
import { SITE, World } from "../support/world/world.ts";
import { NO_WORLD, REFERENCE, Subject } from "./subject.ts";

setDefaultTimeout(180_000);

// Older ones have it not: there is nothing to test then, and nothing is skipped.
const onlyWhereItIs = openvpnIsAtLeast(2, 7) ? describe.skipIf(NO_WORLD || REFERENCE) : (): void => {};

onlyWhereItIs("PUSH_UPDATE of openvpn", () => {
  let world: World;
  let subject: Subject;

  beforeAll(async () => {
    world = await World.create();
    subject = new Subject(world);
  });
  afterAll(() => world?.close());

  test("addresses, routes and MTU change, and packets go on; what cannot be changed starts the session anew", async () => {
    const management = join(world.dir, "management");
    const server = await world.server({ lines: [`management ${management} unix`, "disable-dco"] });
    await subject.bootUp();
    // It serves one client at a time.
    const socket = await Bun.connect({ unix: management, socket: { data: () => {} } });
    const say = (line: string): void => void socket.write(`${line}\n`);
    const pings = world.start("ping", "lan", ["ping", "-n", "-i", "0.1", SITE]);
    say('push-update-broad "route 10.77.0.0 255.255.0.0, ?tun-mtu 1400, -?dns"');
    expect(await subject.running.says(/tunnel\.changed.*mtu=1400 routes=/, PATIENCE)).toBeDefined();
    expect((await world.ping(SITE, 5, ["-i", "0.05"])).back).toBe(5);
    const mark = subject.log().length;
    say('push-update-broad "-ifconfig"');
    expect(await subject.running.says(/tunnel\.down.*push/, PATIENCE, mark)).toBeDefined();
    await subject.up();
    socket.end();
    await world.stop(pings.name, "SIGINT");
    expect(server.log()).toMatch(/PUSH_UPDATE/);
  });
});
