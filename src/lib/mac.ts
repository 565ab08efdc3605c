/** MAC addresses (IEEE 802, EUI-48). */

/** A MAC address: its first two octets, and its last four as int32. */
export interface Mac {
  readonly hi: number;
  readonly lo: number;
}

/** "52:54:00:12:34:56" (or with dashes) -> Mac, or undefined. */
export function parseMac(text: string): Mac | undefined {
  if (!/^[0-9a-f]{2}([:-][0-9a-f]{2}){5}$/i.test(text)) return undefined;
  const hex = text.replace(/[:-]/g, "");
  return { hi: Number.parseInt(hex.slice(0, 4), 16), lo: Number.parseInt(hex.slice(4), 16) | 0 };
}

/** In lower case with colons. */
export function formatMac(mac: Mac): string {
  const hex = (mac.hi & 0xffff).toString(16).padStart(4, "0") + (mac.lo >>> 0).toString(16).padStart(8, "0");
  return (hex.match(/../g) as string[]).join(":");
}
