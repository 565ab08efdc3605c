/**
 * A week of a server in virtual time, against a model: clients join, leave, vanish, float, are told to go and renegotiate, the server
 * is restarted and takes other configurations, the network is good and bad. After each step who is in is who should be, with an address
 * of the pool that is nobody else's, and packets go both ways; in the end nothing is left.
 */
import { heapStats } from "bun:jsc";
import { expect, test } from "bun:test";
import { parseCidr } from "../../src/lib/cidr.ts";
import { parseIp } from "../../src/lib/ip.ts";
import { randomBelow, seededRandom } from "../../src/lib/random.ts";
import { noblePrimitives } from "../../src/protocol/control/noble-primitives.ts";
import { Entrance } from "../../src/protocol/server/entrance.ts";
import { TLS_CRYPT } from "../support/client-config.ts";
import { wholeConfig } from "../support/served/config.ts";
import { type SimClient, World } from "../support/served/world.ts";
import { packet } from "../support/sim.ts";

const DAY_MS = 86_400_000;
const NAMES = Array.from({ length: 12 }, (_, i) => `c${i}`);
const SEEDS = process.env["FC_SEED"] === undefined ? [1, 2] : [Number(process.env["FC_SEED"])];
/** Long, so that a week is not all pings. */
const TIMEOUT_S = 7200;
const PING_S = 1800;

/** Ten addresses for twelve names, of which one is taken twice by turns. */
const POOL = { first: parseIp("10.8.0.2")!, last: parseIp("10.8.0.11")! };

function start(seed: number): { readonly world: World; readonly entrance: Entrance } {
  const base = wholeConfig(TLS_CRYPT);
  const config = {
    keepalive: { ...base.keepalive, ping: PING_S, timeout: TIMEOUT_S },
    control: { ...base.control, renegSec: { min: 20_000, max: 40_000 } },
    network: { ...base.network, address: parseCidr("10.8.0.1/28"), pool: POOL },
    entry: { ...base.entry, clientCert: "none", usernameAsCommonName: true },
    push: ["topology subnet", `ping ${PING_S}`, `ping-restart ${TIMEOUT_S}`],
  } as const;
  const random = seededRandom(seed + 100);
  const users = new Map(NAMES.map((name) => [name, "pw"]));
  const setup = { config: { ...base, ...config }, clients: new Map(), users, lan: [] };
  const entrance = new Entrance(setup, { primitives: noblePrimitives, random, tokenKey: new Uint8Array(32).fill(1) });
  const world = new World(seed, { config, listener: { entrance } });
  world.passwords.isPrompt = true;
  return { world, entrance };
}

