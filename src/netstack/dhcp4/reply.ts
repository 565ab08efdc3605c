/** What a DHCP server says (RFC 2131 4.3.1 table 3, RFC 2132), and to whom (4.1). */
import { type Cidr, prefixMask } from "../../lib/cidr.ts";
import { IpAddress } from "../../lib/ip.ts";
import type { Datagram } from "../service.ts";
import {
  BOOT_REPLY,
  DHCP_CLIENT_PORT,
  DHCP_FLAG_BROADCAST,
  DHCP_NAK,
  type DhcpMessage,
  dhcpBuild,
  dhcpInt32,
  dhcpNumber,
  OPTION_BROADCAST,
  OPTION_CLIENT_ID,
  OPTION_DNS,
  OPTION_DOMAIN,
  OPTION_HOSTNAME,
  OPTION_LEASE_TIME,
  OPTION_MAX_MESSAGE,
  OPTION_MESSAGE,
  OPTION_MESSAGE_TYPE,
  OPTION_MTU,
  OPTION_PARAMETER_LIST,
  OPTION_ROUTER,
  OPTION_SERVER_ID,
  OPTION_SUBNET_MASK,
  OPTION_T1,
  OPTION_T2,
} from "../wire/dhcpv4.ts";

/** What clients are told beside their address. */
export interface LanFacts {
  /** Servers for names, int32; empty: nothing is said about names. */
  readonly dns: readonly number[];
  /** In which the hosts have their names. */
  readonly domain: string | undefined;
  /** Largest packet that gets where the gateway leads; undefined: as large as the link takes. */
  readonly mtu: number | undefined;
}

/** What a client is given; undefined where it only asks (INFORM) or is refused. */
export interface Grant {
  /** int32 */
  readonly address: number;
  readonly seconds: number;
  readonly name: string | undefined;
}

/** What every client must take: 576 bytes of a datagram, with its headers (RFC 2131 2). */
const MIN_DATAGRAM = 576;
const IP_UDP_HEADERS = 28;
/** Fixed fields, cookie and the end of the options. */
const FIXED = 241;
/** Less breaks IPv6 on the host's interface (RFC 8200 5). */
const MIN_MTU = 1280;
const BROADCAST = IpAddress.fromIpv4(-1);

/** The order for clients that ask for nothing by name. */
const ALL = Uint8Array.of(
  OPTION_SUBNET_MASK,
  OPTION_ROUTER,
  OPTION_DNS,
  OPTION_DOMAIN,
  OPTION_HOSTNAME,
  OPTION_MTU,
  OPTION_BROADCAST,
  OPTION_T1,
  OPTION_T2,
);

const ascii = (text: string): Uint8Array => Uint8Array.from(text, (c) => c.charCodeAt(0));

/**
 * The reply of `type` to `m`.
 * @param lan our address, which is the server's and the router's, and its subnet
 * @param socket through which it is sent
 */
export function serverReply(
  socket: number,
  lan: Cidr,
  facts: LanFacts,
  m: DhcpMessage,
  type: number,
  grant: Grant | undefined,
  text?: string,
): Datagram {
  const own = dhcpInt32(lan.address.w3);
  const options = new Map<number, Uint8Array>([
    [OPTION_MESSAGE_TYPE, Uint8Array.of(type)],
    [OPTION_SERVER_ID, own],
  ]);
  const clientId = m.options.get(OPTION_CLIENT_ID);
  if (clientId !== undefined) options.set(OPTION_CLIENT_ID, clientId); // RFC 6842 3
  if (grant !== undefined) options.set(OPTION_LEASE_TIME, dhcpInt32(grant.seconds));
  if (text !== undefined) options.set(OPTION_MESSAGE, ascii(text));
  if (type !== DHCP_NAK) addParameters(options, m, parameters(lan, facts, grant));
  const payload = dhcpBuild({
    op: BOOT_REPLY,
    xid: m.xid,
    secs: 0,
    flags: m.flags,
    ciaddr: type === DHCP_NAK ? 0 : m.ciaddr,
    yiaddr: grant?.address ?? 0,
    siaddr: 0,
    giaddr: 0,
    chaddr: m.chaddr,
    options,
  });
  return { socket, payload, ...destination(m, type, grant) };
}

/** RFC 2131 4.1: to the address that the client has, to everybody where it wants that or is refused, else to its MAC. */
function destination(m: DhcpMessage, type: number, grant: Grant | undefined): Pick<Datagram, "peer" | "mac"> {
  const isForAll = type === DHCP_NAK || (m.ciaddr === 0 && (m.flags & DHCP_FLAG_BROADCAST) !== 0);
  if (isForAll) return { peer: { address: BROADCAST, port: DHCP_CLIENT_PORT } };
  const address = IpAddress.fromIpv4(m.ciaddr || (grant?.address ?? 0));
  // A host that does not have the address yet answers no ARP; to others the MAC spares it.
  return { peer: { address, port: DHCP_CLIENT_PORT }, mac: m.chaddr };
}

function parameters(lan: Cidr, facts: LanFacts, grant: Grant | undefined): Map<number, Uint8Array> {
  const own = lan.address.w3;
  const mask = prefixMask(lan.prefix);
  const values = new Map<number, Uint8Array>([
    [OPTION_SUBNET_MASK, dhcpInt32(mask)],
    [OPTION_ROUTER, dhcpInt32(own)],
    [OPTION_BROADCAST, dhcpInt32(own | ~mask)],
  ]);
  if (facts.dns.length > 0) values.set(OPTION_DNS, Uint8Array.from(facts.dns.flatMap((a) => [...dhcpInt32(a)])));
  if (facts.domain !== undefined) values.set(OPTION_DOMAIN, ascii(facts.domain));
  if (facts.mtu !== undefined) {
    const mtu = Math.max(facts.mtu, MIN_MTU);
    values.set(OPTION_MTU, Uint8Array.of(mtu >> 8, mtu & 255));
  }
  if (grant !== undefined) {
    // What RFC 2131 4.4.5 has clients assume, said, because some assume something else.
    values.set(OPTION_T1, dhcpInt32(Math.floor(grant.seconds / 2)));
    values.set(OPTION_T2, dhcpInt32(Math.floor((grant.seconds * 7) / 8)));
    if (grant.name !== undefined) values.set(OPTION_HOSTNAME, ascii(grant.name));
  }
  return values;
}

/** In the order in which the client asks for them (RFC 2132 9.8), but the mask before the router (3.3), and as many as it takes. */
function addParameters(
  options: Map<number, Uint8Array>,
  m: DhcpMessage,
  values: ReadonlyMap<number, Uint8Array>,
): void {
  const most = Math.max(MIN_DATAGRAM, dhcpNumber(m, OPTION_MAX_MESSAGE, 2) ?? 0) - IP_UDP_HEADERS;
  let size = FIXED;
  for (const value of options.values()) size += sizeOf(value);
  for (const code of [OPTION_SUBNET_MASK, ...(m.options.get(OPTION_PARAMETER_LIST) ?? ALL)]) {
    const value = values.get(code);
    if (value === undefined || options.has(code) || size + sizeOf(value) > most) continue;
    options.set(code, value);
    size += sizeOf(value);
  }
}

const sizeOf = (value: Uint8Array): number => value.length + 2 * Math.max(1, Math.ceil(value.length / 255));
