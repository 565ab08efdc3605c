import { afterAll, beforeEach, expect, test } from "bun:test";
import { closeSync, constants, mkdtempSync, openSync, readFileSync, readSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { O_NONBLOCK, O_RDWR } from "../sys/constants.ts";
import { EVENT_LOOP, Poller } from "../sys/poller.ts";
import { LineSink, lineDescriptor } from "./line-sink.ts";

const directory = mkdtempSync(join(tmpdir(), "morgana-sink-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

let serial = 0;
let path = "";
let reader = -1;
let lost: number[] = [];
let sink: LineSink;

/** A pipe that nobody reads. */
beforeEach(() => {
  path = join(directory, `${serial++}`);
  Bun.spawnSync(["mkfifo", path]);
  reader = openSync(path, O_RDWR | O_NONBLOCK);
  const blocking = openSync(path, constants.O_WRONLY);
  lost = [];
  sink = new LineSink({
    fd: lineDescriptor(blocking),
    onLost: (lines) => {
      lost.push(lines);
      sink.write(`${lines} lost\n`);
    },
  });
});

function readAll(): string {
  const bytes = new Uint8Array(1 << 20);
  let text = "";
  for (;;) {
    try {
      const n = readSync(reader, bytes);
      text += new TextDecoder().decode(bytes.subarray(0, n));
    } catch {
      return text; // EAGAIN: it is empty
    }
  }
}

const line = (i: number): string => `${i} ${"x".repeat(90)}\n`;

test("what is taken at once needs no poller", () => {
  sink.write("a\n");
  sink.write("b\n");
  expect(readAll()).toBe("a\nb\n");
});

test("with nobody reading it takes what the pipe and its queue hold, waits for nothing, and counts the rest", () => {
  const poller = new Poller();
  sink.attach(poller);
  const count = 100_000;
  for (let i = 0; i < count; i++) sink.write(line(i));
  expect(lost).toEqual([]);
  let text = "";
  // The reader comes back: the rest follows when the poller says that there is room.
  for (let i = 0; i < 100 && lost.length === 0; i++) {
    text += readAll();
    sink.onReady(poller.wait(1000));
  }
  text += readAll();
  const lines = text.split("\n");
  const told = lines.length - 2;
  expect(lines[told]).toBe(`${lost[0]} lost`);
  expect(lost).toEqual([count - told]);
  for (let i = 0; i < told; i++) expect(`${lines[i]}\n`).toBe(line(i));
  expect(text.length).toBeLessThan(200_000); // 64 KiB of the pipe, 64 KiB of the queue
  // And from then on as before.
  sink.write("again\n");
  expect(readAll()).toBe("again\n");
  expect(poller.wait(0) & ~EVENT_LOOP).toBe(0);
});

test("a reader that has gone is no reason to stop, nor to keep what nobody will read", () => {
  const poller = new Poller();
  sink.attach(poller);
  for (let i = 0; i < 1000; i++) sink.write(line(i));
  closeSync(reader);
  sink.onReady(poller.wait(1000));
  expect(poller.wait(0) & ~EVENT_LOOP).toBe(0);
  sink.write("nobody\n");
  expect(poller.wait(0) & ~EVENT_LOOP).toBe(0);
});

test("the last words are waited for, but not for ever", () => {
  for (let i = 0; i < 1000; i++) sink.write(line(i));
  sink.drain(20);
  const before = readAll();
  sink.drain(10_000);
  const text = before + readAll();
  expect(text.startsWith(line(0))).toBe(true);
  expect(text.split("\n").length).toBeGreaterThan(before.split("\n").length);
});

test("a file is written on from where it is, as others who write there do", () => {
  const file = join(directory, "log");
  const fd = openSync(file, constants.O_CREAT | constants.O_WRONLY | constants.O_APPEND, 0o600);
  const to = new LineSink({ fd: lineDescriptor(fd), onLost: () => {} });
  to.write("one\n");
  const again = new LineSink({ fd: lineDescriptor(fd), onLost: () => {} });
  again.write("two\n");
  expect(readFileSync(file, "utf8")).toBe("one\ntwo\n");
});
