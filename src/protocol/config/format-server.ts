/**
 * What only a server has, as lines: `server` and `server-ipv6` become what they stand for, and each option that follows from
 * them, or from keepalive, becomes a `push`.
 */

import type { Cidr } from "../../lib/cidr.ts";
import { prefixMask } from "../../lib/cidr.ts";
import { formatIpv4, IpAddress } from "../../lib/ip.ts";
import { commonPush } from "../push/common-push.ts";
import type { Output } from "./format-output.ts";
import { INLINE } from "./lexer.ts";
import { formatPemKey } from "./material.ts";
import { SERVER_KEY, TOKEN_KEY } from "./resolve-server-entry.ts";
import type { EntryConfig, ListenConfig, ServerLimits, ServerNetworkConfig } from "./server-types.ts";
import type { ServerConfig } from "./types.ts";

export function writeServer(out: Output, config: ServerConfig): void {
  writeListen(out, config.listen, config.link.localPort);
  writeNetwork(out, config.network);
  for (const option of commonPush(config)) out.line("push", option);
  out.flag("client-to-client", config.clientToClient);
  writeEntry(out, config.entry);
  writeLimits(out, config.limits);
  // OpenVPN up to 2.6 asks for it.
  out.line("dh", "none");
  const { wrappedKeys } = config;
  if (wrappedKeys === undefined) return;
  // Of OpenVPN 2.7; marked as optional it is passed over by 2.6.
  if (wrappedKeys.maxAgeDays !== undefined) out.line("setenv", "opt", "tls-crypt-v2-max-age", wrappedKeys.maxAgeDays);
  if (wrappedKeys.forceCookie) out.line("tls-crypt-v2", INLINE, "force-cookie");
  out.block("tls-crypt-v2", formatPemKey(SERVER_KEY, wrappedKeys.serverKey));
}

/** One place is what every OpenVPN understands; several are written as 2.7 has them. */
export function writeListen(out: Output, listen: readonly ListenConfig[], port: number | undefined): void {
  if (listen.some(({ address, family }) => address === undefined && family === "ipv6")) out.line("bind", "ipv6only");
  const [only] = listen;
  if (only !== undefined && listen.length === 1 && only.port === port) {
    out.value("local", only.address?.toString());
    out.line("proto", listenProtocol(only));
    return;
  }
  for (const place of listen) out.line("local", place.address?.toString() ?? "*", place.port, listenProtocol(place));
}

export function listenProtocol({ protocol, family }: ListenConfig): string {
  const digit = { any: "", ipv4: "4", ipv6: "6" }[family];
  return protocol === "udp" ? `udp${digit}` : `tcp${digit}-server`;
}

function writeNetwork(out: Output, network: ServerNetworkConfig): void {
  const { topology, address, pool, address6, pool6, persist, routes } = network;
  out.line("topology", topology);
  if (address) {
    const mask = netmask(address);
    const isOurs = !address.address.equals(address.network.address);
    if (isOurs)
      out.line("ifconfig", `${address.address}`, topology === "subnet" ? mask : `${neighbour(address.address)}`);
    // It says how far the network goes.
    if (topology !== "subnet") out.line("route", `${address.network.address}`, mask);
    if (pool) out.line("ifconfig-pool", `${pool.first}`, `${pool.last}`, ...(topology === "subnet" ? [mask] : []));
  }
  if (address6) out.line("ifconfig-ipv6", `${address6}`, `${neighbour(address6.address)}`);
  if (pool6) out.line("ifconfig-ipv6-pool", `${pool6}`);
  if (persist) out.line("ifconfig-pool-persist", persist.file, persist.seconds);
  for (const route of routes) {
    if (route.isIpv4) out.line("route", `${route.address}`, netmask(route));
    else out.line("route-ipv6", `${route}`);
  }
}

const netmask = ({ prefix }: Cidr): string => formatIpv4(prefixMask(prefix));

/** What stands for the other end, of which there are many. */
const neighbour = ({ w0, w1, w2, w3 }: IpAddress): IpAddress => new IpAddress(w0, w1, w2, w3 ^ 3);

function writeEntry(out: Output, entry: EntryConfig): void {
  out.line("verify-client-cert", entry.clientCert);
  out.flag("username-as-common-name", entry.usernameAsCommonName);
  out.flag("auth-user-pass-optional", entry.passwordOptional);
  const { token, clientFolder } = entry;
  if (token) {
    out.line("auth-gen-token", token.lifetime, token.renewal);
    if (token.secret) out.block("auth-gen-token-secret", formatPemKey(TOKEN_KEY, token.secret));
  }
  out.flag("duplicate-cn", entry.duplicateNames);
  out.value("client-config-dir", clientFolder?.name);
  out.flag("ccd-exclusive", entry.clientFileNeeded);
}

function writeLimits(out: Output, limits: ServerLimits): void {
  const { connectFreq, connectFreqInitial } = limits;
  out.line("max-clients", limits.maxClients);
  if (connectFreq) out.line("connect-freq", connectFreq.count, connectFreq.seconds);
  out.line("connect-freq-initial", connectFreqInitial.count, connectFreqInitial.seconds);
  out.line("max-routes-per-client", limits.maxRoutesPerClient);
}
