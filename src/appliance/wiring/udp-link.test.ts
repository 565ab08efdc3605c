import { beforeEach, expect, spyOn, test } from "bun:test";
import { Batch } from "../../lib/batch.ts";
import { IpAddress, parseIp } from "../../lib/ip.ts";
import { Arena } from "../../lib/slab.ts";
import { PagePool } from "../../netstack/tcp/pages.ts";
import { addr, Bed, bytesOf, cidr, frame, icmp, side, udp } from "../../netstack/testing/bed.ts";
import { addr6, frame6, icmp6, udp6 } from "../../netstack/testing/bed6.ts";
import { IPV4_DF } from "../../netstack/wire/ipv4.ts";
import type { Link } from "../../tunnel/link.ts";
import { WanLinks } from "./wan-links.ts";

const WAN = "203.0.113.50";
const SERVER = "203.0.113.10";
const OTHER = "203.0.113.11";
/** What a datagram begins with that the receiver takes for an answer. */
const ANSWER = 0x40;

let bed: Bed;
let wan: ReturnType<typeof side>["it"];
let links: WanLinks;
/** What the receiver got: path, and the first byte of each row. */
let rows: [number, number[]][];
/** The path of a row that begins with this is settled. */
let proof: number | undefined;
/** How often the receiver was told of a narrower way. */
let narrowed: string[];

beforeEach(() => {
  bed = new Bed();
  ({ it: wan } = side(bed, "wan"));
  wan.configure({ address: cidr(`${WAN}/24`) });
  const { slab } = bed;
  const tcp = wan.openTcp({ pool: new PagePool(slab, 0, 1, 1), connections: 1, halfOpen: 1, timeWait: 1 });
  links = new WanLinks({
    wan,
    tcp,
    stream: { arena: new Arena(slab, 0, 0), rows: new Batch(0) },
    lan: () => addr("192.168.50.1"),
  });
  rows = [];
  proof = undefined;
  narrowed = [];
});

function open(float: boolean): Link {
  const receiver = {
    opened() {},
    narrowed: (_now: number, to: IpAddress, mtu: number) => void narrowed.push(`${to} ${mtu}`),
    unreachable() {},
    ended() {},
    handleRows: (_now: number, path: number, batch: Batch) => {
      const marks = Array.from({ length: batch.count }, (_, i) => bed.slab.bytes[batch.at[i]!]!);
      rows.push([path, marks]);
      if (proof !== undefined && marks.includes(proof)) link.settle(path);
    },
    looksLikeAnswer: (at: number) => bed.slab.bytes[at] === ANSWER,
  };
  const remote = { address: addr(SERVER), port: 1194 };
  const made = links.open(0, { protocol: "udp", remote, localPort: 5000, float, longest: 4096 }, receiver);
  if (typeof made === "string") throw new Error(made);
  const link = made;
  return link;
}

const from = (src: string, mark: number, port = 1194, to = 5000): Uint8Array =>
  frame(udp({ src, dst: WAN }, port, to, bytesOf(8, mark)));
const receive = (...frames: Uint8Array[]): void => {
  wan.ingest(0, bed.receive(...frames));
  links.drain(0);
};

test("rows of the server come as path 0, others are left without float; who seems to answer is named, the rest is counted", () => {
  const link = open(false);
  receive(from(SERVER, 1), from("198.51.100.66", 2), from(SERVER, 3));
  expect(rows).toEqual([[0, [1, 3]]]);
  expect(link.sightings()).toMatchObject({ stranger: undefined, others: 1 });
  receive(from(OTHER, ANSWER, 7000), from("198.51.100.66", 2));
  expect(link.sightings()).toMatchObject({ stranger: { address: addr(OTHER), port: 7000 }, others: 1 });
  expect(wan.drops.snapshot()).toEqual({ UdpWrongPeer: 3 });
});

test("with float others are another path, behind the server's rows, and the server may settle there", () => {
  const link = open(true);
  receive(from(SERVER, 1), from(OTHER, 2, 7000), from(OTHER, 3, 7000), from(SERVER, 4));
  expect(rows.splice(0)).toEqual([
    [0, [1, 4]],
    [1, [2, 3]],
  ]);
  expect(link.endpoint(1)).toEqual({ address: addr(OTHER), port: 7000 });
  link.settle(1);
  expect([link.endpoint(0), link.endpoint(1)].map(({ address }) => `${address}`)).toEqual([SERVER, OTHER]);
  receive(from(OTHER, 4, 7000), from(SERVER, 5));
  expect(rows).toEqual([
    [1, [4]],
    [0, [5]],
  ]);
});

test("an address that becomes the server's within a turn is so for its rows behind those of a third one", () => {
  const link = open(true);
  proof = 2;
  receive(from(SERVER, 1), from(OTHER, 2), from("198.51.100.66", 3), from(OTHER, 4));
  expect(rows).toEqual([
    [0, [1]],
    [1, [2]],
    [0, [3]],
    [1, [4]],
  ]);
  expect(`${link.endpoint(1).address}`).toBe(OTHER);
});

test("strangers of a turn are bounded, cost one call for all that follow each other, and the server's rows nothing", () => {
  open(true);
  const frames = [...Array.from({ length: 300 }, () => from(OTHER, 7)), from(SERVER, 1)];
  const addresses = spyOn(IpAddress, "fromIpv4");
  receive(...frames);
  expect(addresses).not.toHaveBeenCalled();
  addresses.mockRestore();
  expect(rows.splice(0).map(([path, marks]) => [path, marks.length])).toEqual([
    [0, 1],
    [1, 256],
  ]);
  expect(wan.drops.snapshot()).toEqual({ UdpStrangerLimit: 44 });
  receive(from(OTHER, 8));
  expect(rows).toEqual([[1, [8]]]);
});

