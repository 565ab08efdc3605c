/** For tests: a forwarder between hosts that ask and servers that answer, with virtual time. */
import type { Cidr } from "../../lib/cidr.ts";
import { parseCidr } from "../../lib/cidr.ts";
import { type IpAddress, parseIp } from "../../lib/ip.ts";
import { seededRandom } from "../../lib/random.ts";
import { DnsForwarder, type ForwarderEvent } from "../dns/forwarder.ts";
import { type HostNames, LocalNames } from "../dns/names.ts";
import type { DnsServerGroup, DnsTls } from "../dns/upstreams.ts";
import { type DecodedDns, type DnsMessage, decodeDns, encodeDns, QR, RA } from "./dns.ts";

export const ip = (text: string): IpAddress => parseIp(text) as IpAddress;
export const server = (text: string, port = 53) => ({ address: ip(text), port });
export const HOST = ip("192.168.50.2");
export const HOST2 = ip("192.168.50.3");
export const S1 = "10.8.0.1";
export const S2 = "10.8.0.2";

/** A question as a server gets it. */
export interface SentQuestion extends DecodedDns {
  readonly socket: number;
  readonly to: string;
  readonly bytes: Uint8Array;
  /** Of a dial. */
  readonly tls?: DnsTls | undefined;
}

export interface Given extends DecodedDns {
  readonly to: string;
  readonly port: number;
  readonly stream: number;
}

const NO_HOSTS: HostNames = { addressesOf: () => [], nameOf: () => undefined };

export class DnsBed {
  now = 1000;
  readonly forwarder: DnsForwarder;
  /** What was said of what servers sent: why it was ignored, "" where it was not. */
  readonly said: string[] = [];

  constructor(
    options: {
      readonly hosts?: HostNames;
      readonly domain?: string;
      readonly lan?: string;
      readonly servers?: readonly DnsServerGroup[];
      readonly privateDomains?: readonly string[];
      readonly seed?: number;
    } = {},
  ) {
    const lan = parseCidr(options.lan ?? "192.168.50.1/24") as Cidr;
    const { hosts = NO_HOSTS, domain = "lan" } = options;
    this.forwarder = new DnsForwarder({
      random: seededRandom(options.seed ?? 5),
      names: new LocalNames({ hostname: "Morgana", domain, hosts, networks: () => [lan] }),
      isOfLan: (address) => lan.contains(address),
    });
    const servers = options.servers ?? [{ domains: [], servers: [server(S1), server(S2)] }];
    this.forwarder.setServers(this.now, servers, options.privateDomains ?? []);
  }

  /** A question of a host, raw. @returns the answer where there is one at once */
  raw(bytes: Uint8Array, from = HOST, port = 40_000, stream = 0): DecodedDns | undefined {
    const padded = new Uint8Array(bytes.length + 7).fill(0xa5);
    padded.set(bytes, 5);
    const len = this.forwarder.ask(this.now, from, port, stream, padded, 5, bytes.length);
    return len === 0 ? undefined : decodeDns(this.forwarder.reply.slice(0, len));
  }

  ask(message: DnsMessage, from = HOST, port = 40_000, stream = 0): DecodedDns | undefined {
    return this.raw(encodeDns(message), from, port, stream);
  }

  /** What the servers were asked since the last time. */
  sent(): SentQuestion[] {
    const all: SentQuestion[] = [];
    for (let t = this.forwarder.asking.pollTransmit(); t !== undefined; t = this.forwarder.asking.pollTransmit())
      all.push({ ...decodeDns(t.payload), socket: t.socket, to: `${t.peer.address}`, bytes: t.payload });
    return all;
  }

  /** What servers are asked by TCP. */
  dials(): SentQuestion[] {
    const all: SentQuestion[] = [];
    for (let t = this.forwarder.asking.pollDial(); t !== undefined; t = this.forwarder.asking.pollDial())
      all.push({ ...decodeDns(t.question), socket: t.id, to: `${t.server.address}`, bytes: t.question, tls: t.tls });
    return all;
  }

  /** Dials that nobody needs any more. */
  hangUps(): number[] {
    const all: number[] = [];
    for (let id = this.forwarder.asking.pollHangUp(); id !== undefined; id = this.forwarder.asking.pollHangUp())
      all.push(id);
    return all;
  }

  /** What a server says by TCP. */
  message(asked: SentQuestion, message: DnsMessage): this {
    const flags = QR | RA | (asked.flags & 0x0130);
    const bytes = encodeDns({ id: asked.id, name: asked.name, type: asked.type, flags, ...message });
    this.forwarder.asking.handleMessage(this.now, asked.socket, bytes);
    return this;
  }

  /** The one question that was sent. */
  one(): SentQuestion {
    const [first, ...more] = this.sent();
    if (first === undefined || more.length > 0) throw new Error(`${more.length + (first ? 1 : 0)} questions were sent`);
    return first;
  }

  /** What a server says: the question to the letter, unless the message has another one. */
  answer(asked: SentQuestion, message: DnsMessage, from = asked.to, port = 53): this {
    const bytes = encodeDns({
      id: asked.id,
      name: asked.name,
      type: asked.type,
      flags: QR | RA | (asked.flags & 0x0130),
      ...message,
    });
    return this.reply(asked.socket, bytes, from, port);
  }

  reply(socket: number, payload: Uint8Array, from = S1, port = 53): this {
    const said = this.forwarder.asking.handle(this.now, { socket, peer: server(from, port), payload: payload.slice() });
    this.said.push(said ?? "");
    return this;
  }

  /** What hosts were told since the last time. */
  given(): Given[] {
    const all: Given[] = [];
    for (let a = this.forwarder.pollAnswer(); a !== undefined; a = this.forwarder.pollAnswer())
      all.push({ ...decodeDns(a.message), to: `${a.to}`, port: a.port, stream: a.stream });
    return all;
  }

  events(): ForwarderEvent[] {
    const all: ForwarderEvent[] = [];
    for (let e = this.forwarder.pollEvent(); e !== undefined; e = this.forwarder.pollEvent()) all.push(e);
    return all;
  }

  /** Lets `ms` pass, and what is due in it happen. */
  pass(ms: number): this {
    const end = this.now + ms;
    while (this.forwarder.asking.pollAt() <= end) {
      this.now = Math.max(this.now, this.forwarder.asking.pollAt());
      this.forwarder.asking.handleTimeout(this.now);
      if (this.forwarder.asking.pollAt() <= this.now) throw new Error("due again at once");
    }
    this.now = end;
    return this;
  }

  count(name: string): number {
    return (this.forwarder.counters.snapshot() as Record<string, number>)[name] ?? 0;
  }
}
