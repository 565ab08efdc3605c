/** The units of docs/ under systemd itself, and the resolver that comes with it. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { OPENVPN } from "../support/world/openvpn-binary.ts";
import { PATIENCE, until } from "../support/world/process.ts";
import { AUTH } from "../support/world/profile.ts";
import { debianPackage, noSystemd, SystemdHost, unitOf } from "../support/world/systemd-host.ts";
import { asHost, HOST, hostState, namesInTunnel } from "../support/world/unix-client.ts";
import { SERVER, SITE, TUNNEL, World } from "../support/world/world.ts";
import { NO_WORLD } from "./subject.ts";

const LONG = 3 * PATIENCE * 1000;
const CLIENT = "morgana-client@office";
const SERVING = "morgana-server@office";
const RESOLVED = debianPackage("systemd-resolved");
/** The network's administration and ports below 1024: bits 12 and 10. */
const CAPABILITIES = /CapPrm:\t0000000000001400\n.*\nCapBnd:\t0000000000001400\n(?:.*\n)*NoNewPrivs:\t1\n/m;

describe.skipIf(NO_WORLD || noSystemd() !== undefined)("a machine of systemd", () => {
  let world: World;
  let host: SystemdHost;
  let before: string;

  beforeAll(async () => {
    world = await World.create();
    await asHost(world);
    const text = (name: string): string => readFileSync(join(world.dir, name), "utf8");
    const conf = [
      ...[
        "dev tun",
        "server 10.9.0.0 255.255.255.0",
        "topology subnet",
        "ca ca.crt",
        "cert server.crt",
        "key server.key",
      ],
      ...["dh none", "tls-crypt static.key", "keepalive 2 10"],
    ];
    const named = ["ca.crt", "server.crt", "server.key", "static.key"].map((name) => [
      `/etc/morgana/${name}`,
      text(name),
    ]);
    const resolver = "systemd-resolve:x:64999:64999::/:/usr/sbin/nologin\n";
    host = await SystemdHost.boot(
      world,
      "rt",
      {
        "/etc/systemd/system/morgana-client@.service": unitOf("morgana-client@.service"),
        "/etc/systemd/system/morgana-client@.service.d/soon.conf": "[Service]\nRestartSec=100ms\n",
        "/etc/systemd/system/morgana-server@.service": unitOf("morgana-server@.service"),
        "/etc/morgana/office.ovpn": world.profile({ remotes: [SERVER] }),
        "/etc/morgana/auth.txt": AUTH,
        "/etc/morgana/office.conf": `${conf.join("\n")}\n`,
        ...Object.fromEntries(named),
        "/etc/resolv.conf": "nameserver 203.0.113.1\n",
        "/etc/passwd": `${readFileSync("/etc/passwd", "utf8")}${resolver}`,
        "/etc/group": `${readFileSync("/etc/group", "utf8")}systemd-resolve:x:64999:\n`,
      },
      RESOLVED === undefined ? [] : [RESOLVED],
    );
    before = await hostState(world);
  }, LONG);
  afterAll(async () => {
    await host?.stop();
    await world?.close();
  }, LONG);

  afterEach(async () => {
    await host.run(["systemctl", "stop", CLIENT, SERVING], PATIENCE);
  });

  const isState = async (unit: string, state: string): Promise<boolean> =>
    (await until(async () => (await host.property(unit, "ActiveState")) === state, PATIENCE, 200)) !== undefined;
  const reaches = async (target: string): Promise<boolean> =>
    / [1-9] received/.test((await world.in("rt", ["ping", "-n", "-c", "2", "-i", "0.2", "-w", "30", target])).out);
  const hasEnded = async (): Promise<boolean> =>
    (await until(async () => (await hostState(world)) === before, PATIENCE)) !== undefined;

  test(
    "the client's unit is active when the tunnel is up and not before; it is reloaded, killed and stopped",
    async () => {
      await host.sh(`systemctl start --no-block ${CLIENT}`);
      expect(
        await until(async () => / link\.connecting /.test(await host.journal(CLIENT)), PATIENCE, 200),
      ).toBeDefined();
      expect(await host.property(CLIENT, "ActiveState")).toBe("activating");
      await world.server();
      expect([await isState(CLIENT, "active"), await host.property(CLIENT, "StatusText")]).toEqual([
        true,
        "up on tun0, 10.8.0.2/24",
      ]);
      expect(await reaches(SITE)).toBe(true);
      expect(await host.status(CLIENT)).toMatch(CAPABILITIES);
      // There is no systemd-resolved yet, although its programs are there.
      expect(await host.sh("cat /etc/resolv.conf")).toContain("nameserver 10.8.0.1");

      await host.put(
        "/etc/morgana/office.ovpn",
        world.profile({ remotes: [SERVER], lines: ["route 10.70.0.0 255.255.0.0"] }),
      );
      await host.sh(`systemctl reload ${CLIENT}`);
      const hasRoute = async (): Promise<boolean> =>
        (await world.sh("rt", "ip route")).includes("10.70.0.0/16 dev tun0");
      expect(await until(hasRoute, PATIENCE)).toBeDefined();
      expect(await host.property(CLIENT, "ActiveState")).toBe("active");

      const first = await host.property(CLIENT, "MainPID");
      await host.sh(`systemctl kill -s KILL ${CLIENT}`);
      expect(
        await until(async () => ![first, "0"].includes(await host.property(CLIENT, "MainPID")), PATIENCE),
      ).toBeDefined();
      expect([await isState(CLIENT, "active"), await reaches(TUNNEL)]).toEqual([true, true]);

      await host.sh(`systemctl stop ${CLIENT}`);
      expect([await host.property(CLIENT, "Result"), await host.sh("ls /run/morgana")]).toEqual(["success", ""]);
      expect(await hasEnded()).toBe(true);
      expect(await host.sh("cat /etc/resolv.conf")).toBe("nameserver 203.0.113.1\n");
    },
    LONG,
  );

  test.skipIf(RESOLVED === undefined)(
    "systemd-resolved asks through the tunnel alone; for some names alone where the profile says so; and is told to forget it",
    async () => {
      await world.names(["--address=/elsewhere.test/203.0.113.77"]);
      await world.server();
      await namesInTunnel(world, "www.example", "203.0.113.9");
      await host.sh("systemctl start systemd-resolved");
      const state = (): Promise<string> => host.sh("resolvectl dns; resolvectl domain; resolvectl default-route");
      const asked = (): string => world.daemon("dnsmasq").log();
      const as = await state();
      await host.sh(`systemctl start ${CLIENT}`);
      expect(await host.sh("resolvectl dns tun0; resolvectl domain tun0; resolvectl default-route tun0")).toMatch(
        /: 10\.8\.0\.1\n.*: ~\.\n.*: yes\n/,
      );
      expect(await host.sh("resolvectl query www.example")).toContain("203.0.113.9");
      expect((await host.run(["resolvectl", "query", "elsewhere.test"])).code).not.toBe(0);
      expect(asked()).not.toMatch(/(www\.example|elsewhere\.test) from 203/);
      await host.sh(`systemctl stop ${CLIENT}`);
      expect(await state()).toBe(as);

      const split = [
        "dns server 1 address 10.8.0.1",
        "dns server 1 resolve-domains example",
        'pull-filter ignore "dhcp-option"',
      ];
      await host.put("/etc/morgana/office.ovpn", world.profile({ remotes: [SERVER], lines: split }));
      await host.sh(`systemctl start ${CLIENT}`);
      expect(await host.sh("resolvectl query www.example")).toContain("203.0.113.9");
      expect(await host.sh("resolvectl query elsewhere.test")).toContain("203.0.113.77");
      expect(asked()).not.toMatch(/www\.example from 203/);
      expect(asked()).toMatch(/elsewhere\.test from 203/);
      await host.sh(`systemctl kill -s KILL ${CLIENT}`);
      expect(await isState(CLIENT, "active")).toBe(true);
      await host.sh(`systemctl stop ${CLIENT}`);
      expect(await state()).toBe(as);
      expect(await hasEnded()).toBe(true);
      await host.sh("systemctl stop systemd-resolved");
      await world.stop("names-in-tunnel");
    },
    LONG,
  );

  test(
    "the server's unit is active when it listens, reads its profile again, and leaves nothing; its keys outlive it",
    async () => {
      await world.stop("server");
      await host.sh(`systemctl start ${SERVING}`);
      expect(await host.property(SERVING, "StatusText")).toBe("listening, on tun0");
      expect(await host.status(SERVING)).toMatch(CAPABILITIES);
      const file = join(world.dir, "peer.conf");
      const profile = world.profile({
        remotes: [HOST],
        password: false,
        lines: ["pull-filter ignore redirect-gateway"],
      });
      writeFileSync(file, profile.replace("dev tun\r", "dev tun-peer\r\ndev-type tun\r"));
      const peer = world.start("peer", "net", [OPENVPN, "--config", file]);
      expect(await peer.says(/Initialization Sequence Completed/, PATIENCE)).toBeDefined();
      const conf = await host.sh("cat /etc/morgana/office.conf");
      await host.put("/etc/morgana/office.conf", `${conf}nonsense\n`);
      await host.sh(`systemctl reload ${SERVING}`);
      const saysSo = async (): Promise<boolean> => (await host.journal(SERVING)).includes("what runs goes on");
      expect(await until(saysSo, PATIENCE, 200)).toBeDefined();
      await host.put("/etc/morgana/office.conf", conf);
      expect((await world.in("net", ["ping", "-n", "-c", "2", "-i", "0.2", "10.9.0.1"])).out).toContain("2 received");
      // They are written beside the loop, soon after the start.
      const written = "/var/lib/morgana/office/server-keys.json";
      const keys = `until test -e ${written}; do sleep 0.1; done; cat ${written}`;
      const kept = await host.sh(keys);
      await host.sh(`systemctl restart ${SERVING}`);
      expect(await host.sh(keys)).toBe(kept);
      await world.stop("peer");
      await host.sh(`systemctl stop ${SERVING}`);
      expect(await host.property(SERVING, "Result")).toBe("success");
      expect(await hasEnded()).toBe(true);
    },
    LONG,
  );
});
