/**
 * What a peer with the keys may put into data packets: payloads of every framing, compressed by anything, in pieces of any order. What
 * comes out lies within the bounds, and everything else is a drop with a name.
 */
import { Batch } from "../../src/lib/batch.ts";
import { Arena } from "../../src/lib/slab.ts";
import { findDecompressors } from "../../src/platform/compression/decompressors.ts";
import { NativeMemory } from "../../src/platform/sys/memory.ts";
import { DataChannel } from "../../src/protocol/data/channel.ts";
import { COMPRESSION, type CompressionForm } from "../../src/protocol/data/compression.ts";
import { Fragments } from "../../src/protocol/data/fragment.ts";
import type { DataKey } from "../../src/protocol/data/key.ts";
import { KeySlots } from "../../src/protocol/data/key-slots.ts";
import { SessionDrops } from "../../src/protocol/drop.ts";
import { Decisions, type Target } from "../target.ts";

const AT = 512;
const SCRATCH = 4096;
const LARGEST = 1602;
const memory = new NativeMemory(SCRATCH + 16 * 2048);
const scratch = new Arena(memory, SCRATCH, memory.bytes.length);
const decompressors = findDecompressors(memory, memory.pointer);
const FORMS = Object.keys(COMPRESSION) as CompressionForm[];
const FIRST_BYTES = [0xfa, 0xfb, 0x66, 0x69, 0x50, 0x45];

/** Opens by doing nothing: what is asked for is what comes behind it. */
function bareKey(): DataKey {
  const key = {
    ...{ keyId: 0, cipher: "none", overhead: 0, sealedLen: 0, openedLen: 0, bytes: 0, packets: 0, isWorn: false },
    payloadMax: (size: number) => size,
    seal: (at: number, len: number) => {
      key.sealedLen = len;
      return at;
    },
    open: (_now: number, at: number, len: number) => {
      key.openedLen = len;
      return at;
    },
    touch: () => 0,
    close: () => {},
  };
  return key;
}

export const data: Target = {
  run(input, seen) {
    const decisions = new Decisions(input);
    const drops = new SessionDrops();
    const slots = new KeySlots(0, 0);
    const pieces = decisions.below(2) === 0 ? undefined : new Fragments(scratch, drops, 300, LARGEST, 0);
    const channel = new DataChannel({ scratch, decompressors, largest: LARGEST }, slots, drops, pieces);
    channel.compression = FORMS[decisions.below(FORMS.length)]!;
    slots.install(bareKey(), 0, 0);
    const plain = new Batch(4);
    let now = 0;
    for (let steps = 0; decisions.left > 0 && steps < 50; steps++) {
      now += decisions.byte() * 50;
      let at = AT;
      if (pieces !== undefined) {
        const size = decisions.below(8) === 0 ? 0 : decisions.uint16() >> 2;
        const flags = decisions.below(4) | (decisions.below(32) << 2) | (decisions.below(4) << 10) | (size << 15);
        memory.view.setInt32(at, flags);
        at += 4;
      }
      const first = decisions.below(FIRST_BYTES.length + 1);
      if (first < FIRST_BYTES.length) memory.bytes[at++] = FIRST_BYTES[first]!;
      const rest = decisions.take(decisions.byte());
      memory.bytes.set(rest, at);
      const len = at + rest.length - AT;
      if (len === 0) continue;
      scratch.reset();
      plain.clear();
      channel.openBare(now, AT, len, plain);
      for (let i = 0; i < plain.count; i++) {
        const [start, n] = [plain.at[i]!, plain.len[i]!];
        const isInPlace = start >= AT && start + n <= AT + len;
        const isMade = start >= SCRATCH && start + n <= memory.bytes.length && n <= LARGEST;
        if (n < 1 || !(isInPlace || isMade)) throw new Error(`a packet of ${n} bytes at ${start}`);
        seen(isMade ? "made" : "in place");
      }
    }
    for (const name of Object.keys(drops.snapshot())) seen(name);
  },
};
