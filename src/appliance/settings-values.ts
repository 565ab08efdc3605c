/** Values of appliance.toml that more than one of its keys takes: text becomes the value, or a {@link Bad} with what is wrong. */
import { type IpAddress, parseIpv4 } from "../lib/ip.ts";
import { type Mac, parseMac } from "../lib/mac.ts";

/** What is wrong with one value. */
export class Bad extends Error {}

/** Text of the file as it may stand in a message. */
export const shown = (text: string): string => JSON.stringify(text.slice(0, 60)).slice(1, -1);

export const listed = (names: Iterable<string>): string => [...names].join(", ");

export function unicastMac(text: string): Mac {
  const mac = parseMac(text);
  if (mac === undefined) throw new Bad(`"${shown(text)}" is no MAC address such as 52:54:00:12:34:56`);
  if ((mac.hi & 0x100) !== 0 || (mac.hi === 0 && mac.lo === 0)) throw new Bad("is no MAC address of a NIC");
  return mac;
}

export function unicast(text: string): IpAddress {
  const value = parseIpv4(text);
  if (value === undefined || !value.isHost) throw new Bad(`"${shown(text)}" is no IPv4 address of a host`);
  return value;
}
