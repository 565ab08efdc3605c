/** Cost of looking at one tls-crypt packet, with noble and with libcrypto: `bun bench/control.bench.ts [packets]`. */
import { LibcryptoPrimitives } from "../src/platform/crypto/control-primitives.ts";
import { noblePrimitives } from "../src/protocol/control/noble-primitives.ts";
import { TlsCrypt } from "../src/protocol/control/tls-crypt.ts";

const packets = Number(process.argv[2] ?? 20_000);
const key = Uint8Array.from({ length: 256 }, (_, i) => i);

for (const [name, primitives] of [
  ["noble", noblePrimitives],
  ["libcrypto", new LibcryptoPrimitives()],
] as const) {
  const [client, server] = [new TlsCrypt(key, 1, primitives), new TlsCrypt(key, 0, primitives)];
  for (const bytes of [14, 1200]) {
    const packet = client.seal(new Uint8Array(bytes), 1, 0);
    const run = (n: number): number => {
      const start = Bun.nanoseconds();
      for (let i = 0; i < n; i++)
        if (typeof server.open(packet) === "number") throw new Error("a good tag was refused");
      return (Bun.nanoseconds() - start) / n;
    };
    run(packets / 10);
    console.log(
      `${name.padEnd(10)} ${String(packet.length).padStart(5)} B  open ${(run(packets) / 1000).toFixed(1)} us`,
    );
  }
}
