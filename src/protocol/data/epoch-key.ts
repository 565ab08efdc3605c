/**
 * A data-channel key of an AEAD cipher, epoch format (tag last, OpenVPN 2.7). The data path: no allocation but where an epoch
 * begins, offsets into the slab.
 *
 *     V1: opcode|key id (1)               epoch (2)  counter (6)  ciphertext  tag (16)     additional data: epoch and counter
 *     V2: opcode|key id (1)  peer id (3)  epoch (2)  counter (6)  ciphertext  tag (16)     additional data: all before the ciphertext
 *     nonce: implicit IV (12) with epoch and counter xored into its first 8 bytes
 *
 * Each direction has its own epochs, from 1 up, with a cipher key, a counter and a replay window each (epoch-secret.ts). Who
 * sends begins a new one where the key has encrypted enough, and the other end follows with what it sends. Received is what
 * belongs to the current epoch, the one before it, or one of the next 16: an authentic packet of those makes it the current one.
 *
 *     refused  | retiring | refused | current | current + 1 ... current + 16 | refused
 *
 * Source: OpenVPN's crypto_epoch.c, crypto.c (openvpn_encrypt_aead), packet_id.h, ssl.c (should_trigger_renegotiation).
 */
import { cipherPart } from "../control/static-key.ts";
import {
  DROP_DATA_AUTHENTICATION,
  DROP_DATA_EPOCH,
  DROP_DATA_REPLAY,
  DROP_DATA_TRUNCATED,
  DROP_SEAL_EXHAUSTED,
} from "../drop.ts";
import type { AeadFactory, AeadKey, AeadName } from "../ports.ts";
import { AEAD_KEY_LEN, type AeadDataKeyOptions, aeadUsage, GCM_RENEGOTIATE } from "./aead-key.ts";
import { EPOCH_FIRST, EPOCH_SECRET_LEN, EpochSecret } from "./epoch-secret.ts";
import type { DataKey } from "./key.ts";
import {
  DATA_V1_HEADER_LEN,
  DATA_V2_HEADER_LEN,
  dataEmitV1,
  dataEmitV2,
  dataHeaderLen,
  PEER_ID_NONE,
} from "./packet.ts";
import { ReplayWindow } from "./replay.ts";

const ID_LEN = 8;
const TAG_LEN = 16;
/** Bytes that sealing adds. */
export const EPOCH_V1_OVERHEAD = DATA_V1_HEADER_LEN + ID_LEN + TAG_LEN;
export const EPOCH_V2_OVERHEAD = DATA_V2_HEADER_LEN + ID_LEN + TAG_LEN;
export const EPOCH_COUNTER_LAST = 2 ** 48 - 1;
const WORD = 2 ** 32;
/** Keys of epochs to come that are ready. A power of two: they are a ring. */
const FUTURE = 16;
/** How far one may go ahead of the other end: so many keys openvpn 2.7.6 has ready; others have 16. */
const AHEAD = 4;
/** From here on a renegotiation is wanted. */
export const EPOCH_RENEGOTIATE = 0xf000;
/** The last epoch that is received, so that no key behind it is beyond 16 bits. */
export const EPOCH_LAST_RECEIVED = 0xffff - FUTURE - 1;
/** The last one that is sent: one with 32 keys ready, as OpenVPN's tests have it, receives it still. */
export const EPOCH_LAST_SENT = 0xffff - 32 - 1;

export class EpochDataKey implements DataKey {
  readonly keyId: number;
  readonly cipher: AeadName;
  readonly overhead: number;
  sealedLen = 0;
  openedLen = 0;
  readonly #peerId: number;
  readonly #view: DataView;
  readonly #aead: AeadFactory;
  readonly #limited: boolean;
  readonly #sendSecret: EpochSecret;
  #seal: AeadKey;
  /** Of the packet sent last; the counter begins anew with each epoch. */
  #sendEpoch: number;
  #counter: number;
  /** Packets and blocks under the key of the current epoch, each direction. */
  #sentUsage: number;
  #receivedUsage: number;
  /** It stands at the last of the future keys that are made, or at the current epoch. */
  readonly #openSecret: EpochSecret;
  #open: AeadKey;
  #openEpoch: number;
  #replay: ReplayWindow;
  #retiring: AeadKey | undefined;
  #retiringEpoch = 0;
  #retiringReplay: ReplayWindow | undefined;
  readonly #makeReplay: () => ReplayWindow;
  /** By epoch & (FUTURE - 1); made when a packet names that epoch, or a later one, for the first time. */
  readonly #future: (AeadKey | undefined)[] = [];
  #sentPackets = 0;
  #receivedPackets = 0;
  #bytes = 0;

