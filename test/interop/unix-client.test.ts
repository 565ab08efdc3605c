/** `morgana client` on the kernel of a host, against the real openvpn server. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { PATIENCE } from "../support/world/process.ts";
import { asHost, clientUp, fetchBytes, hostState, SERVER6, writeProfile } from "../support/world/unix-client.ts";
import { SERVER, SITE, TUNNEL, World } from "../support/world/world.ts";
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

  const variants = [
    ["udp", SERVER, "tun"],
    ["tcp", SERVER, "tun"],
    ["udp", SERVER6, "tun"],
    ["tcp", SERVER6, "tun"],
    ["udp", SERVER, "tun7"],
    ["tcp", SERVER6, "tun7"],
  ] as const;
  for (const [protocol, remote, device] of variants)
    test(
      `carries the kernel's packets by ${protocol} to ${remote} over ${device}; when it ends, the host is as it was`,
      async () => {
        await world.server(
          {
            protocol: protocol,
            lines: remote === SERVER6 ? [`proto ${protocol}6${protocol === "tcp" ? "-server" : ""}`] : [],
          },
          "server",
          remote,
        );
        const before = await hostState(world);
        const profile = writeProfile(world, "variant", { protocol, remotes: [remote] }, device);
        const client = await clientUp(world, profile);
        expect(await ping(TUNNEL)).toContain("3 received");
        const name = device === "tun" ? "tun0" : device;
        expect(await world.sh("rt", `ip route get ${SITE}`)).toContain(`dev ${name}`);
        expect(await ping(SITE)).toContain("3 received");
        expect(await fetchBytes(world, 3_000_000)).toBe(3_000_000);
        expect(client.log()).not.toMatch(/ (warn|error) /);
        expect(await world.stop("client")).toBe(0);
        expect(await hostState(world)).toBe(before);
      },
      2 * PATIENCE * 1000,
    );
});
