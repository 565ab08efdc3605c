/** A tap device as a tunnel's plain side: which frames go where, for a client and for a server. */
import { expect, test } from "bun:test";
import { Batch } from "../lib/batch.ts";
import { parseCidr } from "../lib/cidr.ts";
import { HEADROOM } from "../lib/slab.ts";
import { NativeMemory } from "../platform/sys/memory.ts";
import type { OpenTunnel } from "../tunnel/side.ts";
import { KERNEL_TAP_BYTES, KernelTap, ServedTap } from "./kernel-tap.ts";
import type { HostTunnel } from "./tun-network.ts";

const START = 32_768;
const FRAME = 60;
const ALL = "ff";

type Pair = readonly [from: string, to: string];

/** A device with frames that wait, and what was written to it; frames are named by the last bytes of their addresses. */
function bed() {
  const memory = new NativeMemory(START + KERNEL_TAP_BYTES + 4096);
  memory.take(START);
  const waiting: Pair[] = [];
  const written: string[] = [];
  let next = HEADROOM;
  const put = ([from, to]: Pair): number => {
    const at = next;
    next = next + 512 > START - 512 ? HEADROOM : next + 512;
    const { bytes } = memory;
    bytes.fill(0, at, at + FRAME);
    bytes.set(Uint8Array.fromHex(to === ALL ? "ffffffffffff" : `0200000000${to}`), at);
    bytes.set(Uint8Array.fromHex(`0200000000${from}88b5`), at + 6);
    return at;
  };
  const nameOf = (at: number): string =>
    `${memory.bytes.slice(at + 11, at + 12).toHex()} > ${memory.bytes.slice(at + 5, at + 6).toHex()}`;
  const names = (batch: Batch): string[] => Array.from({ length: batch.count }, (_, i) => nameOf(batch.at[i]!));
  const device = {
    drained: true,
    receive: (batch: Batch): number => {
      batch.clear();
      for (const pair of waiting.splice(0)) batch.push(put(pair), FRAME);
      return batch.count;
    },
    send: (batch: Batch): void => void written.push(...names(batch)),
  };
  const rows = (peer: number, ...pairs: readonly Pair[]): Batch => {
    const batch = new Batch(16);
    for (const pair of pairs) batch.peer[batch.push(put(pair), FRAME)] = peer;
    return batch;
  };
  /** What seals frames in place needs room in front, which is nobody else's. */
  const seal = (batch: Batch): string[] => {
    for (let i = 0; i < batch.count; i++) memory.bytes.fill(0xee, batch.at[i]! - 64, batch.at[i]!);
    return names(batch);
  };
  return { memory, device, waiting, written, rows, seal };
}

function client() {
  const made = bed();
  const sent: string[] = [];
  const changes: (OpenTunnel | undefined)[] = [];
  const changed = (_now: number, tunnel: OpenTunnel | undefined): void => void changes.push(tunnel);
  let problem: string | undefined;
  const side = new KernelTap({ ...made, network: { open: () => problem }, changed });
  const send = (_now: number, batch: Batch): void => void sent.push(...made.seal(batch));
  const tunnel = { mtu: 1500, mssClamp: 0, send } as unknown as OpenTunnel;
  return { ...made, side, sent, changes, tunnel, fail: (text: string) => (problem = text) };
}

test("frames of the kernel go to the server and its frames to the kernel, while there is a tunnel", () => {
  const { side, waiting, sent, written, rows, tunnel } = client();
  waiting.push(["0a", "01"]);
  expect(side.receive(0, 256)).toBe(1);
  side.up(0, tunnel);
  waiting.push(["0a", "01"], ["0a", ALL]);
  side.receive(1, 256);
  side.deliver(2, rows(0, ["01", "0a"], ["01", ALL]));
  side.down(3);
  waiting.push(["0a", "01"]);
  side.receive(4, 256);
  side.deliver(5, rows(0, ["01", "0a"]));
  expect([sent, written]).toEqual([
    ["0a > 01", "0a > ff"],
    ["01 > 0a", "01 > ff"],
  ]);
  expect(side.raw.drops.snapshot()).toEqual({ TunnelClosed: 2, PeerGone: 1 });
});

test("a tunnel that the kernel does not take is none; each that is open is told of, and once that there is none", () => {
  const { side, changes, tunnel, fail } = client();
  side.up(0, tunnel);
  side.down(0);
  side.down(0);
  fail("tap9: no");
  expect(side.up(0, tunnel)).toBe("tap9: no");
  expect(changes).toEqual([tunnel, undefined]);
});

function server(clientToClient: boolean, address = "10.8.0.1/24") {
  const made = bed();
  const sent: string[] = [];
  const opened: HostTunnel[] = [];
  const network = { open: (tunnel: HostTunnel) => void opened.push(tunnel), close: () => {} };
  const side = new ServedTap({ ...made, network });
  const routes = [parseCidr("10.9.0.0/16")!];
  side.open(0, { address: parseCidr(address), address6: undefined, mtu: 1500, routes, clientToClient });
  for (const peer of [7, 8])
    side.join(0, peer, {
      networks: [],
      mtu: 1500,
      mssClamp: 0,
      send: (_now, batch) => void sent.push(...made.seal(batch).map((name) => `${peer}: ${name}`)),
    });
  return { ...made, side, sent, opened };
}

test("a server's clients are found by where their stations were heard; who has gone gets nothing", () => {
  const { side, waiting, sent, written, rows } = server(false);
  side.deliver(0, rows(7, ["17", ALL]));
  side.deliver(0, rows(8, ["18", "0a"]));
  waiting.push(["0a", "17"], ["0a", "18"]);
  side.receive(1, 256);
  expect([sent.splice(0), written]).toEqual([
    ["7: 0a > 17", "8: 0a > 18"],
    ["17 > ff", "18 > 0a"],
  ]);
  side.leave(2, 8);
  waiting.push(["0a", "18"]);
  side.receive(3, 256);
  side.deliver(4, rows(8, ["18", "0a"]));
  // Nobody knows where that station is now, so whoever is there may have it.
  expect([sent, written.length]).toEqual([["7: 0a > 18"], 2]);
  expect(side.raw.drops.snapshot()).toEqual({ PeerGone: 1 });
});

test.each([
  [false, ["17 > ff"], []],
  [true, ["17 > ff"], ["8: 17 > ff", "8: 17 > 18"]],
] as const)("client-to-client %p: what a client's frames reach", (clientToClient, toKernel, toClients) => {
  const { side, sent, written, rows } = server(clientToClient);
  side.deliver(0, rows(8, ["18", "0a"]));
  [written, sent].forEach((list) => {
    list.length = 0;
  });
  side.deliver(1, rows(7, ["17", ALL], ["17", "18"]));
  expect([written, sent]).toEqual([[...toKernel], [...toClients]]);
});

test("the device has the server's address, and none where that is the network of server-bridge; routes need a gateway, so there are none", () => {
  expect(server(false).opened[0]?.options).toMatchObject({ address: parseCidr("10.8.0.1/24"), routes: [] });
  expect(server(false, "10.8.0.0/24").opened[0]?.options.address).toBeUndefined();
});
