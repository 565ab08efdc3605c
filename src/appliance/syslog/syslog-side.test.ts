/** The log's way to a collector, between two whole stacks: the collector is the other one. */
import { describe, expect, test } from "bun:test";
import { readSyslog } from "../../../test/support/syslog-message.ts";
import { parseCidr } from "../../lib/cidr.ts";
import type { Log, LogFields } from "../../lib/log.ts";
import { type Connection, ENDED, FINISHED } from "../../netstack/tcp/connection.ts";
import { TcpPair } from "../../netstack/testing/tcp-pair.ts";
import { RecordQueue } from "../../platform/log/record-queue.ts";
import type { SyslogSetting } from "../settings/syslog.ts";
import { tellTcpUsers } from "../wiring/tcp-users.ts";
import { SyslogSide } from "./syslog-side.ts";

class CollectorNet {
  readonly pair: TcpPair;
  readonly records = new RecordQueue();
  /** What the side says on the console, and with which fields. */
  readonly said: string[] = [];
  readonly fields: LogFields[] = [];
  readonly side: SyslogSide;
  /** Texts of the lines that the collector has got. */
  readonly got: string[] = [];
  /** Its connections, with what they brought and was not read yet. */
  readonly connections: { readonly c: Connection; bytes: string }[] = [];
  #listener: ReturnType<TcpPair["b"]["tcp"]["listen"]>;
  #serial = 0;
  readonly #through: "lan" | "tunnel";

  /** @param through on which of the two the collector is */
  constructor(family: 4 | 6 = 4, through: "lan" | "tunnel" = "lan") {
    this.pair = new TcpPair({ family });
    this.#through = through;
    const other = new TcpPair().a;
    const [lan, tunnel] = through === "lan" ? [this.pair.a, other] : [other, this.pair.a];
    const log: Log = {
      enabled: () => true,
      write: (level, event, message, fields = {}) => {
        this.said.push(`${level} ${event} ${message}`);
        this.fields.push(fields);
        // As the console's log does.
        this.#record(event, message, fields);
      },
    };
    this.side = new SyslogSide({
      path: {
        ...{ lan: lan.it, lanTcp: lan.tcp },
        ...{ tunnel: tunnel.it, tunnelTcp: tunnel.tcp },
      },
      slab: this.pair.a.slab,
      records: this.records,
      hostname: "gw",
      lan6: family === 6 ? parseCidr("fd00::1/64") : undefined,
      log,
    });
  }

