/** Questions for servers by TCP and TLS, between two whole stacks; the server is the other one, with OpenSSL where TLS is asked for. */
import { afterAll, describe, expect, test } from "bun:test";
import { makeTlsPki, TLS_DEFAULTS } from "../../test/support/tls-pki.ts";
import { concat } from "../lib/bytes.ts";
import { parseIp } from "../lib/ip.ts";
import { DnsStream } from "../netstack/dns/stream.ts";
import type { DnsTls } from "../netstack/dns/upstreams.ts";
import type { Connection } from "../netstack/tcp/connection.ts";
import type { ListenSocket } from "../netstack/tcp/listen-socket.ts";
import { encodeDns, QR, u16 } from "../netstack/testing/dns.ts";
import { TcpPair } from "../netstack/testing/tcp-pair.ts";
import { libsslTls } from "../platform/crypto/tls.ts";
import type { Material } from "../protocol/config/types.ts";
import { DnsDials } from "./dns-dials.ts";
import { DnsTlsContexts } from "./dns-tls.ts";
import { TlsBytes } from "./tls-bytes.ts";
import { tellTcpUsers } from "./wiring/tcp-users.ts";

const pki = makeTlsPki();
afterAll(() => pki.remove());

const SERVER = { address: parseIp("10.0.0.2")!, port: 53 };
const question = (id: number): Uint8Array => encodeDns({ id, name: "www.example" });
const answer = (id: number, more = 0): Uint8Array =>
  concat(encodeDns({ id, flags: QR, name: "www.example" }), new Uint8Array(more));
const idOf = (message: Uint8Array | undefined): number => ((message?.[0] ?? 0) << 8) | (message?.[1] ?? 0);
const framed = (message: Uint8Array): Uint8Array => concat(Uint8Array.from(u16(message.length)), message);

/** The gateway (a) and a server (b). */
class Net {
  readonly pair = new TcpPair();
  readonly events: string[] = [];
  readonly tls: DnsTlsContexts;
  readonly dials: DnsDials;

  constructor(authorities: Material | undefined = pki.material("ca.crt")) {
    this.tls = new DnsTlsContexts(libsslTls, () => authorities);
    const events = {
      message: (_now: number, id: number, message: Uint8Array) =>
        void this.events.push(`${id} message ${idOf(message)} ${message.length}`),
      ended: (_now: number, id: number) => void this.events.push(`${id} ended`),
    };
    this.dials = new DnsDials(this.pair.a.tcp, events, 10_000, {
      engine: (how) => this.tls.engine(how),
      refused: (_now, server, { name }, failure) =>
        void this.events.push(`${server} ${this.tls.explain(name, failure)}`),
    });
  }

  ask(id: number, dnsId: number, tls?: DnsTls): void {
    this.dials.dial(this.pair.now, { id, server: SERVER, tls, question: question(dnsId) });
  }

  run(ms = 50, also?: () => void): void {
    this.pair.a.outlet.flush();
    for (let i = 0; i < ms; i++) {
      this.pair.pass(1);
      also?.();
      tellTcpUsers(this.pair.now, this.pair.a.tcp);
      if (this.dials.pollAt() <= this.pair.now) this.dials.poll(this.pair.now);
    }
  }

  take(): string[] {
    return this.events.splice(0);
  }
}

/** A server's end of a connection in the clear. */
function accepted(listener: ListenSocket): { c: Connection; stream: DnsStream } {
  const c = listener.accept()!;
  return { c, stream: new DnsStream(c, 1000) };
}

