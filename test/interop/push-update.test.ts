/**
 * A server changes what it pushed while the tunnel is up, with openvpn 2.7 and newer (`OPENVPN=`) at the other end: as the server, by its
 * management interface, and as the client of ours.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { openvpnIsAtLeast } from "../support/world/openvpn-binary.ts";
import { PATIENCE, until } from "../support/world/process.ts";
import { LAN_GATEWAY, TUNNEL as SERVED, ServedWorld } from "../support/world/served-world.ts";
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

onlyWhereItIs("PUSH_UPDATE of ours", () => {
  const COMMANDS = { server: "[status]\ncommands = true\n" };
  let world: ServedWorld;
  const curl = async (path: string, ...more: string[]): Promise<string> =>
    (await world.in("lan", ["curl", "-s", "-m", "10", ...more, `http://${LAN_GATEWAY}${path}`])).out;
  const update = (options: string): Promise<string> =>
    curl(
      "/commands",
      "-H",
      "Morgana-Command: 1",
      "-d",
      "command=push-update",
      "--data-urlencode",
      `options=${options}`,
    );
  const routes = async (): Promise<string> => (await world.in("a", ["ip", "route", "show", "dev", "tun0"])).out;
  const hasRoute = async (route: string, wanted = true): Promise<boolean> =>
    (await until(async () => (await routes()).includes(route) === wanted, PATIENCE)) !== undefined;

  const ups = (): number => world.serverLog().split(" peer.up ").length - 1;

  beforeAll(async () => {
    world = await ServedWorld.create();
  });
  afterAll(() => world?.close());

  test("a client takes routes by command and by another configuration, loses those before, and goes on", async () => {
    await world.serve([], COMMANDS);
    const client = await world.join("a");
    expect(await update("route 10.77.0.0 255.255.0.0")).toBe(
      "push-update: 1 client told of the options; others do not take updates\n",
    );
    expect(await hasRoute("10.77.0.0/16")).toBe(true);
    expect(client.log()).toMatch(/PUSH: Received control message: 'PUSH_UPDATE,route 10\.77\.0\.0 255\.255\.0\.0'/);
    // Those of a kind take the place of all before.
    expect(await hasRoute("192.168.50.0/24", false)).toBe(true);
    expect(await update("route 10.78.0.0 255.255.0.0\nroute 192.168.50.0 255.255.255.0")).toContain("1 client told");
    expect([await hasRoute("10.78.0.0/16"), await hasRoute("10.77.0.0/16", false)]).toEqual([true, true]);
    world.configure(['push "route 10.79.0.0 255.255.0.0"'], COMMANDS);
    world.daemon("server").signal("SIGUSR1");
    expect([await hasRoute("10.79.0.0/16"), await hasRoute("10.78.0.0/16", false)]).toEqual([true, true]);
    expect(await hasRoute("192.168.50.0/24")).toBe(true);
    expect(await update("-route")).toContain("1 client told");
    expect(await hasRoute("10.79.0.0/16", false)).toBe(true);
    // It takes its interface down and up again for each.
    expect(await world.reaches("a", SERVED)).toBe(true);
    expect([ups(), /out of sync|SIGUSR1/.test(client.log())]).toEqual([1, false]);
  });

  test.each(["udp", "tcp"])(
    "one that is said while a renegotiation is under way arrives too, over %s",
    async (proto) => {
      // Between renegotiations nothing is sent to it.
      await world.serve(
        ["reneg-sec 6", "keepalive 40 200", ...(proto === "tcp" ? ["proto tcp-server"] : [])],
        COMMANDS,
      );
      const client = await world.join("a", [], { proto });
      const sent = async (): Promise<number> => JSON.parse(await curl("/status.json")).counters.wan.txFrames;
      client.signal("SIGSTOP");
      const before = await sent();
      expect(await until(async () => (await sent()) > before + 2, PATIENCE, 300)).toBeDefined();
      expect(await update("route 10.77.0.0 255.255.0.0")).toContain("1 client told");
      client.signal("SIGCONT");
      expect(await hasRoute("10.77.0.0/16")).toBe(true);
      expect(await world.reaches("a", SERVED)).toBe(true);
      expect([ups(), /out of sync|SIGUSR1/.test(client.log())]).toEqual([1, false]);
    },
  );
});
