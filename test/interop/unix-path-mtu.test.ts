/** `morgana server` and `morgana client` on the kernel's sockets, with the real openvpn behind a router whose next link takes 1400 bytes (RFC 1191, RFC 8201). */
import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { OPENVPN } from "../support/world/openvpn-binary.ts";
import { type Daemon, PATIENCE, until } from "../support/world/process.ts";
import { morgana } from "../support/world/router.ts";
import { asHost, clientUp, HOST, writeProfile } from "../support/world/unix-client.ts";
import { type Part, SITE, World } from "../support/world/world.ts";
import { NO_WORLD } from "./subject.ts";

setDefaultTimeout(4 * PATIENCE * 1000);

const NARROW = 1400;
/** In the tunnel: with IP, UDP and the data channel around it that is all the narrow link takes. */
const FITS = { udp: NARROW - 20 - 8 - 24, udp6: NARROW - 40 - 8 - 24 } as const;
/** In the tunnel: more than the narrow link takes, and less than others do. */
const LONG = 1410;
const [HOST6, SITE6] = ["2001:db8:203::50", "2001:db8:198::10"];
const CERTIFICATES = (name: string): string[] => [
  "ca ca.crt",
  `cert ${name}.crt`,
  `key ${name}.key`,
  "tls-crypt static.key",
];

