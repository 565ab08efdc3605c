/** The first byte of every OpenVPN packet: opcode in the upper five bits, key id in the lower three. */

export const SOFT_RESET_V1 = 3;
export const CONTROL_V1 = 4;
export const ACK_V1 = 5;
export const DATA_V1 = 6;
export const HARD_RESET_CLIENT_V2 = 7;
export const HARD_RESET_SERVER_V2 = 8;
export const DATA_V2 = 9;
/** As HARD_RESET_CLIENT_V2, of a client with a tls-crypt-v2 key, whose wrapped form stands at the end of the packet. */
export const HARD_RESET_CLIENT_V3 = 10;
/** As CONTROL_V1, with the wrapped tls-crypt-v2 key at its end. */
export const CONTROL_WKC_V1 = 11;

/** Key ids are 0 for the first key of a session and cycle through 1..7 after it. */
export const KEY_ID_MASK = 7;

export const opcodeOf = (first: number): number => first >> 3;
export const keyIdOf = (first: number): number => first & KEY_ID_MASK;
export const firstByte = (opcode: number, keyId: number): number => (opcode << 3) | keyId;
export const nextKeyId = (keyId: number): number => (keyId === KEY_ID_MASK ? 1 : keyId + 1);
