import { beforeEach, expect, spyOn, test } from "bun:test";
import { Batch } from "../../lib/batch.ts";
import { IpAddress, parseIp } from "../../lib/ip.ts";
import { Arena } from "../../lib/slab.ts";
import { PagePool } from "../../netstack/tcp/pages.ts";
import { arp, Bed, bytesOf, cidr, frame, icmp, type RecordingOutlet, side, udp } from "../../netstack/testing/bed.ts";
import { addr6, advert6, frame6, icmp6, udp6 } from "../../netstack/testing/bed6.ts";
import { ICMPV6_TOO_BIG } from "../../netstack/wire/icmpv6.ts";
import { IPV4_DF, ipv4DontFragment } from "../../netstack/wire/ipv4.ts";
import type { ListenConfig } from "../../protocol/config/server-types.ts";
import type { DatagramPort, ListenReceiver, OpenPort, PeerLink } from "../../tunnel/listen.ts";
import { WanPorts } from "./wan-ports.ts";

const WAN = "203.0.113.50";
const GLOBAL = "2001:db8::50";
const OTHER = "2001:db8::51";
const CLIENT = "203.0.113.10";
const CLIENT6 = "2001:db8::10";
const NOTHING = Number.POSITIVE_INFINITY;

let bed: Bed;
let wan: ReturnType<typeof side>["it"];
let outlet: RecordingOutlet;
let ports: WanPorts;
/** What a receiver got: of each row the first byte, and from where; by call. */
let calls: { port: DatagramPort; rows: [number, string, number][] }[];
/** Who takes less than before, by what was told. */
let told: [DatagramPort, string, number, number][];

beforeEach(() => {
  bed = new Bed();
  ({ it: wan, outlet } = side(bed, "wan"));
  wan.configure({ address: cidr(`${WAN}/24`) });
  const addresses = [GLOBAL, OTHER].map((text) => ({ address: cidr(`${text}/64`) }));
  wan.configure6(0, { addresses, onLink: [cidr("2001:db8::/64")] });
  for (const own of wan.v6.addressing.addresses) own.state = "usable";
  const tcp = wan.openTcp({ pool: new PagePool(bed.slab, 0, 1, 1), connections: 1, halfOpen: 1, timeWait: 1 });
  ports = new WanPorts({ wan, tcp, stream: { arena: new Arena(bed.slab, 0, 0), rows: new Batch(0) } });
  calls = [];
  told = [];
});

const receiver: ListenReceiver = {
  handleDatagrams: (_now, port, rows, from) => {
    const list = Array.from({ length: rows.count }, (_, i): [number, string, number] => {
      const [w0, w1, w2, w3] = from.words.subarray(4 * i, 4 * i + 4);
      return [bed.slab.bytes[rows.at[i]!]!, `${new IpAddress(w0!, w1!, w2!, w3!)}`, from.port[i]!];
    });
    calls.push({ port, rows: list });
  },
  narrowed: (_now, port, { address, port: number }, mtu) => void told.push([port, `${address}`, number, mtu]),
  accepted: () => undefined,
};

const config = (own: Partial<ListenConfig> = {}): ListenConfig => ({
  address: undefined,
  port: 1194,
  protocol: "udp",
  family: "any",
  origin: { file: "server.conf", line: 1 },
  ...own,
});

function listen(own: Partial<ListenConfig> = {}): OpenPort {
  const open = ports.listen(0, config(own), 4096, receiver);
  if (typeof open === "string") throw new Error(open);
  return open;
}

const from4 = (src: string, mark: number, port = 5000, dst = WAN): Uint8Array =>
  frame(udp({ src, dst }, port, 1194, bytesOf(8, mark)));
const from6 = (src: string, mark: number, dst = GLOBAL): Uint8Array =>
  frame6(udp6({ src, dst }, 5000, 1194, bytesOf(8, mark)));
function receive(...frames: Uint8Array[]): void {
  wan.ingest(0, bed.receive(...frames));
  ports.drain(0);
}

test("datagrams of a turn come in their order with their sources, those of each address of ours apart, without an address made for any", () => {
  listen();
  const frames = [
    from4(CLIENT, 1),
    from4("198.51.100.7", 2, 6000),
    from6(CLIENT6, 3),
    from4(CLIENT, 4),
    from6(CLIENT6, 5, OTHER),
  ];
  const made = spyOn(IpAddress, "fromIpv4");
  wan.ingest(0, bed.receive(...frames));
  expect(made).not.toHaveBeenCalled();
  made.mockRestore();
  ports.drain(0);
  expect(calls.map(({ rows }) => rows)).toEqual([
    [
      [1, CLIENT, 5000],
      [2, "198.51.100.7", 6000],
      [4, CLIENT, 5000],
    ],
    [[3, CLIENT6, 5000]],
    [[5, CLIENT6, 5000]],
  ]);
  receive();
  expect(calls.length).toBe(3);
});