describe("a question for a server by TCP", () => {
  test("is put, and its answer taken whole, in whatever pieces it comes", () => {
    const net = new Net();
    const listener = net.pair.b.tcp.listen(53)!;
    net.ask(7, 9);
    net.run();
    const { c, stream } = accepted(listener);
    const whole = framed(answer(idOf(stream.next()), 20_000));
    c.writeBytes(whole.slice(0, 3));
    net.run();
    expect(net.take()).toEqual([]);
    c.writeBytes(whole.slice(3));
    net.run();
    expect(net.take()).toEqual([`7 message 9 ${whole.length - 2}`]);
  });

  test("shares the connection with others, however they are answered, also where ids are the same (RFC 7766 6.2.1)", () => {
    const net = new Net();
    const listener = net.pair.b.tcp.listen(53)!;
    for (const id of [1, 2]) net.ask(id, 500);
    net.run();
    net.ask(3, 600);
    net.run();
    const { stream } = accepted(listener);
    expect(listener.accept()).toBeUndefined();
    const ids = [stream.next(), stream.next(), stream.next()].map(idOf);
    expect(new Set(ids).size).toBe(3);
    for (const id of ids.toReversed()) stream.send(answer(id));
    stream.send(answer(60_000)); // to nothing that was asked
    net.run();
    expect(net.take()).toEqual(["3 message 600 29", "2 message 500 29", "1 message 500 29"]);
  });

  test("finds the connection of before for 10 s; then it is closed (RFC 7766 6.2.3)", () => {
    const net = new Net();
    const listener = net.pair.b.tcp.listen(53)!;
    net.ask(1, 9);
    net.run();
    const { c, stream } = accepted(listener);
    stream.send(answer(idOf(stream.next())));
    net.run();
    net.run(9900);
    net.ask(2, 9);
    net.run();
    stream.send(answer(idOf(stream.next())));
    net.run();
    expect([net.take().length, c.isFinished]).toEqual([2, false]);
    net.run(10_000);
    expect([c.isFinished, net.dials.pollAt()]).toEqual([true, Number.POSITIVE_INFINITY]);
  });

  test("that nobody takes, or that is answered by nothing, has ended", () => {
    const net = new Net();
    net.ask(1, 9);
    net.run();
    const listener = net.pair.b.tcp.listen(53)!;
    net.ask(2, 9);
    net.run();
    listener.accept()!.close();
    net.run();
    net.ask(3, 9);
    net.run();
    listener.accept()!.writeBytes(Uint8Array.of(0, 3));
    net.run();
    expect(net.take()).toEqual(["1 ended", "2 ended", "3 ended"]);
  });

  test("that nobody waits for any more before it was put ends the connection, without a word", () => {
    const net = new Net();
    const listener = net.pair.b.tcp.listen(53)!;
    net.ask(1, 9);
    net.dials.hangUp(net.pair.now, 1);
    net.dials.hangUp(net.pair.now, 2);
    net.run();
    expect([listener.accept(), net.take(), net.dials.pollAt()]).toEqual([undefined, [], Number.POSITIVE_INFINITY]);
  });

  test("that was given up unanswered after 2 s ends the connection, if nothing else came by it since; others ended with it", () => {
    const net = new Net();
    const listener = net.pair.b.tcp.listen(53)!;
    net.ask(1, 1);
    net.ask(2, 2);
    net.run();
    const { c, stream } = accepted(listener);
    const second = [stream.next(), stream.next()].map(idOf)[1]!;
    net.run(2100);
    stream.send(answer(second));
    net.run();
    net.dials.hangUp(net.pair.now, 1);
    net.ask(3, 3);
    net.ask(4, 4);
    net.run(2100);
    expect(c.end).toBeUndefined();
    net.dials.hangUp(net.pair.now, 3);
    net.run();
    expect([c.end, net.take()]).toEqual(["reset", ["2 message 2 29", "4 ended"]]);
  });

  test("512 of them wait at most; without the tunnel all have ended", () => {
    const net = new Net();
    for (let id = 1; id <= 513; id++) net.ask(id, id);
    expect(net.take()).toEqual(["513 ended"]);
    net.dials.closeAll(net.pair.now);
    expect(net.take()).toHaveLength(512);
  });
});

