/** What `morgana client` leaves of a host, and what a host does to it: users, crashes, others who change it. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { PATIENCE, until } from "../support/world/process.ts";
import {
  asHost,
  clientUp,
  clientWords,
  fetchBytes,
  hostState,
  resolvConf,
  startClient,
  writeProfile,
} from "../support/world/unix-client.ts";
import { SERVER, SITE, TUNNEL, WAN_GATEWAY, World } from "../support/world/world.ts";
import { NO_WORLD } from "./subject.ts";

/** Nobody, who owns nothing. */
const USER = 65534;
const LONG = 2 * PATIENCE * 1000;

describe.skipIf(NO_WORLD)("the client and its host", () => {
  let world: World;

  beforeAll(async () => {
    world = await World.create();
    await asHost(world);
    await world.server();
    // Users of no privilege read their profiles.
    chmodSync(world.dir, 0o755);
  }, 60_000);
  afterEach(async () => {
    await world.stop("client");
    await world.sh(
      "rt",
      `for i in tun5 tun6 tun8; do ip link del $i 2>/dev/null || true; done; ip route flush root ${SERVER}/32`,
    );
  });
  afterAll(() => world?.close());

  const ping = async (target: string): Promise<string> =>
    (await world.in("rt", ["ping", "-n", "-c", "3", "-i", "0.2", "-w", "30", target])).out;
  const ip = (words: string): Promise<string> => world.sh("rt", `ip ${words}`);

  test(
    "what a plain user would have to have set up is said, as commands",
    async () => {
      await ip(`tuntap add dev tun8 mode tun user ${USER}`);
      const profile = writeProfile(world, "plain", {}, "tun8");
      chmodSync(`${world.dir}/plain.login`, 0o644);
      const prefix = ["setpriv", "--reuid", `${USER}`, "--regid", `${USER}`, "--clear-groups", "--inh-caps", "-all"];
      const client = await clientUp(world, profile, { prefix, env: { RUNTIME_DIRECTORY: "/nowhere" } });
      expect(client.log()).toContain("ip link set tun8 mtu 1500 up; ip addr add 10.8.0.2/24 dev tun8");
      await world.stop("client");
      await ip("link del tun8");
    },
    LONG,
  );

  test(
    "where the kill switch cannot be made it is not said to be on, and the tunnel is not used",
    async () => {
      await ip(`tuntap add dev tun8 mode tun user ${USER}`);
      const profile = writeProfile(world, "plain", {}, "tun8");
      chmodSync(`${world.dir}/plain.login`, 0o644);
      const prefix = ["setpriv", "--reuid", `${USER}`, "--regid", `${USER}`, "--clear-groups", "--inh-caps", "-all"];
      const more = ["--kill-switch"];
      const env = { RUNTIME_DIRECTORY: "/nowhere", BUN_INSTALL: "/tmp" };
      const client = startClient(world, profile, { prefix, more, env });
      await client.says(/ link\.failed /, PATIENCE);
      expect(client.log()).toMatch(/there is no kill switch.*ip -6 route add unreachable ::\/1/);
      expect(client.log()).not.toMatch(/ killswitch\.on | tunnel\.up /);
      await world.stop("client");
      // Somebody has made its routes: then it is on.
      for (const words of ["", "-6 "])
        for (const network of words === "" ? ["0.0.0.0/1", "128.0.0.0/1"] : ["::/1", "8000::/1"])
          await ip(`${words}route add unreachable ${network} metric 2147483647`);
      try {
        await ip(`route add ${SERVER} via ${WAN_GATEWAY}`);
        const second = await clientUp(world, profile, { prefix, more, env });
        expect(second.log()).toMatch(/ killswitch\.on /);
        await world.stop("client");
        expect(await ip("route")).toContain("unreachable 0.0.0.0/1");
      } finally {
        await world.sh("rt", "ip route flush type unreachable; ip -6 route flush type unreachable");
      }
      await ip("link del tun8");
    },
    LONG,
  );

  test(
    "a crash does not open the host where --kill-switch is given again: not before there is a tunnel, not by a profile that is refused",
    async () => {
      const before = await hostState(world);
      const more = ["--kill-switch"];
      const way = async (): Promise<string> => (await world.in("rt", ["ip", "route", "get", "192.0.2.77"])).out;
      const open = await way();
      await clientUp(world, writeProfile(world, "kill"), { more });
      await world.stop("client", "SIGKILL");
      expect(await way()).toContain("No route to host");
      expect(
        await startClient(world, writeProfile(world, "bad", { lines: ["nonsense"] }), { more }).ended(PATIENCE),
      ).toBe(1);
      expect(await way()).toContain("No route to host");
      const nobody = writeProfile(world, "nobody", { remotes: ["203.0.113.99"] });
      const client = startClient(world, nobody, { more });
      expect(await client.says(/ link\.connecting /, PATIENCE)).toBeDefined();
      expect(client.log()).toMatch(/ host\.kept [\s\S]* killswitch\.on /);
      expect(await way()).toContain("No route to host");
      expect(await world.stop("client", "SIGKILL")).not.toBe(0);
      const again = await clientUp(world, writeProfile(world, "kill"), { more });
      expect(again.log()).toMatch(/ host\.kept /);
      expect(await world.stop("client")).toBe(0);
      expect(await hostState(world)).toBe(before);
      await clientUp(world, writeProfile(world, "kill"), { more });
      await world.stop("client", "SIGKILL");
      expect(await startClient(world, writeProfile(world, "bad", { lines: ["nonsense"] })).ended(PATIENCE)).toBe(1);
      expect(await way()).toBe(open);
      expect(await hostState(world)).toBe(before);
    },
    LONG,
  );

  test(
    "a second one on the same interface is refused in words",
    async () => {
      const profile = writeProfile(world, "twice", {}, "tun5");
      await clientUp(world, profile);
      const second = world.start("second", "rt", clientWords(world, profile));
      expect(await second.ended(PATIENCE)).toBe(1);
      expect(second.log()).toContain("tun5 is in use");
      expect(await ping(TUNNEL)).toContain("3 received");
    },
    LONG,
  );

  test(
    "of two whose resolvers would be in one resolv.conf the first has it, and nothing of either stays",
    async () => {
      const before = readFileSync(resolvConf(world), "utf8");
      const first = await clientUp(world, writeProfile(world, "first", {}, "tun5"));
      expect(await first.says(/ dns\.set /, PATIENCE)).toBeDefined();
      const second = world.start("second", "rt", clientWords(world, writeProfile(world, "second", {}, "tun6")));
      expect(await second.says(/ dns\.failed .*the tunnel on tun5, by another morgana/, PATIENCE)).toBeDefined();
      expect(await world.stop("client")).toBe(0);
      expect(readFileSync(resolvConf(world), "utf8")).toBe(before);
      expect(await world.stop("second")).toBe(0);
      expect(readFileSync(resolvConf(world), "utf8")).toBe(before);
    },
    LONG,
  );

  for (const device of ["tun", "tun6"])
    test(
      `what SIGKILL leaves (dev ${device}) is taken back at the next start`,
      async () => {
        if (device === "tun6") await ip("tuntap add dev tun6 mode tun");
        const before = await hostState(world);
        const profile = writeProfile(world, "crash", {}, device);
        const client = await clientUp(world, profile);
        expect((await client.says(/ dns\.set /, PATIENCE)) !== undefined).toBe(true);
        expect(readFileSync(resolvConf(world), "utf8")).toContain("nameserver 10.8.0.1\n");
        expect(await world.stop("client", "SIGKILL")).not.toBe(0);
        expect(await hostState(world)).not.toBe(before);
        // A profile that is refused is enough.
        const bad = writeProfile(world, "bad", { lines: ["nonsense"] });
        expect(await startClient(world, bad).ended(PATIENCE)).toBe(1);
        expect(await hostState(world)).toBe(before);
      },
      LONG,
    );

  test(
    "a crash of the machine, at which the journal goes as well, leaves no resolver of a tunnel: the host's are there before there is another tunnel",
    async () => {
      const before = readFileSync(resolvConf(world), "utf8");
      const client = await clientUp(world, writeProfile(world, "crash"));
      expect(await client.says(/ dns\.set /, PATIENCE)).toBeDefined();
      expect(await world.stop("client", "SIGKILL")).not.toBe(0);
      rmSync(join(world.dir, "run"), { recursive: true });
      await world.in("rt", ["ip", "route", "flush", "proto", "109"]);
      expect(readFileSync(resolvConf(world), "utf8")).not.toBe(before);
      const again = startClient(world, writeProfile(world, "nobody", { remotes: ["203.0.113.99"] }));
      expect(await again.says(/ link\.connecting /, PATIENCE)).toBeDefined();
      expect(again.log()).toMatch(/ host\.recovered .*\(\/etc\/resolv\.conf\)/);
      expect(readFileSync(resolvConf(world), "utf8")).toBe(before);
      expect(await world.stop("client")).toBe(0);
      expect(readFileSync(resolvConf(world), "utf8")).toBe(before);
    },
    LONG,
  );

  test(
    "with a kill switch nothing goes around the tunnel, should its routes vanish",
    async () => {
      const before = await hostState(world);
      const client = await clientUp(world, writeProfile(world, "kill"), { more: ["--kill-switch"] });
      const way = async (): Promise<string> => (await world.in("rt", ["ip", "route", "get", SITE])).out;
      expect(await way()).toContain("dev tun0");
      // Before it can put them back.
      client.signal("SIGSTOP");
      await ip("route del 0.0.0.0/1 dev tun0");
      await ip("route del 128.0.0.0/1 dev tun0");
      expect(await way()).toContain("No route to host");
      expect(await ping(SERVER)).toContain("3 received");
      client.signal("SIGCONT");
      expect(await until(async () => (await way()).includes("dev tun0"), PATIENCE)).toBeDefined();
      await world.stop("client");
      expect(await hostState(world)).toBe(before);
    },
    LONG,
  );

  test(
    "what somebody else takes away beside it is there again: routes of the tunnel, the way to the server, and all that goes with the device's state",
    async () => {
      const before = await hostState(world);
      const lines = ["redirect-gateway def1 block-local", "route 10.60.0.0 255.255.0.0 net_gateway"];
      const client = await clientUp(world, writeProfile(world, "taken", { lines }));
      const routes = async (): Promise<string[]> => (await ip("route show proto 109")).trim().split("\n").sort();
      const all = await routes();
      expect(all.join("\n")).toMatch(new RegExp(`^10\\.60\\.0\\.0/16 via .* dev w0(.*\n)*${SERVER} dev w0`, "m"));
      const deeds = [
        "route del 128.0.0.0/1 dev tun0",
        "route del 10.60.0.0/16",
        `route del ${SERVER} dev w0`,
        "link set tun0 down",
      ];
      for (const deed of deeds) {
        await ip(deed);
        expect(await until(async () => (await routes()).join() === all.join(), PATIENCE), deed).toBeDefined();
      }
      expect(client.log().match(/ host\.restored /g)).toHaveLength(deeds.length);
      // While something else changes all the time, as with a routing daemon.
      const flaps = "while :; do ip route add 10.77.0.0/16 dev w0; ip route del 10.77.0.0/16 dev w0; sleep 0.05; done";
      world.start("flaps", "rt", ["sh", "-c", flaps]);
      await ip("route del 128.0.0.0/1 dev tun0");
      const ours = async (): Promise<string[]> => (await routes()).filter((route) => all.includes(route));
      expect(await until(async () => (await ours()).join() === all.join(), PATIENCE)).toBeDefined();
      await world.stop("flaps", "SIGKILL");
      await world.in("rt", ["ip", "route", "del", "10.77.0.0/16"]);
      expect(await fetchBytes(world, 1_000_000)).toBe(1_000_000);
      expect(await world.stop("client")).toBe(0);
      expect(await hostState(world)).toBe(before);
    },
    LONG,
  );
});
