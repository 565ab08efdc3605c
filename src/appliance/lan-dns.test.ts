/** DNS for the LAN as it is joined: frames of hosts in, packets into the tunnel out; which servers count, and what the log says. */
import { beforeEach, describe, expect, test } from "bun:test";
import { seededRandom } from "../lib/random.ts";
import { slabOver } from "../lib/slab.ts";
import type { TunnelInterface } from "../netstack/interface.ts";
import { NAT_IPV4 } from "../netstack/nat/ip4.ts";
import { Nat } from "../netstack/nat/nat.ts";
import { Router } from "../netstack/router.ts";
import { PagePool } from "../netstack/tcp/pages.ts";
import { arp, Bed, cidr, frame, ip, type RecordingOutlet, side, tunnelSide, udp } from "../netstack/testing/bed.ts";
import { frame6, HOST_LL, solicit6, udp6 } from "../netstack/testing/bed6.ts";
import { A, AAAA, decodeDns, encodeDns, ipv4, QR, RA } from "../netstack/testing/dns.ts";
import { libsslTls } from "../platform/crypto/tls.ts";
import type { Material } from "../protocol/config/types.ts";
import { parseTunnelOptions, type Tunnel } from "../protocol/push/tunnel-options.ts";
import { LanDns } from "./lan-dns.ts";
import { DEFAULT_DNS, type DnsSettings } from "./settings/dns.ts";

const GATEWAY6 = "fd12:3456:789a::1";
const HOST = "192.168.50.2";
const GATEWAY = "192.168.50.1";
const TUN = "10.8.0.2";
const SERVER = "10.8.0.1";
const UDP = 28;

let bed: Bed;
let lan: ReturnType<typeof side>;
let tunnelIt: TunnelInterface;
let tunnel: RecordingOutlet;
let router: Router;
let dns: LanDns;
let logged: string[];
let now = 0;

const CA: Material = { label: "<ca>", origin: { file: "f", line: 1 }, bytes: new Uint8Array(0) };

function build(settings: Partial<DnsSettings> = {}, hasCa = true): void {
  bed = new Bed();
  lan = side(bed, "lan");
  lan.it.configure({ address: cidr(`${GATEWAY}/24`) });
  ({ it: tunnelIt, outlet: tunnel } = tunnelSide(bed));
  const nat = new Nat({ family: NAT_IPV4, slab: bed.slab, random: seededRandom(5) });
  router = new Router({ slab: bed.slab, lan: lan.it, tunnel: tunnelIt, nat, random: seededRandom(7) });
  logged = [];
  const slab = slabOver(new ArrayBuffer(1 << 16));
  const pool = new PagePool(slab, 0, 4096, 16);
  dns = new LanDns({
    lan: lan.it,
    lan6: cidr(`${GATEWAY6}/64`),
    tunnel: tunnelIt,
    lanTcp: lan.it.openTcp({ pool }),
    tunnelTcp: tunnelIt.openTcp({ pool }),
    slab: bed.slab,
    random: seededRandom(9),
    log: {
      enabled: () => true,
      write: (level, event, text, fields) =>
        void logged.push(`${level} ${event} ${text} ${fields?.["servers"] ?? ""}`.trim()),
    },
    hostname: "morgana",
    settings: { ...DEFAULT_DNS, ...settings },
    hosts: { addressesOf: () => [], nameOf: () => undefined },
    tls: libsslTls,
    authorities: () => (hasCa ? CA : undefined),
  });
  now = 1000;
  // The host's MAC is known, as it is once it has asked for the gateway's.
  lan.it.ingest(now, bed.receive(arp(1, HOST, GATEWAY)));
  lan.it.ingest(now, bed.receive(frame(udp({ src: HOST, dst: GATEWAY }, 4000, 53, encodeDns({ flags: QR })))));
  lan.it.ingest(now, bed.receive(arp(2, HOST, GATEWAY)));
  lan.outlet.take();
}

function up(...pushed: string[]): void {
  const result = parseTunnelOptions([`ifconfig ${TUN} 255.255.255.0`, "topology subnet", ...pushed], [], {
    lan: [cidr(`${GATEWAY}/24`)],
  });
  if (!result.ok) throw new Error(result.problem);
  const options: Tunnel = result.tunnel;
  router.openTunnel(0, { address: options.address!, mtu: 1400, mssClamp: 0, routes: options.routes });
  dns.tunnelUp(now, options);
  dns.poll(now);
}

function down(): void {
  router.closeTunnel();
  dns.tunnelDown(now);
  dns.poll(now);
}

/** A host asks; what it is told, and what goes into the tunnel. */
function ask(name: string, id = 7): void {
  lan.it.ingest(now, bed.receive(frame(udp({ src: HOST, dst: GATEWAY }, 4000, 53, encodeDns({ id, name })))));
  if (dns.pollAt() <= now) dns.poll(now);
}