test.each(SEEDS)(
  "a week is what the model says (seed %d)",
  (seed) => {
    const { world, entrance } = start(seed);
    const random = seededRandom(seed);
    const pick = <T>(of: readonly T[]): T => of[randomBelow(random, of.length)]!;
    /** Who is in, by name. */
    const alive = new Map<string, SimClient>();
    /** Who is in, as far as the server knows, and until when at most. */
    const missed = new Map<string, number>();
    let objects = 0;

    const join = (name: string): void => {
      const known = alive.get(name);
      // Its older self is gone without a word, or lives on until the server has the younger one.
      if (known !== undefined && randomBelow(random, 2) === 0) known.isDead = true;
      const client = world.client(name, { lines: ["explicit-exit-notify 1", "reneg-sec 0"] });
      world.run(120_000, () => client.isUp || client.end !== undefined);
      const places = 10 - new Set([...alive.keys(), ...missed.keys()].filter((other) => other !== name)).size;
      if (!client.isUp) {
        expect([name, places]).toEqual([name, Math.min(0, places)]);
        // Whom there is no place for; its older session is gone all the same.
        world.forget(client);
        if (known !== undefined) {
          alive.delete(name);
          world.forget(known);
        }
        missed.delete(name);
        return;
      }
      if (known !== undefined) world.forget(known);
      alive.set(name, client);
      missed.delete(name);
    };
    const leave = (name: string): void => {
      const client = alive.get(name)!;
      alive.delete(name);
      client.session.close(world.now);
      world.run(6000);
      world.forget(client);
      if (!world.listener.peers().every((peer) => peer.name !== name)) missed.set(name, world.now + TIMEOUT_S * 1000);
    };
    const vanish = (name: string): void => {
      world.forget(alive.get(name)!);
      alive.delete(name);
      missed.set(name, world.now + TIMEOUT_S * 1000);
    };
    const float = (name: string): void => {
      const client = alive.get(name)!;
      client.endpoint = world.newEndpoint();
      world.sendUp(client, packet(1));
      world.run(1000);
    };
    const restart = (): void => {
      world.link = { loss: 0, duplicate: 0, jitter: 0 };
      world.restart();
      missed.clear();
      for (const client of alive.values()) world.forget(client);
      const names = [...alive.keys()];
      alive.clear();
      for (const name of names) join(name);
    };

    const end = world.now + 7 * DAY_MS;
    for (let step = 0; world.now < end; step++) {
      const [name, there] = [pick(NAMES), [...alive.keys()]];
      world.link = pick([
        { loss: 0, duplicate: 0, jitter: 0 },
        { loss: 0.1, duplicate: 0.1, jitter: 60 },
      ]);
      switch (randomBelow(random, 12)) {
        case 0:
        case 1:
        case 2:
        case 3:
          join(name);
          break;
        case 4:
          if (there.length > 0) leave(pick(there));
          break;
        case 5:
          if (there.length > 0) vanish(pick(there));
          break;
        case 6:
        case 7:
          if (there.length > 0) float(pick(there));
          break;
        case 8:
          world.listener.reload(world.now, world.config, entrance);
          break;
        case 9: {
          const killed = there.length > 0 ? pick(there) : name;
          world.listener.kill(world.now, killed);
          world.run(4000);
          const client = alive.get(killed);
          alive.delete(killed);
          missed.delete(killed);
          if (client !== undefined) world.forget(client);
          break;
        }
        case 10:
          if (step % 7 === 0) restart();
          break;
      }
      world.link = { loss: 0, duplicate: 0, jitter: 0 };
      world.run(randomBelow(random, 3 * 3_600_000));

      for (const [gone, until] of missed) if (world.now >= until + 10_000) missed.delete(gone);
      const names = world.listener.peers().map((peer) => peer.name);
      const expected = [...alive.keys()];
      expect(names.filter((each) => !missed.has(each)).sort()).toEqual(expected.sort());
      expect(world.side.joined.size).toBe(names.length);
      const addresses = world.listener.peers().map((peer) => peer.address);
      expect(new Set(addresses).size).toBe(addresses.length);
      const joined = [...world.side.joined.values()].flatMap(({ networks }) => networks.map(String));
      expect(joined.sort()).toEqual(addresses.map((address) => `${address}/32`).sort());
      for (const client of alive.values()) if (randomBelow(random, 4) === 0) world.expectFlow(client);
      expect([...alive.values()].map((client) => client.end)).toEqual([...alive.values()].map(() => undefined));
      expect(world.said("internal.error")).toEqual([]);
      world.lines.length = 0;
      world.side.received.length = 0;
      world.sent.length = 0;
      for (const client of alive.values()) client.sent.length = client.received.length = client.events.length = 0;
      if (step === 30) {
        Bun.gc(true);
        objects = heapStats().objectCount;
      }
    }
    Bun.gc(true);
    expect(heapStats().objectCount).toBeLessThan(objects + 30_000);
    for (const name of [...alive.keys()]) leave(name);
    world.run(2 * TIMEOUT_S * 1000);
    expect([world.listener.peers(), world.side.joined.size, world.listener.pollAt()]).toEqual([[], 0, Infinity]);
  },
  120_000,
);