test.each([GLOBAL, OTHER])("who asked at %s is answered from there, a stranger and a client alike", (own) => {
  listen();
  receive(from6(CLIENT6, 3, own));
  const { port } = calls[0]!;
  const to = { address: addr6(CLIENT6), port: 5000 };
  port.answer(0, to, bytesOf(10));
  outlet.take();
  receive(advert6(CLIENT6, { dst: own }));
  const sources = (): string[] =>
    outlet
      .take()
      .filter(({ bytes }) => bytes[20] === 17)
      .map(({ bytes }) => bytes.subarray(22, 38).toHex());
  expect(sources()).toEqual([hex6(own)]);
  const peer = port.peer(to);
  peer.sendPacket(0, bytesOf(10));
  const rows = new Batch(1);
  rows.push(bed.arena().take(100), 100);
  expect(peer.admit(rows, 24)).toBe(1);
  peer.send(0, rows);
  expect(sources()).toEqual([hex6(own), hex6(own)]);
  expect([peer.overhead, peer.isStream, peer.mtu]).toEqual([48, false, 1500]);
});

test("each client's way is asked of for itself, whatever goes to others (RFC 1191)", () => {
  listen();
  receive(from4(CLIENT, 1), from4("203.0.113.11", 2));
  const [one, other] = [CLIENT, "203.0.113.11"].map((text) =>
    calls[0]!.port.peer({ address: parseIp(text)!, port: 5000 }),
  );
  const arena = bed.arena();
  /** After how many runs one goes with DF, of so many. */
  const asked = (peer: PeerLink, times: number): number[] => {
    const runs: number[] = [];
    for (let i = 1; i <= times; i++) {
      const rows = new Batch(1);
      arena.reset();
      rows.push(arena.take(1400), 1400);
      peer.send(0, rows);
      if (outlet.take().some(({ view, bytes }) => bytes.length > 1400 && ipv4DontFragment(view, 14))) runs.push(i);
    }
    return runs;
  };
  for (const peer of [one!, other!]) peer.sendPacket(0, bytesOf(10));
  receive(...[CLIENT, "203.0.113.11"].map((text) => arp(2, text, WAN)));
  expect(asked(one!, 1000)).toEqual([64, 192, 448, 960]);
  expect(asked(other!, 100)).toEqual([64]);
});

