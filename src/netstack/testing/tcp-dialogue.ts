/**
 * For tests: one stack, and a peer that says what the test tells it to. Segments are written as tcpdump shows them, with
 * sequence numbers that count from each side's SYN:
 *
 *   flags seq[:end] [ack n] [win n] [mss n] [ws n] [sackok] [ts val/ecr] [sack l:r,l:r]      flags: S F R P . E(ECE) W(CWR)
 *
 * What a test does not mention is not compared; data is a pattern of its place in the stream, which is always compared.
 */
import type { EthernetInterface } from "../interface.ts";
import type { Connection, ConnectionOptions } from "../tcp/connection.ts";
import type { ListenSocket, ListenSocketOptions } from "../tcp/listen-socket.ts";
import { PagePool } from "../tcp/pages.ts";
import type { Tcp, TcpOptions } from "../tcp/tcp.ts";
import { addr, arp, Bed, cidr, ether, frame, icmp, ip, ipv4, type RecordingOutlet, type Sent, side } from "./bed.ts";

export const US = "10.0.0.1";
export const PEER = "10.0.0.2";
export const LISTEN_PORT = 80;
export const PEER_PORT = 5000;
/** The peer's initial sequence number, and TSval of its clock at 0. */
const PEER_ISS = 0x70000000;
const FLAGS = "FSRP.UEW";

/** Byte `n` of either stream. */
const pattern = (n: number): number => (n * 7 + (n >> 8) * 3) & 255;

function same<T>(got: T, wanted: T): void {
  if (got !== wanted) throw new Error(`${got} in place of ${wanted}`);
}

interface Fields {
  readonly flags: string;
  readonly seq: number;
  readonly end: number;
  readonly [name: string]: number | string | undefined;
}

export interface DialogueOptions extends Omit<TcpOptions, "pool"> {
  readonly mtu?: number;
  readonly pages?: number;
  readonly pageSize?: number;
}

export class Dialogue {
  now = 10_000;
  readonly bed: Bed;
  readonly it: EthernetInterface;
  readonly outlet: RecordingOutlet;
  readonly tcp: Tcp;
  readonly pool: PagePool;
  /** Of our side, known from its SYN. */
  iss = 0;
  /** The peer sends timestamps (its clock is ours) when both SYNs had them; a test may set what comes next. */
  hasTimestamps = false;
  tsVal: number | undefined = undefined;
  tsEcr: number | undefined = undefined;
  lastTsVal = 0;
  /** Our data is looked at: false where there are several connections, of which only one can have the pattern. */
  checksData = true;
  localPort = LISTEN_PORT;
  peerPort = PEER_PORT;
  #queue: string[] = [];
  #written = 0;

  constructor(options: DialogueOptions = {}, name: "lan" | "wan" = "lan") {
    const { mtu = 1500, pages = 512, pageSize = 4096 } = options;
    const regions = Math.ceil((pages * pageSize) / (512 * 1024));
    this.bed = new Bed(6 + regions);
    const { it, outlet } = side(this.bed, name, mtu);
    this.it = it;
    this.outlet = outlet;
    const region = this.bed.arena(regions);
    this.pool = new PagePool(this.bed.slab, region.start, pageSize, pages);
    it.configure({ address: cidr(`${US}/24`) });
    this.tcp = it.openTcp({ pool: this.pool, ...options });
    this.#ingest(arp(1, PEER, US));
    this.#queue = [];
  }

  /** An established connection that we began, in which the peer's SYN had these options and came after `rtt` ms. */
  connected(options: ConnectionOptions = {}, syn = "win 60000 mss 1460 ws 0 sackok ts", rtt = 0): Connection {
    const c = this.connect(options);
    this.expect("S 0");
    this.advance(rtt);
    this.push(`S. 0 ack 1 ${syn}`);
    this.expect(". 1 ack 1");
    this.nothing();
    same(c.state, "ESTABLISHED");
    return c;
  }

  connect(options: ConnectionOptions = {}): Connection {
    const c = this.tcp.connect(this.now, { address: addr(PEER), port: PEER_PORT }, options);
    if (typeof c === "string") throw new Error(c);
    this.localPort = c.localPort;
    this.send();
    return c;
  }

