/** `morgana client` on the kernel of a host, against the real openvpn server. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { PATIENCE } from "../support/world/process.ts";
import { asHost, clientUp, hostState, writeProfile } from "../support/world/unix-client.ts";
import { SITE, TUNNEL, World } from "../support/world/world.ts";
import { NO_WORLD } from "./subject.ts";

describe.skipIf(NO_WORLD)("the client on the kernel's tun", () => {
  let world: World;

  beforeAll(async () => {
    world = await World.create();
    await asHost(world);
  }, 60_000);
  afterAll(() => world?.close());

  async function ping(target: string): Promise<string> {
    return (await world.in("rt", ["ping", "-n", "-c", "3", "-i", "0.2", "-W", "5", target])).out;
  }

  test(
    "carries the kernel's packets by UDP; when it ends, the host is as it was",
    async () => {
      await world.server();
      const before = await hostState(world);
      const client = await clientUp(world, writeProfile(world, "udp4"));
      expect(await ping(TUNNEL)).toContain("3 received");
      expect(await world.sh("rt", `ip route get ${SITE}`)).toContain("dev tun0");
      expect(await ping(SITE)).toContain("3 received");
      expect(client.log()).not.toMatch(/ (warn|error) /);
      expect(await world.stop("client")).toBe(0);
      expect(client.log()).toContain("shutdown");
      expect(await hostState(world)).toBe(before);
    },
    2 * PATIENCE * 1000,
  );
});
