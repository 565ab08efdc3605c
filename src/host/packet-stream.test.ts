import { expect, test } from "bun:test";
import { Batch } from "../lib/batch.ts";
import { NativeMemory } from "../platform/sys/memory.ts";
import { StreamRows } from "../protocol/stream.ts";
import { KernelPacketStream } from "./packet-stream.ts";

const QUEUE = 512 << 10;
const PACKET = 1398;

/** Over a connection that takes nothing, or all that waits. */
function bed() {
  const memory = new NativeMemory(1 << 20);
  let queued = 0;
  let takes = false;
  const sender = {
    error: 0,
    get queued() {
      return queued;
    },
    get room() {
      return QUEUE - queued;
    },
    send: (_fd: number, rows: Batch): void => {
      for (let i = 0; i < rows.count; i++) queued += rows.len[i]!;
      if (takes) queued = 0;
    },
    sendBytes: (_fd: number, bytes: Uint8Array): boolean => {
      queued += bytes.length;
      return true;
    },
    flush: (): void => {
      if (takes) queued = 0;
    },
  };
  const watched: boolean[] = [];
  const received = new StreamRows(memory, 1 << 19, (1 << 19) + (64 << 10), 2000);
  const watch = (wantsRoom: boolean): void => void watched.push(wantsRoom);
  // A descriptor of nothing: reading from it fails.
  const stream = new KernelPacketStream({ fd: -1, memory, sender, received, watch });
  /** Sends as many of `count` packets as it takes. @returns how many those are */
  const send = (now: number, count: number): number => {
    const rows = new Batch(1024);
    for (let i = 0; i < count; i++) rows.push(4096 + 1400 * (i % 64), PACKET);
    rows.count = stream.admit(rows, 0);
    if (rows.count > 0) stream.send(now, rows);
    return rows.count;
  };
  const take = (all: boolean): void => {
    takes = all;
  };
  return { stream, sender, send, watched, take };
}

test("heaps of super-frames wait for a connection that has been busy for a moment; room is left for control packets, and the rest is counted", () => {
  const { stream, sender, send, watched } = bed();
  expect(send(0, 256)).toBe(256);
  expect(send(1, 256)).toBe(Math.floor((QUEUE - (32 << 10)) / 1400) - 256);
  expect(sender.room).toBeGreaterThanOrEqual(32 << 10);
  expect(stream.drops()["link-queue-full"]).toBe(512 - Math.floor((QUEUE - (32 << 10)) / 1400));
  expect([stream.waits, watched.at(-1)]).toEqual([true, true]);
});

test("on a way where something has waited for long little waits, until nothing does", () => {
  const { stream, send, take } = bed();
  expect(send(0, 40)).toBe(40);
  expect(send(90, 20)).toBe(20);
  expect(send(110, 5)).toBe(5);
  // 65 of the 70 packets for which there is room then are there.
  expect(send(120, 100)).toBe(5);
  expect(send(130, 100)).toBe(0);
  take(true);
  stream.read(140, () => {});
  take(false);
  expect([stream.waits, send(150, 256)]).toEqual([false, 256]);
});
