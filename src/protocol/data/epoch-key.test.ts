import { describe, expect, test } from "bun:test";
import { BLOCK, TEXT } from "../../../test/support/known-answer.ts";
import { slabOver } from "../../lib/slab.ts";
import { cipherPart } from "../control/static-key.ts";
import {
  DROP_DATA_AUTHENTICATION,
  DROP_DATA_EPOCH,
  DROP_DATA_REPLAY,
  DROP_DATA_TRUNCATED,
  DROP_SEAL_EXHAUSTED,
} from "../drop.ts";
import { AEAD_NAMES, type AeadName } from "../ports.ts";
import { AEAD_KEY_LEN, type AeadDataKeyOptions, GCM_RENEGOTIATE } from "./aead-key.ts";
import {
  EPOCH_COUNTER_LAST,
  EPOCH_LAST_RECEIVED,
  EPOCH_LAST_SENT,
  EPOCH_RENEGOTIATE,
  EPOCH_V1_OVERHEAD,
  EPOCH_V2_OVERHEAD,
  EpochDataKey,
} from "./epoch-key.ts";
import { EpochSecret, expandLabel } from "./epoch-secret.ts";
import { nobleAead } from "./noble-aead.ts";
import { dataPeerId, PEER_ID_NONE } from "./packet.ts";

const AT = 100;
/** Where a packet with a peer id starts, and one that is the text ends. */
const START = AT - 12;
const LEN = TEXT.length + EPOCH_V2_OVERHEAD;

function make(options: Partial<AeadDataKeyOptions> = {}) {
  const slab = slabOver(new ArrayBuffer(4096));
  slab.bytes.fill(0xa5);
  const base = {
    slab,
    aead: nobleAead(slab),
    cipher: "AES-256-GCM" as AeadName,
    keyId: 3,
    sendKey: 0 as const,
    peerId: 0x123456,
    replayWindow: { packets: 64, seconds: 15 },
    ...options,
  };
  const { cipher } = base;
  const [client, server] = [new EpochDataKey(BLOCK, base), new EpochDataKey(BLOCK, { ...base, sendKey: 1 })];
  /** A packet to the server, put together by hand. */
  const write = (epoch: number, counter: number, header = "4b123456", first = options.used?.epoch ?? 1): void => {
    const secret = new EpochSecret(cipherPart(BLOCK, 0, 32), first);
    secret.advance(epoch);
    const key = nobleAead(slab).create(cipher, secret.dataKey(AEAD_KEY_LEN[cipher]), secret.implicitIv(), "seal");
    slab.bytes.set(Uint8Array.fromHex(header), START);
    slab.view.setUint16(AT - 8, epoch);
    slab.view.setUint16(AT - 6, counter / 2 ** 32);
    slab.view.setUint32(AT - 4, counter % 2 ** 32);
    slab.bytes.set(TEXT, AT);
    key.seal(slab.view.getInt32(AT - 8), slab.view.getInt32(AT - 4), START, 12, AT, TEXT.length, AT + TEXT.length);
  };
  /** @returns what the server says of such a packet */
  const arrives = (epoch: number, counter = 1): number => {
    write(epoch, counter);
    return server.open(0, START, LEN, true);
  };
  /** One packet of this end. @returns its epoch and counter, as they are on the wire */
  const sent = (from: EpochDataKey, len = 10): string => {
    const start = from.seal(AT, len);
    return start < 0 ? `${start}` : slab.bytes.slice(AT - 8, AT).toHex();
  };
  return { slab, client, server, write, arrives, sent };
}

