/**
 * The DHCP and DNS clients over the stack's own UDP against dnsmasq in another namespace. The clients' time is virtual:
 * a lease of two minutes is renewed, rebound and refused in no time; dnsmasq does not see the difference.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { DEFAULT_SETTINGS } from "../../src/appliance/settings/settings.ts";
import { Uplink } from "../../src/appliance/uplink.ts";
import { Batch, MAX_SEGMENTS } from "../../src/lib/batch.ts";
import { formatIpv4, IpAddress, parseIp } from "../../src/lib/ip.ts";
import type { Outlet } from "../../src/lib/outlet.ts";
import { seededRandom } from "../../src/lib/random.ts";
import { Arena } from "../../src/lib/slab.ts";
import { DhcpClient, type DhcpEvent } from "../../src/netstack/dhcp4/client.ts";
import { leaseConfig } from "../../src/netstack/dhcp4/lease.ts";
import { DnsClient, type DnsEvent } from "../../src/netstack/dns/client.ts";
import { type EthernetInterface, ethernetInterface } from "../../src/netstack/interface.ts";
import type { UdpSocket } from "../../src/netstack/socket/udp-socket.ts";
import { addr, cidr, ip } from "../../src/netstack/testing/bed.ts";
import { PACKET_DEVICE_BYTES, PacketDevice } from "../../src/platform/dev/packet.ts";
import { NativeMemory } from "../../src/platform/sys/memory.ts";
import { canMakeNamespaces, makeVethWorld, type VethWorld } from "../support/veth.ts";

const REGION = 1 << 18;
const SERVER = ip("10.99.0.2");
const ready = canMakeNamespaces && Bun.which("dnsmasq", { PATH: `${process.env["PATH"]}:/usr/sbin:/sbin` }) !== null;

describe.skipIf(!ready)("dnsmasq", () => {
  let world: VethWorld;
  let wan: EthernetInterface;
  let turn: () => Promise<void>;
  let bytes: Uint8Array;
  let slice: (at: number, len: number) => Uint8Array;
  let mac: { hi: number; lo: number };
  let server: Bun.Subprocess<"pipe", "pipe", "pipe"> | undefined;

  /** Starts dnsmasq, or starts it anew with another pool, without leases. */
  const serve = async (first: string, last: string): Promise<void> => {
    await stop();
    const fixed =
      "--no-daemon --no-resolv --no-hosts --conf-file=/dev/null --user=root --leasefile-ro --dhcp-authoritative";
    const dhcp =
      "--no-ping --dhcp-option=option:dns-server,10.99.0.2,10.99.0.9 --dhcp-option=option:mtu,1400 --domain=lan.example";
    const routes = "--dhcp-option=option:router,10.99.0.2 --dhcp-option=121,10.50.0.0/16,10.99.0.7,0.0.0.0/0,10.99.0.8";
    const dns =
      "--local=/example/ --host-record=vpn.example,203.0.113.7,2001:db8::7 --host-record=four.example,203.0.113.4 --address=/blocked.example/0.0.0.0";
    const more = "--cname=alias.example,vpn.example --local-ttl=77";
    const range = `--dhcp-range=${first},${last},255.255.255.0,120`;
    server = world.spawn("b", `dnsmasq ${fixed} ${dhcp} ${routes} ${dns} ${more} ${range} --interface=b1`.split(" "));
    const listens = (): boolean => {
      const sockets = world.run("b", "cat /proc/net/udp");
      return sockets.includes(":0035 ") && sockets.includes(":0043 ");
    };
    while (!listens()) {
      if (server.exitCode !== null) throw new Error(`dnsmasq ended: ${await new Response(server.stderr).text()}`);
      await Bun.sleep(20);
    }
  };
  const stop = async (): Promise<void> => {
    server?.kill();
    await server?.exited;
    server = undefined;
  };

  beforeAll(async () => {
    world = makeVethWorld("svc");
    await serve("10.99.0.100", "10.99.0.110");
    const memory = new NativeMemory(PACKET_DEVICE_BYTES + 3 * REGION);
    const device = PacketDevice.open("b0", memory);
    mac = device.mac;
    const arena = (): Arena => {
      const piece = memory.take(REGION - 64, 64);
      return new Arena(memory, piece.at, piece.at + piece.length);
    };
    const outlet: Outlet = {
      batch: new Batch(64),
      arena: arena(),
      flush() {
        device.send(outlet.batch);
        outlet.batch.clear();
        outlet.arena.reset();
      },
    };
    const policy = { echo: false, errors: false, announce: false };
    const own = { arena: outlet.arena, scratch: arena(), random: seededRandom(2) };
    wan = ethernetInterface({ slab: memory, outlet, ...own, name: "wan", mac, mtu: 1500, policy });
    const rx = new Batch(64);
    bytes = memory.bytes;
    slice = (at, len) => memory.bytes.slice(at, at + len);
    turn = async () => {
      outlet.flush();
      await Bun.sleep(2);
      device.receive(rx, MAX_SEGMENTS);
      wan.ingest(performance.now(), rx);
      if (wan.pollAt() <= performance.now()) wan.handleTimeout(performance.now());
      outlet.flush();
    };
  });
  afterAll(async () => {
    await stop();
    world?.remove();
  });

  test("a lease is given, kept over a flap, renewed, rebound, refused after the pool moved, and given back", async () => {
    const client = new DhcpClient({ mac, hostname: "morgana", random: seededRandom(3) });
    let now = 1000;
    const ignored: string[] = [];
    const socket = wan.bindUdp(68, {
      onDatagram: (_now, address, port, at, len) => {
        const drop = client.handle(now, { socket: 0, peer: { address, port }, payload: slice(at, len) });
        if (drop !== undefined) ignored.push(drop);
      },
    }) as UdpSocket;
    /** Exchanges messages until something happens to the lease; the test's time bounds it. */
    const next = async (): Promise<DhcpEvent> => {
      for (;;) {
        const event = client.pollEvent();
        if (event) {
          if (event.kind === "nak") wan.unconfigure();
          else wan.configure(leaseConfig(event.lease));
          return event;
        }
        for (let t = client.pollTransmit(); t; t = client.pollTransmit()) {
          wan.sendUdp(performance.now(), socket, t.peer.address, t.peer.port, t.payload);
        }
        await turn();
      }
    };
    const to = (at: number): void => {
      now = at;
      client.handleTimeout(now);
    };

    client.start(now);
    const bound = await next();
    expect(bound).toMatchObject({
      kind: "bound",
      lease: {
        prefix: 24,
        gateway: ip("10.99.0.8"),
        routes: [
          { network: ip("10.50.0.0"), prefix: 16, gateway: ip("10.99.0.7") },
          { network: 0, prefix: 0, gateway: ip("10.99.0.8") },
        ],
        dns: [SERVER, ip("10.99.0.9")],
        mtu: 1400,
        serverId: SERVER,
        t1: 61_000,
        t2: 106_000,
        expires: 121_000,
      },
    });
    const { address } = bound.lease;
    expect(formatIpv4(address)).toMatch(/^10\.99\.0\.1(0\d|10)$/);

    to(client.pollAt());
    expect(client.state).toBe("renewing");
    expect(await next()).toMatchObject({ kind: "renewed", lease: { address, expires: 61_000 + 120_000 } });

    to(client.pollAt());
    while (client.pollTransmit()); // the renewal is lost
    to(client.lease?.t2 as number);
    expect(client.state).toBe("rebinding");
    expect(await next()).toMatchObject({ kind: "renewed", lease: { address } });

    client.stop();
    wan.unconfigure();
    client.start(now);
    expect(client.state).toBe("rebooting");
    expect(await next()).toMatchObject({ kind: "bound", lease: { address } });

    await serve("10.99.0.150", "10.99.0.160");
    to(client.pollAt());
    expect(await next()).toMatchObject({ kind: "nak", lease: { address } });
    const moved = await next();
    expect(moved.kind).toBe("bound");
    expect(formatIpv4(moved.lease.address)).toMatch(/^10\.99\.0\.1(5\d|60)$/);
    expect(ignored).toEqual([]);
    client.release();
    expect(client.pollTransmit()?.peer).toEqual({ address: IpAddress.fromIpv4(SERVER), port: 67 });
    wan.closeUdp(socket);
  });

  test("names: both families, one, an alias, none; a port of its own for each question", async () => {
    wan.configure({ address: cidr("10.99.0.1/24") });
    const client = new DnsClient({ random: seededRandom(4) });
    client.setServers([addr("10.99.0.2")]);
    const ports = new Set<number>();
    const look = async (name: string): Promise<DnsEvent> => {
      const id = client.query(performance.now(), name);
      const socket = wan.bindUdp(0, {
        onDatagram: (now, address, port, at, len) =>
          client.handle(now, { socket: id, peer: { address, port }, payload: slice(at, len) }),
      }) as UdpSocket;
      ports.add(socket.port);
      for (;;) {
        const now = performance.now();
        for (let t = client.pollTransmit(); t; t = client.pollTransmit())
          wan.sendUdp(now, socket, t.peer.address, t.peer.port, t.payload);
        await turn();
        if (client.pollAt() <= performance.now()) client.handleTimeout(performance.now());
        const event = client.pollEvent();
        if (!event) continue;
        wan.closeUdp(socket);
        return event;
      }
    };
    const vpn = { kind: "answer", ipv4: [addr("203.0.113.7")], ipv6: [parseIp("2001:db8::7")], stale: undefined };
    expect(await look("vpn.example")).toMatchObject(vpn);
    expect(await look("ALIAS.example.")).toMatchObject(vpn);
    expect(await look("four.example")).toMatchObject({ kind: "answer", ipv4: [addr("203.0.113.4")], ipv6: [] });
    expect(await look("blocked.example")).toMatchObject({ kind: "failed", reason: "blocked" });
    expect(await look("none.example")).toMatchObject({ kind: "failed", reason: "nxdomain" });
    expect(await look("other.test")).toMatchObject({ kind: "failed", reason: "refused" });
    expect(await look("vpn.example")).toMatchObject(vpn);
    expect(ports.size).toBe(7);
  });

  test("an address that another kernel has is declined, and another one asked for (RFC 2131 4.4.1)", async () => {
    const log: string[] = [];
    const uplink = new Uplink({
      wan,
      settings: DEFAULT_SETTINGS,
      slab: { bytes },
      mac,
      log: { enabled: () => true, write: (_level, event, message) => void log.push(`${event} ${message}`) },
      random: seededRandom(5),
      events: {
        up: () => void log.push(`up ${`${wan.address?.address}`}`),
        resolvers: () => {},
        down: (_now, reason) => void log.push(`down ${reason}`),
      },
    });
    const step = async (): Promise<void> => {
      await turn();
      if (uplink.pollAt() <= performance.now()) uplink.handleTimeout(performance.now());
    };
    /** A lease on a server that knows of none, and what the next 200 ms bring. */
    const lease = async (): Promise<string[]> => {
      await serve("10.99.0.170", "10.99.0.171");
      log.length = 0;
      uplink.stop(performance.now(), "stopped");
      uplink.start(performance.now());
      for (let i = 0; i < 1000 && !log.some((l) => l.startsWith("up ")); i++) await step();
      for (let i = 0; i < 100; i++) await step();
      return log.filter((l) => /^(up|down) /.test(l));
    };
    wan.unconfigure();
    const [first, ...more] = await lease();
    expect([first, more]).toEqual([expect.stringMatching(/^up 10\.99\.0\.17[01]$/), []]);
    const taken = `${wan.address?.address}`;
    world.run("b", `ip addr add ${taken}/32 dev lo`);
    const other = taken.replace(/.$/, (last) => (last === "0" ? "1" : "0"));
    const [up, down] = (await lease()).slice(-2);
    expect(up).toBe(`up ${taken}`);
    expect(down).toMatch(new RegExp(`^down another host .* uses our WAN address ${taken}; the DHCP server is asked`));
    expect(wan.configured).toBe(false);
    log.length = 0;
    uplink.handleTimeout(uplink.pollAt());
    world.run("b", `ip addr add ${other}/32 dev lo`);
    for (let i = 0; i < 1000 && !wan.configured; i++) await step();
    expect(log).toContain(`up ${other}`);
    // One host that has every address that we are given is an ARP proxy: the lease is kept, and the conflict is named.
    for (let i = 0; i < 1000 && !log.some((l) => l.startsWith("wan.conflict")); i++) await step();
    expect(wan.configured).toBe(true);
    expect(log.at(-1)).toMatch(/^wan\.conflict another host/);
  });
});
