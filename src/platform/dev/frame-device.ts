/** What the data path needs of a network interface: batches of Ethernet frames, in and out. */
import type { Batch } from "../../lib/batch.ts";
import type { Counters } from "../../lib/counters.ts";
import type { Mac } from "../../lib/mac.ts";

export interface FrameDevice {
  readonly name: string;
  readonly mac: Mac;
  readonly mtu: number;
  /** Whether UDP super-frames (GSO_UDP_L4) may be sent; may become false. */
  readonly udpGso: boolean;
  /** False when the last receive() left frames that wait, or stopped before it knew. */
  readonly drained: boolean;
  /**
   * Replaces the rows of `batch` by frames that wait, in their order, as long as they are no more work than `budget`
   * ({@link segmentsOf}); the rows are valid until the next call. A budget of MAX_SEGMENTS lets any frame through.
   * @returns the work, in packets; 0 when nothing waits, or what waits is more
   */
  receive(batch: Batch, budget: number): number;
  /** Sends every frame of the batch (rows joined by `more` as one) or counts why not. The batch is left as it is. */
  send(batch: Batch): void;
  /** Administratively up and with carrier. */
  linkUp(): boolean;
  /** The largest packet that the interface takes now: `mtu` is what it was at the start. undefined: it is gone. */
  mtuNow(): number | undefined;
  /** What the kernel had for the device: frames handed over, and frames that found no room. */
  statistics(): { readonly received: number; readonly dropped: number };
  readonly counters: Counters;
}
