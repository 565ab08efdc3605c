import { expect, test } from "bun:test";
import { Batch } from "../../lib/batch.ts";
import { Arena, slabOver } from "../../lib/slab.ts";
import { SessionDrops } from "../drop.ts";
import { NO_DECOMPRESSORS } from "../ports.ts";
import { dataKey, type Side } from "../side.ts";
import { AeadDataKey } from "./aead-key.ts";
import { DataChannel } from "./channel.ts";
import { Fragments } from "./fragment.ts";
import { KeySlots } from "./key-slots.ts";
import { EXIT_LEN, exitEmit, PING_LEN, pingEmit } from "./magic.ts";
import { nobleAead } from "./noble-aead.ts";

const AT = 256;
const slab = slabOver(new ArrayBuffer(4096));
const scratch = new Arena(slab, 2048, 4096);

/** @param datagram where `fragment` is in use */
function end(side: Side, datagram?: number) {
  const slots = new KeySlots(60_000, 3000);
  const drops = new SessionDrops();
  const fragments = datagram === undefined ? undefined : new Fragments(scratch, drops, datagram, 100, 0);
  const path = new DataChannel({ scratch, decompressors: NO_DECOMPRESSORS, largest: 100 }, slots, drops, fragments);
  path.peerId = 5;
  const key = (keyId: number, peerId = 5): AeadDataKey =>
    new AeadDataKey(new Uint8Array(256).fill(keyId + 1), {
      slab,
      aead: nobleAead(slab),
      cipher: "AES-256-GCM",
      keyId,
      peerId,
      replayWindow: { packets: 64, seconds: 15 },
      sendKey: dataKey(side),
    });
  /** Seals `len` bytes at AT. @returns where the packet is */
  const seal = (len: number): [number, number] => {
    const [plain, sealed] = [new Batch(1), new Batch(1)];
    plain.push(AT, len);
    path.sealBatch(0, plain, sealed);
    return [sealed.at[0]!, sealed.len[0]!];
  };
  return { slots, drops, path, key, seal };
}

test("a packet of the next key makes this side send with it at once", () => {
  const [client, server] = [end("client"), end("server")];
  const [first, second] = [client.key(0), client.key(1)];
  client.slots.install(first, 0, 0);
  client.slots.install(second, 0, 0);
  server.slots.install(server.key(1), 0, 0);
  slab.bytes[AT] = 0x45;
  const [at, len] = server.seal(20);
  expect(client.slots.sending).toBe(first);
  const plain = new Batch(1);
  client.path.open(7, at, len, plain);
  expect([plain.count, client.slots.sending, client.path.openedAt]).toEqual([1, second, 7]);
});

test("what cannot be opened is a named drop", () => {
  const [client, server] = [end("client"), end("server")];
  server.slots.install(server.key(0), 0, 0);
  const open = (room = 1): void => {
    const [at, len] = server.seal(20);
    client.path.open(0, at, len, new Batch(room));
  };
  open();
  client.slots.install(client.key(2), 0, 0);
  open();
  client.slots.install(client.key(0), 0, 0);
  client.path.peerId = 6;
  open();
  client.path.peerId = 5;
  open(0);
  slab.bytes[AT] = 0x30; // V1, key 0
  client.path.open(0, AT, 5, new Batch(1));
  slab.bytes[AT] = 0x48; // V2, key 0
  client.path.open(0, AT, 3, new Batch(1));
  expect(client.drops.snapshot()).toEqual({
    "data-early": 1,
    "data-key-id": 1,
    "data-peer-id": 1,
    "data-no-room": 1,
    "data-truncated": 2,
  });
});

test("pings and exit notices are no packets of the tunnel", () => {
  const [client, server] = [end("client"), end("server")];
  client.slots.install(client.key(0), 0, 0);
  server.slots.install(server.key(0), 0, 0);
  const plain = new Batch(4);
  pingEmit(slab.bytes, AT);
  client.path.open(0, ...server.seal(PING_LEN), plain);
  expect([plain.count, client.path.traffic.pings, client.path.exitReceived]).toEqual([0, 1, false]);
  exitEmit(slab.bytes, AT);
  client.path.open(0, ...server.seal(EXIT_LEN), plain);
  expect([plain.count, client.path.exitReceived]).toEqual([0, true]);
});

test("where fragment is in use a payload without its header is a named drop", () => {
  const [client, server] = [end("client", 500), end("server")];
  client.slots.install(client.key(0), 0, 0);
  server.slots.install(server.key(0), 0, 0);
  const plain = new Batch(4);
  slab.bytes.fill(0xff, AT, AT + 20);
  client.path.open(0, ...server.seal(20), plain);
  client.path.open(0, ...server.seal(3), plain);
  expect([plain.count, client.drops.snapshot()]).toEqual([0, { "data-fragment": 2 }]);
});

test("without a key nothing is sealed, and each packet is counted", () => {
  const client = end("client");
  client.seal(20);
  expect(client.drops.snapshot()).toEqual({ "seal-no-key": 1 });
});

test.each(["comp-lzo no", "compress stub"] as const)(
  "with %s packets and pings grow by a byte and come out whole; what has no framing, or is compressed, is dropped",
  (form) => {
    const [client, server] = [end("client"), end("server")];
    client.slots.install(client.key(0), 0, 0);
    server.slots.install(server.key(0), 0, 0);
    const bare = server.path.payloadMax(1000);
    client.path.compression = form;
    server.path.compression = form;
    expect(server.path.payloadMax(1000)).toBe(bare - 1);
    const packet = Uint8Array.from({ length: 40 }, (_, i) => 0x45 + i);
    slab.bytes.set(packet, AT);
    const plain = new Batch(4);
    const [at, len] = server.seal(packet.length);
    client.path.open(0, at, len, plain);
    expect(slab.bytes.slice(plain.at[0]!, plain.at[0]! + plain.len[0]!)).toEqual(packet);
    pingEmit(slab.bytes, AT);
    client.path.open(0, ...server.seal(PING_LEN), plain);
    expect([plain.count, client.path.traffic.pings]).toEqual([1, 1]);
    server.path.compression = "none";
    for (const first of [0x45, 0x66]) {
      slab.bytes.set(packet, AT);
      slab.bytes[AT] = first;
      client.path.open(0, ...server.seal(packet.length), plain);
    }
    expect(client.drops.snapshot()).toEqual({ "data-framing": 1, "data-compressed": 1 });
  },
);
