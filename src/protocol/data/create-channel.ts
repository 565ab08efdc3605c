/** The data channel of a session, whatever its keys come of: with fragments and decompression as the profile has them. */
import { type Random, randomBelow } from "../../lib/random.ts";
import type { Arena } from "../../lib/slab.ts";
import type { DataConfig, DeviceType, TunnelConfig } from "../config/types.ts";
import type { SessionDrops } from "../drop.ts";
import { type Decompressors, NO_DECOMPRESSORS } from "../ports.ts";
import { DataChannel } from "./channel.ts";
import { Fragments } from "./fragment.ts";
import { FRAMING_MOST } from "./framing.ts";
import type { KeySlots } from "./key-slots.ts";
import { largestPlain } from "./mtu.ts";

export interface ChannelConfig {
  readonly data: Pick<DataConfig, "allowCompression" | "fragment">;
  readonly deviceType: DeviceType;
  readonly tunnel: Pick<TunnelConfig, "mtuMax">;
}

export interface ChannelPorts {
  /** Room for what cannot be opened in place. */
  readonly scratch: Arena;
  readonly decompressors: Decompressors;
  readonly random: Random;
}

/** @param linkOverhead bytes of the headers below the packets */
export function createDataChannel(
  { data, deviceType, tunnel }: ChannelConfig,
  { scratch, decompressors, random }: ChannelPorts,
  linkOverhead: number,
  slots: KeySlots,
  drops: SessionDrops,
): DataChannel {
  const { fragment, allowCompression } = data;
  const readable = allowCompression === "no" ? NO_DECOMPRESSORS : decompressors;
  const memory = { scratch, decompressors: readable, largest: largestPlain(deviceType, tunnel) };
  if (fragment === undefined) return new DataChannel(memory, slots, drops);
  const datagram = fragment.isOuter ? fragment.size - linkOverhead : fragment.size;
  const largest = memory.largest + FRAMING_MOST;
  return new DataChannel(
    memory,
    slots,
    drops,
    new Fragments(scratch, drops, datagram, largest, randomBelow(random, 256)),
  );
}
