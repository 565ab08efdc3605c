/** What a tunnel becomes of what the server pushes: its options, and how large packets may be on this link. */
import { brief } from "../lib/brief.ts";
import type { Cidr } from "../lib/cidr.ts";
import { formatEndpoint } from "../lib/endpoint.ts";
import type { LogFields } from "../lib/log.ts";
import { FRAME_HEADER_LEN, tunnelMss } from "../protocol/data/mtu.ts";
import type { TunnelDns } from "../protocol/push/dns-options.ts";
import { type Note, parseTunnelOptions, withoutIpv6 } from "../protocol/push/tunnel-options.ts";
import type { Attempt } from "./attempt.ts";
import type { OpenTunnel, TunnelSide } from "./side.ts";

/** RFC 8200 5. */
export const IPV6_LEAST_MTU = 1280;
/** The usual port of a resolver, which goes without saying. */
const DNS_PORT = 53;

export interface TunnelPlan {
  readonly opened: Omit<OpenTunnel, "send">;
  /** What a person should know of the options. */
  readonly notes: readonly Note[];
}

/**
 * @param options as the server pushed them @param lan the networks of this side
 * @returns why there can be no tunnel, in words
 */
export function planTunnel(
  attempt: Attempt,
  options: readonly string[],
  { lan, isHost }: Pick<TunnelSide, "lan" | "isHost">,
): TunnelPlan | string {
  const { tunnel: own, deviceType } = attempt.way.config;
  const { link, session } = attempt;
  const isEthernet = deviceType === "tap";
  const isBridged = isEthernet && isHost !== true;
  const context = { serverAddress: link.endpoint(attempt.path).address, lan, isHost, isEthernet, isBridged };
  const result = parseTunnelOptions(options, own.localOptions, context);
  if (!result.ok) return result.problem;
  const notes = [...result.tunnel.notes];
  const warn = (text: string): void => void notes.push({ level: "warn", text });
  const wanted = result.tunnel.mtu ?? own.mtu;
  const allowed = Math.min(wanted, own.mtuMax);
  // Never so little that IPv6 would end: then packets go in pieces, and so do frames, as nobody could tell their senders.
  const payloadMax = (size: number): number => session.payloadMax(size) - FRAME_HEADER_LEN[deviceType];
  const fits =
    attempt.pathMtu.isNarrow && !isEthernet
      ? Math.max(payloadMax(attempt.mtu - link.overhead), IPV6_LEAST_MTU)
      : allowed;
  const mtu = Math.min(allowed, fits);
  if (allowed < wanted)
    warn(`the server pushes tun-mtu ${wanted}; ${allowed} is the most that tun-mtu-max allows, and what is used`);
  const { tunnel } = mtu >= IPV6_LEAST_MTU ? result : { tunnel: withoutIpv6(result.tunnel) };
  if (tunnel !== result.tunnel && !isEthernet)
    warn(`packets of IPv6 need an MTU of ${IPV6_LEAST_MTU}, and the tunnel's is ${mtu}: none go through it`);
  const mssClamp = tunnelMss(own.mssFix, mtu, payloadMax, link.overhead, attempt.mtu);
  return { opened: { options: tunnel, mtu, mssClamp }, notes };
}

/** What the log says of a tunnel. */
export function tunnelFields({ options, mtu }: Omit<OpenTunnel, "send">, lan: readonly Cidr[]): LogFields {
  return {
    address: (options.peer === undefined ? options.address : options.address?.address)?.toString(),
    address6: options.address6?.toString(),
    peer: (options.gateway ?? options.peer)?.toString(),
    mtu,
    routes: options.routes.length,
    dns: dnsText(options.dns, lan),
  };
}

/** The resolvers that the tunnel brought, undefined when there are none. What is of this side the tunnel does not lead to. */
function dnsText({ servers }: TunnelDns, lan: readonly Cidr[]): string | undefined {
  const all = servers.flatMap(({ addresses }) => addresses);
  const beyond = all.filter(({ address }) => !lan.some((own) => own.contains(address)));
  if (beyond.length === 0) return undefined;
  return brief(beyond.map((a) => (a.port === DNS_PORT ? `${a.address}` : formatEndpoint(a))));
}
