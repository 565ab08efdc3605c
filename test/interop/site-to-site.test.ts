/** Two sites, our server at one and our client at the other, as docs/server.md says: "Site to site". */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import type { Daemon } from "../support/world/process.ts";
import { FAR, NEAR, NEIGHBOUR, SiteWorld } from "../support/world/site-world.ts";
import { NO_WORLD } from "./subject.ts";

setDefaultTimeout(180_000);

describe.skipIf(NO_WORLD)("two LANs by the recipe of docs/server.md", () => {
  let world: SiteWorld;
  let branch: Daemon;
  beforeAll(async () => {
    world = await SiteWorld.create();
    await world.capture();
    const office = world.start("office");
    branch = world.start("branch");
    expect(await office.says(/server\.listening/, 60)).toBeDefined();
    expect(await branch.says(/tunnel\.up .*address=10\.8\.0\.77/, 60)).toBeDefined();
    expect(await world.joined()).toBeDefined();
  });
  afterAll(() => world?.close());

  test("hosts of both reach each other by their own addresses", async () => {
    expect([await world.ping("far", NEAR), await world.ping("near", FAR)]).toEqual([3, 3]);
    expect([await world.seenAs("far"), await world.seenAs("near")]).toEqual([FAR, NEAR]);
  });

  test("downloads are right, both ways", async () => {
    expect(await world.download("far", 3_000_000)).toBeNumber();
    expect(await world.download("near", 3_000_000)).toBeNumber();
  });

  test("neither LAN has a way to a WAN", async () => {
    for (const host of ["near", "far"] as const)
      for (const target of Object.values(NEIGHBOUR)) expect(await world.ping(host, target, 1)).toBe(0);
  });

  test("when the office's server has gone the branch's hosts are told, and both find each other again; the WANs had OpenVPN alone", async () => {
    expect(await world.stop("office")).toBe(0);
    expect(await branch.says(/tunnel\.down/, 60)).toBeDefined();
    expect(await world.isRefused("far", NEAR)).toBe(true);
    world.start("office");
    expect(await world.joined(120)).toBeDefined();
    for (const site of ["office", "branch"] as const) {
      const { openvpn, other } = await world.seen(site);
      expect(openvpn).toBeGreaterThan(0);
      expect(other).toEqual([]);
    }
  });
});
