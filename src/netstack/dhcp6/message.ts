/** What a DHCPv6 client says (RFC 8415 18.2, 21; RFC 7083, RFC 8415 21.24). */
import type { IpAddress } from "../../lib/ip.ts";
import {
  DHCP6_INFORMATION_REQUEST,
  DHCP6_REBIND,
  DHCP6_RENEW,
  DHCP6_REQUEST,
  DHCP6_SOLICIT,
  dhcp6Build,
  dhcp6IaNaOption,
  dhcp6Options,
  dhcp6Uint16,
  OPTION6_CLIENT_ID,
  OPTION6_DNS,
  OPTION6_DOMAINS,
  OPTION6_ELAPSED_TIME,
  OPTION6_INF_MAX_RT,
  OPTION6_RAPID_COMMIT,
  OPTION6_REFRESH_TIME,
  OPTION6_REQUEST,
  OPTION6_SERVER_ID,
  OPTION6_SOL_MAX_RT,
} from "../wire/dhcpv6.ts";

/** What is asked for: all that lease.ts and the client use, and nothing else. */
const WITH_ADDRESS = [OPTION6_DNS, OPTION6_DOMAINS, OPTION6_SOL_MAX_RT];
const WITHOUT_ADDRESS = [OPTION6_DNS, OPTION6_DOMAINS, OPTION6_REFRESH_TIME, OPTION6_INF_MAX_RT];
/** Messages that ask for options; CONFIRM, RELEASE and DECLINE do not. */
const QUESTIONS: ReadonlySet<number> = new Set([
  DHCP6_SOLICIT,
  DHCP6_REQUEST,
  DHCP6_RENEW,
  DHCP6_REBIND,
  DHCP6_INFORMATION_REQUEST,
]);

export interface ClientMessage6 {
  readonly type: number;
  readonly xid: number;
  readonly clientId: Uint8Array;
  /** The server that it is meant for. */
  readonly serverId: Uint8Array | undefined;
  /** Hundredths of a second since the first message of the exchange. */
  readonly elapsed: number;
  /** int32 */
  readonly iaid: number;
  /** The address in the IA_NA; undefined: none. */
  readonly address: IpAddress | undefined;
}

export function clientMessage6(message: ClientMessage6): Uint8Array {
  const { type, xid, clientId, serverId, elapsed, iaid, address } = message;
  const options: (readonly [number, Uint8Array])[] = [[OPTION6_CLIENT_ID, clientId]];
  if (serverId !== undefined) options.push([OPTION6_SERVER_ID, serverId]);
  options.push([OPTION6_ELAPSED_TIME, dhcp6Uint16(elapsed)]);
  const isInformation = type === DHCP6_INFORMATION_REQUEST;
  if (!isInformation) options.push(dhcp6IaNaOption(iaid, address));
  if (QUESTIONS.has(type)) {
    const wanted = isInformation ? WITHOUT_ADDRESS : WITH_ADDRESS;
    options.push([OPTION6_REQUEST, Uint8Array.from(wanted.flatMap((code) => [...dhcp6Uint16(code)]))]);
  }
  if (type === DHCP6_SOLICIT) options.push([OPTION6_RAPID_COMMIT, new Uint8Array()]);
  return dhcp6Build({ type, xid, options: dhcp6Options(options) });
}
