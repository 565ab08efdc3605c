/**
 * 10,000 handshakes that somebody on the way breaks: nothing crashes, nothing throws, nothing stays in memory. What OpenSSL has
 * allocated is read from the C library, of whose heap it is nearly the only user.
 */
import { afterAll, expect, test } from "bun:test";
import { type Random, randomBelow, seededRandom } from "../../src/lib/random.ts";
import { libsslTls } from "../../src/platform/crypto/tls.ts";
import type { TlsContext, TlsEngine, TlsParameters } from "../../src/protocol/ports.ts";
import { allocated } from "../support/c-heap.ts";
import { makeTlsPki, TLS_DEFAULTS } from "../support/tls-pki.ts";

const HANDSHAKES = 10_000;
/** Until then caches of the library and of the C library's heap fill. */
const WARM = 2000;
/** Our choice: far below one engine (30 KB) for every hundred handshakes. */
const MAY_GROW = 256 << 10;

const pki = makeTlsPki();
afterAll(() => pki.remove());
const file = pki.material;

function contexts(): TlsContext[][] {
  return (["1.2", "1.3"] as const).map((version) => {
    const common = {
      ...TLS_DEFAULTS,
      ca: file("ca.crt"),
      crl: file("nobody.crl"),
      minVersion: version,
      maxVersion: version,
    } as const;
    const client: TlsParameters = { ...common, isServer: false, cert: file("client.crt"), key: file("client.key") };
    const server: TlsParameters = { ...common, isServer: true, cert: file("server.crt"), key: file("server.key") };
    return [libsslTls.context(client), libsslTls.context(server)];
  });
}

/** What can be done to the records of one side. */
const BREAKS: readonly ((bytes: Uint8Array, random: Random) => Uint8Array[])[] = [
  (bytes, random) => {
    const at = randomBelow(random, bytes.length);
    bytes[at] = bytes[at]! ^ (1 << randomBelow(random, 8));
    return [bytes];
  },
  (bytes, random) => [bytes.subarray(0, randomBelow(random, bytes.length))],
  (bytes) => [bytes, bytes.slice()],
  (bytes, random) => {
    const at = randomBelow(random, bytes.length);
    return [bytes.subarray(at), bytes.subarray(0, at)];
  },
  (bytes, random) => [noise(random), bytes],
  // an alert that nobody sent, a record of another kind, one that is too long
  (bytes, random) => [Uint8Array.of(21, 3, 3, 0, 2, 2, randomBelow(random, 128)), bytes],
  (bytes, random) => [Uint8Array.of(20 + randomBelow(random, 5), 3, 3, 0, 1, 1), bytes],
  (bytes) => [Uint8Array.of(22, 3, 3, 0xff, 0xff), bytes],
  () => [],
];

function noise(random: Random): Uint8Array {
  const bytes = new Uint8Array(1 + randomBelow(random, 400));
  random.fill(bytes);
  return bytes;
}

/** One handshake in which one flight of one side is broken; the last ones come after "established". */
function breakOne(client: TlsContext, server: TlsContext, random: Random): string {
  const sides: [TlsEngine, TlsEngine] = [client.engine(() => true), server.engine(() => true)];
  let left = randomBelow(random, 6);
  for (let quiet = 0, turn = 0; quiet < 2; turn ^= 1) {
    const from = sides[turn] as TlsEngine;
    const to = sides[turn ^ 1] as TlsEngine;
    if (from.state === "established" && left > 0) from.send(noise(random));
    const bytes = from.pull();
    quiet = bytes === undefined ? quiet + 1 : 0;
    if (bytes === undefined) continue;
    const pieces = left-- === 0 ? BREAKS[randomBelow(random, BREAKS.length)]!(bytes, random) : [bytes];
    for (const piece of pieces) to.receive(piece);
  }
  const seen = sides.map((side) => side.failure?.kind ?? side.state);
  for (const side of sides) side.close();
  return seen.join(" / ");
}

test.skipIf(process.arch !== "x64")(
  "broken handshakes crash nothing and leave nothing behind",
  () => {
    const random = seededRandom(Number(process.env["SEED"] ?? 1));
    const seen = new Map<string, number>();
    let made = contexts();
    let before = 0;
    for (let i = 0; i < HANDSHAKES; i++) {
      if (i === WARM) before = allocated();
      if (i % 100 === 99) {
        for (const context of made.flat()) context.close();
        made = contexts();
      }
      const [client, server] = made[i % 2] as [TlsContext, TlsContext];
      const outcome = breakOne(client, server, random);
      seen.set(outcome, (seen.get(outcome) ?? 0) + 1);
    }
    const grown = allocated() - before;
    for (const context of made.flat()) context.close();
    expect(grown).toBeLessThan(MAY_GROW);
    // It reaches every part: handshakes that fail on either side, that hang, and that are done before something breaks.
    for (const outcome of [
      "alert / protocol",
      "protocol / alert",
      "handshake / handshake",
      "established / established",
    ])
      expect([outcome, seen.get(outcome) ?? 0 > 50]).toEqual([outcome, expect.anything()]);
    expect(seen.size).toBeGreaterThan(8);
  },
  300_000,
);