describe("a question for a server by TLS", () => {
  /** The server's side: a TLS session on the connection that comes in, which answers what it is asked. */
  function serve(net: Net, certificate: string, key = certificate) {
    const listener = net.pair.b.tcp.listen(53)!;
    const material = { cert: pki.material(`${certificate}.crt`), key: pki.material(`${key}.key`) };
    const side = { isServer: true, clientCert: "none", verifyChain: false } as const;
    const context = libsslTls.context({ ...TLS_DEFAULTS, ...material, ...side });
    let session: TlsBytes | undefined;
    let stream: DnsStream | undefined;
    const seen: Uint8Array[] = [];
    const step = (): void => {
      const c = session === undefined ? listener.accept() : undefined;
      if (c !== undefined) {
        session = new TlsBytes(
          c,
          context.engine(() => true),
        );
        stream = new DnsStream(session, 1000);
      }
      session?.pump();
      for (let m = stream?.next(); m !== undefined; m = stream?.next()) {
        seen.push(m);
        stream?.send(answer(idOf(m), 20_000));
      }
    };
    /** Ends the session that there is; the next connection gets another one. */
    const end = (): void => {
      session?.connection.close();
      session = undefined;
      stream = undefined;
    };
    return { step, seen, session: () => session, end };
  }
  const ASKED = { name: "dns.example" };

  test("goes to whoever has a certificate for the name from an authority of the profile; a second one by the same session", () => {
    const net = new Net();
    const server = serve(net, "named");
    net.ask(1, 500, ASKED);
    net.ask(2, 600, ASKED);
    net.run(100, server.step);
    expect(net.take()).toEqual(["1 message 500 20029", "2 message 600 20029"]);
    const session = server.session();
    net.ask(3, 700, ASKED);
    net.run(100, server.step);
    expect(net.take()).toEqual(["3 message 700 20029"]);
    expect([server.seen.length, server.session() === session]).toEqual([3, true]);
  });

  test.each([
    ["another name", "named", { name: "other.example" }, "is not for other.example, as the tunnel says"],
    ["the name as its common name alone", "server", { name: "server" }, "is not for server, as the tunnel says"],
    ["another authority", "named", ASKED, "no authority in other.crt signed its certificate"],
    ["no time left", "named-expired", ASKED, "is out of date by the clock here"],
    ["another use", "client", { name: "client" }, "TLS with it fails (unsuitable certificate purpose)"],
  ])("is not put to who has a certificate with %s, which is said", (what, certificate, tls, words) => {
    const net = new Net(pki.material(what === "another authority" ? "other.crt" : "ca.crt"));
    const server = serve(net, certificate, certificate.replace("-expired", ""));
    net.ask(1, 500, tls);
    net.run(100, server.step);
    const [refused, ended, ...more] = net.take();
    expect(refused).toContain(words);
    expect([ended, more, server.seen]).toEqual(["1 ended", [], []]);
  });

  test("that comes after the server has ended its session gets another one, and nothing is said", () => {
    const net = new Net();
    const server = serve(net, "named");
    net.ask(1, 500, ASKED);
    net.run(100, server.step);
    server.end();
    net.run(100);
    net.ask(2, 600, ASKED);
    net.run(100, server.step);
    expect(net.take()).toEqual(["1 message 500 20029", "2 message 600 20029"]);
  });

  test("is put to nobody where there is no TLS", () => {
    const net = new Net();
    const listener = net.pair.b.tcp.listen(53)!;
    const ended: number[] = [];
    const events = { message: () => {}, ended: (_now: number, id: number) => void ended.push(id) };
    const dials = new DnsDials(net.pair.a.tcp, events, 10_000);
    dials.dial(net.pair.now, { id: 1, server: SERVER, tls: ASKED, question: question(500) });
    net.run();
    expect([ended, listener.accept()]).toEqual([[1], undefined]);
  });

  test("without a name goes to whoever answers", () => {
    const net = new Net(undefined);
    const server = serve(net, "server");
    net.ask(1, 500, { name: undefined });
    net.run(100, server.step);
    expect(net.take()).toEqual(["1 message 500 20029"]);
  });

  test("does not share a connection with one that is to be proved otherwise, or in the clear", () => {
    const net = new Net();
    const listener = net.pair.b.tcp.listen(53)!;
    net.ask(1, 1);
    net.ask(2, 2, { name: undefined });
    net.ask(3, 3, ASKED);
    net.ask(4, 4, ASKED);
    net.run();
    const count = (): number => (listener.accept() === undefined ? 0 : 1 + count());
    expect(count()).toBe(3);
  });

  test("ends where somebody answers who speaks no TLS", () => {
    const net = new Net();
    const listener = net.pair.b.tcp.listen(53)!;
    net.ask(1, 500, ASKED);
    net.run();
    listener.accept()!.writeBytes(framed(answer(500)));
    net.run();
    expect(net.take()).toEqual([expect.stringContaining("TLS with it fails (wrong version number)"), "1 ended"]);
  });
});

test("a server with a name that nothing proves is named, with the reason; without a name there is nothing to prove", () => {
  const none = new DnsTlsContexts(libsslTls, () => undefined);
  expect(none.problem({ name: "dns.example" })).toContain("no ca in the profile");
  expect(none.problem({ name: "not a name" })).toContain("which is no name");
  expect(none.problem({ name: undefined })).toBeUndefined();
  expect(new DnsTlsContexts(libsslTls, () => pki.material("ca.crt")).problem({ name: "dns.example" })).toBeUndefined();
});
