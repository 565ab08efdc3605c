/**
 * What the payload of a server's reset says before there is TLS: type (2), length (2), value, any number of times. One type
 * is known, flags (2 bytes), and one flag of it: the server keeps nothing of the client's first packet, and wants the wrapped
 * tls-crypt-v2 key again with the next one. A client shows by its first replay id that it reads this. Source: OpenVPN's
 * ssl_pkt.h (EARLY_NEG_*, TLV_TYPE_*).
 */

/** Replay ids of a client that reads this begin behind it: the first is 0x0f000001. */
export const EARLY_NEGOTIATION_ID = 0x0f000000;
const EARLY_NEGOTIATION_MASK = 0xff000000;
const TYPE_FLAGS = 1;
const FLAG_RESEND_WKC = 1;

export interface EarlyNegotiation {
  readonly resendWrappedKey: boolean;
}

/** Whether the replay id of a client's first packet says that it reads the payload of a reset. */
export const readsEarlyNegotiation = (replayId: number): boolean =>
  (replayId & EARLY_NEGOTIATION_MASK) >>> 0 === EARLY_NEGOTIATION_ID;

/** @returns undefined: the payload breaks the format */
export function earlyNegotiationRead(payload: Uint8Array): EarlyNegotiation | undefined {
  const d = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  let resendWrappedKey = false;
  for (let at = 0; at < payload.length; ) {
    if (at + 4 > payload.length) return undefined;
    const [type, length] = [d.getUint16(at), d.getUint16(at + 2)];
    at += 4;
    if (at + length > payload.length) return undefined;
    if (type === TYPE_FLAGS) {
      if (length !== 2) return undefined;
      resendWrappedKey ||= (d.getUint16(at) & FLAG_RESEND_WKC) !== 0;
    }
    at += length;
  }
  return { resendWrappedKey };
}

/** The payload of a reset that asks for the wrapped key again. */
export const RESEND_WRAPPED_KEY: Uint8Array = Uint8Array.of(0, TYPE_FLAGS, 0, 2, 0, FLAG_RESEND_WKC);
