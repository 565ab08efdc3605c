/**
 * What one client is pushed, in OpenVPN's order (push.c, prepare_push_reply; multi.c, multi_client_connect_source_ccd): what everybody
 * gets, what its file adds, then its addresses. What the data channel needs comes behind (push/compose.ts).
 */
import { Cidr, maskPrefix, parseCidr, prefixMask } from "../../lib/cidr.ts";
import { formatIpv4, type IpAddress, parseIpv4 } from "../../lib/ip.ts";
import { printable } from "../config/lexer.ts";
import type { ClientFile, PushEdit, ServerNetworkConfig } from "../config/server-types.ts";

/** The addresses that a client has, however it came by them. */
export interface ClientAddresses {
  readonly address: IpAddress | undefined;
  /** The second word of ifconfig. */
  readonly second: string | undefined;
  readonly address6: Cidr | undefined;
  readonly gateway6: IpAddress | undefined;
}

/**
 * push-reset takes away what everybody gets. OpenVPN takes these too, without which a client cannot use the tunnel or is given up as
 * silent, and its man page says to write them again: here they stay.
 */
const NEEDED = new Set(["topology", "route-gateway", "tun-ipv6", "ping", "ping-restart", "ping-exit"]);
/** push-remove of these means what a client gets of the pool, and the whole word. */
const IFCONFIG = "ifconfig";
const IFCONFIG_IPV6 = "ifconfig-ipv6";

/** The second word of a client's ifconfig, where no file names it. @param serverEnd of net30 */
export function secondOf({ topology, address }: ServerNetworkConfig, serverEnd: IpAddress | undefined): string {
  if (topology === "net30" && serverEnd !== undefined) return serverEnd.toString();
  if (topology === "subnet") return formatIpv4(prefixMask(address?.prefix ?? 32));
  return address?.address.toString() ?? "";
}

/**
 * @param common what everybody is pushed @param iroutes a network behind the client is not pushed to it as a route
 * @returns the options, and what could not be pushed
 */
export function clientOptions(
  common: readonly string[],
  file: ClientFile | undefined,
  addresses: ClientAddresses,
  iroutes: readonly Cidr[],
): { readonly options: readonly string[]; readonly warnings: readonly string[] } {
  const warnings: string[] = [];
  const edits = file?.push ?? [];
  const pushed = edited(common, edits).filter((option) => {
    // A comma ends an option where it is read.
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    const isClean = !/[,\u0000-\u001f\u007f]/.test(option);
    if (!isClean) warnings.push(`push: "${printable(option)}" holds a comma or a control character, and is not pushed`);
    return isClean && !isBehind(option, iroutes);
  });
  return { options: [...pushed, ...ownAddresses(addresses, edits)], warnings };
}

/** The lines of a client's file one after the other: each changes what is there by then, also what earlier ones have added. */
function edited(common: readonly string[], edits: readonly PushEdit[]): readonly string[] {
  let options = common.map((option) => ({ option, isCommon: true }));
  for (const edit of edits) {
    if (edit.kind === "add") options.push({ option: edit.option, isCommon: false });
    else if (edit.kind === "remove") options = options.filter(({ option }) => !isRemoved(option, edit.start));
    else options = options.filter(({ option, isCommon }) => isCommon && NEEDED.has(option.split(" ")[0]!));
  }
  return options.map(({ option }) => option);
}

const isRemoved = (option: string, start: string): boolean =>
  start !== IFCONFIG && start !== IFCONFIG_IPV6 && option.startsWith(start);

/** Those that are not removed, wherever that stands. */
function ownAddresses(addresses: ClientAddresses, edits: readonly PushEdit[]): string[] {
  const { address, second, address6, gateway6 } = addresses;
  const options: string[] = [];
  const removed = edits.flatMap((edit) => (edit.kind === "remove" ? [edit.start] : []));
  if (address6 !== undefined && !removed.includes(IFCONFIG_IPV6)) {
    const gateway = gateway6 === undefined ? "" : ` ${gateway6}`;
    options.push(`ifconfig-ipv6 ${address6}${gateway}`);
  }
  if (address !== undefined && !removed.includes(IFCONFIG)) options.push(`ifconfig ${address} ${second}`);
  return options;
}

/** OpenVPN's remove_iroutes_from_push_route_list: a route to what is behind the client itself, and nothing else in it. */
function isBehind(option: string, iroutes: readonly Cidr[]): boolean {
  const words = option.trim().split(/\s+/);
  const network = words.length > (words[0] === "route" ? 3 : 2) ? undefined : routeOf(words);
  return network !== undefined && iroutes.some((iroute) => iroute.equals(network));
}

function routeOf([directive, target = "", mask = "255.255.255.255"]: readonly string[]): Cidr | undefined {
  if (directive === "route-ipv6") return parseCidr(target);
  if (directive !== "route") return undefined;
  const [address, bits] = [parseIpv4(target), parseIpv4(mask)];
  const prefix = bits === undefined ? undefined : maskPrefix(bits.w3);
  return address === undefined || prefix === undefined ? undefined : new Cidr(address, prefix);
}
