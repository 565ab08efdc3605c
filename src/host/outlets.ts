/** What waits between a device of the kernel and the tunnel, each way, until it is flushed. */
import { Batch, MAX_PIECES } from "../lib/batch.ts";
import type { Outlet } from "../lib/outlet.ts";
import { Arena } from "../lib/slab.ts";
import type { TunDevice } from "../platform/dev/tun.ts";
import type { NativeMemory } from "../platform/sys/memory.ts";
import type { OpenTunnel } from "../tunnel/side.ts";

/** A super-frame of 64 KiB becomes at most about 50 packets of an ordinary MTU; several fit before a flush. */
const ARENA_BYTES = 2 << 20;
const ROWS = 1024;

export const HOST_OUTLETS_BYTES = ARENA_BYTES + 64;

export class HostOutlets {
  readonly toTunnel: Outlet;
  readonly toDevice: Outlet;
  readonly #run = new Batch(ROWS);

  /** @param sendThroughTunnel gets what is in {@link toTunnel}, which is empty afterwards */
  constructor(device: Pick<TunDevice, "send">, memory: NativeMemory, sendThroughTunnel: (rows: Batch) => void) {
    const toTunnel = new Batch(ROWS);
    const arena = arenaOf(memory);
    this.toTunnel = {
      batch: toTunnel,
      arena,
      flush: () => {
        if (toTunnel.count > 0) sendThroughTunnel(toTunnel);
        toTunnel.clear();
        arena.reset();
      },
    };
    const toDevice = new Batch(ROWS + MAX_PIECES);
    this.toDevice = {
      batch: toDevice,
      // Nothing is made there.
      arena: new Arena(memory, arena.start, arena.start),
      flush: () => {
        device.send(toDevice);
        toDevice.clear();
      },
    };
  }

  /**
   * Sends rows to the peers that they are for: those of one that follow each other go together, so that they leave as one.
   * @returns how many rows were for nobody
   */
  sendByPeer(now: number, rows: Batch, carriers: ReadonlyMap<number, Pick<OpenTunnel, "send">>): number {
    const run = this.#run;
    let forNobody = 0;
    for (let first = 0, end = 0; first < rows.count; first = end) {
      end = rows.peerEnd(first);
      const carrier = carriers.get(rows.peer[first]!);
      if (carrier === undefined) {
        forNobody += end - first;
        continue;
      }
      run.clear();
      run.pushPlain(rows, first, end);
      carrier.send(now, run);
    }
    return forNobody;
  }

  /** Drops what waits: after an error in mid-turn nobody knows whose bytes it points to. */
  discard(): void {
    for (const { batch, arena } of [this.toTunnel, this.toDevice]) {
      batch.clear();
      arena.reset();
    }
  }
}

/** Room of HOST_OUTLETS_BYTES. */
export function arenaOf(memory: NativeMemory): Arena {
  const piece = memory.take(ARENA_BYTES, 64);
  return new Arena(memory, piece.at, piece.at + piece.length);
}
