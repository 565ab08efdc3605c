import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseIpv4 } from "../lib/ip.ts";
import { seededRandom } from "../lib/random.ts";
import { addr, arp, Bed, cidr, frame, mac, ROUTER_MAC, side, udp } from "../netstack/testing/bed.ts";
import { arpSenderIp, arpTargetIp } from "../netstack/wire/arp.ts";
import {
  BOOT_REQUEST,
  DHCP_DISCOVER,
  DHCP_REQUEST,
  type DhcpMessage,
  dhcpAddresses,
  dhcpBuild,
  dhcpInt32,
  dhcpNumber,
  dhcpParse,
  OPTION_DNS,
  OPTION_DOMAIN,
  OPTION_HOSTNAME,
  OPTION_MESSAGE_TYPE,
  OPTION_MTU,
  OPTION_REQUESTED_ADDRESS,
  OPTION_SERVER_ID,
} from "../netstack/wire/dhcpv4.ts";
import { ETHERNET_HEADER_LEN, ETHERTYPE_ARP, etherType } from "../netstack/wire/ethernet.ts";
import { IPV4_HEADER_LEN, ipv4Dst } from "../netstack/wire/ipv4.ts";
import { StateStore } from "../platform/state/store.ts";
import { LanDhcp, type LanDhcpOptions } from "./lan-dhcp.ts";
import { defaultDhcp } from "./settings/dhcp.ts";

const UNIX = 1_790_000_000_000;
const HEADERS = ETHERNET_HEADER_LEN + IPV4_HEADER_LEN + 8;
const text = (word: number): string => [24, 16, 8, 0].map((shift) => (word >>> shift) & 255).join(".");

/** The server behind a LAN interface; frames in, frames and log lines out. */
function world(changes: Partial<LanDhcpOptions> = {}) {
  const bed = new Bed();
  const { it: lan, outlet } = side(bed, "lan");
  const address = cidr("192.168.50.1/24");
  lan.configure({ address });
  outlet.take();
  const lines: string[] = [];
  const dhcp = new LanDhcp({
    lan,
    mac: mac(ROUTER_MAC),
    address,
    hostname: "morgana",
    settings: { ...defaultDhcp(address), last: addr("192.168.50.101") },
    tunnelMtu: () => 65_535,
    nameService: undefined,
    slab: bed.slab,
    log: {
      enabled: () => true,
      write: (level, event, message, fields) =>
        void lines.push(`${level} ${event} ${message} ${JSON.stringify(fields ?? {})}`),
    },
    random: seededRandom(3),
    state: undefined,
    unixMs: () => UNIX,
    ...changes,
  });
  const w = { now: 1000, last: undefined as DhcpMessage | undefined };
  return {
    dhcp,
    lan,
    lines: () => lines.splice(0),
    last: () => w.last,
    now: () => w.now,
    start: () => dhcp.start(w.now),
    advance(ms: number): void {
      const end = w.now + ms;
      while (dhcp.pollAt() <= end) {
        w.now = Math.max(w.now, dhcp.pollAt());
        dhcp.handleTimeout(w.now);
      }
      w.now = end;
    },
    receive(...frames: Uint8Array[]): void {
      lan.ingest(w.now, bed.receive(...frames));
      if (dhcp.pollAt() <= w.now) dhcp.handleTimeout(w.now);
    },
    /** "arp 192.168.50.100 from 0.0.0.0", "offer to 52:54:... 192.168.50.100". */
    sent(): string[] {
      return outlet.take().map(({ view, bytes }) => {
        if (etherType(view, 0) === ETHERTYPE_ARP) {
          const [target, sender] = [arpTargetIp, arpSenderIp].map((read) => text(read(view, ETHERNET_HEADER_LEN)));
          return `arp ${target} from ${sender}`;
        }
        w.last = dhcpParse(bytes.slice(HEADERS)) as DhcpMessage;
        const type = dhcpNumber(w.last, OPTION_MESSAGE_TYPE, 1);
        return `${type} to ${bytes.slice(0, 6).toHex()} ${text(ipv4Dst(view, ETHERNET_HEADER_LEN))}`;
      });
    },
  };
}

/** What host `n` broadcasts. */
function says(n: number, type: number, options: [number, Uint8Array][] = []): Uint8Array {
  const chaddr = { hi: 0x5254, lo: n };
  const fixed = { op: BOOT_REQUEST, xid: n, secs: 0, flags: 0, ciaddr: 0, yiaddr: 0, siaddr: 0, giaddr: 0, chaddr };
  const payload = dhcpBuild({ ...fixed, options: new Map([[OPTION_MESSAGE_TYPE, Uint8Array.of(type)], ...options]) });
  const packet = udp({ src: "0.0.0.0", dst: "255.255.255.255" }, 68, 67, payload);
  return frame(packet, "ff:ff:ff:ff:ff:ff", `52:54:00:00:00:${n.toString(16).padStart(2, "0")}`);
}

const asks = (n: number, address: string, name: string): Uint8Array =>
  says(n, DHCP_REQUEST, [
    [OPTION_REQUESTED_ADDRESS, dhcpInt32(parseIpv4(address)!.w3)],
    [OPTION_SERVER_ID, dhcpInt32(parseIpv4("192.168.50.1")!.w3)],
    [OPTION_HOSTNAME, new TextEncoder().encode(name)],
  ]);