describe("OpenVPN's own answers", () => {
  test("Expand-Label (test_crypto.c)", () => {
    const secret = Uint8Array.fromHex("077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5");
    expect(expandLabel(secret, "unit test", 16).toHex()).toBe("185eaa1c7f228ab8eb29773214d92046");
  });

  test("key and implicit IV of an epoch's secret (test_crypto.c)", () => {
    const bytes = new Uint8Array(32);
    bytes.set([19, 12]);
    const secret = new EpochSecret(bytes, 17);
    expect(secret.dataKey(24).toHex()).toBe("ed8533db1c28ace418e9006ab29c17417d60ebe6cd90bf0a");
    expect(secret.implicitIv().toHex()).toBe("86890aabf032cb59f4cfa34e");
  });

  test.each([
    [1, "a0b54cdd93ff0b01a3265ecf19d56a06", "8e455addd90e"],
    [4, "0ffff5913d39d75b18573b5748589a7d", "36aab4d49ce6"],
  ])("a packet of epoch %i (test_ssl.c, openvpn3's test_crypto.cpp)", (epoch, tag, sealed) => {
    const { slab, server, write } = make();
    write(epoch, 1, "07000017");
    expect(slab.bytes.slice(AT + TEXT.length, AT + TEXT.length + 16).toHex()).toBe(tag);
    expect(slab.bytes.slice(AT - 8 + 14, AT - 8 + 20).toHex()).toBe(sealed);
    expect(server.open(0, START, LEN, true)).toBe(AT);
    expect(slab.bytes.slice(AT, AT + TEXT.length)).toEqual(TEXT);
  });

  test("epoch and counter on the wire (test_packet_id.c), and as openvpn 2.7 sends its first packet", () => {
    const at = (packetId: number, epoch: number): string => {
      const { sent, client } = make({ used: { packetId, epoch } });
      return sent(client);
    };
    expect(at(1, 0x23)).toBe("0023000000000001");
    expect(at(0xfa079ab9d2e9, 0xfffe - 100)).toBe("ff9afa079ab9d2e9");
    const { slab, client, sent } = make({ keyId: 0, peerId: 0 });
    sent(client);
    expect(slab.bytes.slice(START, AT).toHex()).toBe("480000000001000000000001");
  });
});

describe.each(AEAD_NAMES)("%s", (cipher) => {
  test.each([0x123456, PEER_ID_NONE])("both directions, peer id %x", (peerId) => {
    const { slab, client, server } = make({ cipher, peerId });
    const isV2 = peerId !== PEER_ID_NONE;
    const overhead = isV2 ? EPOCH_V2_OVERHEAD : EPOCH_V1_OVERHEAD;
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      for (let len = 0; len <= TEXT.length; len += 14) {
        slab.bytes.fill(0xa5);
        slab.bytes.set(TEXT.subarray(0, len), AT);
        const start = from.seal(AT, len);
        expect([start, from.sealedLen, from.payloadMax(1000)]).toEqual([
          AT - overhead + 16,
          len + overhead,
          1000 - overhead,
        ]);
        expect(slab.bytes[start]).toBe(isV2 ? 0x4b : 0x33);
        if (isV2) expect(dataPeerId(slab.view, start)).toBe(peerId);
        expect([slab.bytes[start - 1], slab.bytes[AT + len + 16]]).toEqual([0xa5, 0xa5]);
        expect([to.open(0, start, from.sealedLen, isV2), to.openedLen]).toEqual([AT, len]);
        expect(slab.bytes.slice(AT, AT + len)).toEqual(TEXT.slice(0, len));
      }
    }
    expect([client.bytes, client.packets]).toEqual([280, 10]);
  });

  test("flipped bits anywhere are refused and move nothing; the packet itself still opens, once", () => {
    const { slab, server, write } = make({ cipher });
    write(2, 1);
    const packet = slab.bytes.slice(START, START + LEN);
    for (let i = 0; i < LEN; i++) {
      slab.bytes.set(packet, START);
      slab.bytes[START + i]! ^= 0x10;
      // a bit of the epoch: none of the keys
      const expected = i === 4 || i === 5 ? DROP_DATA_EPOCH : DROP_DATA_AUTHENTICATION;
      expect(server.open(0, START, LEN, true)).toBe(expected);
    }
    expect(server.epochs).toEqual({ sent: 1, received: 1 });
    for (const expected of [AT, DROP_DATA_REPLAY]) {
      slab.bytes.set(packet, START);
      expect(server.open(0, START, LEN, true)).toBe(expected);
    }
    expect(server.epochs.received).toBe(2);
  });
});

