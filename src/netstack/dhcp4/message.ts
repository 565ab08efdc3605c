/** What a DHCP client says (RFC 2131 4.4.1 table 5, RFC 2132). */
import type { Mac } from "../../lib/mac.ts";
import {
  BOOT_REQUEST,
  DHCP_DISCOVER,
  DHCP_FLAG_BROADCAST,
  DHCP_REQUEST,
  dhcpBuild,
  dhcpInt32,
  OPTION_CLASSLESS_ROUTES,
  OPTION_CLIENT_ID,
  OPTION_DNS,
  OPTION_HOSTNAME,
  OPTION_LEASE_TIME,
  OPTION_MAX_MESSAGE,
  OPTION_MESSAGE_TYPE,
  OPTION_MTU,
  OPTION_PARAMETER_LIST,
  OPTION_ROUTER,
  OPTION_SERVER_ID,
  OPTION_SUBNET_MASK,
  OPTION_T1,
  OPTION_T2,
} from "../wire/dhcpv4.ts";

/** Bytes of a message that we take: a frame of 1,500 without IPv4 and UDP header. */
const MAX_MESSAGE = 1472;
/** RFC 1035 2.3.4. */
const MAX_HOSTNAME = 63;

/** What is asked for: all that leaseFrom (lease.ts) uses, and nothing else. */
const PARAMETERS = Uint8Array.of(
  OPTION_SUBNET_MASK,
  OPTION_CLASSLESS_ROUTES, // before option 3 (RFC 3442)
  OPTION_ROUTER,
  OPTION_DNS,
  OPTION_MTU,
  OPTION_LEASE_TIME,
  OPTION_SERVER_ID,
  OPTION_T1,
  OPTION_T2,
);

export interface ClientMessage {
  readonly mac: Mac;
  /** Sent where it is printable ASCII. */
  readonly hostname: string | undefined;
  /** DHCP_DISCOVER, DHCP_REQUEST, ... */
  readonly type: number;
  readonly xid: number;
  readonly secs: number;
  /** Our address where we may use one, else 0 (int32). */
  readonly ciaddr: number;
}

/** @param more further options */
export function clientMessage(message: ClientMessage, more: readonly [number, Uint8Array][]): Uint8Array {
  const { mac, hostname, type, xid, ciaddr } = message;
  const hardware = Uint8Array.of(1, mac.hi >>> 8, mac.hi & 255, ...dhcpInt32(mac.lo));
  const options = new Map<number, Uint8Array>([
    [OPTION_MESSAGE_TYPE, Uint8Array.of(type)],
    [OPTION_CLIENT_ID, hardware],
    ...more,
  ]);
  const isQuestion = type === DHCP_DISCOVER || type === DHCP_REQUEST;
  if (isQuestion) {
    options.set(OPTION_MAX_MESSAGE, Uint8Array.of(MAX_MESSAGE >> 8, MAX_MESSAGE & 255));
    const name = hostname?.slice(0, MAX_HOSTNAME) ?? "";
    if (/^[\x21-\x7e]+$/.test(name))
      options.set(
        OPTION_HOSTNAME,
        Uint8Array.from(name, (c) => c.charCodeAt(0)),
      );
    options.set(OPTION_PARAMETER_LIST, PARAMETERS);
  }
  return dhcpBuild({
    op: BOOT_REQUEST,
    xid,
    secs: isQuestion ? message.secs : 0,
    // Without an address of our own only a broadcast reaches us for sure (RFC 2131 4.1).
    flags: isQuestion && ciaddr === 0 ? DHCP_FLAG_BROADCAST : 0,
    ciaddr,
    yiaddr: 0,
    siaddr: 0,
    giaddr: 0,
    chaddr: mac,
    options,
  });
}
