/** TLS that works between a session's calls, as node:tls does: nothing happens by itself, and all of it by handleTls(). */
import { expect, test } from "bun:test";
import { Batch } from "../../src/lib/batch.ts";
import { seededRandom } from "../../src/lib/random.ts";
import { Arena, slabOver } from "../../src/lib/slab.ts";
import { noblePrimitives } from "../../src/protocol/control/noble-primitives.ts";
import { nobleAead } from "../../src/protocol/data/noble-aead.ts";
import { nobleCbc } from "../../src/protocol/data/noble-cbc.ts";
import { NO_DECOMPRESSORS, type TlsEngine } from "../../src/protocol/ports.ts";
import { ClientSession } from "../../src/protocol/session/client.ts";
import { CERTIFICATE, clientConfig, PUSH, TLS_CRYPT } from "../support/client-config.ts";
import { fakeTlsContext } from "../support/fake-tls.ts";
import { OpenvpnPeer } from "../support/openvpn-peer.ts";

/** What is given to it, and what it makes of it, waits for settle(). */
class LateTls implements TlsEngine {
  state: TlsEngine["state"] = "handshake";
  failure: TlsEngine["failure"];
  readonly warnings = [];
  readonly #engine: TlsEngine;
  readonly #given: (() => void)[] = [];
  readonly #records: Uint8Array[] = [];
  readonly #plain: Uint8Array[] = [];

  constructor(engine: TlsEngine) {
    this.#engine = engine;
  }

  settle(): void {
    for (const give of this.#given.splice(0)) give();
    for (let r = this.#engine.pull(); r !== undefined; r = this.#engine.pull()) this.#records.push(r);
    for (let p = this.#engine.read(); p !== undefined; p = this.#engine.read()) this.#plain.push(p);
    this.state = this.#engine.state;
    this.failure = this.#engine.failure;
  }

  receive = (bytes: Uint8Array): void => void this.#given.push(() => this.#engine.receive(bytes));
  send(bytes: Uint8Array): void {
    const copy = bytes.slice();
    this.#given.push(() => this.#engine.send(copy));
  }

  pull = (): Uint8Array | undefined => this.#records.shift();
  read = (): Uint8Array | undefined => this.#plain.shift();
  exportKeyingMaterial = (label: string, length: number): Uint8Array =>
    this.#engine.exportKeyingMaterial(label, length);
  peerCertificates = (): readonly Uint8Array[] => this.#engine.peerCertificates();
  describe = (): string => this.#engine.describe();
  close = (): void => this.#engine.close();
}

test("a session comes up, renegotiates and says goodbye by what its TLS does late", () => {
  const random = seededRandom(5);
  const slab = slabOver(new ArrayBuffer(16_384));
  const inner = fakeTlsContext(false, random, CERTIFICATE);
  const engines: LateTls[] = [];
  const engine = (...of: Parameters<typeof inner.engine>): TlsEngine => {
    const late = new LateTls(inner.engine(...of));
    engines.push(late);
    return late;
  };
  const [tls, scratch] = [{ engine, close: () => {} }, new Arena(slab, 8192, 16_384)];
  const crypto = {
    aead: nobleAead(slab),
    cbc: nobleCbc(slab),
    control: noblePrimitives,
    decompressors: NO_DECOMPRESSORS,
  };
  const start = { link: { overhead: 28, isStream: false }, unixSeconds: 1_700_000_000 };
  const config = clientConfig(["explicit-exit-notify"], TLS_CRYPT);
  const session = new ClientSession(config, { ...crypto, slab, scratch, random, tls }, start);
  const server = {
    tls: fakeTlsContext(true, random, CERTIFICATE),
    cipher: "AES-256-GCM",
    peerId: 5,
    ekm: true,
  } as const;
  const peer = new OpenvpnPeer({ ...server, wrap: TLS_CRYPT, random, push: PUSH });
  const events: string[] = [];
  let now = 0;
  session.start(now);

  const [datagrams, plain] = [new Batch(1), new Batch(1)];
  const exchange = (turns: number, isLate: boolean): void => {
    for (let turn = 0; turn < turns; turn++, now += 20) {
      session.handleTimeout(now);
      if (isLate) {
        for (const late of engines) late.settle();
        session.handleTls(now);
      }
      for (let p = session.pollTransmit(now); p; p = session.pollTransmit(now)) peer.handle(now, p);
      peer.handleTimeout(now);
      for (let p = peer.poll(now); p; p = peer.poll(now)) {
        datagrams.clear();
        slab.bytes.set(p, 256);
        datagrams.push(256, p.length);
        session.handleBatch(now, datagrams, plain);
      }
      for (let e = session.pollEvent(); e; e = session.pollEvent()) events.push(e.kind);
    }
  };
  exchange(200, false);
  expect([session.state, session.isAnswered]).toEqual(["handshake", true]);
  exchange(20, true);
  expect(session.state).toBe("up");
  peer.renegotiate(now);
  exchange(20, true);
  expect([events.filter((kind) => kind === "rekeyed").length, peer.keyId]).toEqual([1, 1]);
  session.close(now);
  exchange(20, true);
  expect([session.state, peer.exited]).toEqual(["ended", true]);
});
