/** UTF-8 for file contents: the core has no TextDecoder. */

const PIECE = 4096;

/** Bytes to text. A malformed sequence becomes U+FFFD; never throws. */
export function decodeUtf8(bytes: Uint8Array): string {
  let text = "";
  // A piece at a time: joined one by one, each character would take the memory of an object until somebody reads the text.
  let piece: number[] = [];
  for (let i = 0; i < bytes.length; ) {
    const b = bytes[i]!;
    const length = b < 0x80 ? 1 : b >= 0xc2 && b < 0xe0 ? 2 : b >= 0xe0 && b < 0xf0 ? 3 : b >= 0xf0 && b < 0xf5 ? 4 : 0;
    let code = length === 1 ? b : length === 0 ? -1 : b & (0x7f >> length);
    for (let k = 1; k < length && code >= 0; k++) {
      const next = bytes[i + k];
      code = next === undefined || (next & 0xc0) !== 0x80 ? -1 : (code << 6) | (next & 0x3f);
    }
    const low = length === 3 ? 0x800 : length === 4 ? 0x10000 : 0;
    if (code < low || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) {
      piece.push(0xfffd);
      i++;
    } else {
      piece.push(code);
      i += length;
    }
    if (piece.length < PIECE) continue;
    text += String.fromCodePoint(...piece);
    piece = [];
  }
  return text + String.fromCodePoint(...piece);
}

/** Text to bytes; a lone surrogate becomes U+FFFD. */
export function encodeUtf8(text: string): Uint8Array {
  // A code unit is at most three bytes; of the two of a pair the four are less.
  const out = new Uint8Array(3 * text.length);
  let at = 0;
  const put = (byte: number): void => {
    out[at++] = byte;
  };
  for (const character of text) {
    let code = character.codePointAt(0)!;
    if (code >= 0xd800 && code < 0xe000) code = 0xfffd;
    if (code < 0x80) put(code);
    else {
      if (code < 0x800) put(0xc0 | (code >> 6));
      else {
        if (code < 0x10000) put(0xe0 | (code >> 12));
        else {
          put(0xf0 | (code >> 18));
          put(0x80 | ((code >> 12) & 63));
        }
        put(0x80 | ((code >> 6) & 63));
      }
      put(0x80 | (code & 63));
    }
  }
  return out.slice(0, at);
}