const told = () =>
  lan.outlet
    .take()
    .filter((sent) => sent.view.getUint16(12) === 0x0800)
    .map((sent) => ({
      from: sent.view.getUint16(34),
      to: sent.view.getUint16(36),
      ...decodeDns(sent.bytes.slice(14 + UDP)),
    }));

const asked = () =>
  tunnel.take().map((sent) => ({
    to: sent.view.getInt32(16),
    src: sent.view.getInt32(12),
    port: sent.view.getUint16(20),
    at: sent.view.getUint16(22),
    message: decodeDns(sent.bytes.slice(UDP)),
  }));

beforeEach(() => build());

test("a question goes into the tunnel, from the tunnel's address and a random port, and its answer back to who asked", () => {
  up(`dhcp-option DNS ${SERVER}`);
  expect(logged).toEqual([`info dns.configured  ${SERVER}:53`]);
  ask("www.example");
  const [question] = asked();
  expect(question).toMatchObject({ to: ip(SERVER), src: ip(TUN), at: 53 });
  const { message, port } = question!;
  const answer = encodeDns({
    id: message.id,
    flags: QR | RA | 0x100,
    name: message.name,
    answers: [{ name: "@", type: A, data: ipv4("203.0.113.9") }],
  });
  tunnelIt.ingest(now, bed.receive(udp({ src: SERVER, dst: TUN }, 53, port, answer)));
  expect(dns.pollAt()).toBeLessThanOrEqual(now);
  dns.poll(now);
  expect(told()).toMatchObject([
    { from: 53, to: 4000, id: 7, name: "www.example", answers: [{ data: ipv4("203.0.113.9") }] },
  ]);
  ask("WWW.example", 8);
  expect(told()).toMatchObject([{ id: 8, name: "WWW.example", answers: [{ data: ipv4("203.0.113.9") }] }]);
  expect(asked()).toEqual([]);
  expect(dns.counters.snapshot()).toMatchObject({ Asked: 3, Cached: 1, Forwarded: 1, Answered: 1 });
  expect(dns.cacheBytes).toBeGreaterThan(100);
});

test("a host asks by IPv6 as well, from the LAN's network or its link-local address; the gateway's name has both addresses", () => {
  lan.it.configure6(now, {
    addresses: [{ address: cidr(`${GATEWAY6}/64`) }],
    onLink: [cidr(`${GATEWAY6}/64`).network],
  });
  for (let at = lan.it.pollAt(); at <= now + 3000; at = lan.it.pollAt()) lan.it.handleTimeout(at);
  now += 3000;
  const askFrom = (src: string): unknown[] => {
    lan.it.ingest(now, bed.receive(solicit6(GATEWAY6, { src })));
    lan.outlet.take();
    const query = encodeDns({ id: 7, name: "morgana.lan", type: AAAA });
    lan.it.ingest(now, bed.receive(frame6(udp6({ src, dst: GATEWAY6 }, 4000, 53, query))));
    if (dns.pollAt() <= now) dns.poll(now);
    return lan.outlet
      .take()
      .filter(({ view }) => view.getUint16(12) === 0x86dd && view.getUint8(20) === 17)
      .map(({ bytes }) => decodeDns(bytes.slice(62)).answers.length);
  };
  expect(askFrom("fd12:3456:789a::77")).toEqual([1]);
  expect(askFrom(HOST_LL)).toEqual([1]);
  expect(askFrom("2001:db8::77")).toEqual([]);
});

test("without a tunnel, before and after: SERVFAIL at once, nothing leaves, and the log says so once", () => {
  ask("a.example");
  up(`dhcp-option DNS ${SERVER}`);
  ask("b.example");
  expect(asked()).toHaveLength(1);
  down();
  ask("c.example");
  expect(told().map(({ rcode }) => rcode)).toEqual([2, 2, 2]);
  expect(asked()).toEqual([]);
  expect(logged.filter((line) => /no-server/.test(line))).toEqual([expect.stringContaining("there is no tunnel")]);
});

test("a tunnel without a server: said when it is up, with the remedy", () => {
  up();
  expect(logged).toEqual([
    'warn dns.no-server the tunnel brought no DNS server; name one in appliance.toml: [lan] dns = { servers = ["..."] }',
  ]);
  ask("a.example");
  expect([told()[0]?.rcode, asked()]).toEqual([2, []]);
});

