import { expect, test } from "bun:test";
import { IpAddress, parseIp } from "../lib/ip.ts";
import { seededRandom } from "../lib/random.ts";
import { slabOver } from "../lib/slab.ts";
import { DnsStream } from "../netstack/dns/stream.ts";
import type { Interface } from "../netstack/interface.ts";
import type { UdpReceiver } from "../netstack/socket/udp-socket.ts";
import type { Connection } from "../netstack/tcp/connection.ts";
import { TcpPair } from "../netstack/testing/tcp-pair.ts";
import type { Resolution } from "../tunnel/resolve.ts";
import { RemoteResolver } from "./remote-resolver.ts";
import { tellTcpUsers } from "./wiring/tcp-users.ts";

test("a question is due at once, and so is the answer that is there already", () => {
  let sent = 0;
  const wan = { bindUdp: () => ({}), closeUdp: () => {}, sendUdp: () => sent++ } as unknown as Interface;
  const resolver = new RemoteResolver({
    wan,
    tcp: new TcpPair().a.tcp,
    slab: slabOver(new ArrayBuffer(64)),
    random: seededRandom(1),
    refuse: () => undefined,
  });
  const results: Resolution[] = [];
  const ask = (): void => resolver.resolve(1000, "vpn.example", "any", (_now, result) => results.push(result));
  expect(resolver.pollAt()).toBe(Number.POSITIVE_INFINITY);
  ask();
  expect(resolver.pollAt()).toBeLessThanOrEqual(1000);
  resolver.poll(1000);
  expect(results).toMatchObject([{ ok: false }]); // nobody to ask
  expect(resolver.pollAt()).toBe(Number.POSITIVE_INFINITY);
  resolver.setServers([IpAddress.fromIpv4(0x0a000001)]);
  ask();
  expect([resolver.pollAt() <= 1000, sent]).toEqual([true, 0]);
  resolver.poll(1000);
  expect([resolver.pollAt() > 1000, sent]).toEqual([true, 2]);
});

/** The answer to a query with these addresses, of the family that it asks for. */
function answer(query: Uint8Array, addresses: readonly IpAddress[]): Uint8Array {
  const type = query[query.length - 3] as number;
  const fitting = addresses.filter(({ isIpv4 }) => isIpv4 === (type === 1));
  const records = fitting.flatMap(({ isIpv4, w0, w1, w2, w3 }) => {
    const words = isIpv4 ? [w3] : [w0, w1, w2, w3];
    const data = words.flatMap((w) => [(w >>> 24) & 255, (w >>> 16) & 255, (w >>> 8) & 255, w & 255]);
    return [0xc0, 12, 0, type, 0, 1, 0, 0, 0, 60, 0, data.length, ...data];
  });
  const out = Uint8Array.of(...query, ...records);
  out.set([0x81, 0x80], 2);
  out.set([0, fitting.length, 0, 0, 0, 0], 6);
  return out;
}

test("addresses come in turn of IPv6 and IPv4; a proto of one family gets those, and the others are no use to it (RFC 8305 4)", () => {
  const slab = slabOver(new ArrayBuffer(2048));
  const addresses = ["192.0.2.1", "192.0.2.2", "2001:db8::1"].map((text) => parseIp(text) as IpAddress);
  const resolve = (family: "any" | "ipv4" | "ipv6", known: readonly IpAddress[]): string => {
    let receiver: UdpReceiver | undefined;
    const sent: Uint8Array[] = [];
    const wan = {
      bindUdp: (_port: number, to: UdpReceiver) => {
        receiver = to;
        return {};
      },
      closeUdp: () => {},
      sendUdp: (_now: number, _socket: unknown, _dst: unknown, _port: number, payload: Uint8Array) =>
        sent.push(payload),
    } as unknown as Interface;
    const resolver = new RemoteResolver({
      wan,
      tcp: new TcpPair().a.tcp,
      slab,
      random: seededRandom(1),
      refuse: () => undefined,
    });
    const server = parseIp("2001:db8::53") as IpAddress;
    resolver.setServers([server]);
    let result = "";
    resolver.resolve(1000, "vpn.example", family, (_now, r) => {
      result = r.ok ? r.addresses.join(" ") : r.text;
    });
    resolver.poll(1000);
    for (const query of sent.splice(0)) {
      const reply = answer(query, known);
      slab.bytes.set(reply);
      receiver?.onDatagram(1001, server, 53, 0, reply.length);
    }
    resolver.poll(1001);
    return result;
  };
  expect(resolve("any", addresses)).toBe("2001:db8::1 192.0.2.1 192.0.2.2");
  expect(resolve("ipv4", addresses)).toBe("192.0.2.1 192.0.2.2");
  expect(resolve("ipv6", addresses)).toBe("2001:db8::1");
  expect(resolve("ipv6", addresses.slice(0, 2))).toBe("vpn.example has no address of the family that proto asks for");
});

test("what fits no datagram comes by TCP, and its connection is closed behind it", () => {
  const pair = new TcpPair();
  const slab = slabOver(new ArrayBuffer(2048));
  let receiver: UdpReceiver | undefined;
  const sent: Uint8Array[] = [];
  const wan = {
    bindUdp: (_port: number, to: UdpReceiver) => {
      receiver = to;
      return {};
    },
    closeUdp: () => {},
    sendUdp: (_now: number, _socket: unknown, _dst: unknown, _port: number, payload: Uint8Array) => sent.push(payload),
  } as unknown as Interface;
  const resolver = new RemoteResolver({ wan, tcp: pair.a.tcp, slab, random: seededRandom(1), refuse: () => undefined });
  const server = parseIp("10.0.0.2") as IpAddress;
  resolver.setServers([server]);
  let result = "";
  resolver.resolve(pair.now, "vpn.example", "any", (_now, r) => {
    result = r.ok ? r.addresses.join(" ") : r.text;
  });
  const listener = pair.b.tcp.listen(53)!;
  const address = parseIp("192.0.2.1") as IpAddress;
  const streams: DnsStream<Connection>[] = [];
  for (let i = 0; i < 200; i++) {
    if (resolver.pollAt() <= pair.now) resolver.poll(pair.now);
    pair.a.outlet.flush();
    // By UDP nothing fits.
    for (const query of sent.splice(0)) {
      const question = query.slice(0, query[11] === 1 ? query.length - 11 : query.length);
      const reply = answer(question, []);
      reply[2] = 0x83;
      slab.bytes.set(reply);
      receiver?.onDatagram(pair.now, server, 53, 0, reply.length);
    }
    pair.pass(1);
    tellTcpUsers(pair.now, pair.a.tcp);
    for (let c = listener.accept(); c !== undefined; c = listener.accept()) streams.push(new DnsStream(c, 512));
    for (const stream of streams)
      for (let query = stream.next(); query !== undefined; query = stream.next())
        stream.send(answer(query.slice(0, query.length - 11), [address]));
  }
  expect(result).toBe("192.0.2.1");
  expect(streams.map(({ connection }) => connection.isFinished || connection.end !== undefined)).toEqual([true]);
});
