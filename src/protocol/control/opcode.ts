/** The first byte of every OpenVPN packet: opcode in the upper five bits, key id in the lower three. */

export const SOFT_RESET_V1 = 3;
export const CONTROL_V1 = 4;
export const ACK_V1 = 5;
export const DATA_V1 = 6;
export const HARD_RESET_CLIENT_V2 = 7;
export const HARD_RESET_SERVER_V2 = 8;
export const DATA_V2 = 9;
/** With tls-crypt-v2: the wrapped client key follows the packet. */
const HARD_RESET_CLIENT_V3 = 10;
const CONTROL_WKC_V1 = 11;

/** Key ids are 0 for the first key of a session and cycle through 1..7 after it. */
export const KEY_ID_MASK = 7;

export const opcodeOf = (first: number): number => first >> 3;
export const keyIdOf = (first: number): number => first & KEY_ID_MASK;
export const firstByte = (opcode: number, keyId: number): number => (opcode << 3) | keyId;
export const nextKeyId = (keyId: number): number => (keyId === KEY_ID_MASK ? 1 : keyId + 1);

const NAMES: Readonly<Record<number, string>> = Object.freeze({
  [SOFT_RESET_V1]: "SOFT_RESET_V1",
  [CONTROL_V1]: "CONTROL_V1",
  [ACK_V1]: "ACK_V1",
  [DATA_V1]: "DATA_V1",
  [HARD_RESET_CLIENT_V2]: "HARD_RESET_CLIENT_V2",
  [HARD_RESET_SERVER_V2]: "HARD_RESET_SERVER_V2",
  [DATA_V2]: "DATA_V2",
  [HARD_RESET_CLIENT_V3]: "HARD_RESET_CLIENT_V3",
  [CONTROL_WKC_V1]: "CONTROL_WKC_V1",
});

export const opcodeName = (opcode: number): string => NAMES[opcode] ?? `opcode ${opcode}`;