  /** @param block 256 bytes of key material (key-derive.ts), of which 32 are used each way */
  constructor(block: Uint8Array, options: AeadDataKeyOptions) {
    const { aead, cipher, sendKey, used, peerId } = options;
    const { packets, seconds } = options.replayWindow;
    this.keyId = options.keyId;
    this.cipher = cipher;
    this.#peerId = peerId;
    this.overhead = peerId === PEER_ID_NONE ? EPOCH_V1_OVERHEAD : EPOCH_V2_OVERHEAD;
    this.#view = options.slab.view;
    this.#aead = aead;
    this.#limited = cipher !== "CHACHA20-POLY1305";
    const epoch = used?.epoch ?? EPOCH_FIRST;
    this.#sendEpoch = epoch;
    this.#openEpoch = epoch;
    this.#sendSecret = new EpochSecret(cipherPart(block, sendKey, EPOCH_SECRET_LEN), epoch);
    this.#openSecret = new EpochSecret(cipherPart(block, sendKey === 0 ? 1 : 0, EPOCH_SECRET_LEN), epoch);
    this.#seal = this.#create(this.#sendSecret, "seal");
    this.#open = this.#create(this.#openSecret, "open");
    this.#makeReplay = () => new ReplayWindow(packets, seconds);
    this.#replay = this.#makeReplay();
    this.#counter = (used?.packetId ?? 1) - 1;
    this.#sentUsage = used?.sent ?? 0;
    this.#receivedUsage = used?.received ?? 0;
  }

