/**
 * The LAN's DHCP server beside real clients: udhcpc, dhclient and dhcpcd as hosts behind a switch, each in a namespace.
 *
 *   the router l1 ---- sl1 [switch] sa, sb, sc ---- h0 of hosts a, b, c
 *
 * A lease script writes down what each client was given, and sets it.
 */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { addNamespace, inside, removeNamespace, removeStale } from "../support/world/namespaces.ts";
import { missingTools } from "../support/world/privilege.ts";
import { Daemon, must, PATIENCE, run, until } from "../support/world/process.ts";
import { morgana } from "../support/world/router.ts";
import { NO_WORLD, REFERENCE } from "./subject.ts";

setDefaultTimeout(120_000);

const HOSTS = ["a", "b", "c"] as const;
type Host = (typeof HOSTS)[number];
type Part = Host | "rt" | "sw";
const TOOLS = ["ip", "udhcpc", "dhclient", "dhcpcd", "dnsmasq"];

interface Given {
  readonly reason: string;
  readonly address: string;
  readonly line: string;
}

class Lan {
  readonly dir = mkdtempSync(join(tmpdir(), "morgana-dhcp-"));
  private readonly daemons: Daemon[] = [];
  private serial = 0;
  router!: Daemon;

  ns(part: Part): string {
    return `mg${process.pid}-dhcp${part}`;
  }

  async build(): Promise<void> {
    removeStale();
    for (const part of ["rt", "sw", ...HOSTS] as const) await addNamespace(this.ns(part));
    await this.sh("sw", "ip link add sw0 type bridge mcast_snooping 0; ip link set sw0 up");
    const plug = async (part: Part, device: string, port: string): Promise<void> => {
      const ends = [device, "netns", this.ns(part), "type", "veth", "peer", "name", port, "netns", this.ns("sw")];
      await must(["ip", "link", "add", ...ends]);
      await this.sh("sw", `ip link set ${port} up`);
      await this.sh(part, `ip link set ${device} up`);
    };
    await plug("rt", "w0", "sw0w");
    await plug("rt", "l1", "sl1");
    await this.sh("sw", "ip link set sl1 master sw0");
    for (const [i, host] of HOSTS.entries()) {
      await plug(host, "h0", `s${host}`);
      await this.sh(host, `ip link set h0 address 52:54:00:00:60:0${i + 1}`);
      await this.sh("sw", `ip link set s${host} master sw0`);
    }
    const script = join(this.dir, "lease-script");
    writeFileSync(
      script,
      `#!/bin/sh
# for dhclient and dhcpcd ($reason, new_*) and udhcpc ($1, ip, ...)
what=\${reason:-$1} a=\${new_ip_address:-$ip} m=\${new_subnet_mask:-$subnet} r=\${new_routers:-$router}
case $what in
  BOUND|RENEW|REBIND|REBOOT|bound|renew)
    ip -4 addr show dev $interface | grep -q "inet $a/" || { ip -4 addr flush dev $interface; ip addr add $a/$m dev $interface; };;
  deconfig|RELEASE|EXPIRE) ip -4 addr flush dev $interface; exit 0;;
  *) exit 0;;
esac
echo "$what $a mask=$m router=$r dns=\${new_domain_name_servers:-$dns} time=\${new_dhcp_lease_time:-$lease} server=\${new_dhcp_server_identifier:-$serverid}" >> "$LEASES"
`,
    );
    chmodSync(script, 0o755);
  }

  sh(part: Part, script: string): Promise<string> {
    return must(inside(this.ns(part), ["sh", "-ec", script]));
  }

  start(name: string, part: Part, argv: readonly string[]): Daemon {
    const daemon = new Daemon(name, inside(this.ns(part), argv), join(this.dir, `${name}-${++this.serial}.log`));
    this.daemons.push(daemon);
    return daemon;
  }

  /** Starts the router anew, with this value of `[lan] dhcp`, and waits until it serves. */
  async serve(dhcp: string, state?: string): Promise<void> {
    await this.boot(dhcp, state);
    await this.says(/lan\.dhcp /);
  }

