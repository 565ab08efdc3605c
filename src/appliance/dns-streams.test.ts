/** DNS over TCP between two whole stacks: what a host sees that asks. */
import { describe, expect, test } from "bun:test";
import { concat } from "../lib/bytes.ts";
import { parseIp } from "../lib/ip.ts";
import { DnsStream } from "../netstack/dns/stream.ts";
import type { Connection } from "../netstack/tcp/connection.ts";
import { encodeDns, u16 } from "../netstack/testing/dns.ts";
import { TcpPair } from "../netstack/testing/tcp-pair.ts";
import { DnsStreams } from "./dns-streams.ts";
import { tellTcpUsers } from "./wiring/tcp-users.ts";

const SERVER = { address: parseIp("10.0.0.2")!, port: 53 };
const framed = (...messages: Uint8Array[]): Uint8Array =>
  concat(...messages.flatMap((m) => [Uint8Array.from(u16(m.length)), m]));
const question = (id: number): Uint8Array => encodeDns({ id, name: "www.example" });
const idOf = (message: Uint8Array): number => ((message[0] ?? 0) << 8) | (message[1] ?? 0);

/** A host (a) and the gateway (b), which answers at once what has an even id. */
class Lan {
  readonly pair = new TcpPair();
  readonly asked: { readonly id: number; readonly stream: number; readonly from: string }[] = [];
  answerLength = 40;
  readonly streams: DnsStreams;

  constructor() {
    this.streams = new DnsStreams(this.pair.b.tcp, (_now, from, _port, stream, message) => {
      const id = idOf(message);
      this.asked.push({ id, stream, from: `${from}` });
      return id % 2 === 0 ? this.answer(id) : undefined;
    });
  }

  answer(id: number): Uint8Array {
    const answer = new Uint8Array(this.answerLength);
    answer.set(u16(id));
    return answer;
  }

  connect(): Connection {
    const c = this.pair.a.tcp.connect(this.pair.now, SERVER, { receiveBuffer: 65_536 });
    if (typeof c === "string") throw new Error(c);
    this.pair.a.outlet.flush();
    return c;
  }

  /** Lets time pass. */
  run(ms = 50): void {
    const { pair, streams } = this;
    for (let i = 0; i < ms; i++) {
      pair.pass(1);
      tellTcpUsers(pair.now, pair.b.tcp);
      streams.poll(pair.now);
    }
  }

  /** Ids of the answers that came to a connection. */
  read(c: Connection): number[] {
    const stream = new DnsStream(c, 65_535);
    const ids: number[] = [];
    for (let m = stream.next(); m !== undefined; m = stream.next()) ids.push(idOf(m));
    return ids;
  }
}

describe("a host that asks by TCP", () => {
  test("may put several questions at once, in any pieces, and gets each answer behind its length (RFC 7766 6.2.1, 8)", () => {
    const lan = new Lan();
    const c = lan.connect();
    lan.run();
    const bytes = framed(question(2), question(4), question(6));
    for (const piece of [bytes.slice(0, 1), bytes.slice(1, 2), bytes.slice(2, 40), bytes.slice(40)]) {
      c.writeBytes(piece);
      lan.run();
    }
    expect(lan.read(c)).toEqual([2, 4, 6]);
    expect(lan.asked.map(({ from }) => from)).toEqual(["10.0.0.1", "10.0.0.1", "10.0.0.1"]);
  });

  test("gets an answer that comes later, also after it has said that it asks no more; then the connection is closed", () => {
    const lan = new Lan();
    const c = lan.connect();
    c.writeBytes(framed(question(1), question(2)));
    c.shutdown();
    lan.run();
    expect([lan.read(c), c.isFinished]).toEqual([[2], false]);
    lan.streams.answer(lan.pair.now, lan.asked[0]!.stream, lan.answer(1));
    lan.run();
    expect([lan.read(c), c.isFinished]).toEqual([[1], true]);
    lan.streams.answer(lan.pair.now, lan.asked[0]!.stream, lan.answer(1));
  });

  test("and is silent for 10 s: the connection is closed, not before (RFC 7766 6.2.3)", () => {
    const lan = new Lan();
    const c = lan.connect();
    lan.run();
    lan.run(9000);
    c.writeBytes(framed(question(2)));
    lan.run();
    lan.run(9000);
    expect([lan.read(c), c.isFinished]).toEqual([[2], false]);
    lan.run(1100);
    expect(c.isFinished).toBe(true);
    expect(lan.streams.pollAt()).toBe(Number.POSITIVE_INFINITY);
  });

  test.each([
    ["shorter than a header", [0, 11]],
    ["longer than any question", [5, 221]],
  ])("with a message %s: the connection is broken off", (_what, length) => {
    const lan = new Lan();
    const c = lan.connect();
    c.writeBytes(Uint8Array.from(length));
    lan.run();
    expect([c.end, lan.asked]).toEqual(["reset", []]);
  });

  test("and does not read its answers is broken off, however much it asks", () => {
    const lan = new Lan();
    lan.answerLength = 65_000;
    const c = lan.connect();
    for (let i = 0; i < 16; i++) {
      c.writeBytes(framed(question(2)));
      lan.run();
    }
    expect(c.end).toBe("reset");
    expect(lan.asked.length).toBeLessThan(10);
  });

  test("has 16 connections at most", () => {
    const lan = new Lan();
    const all = Array.from({ length: 18 }, () => lan.connect());
    lan.run();
    expect(all.filter(({ end }) => end === "reset")).toHaveLength(2);
    for (const c of all.slice(0, 3)) c.abort();
    lan.run();
    const more = lan.connect();
    lan.run();
    expect(more.end).toBeUndefined();
  });
});
