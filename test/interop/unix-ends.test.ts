/** Tunnels of two ends on the kernels of two hosts, and of frames: ours with the real openvpn, either way, over UDP and TCP. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { OPENVPN, openvpnIsAtLeast } from "../support/world/openvpn-binary.ts";
import { type Daemon, PATIENCE, until } from "../support/world/process.ts";
import { morgana } from "../support/world/router.ts";
import { asHost, clientUp, HOST, hostState, startClient, writeProfile } from "../support/world/unix-client.ts";
import { SERVER, SITE, World } from "../support/world/world.ts";
import { NO_WORLD } from "./subject.ts";

const LONG = 2 * PATIENCE * 1000;
/** From 2.7 on a static key has to be allowed: it has no forward secrecy. */
const ALLOWED = openvpnIsAtLeast(2, 7) ? ["allow-deprecated-insecure-static-crypto"] : [];

describe.skipIf(NO_WORLD)("tunnels of two ends, and of frames", () => {
  let world: World;
  let before: string;

  beforeAll(async () => {
    world = await World.create();
    await asHost(world);
    before = await hostState(world);
  }, 60_000);
  afterEach(async () => {
    for (const name of ["client", "far", "server"]) await world.stop(name);
    expect(await hostState(world)).toBe(before);
  });
  afterAll(() => world?.close());

  function write(name: string, lines: readonly string[]): string {
    const file = join(world.dir, name);
    writeFileSync(file, `${lines.join("\n")}\n`);
    return file;
  }

  /** The real one in the place of the internet's servers. */
  function far(lines: readonly string[]): Daemon {
    // The internet's side has several addresses: it answers from the one that is asked for.
    const local = lines.includes("nobind") ? [] : [`local ${SERVER}`];
    const file = write("far.conf", ["dev-type tun", "dev far0", ...local, ...lines]);
    return world.start("far", "net", [OPENVPN, "--cd", world.dir, "--config", file]);
  }

  const reaches = async (part: "rt" | "net", target: string): Promise<boolean> => {
    const ping = ["ping", "-n", "-c", "1", "-W", "1", target];
    return (await until(async () => (await world.in(part, ping)).code === 0, PATIENCE)) !== undefined;
  };

  const STATIC = ["secret static.key", "cipher AES-256-CBC", "auth SHA256", "ping 1", "ping-restart 20"];
  const TLS = ["ca ca.crt", "tls-crypt static.key", "ping 1", "ping-restart 20"];
  const AS_CLIENT = ["tls-client", "cert client.crt", "key client.key"];
  const AS_SERVER = ["tls-server", "dh none", "cert server.crt", "key server.key"];
  const GOES = [`remote ${SERVER}`, "nobind"];
  const COMES = [`remote ${HOST}`, "nobind"];
  /** Of each end: what it has beside its address. */
  const cases = [
    ["a static key over UDP, and we go there", [...STATIC, ...GOES], STATIC],
    ["a static key over UDP from port to port", [...STATIC, `remote ${SERVER}`], [...STATIC, `remote ${HOST}`]],
    ["a static key over UDP, and we wait", STATIC, [...STATIC, ...COMES]],
    ["a static key over TCP, and we wait", [...STATIC, "proto tcp-server"], [...STATIC, ...COMES, "proto tcp-client"]],
    [
      "a static key over TCP, and we go there",
      [...STATIC, ...GOES, "proto tcp-client"],
      [...STATIC, "proto tcp-server"],
    ],
    ["TLS over UDP, and we go there", [...TLS, ...AS_CLIENT, ...GOES], [...TLS, ...AS_SERVER]],
    ["TLS over UDP, and we wait", [...TLS, ...AS_SERVER], [...TLS, ...AS_CLIENT, ...COMES]],
    [
      "TLS over TCP, and we wait",
      [...TLS, ...AS_SERVER, "proto tcp-server"],
      [...TLS, ...AS_CLIENT, ...COMES, "proto tcp-client"],
    ],
  ] as const;
  test.each(cases)(
    "two ends with %s",
    async (_name, ours, theirs) => {
      const allowed = theirs.includes("secret static.key") ? ALLOWED : [];
      const daemon = far([...theirs, ...allowed, "ifconfig 10.9.0.1 10.9.0.2", "cipher AES-256-CBC"]);
      const own = write("own.conf", ["dev tun", ...ours, "ifconfig 10.9.0.2 10.9.0.1", "route 10.77.0.0 255.255.0.0"]);
      const client = await clientUp(world, own);
      expect([await reaches("rt", "10.9.0.1"), await reaches("net", "10.9.0.2")]).toEqual([true, true]);
      expect(await world.sh("rt", "ip route get 10.77.0.1")).toContain("dev tun0");
      expect(client.log()).not.toMatch(/ error /);
      expect(daemon.log()).not.toMatch(/packet error|TLS Error|decrypt/i);
      expect(await world.stop("client")).toBe(0);
    },
    LONG,
  );

  test(
    "an end that waits takes its peer again when that has been away",
    async () => {
      const theirs = [...TLS, ...AS_CLIENT, ...COMES, "ifconfig 10.9.0.1 10.9.0.2", "explicit-exit-notify 1"];
      far(theirs);
      const own = ["dev tun", ...TLS, ...AS_SERVER, "ifconfig 10.9.0.2 10.9.0.1"];
      const client = await clientUp(world, write("own.conf", own));
      for (let i = 0; i < 2; i++) {
        const from = client.log().length;
        await world.stop("far");
        expect(await client.says(/ tunnel\.down /, PATIENCE, from)).toBeDefined();
        far(theirs);
        expect(await client.says(/ tunnel\.up /, PATIENCE, from)).toBeDefined();
      }
      expect(await reaches("rt", "10.9.0.1")).toBe(true);
    },
    2 * LONG,
  );

  const TAP_SERVER = ["dev-type tap", "dev tap-server"];
  test.each([
    ["udp", "tap"],
    ["tcp", "tap3"],
  ] as const)(
    "frames over %s to the real server on %s: addresses, a gateway for its routes, the internet",
    async (protocol, device) => {
      const push = ["redirect-gateway def1", "route 10.60.0.0 255.255.0.0"];
      await world.server({ protocol, push, lines: [...TAP_SERVER, "server-ipv6 fd00:8::/64"] });
      const profile = writeProfile(world, "tap", { protocol, remotes: [SERVER] }, device);
      const client = await clientUp(world, profile);
      const name = device === "tap" ? "tap0" : device;
      expect([
        await reaches("rt", "10.8.0.1"),
        await reaches("net", "10.8.0.2"),
        await reaches("rt", "fd00:8::1"),
      ]).toEqual([true, true, true]);
      expect(await world.sh("rt", "ip route show 10.60.0.0/16")).toContain(`via 10.8.0.1 dev ${name}`);
      expect(await world.sh("rt", `ip route get ${SITE}`)).toContain(`via 10.8.0.1 dev ${name}`);
      expect(await reaches("rt", SITE)).toBe(true);
      expect(client.log()).not.toMatch(/ (warn|error) /);
      expect(await world.stop("client")).toBe(0);
    },
    LONG,
  );

  test(
    "frames of a static key between two ends, without an address of ours: somebody else gives it",
    async () => {
      const file = [
        "dev-type tap",
        "dev far0",
        `local ${SERVER}`,
        ...STATIC,
        ...ALLOWED,
        "ifconfig 10.9.0.1 255.255.255.0",
      ];
      world.start("far", "net", [OPENVPN, "--cd", world.dir, "--config", write("far.conf", file)]);
      await clientUp(world, write("own.conf", ["dev tap", ...STATIC, ...GOES]));
      await world.sh("rt", "ip addr add 10.9.0.2/24 dev tap0");
      expect([await reaches("rt", "10.9.0.1"), await reaches("net", "10.9.0.2")]).toEqual([true, true]);
    },
    LONG,
  );

  /** Our server in the router's place, and real clients on the internet's side. */
  async function serve(lines: readonly string[]): Promise<Daemon> {
    const own = [
      "ca ca.crt",
      "cert server.crt",
      "key server.key",
      "dh none",
      "tls-crypt static.key",
      "keepalive 2 10",
      "duplicate-cn",
    ];
    const file = write("server.conf", [...own, ...lines]);
    const argv = ["env", `RUNTIME_DIRECTORY=${join(world.dir, "run-server")}`, ...morgana(), "server", file];
    const server = world.start("server", "rt", argv);
    if ((await server.says(/ server\.listening /, PATIENCE)) === undefined) throw new Error(server.log());
    return server;
  }

  async function joins(name: string, protocol: string, device: string): Promise<Daemon> {
    const text = world.profile({ remotes: [HOST], password: false, lines: [`proto ${protocol}`] });
    const daemon = world.start(name, "net", [
      OPENVPN,
      "--config",
      write(`${name}.conf`, [text.replace("dev tun\r", `dev ${device}\r\ndev-type tap\r`)]),
    ]);
    if ((await daemon.says(/Initialization Sequence Completed/, PATIENCE)) === undefined)
      throw new Error(daemon.log().slice(-2000));
    return daemon;
  }

  test.each(["udp", "tcp-client"] as const)(
    "our server of frames has an address of its own, and the real client by %s reaches it",
    async (protocol) => {
      const server = await serve(["dev tap", `proto ${protocol.slice(0, 3)}`, "server 10.8.0.0 255.255.255.0"]);
      await joins("far", protocol, "tap-far");
      expect([await reaches("net", "10.8.0.1"), await reaches("rt", "10.8.0.2")]).toEqual([true, true]);
      expect(server.log()).not.toMatch(/ (warn|error) /);
      expect(await world.stop("server")).toBe(0);
    },
    LONG,
  );

  test(
    "with server-bridge the device is a port of the kernel's bridge, which has the address",
    async () => {
      await world.sh(
        "rt",
        "ip tuntap add dev tap5 mode tap; ip link add br0 type bridge; ip addr add 10.8.0.4/24 dev br0; ip link set br0 up; ip link set tap5 master br0",
      );
      try {
        await serve(["dev tap5", "server-bridge 10.8.0.4 255.255.255.0 10.8.0.128 10.8.0.254"]);
        await joins("far", "udp", "tap-far");
        expect(await reaches("net", "10.8.0.4")).toBe(true);
        expect(await world.stop("server")).toBe(0);
      } finally {
        await world.stop("server");
        await world.sh("rt", "ip link del tap5; ip link del br0");
      }
    },
    LONG,
  );

  test(
    "a profile for tun that says nothing of an address is told so",
    async () => {
      const client = startClient(world, write("own.conf", ["dev tun", ...STATIC, ...GOES]));
      const said = await client.says(/ config\.invalid .*: secret: .*there is no ifconfig/, PATIENCE);
      expect(said).toBeDefined();
    },
    LONG,
  );
});
