/** The listener: many clients of the product's own on a bad network, who may come in, and what becomes of them. */
import { describe, expect, test } from "bun:test";
import type { ControlWrap } from "../../src/protocol/config/types.ts";
import { NO_WRAP, TLS_AUTH, TLS_CRYPT, TLS_CRYPT_V2 } from "../support/client-config.ts";
import { World } from "../support/served/world.ts";
import { LOSSY } from "../support/sim.ts";

const WRAPS: readonly ControlWrap[] = [NO_WRAP, TLS_AUTH, TLS_CRYPT, TLS_CRYPT_V2];

describe.each(WRAPS)("with $kind", (wrap) => {
  test("a client comes in, is known by its name, and packets go both ways; then it leaves", () => {
    const world = new World(1, { wrap });
    const ann = world.joined("ann", { lines: ["explicit-exit-notify 1"] });
    expect(world.said("server.listening").map((line) => line.fields)).toEqual([
      { address: "*", port: 1194, protocol: "udp" },
    ]);
    expect(world.said("peer.up").map((line) => line.fields)).toMatchObject([
      { name: "ann", tunnel: "10.8.0.2", cipher: "AES-256-GCM", protocol: "udp", version: expect.any(String) },
    ]);
    expect(ann.options).toEqual(expect.arrayContaining(["ifconfig 10.8.0.2 255.255.0.0", "tun-mtu 1500"]));
    world.expectFlow(ann);
    ann.session.close(world.now);
    world.run(3000);
    expect(world.said("peer.down").map((line) => line.fields)).toMatchObject([{ name: "ann", reason: "client-exit" }]);
    expect([world.side.joined.size, world.desk.guests.size]).toEqual([0, 0]);
  });

  test("twelve at once over a bad network: each gets in, and nobody's packets are another's", () => {
    const world = new World(2, { wrap, link: LOSSY });
    const clients = Array.from({ length: 12 }, (_, i) => world.client(`c${i}`));
    expect(world.run(60_000, () => clients.every((client) => client.isUp))).toBe(true);
    world.link = { loss: 0, duplicate: 0, jitter: 0 };
    world.run(20_000);
    for (const client of clients) world.expectFlow(client);
    expect(world.side.joined.size).toBe(12);
    expect(world.said("internal.error")).toEqual([]);
  });

  test("over a connection", () => {
    const world = new World(3, { wrap });
    const ann = world.joined("ann", { isStream: true });
    world.expectFlow(ann);
    world.disconnect(ann);
    expect(world.said("peer.down").map((line) => line.fields)).toMatchObject([{ name: "ann", reason: "link-reset" }]);
  });
});
