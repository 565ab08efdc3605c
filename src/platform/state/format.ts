/**
 * A file of what outlives a restart: a line with the format and a digest, then JSON. A file that was cut short, changed, or written by
 * another version is told from a good one before anything of it is believed.
 *
 *   morgana-state 1 SHA256-IN-HEX
 *   {"...":...}
 */
import { createHash } from "node:crypto";

const FORMAT = "morgana-state 1";

export function encodeState(data: unknown): Uint8Array {
  const body = new TextEncoder().encode(JSON.stringify(data));
  const head = new TextEncoder().encode(`${FORMAT} ${digest(body)}\n`);
  const file = new Uint8Array(head.length + body.length);
  file.set(head);
  file.set(body, head.length);
  return file;
}

/**
 * @returns what was encoded; a string: why that cannot be had, as the end of a sentence that begins with the file's name
 * @throws SyntaxError: whoever made the digest put no JSON behind it
 */
export function decodeState(file: Uint8Array): { readonly data: unknown } | string {
  const end = file.indexOf(0x0a);
  const head = end < 0 ? "" : String.fromCharCode(...file.subarray(0, Math.min(end, 200)));
  if (!head.startsWith("morgana-state ")) return "is no file of ours, or damaged";
  if (!head.startsWith(`${FORMAT} `)) return "was written by another version";
  const body = file.subarray(end + 1);
  if (head !== `${FORMAT} ${digest(body)}`) return "is damaged";
  return { data: JSON.parse(new TextDecoder().decode(body)) as unknown };
}

const digest = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
