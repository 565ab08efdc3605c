/** Cost of sealing and opening one data packet with libcrypto: `bun bench/aead.bench.ts [bytes] [packets]`. */
import { LibcryptoAead } from "../src/platform/crypto/aead.ts";
import { NativeMemory } from "../src/platform/sys/memory.ts";
import type { AeadName } from "../src/protocol/ports.ts";

const bytes = Number(process.argv[2] ?? 1400);
const packets = Number(process.argv[3] ?? 300_000);
const slab = new NativeMemory(1 << 20);
const factory = new LibcryptoAead(slab, slab.pointer);
const at = 4096;

for (const name of ["AES-256-GCM", "AES-128-GCM", "CHACHA20-POLY1305"] satisfies AeadName[]) {
  const key = new Uint8Array(name === "AES-128-GCM" ? 16 : 32).fill(7);
  const iv = new Uint8Array(12);
  const seal = factory.create(name, key, iv, "seal");
  const open = factory.create(name, key, iv, "open");
  const run = (n: number): number => {
    const start = Bun.nanoseconds();
    for (let i = 0; i < n; i++) {
      seal.seal(i, 0, at - 24, 8, at, bytes, at - 16);
    }
    return (Bun.nanoseconds() - start) / n;
  };
  run(packets / 10);
  const sealed = run(packets);
  // one packet is opened again and again from a copy, so that every tag is right
  const packet = slab.bytes.slice(at - 24, at + bytes);
  const start = Bun.nanoseconds();
  for (let i = 0; i < packets; i++) {
    slab.bytes.set(packet, at - 24);
    if (!open.open(packets - 1, 0, at - 24, 8, at, bytes, at - 16)) throw new Error(`${name}: a good tag was refused`);
  }
  const opened = (Bun.nanoseconds() - start) / packets;
  const gbit = (ns: number): string => ((bytes * 8) / ns).toFixed(1);
  console.log(
    `${name.padEnd(18)} ${bytes} B  seal ${sealed.toFixed(0)} ns/packet (${gbit(sealed)} Gbit/s)  open with copy ${opened.toFixed(0)} ns/packet (${gbit(opened)} Gbit/s)`,
  );
}
