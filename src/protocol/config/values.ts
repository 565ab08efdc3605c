/** Syntax of addresses and names in profiles. */
import { parseIpv4 } from "../../lib/address.ts";

/** RFC 4291 2.2, without zone. */
export function isIpv6(text: string): boolean {
  if (!/^[0-9a-f:.]{2,45}$/i.test(text)) return false;
  const halves = text.split("::");
  if (halves.length > 2) return false;
  let groups = 0;
  for (const [h, half] of halves.entries()) {
    if (half === "") continue;
    const parts = half.split(":");
    for (const [i, part] of parts.entries()) {
      const isTail = h === halves.length - 1 && i === parts.length - 1;
      if (isTail && part.includes(".")) {
        if (parseIpv4(part) === undefined) return false;
        groups += 2;
      } else if (/^[0-9a-f]{1,4}$/i.test(part)) groups++;
      else return false;
    }
  }
  return halves.length === 2 ? groups <= 7 : groups === 8;
}

export function isIpv6Cidr(text: string): boolean {
  const [address, bits, more] = text.split("/");
  return more === undefined && bits !== undefined && /^\d{1,3}$/.test(bits) && Number(bits) <= 128 && isIpv6(address!);
}

/** RFC 1123 2.1, underscores allowed since they occur. A name of digits and dots alone would be a mistyped address. */
export const isHostName = (text: string): boolean =>
  text.length <= 253 &&
  /^([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*\.?$/i.test(text) &&
  !/^[\d.]+$/.test(text);
