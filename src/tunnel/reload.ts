/** What a running server cannot take of another configuration: it is bound to its ports, or to the tunnel that all clients are in. */
import type { ServerPart } from "../protocol/config/server-types.ts";
import type { Material, ServerConfig } from "../protocol/config/types.ts";
import { equalBytes } from "../protocol/equal.ts";
import type { Guest } from "../protocol/server/guest.ts";

type Config = ServerConfig & ServerPart;

/** What another configuration means for those who are in (Entrance.reload). */
export interface GuestChanges {
  /** Who may not stay. */
  readonly gone: readonly { readonly guest: Guest; readonly cause: string }[];
  /** Who has other networks or options now. */
  readonly changed: readonly { readonly guest: Guest; readonly now: Guest }[];
}

export const NO_CHANGES: GuestChanges = Object.freeze({ gone: [], changed: [] });

/** What certificates are checked by, which goes together: half of one configuration and half of another lets in whom neither would. */
const trustOf = ({ tls, verify, entry }: Config) => ({ tls, verify, clientCert: entry.clientCert });

/** Whether certificates that were good may be so no longer: another CA or list, other fingerprints, names or uses that are asked for. */
export function isOtherAuthority(before: Config, after: Config): boolean {
  const isSame = (a: Material | undefined, b: Material | undefined): boolean =>
    a === undefined || b === undefined ? a === b : equalBytes(a.bytes, b.bytes);
  const asked = ({ verify, entry }: Config): string => JSON.stringify([verify, entry.clientCert]);
  const [{ tls: old }, { tls: now }] = [before, after];
  return !isSame(old.ca, now.ca) || !isSame(old.crl, now.crl) || asked(before) !== asked(after);
}

/** The configuration with the certificates, keys, lists and checks of another one. */
export function withTrustOf(config: Config, other: Config): Config {
  const { tls, verify, clientCert } = trustOf(other);
  return { ...config, tls, verify, entry: { ...config.entry, clientCert } };
}

/**
 * What a server that runs by `before` goes by when it is given `after`: what is bound stays as it was.
 * @param room for so many clients there has been from the start on
 */
export function effective(before: Config, after: Config, room: number): Config {
  const { network, tunnel, listen, clientToClient } = before;
  return {
    ...after,
    ...{ listen, clientToClient, network },
    tunnel: { ...after.tunnel, mtu: tunnel.mtu, mtuMax: tunnel.mtuMax },
    limits: { ...after.limits, maxClients: Math.min(after.limits.maxClients, room) },
  };
}

/** What is bound, by the directives that say it. */
const BOUND: readonly (readonly [string, (config: Config) => unknown])[] = [
  [
    "port, proto and local",
    ({ listen }) => listen.map(({ address, port, protocol }) => [`${address}`, port, protocol]),
  ],
  [
    "server, ifconfig-pool, route and topology",
    ({ network: { topology, address, address6, pool6, pool, routes } }) =>
      [topology, address, address6, pool6, pool?.first, pool?.last, ...routes].map(String),
  ],
  ["ifconfig-pool-persist", ({ network }) => network.persist],
  ["tun-mtu", ({ tunnel }) => [tunnel.mtu, tunnel.mtuMax]],
  ["client-to-client", ({ clientToClient }) => clientToClient],
];

/** @returns sentences; none: it takes all of it @param room as of {@link effective} */
export function reloadProblems(before: Config, after: Config, room: number): string[] {
  const problems = BOUND.filter(([, of]) => JSON.stringify(of(before)) !== JSON.stringify(of(after))).map(
    ([directives]) => `${directives}: what has changed there counts from the next start on`,
  );
  const more = after.limits.maxClients > room;
  return more ? [...problems, "max-clients: there is room for no more until the next start"] : problems;
}
