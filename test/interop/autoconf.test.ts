/**
 * IPv6 by the network against real neighbours: on the WAN radvd, dnsmasq and Kea tell us what we are, on the LAN the Linux kernel and
 * rdisc6 hear what we tell. Each neighbour is a kernel in a namespace of its own.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { Lan6 } from "../../src/appliance/lan6.ts";
import { AutoSource6 } from "../../src/appliance/source6.ts";
import { Uplink6 } from "../../src/appliance/uplink6.ts";
import { Batch, MAX_SEGMENTS } from "../../src/lib/batch.ts";
import { BoundedLog } from "../../src/lib/bounded-log.ts";
import { type Cidr, parseCidr } from "../../src/lib/cidr.ts";
import type { Log } from "../../src/lib/log.ts";
import type { Outlet } from "../../src/lib/outlet.ts";
import { seededRandom } from "../../src/lib/random.ts";
import { Arena } from "../../src/lib/slab.ts";
import { type EthernetInterface, ethernetInterface } from "../../src/netstack/interface.ts";
import { PACKET_DEVICE_BYTES, PacketDevice } from "../../src/platform/dev/packet.ts";
import { NativeMemory } from "../../src/platform/sys/memory.ts";
import { canMakeNamespaces, makeVethWorld, type VethWorld } from "../support/veth.ts";

const DNSMASQ = "--no-daemon --port=0 --conf-file=/dev/null --user=root --leasefile-ro --interface=b1 --log-dhcp";
const REGION = 1 << 18;
const PATH = `${process.env["PATH"]}:/usr/sbin:/sbin`;
const ready =
  canMakeNamespaces && ["radvd", "dnsmasq", "kea-dhcp6", "rdisc6"].every((p) => Bun.which(p, { PATH }) !== null);

/** Not keyed, and another one for each input. */
const prf = (input: Uint8Array): Uint8Array => new Bun.CryptoHasher("sha256").update(input).digest();

/** An interface on a device of this namespace. */
class Side {
  readonly iface: EthernetInterface;
  readonly device: PacketDevice;
  readonly memory = new NativeMemory(PACKET_DEVICE_BYTES + 3 * REGION);
  readonly outlet: Outlet;
  readonly #rx = new Batch(64);

  constructor(name: "wan" | "lan", device: string) {
    const arena = (): Arena => {
      const piece = this.memory.take(REGION - 64, 64);
      return new Arena(this.memory, piece.at, piece.at + piece.length);
    };
    this.device = PacketDevice.open(device, this.memory);
    const batch = new Batch(64);
    const own = arena();
    this.outlet = {
      batch,
      arena: own,
      flush: () => {
        this.device.send(batch);
        batch.clear();
        own.reset();
      },
    };
    this.iface = ethernetInterface({
      slab: this.memory,
      outlet: this.outlet,
      arena: own,
      scratch: arena(),
      random: seededRandom(2),
      name,
      mac: this.device.mac,
      mtu: 1500,
      policy:
        name === "lan" ? { echo: true, errors: true, announce: true } : { echo: false, errors: false, announce: false },
    });
  }