const hex6 = (text: string): string => {
  const { w0, w1, w2, w3 } = addr6(text);
  return [w0, w1, w2, w3].map((word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
};

test("an address or a family that is named is the only one that is heard; several places share a port", () => {
  listen({ address: addr6(OTHER) });
  receive(from4(CLIENT, 1), from6(CLIENT6, 2), from6(CLIENT6, 3, OTHER));
  expect(calls.splice(0).flatMap(({ rows }) => rows.map(([mark]) => mark))).toEqual([3]);
  expect(wan.drops.snapshot()).toEqual({ UdpNoPort: 2 });
  const four = listen({ family: "ipv4" });
  receive(from4(CLIENT, 1), from6(CLIENT6, 2), from6(CLIENT6, 3, OTHER));
  expect(calls.splice(0).map(({ port }) => `${port.config.address ?? port.config.family}`)).toEqual([OTHER, "ipv4"]);
  four.close();
  receive(from4(CLIENT, 1));
  expect(calls).toEqual([]);
  ports.closeAll();
  receive(from6(CLIENT6, 3, OTHER));
  expect(calls).toEqual([]);
  expect(wan.bindUdp(1194, { onDatagram: () => {} })).toBeDefined();
});

test("a port that somebody has is said, and what waits is forgotten when a turn has failed", () => {
  wan.bindUdp(1194, { onDatagram: () => {} });
  expect(ports.listen(0, config(), 4096, receiver)).toBe("the local port 1194 is in use");
  listen({ port: 1195 });
  wan.ingest(0, bed.receive(frame(udp({ src: CLIENT, dst: WAN }, 5000, 1195, bytesOf(8, 1)))));
  ports.discard();
  ports.drain(0);
  expect(calls).toEqual([]);
});

test("what is too big for the way to somebody is told whoever listens where it was sent from, and nothing else is", () => {
  listen({ address: addr6(OTHER) });
  listen({ family: "ipv4" });
  receive(from4(CLIENT, 1), from6(CLIENT6, 2, OTHER));
  const portOf = (mark: number): DatagramPort => calls.find(({ rows }) => rows[0]?.[0] === mark)!.port;
  const long = bytesOf(1400);
  const quote = udp({ src: WAN, dst: CLIENT, fragment: IPV4_DF }, 1194, 5000, long).subarray(0, 48);
  const quote6 = (src: string): Uint8Array => udp6({ src, dst: CLIENT6 }, 1194, 5000, long).subarray(0, 88);
  const tooBig = (about: Uint8Array): Uint8Array =>
    frame6(icmp6({ src: "2001:db8::1", dst: OTHER }, ICMPV6_TOO_BIG, 0, 1300, about));
  receive(
    frame(icmp({ src: "203.0.113.1", dst: WAN }, 3, 4, 1300, quote)),
    // Another thing, of another port, and no larger than what it says that fits.
    frame(icmp({ src: "203.0.113.1", dst: WAN }, 3, 1, 1300, quote)),
    frame(
      icmp(
        { src: "203.0.113.1", dst: WAN },
        3,
        4,
        1300,
        udp({ src: WAN, dst: CLIENT }, 1195, 5000, long).subarray(0, 48),
      ),
    ),
    frame(icmp({ src: "203.0.113.1", dst: WAN }, 3, 4, 1428, quote)),
    tooBig(quote6(OTHER)),
    // Nobody listens there, so nothing was sent from it.
    tooBig(quote6(GLOBAL)),
  );
  expect(told).toEqual([
    [portOf(1), CLIENT, 5000, 1300],
    [portOf(2), CLIENT6, 5000, 1300],
  ]);
});

test("a client that comes again is known to be behind a narrow way for as long as the WAN sends there in fragments, ten minutes (RFC 8201 4)", () => {
  listen();
  receive(from4(CLIENT, 1), from6(CLIENT6, 2));
  const way = (i: number, text: string): PeerLink => calls[i]!.port.peer({ address: parseIp(text)!, port: 5000 });
  const known = (now: number): (number | undefined)[] =>
    [way(0, CLIENT), way(1, CLIENT6), way(1, OTHER)].map((each) => each.pathMtu?.(now));
  expect(known(0)).toEqual([NOTHING, NOTHING, NOTHING]);
  const quoted = udp6({ src: GLOBAL, dst: CLIENT6 }, 1194, 5000, bytesOf(1400));
  receive(frame6(icmp6({ src: "fe80::99", dst: GLOBAL }, ICMPV6_TOO_BIG, 0, 1400, quoted)));
  expect(known(599_999)).toEqual([NOTHING, 1400, NOTHING]);
  expect([way(1, CLIENT6).mtu, known(600_000)]).toEqual([1500, [NOTHING, NOTHING, NOTHING]]);
});

test("a broadcast is nobody's", () => {
  listen();
  receive(
    from4(CLIENT, 1, 5000, "255.255.255.255"),
    frame(udp({ src: CLIENT, dst: "203.0.113.255" }, 5000, 1194, bytesOf(8, 2)), "ff:ff:ff:ff:ff:ff"),
  );
  expect(calls).toEqual([]);
});

test("what finds no room in a turn is counted, and no other datagram's source changes for it", () => {
  listen();
  const frames = Array.from({ length: 600 }, (_, i) => from4(CLIENT, 1, 5000 + i));
  for (let i = 0; i < 2; i++) wan.ingest(0, bed.receive(...frames));
  ports.drain(0);
  expect(calls.map(({ rows }) => [rows.length, rows[0]?.[2], rows[1023]?.[2]])).toEqual([[1024, 5000, 5423]]);
  expect(wan.drops.snapshot()).toEqual({ UdpQueueFull: 1200 - 1024 });
});

test("addresses that come and go make no more ports than there can be at once, and nothing is lost over them", () => {
  listen();
  const known = new Set<DatagramPort>();
  for (let n = 0; n < 40; n++) {
    const own = `2001:db8::1:${n}`;
    wan.configure6(0, { addresses: [{ address: cidr(`${own}/64`) }], onLink: [cidr("2001:db8::/64")] });
    for (const address of wan.v6.addressing.addresses) address.state = "usable";
    receive(from4(CLIENT, 1), from6(CLIENT6, 2, own));
    expect(calls.flatMap(({ rows }) => rows.map(([mark]) => mark))).toEqual([1, 2]);
    for (const { port } of calls.splice(0)) known.add(port);
  }
  expect(known.size).toBe(17);
});