describe("what is received (test_crypto.c)", () => {
  /** Of the epochs 0 to 30, those that have a key: forged packets find out and change nothing. */
  const known = ({ slab, server }: ReturnType<typeof make>): number[] =>
    Array.from({ length: 31 }, (_, i) => i).filter((epoch) => {
      slab.view.setUint32(AT - 8, epoch * 0x10000);
      slab.view.setUint32(AT - 4, 1000);
      return server.open(0, START, LEN, true) !== DROP_DATA_EPOCH;
    });
  const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i);

  test.each([
    [[], range(1, 17)],
    [[7], [1, ...range(7, 23)]],
    [[7, 8], range(7, 24)],
    [
      [9, 10, 12],
      [10, ...range(12, 28)],
    ],
  ])("after packets of epochs %j", (moves, expected) => {
    const made = make();
    for (const epoch of moves) expect(made.arrives(epoch)).toBe(AT);
    expect(known(made)).toEqual(expected);
  });

  test("each of the keys opens what was sealed with it", () => {
    for (const far of [1, 2, 15, 16]) {
      const { arrives } = make();
      for (let epoch = 1; epoch < 60; epoch += far) expect(arrives(epoch)).toBe(AT);
    }
  });

  test("each epoch has counters and a window of its own, also the one before", () => {
    const { arrives } = make();
    expect([arrives(1, 5), arrives(1, 3), arrives(2, 5), arrives(2, 5)]).toEqual([AT, AT, AT, DROP_DATA_REPLAY]);
    expect([arrives(1, 5), arrives(1, 4), arrives(1, 4)]).toEqual([DROP_DATA_REPLAY, AT, DROP_DATA_REPLAY]);
    expect([arrives(3, 4), arrives(3, 3), arrives(1, 6), arrives(2, 5), arrives(2, 6)]).toEqual([
      AT,
      AT,
      DROP_DATA_EPOCH,
      DROP_DATA_REPLAY,
      AT,
    ]);
    expect([arrives(3, 2 ** 40), arrives(3, 2 ** 40), arrives(3, 2 ** 40 - 1), arrives(3, 5)]).toEqual([
      AT,
      DROP_DATA_REPLAY,
      AT,
      DROP_DATA_REPLAY,
    ]);
  });

  test("no epoch has a counter 0, and a window of 0 packets begins with 1", () => {
    expect([make().arrives(1, 0), make().arrives(2, 0)]).toEqual([DROP_DATA_REPLAY, DROP_DATA_REPLAY]);
    const { arrives } = make({ replayWindow: { packets: 0, seconds: 15 } });
    expect([arrives(2, 2), arrives(2, 1), arrives(2, 2)]).toEqual([DROP_DATA_REPLAY, AT, AT]);
  });

  test("a packet needs a whole id and tag", () => {
    const { server } = make();
    expect([server.open(0, START, 27, true), server.open(0, START, 24, false)]).toEqual([
      DROP_DATA_TRUNCATED,
      DROP_DATA_TRUNCATED,
    ]);
    expect(make().server.open(0, START, 28, true)).not.toBe(DROP_DATA_TRUNCATED);
  });
});