test("what the network says, damage, and other ports are seen since the link was made", () => {
  receive(from(SERVER, 1, 1194, 9));
  const link = open(false);
  expect(link.sightings()).toMatchObject({ stranger: undefined, unreachable: undefined, damaged: 0, otherPort: 0 });
  const damaged = from(SERVER, 2);
  damaged[damaged.length - 1]! ^= 1;
  receive(damaged, from(SERVER, 3, 1194, 9));
  expect(link.sightings()).toMatchObject({ damaged: 1, otherPort: 1 });
  const told = (code: number, dst = SERVER): string | undefined => {
    const quoted = udp({ src: WAN, dst }, 5000, 1194, bytesOf(8));
    receive(frame(icmp({ src: "203.0.113.1", dst: WAN }, 3, code, 0, quoted.subarray(0, 28))));
    return link.sightings().unreachable;
  };
  expect(told(3, OTHER)).toBeUndefined();
  expect([told(0), told(1), told(3), told(13)]).toEqual(["network", "host", "port", "prohibited"]);
});

test("what a router says of the way is told if its error is about a packet to the server that was too large for it", () => {
  const link = open(false);
  const tell = (len: number, mtu: number, dst = SERVER, fragment = IPV4_DF): void => {
    const quoted = udp({ src: WAN, dst, fragment }, 5000, 1194, bytesOf(len - 28));
    receive(frame(icmp({ src: "203.0.113.1", dst: WAN }, 3, 4, mtu, quoted.subarray(0, 28))));
  };
  tell(1500, 1400, OTHER);
  tell(1400, 1400);
  tell(1300, 1400);
  tell(1500, 0);
  // What routers may fragment none of them refuses.
  tell(1500, 1400, SERVER, 0);
  expect(narrowed).toEqual([]);
  expect(link.pathMtu?.(0)).toBe(Number.POSITIVE_INFINITY);
  tell(1500, 1400);
  expect(link.pathMtu?.(0)).toBe(1400);
  tell(1500, 68);
  expect([narrowed, link.mtu, link.pathMtu?.(0)]).toEqual([[`${SERVER} 1400`, `${SERVER} 68`], 1500, 576]);
});

test("a port that is in use, and addresses that are our own are refused in words", () => {
  open(false);
  const request = {
    protocol: "udp",
    remote: { address: addr(SERVER), port: 1194 },
    localPort: 5000,
    float: false,
    longest: 4096,
  } as const;
  const receiver = {
    opened() {},
    narrowed() {},
    unreachable() {},
    ended() {},
    handleRows() {},
    looksLikeAnswer: () => false,
  };
  expect(links.open(0, request, receiver)).toBe("the local port 5000 is in use");
  expect(["192.168.50.1", WAN, "203.0.113.255", SERVER].map((a) => links.refusal(addr(a)))).toEqual([
    "our own address",
    "our own address",
    "the network's or the broadcast address of the WAN",
    undefined,
  ]);
});

test("a server at an IPv6 address: its own overhead and MTU, refusals of ICMPv6, and only where the WAN has IPv6", () => {
  const [server, own] = ["2001:db8:1::10", "2001:db8:2::5"];
  const remote = { address: addr6(server), port: 1194 };
  const refusal = (text: string): string | undefined => links.refusal(parseIp(text)!);
  const tick = (until: number): void => {
    for (let at = wan.pollAt(); at < until; at = wan.pollAt()) wan.handleTimeout(at);
  };
  expect([refusal(server), links.useIpv6]).toEqual(["of IPv6, and the WAN has no IPv6 address", true]);
  wan.configure6(0, { addresses: [{ address: cidr("fe80::5/64") }], gateway: addr6("fe80::99") });
  tick(5000);
  expect(refusal(server)).toBe("of IPv6, and the WAN has no IPv6 address"); // a link-local one is none
  wan.unconfigure();
  expect(refusal(SERVER)).toBe("of IPv4, and the WAN has no IPv4 address");
  wan.configure6(5000, { addresses: [{ address: cidr(`${own}/64`) }], gateway: addr6("fe80::99"), mtu: 1400 });
  tick(10_000);
  expect([refusal(server), refusal(own)]).toEqual([undefined, "our own address"]);
  const heard: number[] = [];
  const receiver = {
    opened() {},
    narrowed: (_now: number, to: IpAddress, mtu: number) => void narrowed.push(`${to} ${mtu}`),
    unreachable() {},
    ended() {},
    handleRows: (_now: number, path: number, batch: Batch) => void heard.push(path, batch.count),
    looksLikeAnswer: () => false,
  };
  const link = links.open(
    0,
    { protocol: "udp", remote, localPort: 5000, float: false, longest: 4096 },
    receiver,
  ) as Link;
  expect([links.useIpv6, link.overhead, link.mtu]).toEqual([true, 48, 1400]);
  receive(frame6(udp6({ src: server, dst: own }, 1194, 5000, bytesOf(8, 1))));
  expect(heard).toEqual([0, 1]);
  const quote = udp6({ src: own, dst: server }, 5000, 1194, bytesOf(8, 1));
  receive(frame6(icmp6({ src: server, dst: own }, 1, 4, 0, quote)));
  expect(link.sightings().unreachable).toBe("port");
  link.close();
  expect(links.useIpv6).toBe(false);
});

test("a closed link hears nothing, and its port is free", () => {
  open(true).close();
  receive(from(SERVER, 1), from(OTHER, 2));
  expect(rows).toEqual([]);
  open(true);
  links.closeAll();
  open(true);
});
