/** dev tap: the appliance as a bridge between a LAN and real openvpn, as its client and as its server. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join as path } from "node:path";
import { OPENVPN } from "../support/world/openvpn-binary.ts";
import { type Daemon, PATIENCE, until } from "../support/world/process.ts";
import { morgana } from "../support/world/router.ts";
import { ServedWorld, WAN_TOML } from "../support/world/served-world.ts";
import { NO_WORLD } from "./subject.ts";

setDefaultTimeout(240_000);

const FAR = "10.50.0.1";
const FAR6 = "fd00:60::1";
const HOST = "10.50.0.2";
const HOST6 = "fd00:60::2";
/** Where the real server is: the place of a client of other tests. */
const SERVER = "203.0.113.21";

describe.skipIf(NO_WORLD)("dev tap, a client", () => {
  let world: ServedWorld;
  let router: Daemon;

  beforeAll(async () => {
    world = await ServedWorld.create();
    await world.sh("lan", "ip addr flush dev l0");
    await world.sh("a", "ip link add br0 type bridge mcast_snooping 0; ip link set br0 up");
  });
  afterAll(() => world?.close());

  /** A server with the far network behind it, and the appliance as its client. @param lines of both */
  async function connect(lines: readonly string[] = [], proto = "udp"): Promise<void> {
    for (const name of ["router", "far"]) await world.stop(name);
    const both = lines.join("\n");
    const server = `dev tap0\nproto ${proto === "tcp" ? "tcp-server" : proto}\nport 1194\nmode server\ntls-server\nca ca.crt\ncert server.crt\nkey server.key\ndh none\nkeepalive 2 10\ntls-crypt static.key\nverb 4\n${both}\n`;
    writeFileSync(path(world.dir, "far.conf"), server);
    const far = world.start("far", "a", [OPENVPN, "--cd", world.dir, "--config", "far.conf"]);
    expect(await far.says(/Initialization Sequence Completed/, PATIENCE)).toBeDefined();
    await world.sh(
      "a",
      `ip link set tap0 up master br0; ip addr replace ${FAR}/24 dev br0; ip addr replace ${FAR6}/64 dev br0 nodad`,
    );
    const folder = path(world.dir, "bridged");
    mkdirSync(folder, { recursive: true });
    for (const name of ["ca.crt", "client-b.crt", "client-b.key", "static.key"])
      writeFileSync(path(folder, name), readFileSync(path(world.dir, name)));
    const client = `client\ndev tap\nproto ${proto}\nremote ${SERVER} 1194\nnobind\nremote-cert-tls server\nca ca.crt\ncert client-b.crt\nkey client-b.key\ntls-crypt static.key\n${both}\n`;
    writeFileSync(path(folder, "office.ovpn"), client);
    writeFileSync(path(folder, "appliance.toml"), WAN_TOML);
    const argv = [...morgana(), "appliance", "--wan", "w0", "--lan", "l1", "--config", folder];
    router = world.start("router", "rt", argv);
    if ((await router.says(/tunnel\.up/, PATIENCE)) === undefined)
      throw new Error(`no tunnel:\n${router.log().slice(-2000)}\n${far.log().slice(-2000)}`);
  }

  const address = (): Promise<string> =>
    world.sh("lan", `ip addr flush dev l0; ip addr add ${HOST}/24 dev l0; ip addr add ${HOST6}/64 dev l0 nodad`);

  test("a host of the LAN has its address by DHCP from beyond the tunnel, and reaches and is reached in both families", async () => {
    await connect();
    const leases = path(world.dir, "leases");
    const range = ["--dhcp-range=10.50.0.100,10.50.0.150,1h", `--dhcp-leasefile=${leases}`];
    world.start("dhcp", "a", [
      "dnsmasq",
      "-d",
      "-C",
      "/dev/null",
      "-p",
      "0",
      "-i",
      "br0",
      "-z",
      "-u",
      "root",
      ...range,
    ]);
    const script = path(world.dir, "lease.sh");
    writeFileSync(script, '#!/bin/sh\n[ "$1" = bound ] && echo "$ip" > "$0.address"\nexit 0\n', { mode: 0o755 });
    const lease = await world.in("lan", ["udhcpc", "-i", "l0", "-f", "-n", "-q", "-t", "20", "-T", "1", "-s", script]);
    await world.stop("dhcp");
    expect(lease).toMatchObject({ code: 0 });
    expect(readFileSync(`${script}.address`, "utf8")).toMatch(/^10\.50\.0\.1\d\d$/m);
    await address();
    expect([await world.ping("lan", FAR), await world.ping("lan", FAR6)]).toEqual([3, 3]);
    expect([await world.ping("a", HOST), await world.ping("a", HOST6)]).toEqual([3, 3]);
    // Nobody but the hosts themselves has answered for them.
    const { out } = await world.in("a", ["ip", "neigh", "show", HOST, "dev", "br0"]);
    const mac = (await world.sh("lan", "cat /sys/class/net/l0/address")).trim();
    expect(out).toContain(mac);
    expect(world.daemon("far").log()).not.toMatch(/used inconsistently/);
  });

  test("fragments, full frames and bytes of every size get through, without and with fragment", async () => {
    for (const lines of [[], ["fragment 1200"]]) {
      await connect(lines);
      await address();
      for (const size of ["0", "100", "1472", "1473", "8000", "30000"])
        expect({ size, answered: await world.ping("lan", FAR, 2, ["-s", size]) }).toEqual({ size, answered: 2 });
      expect(await world.ping("lan", FAR, 2, ["-s", "1472", "-M", "do"])).toBe(2);
    }
  });

  test("frames of a VLAN keep their tag, both ways", async () => {
    await connect();
    for (const [from, device, to, seenAt] of [
      ["lan", "l0", "a", "br0"],
      ["a", "br0", "lan", "l0"],
    ] as const) {
      const dump = world.start("dump", to, ["tcpdump", "-Z", "root", "-nn", "-l", "-e", "-i", seenAt, "vlan"]);
      await dump.says(/listening on/, PATIENCE);
      const frame = `"ffffffffffff" "02000000000${device.length}" "81000007" "81000009" "88b5" + "ab" * 1496`;
      const program = `import socket\ns=socket.socket(17,3); s.bind(("${device}",0)); s.send(bytes.fromhex(${frame}))`;
      await world.sh(from, `python3 -c '${program}'`);
      expect(await dump.says(/length 1518: vlan 7.*vlan 9/, PATIENCE)).toBeDefined();
      await world.stop("dump", "SIGINT");
    }
  });

  test.each(["udp", "tcp"])("TCP in both directions over %s is right and quick", async (proto) => {
    await connect([], proto);
    await address();
    world.start("iperf", "a", ["iperf3", "-s"]);
    for (const direction of [[], ["-R"]]) {
      let rate = 0;
      await until(async () => {
        const { out } = await world.in("lan", ["iperf3", "-J", "-t", "2", "-c", FAR, ...direction]);
        rate = Number(/"sum_received":[^}]*"bits_per_second":\s*([\d.e+]+)/.exec(out)?.[1] ?? 0);
        return rate > 0;
      }, PATIENCE);
      console.log(`bridged over ${proto} ${direction}: ${Math.round(rate / 1e6)} Mbit/s`);
      expect(rate).toBeGreaterThan(20e6);
    }
    await world.stop("iperf");
    router.signal("SIGUSR2");
    const line = (await router.says(/statistics\.bridge.*/, PATIENCE))?.[0] ?? "";
    expect(line).not.toMatch(/drop\.(?!BridgeNoPort|TunnelClosed)/);
  });

  test("a tunnel that is gone blocks; the WAN sees nothing of the LAN, and is not answered", async () => {
    await connect();
    await address();
    expect(await world.ping("lan", FAR)).toBe(3);
    const dump = world.start("dump", "net", ["tcpdump", "-Z", "root", "-nn", "-l", "-e", "-i", "toserver"]);
    await dump.says(/listening on/, PATIENCE);
    await world.stop("far", "SIGKILL");
    expect(await world.ping("lan", FAR, 3)).toBe(0);
    expect(await world.ping("lan", SERVER, 1, ["-I", "l0"])).toBe(0);
    expect(await world.ping("net", "203.0.113.2", 1)).toBe(0);
    await world.stop("dump", "SIGINT");
    const mac = (await world.sh("lan", "cat /sys/class/net/l0/address")).trim();
    expect(dump.log()).not.toContain(mac);
    expect(dump.log()).not.toContain("10.50.0.");
  });
});

