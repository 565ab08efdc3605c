/** What the code makes of a vector's given values: by kind, in the form in which the document has results. */
import { Arena, slabOver } from "../../src/lib/slab.ts";
import type { DigestName } from "../../src/protocol/config/types.ts";
import { SessionCookies } from "../../src/protocol/control/cookie.ts";
import type { ControlCrypto } from "../../src/protocol/control/crypto.ts";
import { earlyNegotiationRead } from "../../src/protocol/control/early-negotiation.ts";
import { noblePrimitives } from "../../src/protocol/control/noble-primitives.ts";
import { controlEmit, controlRead } from "../../src/protocol/control/packet.ts";
import { controlCrypto, renegotiationCrypto } from "../../src/protocol/control/protection.ts";
import { ReplayGuard } from "../../src/protocol/control/replay-guard.ts";
import { unwrapKey, wrapKey } from "../../src/protocol/control/wrapped-key.ts";
import { AEAD_KEY_LEN, AeadDataKey } from "../../src/protocol/data/aead-key.ts";
import { CbcDataKey } from "../../src/protocol/data/cbc-key.ts";
import { EpochDataKey } from "../../src/protocol/data/epoch-key.ts";
import { EpochSecret, expandLabel } from "../../src/protocol/data/epoch-secret.ts";
import { Fragments, PIECE_KEPT } from "../../src/protocol/data/fragment.ts";
import { createFraming } from "../../src/protocol/data/framing.ts";
import type { DataKey } from "../../src/protocol/data/key.ts";
import { EXIT_LEN, exitEmit, PING_LEN, pingEmit } from "../../src/protocol/data/magic.ts";
import { nobleAead } from "../../src/protocol/data/noble-aead.ts";
import { nobleCbc } from "../../src/protocol/data/noble-cbc.ts";
import { PEER_ID_NONE } from "../../src/protocol/data/packet.ts";
import { StaticDataKey } from "../../src/protocol/data/static-data-key.ts";
import { SessionDrops } from "../../src/protocol/drop.ts";
import { deriveByPrf, tls1Prf } from "../../src/protocol/exchange/key-derive.ts";
import { keyMethodEmit, keyMethodRead } from "../../src/protocol/exchange/key-method.ts";
import { optionsString } from "../../src/protocol/exchange/peer-info.ts";
import { type AeadName, type CbcName, NO_DECOMPRESSORS } from "../../src/protocol/ports.ts";
import { AuthTokens } from "../../src/protocol/server/auth-token.ts";
import { Login } from "../../src/protocol/session/login.ts";
import { dataKey, type Side } from "../../src/protocol/side.ts";
import { framePacket } from "../../src/protocol/stream.ts";
import { clientConfig, NO_WRAP, TLS_AUTH } from "../support/client-config.ts";
import type { Fields, Vector } from "./document.ts";

const AT = 1024;
const window = { packets: 64, seconds: 15 };
const material = { label: "", origin: { file: "", line: 0 }, bytes: new Uint8Array(0) };

/** Bytes as the document writes them. */
export function bytes(text: string): Uint8Array {
  const [, from, to] = /^([0-9a-f]{2})\.\.([0-9a-f]{2})$/.exec(text) ?? [];
  if (from !== undefined && to !== undefined) {
    const first = Number.parseInt(from, 16);
    return Uint8Array.from({ length: Number.parseInt(to, 16) - first + 1 }, (_, i) => first + i);
  }
  return text.startsWith('"')
    ? Uint8Array.from(Buffer.from(string(text)))
    : Uint8Array.fromHex(text.replace(/\s/g, ""));
}

const string = (text: string): string => text.slice(1, -1).replaceAll("\\n", "\n").replaceAll("\\0", "\0");
const hex = (data: Uint8Array): string => data.toHex();
const number = (text: string): number => (text === "none" ? PEER_ID_NONE : Number(text));

/** The given values of a vector, which must be there. */
class Given {
  readonly #fields: Fields;
  constructor(fields: Fields) {
    this.#fields = fields;
  }
  has = (name: string): boolean => this.#fields.has(name);
  text(name: string): string {
    const value = this.#fields.get(name);
    if (value === undefined) throw new Error(`${name} is missing`);
    return value;
  }
  bytes = (name: string): Uint8Array => bytes(this.text(name));
  string = (name: string): string => string(this.text(name));
  number = (name: string): number => number(this.text(name));
  side = (name: string): Side => this.text(name) as Side;
}

