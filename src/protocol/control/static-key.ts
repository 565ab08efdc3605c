/**
 * The parts of a static key (256 bytes: cipher 0, HMAC 0, cipher 1, HMAC 1, 64 bytes each, of which the first ones are
 * used) and of a data-channel key block, which is laid out alike. Source: OpenVPN's crypto.c (read_key_file).
 */
export const STATIC_KEY_LEN = 256;
const PART = 64;

export const cipherPart = (block: Uint8Array, key: 0 | 1, length: number): Uint8Array =>
  block.subarray(2 * PART * key, 2 * PART * key + length);

export const hmacPart = (block: Uint8Array, key: 0 | 1, length: number): Uint8Array =>
  block.subarray(2 * PART * key + PART, 2 * PART * key + PART + length);
