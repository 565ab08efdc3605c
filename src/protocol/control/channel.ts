/**
 * The control channel of a session: the two session ids, the wrapper that all its packets go through, and what is
 * checked before a packet may touch a negotiation. Packets of another session, without authentication or repeated are
 * named drops and change nothing.
 */

import { DROP_CONTROL_SESSION_ID, DROP_CONTROL_UNEXPECTED, DROP_NONE, DROP_OPCODE_UNKNOWN } from "../drop.ts";
import { equalBytes } from "../equal.ts";
import type { KeyExchange } from "../exchange/key-exchange.ts";
import type { ControlWrapper } from "./crypto.ts";
import { ACK_V1, CONTROL_V1, HARD_RESET_CLIENT_V2, HARD_RESET_SERVER_V2, opcodeOf, SOFT_RESET_V1 } from "./opcode.ts";
import {
  CONTROL_OVERHEAD,
  type ControlPacket,
  controlCheck,
  controlEmit,
  controlRead,
  MAX_ACKS,
  MAX_PIGGYBACK_ACKS,
} from "./packet.ts";

/** Largest control packet with the headers of the link, as OpenVPN 2.6 (max-packet-size 1250). */
const MAX_CONTROL_PACKET = 1250;

export class ControlChannel {
  readonly ownSessionId: Uint8Array;
  peerSessionId: Uint8Array | undefined;
  readonly maxPayload: number;
  readonly #wrapper: ControlWrapper;
  readonly #isServer: boolean;

  /** @param linkOverhead bytes of the headers below (IP, UDP) */
  constructor(wrapper: ControlWrapper, ownSessionId: Uint8Array, linkOverhead: number, isServer = false) {
    this.ownSessionId = ownSessionId;
    this.maxPayload = MAX_CONTROL_PACKET - linkOverhead - wrapper.overhead - CONTROL_OVERHEAD;
    this.#wrapper = wrapper;
    this.#isServer = isServer;
  }

  /** An authentic packet of this session, or the drop code. The first reset of the peer settles its session id. */
  receive(bytes: Uint8Array, now: number): ControlPacket | number {
    const opcode = opcodeOf(bytes[0]!);
    const peerReset = this.#isServer ? HARD_RESET_CLIENT_V2 : HARD_RESET_SERVER_V2;
    if (opcode !== CONTROL_V1 && opcode !== ACK_V1 && opcode !== SOFT_RESET_V1 && opcode !== peerReset) {
      return DROP_OPCODE_UNKNOWN;
    }
    const plain = this.#wrapper.unwrap(bytes, now);
    if (typeof plain === "number") return plain;
    const drop = controlCheck(plain);
    if (drop !== DROP_NONE) return drop;
    const packet = controlRead(plain);
    if (packet.peerSessionId !== undefined && !equalBytes(packet.peerSessionId, this.ownSessionId)) {
      return DROP_CONTROL_SESSION_ID;
    }
    if (opcode === peerReset && (packet.keyId !== 0 || packet.packetId !== 0)) return DROP_CONTROL_UNEXPECTED;
    if (this.peerSessionId === undefined) {
      if (opcode !== peerReset) return DROP_CONTROL_UNEXPECTED;
      // a server's answer proves with our session id that it is one
      if (!this.#isServer && packet.peerSessionId === undefined) return DROP_CONTROL_SESSION_ID;
      this.peerSessionId = packet.sessionId;
    }
    if (!equalBytes(packet.sessionId, this.peerSessionId)) return DROP_CONTROL_SESSION_ID;
    this.#wrapper.mark(now);
    return packet;
  }

  /** The next packet that is due for a negotiation, wrapped for the link: data first, with acknowledgements on it. */
  poll(negotiation: KeyExchange, now: number): Uint8Array | undefined {
    const { reliable, keyId } = negotiation;
    const due = reliable.pollSend(now);
    if (due === undefined && !reliable.acksPending) return undefined;
    const acks = reliable.takeAcks(due === undefined ? MAX_ACKS : MAX_PIGGYBACK_ACKS);
    return this.#wrapper.wrap(
      controlEmit({
        opcode: due?.opcode ?? ACK_V1,
        keyId,
        sessionId: this.ownSessionId,
        acks,
        peerSessionId: this.peerSessionId,
        packetId: due?.id,
        payload: due?.payload ?? new Uint8Array(0),
      }),
    );
  }
}
