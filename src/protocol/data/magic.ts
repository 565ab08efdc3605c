/**
 * Payloads of data packets that are no IP packets: the ping, and the messages of the options consistency check, of
 * which only the exit notice is still in use. An IP packet starts with 0x4. or 0x6., so none is taken for one.
 * Source: OpenVPN's ping.c and occ.c.
 */
const PING = Uint8Array.of(
  0x2a,
  0x18,
  0x7b,
  0xf3,
  0x64,
  0x1e,
  0xb4,
  0xcb,
  0x07,
  0xed,
  0x2d,
  0x0a,
  0x98,
  0x1f,
  0xc7,
  0x48,
);
const OCC = Uint8Array.of(
  0x28,
  0x7f,
  0x34,
  0x6b,
  0xd4,
  0xef,
  0x7a,
  0x81,
  0x2d,
  0x56,
  0xb8,
  0xd3,
  0xaf,
  0xc5,
  0x45,
  0x9c,
);
const OCC_EXIT = 6;

export const PING_LEN = PING.length;
export const EXIT_LEN = OCC.length + 1;

export const PAYLOAD_PACKET = 0;
export const PAYLOAD_PING = 1;
export const PAYLOAD_EXIT = 2;
export const PAYLOAD_OCC = 3;

/** What [at, at + len) is. */
export function payloadKind(bytes: Uint8Array, at: number, len: number): number {
  if (len < PING_LEN) return PAYLOAD_PACKET;
  const first = bytes[at];
  if (first === PING[0]) return len === PING_LEN && same(bytes, at, PING) ? PAYLOAD_PING : PAYLOAD_PACKET;
  if (first !== OCC[0] || !same(bytes, at, OCC)) return PAYLOAD_PACKET;
  return len >= EXIT_LEN && bytes[at + OCC.length] === OCC_EXIT ? PAYLOAD_EXIT : PAYLOAD_OCC;
}

export function pingEmit(bytes: Uint8Array, at: number): void {
  bytes.set(PING, at);
}

export function exitEmit(bytes: Uint8Array, at: number): void {
  bytes.set(OCC, at);
  bytes[at + OCC.length] = OCC_EXIT;
}

function same(bytes: Uint8Array, at: number, magic: Uint8Array): boolean {
  for (let i = 0; i < magic.length; i++) if (bytes[at + i] !== magic[i]) return false;
  return true;
}