type Results = Readonly<Record<string, string>>;

/** A packet of control that a protection makes; what its other end makes of it must be the plain one. */
function sealed(own: ControlCrypto, other: ControlCrypto, of: Given): Results {
  const packet = own.seal(of.bytes("plain"), of.number("id"), of.number("time"));
  const opened = other.open(packet);
  if (typeof opened === "number" || hex(opened.plain) !== hex(of.bytes("plain"))) throw new Error("it does not open");
  return { packet: hex(packet) };
}

/** A data packet that a key makes; what the other end's key makes of it must be the payload. */
function sealedData(make: (sender: boolean) => DataKey, of: Given, slab = slabOver(new ArrayBuffer(4096))): Results {
  const payload = of.bytes("payload");
  slab.bytes.set(payload, AT);
  const [own, other] = [make(true), make(false)];
  const at = own.seal(AT, payload.length);
  const packet = slab.bytes.slice(at, at + own.sealedLen);
  const isV2 = of.has("peer-id") && of.text("peer-id") !== "none";
  const payloadAt = other.open(0, at, own.sealedLen, isV2);
  if (payloadAt < 0 || hex(slab.bytes.slice(payloadAt, payloadAt + other.openedLen)) !== hex(payload))
    throw new Error("it does not open");
  return { packet: hex(packet) };
}

const other = (side: Side): Side => (side === "client" ? "server" : "client");

