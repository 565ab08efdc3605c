/**
 * The control channel of a session: the two session ids, the protection that packets go through, and what is checked before
 * a packet may touch a key exchange. Packets of another session, without authentication or repeated are named drops and
 * change nothing.
 */
import { concat } from "../../lib/bytes.ts";
import {
  DROP_CONTROL_REPLAY,
  DROP_CONTROL_SESSION_ID,
  DROP_CONTROL_UNEXPECTED,
  DROP_NONE,
  DROP_OPCODE_UNKNOWN,
} from "../drop.ts";
import { equalBytes } from "../equal.ts";
import { hardReset, otherSide, type Side } from "../side.ts";
import {
  ACK_V1,
  CONTROL_V1,
  CONTROL_WKC_V1,
  firstByte,
  HARD_RESET_CLIENT_V3,
  KEY_ID_MASK,
  keyIdOf,
  opcodeOf,
  SOFT_RESET_V1,
} from "./opcode.ts";
import {
  ACK_LEN,
  CONTROL_HEADER_LEN,
  CONTROL_OVERHEAD,
  type ControlPacket,
  controlCheck,
  controlEmit,
  controlRead,
  MAX_ACKS,
  MAX_PIGGYBACK_ACKS,
  PACKET_ID_LEN,
  SESSION_ID_LEN,
} from "./packet.ts";
import type { Protection } from "./protection.ts";
import type { Reliable } from "./reliable.ts";
import { splitWrappedKey } from "./wrapped-key.ts";

/** Largest control packet with the headers of the link, as OpenVPN 2.6 (max-packet-size 1250). */
const MAX_CONTROL_PACKET = 1250;

export interface ControlChannelOptions {
  readonly side: Side;
  readonly ownSessionId: Uint8Array;
  readonly protection: Protection;
  /** tls-crypt-v2: the client's key as the server wrapped it. It goes with a client's first packets. */
  readonly wrappedKey?: Uint8Array | undefined;
  /** Bytes of the headers below (IP, UDP). */
  readonly linkOverhead: number;
}

const carriesWrappedKey = (opcode: number): boolean => opcode === HARD_RESET_CLIENT_V3 || opcode === CONTROL_WKC_V1;

export class ControlChannel {
  readonly ownSessionId: Uint8Array;
  peerSessionId: Uint8Array | undefined;
  readonly wrappedKey: Uint8Array | undefined;
  /** The opcodes of the packets that begin the session: this side's and the peer's. */
  readonly reset: number;
  readonly peerReset: number;
  readonly #side: Side;
  readonly #linkOverhead: number;
  readonly #protections: Protection[];

  constructor({ side, ownSessionId, protection, wrappedKey, linkOverhead }: ControlChannelOptions) {
    this.ownSessionId = ownSessionId;
    this.#linkOverhead = linkOverhead;
    this.#side = side;
    this.wrappedKey = wrappedKey;
    this.reset = hardReset(side, wrappedKey !== undefined);
    this.peerReset = hardReset(otherSide(side), wrappedKey !== undefined);
    this.#protections = new Array(KEY_ID_MASK + 1).fill(protection);
  }

  /** From now on the packets of all key ids but the first are protected in another way: dynamic tls-crypt. */
  protectRenegotiations(protection: Protection): void {
    this.#protections.fill(protection, 1);
  }

  /** Bytes of TLS that fit into one packet of this key id. */
  maxPayload(keyId: number): number {
    const { crypto } = this.#protections[keyId]!;
    return MAX_CONTROL_PACKET - this.#linkOverhead - crypto.overhead - CONTROL_OVERHEAD;
  }