  turn(now: number, part: { pollAt(): number; handleTimeout(now: number): void }): void {
    this.device.receive(this.#rx, MAX_SEGMENTS);
    this.iface.ingest(now, this.#rx);
    if (this.iface.pollAt() <= now) this.iface.handleTimeout(now);
    if (part.pollAt() <= now) part.handleTimeout(now);
    this.outlet.flush();
  }
}

describe.skipIf(!ready)("IPv6 by the network", () => {
  let world: VethWorld;
  let folder: string;
  let server: Bun.Subprocess<"pipe", "pipe", "pipe"> | undefined;
  const log: string[] = [];
  const sink: Log = {
    enabled: () => true,
    write: (_level, event, message, fields) =>
      void log.push(
        [event, message, ...Object.entries(fields ?? {}).map(([k, v]) => `${k}=${v}`)]
          .filter((s) => s !== "")
          .join(" "),
      ),
  };
  const heard = new BoundedLog(sink, 600, 100);

  const file = (name: string, text: string): string => {
    writeFileSync(`${folder}/${name}`, text);
    return `${folder}/${name}`;
  };
  const serve = (command: string): void => {
    server = world.spawn("b", command.split(" "));
  };
  /** Until the server's log has these words. */
  const told = async (words: string): Promise<void> => {
    const decoder = new TextDecoder();
    let text = "";
    for await (const chunk of (server as Bun.Subprocess<"pipe", "pipe", "pipe">).stderr) {
      text += decoder.decode(chunk);
      if (text.includes(words)) return;
    }
    throw new Error(`the server did not say ${words}: ${text}`);
  };
  const stop = async (signal: "SIGTERM" | "SIGKILL" = "SIGTERM"): Promise<void> => {
    server?.kill(signal);
    await server?.exited;
    server = undefined;
  };
  const radvd = (interfaceOptions: string): void => {
    const conf = `interface b1 { AdvSendAdvert on; MinRtrAdvInterval 3; MaxRtrAdvInterval 4; ${interfaceOptions} };`;
    serve(`radvd -n -m stderr -C ${file("radvd.conf", conf)} -p ${folder}/radvd.pid`);
  };

  beforeAll(() => {
    folder = mkdtempSync(`${tmpdir()}/morgana-autoconf-`);
    world = makeVethWorld("auto");
    world.run(
      "b",
      "sysctl -qw net.ipv6.conf.b1.disable_ipv6=0 net.ipv6.conf.b1.forwarding=1 net.ipv6.conf.b1.accept_dad=0",
    );
    world.run("b", "ip addr add 2001:db8:1::1/64 dev b1 nodad; ip addr add fe80::b/64 dev b1 nodad");
    world.run("a", "ip link set c0 up");
  });
  afterAll(async () => {
    await stop("SIGKILL");
    world?.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  describe("WAN", () => {
    let side: Side;
    let uplink: Uplink6;

    /** A new interface and uplink on the link, and turns until lines of the log begin so. */
    const start = (): void => {
      log.length = 0;
      side = new Side("wan", "b0");
      const source = new AutoSource6({
        wan: side.iface,
        slab: side.memory,
        mac: side.device.mac,
        random: seededRandom(7),
        prf,
        heard,
      });
      uplink = new Uplink6({
        wan: side.iface,
        source,
        log: sink,
        heard,
        events: {
          up: () => void log.push("up"),
          resolvers: (servers) => void log.push(`dns ${servers}`),
          down: (_now, reason) => void log.push(`down ${reason}`),
        },
      });
      uplink.start(performance.now());
    };
    const until = async (...begins: string[]): Promise<void> => {
      while (!begins.every((b) => log.some((line) => line.startsWith(b)))) {
        side.turn(performance.now(), uplink);
        await Bun.sleep(2);
      }
    };
    const addresses = (): string[] => side.iface.v6.addressing.addresses.map(({ value, state }) => `${value} ${state}`);

    test("radvd: an address in its prefix, the router, MTU, hop limit and DNS servers; its goodbye is heard", async () => {
      radvd(
        "AdvLinkMTU 1400; AdvCurHopLimit 50; prefix 2001:db8:1::/64 {}; RDNSS 2001:db8:1::53 { AdvRDNSSLifetime 60; };",
      );
      start();
      await until("up", "dns 2001:db8:1::53");
      const configured = log.find((line) => line.startsWith("wan.configured"));
      expect(configured).toMatch(/^wan\.configured address=2001:db8:1:0:[0-9a-f:]+ gateway=fe80::[0-9a-f:]+ mtu=1400 /);
      expect(side.iface.v6.addressing.hopLimit).toBe(50);
      expect(addresses()).toHaveLength(2);
      await stop();
      await until("down no IPv6 router is left on the WAN");
    }, 30_000);

    test("dnsmasq, stateless: DNS servers by DHCPv6 beside an address of our own", async () => {
      const ra =
        "--enable-ra --dhcp-range=2001:db8:1::,ra-stateless,64,600 --dhcp-option=option6:dns-server,[2001:db8:1::54]";
      serve(`dnsmasq ${DNSMASQ} ${ra} --ra-param=b1,4,60`);
      start();
      await until("up", "dns 2001:db8:1::54");
      expect(addresses().filter((a) => a.startsWith("2001:db8:1:") && a.endsWith(" usable"))).toHaveLength(1);
      await told("DHCPINFORMATION-REQUEST(b1)");
      await stop();
    }, 30_000);

    test("dnsmasq, stateful: its address, committed at once", async () => {
      const ra = "--enable-ra --dhcp-range=2001:db8:1::1000,2001:db8:1::10ff,64,1h --ra-param=b1,4,60";
      serve(`dnsmasq ${DNSMASQ} ${ra}`);
      start();
      await until("up");
      expect(addresses().filter((a) => a.startsWith("2001:db8:1::10") && a.endsWith(" usable"))).toHaveLength(1);
      await told("DHCPREPLY(b1)");
      await stop();
    }, 30_000);

    test("Kea, stateful: its address, declined where another kernel has it, and given back at the end", async () => {
      world.run("b", "ip addr add 2001:db8:1::100/64 dev b1 nodad");
      radvd("AdvManagedFlag on; prefix 2001:db8:1::/64 { AdvAutonomous off; };");
      const subnet = {
        id: 1,
        subnet: "2001:db8:1::/64",
        interface: "b1",
        pools: [{ pool: "2001:db8:1::100-2001:db8:1::101" }],
        "rapid-commit": false,
      };
      const kea = {
        Dhcp6: {
          "data-directory": folder,
          "interfaces-config": {
            interfaces: ["b1"],
            "service-sockets-max-retries": 50,
            "service-sockets-retry-wait-time": 100,
          },
          "lease-database": { type: "memfile", persist: true, name: `${folder}/leases.csv`, "lfc-interval": 0 },
          "preferred-lifetime": 20,
          "valid-lifetime": 30,
          "renew-timer": 2,
          "rebind-timer": 10,
          "option-data": [{ name: "dns-servers", data: "2001:db8:1::55" }],
          subnet6: [subnet],
          loggers: [{ name: "kea-dhcp6", severity: "INFO", output_options: [{ output: "stdout" }] }],
        },
      };
      const radvdProcess = server;
      serve(
        `env KEA_PIDFILE_DIR=${folder} KEA_LOCKFILE_DIR=none kea-dhcp6 -c ${file("kea.json", JSON.stringify(kea))}`,
      );
      start();
      await until("up", "dns 2001:db8:1::55");
      expect(
        log.some((line) =>
          /^wan\.conflict another host .* uses our WAN address 2001:db8:1::100; the DHCPv6/.test(line),
        ),
      ).toBe(true);
      expect(log.find((line) => line.startsWith("wan.configured"))).toContain("address=2001:db8:1::101 gateway=fe80::");
      const leases = (): string => readFileSync(`${folder}/leases.csv`, "utf8");
      /** Lines of the address: address,duid,valid,expire,...,state. Each renewal appends one. */
      const lines = (): string[] =>
        leases()
          .split("\n")
          .filter((line) => line.startsWith("2001:db8:1::101,"));
      const before = lines().length;
      while (lines().length === before) {
        side.turn(performance.now(), uplink);
        await Bun.sleep(2);
      }
      uplink.leave(performance.now());
      side.outlet.flush();
      // One that is given back is written with no lifetime left.
      while (lines().at(-1)?.split(",")[2] !== "0") await Bun.sleep(10);
      await stop();
      radvdProcess?.kill();
      await radvdProcess?.exited;
    }, 60_000);
  });

  describe("LAN", () => {
    const NETWORK = parseCidr("fd12:3456:789a::1/64") as Cidr;
    const routes = (): string => world.run("c", "ip -6 route show default");

    test("the kernel takes an address of the prefix, and a default route only while there is a way out; rdisc6 reads it all", async () => {
      const side = new Side("lan", "c0");
      const own = {
        lan: side.iface,
        device: "c0",
        mac: side.device.mac,
        address: NETWORK,
        prf,
        random: seededRandom(3),
        log: sink,
        heard,
      };
      const make = (): Lan6 => new Lan6(own);
      let lan = make();
      const until = async (done: () => boolean): Promise<void> => {
        while (!done()) {
          for (let k = 0; k < 10; k++) {
            side.turn(performance.now(), lan);
            await Bun.sleep(2);
          }
        }
      };
      world.run(
        "c",
        "sysctl -qw net.ipv6.conf.c1.accept_ra=1 net.ipv6.conf.c1.forwarding=0 net.ipv6.conf.c1.disable_ipv6=0",
      );
      lan.tell(0, { isDefaultRouter: true, dns: [NETWORK.address], domains: ["lan"], mtu: 1380 });
      lan.start(performance.now());
      await until(() =>
        /inet6 fd12:3456:789a:0:.*scope global (?!tentative)/.test(world.run("c", "ip -6 addr show dev c1")),
      );
      expect(routes()).toContain("default via fe80::");
      expect(world.run("c", "cat /proc/sys/net/ipv6/conf/c1/mtu").trim()).toBe("1380");
      const pinging = world.spawn("c", ["ping", "-6", "-c1", "-W5", `${NETWORK.address}`]);
      const asking = world.spawn("c", ["rdisc6", "-1", "-w", "5000", "c1"]);
      await until(() => pinging.exitCode !== null && asking.exitCode !== null);
      expect(pinging.exitCode).toBe(0);
      const text = (await new Response(asking.stdout).text()).replace(/\s+/g, " ");
      expect(text).toMatch(/Router lifetime : 1800 \(0x00000708\) seconds/);
      expect(text).toContain("Prefix : fd12:3456:789a::/64");
      expect(text).toContain("Recursive DNS server : fd12:3456:789a::1");
      expect(text).toContain("DNS search list : lan");
      expect(text).toContain("MTU : 1380 bytes");
      lan.tell(performance.now(), { isDefaultRouter: false });
      await until(() => routes() === "");
      expect(world.run("c", "ip -6 addr show dev c1")).toContain("inet6 fd12:3456:789a:0:");

      // The goodbye of another one.
      side.iface.unconfigure6();
      lan = make();
      lan.tell(0, { isDefaultRouter: true });
      lan.start(performance.now());
      await until(() => routes().includes("default via fe80::"));
      lan.leave(performance.now());
      side.outlet.flush();
      while (routes() !== "") await Bun.sleep(10);
    }, 60_000);
  });
});
