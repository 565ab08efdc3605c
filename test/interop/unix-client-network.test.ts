/** Routes, DNS and signals of `morgana client`, as profiles and servers want them. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PATIENCE, until } from "../support/world/process.ts";
import { asHost, clientUp, hostState, resolvConf, writeProfile } from "../support/world/unix-client.ts";
import { SERVER, SITE, TUNNEL, WAN_GATEWAY, World } from "../support/world/world.ts";
import { NO_WORLD } from "./subject.ts";

const UNITS = ["morgana-client@.service", "morgana-server@.service"];
test.skipIf(Bun.which("systemd-analyze") === null).each(UNITS)("systemd accepts %s", (name) => {
  const folder = mkdtempSync(join(tmpdir(), "morgana-unit-"));
  const text = readFileSync(join(import.meta.dir, "../../docs", name), "utf8");
  writeFileSync(join(folder, name), text.replace("/usr/local/bin/morgana", "/bin/true"));
  const { stderr, exitCode } = Bun.spawnSync(["systemd-analyze", "verify", join(folder, name)]);
  rmSync(folder, { recursive: true });
  expect([stderr.toString(), exitCode]).toEqual(["", 0]);
});

const LONG = 2 * PATIENCE * 1000;

describe.skipIf(NO_WORLD)("what the client tells its host", () => {
  let world: World;
  let before: string;

  beforeAll(async () => {
    world = await World.create();
    await asHost(world);
    before = await hostState(world);
  }, 60_000);
  /** Whatever it was told, nothing of it is left. */
  afterEach(async () => {
    expect(await world.stop("client")).toBe(0);
    expect(await hostState(world)).toBe(before);
  });
  afterAll(() => world?.close());

  const ip = (words: string): Promise<string> => world.sh("rt", `ip ${words}`);
  const way = async (to: string): Promise<string> => (await world.in("rt", ["ip", "route", "get", to])).out;

  test(
    "routes with metrics, by the host's own gateway, and in another table",
    async () => {
      await world.server({
        push: ["route 10.60.0.0 255.255.0.0 vpn_gateway 77", "route 10.61.0.0 255.255.0.0 net_gateway"],
      });
      const lines = ["route 10.62.0.0 255.255.0.0 net_gateway 5", `route 10.63.0.0 255.255.0.0 ${WAN_GATEWAY}`];
      await clientUp(world, writeProfile(world, "routes", { lines }));
      const routes = await ip("route show proto 109");
      expect(
        routes
          .trim()
          .split("\n")
          .map((line) => line.trim().replace("scope link ", ""))
          .sort(),
      ).toEqual([
        "10.60.0.0/16 dev tun0 metric 77",
        "10.61.0.0/16 via 203.0.113.1 dev w0",
        "10.62.0.0/16 via 203.0.113.1 dev w0 metric 5",
        "10.63.0.0/16 via 203.0.113.1 dev w0",
      ]);
      expect(await world.stop("client")).toBe(0);
      const tabled = { lines: ["route-table 77", "client-nat snat 10.1.0.0 255.255.255.0 10.2.0.0"] };
      const client = await clientUp(world, writeProfile(world, "table", tabled));
      expect(client.log()).toContain("host.client-nat");
      expect(await ip("route show table 77")).toContain("10.60.0.0/16 dev tun0");
      expect(await ip("route show proto 109")).toBe("10.61.0.0/16 via 203.0.113.1 dev w0 \n");
    },
    LONG,
  );

  test(
    "redirect-gateway with ipv6, block-local and bypass-dns; the resolver and the gateway stay in reach",
    async () => {
      await world.server({
        push: ["redirect-gateway def1 ipv6 block-local bypass-dns", "dhcp-option DNS 10.8.0.1"],
        lines: ["server-ipv6 fd00:8::/64"],
      });
      await clientUp(world, writeProfile(world, "redirect"));
      const [site, neighbor, gateway, server] = await Promise.all([SITE, "203.0.113.77", WAN_GATEWAY, SERVER].map(way));
      expect([site, neighbor, gateway, server].map((text) => / dev (\S+)/.exec(text!)?.[1])).toEqual([
        "tun0",
        "tun0",
        "w0",
        "w0",
      ]);
      expect((await world.in("rt", ["ip", "-6", "route", "get", "2001:db8:9::1"])).out).toContain("dev tun0");
      const ping = await world.in("rt", ["ping", "-n", "-c", "2", "-i", "0.2", "-w", "30", "fd00:8::1"]);
      expect(ping.out).toContain("2 received");
    },
    LONG,
  );

  test(
    "block-ipv6: where the tunnel takes everything, IPv6 is unreachable",
    async () => {
      await world.server({ push: ["redirect-gateway def1", "block-ipv6"] });
      await clientUp(world, writeProfile(world, "block"));
      expect((await world.in("rt", ["ip", "-6", "route", "get", "2001:db8:9::1"])).out).toContain("No route to host");
    },
    LONG,
  );

  test(
    "--no-routes and --no-dns leave routes and resolver alone",
    async () => {
      await world.server();
      await clientUp(world, writeProfile(world, "none"), { more: ["--no-routes", "--no-dns"] });
      expect(await way(SITE)).toContain("dev w0");
      expect(await way(TUNNEL)).toContain("dev tun0");
      expect(readFileSync(resolvConf(world), "utf8")).toMatch(/^# as it was/);
    },
    LONG,
  );

  /** Programs that write down how they are called, and what they are told. */
  function fakes(...names: readonly string[]): { readonly folder: string; readonly said: () => string } {
    const folder = join(world.dir, "fakes");
    const log = join(world.dir, "fakes.log");
    mkdirSync(folder, { recursive: true });
    writeFileSync(log, "");
    for (const name of names) {
      const script = `#!/bin/sh\necho "${name} $*" >> ${log}\ntest "$1" = --version && echo openresolv\ncase " $* " in *" -a "*) cat >> ${log};; esac\ntrue\n`;
      writeFileSync(join(folder, name), script);
      chmodSync(join(folder, name), 0o755);
    }
    return { folder, said: () => readFileSync(log, "utf8") };
  }

  test(
    "systemd-resolved is told the servers and domains of the link, for some names alone where the server says so",
    async () => {
      mkdirSync("/run/systemd/resolve", { recursive: true });
      writeFileSync("/run/systemd/resolve/io.systemd.Resolve", "");
      const { folder, said } = fakes("resolvectl");
      const env = { PATH: `${folder}:${process.env["PATH"]}` };
      try {
        await world.server({
          push: ["redirect-gateway def1", "dhcp-option DNS 10.8.0.1", "dhcp-option DOMAIN corp.example"],
        });
        const first = await clientUp(world, writeProfile(world, "resolved"), { env });
        await first.says(/ dns\.set /, PATIENCE);
        expect(await world.stop("client")).toBe(0);
        expect(said().trim().split("\n")).toEqual([
          "resolvectl dns tun0 10.8.0.1",
          "resolvectl domain tun0 corp.example ~.",
          "resolvectl default-route tun0 yes",
          "resolvectl flush-caches",
          "resolvectl revert tun0",
        ]);
        writeFileSync(join(world.dir, "fakes.log"), "");
        const lines = ["dns server 1 address 10.8.0.9", "dns server 1 resolve-domains intra.example"];
        const second = await clientUp(
          world,
          writeProfile(world, "split", { lines: [...lines, 'pull-filter ignore "dhcp-option"'] }),
          { env },
        );
        await second.says(/ dns\.set /, PATIENCE);
        expect(said()).toContain("resolvectl domain tun0 ~intra.example\nresolvectl default-route tun0 no\n");
      } finally {
        await world.sh("rt", "rm -r /run/systemd/resolve");
      }
    },
    LONG,
  );

  test(
    "resolvconf is told a list under the name of the device, and to forget it",
    async () => {
      const { folder, said } = fakes("resolvconf");
      await world.server();
      const env = { PATH: `${folder}:${process.env["PATH"]}` };
      const client = await clientUp(world, writeProfile(world, "resolvconf"), { env });
      await client.says(/ dns\.set /, PATIENCE);
      await world.stop("client");
      expect(said().trim().split("\n")).toEqual([
        "resolvconf --version",
        "resolvconf -m 0 -x -a tun0.morgana",
        "nameserver 10.8.0.1",
        "resolvconf -d tun0.morgana",
      ]);
      await clientUp(world, writeProfile(world, "again"));
    },
    LONG,
  );

  test(
    "a service manager hears when the tunnel is up, and when it leaves; capabilities that are not needed are gone by then",
    async () => {
      await world.server();
      const path = join(world.dir, "notify");
      const script = `import socket,sys
s=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print("bound",flush=True)
while True: print(s.recv(4096).decode().replace("\\n"," "),flush=True)`;
      const manager = world.start("manager", "rt", ["python3", "-c", script, path]);
      await manager.says(/bound/, PATIENCE);
      const client = await clientUp(world, writeProfile(world, "notify"), { env: { NOTIFY_SOCKET: path } });
      expect(await manager.says(/READY=1 STATUS=up on tun0, 10\.8\.0\.2\/24\n/, PATIENCE)).toBeDefined();
      const threads = readdirSync(`/proc/${client.pid}/task`).map((id) => {
        const status = readFileSync(`/proc/${client.pid}/task/${id}/status`, "utf8");
        return [...status.matchAll(/(?:CapPrm|CapEff|NoNewPrivs):\t(\S+)/g)].map(([, value]) => value);
      });
      expect(threads.length).toBeGreaterThan(1);
      const kept = ["0000000000001404", "0000000000001404", "1"];
      expect(threads).toEqual(threads.map(() => kept));
      await world.stop("client");
      expect(await manager.says(/STOPPING=1/, PATIENCE)).toBeDefined();
      await world.stop("manager");
      await clientUp(world, writeProfile(world, "notify"));
    },
    LONG,
  );

  test(
    "SIGUSR1 reads the profile again and connects anew, with problems in it what runs goes on; SIGUSR2 tells the statistics",
    async () => {
      await world.server();
      const profile = writeProfile(world, "signals");
      const text = readFileSync(profile, "utf8");
      const client = await clientUp(world, profile);
      writeFileSync(profile, `${text}nonsense\r\n`);
      client.signal("SIGUSR1");
      expect(await client.says(/what runs goes on with the profile before/, PATIENCE)).toBeDefined();
      writeFileSync(profile, `${text}route 10.70.0.0 255.255.0.0\r\n`);
      client.signal("SIGUSR1");
      expect(await until(async () => (await ip("route")).includes("10.70.0.0/16 dev tun0"), PATIENCE)).toBeDefined();
      client.signal("SIGUSR2");
      expect(await client.says(/ statistics\.session /, PATIENCE)).toBeDefined();
    },
    LONG,
  );
});
