/** `morgana server` on the kernel of a host, with the real openvpn as client, and our own. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { OPENVPN } from "../support/world/openvpn-binary.ts";
import { type Daemon, PATIENCE } from "../support/world/process.ts";
import { morgana } from "../support/world/router.ts";
import { asHost, clientUp, hostState, writeProfile } from "../support/world/unix-client.ts";
import { World } from "../support/world/world.ts";
import { NO_WORLD } from "./subject.ts";

const LONG = 2 * PATIENCE * 1000;

describe.skipIf(NO_WORLD)("the server on the kernel's tun", () => {
  let world: World;
  let before: string;

  beforeAll(async () => {
    world = await World.create();
    await asHost(world);
    before = await hostState(world, "net");
  }, 60_000);
  afterEach(async () => {
    await world.stop("client");
    expect(await world.stop("server")).toBe(0);
    expect(await hostState(world, "net")).toBe(before);
  });
  afterAll(() => world?.close());

  /** Starts our server in the place of the internet's. */
  async function serve(protocol: string, lines: readonly string[] = [], users?: string): Promise<Daemon> {
    const config = [
      ...["dev tun", `proto ${protocol}`, "port 1194", "server 10.8.0.0 255.255.255.0", "topology subnet"],
      ...["server-ipv6 fd00:8::/64", "ca ca.crt", "cert server.crt", "key server.key", "dh none"],
      ...["tls-crypt static.key", "keepalive 2 10", ...lines],
    ];
    const file = join(world.dir, "unix-server.conf");
    writeFileSync(file, `${config.join("\n")}\n`);
    const more = users === undefined ? [] : ["--users", users];
    const argv = ["env", `RUNTIME_DIRECTORY=${join(world.dir, "run-server")}`, ...morgana(), "server", ...more, file];
    const daemon = world.start("server", "net", argv);
    if ((await daemon.says(/ server\.listening /, PATIENCE)) === undefined) throw new Error(daemon.log());
    return daemon;
  }

  /** Starts the real client. */
  async function openvpn(protocol: string, remote: string, name = "client"): Promise<Daemon> {
    const file = join(world.dir, `${name}.conf`);
    const text = world.profile({ remotes: [remote], password: false, lines: [`proto ${protocol}`] });
    writeFileSync(file, text.replace("dev tun\r", `dev tun-${name}\r\ndev-type tun\r`));
    const daemon = world.start(name, "rt", [OPENVPN, "--config", file]);
    if ((await daemon.says(/Initialization Sequence Completed/, PATIENCE)) === undefined)
      throw new Error(`${daemon.log().slice(-2000)}\n${world.daemon("server").log().slice(-2000)}`);
    return daemon;
  }

  const ping = async (target: string, part: "rt" | "net" = "rt"): Promise<string> =>
    (await world.in(part, ["ping", "-n", "-c", "3", "-i", "0.2", "-W", "5", target])).out;

  const variants = [
    ["udp", "203.0.113.1"],
    ["tcp", "203.0.113.1"],
    ["udp6", "2001:db8:203::1"],
    ["tcp6", "2001:db8:203::1"],
  ] as const;
  for (const [protocol, address] of variants)
    test(
      `serves the real client by ${protocol}: both ways, both families; when it ends, the host is as it was`,
      async () => {
        // The host has several addresses in this network: whoever asked at one is answered from there.
        const server = await serve(protocol.slice(0, 3));
        await openvpn(protocol.startsWith("tcp") ? `${protocol}-client` : protocol, address);
        expect(await ping("10.8.0.1")).toContain("3 received");
        expect(await ping("fd00:8::1")).toContain("3 received");
        expect(await ping("10.8.0.2", "net")).toContain("3 received");
        expect(server.log()).toMatch(/ peer\.up .*tunnel=10\.8\.0\.2/);
        expect(server.log()).not.toMatch(/ error /);
      },
      LONG,
    );

  test(
    "serves our own client over UDP, and a packet from an address that is not the client's goes nowhere",
    async () => {
      const server = await serve("udp");
      await clientUp(world, writeProfile(world, "own", { remotes: ["203.0.113.1"], password: false }));
      expect(await ping("10.8.0.1")).toContain("3 received");
      await world.sh("rt", "ip addr add 10.8.0.77/24 dev tun0");
      const spoofed = await world.in("rt", [
        "ping",
        "-n",
        "-c",
        "2",
        "-i",
        "0.2",
        "-W",
        "1",
        "-I",
        "10.8.0.77",
        "10.8.0.1",
      ]);
      expect(spoofed.out).toContain("0 received");
      server.signal("SIGUSR2");
      // What the client's kernel says from its link-local address is none of its own either.
      const count = (await server.says(/source-not-of-client=(\d+)/, PATIENCE))?.[1];
      expect(Number(count)).toBeGreaterThanOrEqual(2);
    },
    LONG,
  );
});
