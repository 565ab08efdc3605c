/** What `morgana client` leaves of a host, and what a host does to it: users, crashes, other networks. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, readFileSync } from "node:fs";
import { PATIENCE, until } from "../support/world/process.ts";
import {
  asHost,
  clientUp,
  clientWords,
  fetchBytes,
  HOST,
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
    (await world.in("rt", ["ping", "-n", "-c", "3", "-i", "0.2", "-W", "5", target])).out;
  const ip = (words: string): Promise<string> => world.sh("rt", `ip ${words}`);

  test(
    "with CAP_NET_ADMIN alone it does what root does, but for the resolver",
    async () => {
      const before = await hostState(world);
      // Node and the profile are root's to read.
      const prefix = ["setpriv", "--inh-caps", "-all,+net_admin", "--bounding-set", "-all,+net_admin"];
      const client = await clientUp(world, writeProfile(world, "cap"), { prefix });
      expect(await ping(SITE)).toContain("3 received");
      expect(client.log()).not.toMatch(/ host\.refused /);
      expect(await world.stop("client")).toBe(0);
      expect(await hostState(world)).toBe(before);
    },
    LONG,
  );

  test(
    "a plain user needs nothing but an interface of their own that somebody has set up",
    async () => {
      await ip(`tuntap add dev tun8 mode tun user ${USER}`);
      await ip("addr add 10.8.0.2/24 dev tun8");
      // What the kernel gives itself when the device comes up is not what this is about.
      await world.sh("rt", "echo 1 > /proc/sys/net/ipv6/conf/tun8/disable_ipv6");
      await ip("link set tun8 mtu 1500 up");
      await ip(`route add ${SERVER} via ${WAN_GATEWAY}`);
      await ip("route add 0.0.0.0/1 dev tun8");
      await ip("route add 128.0.0.0/1 dev tun8");
      const before = await hostState(world);
      const profile = writeProfile(world, "plain", {}, "tun8");
      chmodSync(world.dir, 0o755);
      chmodSync(`${world.dir}/plain.login`, 0o644);
      const prefix = ["setpriv", "--reuid", `${USER}`, "--regid", `${USER}`, "--clear-groups", "--inh-caps", "-all"];
      const client = await clientUp(world, profile, {
        prefix,
        env: { RUNTIME_DIRECTORY: "/nowhere", BUN_INSTALL: "/tmp" },
      });
      expect(await ping(SITE)).toContain("3 received");
      expect(client.log()).not.toMatch(/ host\.refused /);
      expect(await world.stop("client")).toBe(0);
      // The kernel says so a moment later that nobody has the device open.
      await until(async () => (await hostState(world)) === before, PATIENCE);
      expect(await hostState(world)).toBe(before);
      await ip("link del tun8");
      await ip(`route del ${SERVER}`);
    },
    LONG,
  );

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
    "in mid-download the host's address and default route become others: the download goes on",
    async () => {
      const before = await hostState(world);
      const client = await clientUp(world, writeProfile(world, "roam"));
      const download = fetchBytes(world, 60_000_000, 100);
      await until(async () => /RX:.*\n\s*[1-9]\d{6}/.test(await ip("-s link show tun0")), PATIENCE);
      await ip("addr add 203.0.113.51/24 dev w0");
      await ip(`addr del ${HOST}/24 dev w0`);
      await ip("addr replace 203.0.113.51/24 dev w0");
      await ip(`route replace default via ${WAN_GATEWAY}`);
      expect(await download).toBe(60_000_000);
      expect(client.log()).toMatch(/ host\.moved /);
      expect(await ip(`route get ${SERVER}`)).toContain("src 203.0.113.51");
      await world.stop("client");
      await ip("addr del 203.0.113.51/24 dev w0");
      await asHost(world);
      expect(await hostState(world)).toBe(before);
    },
    LONG,
  );

  test(
    "with a kill switch nothing goes around the tunnel, should its routes vanish",
    async () => {
      const before = await hostState(world);
      await clientUp(world, writeProfile(world, "kill"), { more: ["--kill-switch"] });
      const way = async (): Promise<string> => (await world.in("rt", ["ip", "route", "get", SITE])).out;
      expect(await way()).toContain("dev tun0");
      await ip("route del 0.0.0.0/1 dev tun0");
      await ip("route del 128.0.0.0/1 dev tun0");
      expect(await way()).toContain("No route to host");
      expect(await ping(SERVER)).toContain("3 received");
      await world.stop("client");
      expect(await hostState(world)).toBe(before);
    },
    LONG,
  );
});
