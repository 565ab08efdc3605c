/** Ways to the server that lose packets, lead through a relay, or are of a family that leads nowhere: 10 MiB arrive all the same. */
import { afterAll, beforeAll, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { DANTE_PORT, startDante } from "../support/world/dante.ts";
import { GATEWAY, SERVER, SITE, WAN_GATEWAY, World } from "../support/world/world.ts";
import { NO_WORLD, REFERENCE, Subject } from "./subject.ts";

const TEN_MIB = 10 << 20;
const DUAL_NAME = "dual.example";
const OWN6 = "2001:db8:203::50";
const GATEWAY6 = "2001:db8:203::1";
const SERVER6 = "2001:db8:203::10";
/** Behind the gateway, which forwards to nowhere without a word. */
const HOLE = "203.0.114.1";
const HOLE6 = "2001:db8:dead::1";

setDefaultTimeout(120_000);

describe.skipIf(NO_WORLD || REFERENCE)("ways that are bad", () => {
  let world: World;
  let subject: Subject;

  beforeAll(async () => {
    world = await World.create();
    subject = new Subject(world);
    await world.sh(
      "net",
      `ip link set w1 addrgenmode none; for i in all default w1; do echo 0 > /proc/sys/net/ipv6/conf/$i/disable_ipv6; done
       for a in ${GATEWAY6} ${SERVER6}; do ip addr add $a/64 dev w1 nodad; done
       echo 1 > /proc/sys/net/ipv6/conf/all/forwarding
       ip route add blackhole ${HOLE}/32; ip -6 route add blackhole ${HOLE6}/128`,
    );
    await startDante(world);
  });
  beforeEach(async () => void (await subject.halt()));
  afterAll(() => world?.close());

  const carries = async (seconds: number): Promise<void> =>
    expect(await world.lanHost<{ ok: number }>("download", [SITE, TEN_MIB, 1], seconds)).toMatchObject({
      ok: 1,
      failed: [],
    });

  test.each([
    ["tcp", { loss: 2, delay: 40, seed: 7 }],
    ["udp", { loss: 10, delay: 5, seed: 7 }],
  ] as const)(
    "over %s, with %j",
    async (protocol, faults) => {
      await world.server({ protocol });
      await world.badLink(faults, async () => {
        await subject.boot(world.config({ profile: world.profile({ protocol, remotes: [SERVER] }) }));
        await subject.up(60);
        await carries(200);
      });
    },
    300_000,
  );

  test.each(["tcp", "udp"] as const)("%s through dante, a SOCKS proxy whose relay is a real one", async (protocol) => {
    await world.server({ protocol });
    const profile = world.profile({ protocol, remotes: [SERVER], lines: [`socks-proxy ${WAN_GATEWAY} ${DANTE_PORT}`] });
    await subject.bootUp(world.config({ profile }));
    await carries(60);
    // The server sees the proxy, not us.
    expect(world.daemon("server").log()).toContain(`Peer Connection Initiated with [AF_INET]${WAN_GATEWAY}:`);
  });

  test.each([
    ["udp", HOLE6, SERVER],
    ["tcp", SERVER6, HOLE],
  ] as const)(
    "%s to a name with the addresses %s and %s, one of which is a black hole",
    async (protocol, six, four) => {
      await world.names([`--address=/${DUAL_NAME}/${six}`, `--address=/${DUAL_NAME}/${four}`]);
      const isSix = six === SERVER6;
      const proto = `${protocol}${isSix ? "6" : ""}${protocol === "tcp" ? "-server" : ""}`;
      await world.server({ protocol, lines: [`proto ${proto}`] }, "server", isSix ? six : four);
      const wan = `[wan]\naddress = "203.0.113.60/24"\ngateway = "${WAN_GATEWAY}"\ndns = ["${WAN_GATEWAY}"]`;
      const wan6 = `address6 = "${OWN6}/64"\ngateway6 = "${GATEWAY6}"`;
      const toml = `${wan}\n${wan6}\n[lan]\naddress = "${GATEWAY}/24"\n`;
      const profile = world.profile({ protocol, remotes: [DUAL_NAME] });
      await subject.boot(world.config({ toml, profile }));
      // A dead address costs at most 15 s.
      expect(await subject.up(25)).toBeLessThan(20);
      await carries(60);
    },
  );
});
