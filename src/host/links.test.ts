import { expect, test } from "bun:test";
import { writeSync } from "node:fs";
import { Batch } from "../lib/batch.ts";
import { parseIp } from "../lib/ip.ts";
import { acceptTcp, listenTcp, receiveBytes } from "../platform/net/stream-socket.ts";
import { POLLIN } from "../platform/sys/constants.ts";
import { NativeMemory } from "../platform/sys/memory.ts";
import { Poller, pollOne } from "../platform/sys/poller.ts";
import { close } from "../platform/sys/syscalls.ts";
import type { LinkReceiver } from "../tunnel/link.ts";
import { HOST_LINKS_BYTES, HostLinks } from "./links.ts";

const LOOPBACK = parseIp("127.0.0.1")!;
const PACKET = 1400;
const READ = 1 << 20;

/** A port that nobody has, and somebody listens on. */
function listening(): { readonly fd: number; readonly port: number } {
  for (let port = 40_000 + (process.pid % 20_000); ; port++) {
    try {
      return { fd: listenTcp("ipv4", port, LOOPBACK), port };
    } catch {
      // somebody has it
    }
  }
}

/** A link over a connection that somebody else has the other end of. */
function streamed() {
  const memory = new NativeMemory(HOST_LINKS_BYTES + READ + (64 << 10));
  const links = new HostLinks({
    memory,
    poller: new Poller(),
    prepare: () => undefined,
    prepareBeside: () => undefined,
  });
  const server = listening();
  const seen = { isOpen: false, packets: 0 };
  const receiver: LinkReceiver = {
    opened: () => {
      seen.isOpen = true;
    },
    narrowed: () => {},
    unreachable: () => {},
    ended: (_now, end) => expect.unreachable(end.kind),
    handleRows: (_now, _path, rows) => {
      seen.packets += rows.count;
    },
    looksLikeAnswer: () => false,
  };
  const remote = { address: LOOPBACK, port: server.port };
  const link = links.open(0, { protocol: "tcp", remote, localPort: undefined, float: false, longest: 2000 }, receiver);
  if (typeof link === "string") throw new Error(link);
  while (!seen.isOpen) links.receive(0, 256);
  expect(pollOne(server.fd, POLLIN, 10_000)).toBe(true);
  const other = acceptTcp(server.fd)!.fd;
  const end = (): void => {
    links.closeAll();
    for (const fd of [other, server.fd]) close(fd);
  };
  return { memory, links, link, other, seen, end };
}

test("a stream whose other end does not read is full until that reads", () => {
  const { memory, links, link, other, end } = streamed();
  const [place, heap] = [memory.take(2 * PACKET, 64), memory.take(READ, 64)];
  expect(links.isFull).toBe(false);
  const rows = new Batch(16);
  for (let sent = 0; sent < 10_000 && !links.isFull; sent++) {
    rows.clear();
    // In front of it there is room for its length.
    rows.push(place.at + 64, PACKET);
    link.send(0, 0, rows);
    // The kernel takes what it has room for.
    links.receive(0, 256);
  }
  expect(links.isFull).toBe(true);
  for (let left = 10_000; links.isFull && left > 0; left--) {
    if (pollOne(other, POLLIN, 1000)) receiveBytes(other, heap.pointer, READ);
    links.receive(0, 256);
  }
  expect(links.isFull).toBe(false);
  end();
});

test("a stream over which something came may have more; once nothing comes it is known to have none", () => {
  const { links, other, seen, end } = streamed();
  writeSync(other, Uint8Array.of(0, 2, 1, 2, 0, 1, 3));
  while (seen.packets === 0) links.receive(0, 256);
  expect([seen.packets, links.drained, links.runs]).toEqual([2, false, 1]);
  expect([links.receive(0, 256), links.drained, links.runs]).toEqual([0, true, 1]);
  end();
});
