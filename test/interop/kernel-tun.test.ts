/** A client on the kernel's tun device against the real openvpn server: the tunnel's side is the kernel. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { PATIENCE } from "../support/world/process.ts";
import { AUTH } from "../support/world/profile.ts";
import { SERVER, SITE, TUNNEL, World } from "../support/world/world.ts";
import { NO_WORLD } from "./subject.ts";

describe.skipIf(NO_WORLD)("a client on a tun device", () => {
  let world: World;

  beforeAll(async () => {
    world = await World.create();
    await world.server();
    await world.sh("rt", "ip addr replace 203.0.113.50/24 dev w0; ip link set w0 up");
  }, 60_000);
  afterAll(() => world?.close());

  test("carries the kernel's packets, with address, MTU and routes; when it ends, they are gone", async () => {
    const [profile, login] = [join(world.dir, "tun.ovpn"), join(world.dir, "tun.login")];
    writeFileSync(profile, world.profile({ remotes: [SERVER], lines: ["mssfix 1200"] }));
    writeFileSync(login, AUTH);
    const script = join(import.meta.dir, "../support/kernel-tun-client.ts");
    const client = world.start("client", "rt", [process.execPath, script, profile, login, "tun-m"]);
    if ((await client.says(/ tunnel\.up /, PATIENCE)) === undefined) throw new Error(client.log().slice(-2000));
    const ping = await world.in("rt", ["ping", "-n", "-c", "3", "-i", "0.2", "-W", "5", TUNNEL]);
    expect(ping.out).toContain("3 received");
    // Through the tunnel, by a route of it.
    expect(await world.sh("rt", `ip route get ${SITE}`)).toContain("dev tun-m");
    expect(await world.sh("rt", "ip -o link show tun-m")).toMatch(/[<,]UP,.* mtu 1500 /);
    expect(await world.stop("client")).toBe(0);
    expect((await world.in("rt", ["ip", "link", "show", "tun-m"])).code).not.toBe(0);
  }, 120_000);

  /** What each command left behind (test/support/kernel-tun-routes.ts). */
  async function side(...commands: string[]): Promise<unknown[]> {
    const script = join(import.meta.dir, "../support/kernel-tun-routes.ts");
    await world.sh("rt", "ip route add 10.77.0.0/24 dev w0");
    const { out } = await world.in("rt", [process.execPath, script, "tun-r", ...commands]);
    await world.sh("rt", "ip route del 10.77.0.0/24 dev w0");
    return out
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
  }

  test("a network that another device has a route to, with the same metric, is the tunnel's until it ends", async () => {
    const steps = await side("up 10.66.0.2/24,10.66.0.0/24@0,10.77.0.0/24@0", "down");
    expect(steps).toEqual([
      { addresses: ["10.66.0.2/24"], routes: ["10.66.0.0/24", "10.77.0.0/24"], to: "tun-r" },
      { addresses: [], routes: [], to: "w0" },
    ]);
  }, 60_000);

  test("a tunnel in the place of another keeps the routes of both, loses those of the first, and may have another address", async () => {
    const steps = await side(
      "up 10.66.0.2/24,10.66.0.0/24@0,10.77.0.0/24@0,10.78.0.0/24@0",
      "up 10.66.0.2/24,10.66.0.0/24@0,10.78.0.0/24@0,10.79.0.0/24@7",
      "up 10.67.0.2/24,10.67.0.0/24@0,10.78.0.0/24@0",
    );
    expect(steps).toEqual([
      { addresses: ["10.66.0.2/24"], routes: ["10.66.0.0/24", "10.77.0.0/24", "10.78.0.0/24"], to: "tun-r" },
      { addresses: ["10.66.0.2/24"], routes: ["10.66.0.0/24", "10.78.0.0/24", "10.79.0.0/24 metric 7"], to: "w0" },
      { addresses: ["10.67.0.2/24"], routes: ["10.67.0.0/24", "10.78.0.0/24"], to: "w0" },
    ]);
  }, 60_000);
});
