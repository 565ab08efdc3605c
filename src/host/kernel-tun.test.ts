import { expect, test } from "bun:test";
import type { Batch } from "../lib/batch.ts";
import { NativeMemory } from "../platform/sys/memory.ts";
import type { OpenTunnel } from "../tunnel/side.ts";
import { KERNEL_TUN_BYTES, KernelTun } from "./kernel-tun.ts";

/** An IPv4 packet of 20 bytes, whose sum is right. */
const PACKET = Uint8Array.fromHex("4500001400004000400126d70a0800020a080001");
const AT = 4096;

interface Bed {
  readonly side: KernelTun;
  /** What was handed to the kernel. */
  readonly written: number[];
  readonly changes: (OpenTunnel | undefined)[];
  /** Whether what was sent waits still; and each time that the loop was told to wake up for the kernel's packets, or not to. */
  readonly held: { is: boolean; readonly watched: boolean[] };
}

/** A device with three packets at each look. @param problem of the network with every tunnel */
function bed(problem?: string): Bed {
  const memory = new NativeMemory(AT + KERNEL_TUN_BYTES + 4096);
  memory.take(AT);
  memory.bytes.set(PACKET, AT - 64);
  const written: number[] = [];
  const changes: (OpenTunnel | undefined)[] = [];
  const device = {
    receive: (batch: Batch): number => {
      batch.clear();
      for (let i = 0; i < 3; i++) batch.push(AT - 64, PACKET.length);
      return batch.count;
    },
    send: (batch: Batch): void => void written.push(batch.count),
    drained: false,
  };
  const held = { is: false, watched: [] as boolean[] };
  const changed = (_now: number, tunnel: OpenTunnel | undefined): void => void changes.push(tunnel);
  const waits = { isHeld: () => held.is, watch: (isWatched: boolean) => void held.watched.push(isWatched) };
  const side = new KernelTun({ device, network: { open: () => problem }, memory, changed, ...waits });
  return { side, written, changes, held };
}

function tunnel(sent: number[] = []): OpenTunnel {
  const open: Pick<OpenTunnel, "mtu" | "mssClamp" | "send"> = {
    mtu: 1500,
    mssClamp: 0,
    send: (_now, rows) => void sent.push(rows.count),
  };
  return open as OpenTunnel;
}

test("packets of the kernel while there is no tunnel go nowhere, and are counted under a name", () => {
  const { side } = bed();
  const sent: number[] = [];
  expect(side.receive(0, 256)).toBe(3);
  expect(side.up(0, tunnel(sent))).toBeUndefined();
  side.receive(0, 256);
  side.down(0);
  side.receive(0, 256);
  expect([sent, side.drops.snapshot()]).toEqual([[3], { "tunnel-closed": 6 }]);
});

test("while what was sent waits, the kernel's packets stay where they are, and wake nobody", () => {
  const { side, held } = bed();
  const sent: number[] = [];
  side.up(0, tunnel(sent));
  held.is = true;
  expect([side.receive(0, 256), side.receive(0, 256), side.drained]).toEqual([0, 0, true]);
  held.is = false;
  expect(side.look()).toBe(true);
  expect([side.drained, side.receive(0, 256)]).toEqual([false, 3]);
  expect([sent, held.watched, side.drops.snapshot()]).toEqual([[3], [false, true], {}]);
});

test("a tunnel that the kernel does not take is none", () => {
  const { side, changes } = bed("tun9: no");
  expect(side.up(0, tunnel())).toBe("tun9: no");
  side.receive(0, 256);
  expect([changes, side.drops.snapshot()]).toEqual([[], { "tunnel-closed": 3 }]);
});

test("who is told of tunnels hears of each that is open, and once that there is none", () => {
  const { side, changes } = bed();
  const first = tunnel();
  side.up(0, first);
  side.down(0);
  side.down(0);
  expect(changes).toEqual([first, undefined]);
});

test("what comes out of the tunnel is written before deliver returns", () => {
  const { side, written } = bed();
  const rows = { at: Int32Array.of(AT - 64), len: Int32Array.of(PACKET.length), count: 1 } as unknown as Batch;
  side.up(0, tunnel());
  side.deliver(0, rows);
  expect(written).toEqual([1]);
});
