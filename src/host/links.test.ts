import { expect, test } from "bun:test";
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

test("a stream whose other end does not read is full until that reads", () => {
  const memory = new NativeMemory(HOST_LINKS_BYTES + READ + (64 << 10));
  const links = new HostLinks({
    memory,
    poller: new Poller(),
    prepare: () => undefined,
    prepareBeside: () => undefined,
  });
  const [place, heap] = [memory.take(2 * PACKET, 64), memory.take(READ, 64)];
  const server = listening();
  let isOpen = false;
  const receiver: LinkReceiver = {
    opened: () => {
      isOpen = true;
    },
    narrowed: () => {},
    unreachable: () => {},
    ended: (_now, end) => expect.unreachable(end.kind),
    handleRows: () => {},
    looksLikeAnswer: () => false,
  };
  const remote = { address: LOOPBACK, port: server.port };
  const link = links.open(0, { protocol: "tcp", remote, localPort: undefined, float: false, longest: 2000 }, receiver);
  if (typeof link === "string") throw new Error(link);
  while (!isOpen) links.receive(0, 256);
  expect(pollOne(server.fd, POLLIN, 10_000)).toBe(true);
  const other = acceptTcp(server.fd)!.fd;
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
  links.closeAll();
  for (const fd of [other, server.fd]) close(fd);
});