  /** An established connection that the peer began, and its listener. */
  accepted(
    options: ListenSocketOptions = {},
    syn = "win 60000 mss 1460 ws 0 sackok ts",
  ): readonly [Connection, ListenSocket] {
    const listener = this.listen(options);
    this.push(`S 0 ${syn}`);
    this.expect("S. 0 ack 1");
    this.push(". 1 ack 1 win 60000");
    const c = listener.accept();
    if (c === undefined) throw new Error("nothing was accepted");
    same(c.state, "ESTABLISHED");
    this.nothing();
    return [c, listener];
  }

  listen(options: ListenSocketOptions = {}): ListenSocket {
    const listener = this.tcp.listen(LISTEN_PORT, options);
    if (listener === undefined) throw new Error("the port is taken");
    return listener;
  }

  /** Writes the next `n` bytes of the pattern; returns how many were taken. */
  write(c: Connection, n: number): number {
    const taken = c.writeBytes(Uint8Array.from({ length: n }, (_, i) => pattern(this.#written + i)));
    this.#written += taken;
    this.send();
    return taken;
  }

  /** What is written next is the beginning of the pattern: for another connection. */
  rewind(): void {
    this.#written = 0;
  }

  /** Reads `n` bytes, which have to be the pattern from `from` on. */
  read(c: Connection, n: number, from = 0): void {
    const out = new Uint8Array(n);
    same(c.read(out), n);
    same(out.toHex(), Uint8Array.from({ length: n }, (_, i) => pattern(from + i)).toHex());
    this.send();
  }

  /** What was commanded is sent. */
  send(): void {
    for (let i = 0; i < 100 && this.it.pollAt() <= this.now; i++) this.it.handleTimeout(this.now);
    this.#collect();
  }

  /** The peer sends segments, all in one batch. */
  push(...segments: string[]): void {
    this.#ingest(...segments.map((text) => this.frameOf(text)));
  }

  /** A router says something of the segment of ours that begins at `seq`. */
  icmp(type: number, code: number, seq: number, mtu = 0): void {
    const quoted = new Uint8Array(8);
    const d = new DataView(quoted.buffer);
    d.setUint16(0, this.localPort);
    d.setUint16(2, this.peerPort);
    d.setInt32(4, (this.iss + seq) | 0);
    const inner = ipv4({ src: US, dst: PEER, protocol: 6 }, quoted);
    this.#ingest(frame(icmp({ src: "10.0.0.3", dst: US }, type, code, mtu, inner)));
  }

  /** Time passes; timers that are due go off one by one. */
  advance(ms: number): void {
    const end = this.now + ms;
    for (let i = 0; i < 10_000; i++) {
      const at = Math.max(this.now, this.it.pollAt());
      if (at > end) break;
      this.now = at;
      this.it.handleTimeout(this.now);
      this.#collect();
    }
    this.now = end;
  }

  /** The next segment of ours is like that. */
  expect(text: string): void {
    const next = this.#queue.shift();
    if (next === undefined) throw new Error(`expected "${text}", but nothing was sent`);
    const wanted = fieldsOf(text);
    const got = fieldsOf(next);
    for (const [name, value] of Object.entries(wanted))
      if (value === "" ? got[name] === undefined : got[name] !== value)
        throw new Error(`expected "${text}" but "${next}" was sent (${name})`);
  }

  /** Nothing (more) was sent. */
  nothing(): void {
    if (this.#queue.length > 0) throw new Error(`was sent: ${this.#queue.join(" | ")}`);
  }

  /** What was sent and not expected yet, which is forgotten. */
  take(): string[] {
    return this.#queue.splice(0);
  }

  /** After how many ms the next segment is sent, which has to be like that. */
  after(text: string, within = 400_000): number {
    const start = this.now;
    while (this.#queue.length === 0) {
      const at = Math.max(this.now, this.it.pollAt());
      if (at > start + within) throw new Error(`"${text}" was not sent within ${within} ms`);
      this.now = at;
      this.it.handleTimeout(this.now);
      this.#collect();
    }
    this.expect(text);
    return this.now - start;
  }

  /** The frame of a segment of the peer. */
  frameOf(text: string): Uint8Array<ArrayBuffer> {
    const f = fieldsOf(text);
    const len = f.end - f.seq - (f.flags.includes("S") ? 1 : 0) - (f.flags.includes("F") ? 1 : 0);
    const options = this.#optionsOf(f);
    const body = new Uint8Array(20 + options.length + len);
    const d = new DataView(body.buffer);
    d.setUint16(0, this.peerPort);
    d.setUint16(2, this.localPort);
    d.setInt32(4, (PEER_ISS + f.seq) | 0);
    d.setInt32(8, f["ack"] === undefined ? 0 : (this.iss + Number(f["ack"])) | 0);
    d.setUint8(12, ((20 + options.length) >> 2) << 4);
    d.setUint8(13, flagBits(f.flags));
    d.setUint16(14, Number(f["win"] ?? 60000));
    body.set(options, 20);
    const from = f.flags.includes("S") ? 0 : f.seq - 1;
    for (let i = 0; i < len; i++) body[20 + options.length + i] = pattern(from + i);
    d.setUint16(16, tcpChecksum(body, PEER, US));
    const ecn = text.includes(" ce") ? 3 : 0;
    const packet = ipv4({ src: PEER, dst: US, protocol: 6 }, body);
    if (ecn !== 0) {
      packet[1] = ecn;
      fixIpChecksum(packet);
    }
    return ether(0x0800, packet);
  }

  #optionsOf(f: Fields): Uint8Array {
    const bytes: number[] = [];
    const word = (n: number): void => void bytes.push((n >>> 24) & 255, (n >>> 16) & 255, (n >>> 8) & 255, n & 255);
    const isSyn = f.flags.includes("S");
    if (f["mss"] !== undefined) bytes.push(2, 4, Number(f["mss"]) >> 8, Number(f["mss"]) & 255);
    if (f["ws"] !== undefined) bytes.push(1, 3, 3, Number(f["ws"]));
    if (f["sackok"] !== undefined) bytes.push(1, 1, 4, 2);
    if (isSyn && f["ts"] !== undefined) this.hasTimestamps = true;
    if (f["ts"] !== undefined || (this.hasTimestamps && !isSyn && f["nots"] === undefined)) {
      bytes.push(1, 1, 8, 10);
      const [val, ecr] = `${f["ts"] ?? ""}`.split("/");
      word(val !== undefined && val !== "" ? Number(val) : (this.tsVal ?? Math.floor(this.now)));
      word(ecr !== undefined && ecr !== "" ? Number(ecr) : (this.tsEcr ?? this.lastTsVal));
    }
    if (f["sack"] !== undefined) {
      const blocks = `${f["sack"]}`.split(",").map((block) => block.split(":").map(Number));
      bytes.push(1, 1, 5, 2 + 8 * blocks.length);
      for (const [left = 0, right = 0] of blocks) {
        word((this.iss + left) | 0);
        word((this.iss + right) | 0);
      }
    }
    return Uint8Array.from(bytes);
  }

  #ingest(...frames: Uint8Array[]): void {
    this.it.ingest(this.now, this.bed.receive(...frames));
    this.#collect();
  }

  #collect(): void {
    for (const sent of this.outlet.take()) {
      const type = sent.view.getUint16(12);
      if (type === 0x0806) {
        if (sent.view.getUint16(20) === 1) this.#ingest(arp(2, PEER, US));
      } else if (sent.bytes[23] === 6) this.#queue.push(this.#textOf(sent));
    }
  }

  /** A segment of ours as text; its checksum and its data are looked at. */
  #textOf(sent: Sent): string {
    const packet = sent.bytes.subarray(14);
    const headerLen = (packet[0]! & 15) * 4;
    const len = (packet[2]! << 8) | packet[3]!;
    same(packet.length, len);
    const tcp = packet.subarray(headerLen);
    const d = new DataView(tcp.buffer, tcp.byteOffset, tcp.length);
    if ((sent.flags & 1) !== 0) {
      same(`${sent.csumStart} ${sent.csumOffset}`, `${14 + headerLen} 16`);
    } else {
      const copy = Uint8Array.from(tcp);
      copy.fill(0, 16, 18);
      same(d.getUint16(16), tcpChecksum(copy, US, PEER));
    }
    same(new DataView(packet.buffer, packet.byteOffset).getInt32(12), ip(US));
    const offset = (d.getUint8(12) >> 4) * 4;
    const bits = d.getUint8(13);
    const flags = [...FLAGS].filter((_, i) => (bits & (1 << i)) !== 0);
    const order = "SFRP.EWU";
    flags.sort((x, y) => order.indexOf(x) - order.indexOf(y));
    const isSyn = (bits & 2) !== 0;
    this.localPort = d.getUint16(0);
    if (isSyn) this.iss = d.getInt32(4);
    // A reset of what nobody knows begins at 0 (RFC 9293 3.10.7.1).
    const seq = (bits & 4) !== 0 && d.getInt32(4) === 0 ? 0 : (d.getInt32(4) - this.iss) | 0;
    const data = tcp.subarray(offset);
    const from = isSyn ? 0 : seq - 1;
    if (this.checksData)
      same(data.toHex(), Uint8Array.from({ length: data.length }, (_, i) => pattern(from + i)).toHex());
    const span = data.length + (isSyn ? 1 : 0) + (flags.includes("F") ? 1 : 0);
    let text = `${flags.join("")} ${seq}${data.length > 0 ? `:${seq + span}` : ""}`;
    if ((bits & 16) !== 0) text += ` ack ${(d.getInt32(8) - PEER_ISS) | 0}`;
    text += ` win ${d.getUint16(14)}`;
    if (sent.gsoType !== 0) text += ` gso ${sent.gsoSize}`;
    if ((packet[1]! & 3) !== 0) text += ` ect ${packet[1]! & 3}`;
    for (let p = 20; p < offset; ) {
      const kind = tcp[p]!;
      if (kind <= 1) {
        p++;
        continue;
      }
      const size = tcp[p + 1]!;
      if (kind === 2) text += ` mss ${d.getUint16(p + 2)}`;
      if (kind === 3) text += ` ws ${tcp[p + 2]}`;
      if (kind === 4) text += " sackok";
      if (kind === 8) {
        this.lastTsVal = d.getInt32(p + 2);
        text += ` ts ${d.getInt32(p + 2)}/${d.getInt32(p + 6)}`;
      }
      if (kind === 5) {
        const blocks: string[] = [];
        for (let b = p + 2; b < p + size; b += 8)
          blocks.push(`${(d.getInt32(b) - PEER_ISS) | 0}:${(d.getInt32(b + 4) - PEER_ISS) | 0}`);
        text += ` sack ${blocks.join(",")}`;
      }
      p += size;
    }
    return text;
  }
}