  setting(proto: "udp" | "tcp", port = 514): SyslogSetting {
    return { proto, to: { address: this.pair.address, port }, through: this.#through, line: 3 };
  }

  write(...messages: readonly string[]): void {
    for (const message of messages) this.#record("x.y", message, {});
  }

  listenUdp(port = 514): void {
    this.pair.b.it.bindUdp(port, {
      onDatagram: (_now, _from, _port, at, len) => this.#receive(this.pair.b.slab.bytes.slice(at, at + len)),
    });
  }

  listenTcp(port = 514): void {
    this.#listener = this.pair.b.tcp.listen(port);
  }

  /** The collector's program ends, and begins again when it is told to. */
  stopTcp(): void {
    for (const { c } of this.connections.splice(0)) c.close();
    if (this.#listener !== undefined) this.pair.b.tcp.unlisten(this.#listener);
  }

  /** @param reads whether the collector reads its connections */
  run(ms: number, reads = true): void {
    const step = ms < 1000 ? 1 : 10;
    for (let i = 0; i < ms; i += step) {
      this.pair.pass(step);
      tellTcpUsers(this.pair.now, this.pair.a.tcp);
      this.side.poll(this.pair.now);
      this.pair.a.outlet.flush();
      for (let c = this.#listener?.accept(); c !== undefined; c = this.#listener?.accept())
        this.connections.push({ c, bytes: "" });
      if (reads) for (const connection of this.connections) this.#read(connection);
    }
  }

  #record(event: string, message: string, fields: LogFields): void {
    this.records.push({ unixMs: this.#serial++, level: "info", event, message, fields });
  }

  #read(connection: { readonly c: Connection; bytes: string }): void {
    const piece = new Uint8Array(65_536);
    connection.bytes += new TextDecoder("latin1").decode(piece.subarray(0, connection.c.read(piece)));
    for (;;) {
      const [head, length] = /^(\d+) /.exec(connection.bytes) ?? [];
      if (head === undefined || connection.bytes.length < head.length + Number(length)) return;
      const end = head.length + Number(length);
      this.#receive(Uint8Array.from(connection.bytes.slice(head.length, end), (c) => c.charCodeAt(0)));
      connection.bytes = connection.bytes.slice(end);
    }
  }

  #receive(bytes: Uint8Array): void {
    this.got.push(readSyslog(bytes).text!.replace(/^x\.y ?/, ""));
  }
}

const texts = (first: number, end: number): string[] =>
  Array.from({ length: end - first }, (_, i) => `line ${first + i}`);

describe.each([
  ["udp", 4],
  ["tcp", 4],
  ["udp", 6],
  ["tcp", 6],
] as const)("over %s and IPv%d", (proto, family) => {
  const listen = (net: CollectorNet): void => (proto === "udp" ? net.listenUdp() : net.listenTcp());

  test("what was written before, and what is written then, arrives, each line once and in order", () => {
    const net = new CollectorNet(family);
    listen(net);
    net.write(...texts(0, 300));
    net.side.take(net.pair.now, net.setting(proto));
    net.run(500);
    net.write("one more");
    net.run(50);
    expect(net.got).toEqual([...texts(0, 300), "one more"]);
    // One that leaves in pieces.
    net.write("x".repeat(4000));
    net.run(50);
    expect(net.got.pop()).toMatch(proto === "udp" ? /^x{1900,}\[\.\.\.\]$/ : /^x{4000}$/);
    expect(net.said).toEqual([`info syslog.started `]);
    expect(net.side.statistics).toEqual({ waiting: 0, sent: 302 });
    expect(net.side.isBusy).toBe(false);
  });

  test("while the collector is away lines wait; it is told when it is, and they arrive when it is back", () => {
    const net = new CollectorNet(family);
    listen(net);
    net.pair.cut = true;
    net.side.take(net.pair.now, net.setting(proto));
    net.write(...texts(0, 20));
    net.run(45_000);
    expect(net.said.slice(1)).toEqual([
      expect.stringMatching(/^warn syslog\.failed the collector does not answer: .*log\.syslog/),
    ]);
    net.pair.cut = false;
    net.run(35_000);
    expect(net.got).toEqual(texts(0, 20));
    expect(net.said.slice(2)).toEqual([expect.stringMatching(/^info syslog\.reached /)]);
  });

  test("of too many lines those that find no room are counted, and the collector is told how many", () => {
    const net = new CollectorNet(family);
    listen(net);
    net.pair.cut = true;
    net.side.take(net.pair.now, net.setting(proto));
    net.run(10);
    net.write(...texts(0, 1100));
    net.run(10);
    expect(net.side.statistics).toMatchObject({ waiting: 1024, "syslogDrop.no-room": 76 });
    expect(net.said.at(-1)).toBe(
      "warn syslog.lost lines of the log find no room among those that wait for the collector",
    );
    net.pair.cut = false;
    net.run(70_000);
    net.write("and on");
    net.run(50);
    const lost = "syslog.lost lines=76 lines of the log were lost: more were written than could be sent";
    expect(net.got).toEqual([...texts(0, 1024), lost, "and on"]);
  });

  test("of losses without end a few are told, all of their lines in the next one, and nothing of the turns in between", () => {
    const net = new CollectorNet(family);
    net.pair.cut = true;
    net.side.take(net.pair.now, net.setting(proto));
    net.write(...texts(0, 1024));
    for (let i = 0; i < 6; i++) {
      net.write("lost", "as well");
      net.run(20);
    }
    const told = () => net.fields.filter((_, i) => net.said[i]!.startsWith("warn syslog.lost"));
    expect(told()).toEqual([{ lines: 2 }, { lines: 2 }, { lines: 2 }, { lines: 2 }]);
    // One in ten minutes, of which turns come now and then.
    for (let i = 0; i < 9; i++) net.side.poll(net.pair.now + i * 60_000);
    net.side.poll(net.pair.now + 601_000);
    expect(told().slice(4)).toEqual([{ lines: 4 }]);
  });

  test("the last lines go with the end", () => {
    const net = new CollectorNet(family);
    listen(net);
    net.side.take(net.pair.now, net.setting(proto));
    net.write("first");
    net.run(100);
    net.write(...texts(0, 50));
    expect(net.side.isBusy).toBe(true);
    net.side.leave(net.pair.now);
    net.pair.a.it.handleTimeout(net.pair.now);
    net.pair.a.outlet.flush();
    net.run(50);
    expect(net.got).toEqual(["first", ...texts(0, 50)]);
    if (proto === "tcp") expect(net.connections[0]!.c.isFinished).toBe(true);
  });
});

test("over UDP a port where nobody listens is told, and counted; not for each line", () => {
  const net = new CollectorNet();
  net.side.take(net.pair.now, net.setting("udp"));
  for (let i = 0; i < 20; i++) {
    net.write("x");
    net.run(100);
  }
  expect(net.said.slice(1)).toEqual([
    expect.stringMatching(/^warn syslog\.failed nobody listens at the collector's port/),
  ]);
  expect(net.side.statistics!["syslogDrop.refused"]).toBeGreaterThan(1);
});

test("an error about another one's datagram, or of another kind, is none of the collector", () => {
  const net = new CollectorNet();
  const errors: ((error: object) => void)[] = [];
  const { it } = net.pair.a;
  const bind = it.bindUdp.bind(it);
  it.bindUdp = (port, receiver) => {
    errors.push((error) => receiver.onError?.(net.pair.now, error as never));
    return bind(port, receiver);
  };
  net.side.take(net.pair.now, net.setting("udp"));
  const { address: dst } = net.setting("udp").to;
  const other = parseCidr("10.0.0.3/24")!.address;
  const port = { type: 3, code: 3, dst, dstPort: 514 };
  for (const error of [
    { ...port, dstPort: 515 },
    { ...port, dst: other },
    { ...port, code: 1 },
    { ...port, type: 11 },
  ])
    errors[0]!(error);
  expect(net.side.statistics!["syslogDrop.refused"]).toBeUndefined();
  errors[0]!(port);
  expect(net.side.statistics!["syslogDrop.refused"]).toBe(1);
});

test("over TCP the restart of the collector loses nothing that it had not got, and is told", () => {
  const net = new CollectorNet();
  net.listenTcp();
  net.side.take(net.pair.now, net.setting("tcp"));
  net.write(...texts(0, 10));
  net.run(100);
  net.stopTcp();
  net.write(...texts(10, 20));
  net.run(3000);
  net.write(...texts(20, 30));
  net.listenTcp();
  net.run(10_000);
  expect(net.got).toEqual(texts(0, 30));
  expect(net.said.slice(1)).toEqual([
    "warn syslog.failed the collector has ended the connection; connecting again",
    "info syslog.reached the collector takes lines again",
  ]);
});

test("over TCP a port where nobody listens is told once, with what to do", () => {
  const net = new CollectorNet();
  net.side.take(net.pair.now, net.setting("tcp"));
  net.run(30_000);
  expect(net.said).toEqual([
    "info syslog.started ",
    expect.stringMatching(
      /^warn syslog\.failed nobody listens at the collector's port: start it there, or correct log\.syslog/,
    ),
  ]);
});

test("a collector that takes nothing stops nothing: lines wait, and go when it reads again", () => {
  const net = new CollectorNet();
  net.listenTcp();
  net.side.take(net.pair.now, net.setting("tcp"));
  net.run(50);
  for (let i = 0; i < 30; i++) {
    net.write(...Array.from({ length: 30 }, (_, k) => `${"x".repeat(1000)}${30 * i + k}`));
    net.run(20, false);
  }
  const { sent = 0, waiting = 0, "syslogDrop.no-room": lost = 0 } = net.side.statistics ?? {};
  expect(waiting).toBeGreaterThan(50);
  expect(sent + waiting + lost).toBe(900);
  net.run(2000);
  expect(net.got.filter((text) => text.startsWith("x")).length).toBe(900 - lost);
});

test("what a collector says is not listened to, and stops nothing", () => {
  const net = new CollectorNet();
  net.listenTcp();
  net.side.take(net.pair.now, net.setting("tcp"));
  net.run(50);
  const { c } = net.connections[0]!;
  for (let i = 0; i < 100; i++) {
    c.writeBytes(new Uint8Array(1000));
    net.run(5);
  }
  net.write("still here");
  net.run(50);
  expect([net.got, c.queued]).toEqual([["still here"], 0]);
});

test("no line causes a line: with a collector that ends every connection there are few, and none of them is sent", () => {
  const net = new CollectorNet();
  net.listenTcp();
  net.side.take(net.pair.now, net.setting("tcp"));
  net.write("only");
  for (let i = 0; i < 60; i++) {
    net.run(1000);
    for (const { c } of net.connections.splice(0)) c.abort();
  }
  expect(net.said.length).toBeLessThan(12);
  expect(new Set(net.got)).toEqual(new Set(["only"]));
});

test("another setting goes to the other collector from then on, the same one changes nothing, none keeps nothing", () => {
  const net = new CollectorNet();
  net.listenTcp(601);
  net.side.take(net.pair.now, net.setting("tcp", 601));
  net.write("a");
  net.run(50);
  const [first] = net.connections;
  net.side.take(net.pair.now, { ...net.setting("tcp", 601), line: 9 });
  net.listenUdp(514);
  net.write("b");
  net.run(50);
  expect([net.got, net.connections.length]).toEqual([["a", "b"], 1]);
  net.side.take(net.pair.now, net.setting("udp"));
  net.write("c");
  net.run(50);
  expect([net.got, (first!.c.takeEvents() & (FINISHED | ENDED)) !== 0]).toEqual([["a", "b", "c"], true]);
  net.side.take(net.pair.now, undefined);
  net.write("d");
  net.run(50);
  expect([net.got.length, net.records.length, net.side.statistics, net.side.pollAt()]).toEqual([
    ...[3, 0, undefined],
    Number.POSITIVE_INFINITY,
  ]);
});

test("an IPv6 address that is not of the LAN, whose network the settings did not know, is a problem at its line", () => {
  const net = new CollectorNet(6);
  const to = { address: parseCidr("fd99::1/64")!.address, port: 514 };
  net.side.take(net.pair.now, { proto: "udp", to, through: "lan", line: 7 });
  expect(net.said).toEqual([
    expect.stringMatching(
      /^error config\.invalid appliance\.toml:7: log\.syslog: fd99::1 is not of the LAN, fd00::\/64, .* name a host of the LAN/,
    ),
  ]);
  net.write("nowhere");
  expect(net.records.length).toBe(0);
});

describe.each(["udp", "tcp"] as const)("through the tunnel, over %s", (proto) => {
  const tunnelTo = (network: string) => ({
    routes: [{ network: parseCidr(network)!, metric: 0 }] as never,
    address: parseCidr("10.0.0.1/24")!,
    address6: undefined,
  });

  test("lines wait for a tunnel that leads to the collector, and for the next one", () => {
    const net = new CollectorNet(4, "tunnel");
    net.listenUdp();
    net.listenTcp();
    net.side.take(net.pair.now, net.setting(proto));
    net.write("before");
    net.run(3000);
    expect([net.got, net.side.statistics, net.side.isBusy]).toEqual([[], { waiting: 1, sent: 0 }, false]);
    net.side.tunnelChanged(net.pair.now, tunnelTo("10.9.0.0/16"));
    net.run(3000);
    expect(net.got).toEqual([]);
    expect(net.said.slice(1)).toEqual([
      "warn syslog.failed the tunnel does not lead to the collector; the server can push a route to it",
    ]);
    net.side.tunnelChanged(net.pair.now, tunnelTo("10.0.0.0/24"));
    net.run(100);
    expect(net.got).toEqual(["before"]);
    net.side.tunnelChanged(net.pair.now, undefined);
    net.write("between");
    net.run(3000);
    expect(net.got).toEqual(["before"]);
    net.side.tunnelChanged(net.pair.now, tunnelTo("10.0.0.0/24"));
    net.write("after");
    net.run(100);
    expect(net.got).toEqual(["before", "between", "after"]);
    expect(net.side.statistics).toMatchObject({ waiting: 0, sent: 3 });
  });

  test("what waits when a tunnel does not lead to the collector any more does not go into it", () => {
    const net = new CollectorNet(4, "tunnel");
    net.listenUdp();
    net.listenTcp();
    net.side.take(net.pair.now, net.setting(proto));
    net.side.tunnelChanged(net.pair.now, tunnelTo("10.0.0.0/24"));
    net.write("first");
    net.run(100);
    net.write(...texts(0, 50));
    net.side.tunnelChanged(net.pair.now, tunnelTo("10.9.0.0/16"));
    net.run(3000);
    expect(net.got).toEqual(["first"]);
    net.side.tunnelChanged(net.pair.now, tunnelTo("10.0.0.0/24"));
    net.run(3000);
    expect(net.got).toEqual(["first", ...texts(0, 50)]);
  });

  test("a tunnel that changes and still leads there goes on with what there is", () => {
    const net = new CollectorNet(4, "tunnel");
    net.listenTcp();
    net.listenUdp();
    net.side.take(net.pair.now, net.setting(proto));
    for (let i = 0; i < 3; i++) {
      net.side.tunnelChanged(net.pair.now, tunnelTo("10.0.0.0/24"));
      net.write(`${i}`);
      net.run(100);
    }
    expect([net.got, net.connections.length]).toEqual([["0", "1", "2"], proto === "tcp" ? 1 : 0]);
  });

  test("our own address there is no collector", () => {
    const net = new CollectorNet(4, "tunnel");
    const to = { address: parseCidr("10.0.0.1/24")!.address, port: 514 };
    net.side.take(net.pair.now, { ...net.setting(proto), to });
    net.side.tunnelChanged(net.pair.now, tunnelTo("10.0.0.0/24"));
    expect(net.said.at(-1)).toContain("the tunnel does not lead to the collector");
  });
});

test("a collector of the LAN is none of the tunnel's business, and one of the tunnel is not looked for on the LAN", () => {
  const net = new CollectorNet();
  net.listenUdp();
  net.side.take(net.pair.now, net.setting("udp"));
  net.side.tunnelChanged(net.pair.now, undefined);
  net.write("one");
  net.run(200);
  expect(net.got).toEqual(["one"]);
  net.side.take(net.pair.now, { ...net.setting("udp"), through: "tunnel" });
  net.write("two");
  net.run(200);
  expect([net.got, net.records.length]).toEqual([["one"], 1]);
});

test("an IPv6 address of the LAN is not beyond the tunnel", () => {
  const net = new CollectorNet(6);
  net.side.take(net.pair.now, { ...net.setting("udp"), through: "tunnel" });
  expect(net.said).toEqual([
    expect.stringMatching(/^error config\.invalid appliance\.toml:3: log\.syslog: fd00::2 is of the LAN/),
  ]);
});