const KINDS: Readonly<Record<string, (of: Given) => Results>> = {
  stream(of) {
    const packets = of.text("packets").split(";").map(bytes);
    return { stream: hex(Uint8Array.from(packets.flatMap((packet) => [...framePacket(packet)]))) };
  },

  "control-packet"(of) {
    const acks = of
      .text("acks")
      .split(" ")
      .filter((id) => id !== "")
      .map(Number);
    const packet = controlEmit({
      opcode: of.number("opcode"),
      keyId: of.number("key-id"),
      sessionId: of.bytes("session"),
      acks,
      peerSessionId: of.has("peer-session") ? of.bytes("peer-session") : undefined,
      packetId: of.has("id") ? of.number("id") : undefined,
      payload: of.has("payload") ? of.bytes("payload") : new Uint8Array(0),
    });
    if (hex(controlEmit(controlRead(packet))) !== hex(packet)) throw new Error("it is read as another one");
    return { packet: hex(packet) };
  },

  "tls-auth"(of) {
    const direction = of.number("direction") as 0 | 1;
    const make = (direction: 0 | 1): ControlCrypto => {
      const own = { key: of.bytes("key"), direction, digest: of.text("digest") as DigestName, material };
      return controlCrypto({ kind: "tls-auth", ...own }, "client", noblePrimitives);
    };
    return sealed(make(direction), make(direction === 0 ? 1 : 0), of);
  },

  "tls-crypt"(of) {
    const make = (side: Side) =>
      controlCrypto({ kind: "tls-crypt", key: of.bytes("key"), material }, side, noblePrimitives);
    return sealed(make(of.side("sender")), make(other(of.side("sender"))), of);
  },

  "tls-crypt-v2"(of) {
    const own = { key: of.bytes("client-key"), metadata: of.bytes("metadata") };
    const wrapped = wrapKey(of.bytes("server-key"), own, noblePrimitives);
    if (unwrapKey(of.bytes("server-key"), wrapped, noblePrimitives) === undefined) throw new Error("it does not open");
    return { wrapped: hex(wrapped) };
  },

  "early-negotiation": (of) => ({ resend: earlyNegotiationRead(of.bytes("payload"))?.resendWrappedKey ? "yes" : "no" }),

  cookie(of) {
    const cookies = new SessionCookies(of.bytes("key"), of.number("hand-window"), noblePrimitives);
    return { cookie: hex(cookies.issue(of.bytes("address"), of.bytes("session"), of.number("time"))) };
  },

  "dynamic-tls-crypt"(of) {
    const wrap = { kind: "tls-crypt", key: of.bytes("static-key"), material } as const;
    const make = (side: Side) => renegotiationCrypto(of.bytes("exported"), wrap, side, noblePrimitives);
    return sealed(make(of.side("sender")), make(other(of.side("sender"))), of);
  },

  "key-method"(of) {
    const text = (name: string): string | undefined => (of.has(name) ? of.string(name) : undefined);
    const preMaster = of.has("pre-master") ? of.bytes("pre-master") : new Uint8Array(0);
    const message = keyMethodEmit({
      source: { preMaster, random1: of.bytes("random1"), random2: of.bytes("random2") },
      options: of.string("options"),
      user: text("user"),
      password: text("password"),
      peerInfo: text("peer-info"),
    });
    const result = keyMethodRead(message, of.side("sender"));
    if (result.kind !== "message" || hex(keyMethodEmit(result.message)) !== hex(message))
      throw new Error("it is read as another one");
    return { message: hex(message) };
  },

  "options-string"(of) {
    const { data } = clientConfig([], NO_WRAP);
    const compression = ({ none: "none", byte: "comp-lzo", swap: "compress stub", v2: "compress stub-v2" } as const)[
      of.text("framing") as "none"
    ];
    const own = {
      ...data,
      fallbackCipher: of.string("cipher"),
      auth: of.string("auth") as DigestName,
      compression,
      fragment: of.text("fragment") === "yes" ? { size: 1300, isOuter: false } : undefined,
    };
    const wrap = of.text("tls-auth") === "no" ? NO_WRAP : { ...TLS_AUTH, direction: of.number("tls-auth") as 0 | 1 };
    const tunnel = { mtu: of.number("tun-mtu") };
    return {
      options: `"${optionsString(of.side("side"), { data: own, tunnel, deviceType: "tun" }, wrap as typeof NO_WRAP, of.text("stream") === "yes")}"`,
    };
  },

  prf: (of) => ({ output: hex(tls1Prf(of.bytes("secret"), of.string("label"), [of.bytes("seed")], 32)) }),

  "key-derivation"(of) {
    const source = (side: Side) => ({ random1: of.bytes(`${side}-random1`), random2: of.bytes(`${side}-random2`) });
    const client = { preMaster: of.bytes("pre-master"), ...source("client") };
    const sessions = [of.bytes("client-session"), of.bytes("server-session")] as const;
    return { block: hex(deriveByPrf([client, source("server")], sessions)) };
  },

  aead(of) {
    const slab = slabOver(new ArrayBuffer(4096));
    const [cipher, own] = [of.text("cipher") as AeadName, dataKey(of.side("sender"))];
    const place = { keyId: of.number("key-id"), peerId: of.number("peer-id"), replayWindow: window };
    const make = (isSender: boolean): DataKey => {
      const sendKey = isSender ? own : own === 0 ? 1 : 0;
      const used = isSender ? { packetId: of.number("id") } : undefined;
      return new AeadDataKey(of.bytes("block"), { slab, aead: nobleAead(slab), cipher, sendKey, used, ...place });
    };
    return sealedData(make, of, slab);
  },

  "expand-label": (of) => ({ output: hex(expandLabel(of.bytes("secret"), of.string("label"), of.number("length"))) }),

  "epoch-key"(of) {
    const secret = new EpochSecret(of.bytes("secret"));
    return { key: hex(secret.dataKey(AEAD_KEY_LEN[of.text("cipher") as AeadName])), iv: hex(secret.implicitIv()) };
  },

  epoch(of) {
    const slab = slabOver(new ArrayBuffer(4096));
    const [cipher, own] = [of.text("cipher") as AeadName, dataKey(of.side("sender"))];
    const place = { keyId: of.number("key-id"), peerId: of.number("peer-id"), replayWindow: window };
    const make = (isSender: boolean): DataKey => {
      const sendKey = isSender ? own : own === 0 ? 1 : 0;
      const used = isSender ? { packetId: of.number("counter") } : {};
      // The secret of a later epoch is what the chain leads to.
      const block = of.bytes("block").slice();
      for (const half of [0, 1]) {
        const at = 128 * half;
        let secret: Uint8Array = block.slice(at, at + 32);
        for (let epoch = 1; epoch < of.number("epoch"); epoch++) secret = expandLabel(secret, "datakey upd", 32);
        block.set(secret, at);
      }
      const start = { ...used, epoch: of.number("epoch") };
      return new EpochDataKey(block, { slab, aead: nobleAead(slab), cipher, sendKey, used: start, ...place });
    };
    return sealedData(make, of, slab);
  },

  cbc(of) {
    const slab = slabOver(new ArrayBuffer(4096));
    const [own, iv] = [dataKey(of.side("sender")), of.bytes("iv")];
    const place = { keyId: of.number("key-id"), peerId: of.number("peer-id"), replayWindow: window };
    const names = { cipher: of.text("cipher") as CbcName, digest: of.text("digest") as DigestName };
    const make = (isSender: boolean): DataKey =>
      new CbcDataKey(of.bytes("block"), {
        ...{ slab, cbc: nobleCbc(slab), random: { fill: (out) => out.set(iv) }, ...names, ...place },
        sendKey: isSender ? own : own === 0 ? 1 : 0,
        packetId: isSender ? of.number("id") : undefined,
      });
    return sealedData(make, of, slab);
  },

  "static-key"(of) {
    const slab = slabOver(new ArrayBuffer(4096));
    const [iv, unixSeconds] = [of.bytes("iv"), of.number("time")];
    const names = { cipher: of.text("cipher") as CbcName, digest: of.text("digest") as DigestName };
    const direction = of.number("direction") as 0 | 1;
    const make = (isSender: boolean): DataKey =>
      new StaticDataKey(of.bytes("key"), {
        ...{ slab, cbc: nobleCbc(slab), random: { fill: (out) => out.set(iv) }, ...names, unixSeconds },
        direction: isSender ? direction : direction === 0 ? 1 : 0,
        guard: new ReplayGuard(unixSeconds, window),
      });
    if (of.number("id") !== 1) throw new Error("a key begins with id 1");
    return sealedData(make, of, slab);
  },

  compression(of) {
    const slab = slabOver(new ArrayBuffer(4096));
    const memory = { scratch: new Arena(slab, 2048, 4096), decompressors: NO_DECOMPRESSORS, largest: 1600 };
    const framing = createFraming(of.text("framing") as "byte", memory);
    const packet = of.bytes("packet");
    slab.bytes.set(packet, AT);
    const at = framing?.frame(AT, packet.length) ?? AT;
    const framed = slab.bytes.slice(at, at + (framing?.len ?? packet.length));
    const back = framing?.strip(at, framed.length) ?? at;
    if (hex(slab.bytes.slice(back, back + packet.length)) !== hex(packet)) throw new Error("it is read as another one");
    return { framed: hex(framed) };
  },

  fragments(of) {
    const slab = slabOver(new ArrayBuffer(8192));
    const fragments = new Fragments(new Arena(slab, 4096, 8192), new SessionDrops(), 1300, 1600, 0);
    for (const piece of of
      .text("pieces")
      .split(";")
      .map((text) => bytes(text.trim()))) {
      slab.bytes.set(piece, AT);
      const at = fragments.open(0, AT, piece.length);
      if (at > PIECE_KEPT) return { packet: hex(slab.bytes.slice(at, at + fragments.len)) };
    }
    throw new Error("pieces are missing");
  },

  payload(of) {
    const slab = slabOver(new ArrayBuffer(256));
    const isPing = of.text("kind") === "ping";
    (isPing ? pingEmit : exitEmit)(slab.bytes, 0);
    return { payload: hex(slab.bytes.slice(0, isPing ? PING_LEN : EXIT_LEN)) };
  },

  "auth-token"(of) {
    const tokens = new AuthTokens(of.bytes("key"), noblePrimitives);
    const [user, hash, made] = [of.string("user"), of.string("hash"), of.number("made")];
    const token = tokens.make(user, hash, { id: of.bytes("session"), began: of.number("began") }, made);
    if (tokens.check(user, hash, token, { lifetime: 1, renewal: 1 }, made).state !== "valid")
      throw new Error("it is not good");
    return { token: `"${token}"` };
  },

  scrv1(of) {
    const answer = { row: of.string("answer"), totp: undefined };
    const own = { user: "ann", password: of.string("password"), answer, label: "", origin: material.origin };
    const login = new Login({ ...own, staticChallenge: { text: "", format: "scrv1" } }, {}, () => 0);
    return { sent: `"${login.next().password}"` };
  },
};

export const VECTOR_KINDS: readonly string[] = Object.keys(KINDS);

/** @throws Error where the vector is of no known kind, or the code does not read what it wrote */
export function compute({ kind, given, line }: Vector): Results {
  const make = KINDS[kind];
  if (make === undefined) throw new Error(`line ${line}: there is no kind of vector ${kind}`);
  return make(new Given(given));
}

/** Results in one form: bytes without blanks. */
export const plain = (text: string): string => (text.startsWith('"') ? text : text.replace(/\s/g, ""));
