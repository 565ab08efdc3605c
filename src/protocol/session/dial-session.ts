/** What a dialer needs of a session, whatever its ends agree by: ClientSession, StaticSession. */
import type { Batch } from "../../lib/batch.ts";
import type { TunnelTraffic } from "../data/channel.ts";
import type { SessionDrops } from "../drop.ts";
import type { SessionEvent } from "./events.ts";
import type { LoginMemory } from "./login.ts";

export interface DialSession {
  readonly drops: SessionDrops;
  readonly counters: { snapshot(): Readonly<Partial<Record<string, number>>> };
  /** What the next session logs in with. */
  readonly loginMemory: LoginMemory;
  /** An authentic packet of the peer has come. */
  readonly isAnswered: boolean;
  /** Packets so far that only the peer can have made. */
  readonly proofs: number;
  /** Bytes that sealing adds to a packet at most. Once up. */
  readonly dataOverhead: number;
  /** The largest packet of the tunnel that becomes one packet of at most `size` bytes. Once up. */
  payloadMax(size: number): number;
  /** Tunnel packets and bytes so far. */
  traffic(): TunnelTraffic;
  /** Whether `len` bytes at `at` of the slab, from anywhere, have the looks of the peer's first answer to us. */
  looksLikeAnswer(at: number, len: number): boolean;
  /** @param since when the attempt began, which the link may have needed time of */
  start(now: number, since?: number): void;
  /** Says goodbye where that was agreed on, then ends. */
  close(now: number): void;
  /** Ends at once, without a word to the peer. */
  abandon(now: number): void;
  /** Packets of the link: those of the tunnel are opened and become rows of `plain`, which must have room for all. */
  handleBatch(now: number, datagrams: Batch, plain: Batch): void;
  /** Seals IP packets in place; the rows of `sealed` are packets for the link. */
  sealBatch(now: number, plain: Batch, sealed: Batch): void;
  /** Does everything that is due. */
  handleTimeout(now: number): void;
  /** The next packet for the link that no LAN host sent. */
  pollTransmit(now: number): Uint8Array | undefined;
  pollEvent(): SessionEvent | undefined;
  /** When handleTimeout or pollTransmit wants to be called; in the past when at once, Infinity when never. */
  pollAt(): number;
}
