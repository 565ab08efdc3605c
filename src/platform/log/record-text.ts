/** A record of the log as text on one line, whatever came from outside. */
import type { LogFields } from "../../lib/log.ts";

/** "tunnel.up address=10.8.0.2 cipher=AES-256-GCM the tunnel is up" */
export function recordText(event: string, message: string, fields: LogFields): string {
  const words = [escapeControls(event)];
  for (const [name, value] of Object.entries(fields)) {
    if (value !== undefined) words.push(`${escapeControls(name)}=${textValue(value)}`);
  }
  if (message !== "") words.push(escapeControls(message));
  return words.join(" ");
}

/** A value that could be taken for something else is quoted, with the quotes and backslashes in it escaped. */
function textValue(value: string | number | boolean): string {
  const text = String(value);
  if (text !== "" && !/[\s"=\\]/.test(text)) return escapeControls(text);
  return `"${escapeControls(text.replace(/["\\]/g, "\\$&"))}"`;
}

/**
 * C0 and C1 controls, DEL, line and paragraph separators, bidirectional controls, the byte order mark, and halves of
 * surrogate pairs.
 */
export const UNSAFE =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  /[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

const NAMED: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/** With what is unsafe as \n, \xHH or \uHHHH. */
export function escapeControls(text: string): string {
  return text.replace(UNSAFE, (c) => {
    const code = c.charCodeAt(0);
    return (
      NAMED[c] ?? (code < 256 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`)
    );
  });
}
