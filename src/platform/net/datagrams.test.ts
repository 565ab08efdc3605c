import { afterEach, expect, test } from "bun:test";
import { Batch } from "../../lib/batch.ts";
import { IpAddress, parseIp } from "../../lib/ip.ts";
import { ECONNREFUSED } from "../sys/errno.ts";
import { libc } from "../sys/libc.ts";
import { NativeMemory } from "../sys/memory.ts";
import { pollOne } from "../sys/poller.ts";
import { close } from "../sys/syscalls.ts";
import { DATAGRAMS_BYTES, DatagramSources, Datagrams } from "./datagrams.ts";
import { type Family, readSockaddr, SOCKADDR_BYTES, writeSockaddr } from "./sockaddr.ts";
import { openUdp, takeError } from "./udp-socket.ts";

const LOOPBACK = { ipv4: parseIp("127.0.0.1")!, ipv6: parseIp("::1")! };
const open: number[] = [];
afterEach(() => {
  for (const fd of open.splice(0)) close(fd);
});

function socketOf(family: Family): number {
  const fd = openUdp(family, 0, LOOPBACK[family]);
  open.push(fd);
  return fd;
}

/** The port that the kernel has given, as a datagram of the socket to itself shows it. */
function bed(family: Family) {
  const memory = new NativeMemory(2 * DATAGRAMS_BYTES + 4 * 65536);
  const [name, payload] = [memory.take(SOCKADDR_BYTES), memory.take(3 * 65536)];
  const io = { tx: new Datagrams(memory), rx: new Datagrams(memory) };
  const fds = { tx: socketOf(family), rx: socketOf(family) };
  /** Sends packets of these lengths, each filled with its number. */
  const send = (port: number, ...lengths: number[]): void => {
    const rows = new Batch(1024);
    let at = payload.at;
    lengths.forEach((length, i) => {
      memory.bytes.fill(i, at, at + length);
      rows.push(at, length);
      at += length;
    });
    const nameLength = writeSockaddr(memory.view, name.at, { address: LOOPBACK[family], port });
    io.tx.send(fds.tx, name.pointer, nameLength, rows);
  };
  return { memory, io, fds, send };
}

/** getsockname(2) is asked of nobody else. */
function portOf(fd: number): number {
  const memory = new NativeMemory(4096);
  memory.view.setUint32(64, SOCKADDR_BYTES, true);
  const SYS_GETSOCKNAME = process.arch === "arm64" ? 204 : 51;
  libc.syscall(SYS_GETSOCKNAME, fd, memory.pointer, memory.pointer + 64);
  return readSockaddr(memory.view, 0, new Int32Array(4), 0);
}

for (const family of ["ipv4", "ipv6"] as const)
  test(`datagrams of one size go and come as runs, and each is a row with its sender: ${family}`, () => {
    const { memory, io, fds, send } = bed(family);
    const lengths = [...new Array<number>(100).fill(1400), 7, 1400, 1400, 900, 0, 5];
    send(portOf(fds.rx), ...lengths);
    const rows = new Batch(1024);
    const from = new DatagramSources(1024);
    const got: [number, number][] = [];
    while (got.length < lengths.length && pollOne(fds.rx, 1, 2000)) {
      // Few at a time: what is left of a run comes with the next call.
      const count = io.rx.receive(fds.rx, rows, from, 30);
      for (let i = 0; i < count; i++) {
        got.push([rows.len[i]!, memory.bytes[rows.at[i]!]!]);
        const w = 4 * i;
        const { words } = from;
        const address = new IpAddress(words[w]!, words[w + 1]!, words[w + 2]!, words[w + 3]!);
        expect([`${address}`, from.port[i]!]).toEqual([`${LOOPBACK[family]}`, portOf(fds.tx)]);
      }
      while (!io.rx.drained && got.length < lengths.length) {
        const more = io.rx.receive(fds.rx, rows, from, 30);
        if (more === 0) break;
        for (let i = 0; i < more; i++) got.push([rows.len[i]!, memory.bytes[rows.at[i]!]!]);
      }
    }
    expect(got.map(([length]) => length)).toEqual(lengths);
    const filled = got.filter(([length]) => length > 0).map(([, first]) => first);
    expect(filled).toEqual(lengths.flatMap((length, i) => (length > 0 ? [i & 255] : [])));
    expect(Object.values(io.tx.drops.snapshot()).every((count) => count === 0)).toBe(true);
  });

