/** Values of appliance.toml: text becomes the value, or a {@link Bad} with what is wrong. */
import type { AST } from "toml-eslint-parser";
import { type Cidr, parseCidr } from "../../lib/cidr.ts";
import { type IpAddress, parseIpv4 } from "../../lib/ip.ts";
import { LOG_LEVELS, type LogLevel } from "../../lib/log.ts";
import { type Mac, parseMac } from "../../lib/mac.ts";

/** What is wrong with one value. */
export class Bad extends Error {}

/** Text of the file as it may stand in a message. */
export const shown = (text: string): string => JSON.stringify(text.slice(0, 60)).slice(1, -1);

/** A key as it is written, with its dots. */
export const keyName = ({ keys }: AST.TOMLKey): string =>
  keys.map((part) => (part.type === "TOMLBare" ? part.name : part.value)).join(".");

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

export function hostName(text: string): string {
  if (!/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/i.test(text))
    throw new Bad(`"${shown(text)}" is no host name (letters, digits, dashes)`);
  return text;
}

export function hostCidr(text: string, maxPrefix: number): Cidr {
  const cidr = parseCidr(text);
  if (cidr === undefined || text.includes(":"))
    throw new Bad(`"${shown(text)}" is no address with prefix such as 192.168.50.1/24`);
  if (cidr.prefix < 8 || cidr.prefix > maxPrefix)
    throw new Bad(`the prefix /${cidr.prefix} is not between /8 and /${maxPrefix}`);
  if (!cidr.address.isHost) throw new Bad(`${cidr.address} is no address of a host`);
  if (cidr.isNetworkOrBroadcast(cidr.address)) {
    throw new Bad(`${cidr.address} is the network's or the broadcast address of /${cidr.prefix}`);
  }
  return cidr;
}

export function wanAddress(text: string): "dhcp" | Cidr {
  if (text === "dhcp") return text;
  if (!text.includes("/"))
    throw new Bad(`"${shown(text)}" is neither "dhcp" nor an address with prefix such as 203.0.113.5/24`);
  return hostCidr(text, 32);
}

export function fileName(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused
  if (text === "" || text.startsWith("/") || text.split("/").includes("..") || /[\u0000-\u001f]/.test(text)) {
    throw new Bad(`"${shown(text)}" is no file name relative to the configuration`);
  }
  return text;
}

export function logLevel(text: string): LogLevel {
  if (!(LOG_LEVELS as readonly string[]).includes(text))
    throw new Bad(`"${shown(text)}" is none of ${LOG_LEVELS.join(", ")}`);
  return text as LogLevel;
}

const LAN_ACCESS = ["routed", "translated", "closed"] as const;

export function lanAccess(text: string): (typeof LAN_ACCESS)[number] {
  const access = LAN_ACCESS.find((each) => each === text);
  if (access === undefined) throw new Bad(`"${shown(text)}" is none of ${LAN_ACCESS.join(", ")}`);
  return access;
}