describe.skipIf(NO_WORLD)("behind a router whose next link takes 1400 bytes", () => {
  let world: World;
  beforeAll(async () => {
    world = await World.create({ webMtu: NARROW });
    await asHost(world);
    const v6 = (device: string): string => `echo 0 > /proc/sys/net/ipv6/conf/${device}/disable_ipv6`;
    await world.sh(
      "net",
      `${v6("i0")}; ip addr add fe80::1/64 dev w1 nodad; ip addr add 2001:db8:198::1/64 dev i0 nodad; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding`,
    );
    await world.sh(
      "web",
      `${v6("default")}; ${v6("i1")}; ip addr add ${SITE6}/64 dev i1 nodad; ip -6 route add default via 2001:db8:198::1`,
    );
  }, 60_000);
  afterEach(async () => {
    for (const name of ["narrow", "whole", "client", "server"]) await world.stop(name);
    // What one kernel has learned is not for the next test.
    await world.sh("rt", "ip route flush cache; ip -6 route flush cache");
  });
  afterAll(() => world?.close());

  /** Starts openvpn in a part of the world, and waits until its tunnel is up. */
  async function openvpn(name: string, part: Part, lines: readonly string[]): Promise<Daemon> {
    writeFileSync(join(world.dir, `${name}.conf`), `${lines.join("\n")}\n`);
    const daemon = world.start(name, part, [OPENVPN, "--cd", world.dir, "--config", `${name}.conf`]);
    if ((await daemon.says(/Initialization Sequence Completed/, PATIENCE)) === undefined)
      throw new Error(daemon.log().slice(-2000));
    return daemon;
  }

  /** What comes of a packet of so many bytes with DF from the router's place: "answered", the MTU that its sender was told, or "lost". */
  async function long(target: string, bytes: number): Promise<string | number> {
    const headers = target.includes(":") ? 48 : 28;
    const argv = ["ping", "-n", "-c", "1", "-W", "2", "-M", "do", "-s", `${bytes - headers}`, target];
    const { out } = await world.in("rt", argv, PATIENCE);
    if (/ 1 received/.test(out)) return "answered";
    const mtu = /mtu ?[=:] ?(\d+)/.exec(out)?.[1];
    return mtu === undefined ? "lost" : Number(mtu);
  }

  /** Asks until the sender is told, which nothing is lost for but what the router on the way has thrown away. */
  async function told(target: string): Promise<string | number> {
    let last: string | number = "lost";
    const isTold = async (): Promise<boolean> => {
      last = await long(target, LONG);
      return typeof last === "number";
    };
    await until(isTold, PATIENCE);
    return last;
  }

  const tunnelOf = async (part: Part, family: "-4" | "-6", device: string): Promise<string> => {
    const { out } = await world.in(part, ["ip", "-o", family, "addr", "show", "dev", device, "scope", "global"]);
    return /inet6? ([\da-f.:]+)/.exec(out)?.[1] ?? "none";
  };

  for (const protocol of ["udp", "udp6"] as const) {
    test(`a server sends a client what fits the way to it, in segments and after telling who sends more; others what fits theirs: ${protocol}`, async () => {
      const config = [
        ...["dev tun", `proto ${protocol}`, "port 1194", "server 10.8.0.0 255.255.255.0", "topology subnet", "dh none"],
        ...["server-ipv6 fd00:8::/64", "keepalive 2 20", "duplicate-cn", ...CERTIFICATES("server")],
      ];
      const file = join(world.dir, "narrow-server.conf");
      writeFileSync(file, `${config.join("\n")}\n`);
      const run = ["env", `RUNTIME_DIRECTORY=${join(world.dir, "run-server")}`, ...morgana(), "server", file];
      const server = world.start("server", "rt", run);
      expect(await server.says(/ server\.listening /, PATIENCE)).toBeDefined();
      const remote = `remote ${protocol === "udp" ? HOST : HOST6} 1194`;
      const client = ["client", "dev-type tun", `proto ${protocol}`, remote, "nobind", ...CERTIFICATES("client")];
      await openvpn("narrow", "web", ["dev tun-narrow", ...client]);
      await openvpn("whole", "net", ["dev tun-whole", ...client]);
      const [narrow, narrow6] = [await tunnelOf("web", "-4", "tun-narrow"), await tunnelOf("web", "-6", "tun-narrow")];
      const whole = await tunnelOf("net", "-4", "tun-whole");

      expect(await told(narrow)).toBe(FITS[protocol]);
      expect(server.log()).toMatch(/ peer\.path .* mtu=1400 .*only smaller packets/);
      expect(await told(narrow6)).toBe(FITS[protocol]);
      expect(await long(narrow, FITS[protocol])).toBe("answered");
      expect(await long(narrow6, FITS[protocol])).toBe("answered");
      expect(await long(whole, LONG)).toBe("answered");

      // And of a connection nothing goes in fragments, either way.
      const fragments = ["ip[6:2] & 0x3fff != 0 or ip6[6] == 44"];
      const dump = world.start("dump", "web", ["tcpdump", "-Z", "root", "-nn", "-l", "-i", "i1", ...fragments]);
      expect(await dump.says(/listening on/, PATIENCE)).toBeDefined();
      const iperf = world.start("iperf", "web", ["iperf3", "-s", "-1", "--forceflush"]);
      expect(await iperf.says(/listening/, PATIENCE)).toBeDefined();
      const { code, out } = await world.in("rt", ["iperf3", "-c", narrow, "-n", "4M"], 60);
      expect([code, out]).toEqual([0, expect.stringContaining("receiver")]);
      await world.stop("iperf");
      await world.stop("dump", "SIGINT");
      expect(dump.log()).toMatch(/^0 packets captured/m);
      await world.stop("narrow");

      // Who comes again is known to be behind it: the kernel has not forgotten.
      await openvpn("narrow", "web", ["dev tun-narrow", ...client]);
      expect(await long(await tunnelOf("web", "-4", "tun-narrow"), LONG)).toBe(FITS[protocol]);
    });

    test(`a client's tunnel takes what fits the way to the server: ${protocol}`, async () => {
      const proto = protocol === "udp" ? "udp" : "udp6";
      await openvpn("narrow", "web", [
        ...[
          "dev tun-narrow",
          "dev-type tun",
          `proto ${proto}`,
          "port 1194",
          "server 10.8.0.0 255.255.255.0",
          "dh none",
        ],
        ...["topology subnet", "keepalive 2 20", ...CERTIFICATES("server")],
      ]);
      const remotes = [protocol === "udp" ? SITE : SITE6];
      const client = await clientUp(world, writeProfile(world, "own", { remotes, password: false }));
      expect(client.log()).toMatch(/ tunnel\.up .* mtu=1500/);
      // The first is thrown away by the router; the kernel tells who sends the next.
      expect(await told("10.8.0.1")).toBe(FITS[protocol]);
      expect(client.log()).toMatch(new RegExp(` tunnel\\.changed .* mtu=${FITS[protocol]} `));
      expect(await long("10.8.0.1", FITS[protocol])).toBe("answered");
      const { out } = await world.in("rt", ["ip", "-o", "link", "show", "dev", "tun0"]);
      expect(out).toContain(`mtu ${FITS[protocol]} `);
    });
  }
});
