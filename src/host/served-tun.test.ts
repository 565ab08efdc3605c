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

/** Puts an IPv4 packet of 20 bytes at `at`. */
function put(at: number, from: string, to: string): void {
  const { view, bytes } = memory;
  bytes.set(Uint8Array.fromHex("4500001400004000400100000a0800000a080000"), at);
  bytes[at + 15] = Number(from);
  bytes[at + 19] = Number(to);
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
  const device = {
    receive: (batch: Batch): number => {
      batch.clear();
      waiting.splice(0).forEach(([from, to], i) => {
        const at = 8192 + i * 512;
        put(at, from, to);
        batch.push(at, 20);
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
