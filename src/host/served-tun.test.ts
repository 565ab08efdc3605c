import { beforeEach, expect, test } from "bun:test";
import { Batch } from "../lib/batch.ts";
import { parseCidr } from "../lib/cidr.ts";
import { HEADROOM } from "../lib/slab.ts";
import { NativeMemory } from "../platform/sys/memory.ts";
import { SERVED_TUN_BYTES, ServedTun } from "./served-tun.ts";

const START = 16_384;

let memory: NativeMemory;
let side: ServedTun;
/** What was written to the kernel, and sent to each client: the last byte of source and destination. */
let written: string[];
let sent: string[];
let waiting: [string, string][];

const nameOf = (at: number): string => `${memory.bytes[at + 15]} > ${memory.bytes[at + 19]}`;

/** Puts what waits in the kernel at its place. */
let fill: (at: number, from: string, to: string) => void;

/** Puts the header of an IPv4 packet of 20 bytes at `at`. @param change of it */
function put(at: number, from: string, to: string, change: (bytes: Uint8Array) => void = () => {}): void {
  const { view, bytes } = memory;
  bytes.set(Uint8Array.fromHex("4500001400004000400100000a0800000a080000"), at);
  bytes[at + 15] = Number(from);
  bytes[at + 19] = Number(to);
  change(bytes.subarray(at, at + 20));
  let sum = 0;
  for (let i = 0; i < 20; i += 2) sum += view.getUint16(at + i);
  sum = (sum & 0xffff) + (sum >>> 16);
  view.setUint16(at + 10, ~((sum & 0xffff) + (sum >>> 16)) & 0xffff);
}

function rows(peer: number, ...packets: [string, string][]): Batch {
  const batch = new Batch(64);
  packets.forEach(([from, to], i) => {
    const at = 4096 + i * 20;
    put(at, from, to);
    batch.peer[batch.push(at, 20)] = peer;
  });
  return batch;
}

function open(clientToClient: boolean): void {
  const tunnel = { address: parseCidr("10.8.0.1/24"), address6: undefined, mtu: 1500, routes: [], clientToClient };
  expect(side.open(0, tunnel)).toBeUndefined();
  for (const [peer, last] of [
    [7, 2],
    [8, 3],
  ] as const)
    side.join(0, peer, {
      networks: [parseCidr(`10.8.0.${last}/32`)!],
      mtu: 1500,
      mssClamp: 0,
      send: (_now, batch) => {
        // What seals it in place needs room in front, which is nobody else's.
        for (let i = 0; i < batch.count; i++) memory.bytes.fill(0xee, batch.at[i]! - HEADROOM, batch.at[i]!);
        for (let i = 0; i < batch.count; i++) sent.push(`${peer}: ${nameOf(batch.at[i]!)}`);
      },
    });
}

beforeEach(() => {
  memory = new NativeMemory(START + SERVED_TUN_BYTES + 4096);
  memory.take(START);
  [written, sent, waiting] = [[], [], []];
  fill = put;
  const device = {
    receive: (batch: Batch): number => {
      batch.clear();
      waiting.splice(0).forEach(([from, to], i) => {
        const at = 8192 + i * 2048;
        fill(at, from, to);
        batch.push(at, memory.view.getUint16(at + 2));
      });
      return batch.count;
    },
    send: (batch: Batch): void => {
      for (let i = 0; i < batch.count; i++) written.push(nameOf(batch.at[i]!));
    },
  };
  side = new ServedTun({ device, network: { open: () => undefined, close: () => {} }, memory });
});

test("a packet of the kernel goes to the client that has its address; one that nobody has goes nowhere", () => {
  open(false);
  waiting = [
    ["1", "2"],
    ["1", "3"],
    ["1", "9"],
    ["1", "3"],
  ];
  side.receive(0, 256);
  expect(sent).toEqual(["7: 1 > 2", "8: 1 > 3", "8: 1 > 3"]);
  expect(side.drops.snapshot()["no-such-client"]).toBe(1);
  side.leave(0, 8);
  waiting = [["1", "3"]];
  side.receive(0, 256);
  expect([sent.length, side.drops.snapshot()["no-such-client"]]).toEqual([3, 2]);
});

