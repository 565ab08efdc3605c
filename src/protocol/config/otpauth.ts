/**
 * The third row of the file with user and password: what a server's challenge is answered with. A text as it stands, or
 * otpauth://totp/LABEL?secret=BASE32&algorithm=SHA1&digits=6&period=30, as authenticator apps take it out of a QR code.
 */
import type { ChallengeAnswer, Totp } from "./types.ts";

const BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const SCHEME = /^otpauth:\/\//i;
const TOTP = /^otpauth:\/\/totp\/[^?]*\?(.*)$/i;

/** @returns the problem, as the end of a sentence about the row */
export function parseAnswer(row: string): ChallengeAnswer | string {
  if (!SCHEME.test(row)) return { row, totp: undefined };
  const query = TOTP.exec(row)?.[1];
  if (query === undefined) return "is not of the form otpauth://totp/NAME?secret=...";
  const values = new Map(query.split("&").map((item) => [item.split("=")[0]!.toLowerCase(), item.split("=")[1] ?? ""]));
  const secret = decodeBase32(values.get("secret") ?? "");
  if (secret === undefined) return "has no secret in base32 (secret=...)";
  const algorithm = (values.get("algorithm") ?? "SHA1").toUpperCase();
  if (algorithm !== "SHA1" && algorithm !== "SHA256" && algorithm !== "SHA512")
    return "names an algorithm that is none of SHA1, SHA256, SHA512";
  const digits = number(values.get("digits"), 6, 6, 8);
  const period = number(values.get("period"), 30, 1, 3600);
  if (digits === undefined) return "asks for another number of digits than 6 to 8";
  if (period === undefined) return "has a period that is not between 1 and 3600 s";
  const totp: Totp = { secret, algorithm, digits, period };
  return { row, totp };
}

/** RFC 4648 6, without a regard to case, blanks, dashes and padding; undefined: it is none, or holds nothing. */
function decodeBase32(text: string): Uint8Array | undefined {
  const digits = text.replace(/%20|%3D|[\s=-]/gi, "").toUpperCase();
  if (!/^[A-Z2-7]{2,}$/.test(digits)) return undefined;
  const bytes = new Uint8Array((digits.length * 5) >> 3);
  let bits = 0;
  let held = 0;
  let at = 0;
  for (const digit of digits) {
    bits = ((bits << 5) | BASE32.indexOf(digit)) & 0xffff;
    held += 5;
    if (held < 8) continue;
    held -= 8;
    bytes[at++] = bits >> held;
  }
  return bytes;
}

function number(text: string | undefined, otherwise: number, low: number, high: number): number | undefined {
  if (text === undefined) return otherwise;
  const n = /^\d{1,4}$/.test(text) ? Number(text) : -1;
  return n >= low && n <= high ? n : undefined;
}
