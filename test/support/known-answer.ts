/** What the known answers of OpenVPN's test_ssl.c (crypto_test_aead) are made of. */

/** The key block. */
export const BLOCK = Uint8Array.from(
  { length: 256 },
  (_, i) => "abcdefgh01234567ABCDEFGHjkuchenl".charCodeAt(i % 32) ^ i,
);
export const TEXT = Uint8Array.from("The quick little fox jumps over the bureaucratic hurdles", (c) => c.charCodeAt(0));