test("a host gets an address without having answered ARP for it, after everybody was asked for it", () => {
  const w = world();
  w.start();
  w.advance(4000);
  expect(w.sent().filter((s) => s.startsWith("1 to ffffffffffff"))).toHaveLength(3);
  expect(w.lines()).toEqual([
    'info lan.dhcp  {"first":"192.168.50.100","last":"192.168.50.101","lease":3600}',
    expect.stringMatching(/^info lan\.dhcp-without-dns DHCP clients are told of no DNS server/),
  ]);
  w.receive(says(9, DHCP_DISCOVER));
  const [probe] = w.sent() as [string];
  expect(probe).toMatch(/^arp 192\.168\.50\.10[01] from 0\.0\.0\.0$/);
  const address = probe.split(" ")[1] as string;
  w.advance(500);
  expect(w.sent()).toEqual([probe, `2 to 525400000009 ${address}`]);
  w.receive(asks(9, address, "alpha"));
  expect(w.sent()).toEqual([`5 to 525400000009 ${address}`]);
  expect(w.lines()).toEqual([`info lease.given  {"address":"${address}","mac":"52:54:00:00:00:09","name":"alpha"}`]);
  expect(w.dhcp.names.addressesOf("alpha").map(String)).toEqual([address]);
  expect(w.last()?.options.has(OPTION_DNS)).toBe(false);
});

test("who answers for an address by ARP keeps it from being given, whomever the answer is for", () => {
  const w = world();
  w.start();
  w.advance(4000);
  w.sent();
  w.lines();
  w.receive(says(9, DHCP_DISCOVER));
  const taken = (w.sent()[0] as string).split(" ")[1] as string;
  // As a host answers a probe: to the MAC, for the address 0.0.0.0.
  w.receive(arp(2, taken, "0.0.0.0", "52:54:00:00:00:77"));
  const other = taken === "192.168.50.100" ? "192.168.50.101" : "192.168.50.100";
  expect(w.sent()).toEqual([`arp ${other} from 0.0.0.0`]);
  expect(w.lines()).toEqual([
    expect.stringMatching(/^warn lease\.conflict a host without a lease uses 192\.168\.50\.10/),
  ]);
  w.advance(500);
  expect(w.sent()).toEqual([`arp ${other} from 0.0.0.0`, `2 to 525400000009 ${other}`]);
});

test("hosts are told of the name service and of the tunnel's MTU where they are there", () => {
  const facts = { mtu: 65_535 };
  const nameService = { server: addr("192.168.50.1"), domain: "lan" };
  const w = world({ nameService, tunnelMtu: () => facts.mtu });
  w.start();
  w.advance(4000);
  expect(w.lines()).toHaveLength(1);
  w.receive(says(9, DHCP_DISCOVER));
  w.advance(500);
  w.sent();
  expect(dhcpAddresses(w.last()!, OPTION_DNS)).toEqual([parseIpv4("192.168.50.1")!.w3]);
  expect(new TextDecoder().decode(w.last()!.options.get(OPTION_DOMAIN))).toBe("lan");
  expect(w.last()!.options.has(OPTION_MTU)).toBe(false);
  facts.mtu = 1420;
  w.receive(says(9, DHCP_DISCOVER));
  w.sent();
  expect(dhcpNumber(w.last()!, OPTION_MTU, 2)).toBe(1420);
});

test("what hosts make the log say is bounded", () => {
  const w = world();
  w.start();
  w.advance(4000);
  w.lines();
  for (let n = 1; n < 3; n++) w.receive(says(n, DHCP_DISCOVER));
  w.advance(500);
  for (let n = 3; n < 90; n++) w.receive(says(n, DHCP_DISCOVER));
  expect(w.lines().filter((line) => /lease\.pool-full a host got no address/.test(line))).toHaveLength(1);
  const address = [...Array(2)].map((_, i) => `192.168.50.${100 + i}`);
  for (let i = 0; i < 400; i++) {
    w.advance(60);
    w.receive(asks(1, address[0]!, `host-${i}`), asks(2, address[1]!, `host-${i}`));
  }
  expect(w.lines().length).toBeLessThan(250);
  expect(w.dhcp.drops.snapshot()).toMatchObject({ "pool-full": expect.any(Number) });
});

test("leases outlive a restart where there is a folder for it: nobody else is given them, and their names are known", async () => {
  const folder = mkdtempSync(join(tmpdir(), "morgana-leases-"));
  const log = { enabled: () => true, write: () => {} };
  const open = () => {
    const state = new StateStore(folder, folder, log);
    return {
      state,
      w: world({ state, settings: { ...defaultDhcp(cidr("192.168.50.1/24")), last: addr("192.168.50.100") } }),
    };
  };
  try {
    const before = open();
    before.w.dhcp.restore(before.w.now());
    before.w.start();
    before.w.advance(4000);
    before.w.receive(says(9, DHCP_DISCOVER));
    before.w.advance(500);
    before.w.receive(asks(9, "192.168.50.100", "alpha"));
    before.state.hurry(before.w.now());
    for (before.state.poll(before.w.now()); !before.state.isIdle(before.w.now()); ) await Bun.sleep(1);

    const { w } = open();
    w.dhcp.restore(w.now());
    expect(w.lines()).toEqual(['info lease.restored  {"leases":1}']);
    w.start();
    w.advance(4000);
    w.sent();
    w.receive(says(8, DHCP_DISCOVER));
    w.advance(500);
    expect(w.sent()).toEqual([]);
    w.receive(says(9, DHCP_DISCOVER));
    expect(w.sent()).toEqual(["2 to 525400000009 192.168.50.100"]);
    expect(w.dhcp.names.addressesOf("alpha").map(String)).toEqual(["192.168.50.100"]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