/** Clients' addresses are out of the LAN's network. */
const GATEWAY = "10.60.0.1";
const BRIDGED = ["dev tap", "server-bridge 10.60.0.1 255.255.255.0 10.60.0.100 10.60.0.150"];
/** Of the stock profile, what is a router's. */
const ROUTED = ["server", "topology", "push"];

describe.skipIf(NO_WORLD)("dev tap, a server", () => {
  let world: ServedWorld;
  beforeAll(async () => {
    world = await ServedWorld.create();
    await world.sh(
      "lan",
      `ip addr flush dev l0; ip addr add ${GATEWAY}/24 dev l0; ip addr add fd00:60::9/64 dev l0 nodad`,
    );
  });
  afterAll(() => world?.close());

  const serve = (...lines: string[]): Promise<Daemon> =>
    world.serve([...BRIDGED, ...lines], { without: ROUTED, bridged: true });
  /** A client's address, once its device has one. */
  async function join(name: "a" | "b", lines: readonly string[] = []): Promise<string> {
    await world.join(name, ["dev tap0", ...lines]);
    const { out } = await world.in(name, ["ip", "-o", "-4", "addr", "show", "dev", "tap0"]);
    return /inet ([0-9.]+)\/24/.exec(out)?.[1] ?? "none";
  }

  test("clients have addresses of the LAN's network, and they and its hosts reach each other; among themselves they do not", async () => {
    await serve();
    const [a, b] = [await join("a"), await join("b")];
    expect([a, b].every((address) => /^10\.60\.0\.1[0-4]\d$/.test(address))).toBe(true);
    expect([await world.ping("a", GATEWAY), await world.ping("lan", b)]).toEqual([3, 3]);
    await world.sh("a", "ip addr add fd00:60::a/64 dev tap0 nodad");
    expect(await world.ping("a", "fd00:60::9")).toBe(3);
    expect(await world.ping("a", b, 1)).toBe(0);
    for (const size of ["1472", "8000"]) expect(await world.ping("lan", a, 2, ["-s", size])).toBe(2);
    expect(world.daemon("a").log()).not.toMatch(/used inconsistently/);
  });

  test("with client-to-client they do, over UDP and TCP; who sends with the MAC of another one does not get what is his", async () => {
    await serve("client-to-client", "local * 1194 udp", "local * 1194 tcp-server");
    const a = await join("a", ["proto tcp-client"]);
    const b = await join("b");
    expect([await world.ping("a", b), await world.ping("b", a), await world.ping("lan", a)]).toEqual([3, 3, 3]);
    const mac = (await world.sh("lan", "cat /sys/class/net/l0/address")).trim();
    await world.sh("b", `ip link set tap0 address ${mac}`);
    await Promise.all([world.ping("a", GATEWAY, 10), world.ping("b", a, 5, ["-W", "1"])]).then(([answered, forged]) =>
      expect({ answered, forged }).toEqual({ answered: 10, forged: 0 }),
    );
    world.daemon("server").signal("SIGUSR2");
    expect(await world.says(/statistics\.bridge/)).toMatch(/drop\.BridgeMacHeld=[1-9]/);
  });

  test("without a pool they have addresses by DHCP of the LAN", async () => {
    await world.serve(["dev tap", "server-bridge"], { without: ROUTED, bridged: true });
    expect(await join("a")).toBe("none");
    await world.sh("a", "ip link set tap0 up");
    const leases = path(world.dir, "leases");
    world.start("dhcp", "lan", [
      ...["dnsmasq", "-d", "-C", "/dev/null", "-p", "0", "-i", "l0", "-z", "-u", "root"],
      ...["--dhcp-range=10.60.0.160,10.60.0.170,1h", `--dhcp-leasefile=${leases}`],
    ]);
    const lease = await world.in("a", [
      "udhcpc",
      "-i",
      "tap0",
      "-f",
      "-n",
      "-q",
      "-t",
      "20",
      "-T",
      "1",
      "-s",
      "/bin/true",
    ]);
    await world.stop("dhcp");
    expect(lease).toMatchObject({ code: 0 });
    expect(lease.out).toMatch(/10\.60\.0\.1[67]\d/);
  });
});
