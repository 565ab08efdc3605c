/** What `morgana server` on the kernel takes from its files: at its start, when they are read again, and after a restart. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { OPENVPN } from "../support/world/openvpn-binary.ts";
import type { CertificateName } from "../support/world/pki.ts";
import { type Daemon, PATIENCE, run, until } from "../support/world/process.ts";
import { morgana } from "../support/world/router.ts";
import { asHost, hostState, withFiles } from "../support/world/unix-client.ts";
import { World } from "../support/world/world.ts";
import { NO_WORLD } from "./subject.ts";

const LONG = 3 * PATIENCE * 1000;
const ADDRESS = "203.0.113.1";

describe.skipIf(NO_WORLD)("files of the server on the kernel", () => {
  let world: World;
  let before: string;

  beforeAll(async () => {
    world = await World.create();
    await asHost(world);
    before = await hostState(world, "net");
  }, 60_000);
  afterEach(async () => {
    for (const name of ["client", "server"]) await world.stop(name);
    expect(await hostState(world, "net")).toBe(before);
  });
  afterAll(() => world?.close());

  const path = (name: string): string => join(world.dir, name);

  function writeConf(lines: readonly string[]): void {
    const own = [
      ...["dev tun", "proto udp", "port 1194", "server 10.8.0.0 255.255.255.0", "topology subnet", "ca ca.crt"],
      ...["cert server.crt", "key server.key", "dh none", "tls-crypt static.key", "keepalive 2 10"],
    ];
    writeFileSync(path("unix.conf"), `${[...own, ...lines].join("\n")}\n`);
  }

  async function serve(env: readonly string[] = [], more: readonly string[] = []): Promise<Daemon> {
    const set = [`RUNTIME_DIRECTORY=${path("run-server")}`, ...env];
    const argv = ["env", ...set, ...morgana(), "server", ...more, path("unix.conf")];
    const daemon = world.start("server", "net", withFiles(world, argv));
    if ((await daemon.says(/ server\.listening /, PATIENCE)) === undefined) throw new Error(daemon.log());
    return daemon;
  }

  /** Reads the files again. @returns what it says has changed */
  async function reload(server: Daemon): Promise<string | undefined> {
    const from = server.log().length;
    server.signal("SIGHUP");
    return (await server.says(/ reload\.taken changed="?([^"]*?)"? what/, PATIENCE, from))?.[1];
  }

  /** Starts the real client, with somebody's login or none. @returns its address, or undefined: it was not let in */
  async function join_(login?: string, certificate: CertificateName = "client"): Promise<string | undefined> {
    await world.stop("client");
    if (login !== undefined) writeFileSync(path("login"), login, { mode: 0o600 });
    const lines = ["explicit-exit-notify 1", ...(login === undefined ? [] : [`auth-user-pass ${path("login")}`])];
    const text = world.profile({ remotes: [ADDRESS], password: false, certificate, lines });
    writeFileSync(path("client.conf"), text.replace("dev tun\r", "dev tun-client\r\ndev-type tun\r"));
    const client = world.start("client", "rt", [
      OPENVPN,
      "--config",
      path("client.conf"),
      "--connect-retry-max",
      "2",
      "--hand-window",
      "8",
    ]);
    const said = await client.says(
      /Initialization Sequence Completed|AUTH_FAILED|TLS Error: TLS handshake failed|process exiting/,
      PATIENCE,
    );
    if (said?.[0] !== "Initialization Sequence Completed") return undefined;
    return /inet (\S+)\//.exec(await world.sh("rt", "ip addr show tun-client"))?.[1];
  }

  const reaches = async (target: string): Promise<boolean> =>
    (await world.in("rt", ["ping", "-n", "-c", "2", "-i", "0.2", "-w", "30", target])).out.includes("2 received");

  async function users(...logins: readonly (readonly [string, string])[]): Promise<string> {
    const lines = await Promise.all(
      logins.map(([name, password]) => run([...morgana(), "passwd", name], 60, `${password}\n`)),
    );
    writeFileSync(path("users.txt"), lines.map(({ out }) => out).join(""), { mode: 0o600 });
    return path("users.txt");
  }

  test(
    "SIGHUP reads files of clients, pushes and revoked certificates again, and the session goes on",
    async () => {
      mkdirSync(path("ccd"), { recursive: true });
      writeFileSync(path("ccd/client"), "ifconfig-push 10.8.0.50 255.255.255.0\n");
      writeConf(["client-config-dir ccd"]);
      const server = await serve();
      expect(await join_(undefined, "client-revoked")).toBe("10.8.0.2");
      expect(await join_()).toBe("10.8.0.50");
      writeFileSync(path("ccd/client"), 'ifconfig-push 10.8.0.50 255.255.255.0\npush "route 10.67.0.0 255.255.0.0"\n');
      writeConf(["client-config-dir ccd", 'push "route 10.66.0.0 255.255.0.0"', "crl-verify crl.pem"]);
      const from = server.log().length;
      expect(await reload(server)).toBe("certificates and their checks, files of clients, push");
      expect(await reaches("10.8.0.1")).toBe(true);
      expect(server.log().slice(from)).not.toMatch(/ (peer\.down|error) /);
      expect(await join_()).toBe("10.8.0.50");
      expect(await world.sh("rt", "ip route")).toMatch(
        /10\.66\.0\.0\/16 via 10\.8\.0\.1 dev tun-client(.*\n)*10\.67\.0\.0\/16 via 10\.8\.0\.1 dev tun-client/,
      );
      // Whose address is another one now is told to come again.
      writeFileSync(path("ccd/client"), "ifconfig-push 10.8.0.51 255.255.255.0\n");
      expect(await reload(server)).toBe("files of clients");
      const moved = async (): Promise<boolean> => (await world.sh("rt", "ip addr")).includes("inet 10.8.0.51/");
      expect(await until(moved, PATIENCE)).toBeDefined();
      expect(server.log()).not.toContain("permissions");
      expect(await join_(undefined, "client-revoked")).toBeUndefined();
      expect(await server.says(/ peer\.refused .*revoked/, PATIENCE)).toBeDefined();
      rmSync(path("ccd"), { recursive: true });
    },
    LONG,
  );

  test(
    "users and their passwords are those of the file, as it was read last",
    async () => {
      writeConf([]);
      const server = await serve([], ["--users", await users(["ann", "correct horse"])]);
      expect(await join_("ann\ncorrect horse\n")).toBe("10.8.0.2");
      expect(await join_("ann\nwrong horse\n")).toBeUndefined();
      await users(["ann", "another horse"]);
      expect(await reload(server)).toBe("users");
      expect(await join_("ann\ncorrect horse\n")).toBeUndefined();
      expect(await join_("ann\nanother horse\n")).toBe("10.8.0.2");
      expect(server.log()).toMatch(/ peer\.refused .*the password of user .*ann.* is wrong/);
    },
    LONG,
  );

  test.each([
    ["the folder of the service", (): string[] => [`STATE_DIRECTORY=${path("state")}`], []],
    ["the file of ifconfig-pool-persist", (): string[] => [], ["ifconfig-pool-persist ipp.txt"]],
  ] as const)(
    "by %s a client has the same address after a restart",
    async (_name, env, lines) => {
      mkdirSync(path("state"), { recursive: true });
      writeConf(["username-as-common-name", "server-ipv6 fd00:8::/64", ...lines]);
      const file = ["--users", await users(["ann", "a"], ["bob", "b"])];
      await serve(env(), file);
      expect([await join_("bob\nb\n"), await join_("ann\na\n")]).toEqual(["10.8.0.2", "10.8.0.3"]);
      await world.stop("client");
      expect(await world.stop("server")).toBe(0);
      if (lines.length > 0)
        expect(readFileSync(path("ipp.txt"), "utf8")).toBe("bob,10.8.0.2,fd00:8::1000\nann,10.8.0.3,fd00:8::1001\n");
      const server = await serve(env(), file);
      expect(await join_("ann\na\n")).toBe("10.8.0.3");
      expect(server.log()).not.toMatch(/ (warn|error) /);
    },
    LONG,
  );
});
