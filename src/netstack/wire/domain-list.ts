/**
 * Lists of domain names as options carry them: labels as in DNS (RFC 1035 3.1), never compressed, one name behind the other
 * (RFC 8106 5.2, RFC 8415 10). Control plane: parsed into strings.
 */

const MAX_LABEL = 63;
/** With the lengths and the root label (RFC 1035 2.3.4). */
const MAX_NAME = 255;

/**
 * Reads the names of an option in lower case, without the last dot; undefined when one is malformed.
 * @param padded zeros may follow the last name (RFC 8106 5.2)
 */
export function domainListParse(bytes: Uint8Array, padded: boolean): string[] | undefined {
  const names: string[] = [];
  for (let p = 0; p < bytes.length; ) {
    const start = p;
    const labels: string[] = [];
    for (let len = bytes[p++] as number; len !== 0; len = bytes[p++] as number) {
      if (len > MAX_LABEL || p + len >= bytes.length || p + len + 1 - start > MAX_NAME) return undefined;
      const label = String.fromCharCode(...bytes.subarray(p, p + len)).toLowerCase();
      if (!/^[a-z0-9_-]+$/.test(label)) return undefined;
      labels.push(label);
      p += len;
    }
    if (labels.length > 0) names.push(labels.join("."));
    else if (!padded || bytes.subarray(p).some((byte) => byte !== 0)) return undefined;
  }
  return names;
}

/** @param names of labels of 1 to 63 ASCII letters, digits, dashes; with or without the last dot */
export function domainListBuild(names: readonly string[]): Uint8Array {
  const out: number[] = [];
  for (const name of names) {
    for (const label of (name.endsWith(".") ? name.slice(0, -1) : name).split("."))
      out.push(label.length, ...Array.from(label, (c) => c.charCodeAt(0)));
    out.push(0);
  }
  return Uint8Array.from(out);
}