test.each([
  ["this gateway on the LAN", GATEWAY, "is this gateway itself"],
  ["this end of the tunnel", TUN, "is this gateway itself"],
  ["a host of the LAN", "192.168.50.9", "is in the LAN 192.168.50.0/24"],
  ["a host beside the tunnel", "9.9.9.9", "is in no network that the tunnel leads to"],
])("%s is named, and not asked (no loops, no way around the tunnel)", (_what, server, why) => {
  up(`dhcp-option DNS ${server}`);
  expect(logged[0]).toStartWith(`warn dns.server-unusable the DNS server ${server} ${why}`);
  ask("a.example");
  expect([told()[0]?.rcode, asked()]).toEqual([2, []]);
});

test("a server that pushes others without end does not fill the log", () => {
  for (let n = 0; n < 200; n++) {
    up(`dhcp-option DNS ${SERVER}`, "dhcp-option DNS 9.9.9.9");
    up();
  }
  const count = (event: string): number => logged.filter((line) => line.split(" ")[1] === event).length;
  expect(["dns.configured", "dns.no-server", "dns.server-unusable"].map(count)).toEqual([64, 64, 64]);
});

describe("a server that is to be asked over TLS", () => {
  const DOT = [`dns server 0 address ${SERVER}`, "dns server 0 transport DoT"];

  test("is asked by TCP at port 853, and by nothing else", () => {
    up(...DOT);
    expect(logged).toEqual([`info dns.configured  tls://${SERVER}:853`]);
    ask("a.example");
    tunnelIt.handleTimeout(now);
    const sent = tunnel.take().map(({ view }) => [view.getUint8(9), view.getInt32(16), view.getUint16(22)]);
    expect(sent).toEqual([[6, ip(SERVER), 853]]);
  });

  test("with a name, where there is no authority to check that with: named, and not asked", () => {
    build({}, false);
    up(...DOT, "dns server 0 sni dns.example");
    expect(logged[0]).toStartWith(
      `warn dns.server-unusable the DNS server ${SERVER} is to prove itself as dns.example (sni), and there is no certificate authority`,
    );
    ask("a.example");
    expect([told()[0]?.rcode, tunnel.take()]).toEqual([2, []]);
  });

  test("or HTTPS, which is not spoken here: named, and not asked in another way", () => {
    up(`dns server 0 address ${SERVER}`, "dns server 0 transport DoH");
    expect(logged[0]).toStartWith(
      `warn dns.server-unusable the DNS server ${SERVER} is to be asked over HTTPS (transport DoH)`,
    );
    ask("a.example");
    expect([told()[0]?.rcode, tunnel.take()]).toEqual([2, []]);
  });
});

test("servers of the settings are asked in the place of those that the tunnel brings", () => {
  build({ servers: [cidr("9.9.9.9/32").address] });
  up(`dhcp-option DNS ${SERVER}`, "redirect-gateway def1");
  ask("a.example");
  expect(asked()).toMatchObject([{ to: ip("9.9.9.9") }]);
});

test("a server for one domain is asked for its names only; for the others the log names the remedy", () => {
  up(`dns server 0 address ${SERVER}`, "dns server 0 resolve-domains corp.example");
  expect(logged).toEqual([
    expect.stringMatching(/brought no DNS server that can be asked for every name; name one in/),
  ]);
  ask("a.example");
  ask("a.corp.example");
  expect(told()).toMatchObject([{ rcode: 2 }]);
  expect(asked().map(({ message }) => message.name.toLowerCase())).toEqual(["a.corp.example"]);
});

test("domains that the tunnel or the settings name may have private addresses; another one is said with the remedy", () => {
  build({ private: ["home.example"] });
  up(`dhcp-option DNS ${SERVER}`, "dhcp-option DOMAIN corp.example");
  for (const name of ["a.corp.example", "a.home.example", "evil.example"]) {
    ask(name);
    const { message, port } = asked()[0]!;
    const answer = encodeDns({
      id: message.id,
      flags: QR | RA,
      name: message.name,
      answers: [{ name: "@", type: A, data: ipv4("192.168.50.9") }],
    });
    tunnelIt.ingest(now, bed.receive(udp({ src: SERVER, dst: TUN }, 53, port, answer)));
    dns.poll(now);
  }
  expect(told().map(({ rcode }) => rcode)).toEqual([0, 0, 5]);
  expect(logged.at(-1)).toMatch(
    /^warn dns.private-answer evil\.example has a private address.* \[lan\] dns = \{ private = /,
  );
});

test("a silent server is said once, and that it answers again", () => {
  up(`dhcp-option DNS ${SERVER}`);
  ask("a.example");
  while (dns.pollAt() < Number.POSITIVE_INFINITY) {
    now = Math.max(now, dns.pollAt());
    dns.poll(now);
  }
  expect(told()).toMatchObject([{ rcode: 2 }]);
  expect(logged.filter((line) => /server-down/.test(line))).toHaveLength(1);
});