  /** The epochs of what is sent and received now. */
  get epochs(): { readonly sent: number; readonly received: number } {
    return { sent: this.#sendEpoch, received: this.#openEpoch };
  }

  payloadMax(size: number): number {
    return size - this.overhead;
  }

  seal(at: number, len: number): number {
    if (this.#isSpent() && this.#mayBeginEpoch()) this.#beginEpoch(this.#sendEpoch + 1);
    if (this.#counter === EPOCH_COUNTER_LAST) return DROP_SEAL_EXHAUSTED;
    const counter = ++this.#counter;
    this.#sentUsage += aeadUsage(len);
    this.#sentPackets++;
    this.#bytes += len;
    const start = at - ID_LEN - dataHeaderLen(this.#peerId !== PEER_ID_NONE);
    this.sealedLen = len + this.overhead;
    const idAt = at - ID_LEN;
    const high = (this.#sendEpoch << 16) | (counter < WORD ? 0 : counter / WORD);
    const low = counter | 0;
    this.#view.setInt32(idAt, high);
    this.#view.setInt32(idAt + 4, low);
    if (this.#peerId === PEER_ID_NONE) {
      dataEmitV1(this.#view, start, this.keyId);
      this.#seal.seal(high, low, idAt, ID_LEN, at, len, at + len);
    } else {
      dataEmitV2(this.#view, start, this.keyId, this.#peerId);
      this.#seal.seal(high, low, start, DATA_V2_HEADER_LEN + ID_LEN, at, len, at + len);
    }
    return start;
  }

  open(now: number, at: number, len: number, isV2: boolean): number {
    const idAt = at + dataHeaderLen(isV2);
    const payloadAt = idAt + ID_LEN;
    const tagAt = at + len - TAG_LEN;
    const payloadLen = tagAt - payloadAt;
    if (payloadLen < 0) return DROP_DATA_TRUNCATED;
    const high = this.#view.getInt32(idAt);
    const low = this.#view.getInt32(idAt + 4);
    const epoch = high >>> 16;
    const top = high & 0xffff;
    const counter = top === 0 ? low >>> 0 : top * WORD + (low >>> 0);
    const key = this.#opener(epoch);
    if (key === undefined) return DROP_DATA_EPOCH;
    const isNew = epoch > this.#openEpoch;
    let replay = epoch === this.#retiringEpoch ? this.#retiringReplay! : this.#replay;
    if (!(isNew ? replay.begins(counter) : replay.check(counter, now))) return DROP_DATA_REPLAY;
    const isAuthentic = isV2
      ? key.open(high, low, at, DATA_V2_HEADER_LEN + ID_LEN, payloadAt, payloadLen, tagAt)
      : key.open(high, low, idAt, ID_LEN, payloadAt, payloadLen, tagAt);
    if (!isAuthentic) return DROP_DATA_AUTHENTICATION;
    if (isNew) replay = this.#moveTo(epoch);
    replay.mark(counter, now);
    if (epoch === this.#openEpoch) this.#receivedUsage += aeadUsage(payloadLen);
    this.#receivedPackets++;
    this.#bytes += payloadLen;
    this.openedLen = payloadLen;
    this.#follow();
    return payloadAt;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get packets(): number {
    return this.#sentPackets + this.#receivedPackets;
  }

  get isWorn(): boolean {
    if (this.#sendEpoch >= EPOCH_RENEGOTIATE || this.#openEpoch >= EPOCH_RENEGOTIATE) return true;
    return this.#isSpent() && !this.#mayBeginEpoch();
  }

  touch(): number {
    return this.#replay.touch() + this.#open.touch() + this.#bytes;
  }

  close(): void {
    this.#sendSecret.wipe();
    this.#openSecret.wipe();
    this.#seal.close();
    this.#open.close();
    this.#retiring?.close();
    for (const key of this.#future) key?.close();
  }

  /** This epoch has encrypted enough, or the other end's has, which follows where this end goes ahead. */
  #isSpent(): boolean {
    if (this.#counter === EPOCH_COUNTER_LAST) return true;
    if (!this.#limited) return false;
    if (this.#sentUsage >= GCM_RENEGOTIATE) return true;
    return this.#receivedUsage >= GCM_RENEGOTIATE && this.#sendEpoch <= this.#openEpoch;
  }

  #mayBeginEpoch(): boolean {
    return this.#sendEpoch < EPOCH_LAST_SENT && this.#sendEpoch - this.#openEpoch < AHEAD;
  }

  #beginEpoch(epoch: number): void {
    this.#sendSecret.advance(epoch);
    this.#seal.close();
    this.#seal = this.#create(this.#sendSecret, "seal");
    this.#sendEpoch = epoch;
    this.#counter = 0;
    this.#sentUsage = 0;
  }

  /** Sends in the other end's epoch: by steps that it can receive, with a packet sent in each. */
  #follow(): void {
    if (this.#sendEpoch >= this.#openEpoch || this.#counter === 0) return;
    const epoch = Math.min(this.#openEpoch, this.#sendEpoch + AHEAD, EPOCH_LAST_SENT);
    if (epoch > this.#sendEpoch) this.#beginEpoch(epoch);
  }

  #opener(epoch: number): AeadKey | undefined {
    if (epoch === this.#openEpoch) return this.#open;
    if (epoch === this.#retiringEpoch) return this.#retiring;
    if (epoch < this.#openEpoch || epoch > this.#openEpoch + FUTURE || epoch > EPOCH_LAST_RECEIVED) return undefined;
    if (epoch > this.#openSecret.epoch) this.#makeFuture(epoch);
    return this.#future[epoch & (FUTURE - 1)];
  }

  /** A packet of a future epoch was authentic: it is the current one. @returns its window, which was that of what had retired */
  #moveTo(epoch: number): ReplayWindow {
    this.#retiring?.close();
    this.#retiring = this.#open;
    this.#retiringEpoch = this.#openEpoch;
    const replay = this.#retiringReplay ?? this.#makeReplay();
    this.#retiringReplay = this.#replay;
    this.#replay = replay;
    replay.reset();
    for (let skipped = this.#openEpoch + 1; skipped < epoch; skipped++) this.#future[skipped & (FUTURE - 1)]!.close();
    this.#open = this.#future[epoch & (FUTURE - 1)]!;
    this.#openEpoch = epoch;
    this.#receivedUsage = 0;
    return replay;
  }

  /** Each of them once, whatever packets claim to be of it. */
  #makeFuture(last: number): void {
    while (this.#openSecret.epoch < last) {
      const epoch = this.#openSecret.epoch + 1;
      this.#openSecret.advance(epoch);
      this.#future[epoch & (FUTURE - 1)] = this.#create(this.#openSecret, "open");
    }
  }

  #create(secret: EpochSecret, use: "seal" | "open"): AeadKey {
    const key = secret.dataKey(AEAD_KEY_LEN[this.cipher]);
    const made = this.#aead.create(this.cipher, key, secret.implicitIv(), use);
    key.fill(0);
    return made;
  }
}