/** Reads the notation. "ts" without a value is the peer's clock. */
function fieldsOf(text: string): Fields {
  const [flags = "", range = "0", ...rest] = text.split(" ");
  const [seq = "0", end] = range.split(":");
  const span = (flags.includes("S") ? 1 : 0) + (flags.includes("F") ? 1 : 0);
  const fields: Record<string, number | string> = {
    flags,
    seq: Number(seq),
    end: end === undefined ? Number(seq) + span : Number(end),
  };
  for (let i = 0; i < rest.length; i++) {
    const name = rest[i] as string;
    if (["sackok", "nots", "ce"].includes(name)) fields[name] = 1;
    else if (["ts", "sack"].includes(name))
      fields[name] = /^[-\d/:,]+$/.test(rest[i + 1] ?? "") ? (rest[++i] as string) : "";
    else fields[name] = Number(rest[++i]);
  }
  return fields as unknown as Fields;
}

const flagBits = (flags: string): number => [...flags].reduce((bits, f) => bits | (1 << FLAGS.indexOf(f)), 0);

function tcpChecksum(segment: Uint8Array, src: string, dst: string): number {
  let sum = 6 + segment.length;
  for (const part of `${src}.${dst}`.split(".").map(Number).entries())
    sum += part[0] % 2 === 0 ? part[1] << 8 : part[1];
  for (let i = 0; i < segment.length; i++) sum += i % 2 === 0 ? segment[i]! << 8 : segment[i]!;
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  return ~sum & 0xffff;
}

function fixIpChecksum(packet: Uint8Array): void {
  packet.fill(0, 10, 12);
  let sum = 0;
  for (let i = 0; i < 20; i += 2) sum += (packet[i]! << 8) | packet[i + 1]!;
  sum = (sum & 0xffff) + (sum >>> 16);
  const check = ~((sum & 0xffff) + (sum >>> 16)) & 0xffff;
  packet[10] = check >> 8;
  packet[11] = check & 255;
}
