/** Forms as browsers send them: application/x-www-form-urlencoded (WHATWG URL 5). */

/** @returns the values by their names, of a name that stands twice the first; undefined: it is no such text */
export function parseForm(content: Uint8Array): ReadonlyMap<string, string> | undefined {
  const values = new Map<string, string>();
  let text = "";
  for (const byte of content) text += String.fromCharCode(byte);
  for (const pair of text.split("&")) {
    if (pair === "") continue;
    const equals = pair.indexOf("=");
    const name = decoded(equals < 0 ? pair : pair.slice(0, equals));
    const value = decoded(equals < 0 ? "" : pair.slice(equals + 1));
    if (name === undefined || value === undefined) return undefined;
    if (!values.has(name)) values.set(name, value);
  }
  return values;
}

function decoded(text: string): string | undefined {
  if (/[^\x20-\x7e]/.test(text)) return undefined;
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch {
    // A percent sign without its digits, or bytes that are no UTF-8.
    return undefined;
  }
}
