/** The product's server session with one client, as simulations drive it: a login is always accepted, unless it waits. */
import { Batch } from "../../src/lib/batch.ts";
import type { Random } from "../../src/lib/random.ts";
import { Arena, type Slab, slabOver } from "../../src/lib/slab.ts";
import type { ControlWrap } from "../../src/protocol/config/types.ts";
import { noblePrimitives } from "../../src/protocol/control/noble-primitives.ts";
import { nobleAead } from "../../src/protocol/data/noble-aead.ts";
import { nobleCbc } from "../../src/protocol/data/noble-cbc.ts";
import { type AeadFactory, type AeadName, NO_DECOMPRESSORS, type TlsContext } from "../../src/protocol/ports.ts";
import {
  type ClientLogin,
  ServerSession,
  type ServerSessionConfig,
  type ServerSessionEvent,
} from "../../src/protocol/session/server.ts";
import type { AssociationStart } from "../../src/protocol/session/start.ts";

export interface PeerOptions {
  readonly wrap: ControlWrap;
  /** Of a server. */
  readonly tls: TlsContext;
  readonly random: Random;
  readonly cipher: AeadName;
  readonly peerId: number;
  /** What is pushed beside cipher, peer-id and protocol-flags. */
  readonly push: readonly string[];
  /** Keys by the TLS exporter, else by the PRF (the independent server only: the client announces the exporter). */
  readonly ekm: boolean;
  /** Where it opens and seals, and with what; default: a slab of its own, and noble. */
  readonly memory?: PeerMemory;
  readonly config?: Partial<ServerSessionConfig>;
  readonly start?: Partial<AssociationStart>;
}

export interface PeerMemory {
  readonly slab: Slab;
  readonly aead: AeadFactory;
  /** 4 KiB for single packets. */
  readonly at: number;
}

const ROOM = 2048;
const HEADROOM = 256;
const replayWindow = { packets: 64, seconds: 15 };

export class OpenvpnPeer {
  /** For whole batches; handle() and seal() are for single packets. */
  readonly session: ServerSession;
  readonly events: ServerSessionEvent[] = [];
  /** Payloads of the data packets that arrived. */
  readonly received: Uint8Array[] = [];
  /** It gets packets, but says nothing. */
  mute = false;
  /** Somebody forges packets of this server to the client; it never minds. */
  isForgiving = true;
  /** No login is decided. */
  withholdsPush = false;
  keyId = -1;
  readonly #options: PeerOptions;
  readonly #slab: Slab;
  readonly #at: number;
  #login: ClientLogin | undefined;
  #isAsked = false;
  #started = false;

  constructor(options: PeerOptions) {
    const slab = options.memory?.slab ?? slabOver(new ArrayBuffer(2 * ROOM));
    const at = options.memory?.at ?? 0;
    this.#options = options;
    this.#slab = slab;
    this.#at = at + HEADROOM;
    const ports = {
      slab,
      aead: options.memory?.aead ?? nobleAead(slab),
      control: noblePrimitives,
      tls: options.tls,
      random: options.random,
      scratch: new Arena(slab, at + ROOM, at + 2 * ROOM),
      cbc: nobleCbc(slab),
      decompressors: NO_DECOMPRESSORS,
    };
    const start = { link: { overhead: 28, isStream: false }, unixSeconds: 1_700_000_000, ...options.start };
    this.session = new ServerSession({ ...serverConfig(options), ...options.config }, ports, start);
  }

  get exited(): boolean {
    return this.events.some((e) => e.kind === "ended" && e.end.kind === "client-exit");
  }

  /** User and password that the client sent in the latest key exchange. */
  get login(): readonly (string | undefined)[] {
    return [this.#login?.user, this.#login?.password];
  }

  handle(now: number, packet: Uint8Array): void {
    if (!this.#started) this.session.start(now);
    this.#started = true;
    const [datagrams, plain] = [new Batch(1), new Batch(1)];
    this.#slab.bytes.set(packet, this.#at);
    datagrams.push(this.#at, packet.length);
    this.session.handleRows(now, datagrams, 0, 1, plain);
    if (plain.count > 0) this.received.push(this.#slab.bytes.slice(plain.at[0]!, plain.at[0]! + plain.len[0]!));
    this.#settle(now);
  }

  /** Starts a renegotiation. */
  renegotiate(now: number): void {
    this.session.renegotiate(now);
  }

  /** Says something over the control channel. */
  say(text: string): void {
    this.session.say(text);
  }

  /** A data packet with this payload; undefined while there is no key. */
  seal(now: number, payload: Uint8Array): Uint8Array | undefined {
    const [plain, sealed] = [new Batch(1), new Batch(1)];
    this.#slab.bytes.set(payload, this.#at);
    plain.push(this.#at, payload.length);
    this.session.sealBatch(now, plain, sealed);
    if (sealed.count === 0) return undefined;
    return this.#slab.bytes.slice(sealed.at[0]!, sealed.at[0]! + sealed.len[0]!);
  }

  handleTimeout(now: number): void {
    this.session.handleTimeout(now);
    this.#settle(now);
  }

  poll(now: number): Uint8Array | undefined {
    return this.mute ? undefined : this.session.pollTransmit(now);
  }

  pollAt(): number {
    return this.mute ? Number.POSITIVE_INFINITY : this.session.pollAt();
  }

  #settle(now: number): void {
    for (let event = this.session.pollEvent(); event !== undefined; event = this.session.pollEvent()) {
      this.events.push(event);
      if (event.kind === "up") this.keyId = 0;
      if (event.kind === "rekeyed") this.keyId = event.keyId;
      if (event.kind !== "login") continue;
      this.#login = event.login;
      this.#isAsked = true;
    }
    if (!this.#isAsked || this.withholdsPush) return;
    this.#isAsked = false;
    const { peerId, push } = this.#options;
    this.session.decide(now, { kind: "accept", peerId, options: push });
    this.#settle(now);
  }
}

function serverConfig({ wrap, cipher }: PeerOptions): ServerSessionConfig {
  const none = undefined;
  return {
    deviceType: "tun",
    control: {
      wrap,
      replayWindow,
      handWindow: 60,
      tlsTimeout: 2,
      tranWindow: 3600,
      renegSec: { max: 0, min: 0 },
      renegBytes: 0,
      renegPkts: 0,
    },
    verify: {
      remoteCertTls: none,
      remoteCertEku: none,
      remoteCertKu: none,
      nsCertType: none,
      x509Name: none,
      usernameFields: ["CN"],
      verifyHash: none,
      peerFingerprints: none,
    },
    data: {
      ciphers: [cipher],
      fallbackCipher: none,
      auth: "SHA256",
      compression: "none",
      allowCompression: none,
      fragment: none,
      replayWindow,
    },
    tunnel: { mtu: 1500, mtuMax: 1600 },
    keepalive: { ping: 0, timeout: 0, action: "restart", inactive: none, sessionTimeout: 0 },
    exitNotify: 0,
    epoch: false,
  };
}