  /** @param state a folder for what outlives a restart */
  async boot(dhcp: string, state?: string): Promise<void> {
    await this.router?.stop();
    const config = join(this.dir, `config-${++this.serial}`);
    mkdirSync(config);
    const wan = 'address = "203.0.113.5/24"\ngateway = "203.0.113.1"';
    writeFileSync(
      join(config, "appliance.toml"),
      `[wan]\n${wan}\n[lan]\naddress = "192.168.50.1/24"\ndhcp = ${dhcp}\n`,
    );
    const argv = [...morgana(), "appliance", "--wan", "w0", "--lan", "l1", "--config", config, "--log-level", "debug"];
    const environment = state === undefined ? [] : ["env", `STATE_DIRECTORY=${state}`];
    this.router = this.start("router", "rt", [...environment, ...argv]);
  }

  /** Waits for a line of the router, from character `from` of its log on. */
  async says(pattern: RegExp, from = 0): Promise<string> {
    const match = await this.router.says(pattern, PATIENCE, from);
    if (match === undefined)
      throw new Error(`the router did not say ${pattern} but: ${this.router.log().slice(-3000)}`);
    return match[0];
  }

  /** Has udhcpc give its address back. */
  async release(host: Host, client: Daemon, from = 0): Promise<void> {
    // It takes its address off the interface at once: by then the gateway's MAC must be known.
    expect((await run(inside(this.ns(host), ["ping", "-c", "1", "-W", "5", "192.168.50.1"]))).code).toBe(0);
    client.signal("SIGUSR2");
    await this.says(/lease\.released/, from);
  }

  /** What the lease script of a host was told so far. */
  given(host: Host): Given[] {
    const file = join(this.dir, `leases-${host}`);
    const lines = existsSync(file) ? readFileSync(file, "utf8").trim().split("\n") : [];
    return lines
      .filter((line) => line !== "")
      .map((line) => ({ reason: line.split(" ")[0]!, address: line.split(" ")[1]!, line }));
  }

  /** Waits for the next thing that a host is given after `before`. */
  async next(host: Host, before = 0): Promise<Given> {
    if ((await until(() => this.given(host).length > before, PATIENCE)) === undefined)
      throw new Error(`${host} was given nothing; the router: ${this.router.log().slice(-3000)}`);
    return this.given(host)[before]!;
  }

  private client(name: string, host: Host, argv: readonly string[]): Daemon {
    return this.start(name, host, ["env", `LEASES=${join(this.dir, `leases-${host}`)}`, ...argv]);
  }

  udhcpc(host: Host, ...more: string[]): Daemon {
    const script = join(this.dir, "lease-script");
    const times = ["-t", "10", "-T", "1", "-A", "1"];
    return this.client("udhcpc", host, [
      "udhcpc",
      "-f",
      "-i",
      "h0",
      "-s",
      script,
      ...times,
      "-x",
      `hostname:host-${host}`,
      ...more,
    ]);
  }

  dhclient(host: Host, ...more: string[]): Daemon {
    const file = (name: string): string => join(this.dir, `dhclient-${host}.${name}`);
    if (!existsSync(file("leases"))) writeFileSync(file("leases"), "");
    const known = [
      "-sf",
      join(this.dir, "lease-script"),
      "-cf",
      "/dev/null",
      "-lf",
      file("leases"),
      "-pf",
      file("pid"),
    ];
    return this.client("dhclient", host, [
      "dhclient",
      "-4",
      "-d",
      ...known,
      "-e",
      `LEASES=${join(this.dir, `leases-${host}`)}`,
      ...more,
      "h0",
    ]);
  }

  /** Ends what runs on the hosts, and takes their addresses. */
  async clear(): Promise<void> {
    for (const daemon of this.daemons.splice(0)) if (daemon !== this.router) await daemon.stop("SIGKILL");
    for (const host of HOSTS) {
      await this.sh(host, "ip -4 addr flush dev h0");
      rmSync(join(this.dir, `leases-${host}`), { force: true });
      rmSync(join(this.dir, `dhclient-${host}.leases`), { force: true });
    }
  }

  async close(): Promise<void> {
    for (const daemon of this.daemons) await daemon.stop("SIGKILL");
    await this.router?.stop();
    for (const part of ["rt", "sw", ...HOSTS] as const) removeNamespace(this.ns(part));
    rmSync(this.dir, { recursive: true, force: true });
  }
}

const POOL =
  '{ first = "192.168.50.100", last = "192.168.50.101", lease = 600, reserve = { "52:54:00:00:60:03" = "192.168.50.10" } }';