test("of IPv4 now and then a datagram goes by itself, which no router may fragment, so that it tells what it takes; small ones need not", () => {
  const { io, fds, send } = bed("ipv4");
  const rows = new Batch(1024);
  /** Runs that so many datagrams of a size came as, by how often that was. */
  const seen = (size: number): Record<number, number> => {
    const times: Record<number, number> = {};
    for (let i = 0; i < 64; i++) {
      const before = io.rx.runs;
      send(portOf(fds.rx), size, size, size, size);
      for (let got = 0; got < 4 && pollOne(fds.rx, 1, 2000); )
        got += io.rx.receive(fds.rx, rows, new DatagramSources(1024), 64);
      const runs = io.rx.runs - before;
      times[runs] = (times[runs] ?? 0) + 1;
    }
    return times;
  };
  // What is left of its run is another one.
  expect(seen(1400)).toEqual({ 1: 61, 2: 3 });
  expect(seen(500)).toEqual({ 1: 64 });
});

test("that nobody listens at a port is told with its address, and ends no later datagram", () => {
  const { io, fds, send } = bed("ipv4");
  const closed = socketOf("ipv4");
  const port = portOf(closed);
  close(open.pop()!);
  const numbers: number[] = [];
  io.tx.onError = (number) => void numbers.push(number);
  send(port, 10);
  expect(pollOne(fds.tx, 1, 2000)).toBe(true);
  send(portOf(fds.rx), 10);
  expect(numbers).toEqual([ECONNREFUSED]);
  expect(takeError(fds.tx)).toMatchObject({ errno: ECONNREFUSED, port, type: 3, code: 3 });
  expect(takeError(fds.tx)).toBeUndefined();
  const rows = new Batch(8);
  expect(pollOne(fds.rx, 1, 2000)).toBe(true);
  expect(io.rx.receive(fds.rx, rows, new DatagramSources(8), 8)).toBe(1);
});

test("a socket for all addresses tells to which of ours a datagram came, and sends from the one that it is told", () => {
  const memory = new NativeMemory(2 * DATAGRAMS_BYTES + 65_536);
  const [name, payload] = [memory.take(SOCKADDR_BYTES), memory.take(16_384)];
  const io = { asker: new Datagrams(memory), all: new Datagrams(memory) };
  const fds = { asker: socketOf("ipv4"), all: openUdp("ipv4", 0) };
  open.push(fds.all);
  const rows = new Batch(16);
  const from = new DatagramSources(16);
  const [asked, askers] = ["127.0.0.2", "127.0.0.1"].map((text) => parseIp(text)!);
  const nameOf = (address: IpAddress, port: number): number => writeSockaddr(memory.view, name.at, { address, port });
  rows.push(payload.at, 10);
  io.asker.send(fds.asker, name.pointer, nameOf(asked!, portOf(fds.all)), rows);
  expect(pollOne(fds.all, 1, 2000)).toBe(true);
  expect(io.all.receive(fds.all, rows, from, 16)).toBe(1);
  const own = from.own.slice(0, 4);
  expect(`${new IpAddress(own[0]!, own[1]!, own[2]!, own[3]!)}`).toBe("127.0.0.2");
  rows.clear();
  // Of one size they go as a run, which names its address once.
  for (let i = 0; i < 3; i++) rows.push(payload.at + 1000 * i, 1000);
  io.all.send(fds.all, name.pointer, nameOf(askers!, portOf(fds.asker)), rows, own);
  const got: string[] = [];
  while (got.length < 3 && pollOne(fds.asker, 1, 2000))
    for (let i = io.asker.receive(fds.asker, rows, from, 16); i > 0; i--) {
      const w = 4 * (i - 1);
      const { words } = from;
      got.push(`${new IpAddress(words[w]!, words[w + 1]!, words[w + 2]!, words[w + 3]!)}`);
    }
  expect(got).toEqual(["127.0.0.2", "127.0.0.2", "127.0.0.2"]);
});
