/**
 * Cost of one data packet in the data channel: header, replay window, AEAD by libcrypto, batch. `bun bench/data-channel.bench.ts
 * [bytes] [batches]`. Both ends are ours; each packet is opened where it was sealed.
 */
import { Batch } from "../src/lib/batch.ts";
import { Arena } from "../src/lib/slab.ts";
import { LibcryptoAead } from "../src/platform/crypto/aead.ts";
import { NativeMemory } from "../src/platform/sys/memory.ts";
import { AeadDataKey } from "../src/protocol/data/aead-key.ts";
import { DataChannel } from "../src/protocol/data/channel.ts";
import { KeySlots } from "../src/protocol/data/key-slots.ts";
import { SessionDrops } from "../src/protocol/drop.ts";
import { type AeadName, NO_DECOMPRESSORS } from "../src/protocol/ports.ts";
import { dataKey, type Side } from "../src/protocol/side.ts";

const bytes = Number(process.argv[2] ?? 1400);
const batches = Number(process.argv[3] ?? 4000);
const ROWS = 64;
const SLOT = 2048;
const HEADROOM = 128;
const PEER = 5;
const slab = new NativeMemory(ROWS * SLOT + 4096);
const aead = new LibcryptoAead(slab, slab.pointer);
const scratch = new Arena(slab, ROWS * SLOT, ROWS * SLOT + 4096);

for (const cipher of ["AES-256-GCM", "AES-128-GCM", "CHACHA20-POLY1305"] satisfies AeadName[]) {
  const end = (side: Side) => {
    const slots = new KeySlots(3_600_000, 0);
    const drops = new SessionDrops();
    const channel = new DataChannel({ scratch, decompressors: NO_DECOMPRESSORS, largest: 1600 }, slots, drops);
    channel.peerId = PEER;
    const options = { slab, aead, cipher, keyId: 0, peerId: PEER, replayWindow: { packets: 64, seconds: 15 } };
    slots.install(new AeadDataKey(new Uint8Array(256).fill(7), { ...options, sendKey: dataKey(side) }), 0, 0);
    return { channel, drops };
  };
  const [client, server] = [end("client"), end("server")];
  const [plain, sealed, opened] = [new Batch(ROWS), new Batch(ROWS), new Batch(ROWS)];
  let [sealing, opening] = [0, 0];
  const turn = (): void => {
    for (const batch of [plain, sealed, opened]) batch.clear();
    for (let row = 0; row < ROWS; row++) {
      plain.push(row * SLOT + HEADROOM, bytes);
      slab.bytes[row * SLOT + HEADROOM] = 0x45;
    }
    const start = Bun.nanoseconds();
    client.channel.sealBatch(0, plain, sealed);
    const middle = Bun.nanoseconds();
    for (let row = 0; row < ROWS; row++) server.channel.open(0, sealed.at[row]!, sealed.len[row]!, opened);
    sealing += middle - start;
    opening += Bun.nanoseconds() - middle;
  };
  for (let i = 0; i < batches / 4; i++) turn();
  [sealing, opening] = [0, 0];
  for (let i = 0; i < batches; i++) turn();
  if (opened.count !== ROWS) throw new Error(`${cipher}: not all opened: ${JSON.stringify(server.drops.snapshot())}`);
  const each = (ns: number): string => (ns / (batches * ROWS)).toFixed(0).padStart(5);
  console.log(`${cipher.padEnd(18)} ${bytes} B  seal ${each(sealing)} ns/packet  open ${each(opening)} ns/packet`);
}
