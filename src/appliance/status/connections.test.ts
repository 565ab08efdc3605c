/** The page's HTTP over two whole stacks: what a host sees that asks. */
import { describe, expect, test } from "bun:test";
import { ascii } from "../../lib/bytes.ts";
import { parseIp } from "../../lib/ip.ts";
import { seededRandom } from "../../lib/random.ts";
import { HttpServer, READ_MS } from "../../netstack/http/server.ts";
import type { Connection } from "../../netstack/tcp/connection.ts";
import { TcpPair } from "../../netstack/testing/tcp-pair.ts";
import { tellTcpUsers } from "../wiring/tcp-users.ts";
import { HttpConnections } from "./connections.ts";

const OWN = parseIp("10.0.0.2")!;
const GET = ascii("GET / HTTP/1.1\r\nHost: x\r\n\r\n");

/** A host (a) and the gateway (b), which answers every request with a content of some length. */
class StatusBed {
  readonly pair = new TcpPair();
  readonly server = new HttpServer(seededRandom(3));
  readonly connections: HttpConnections;
  length = 40;
  asked = 0;

  constructor(addresses = [OWN]) {
    this.connections = new HttpConnections(this.pair.b.tcp, 80, addresses, this.server);
  }

  connect(): Connection {
    const c = this.pair.a.tcp.connect(this.pair.now, { address: OWN, port: 80 }, { receiveBuffer: 16_384 });
    if (typeof c === "string") throw new Error(c);
    this.pair.a.outlet.flush();
    return c;
  }

  run(ms = 50): void {
    const { pair, server, connections } = this;
    for (let i = 0; i < ms; i++) {
      pair.pass(1);
      tellTcpUsers(pair.now, pair.b.tcp);
      for (let next = server.pollQuestion(); next !== undefined; next = server.pollQuestion()) {
        this.asked++;
        const content = new Uint8Array(this.length).fill(97);
        server.answer(pair.now, next.id, { status: 200, type: "text/plain", content });
      }
      if (connections.pollAt() <= pair.now) connections.poll(pair.now);
    }
  }

  /** Reads what there is. */
  text(c: Connection): string {
    const out = new Uint8Array(1 << 16);
    return String.fromCharCode(...out.subarray(0, c.read(out)));
  }
}

describe("a host", () => {
  test("that asks in pieces is answered, and the connection ends in good order", () => {
    const lan = new StatusBed();
    const c = lan.connect();
    lan.run();
    for (const byte of GET) {
      c.writeBytes(Uint8Array.of(byte));
      lan.run(2);
    }
    lan.run();
    expect(lan.text(c)).toMatch(/^HTTP\/1\.1 200 OK\r\n[\s\S]*\r\n\r\na{40}$/);
    expect(c.isFinished).toBe(true);
    c.close();
    lan.run(3000);
    expect([c.end, lan.server.count, lan.pair.b.tcp.census.connections]).toEqual(["closed", 0, 0]);
  });

  test("that reads slowly gets all of a long answer, of which TCP holds little at a time", () => {
    const lan = new StatusBed();
    lan.length = 400_000;
    const c = lan.connect();
    c.writeBytes(GET);
    let got = 0;
    for (let i = 0; i < 300 && !c.isFinished; i++) {
      lan.run(20);
      expect(lan.pair.b.tcp.census.connections).toBeLessThan(2);
      got += lan.text(c).length;
    }
    expect([c.isFinished, got > 400_000, lan.asked]).toEqual([true, true, 1]);
  });

  test("that asks nothing is let go of, and one that breaks off is forgotten", () => {
    const lan = new StatusBed();
    const [silent, gone] = [lan.connect(), lan.connect()];
    lan.run();
    expect(lan.server.count).toBe(2);
    gone.abort();
    lan.run();
    expect(lan.server.count).toBe(1);
    lan.run(READ_MS);
    expect([lan.server.count, silent.isFinished]).toEqual([0, true]);
  });
});

test("at an address that is not among its own nobody is heard: the host gets a reset", () => {
  const lan = new StatusBed([parseIp("10.0.0.3")!]);
  const c = lan.connect();
  lan.run();
  expect([c.end, lan.server.count]).toEqual(["refused", 0]);
});

test("a port that another service has is not taken", () => {
  const lan = new StatusBed();
  expect(new HttpConnections(lan.pair.b.tcp, 80, [OWN], lan.server).isListening).toBe(false);
  expect(lan.connections.isListening).toBe(true);
});
