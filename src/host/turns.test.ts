import { describe, expect, test } from "bun:test";
import { Counters } from "../lib/counters.ts";
import { Arena } from "../lib/slab.ts";
import { NativeMemory } from "../platform/sys/memory.ts";
import { type HostEnd, HostTurns } from "./turns.ts";

function bed(changes: Partial<HostEnd> = {}) {
  const seen: string[] = [];
  const memory = new NativeMemory(4096);
  const say =
    (what: string) =>
    (...words: unknown[]): void => {
      seen.push([what, ...words.slice(0, 1)].join(" "));
    };
  const end: HostEnd = {
    side: { drops: new Counters([]), raw: { drops: new Counters([]) } },
    scratch: new Arena(memory, 0, 4096),
    leaveWithinMs: 100,
    left: false,
    start: () => true,
    fromKernel: () => 0,
    fromNetwork: () => 0,
    kernelDrained: false,
    networkDrained: false,
    runs: 0,
    poll: () => {},
    pollAt: () => Number.POSITIVE_INFINITY,
    reload: say("reload"),
    leave: say("leave"),
    stop: say("stop"),
    discard: say("discard"),
    giveUp: say("giveUp"),
    logStatistics: say("statistics"),
    close: async () => {},
    ...changes,
  };
  const device = { name: "tun7", refused: 0, isGone: false };
  const log = { enabled: () => true, write: (_level: string, event: string) => seen.push(`log ${event}`) };
  return { seen, device, turns: new HostTurns({ log, device }, end) };
}

describe("turns of a host's end", () => {
  test("a turn takes at most 256 packets of each side, and neither waits until the other has nothing left", () => {
    const order: string[] = [];
    const side = (name: string, piece: number) => (_now: number, budget: number) => {
      order.push(name);
      return Math.min(piece, budget);
    };
    const { turns } = bed({ fromKernel: side("kernel", 100), fromNetwork: side("network", 128) });
    expect(turns.receive(0)).toBe(true);
    expect(order).toEqual(["kernel", "network", "kernel", "network", "kernel"]);
  });

  test("after a failure of control() the end is given up, after one of a packet it is not", () => {
    const { seen, turns } = bed();
    turns.failed(5, new Error("packet"), "receive");
    expect(seen).toEqual(["discard", "log internal.error"]);
    turns.failed(6, new Error("timer"), "control");
    expect(seen.at(-1)).toBe("giveUp 6");
  });

  test("a goodbye that nobody answers, or that fails, has an end", () => {
    const { seen, turns } = bed();
    turns.leave("SIGTERM");
    expect(turns.pollAt()).toBe(Number.NEGATIVE_INFINITY);
    turns.control(10);
    expect(turns.pollAt()).toBe(110);
    turns.control(109);
    expect(turns.done()).toBe(false);
    turns.control(110);
    expect(turns.done()).toBe(true);
    expect(seen).toEqual(["log shutdown", "leave 10", "stop 110"]);
    const failing = bed().turns;
    failing.leave("SIGTERM");
    failing.control(0);
    failing.failed(100, new Error("broken"), "control");
    expect(failing.done()).toBe(true);
  });

  test("nobody reads the profile again while it leaves", () => {
    const { seen, turns } = bed();
    turns.reconnect();
    turns.control(0);
    expect(seen).toEqual(["reload 0"]);
    turns.leave("SIGTERM");
    turns.reconnect();
    turns.control(1);
    expect(seen.filter((what) => what.startsWith("reload"))).toEqual(["reload 0"]);
  });

  test("without its device it has failed, and so it has where it cannot start", () => {
    const { seen, device, turns } = bed();
    turns.start(0);
    expect(turns.hasFailed).toBe(false);
    device.isGone = true;
    turns.control(1);
    expect([turns.hasFailed, turns.done(), seen.includes("log interface.lost")]).toEqual([true, true, true]);
    const other = bed({ start: () => false }).turns;
    other.start(0);
    expect([other.hasFailed, other.done()]).toEqual([true, true]);
  });

  test("statistics are logged when somebody asks for them, once", () => {
    const { seen, turns } = bed();
    turns.control(0);
    turns.askForStatistics();
    expect(turns.pollAt()).toBe(Number.NEGATIVE_INFINITY);
    turns.control(1);
    turns.control(2);
    expect(seen).toEqual(["log statistics.device", "statistics 1"]);
  });
});