  /**
   * Whether a packet, of whomever, has the looks of the peer's first answer: the opcode of its reset and no less than its
   * length; where they can be read, an acknowledgement and our session id, which nobody knows who does not see our packets.
   * Nothing is authenticated or kept, and no replay id used up.
   */
  looksLikeAnswer(bytes: Uint8Array, at: number, len: number): boolean {
    const { crypto } = this.#protections[0]!;
    const acks = CONTROL_HEADER_LEN + crypto.overhead;
    if (len < acks + 1 + ACK_LEN + SESSION_ID_LEN + PACKET_ID_LEN || bytes[at] !== firstByte(this.peerReset, 0))
      return false;
    if (crypto.conceals) return true;
    const count = bytes[at + acks]!;
    const named = acks + 1 + ACK_LEN * count;
    if (count === 0 || count > MAX_ACKS || named + SESSION_ID_LEN + PACKET_ID_LEN > len) return false;
    for (let i = 0; i < SESSION_ID_LEN; i++) if (bytes[at + named + i] !== this.ownSessionId[i]) return false;
    return true;
  }

  /** An authentic packet of this session, or the drop code. The first answer of the peer settles its session id. */
  receive(bytes: Uint8Array, now: number): ControlPacket | number {
    const opcode = opcodeOf(bytes[0]!);
    const isReset = opcode === this.peerReset;
    const isWrapped = opcode === CONTROL_WKC_V1 && this.#side === "server" && this.wrappedKey !== undefined;
    if (opcode !== CONTROL_V1 && opcode !== ACK_V1 && opcode !== SOFT_RESET_V1 && !isReset && !isWrapped) {
      return DROP_OPCODE_UNKNOWN;
    }
    // The key in it is in use already; whoever sends another one has not sealed with this one.
    const split = carriesWrappedKey(opcode) ? splitWrappedKey(bytes) : { packet: bytes };
    if (typeof split === "number") return split;
    const { crypto, guard } = this.#protections[keyIdOf(bytes[0]!)]!;
    const opened = crypto.open(split.packet);
    if (typeof opened === "number") return opened;
    if (crypto.authenticates && !guard.check(opened, now)) return DROP_CONTROL_REPLAY;
    const drop = controlCheck(opened.plain);
    if (drop !== DROP_NONE) return drop;
    const read = controlRead(opened.plain);
    const packet = isWrapped ? { ...read, opcode: CONTROL_V1 } : read;
    if (packet.peerSessionId !== undefined && !equalBytes(packet.peerSessionId, this.ownSessionId)) {
      return DROP_CONTROL_SESSION_ID;
    }
    if (isReset && (packet.keyId !== 0 || packet.packetId !== 0)) return DROP_CONTROL_UNEXPECTED;
    if (this.peerSessionId === undefined) {
      // OpenVPN up to 2.5 acknowledges once, and perhaps apart from its reset: its repeated reset names nobody.
      const mayBeFirst = isReset || (opcode === ACK_V1 && this.#side === "client");
      if (!mayBeFirst) return DROP_CONTROL_UNEXPECTED;
      // A server's answer acknowledges our reset and so names our session id: nobody who did not see it can forge one.
      if (this.#side === "client" && packet.peerSessionId === undefined) return DROP_CONTROL_SESSION_ID;
      this.peerSessionId = packet.sessionId;
    }
    if (!equalBytes(packet.sessionId, this.peerSessionId)) return DROP_CONTROL_SESSION_ID;
    if (crypto.authenticates) guard.mark(opened, now);
    return packet;
  }

  /** The next packet that is due for a key exchange, as it goes on the link: data first, with acknowledgements on it. */
  poll(
    { keyId, reliable }: { readonly keyId: number; readonly reliable: Reliable },
    now: number,
  ): Uint8Array | undefined {
    const due = reliable.pollSend(now);
    if (due === undefined && !reliable.acksPending) return undefined;
    const acks = reliable.takeAcks(due === undefined ? MAX_ACKS : MAX_PIGGYBACK_ACKS);
    const plain = controlEmit({
      opcode: due?.opcode ?? ACK_V1,
      keyId,
      sessionId: this.ownSessionId,
      acks,
      peerSessionId: this.peerSessionId,
      packetId: due?.id,
      payload: due?.payload ?? new Uint8Array(0),
    });
    const { crypto, guard } = this.#protections[keyId]!;
    const sealed = crypto.seal(plain, guard.next(), guard.time);
    return this.wrappedKey !== undefined && carriesWrappedKey(opcodeOf(plain[0]!))
      ? concat(sealed, this.wrappedKey)
      : sealed;
  }
}
