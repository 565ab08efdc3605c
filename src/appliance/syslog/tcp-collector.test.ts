import { expect, test } from "bun:test";
import { parseIp } from "../../lib/ip.ts";
import { CONNECTED, ENDED, type EndReason, FINISHED } from "../../netstack/tcp/connection.ts";
import type { Tcp } from "../../netstack/tcp/tcp.ts";
import { TestLines } from "../../netstack/testing/syslog-lines.ts";
import { TcpCollector } from "./tcp-collector.ts";

/** A connection that does what the test says, and notes what it is told. */
class ScriptedConnection {
  readonly told: string[] = [];
  end: EndReason | undefined;
  queued = 0;
  readonly readable = 0;
  #events = 0;

  happens(events: number): void {
    this.#events |= events;
  }

  takeEvents(): number {
    const events = this.#events;
    this.#events = 0;
    return events;
  }

  writeBytes(bytes: Uint8Array): number {
    this.queued += bytes.length;
    return bytes.length;
  }

  shutdown(): void {
    this.told.push("shutdown");
  }

  abort(): void {
    this.told.push("abort");
  }
}

function collector(...texts: readonly string[]) {
  const lines = new TestLines();
  lines.add(...texts);
  const c = new ScriptedConnection();
  const tcp = { connect: () => c } as unknown as Tcp;
  const sut = new TcpCollector(tcp, { address: parseIp("192.0.2.1")!, port: 601 }, lines);
  sut.poll(0);
  c.happens(CONNECTED);
  sut.handleEvents(0);
  sut.poll(0);
  return { lines, c, sut };
}

test("a collector that says no more goes on getting what is under way, and nothing else: its lines count, and do not go again", () => {
  const { lines, c, sut } = collector("a", "b");
  c.happens(FINISHED);
  sut.handleEvents(1);
  expect([c.told, lines.settled]).toEqual([["shutdown"], 0]);
  const under = c.queued;
  lines.add("c");
  sut.poll(2);
  expect([c.queued, sut.isBusy, sut.pollAt()]).toEqual([under, true, Number.POSITIVE_INFINITY]);
  c.queued = 0;
  sut.poll(3);
  expect([lines.settled, sut.isBusy]).toEqual([2, false]);
  c.end = "closed";
  c.happens(ENDED);
  sut.handleEvents(4);
  expect([lines.settled, sut.counts]).toEqual([2, { sent: 2, repeated: 0 }]);
  // The next connection takes the others.
  sut.poll(2000);
  c.happens(CONNECTED);
  sut.handleEvents(2000);
  sut.poll(2000);
  expect(c.queued).toBeGreaterThan(0);
});

test("behind both ends nothing is open; behind a reset nothing is known", () => {
  const closed = collector("a");
  closed.c.end = "closed";
  closed.c.queued = 0;
  closed.c.happens(FINISHED | ENDED);
  closed.sut.handleEvents(1);
  expect(closed.sut.counts).toEqual({ sent: 1, repeated: 0 });
  const reset = collector("a");
  reset.c.end = "reset";
  reset.c.queued = 0;
  reset.c.happens(FINISHED | ENDED);
  reset.sut.handleEvents(1);
  expect(reset.sut.counts).toEqual({ sent: 0, repeated: 1 });
});
