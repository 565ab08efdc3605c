/** Networks that are behind a client (man openvpn, --iroute): which of them it may have, beside its own addresses. */
import type { Cidr } from "../../lib/cidr.ts";
import type { ClientFile } from "../config/server-types.ts";

/** What is there already. */
export interface Neighbourhood {
  readonly lan: readonly Cidr[];
  /** The tunnel's own networks. */
  readonly tunnel: readonly Cidr[];
  /** Who has exactly this network; undefined: nobody. */
  owner(network: Cidr): string | undefined;
}

/**
 * What lies within the LAN or the tunnel's own networks is left out: there the addresses are others'. A network that only contains
 * them is good, because the longer prefix wins; of two clients the one that was there first keeps a network.
 * @param most max-routes-per-client, of which `own` addresses are some
 */
export function clientNetworks(
  file: ClientFile | undefined,
  around: Neighbourhood,
  own: number,
  most: number,
): { readonly networks: readonly Cidr[]; readonly warnings: readonly string[] } {
  const networks: Cidr[] = [];
  const warnings: string[] = [];
  for (const written of file?.networks ?? []) {
    const network = written.network;
    const refuse = (why: string): unknown => warnings.push(`${file?.file}: iroute: ${network} ${why}`);
    const within = (others: readonly Cidr[]): Cidr | undefined =>
      others.find((other) => other.prefix <= network.prefix && other.contains(network.address));
    const [lan, tunnel] = [within(around.lan), within(around.tunnel)];
    const owner = around.owner(network);
    if (networks.some((other) => other.equals(network))) continue;
    if (lan !== undefined)
      refuse(`lies within the LAN (${lan.network}), which keeps it; one of the two needs other addresses`);
    else if (tunnel !== undefined)
      refuse(
        `lies within the tunnel's own network ${tunnel.network}; a client's address there is given by ifconfig-push`,
      );
    else if (owner !== undefined) refuse(`is behind "${owner}" already, which keeps it until it leaves`);
    else if (own + networks.length >= most)
      refuse(`is one more than max-routes-per-client (${most}) allows; raise it in the server's file`);
    else networks.push(network);
  }
  return { networks, warnings };
}