describe.skipIf(NO_WORLD || REFERENCE)("DHCP on the LAN", () => {
  const lan = new Lan();

  beforeAll(async () => {
    const missing = missingTools(TOOLS);
    if (missing.length > 0) throw new Error(`install ${missing.join(", ")} first (scripts/bootstrap says how)`);
    await lan.build();
  });
  beforeEach(() => lan.serve(POOL));
  afterEach(() => lan.clear());
  afterAll(() => lan.close());

  test("udhcpc gets an address of the pool, renews it, and gives it back", async () => {
    const client = lan.udhcpc("a");
    const first = await lan.next("a");
    expect(first.line).toMatch(
      /^bound 192\.168\.50\.10[01] mask=255\.255\.255\.0 router=192\.168\.50\.1 dns=192\.168\.50\.1 time=600 server=192\.168\.50\.1$/,
    );
    expect(await lan.says(/lease\.given .*/)).toContain(`address=${first.address} mac=52:54:00:00:60:01 name=host-a`);
    client.signal("SIGUSR1");
    expect(await lan.next("a", 1)).toMatchObject({ reason: "renew", address: first.address });
    await lan.says(/lease\.renewed/);
    await lan.release("a", client);
  });

  test("dhclient and dhcpcd at once, each with an address of its own, and a reservation outside the pool", async () => {
    lan.dhclient("a");
    const script = join(lan.dir, "lease-script");
    // Its data base, sockets and unprivileged half are left out of this machine's.
    const own = 'mount -t tmpfs none /run; mount -t tmpfs none /var/lib/dhcpcd; exec "$@"';
    const dhcpcd = [
      "dhcpcd",
      "-4",
      "-B",
      "-f",
      "/dev/null",
      "-c",
      script,
      "-e",
      `LEASES=${join(lan.dir, "leases-b")}`,
      "h0",
    ];
    lan.start("dhcpcd", "b", ["unshare", "-m", "sh", "-ec", own, "sh", ...dhcpcd]);
    lan.udhcpc("c");
    const [a, b, c] = [await lan.next("a"), await lan.next("b"), await lan.next("c")];
    expect([a.address, b.address].sort()).toEqual(["192.168.50.100", "192.168.50.101"]);
    expect(c.address).toBe("192.168.50.10");
    expect([a.reason, b.reason]).toEqual(["BOUND", "BOUND"]);
  });

  test("after a restart of the router a client that renews keeps its address, and so does one that reboots (INIT-REBOOT)", async () => {
    const renewing = lan.udhcpc("a");
    const rebooting = lan.dhclient("b");
    const [a, b] = [await lan.next("a"), await lan.next("b")];
    // Its script runs before it writes what it will ask to keep.
    const hasWritten = () => readFileSync(join(lan.dir, "dhclient-b.leases"), "utf8").includes(b.address);
    expect(await until(hasWritten, PATIENCE)).toBeDefined();
    await rebooting.stop("SIGKILL");
    await lan.sh("b", "ip -4 addr flush dev h0");
    await lan.serve(POOL);
    lan.dhclient("b");
    expect(await lan.next("b", 1)).toMatchObject({ reason: "REBOOT", address: b.address });
    renewing.signal("SIGUSR1");
    expect(await lan.next("a", 1)).toMatchObject({ reason: "renew", address: a.address });
  });

  test("with a folder for its state a restarted router gives nobody the address of a host that is away", async () => {
    const state = mkdtempSync(join(lan.dir, "state-"));
    await lan.serve(POOL, state);
    const away = lan.udhcpc("a");
    const { address } = await lan.next("a");
    await away.stop("SIGKILL");
    await lan.sh("a", "ip -4 addr flush dev h0");
    await lan.serve(POOL, state);
    await lan.says(/lease\.restored.*leases=1/);
    lan.udhcpc("b", "-r", address);
    const other = await lan.next("b");
    expect([address, other.address].sort()).toEqual(["192.168.50.100", "192.168.50.101"]);
  });

  test("systemd-networkd gets address, gateway and domain by DHCP, an address by advertisements, and resolvers of both", async () => {
    const own = join(lan.dir, "networkd");
    mkdirSync(join(own, "systemd/network"), { recursive: true });
    for (const folder of ["leases", "links", "lldp"])
      mkdirSync(join(own, "systemd/netif", folder), { recursive: true });
    const network = "[Match]\nName=h0\n[Network]\nDHCP=ipv4\nIPv6AcceptRA=yes\n[DHCPv4]\nHostname=nethost\n";
    writeFileSync(join(own, "systemd/network/h0.network"), network);
    // Where /sys can only be read it waits for no udev.
    const script =
      `chown -R systemd-network:systemd-network ${own}; mount --bind ${own} /run; mount -o remount,bind,ro /sys; ` +
      "exec /usr/lib/systemd/systemd-networkd";
    lan.start("networkd", "a", ["unshare", "-m", "sh", "-ec", script]);
    const said = (folder: string): string =>
      readdirSync(join(own, "systemd/netif", folder))
        .map((name) => readFileSync(join(own, "systemd/netif", folder, name), "utf8"))
        .join("");
    const hasBoth = () => /^DNS=192\.168\.50\.1 fd[0-9a-f:]+::1$/m.test(said("links"));
    expect(await until(hasBoth, PATIENCE)).toBeDefined();
    const lease = said("leases");
    const address = /^ADDRESS=(192\.168\.50\.10[01])$/m.exec(lease)?.[1];
    expect(lease).toMatch(/^ROUTER=192\.168\.50\.1$[\s\S]*^DOMAINNAME=lan$/m);
    expect(await lan.says(/lease\.given .*/)).toContain(`address=${address} mac=52:54:00:00:60:01 name=nethost`);
    expect(await lan.sh("a", "ip -6 addr show dev h0 scope global")).toMatch(/inet6 fd/);
  });

  test("a full pool gives nothing; what a client gives back the next one gets", async () => {
    const first = lan.udhcpc("a");
    lan.udhcpc("b");
    const [a] = [await lan.next("a"), await lan.next("b")];
    // Another MAC, so that the reservation is not its.
    await lan.sh("c", "ip link set h0 address 52:54:00:00:60:09");
    try {
      lan.udhcpc("c");
      await lan.says(/lease\.pool-full/);
      expect(lan.given("c")).toEqual([]);
      await lan.release("a", first);
      expect((await lan.next("c")).address).toBe(a!.address);
    } finally {
      await lan.sh("c", "ip link set h0 address 52:54:00:00:60:03");
    }
  });

  test("a host that uses an address of the pool keeps it: by our ARP, or where that does not reach it by the client's (DECLINE)", async () => {
    const client = lan.udhcpc("a");
    const { address } = await lan.next("a");
    const other = address.endsWith("100") ? "192.168.50.101" : "192.168.50.100";
    await lan.release("a", client);
    await client.stop("SIGKILL");
    await lan.sh("c", `ip addr add ${address}/24 dev h0`);
    const mark = lan.router.log().length;
    const second = lan.udhcpc("a");
    expect((await lan.next("a", 1)).address).toBe(other);
    await lan.says(/lease\.conflict .* a host without a lease uses/, mark);
    await lan.release("a", second, mark);
    await second.stop("SIGKILL");
    // The switch keeps the two apart, and the client between them hears both.
    await lan.serve(POOL);
    await lan.sh("sw", "ip link set sc type bridge_slave isolated on; ip link set sl1 type bridge_slave isolated on");
    try {
      lan.udhcpc("a", "-r", address, "-a500");
      expect((await lan.next("a", 2)).address).toBe(other);
      await lan.says(/lease\.conflict .* a client found that another host uses/);
    } finally {
      await lan.sh(
        "sw",
        "ip link set sc type bridge_slave isolated off; ip link set sl1 type bridge_slave isolated off",
      );
    }
  });

  test("where another DHCP server answers the router is silent, and says whose it is", async () => {
    await lan.router.stop();
    await lan.sh("c", "ip addr add 192.168.50.77/24 dev h0");
    const range = [
      "--dhcp-range=192.168.50.120,192.168.50.130,1h",
      `--dhcp-leasefile=${join(lan.dir, "other-leases")}`,
    ];
    const fixed = [
      "--no-daemon",
      "--conf-file=/dev/null",
      "--port=0",
      "--interface=h0",
      "--bind-interfaces",
      "--user=root",
      "--no-ping",
    ];
    const other = lan.start("dnsmasq", "c", ["dnsmasq", ...fixed, ...range]);
    expect(await other.says(/DHCP, IP range/, PATIENCE)).toBeDefined();
    await lan.boot(POOL);
    expect(await lan.says(/lan\.dhcp-off .*/)).toContain("another DHCP server (192.168.50.77) answers on the LAN");
    lan.udhcpc("a");
    expect((await lan.next("a")).line).toMatch(/^bound 192\.168\.50\.1[23]\d .* server=192\.168\.50\.77$/);
    expect(lan.router.log()).not.toContain("lease.given");
  });
});