describe("what is sent", () => {
  test("follows the other end, no more than 4 epochs a step, with a packet in each", () => {
    const { server, sent, arrives } = make();
    sent(server);
    arrives(9, 1);
    expect(server.epochs).toEqual({ sent: 5, received: 9 });
    arrives(9, 2);
    expect([sent(server), sent(server)]).toEqual(["0005000000000001", "0005000000000002"]);
    arrives(9, 3);
    expect([server.epochs.sent, sent(server)]).toEqual([9, "0009000000000001"]);
    arrives(8, 1);
    expect(sent(server)).toBe("0009000000000002");
  });

  test.each([
    ["AES-256-GCM", 100],
    ["AES-128-GCM", 100],
  ] as const)("%s: seven eighths of the limit end an epoch", (cipher, len) => {
    // 100 bytes are 7 blocks and a packet
    const { client, server, sent } = make({ cipher, used: { sent: GCM_RENEGOTIATE - 9, packetId: 77 } });
    expect([sent(client, len), sent(client, 0), sent(client, len)]).toEqual([
      "000100000000004d",
      "000100000000004e",
      "0002000000000001",
    ]);
    expect(server.open(0, START, len + EPOCH_V2_OVERHEAD, true)).toBe(AT);
    expect([client.isWorn, server.epochs.received]).toEqual([false, 2]);
  });

  test("where the other end's key has done enough, this one goes ahead, once", () => {
    const { client, sent } = make({ used: { received: GCM_RENEGOTIATE } });
    expect([sent(client), sent(client)]).toEqual(["0002000000000001", "0002000000000002"]);
    expect(client.isWorn).toBe(false);
  });

  test("never more than 4 epochs ahead of what comes: then another key is asked for", () => {
    const nothing = { seal() {}, open: () => true, touch: () => 0, close() {} };
    const { slab, client, sent } = make({ aead: { create: () => nothing } });
    /** 2^28 blocks at once: a few of them end an epoch. */
    const spend = (): string => {
      for (let spent = 0; spent < GCM_RENEGOTIATE; spent += 2 ** 28) client.seal(AT, 2 ** 32 - 16);
      return sent(client).slice(0, 4);
    };
    expect([spend(), spend(), spend(), client.isWorn]).toEqual(["0002", "0003", "0004", false]);
    expect([spend(), client.isWorn]).toEqual(["0005", false]);
    expect([spend(), client.isWorn]).toEqual(["0005", true]);
    // the other end follows at last
    slab.view.setUint32(AT - 8, 0x20000);
    slab.view.setUint32(AT - 4, 1);
    client.open(0, START, LEN, true);
    expect([client.isWorn, sent(client)]).toEqual([false, "0006000000000001"]);
  });

  test("a counter at its end begins an epoch as well; where there is none, nothing is sent", () => {
    const used = { sent: 2 ** 40, received: 2 ** 40, packetId: EPOCH_COUNTER_LAST };
    const { client, sent } = make({ cipher: "CHACHA20-POLY1305", used });
    expect([sent(client), sent(client), sent(client)]).toEqual([
      "0001ffffffffffff",
      "0002000000000001",
      "0002000000000002",
    ]);
    const last = make({ used: { packetId: EPOCH_COUNTER_LAST, epoch: EPOCH_LAST_SENT } });
    expect([last.sent(last.client), last.sent(last.client)]).toEqual(["ffdeffffffffffff", `${DROP_SEAL_EXHAUSTED}`]);
  });
});

describe("the end of the epochs", () => {
  test.each([
    ["sent", 0],
    ["received", 1],
  ] as const)("%s: another key is asked for long before", (_way, ahead) => {
    const used = { epoch: EPOCH_RENEGOTIATE - 1, ...(ahead === 0 ? { sent: GCM_RENEGOTIATE } : {}) };
    const { server, arrives, sent } = make({ used });
    expect(server.isWorn).toBe(false);
    if (ahead === 0) sent(server);
    else arrives(EPOCH_RENEGOTIATE);
    expect(server.isWorn).toBe(true);
  });

  test("received is up to where no key behind is beyond 16 bits; sent is what one with 32 keys receives", () => {
    expect([EPOCH_LAST_RECEIVED, EPOCH_LAST_SENT]).toEqual([65535 - 17, 65535 - 33]);
    const { server, sent, arrives } = make({ used: { epoch: EPOCH_LAST_RECEIVED - 17 } });
    sent(server);
    expect(arrives(EPOCH_LAST_RECEIVED - 1)).toBe(AT);
    expect([arrives(EPOCH_LAST_RECEIVED + 1), arrives(EPOCH_LAST_RECEIVED)]).toEqual([DROP_DATA_EPOCH, AT]);
    expect(server.epochs).toEqual({ sent: EPOCH_LAST_SENT, received: EPOCH_LAST_RECEIVED });
    expect([arrives(EPOCH_LAST_RECEIVED, 2), sent(server)]).toEqual([AT, "ffde000000000001"]);
  });
});
