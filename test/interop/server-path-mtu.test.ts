/** Our server, and a real openvpn client behind a link that takes less than others: a router says so (RFC 1191, RFC 8201), and what goes there fits. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { OPENVPN } from "../support/world/openvpn-binary.ts";
import { PATIENCE, until } from "../support/world/process.ts";
import { LAN_HOST, ServedWorld, TUNNEL, WAN, WAN6 } from "../support/world/served-world.ts";
import { NO_WORLD } from "./subject.ts";

setDefaultTimeout(180_000);

/** Of the link, and of a packet in the tunnel that fits it: IP, UDP and the data channel are around it. */
const NARROW = 1400;
const FITS = { udp: NARROW - 20 - 8 - 24, udp6: NARROW - 40 - 8 - 24 } as const;
const FRAGMENTS = "ip[6:2] & 0x3fff != 0 or ip6[6] == 44";
/** In the tunnel: with all that, more than the narrow link takes and less than others do. */
const LONG = 1420;

describe.skipIf(NO_WORLD)("a server", () => {
  let world: ServedWorld;
  beforeAll(async () => {
    world = await ServedWorld.create();
    await world.sh("net", `ip link set i0 mtu ${NARROW}`);
    await world.sh("web", `ip link set i1 mtu ${NARROW}`);
  });
  afterAll(() => world?.close());

  /** What comes of a ping from the LAN with DF: "answered", the MTU that its sender was told, or "lost". */
  async function long(target: string, bytes: number): Promise<string | number> {
    const argv = ["ping", "-n", "-c", "1", "-W", "2", "-M", "do", "-s", `${bytes - 28}`, target];
    const { out } = await world.in("lan", argv, PATIENCE);
    if (/ 1 received/.test(out)) return "answered";
    const mtu = /mtu ?= ?(\d+)/.exec(out)?.[1];
    return mtu === undefined ? "lost" : Number(mtu);
  }

  test.each([
    ["udp", WAN],
    ["udp6", WAN6],
  ] as const)("sends a client what fits the way to it, and others what fits theirs: %s", async (proto, remote) => {
    const server = await world.serve([`proto ${proto}`, `local ${remote}`]);
    await world.join("a", [], { proto, remote });
    const lines = ["client", "dev tun0", `proto ${proto}`, `remote ${remote} 1194`, "nobind", "tls-crypt static.key"];
    const certificates = ["ca ca.crt", "cert client-b.crt", "key client-b.key", "remote-cert-tls server"];
    writeFileSync(join(world.dir, "far.conf"), [...lines, ...certificates, ""].join("\n"));
    const far = world.start("far", "web", [OPENVPN, "--cd", world.dir, "--config", "far.conf"]);
    expect(await far.says(/Initialization Sequence Completed/, PATIENCE)).toBeDefined();
    const { out } = await world.in("web", ["ip", "-o", "-4", "addr", "show", "dev", "tun0"]);
    const address = /inet ([\d.]+)/.exec(out)?.[1] ?? "none";
    expect(await world.ping("web", TUNNEL)).toBe(3);

    // The first one that may not be fragmented is too big for the link; who sends then is told what fits.
    const told: (string | number)[] = [];
    const isTold = async (): Promise<boolean> => typeof told[told.push(await long(address, LONG)) - 1] === "number";
    expect(await until(isTold, PATIENCE)).toBeDefined();
    expect(told.at(-1)).toBe(FITS[proto]);
    expect(server.log()).toMatch(/ peer\.path .* mtu=1400 /);
    expect(await long(address, FITS[proto])).toBe("answered");
    expect(await long(await world.address("a"), LONG)).toBe("answered");

    // And of a connection nothing goes in fragments.
    const dump = world.start("dump", "web", ["tcpdump", "-Z", "root", "-nn", "-l", "-i", "i1", FRAGMENTS]);
    expect(await dump.says(/listening on/, PATIENCE)).toBeDefined();
    expect(await world.downloads("web", LAN_HOST)).toBe(true);
    await world.stop("dump", "SIGINT");
    expect(dump.log()).toMatch(/^0 packets captured/m);
    await world.stop("far");
    // What the sender has learned is not for the next one.
    await world.sh("lan", "ip route flush cache");
  });
});
