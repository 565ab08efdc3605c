/** Names that a user may have: what a line of users.txt can hold, and every client can send. */
import { encodeUtf8 } from "../config/utf8.ts";

/** A client of OpenVPN that was built without PKCS #11 cuts off what is longer (misc.h, USER_PASS_LEN). */
export const MAX_LOGIN_BYTES = 127;

/** @returns why nobody can be called so, as the end of a sentence that begins with "the name"; undefined: it is a good one */
export function userNameProblem(name: string): string | undefined {
  if (name === "") return "is empty";
  if (encodeUtf8(name).length > MAX_LOGIN_BYTES)
    return `is longer than ${MAX_LOGIN_BYTES} bytes, which some OpenVPN clients cut off`;
  if (!name.isWellFormed() || name.includes("\ufffd")) return "is not valid UTF-8";
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  if (/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/.test(name)) return "holds a control character";
  if (name.includes(":")) return "holds a colon, which ends the name in users.txt";
  if (name.startsWith("#")) return 'begins with "#", which begins a comment in users.txt';
  if (name.trim() !== name) return "begins or ends with a space";
  return undefined;
}