test("a client's packet comes from an address that it has, or goes nowhere", () => {
  open(false);
  side.deliver(0, rows(7, ["2", "1"], ["3", "1"], ["9", "1"]));
  expect(written).toEqual(["2 > 1"]);
  expect(side.drops.snapshot()["source-not-of-client"]).toBe(2);
});

test("from client to client it is the kernel's to say, but with client-to-client it goes straight", () => {
  open(false);
  side.deliver(0, rows(7, ["2", "3"]));
  expect([written, sent]).toEqual([["2 > 3"], []]);
  side.close();
  written = [];
  open(true);
  side.deliver(0, rows(7, ["2", "3"], ["2", "1"], ["2", "3"]));
  expect([written, sent]).toEqual([["2 > 1"], ["8: 2 > 3", "8: 2 > 3"]]);
});

test("what is no IP packet goes nowhere", () => {
  open(false);
  const batch = rows(7, ["2", "1"]);
  batch.len[0] = 19;
  side.deliver(0, batch);
  batch.len[0] = 0;
  side.deliver(0, batch);
  expect([written, side.drops.snapshot()["packet-malformed"]]).toEqual([[], 2]);
});

/** The way to client 7 takes packets of 1300 bytes. */
const narrow = (): void =>
  side.join(0, 7, {
    networks: [parseCidr("10.8.0.2/32")!],
    mtu: 1300,
    mssClamp: 1240,
    send: (_now, batch) => {
      for (let i = 0; i < batch.count; i++)
        sent.push(`7: ${nameOf(batch.at[i]!)}${memory.bytes[batch.at[i]! + 9] === 1 ? " ICMP" : ""}`);
    },
  });

/** A long packet with DF, or as it is. */
function long(at: number, from: string, to: string, len = 1400, df = true): void {
  put(at, from, to, (bytes) => {
    new DataView(bytes.buffer, bytes.byteOffset).setUint16(2, len);
    bytes[6] = df ? 0x40 : 0;
    bytes[9] = 17;
  });
}

test("what is larger than the way to one client takes is told its sender, behind the kernel or another client, and goes where it may be fragmented", () => {
  open(true);
  narrow();
  waiting = [
    ["1", "2"],
    ["1", "3"],
  ];
  fill = (at, from, to) => long(at, from, to);
  side.receive(0, 256);
  // To the kernel it comes from the client's address: it takes nothing that seems to be its own.
  expect([sent.splice(0), written.splice(0)]).toEqual([["8: 1 > 3"], ["2 > 1"]]);
  waiting = [["1", "2"]];
  fill = (at, from, to) => long(at, from, to, 1400, false);
  side.receive(0, 256);
  expect([sent.splice(0), written]).toEqual([["7: 1 > 2"], []]);
  const between = rows(8, ["3", "2"]);
  long(between.at[0]!, "3", "2");
  between.len[0] = 1400;
  side.deliver(0, between);
  expect([sent.splice(0), written]).toEqual([["8: 2 > 3"], []]);
  expect(side.raw.drops.snapshot()["TooBig"]).toBe(2);
  side.leave(0, 7);
  expect([side.raw.mtuOf, side.raw.mssOf]).toEqual([undefined, undefined]);
});

test("mssfix is each client's own, and between two of them the least counts", () => {
  open(true);
  expect(side.raw.mssOf).toBeUndefined();
  narrow();
  const mss = (from: string, to: string): number | undefined => {
    put(4096, from, to);
    return side.raw.mssOf?.(4096, false);
  };
  expect([mss("1", "2"), mss("2", "1"), mss("1", "3"), mss("3", "2")]).toEqual([1240, 1240, 0, 1240]);
  side.join(0, 8, { networks: [parseCidr("10.8.0.3/32")!], mtu: 1500, mssClamp: 1000, send: () => {} });
  expect([mss("1", "3"), mss("2", "3"), mss("3", "2"), mss("1", "2")]).toEqual([1000, 1000, 1000, 1240]);
});
