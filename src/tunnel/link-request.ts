/** From a way to a peer, as the profile and the resolver have it, to what is asked of the links; and which ways are none. */
import type { Random } from "../lib/random.ts";
import type { LinkFactory, LinkRequest } from "./link.ts";
import { proxyDialogue } from "./proxy/proxy.ts";
import type { Way } from "./remote-finder.ts";
import { longestPacket } from "./session-maker.ts";

/** Why nothing is sent to the address of a way, in words; undefined: it is no other than a host's that can be sent to. */
export function wayRefusal({ config, address }: Way, links: LinkFactory): string | undefined {
  const isPlace = address.isHost || (address.isLoopback && links.hasLoopback === true);
  const refusal = isPlace ? links.refusal(address) : "no address of a host";
  if (refusal === undefined) return undefined;
  return `the ${config.proxy ? "proxy" : "remote"} ${address} is ${refusal}; nothing is sent there`;
}

/** @param random for what is said to a proxy */
export function linkRequest({ remote, config, server, address }: Way, random: Random): LinkRequest {
  const { protocol, port } = remote;
  const { proxy, link } = config;
  return {
    ...{ protocol, remote: { address, port: proxy?.port ?? port } },
    ...{ float: link.float, longest: longestPacket(config) },
    localPort: protocol === "tcp" || proxy !== undefined ? link.streamPort : link.localPort,
    proxy: proxy && {
      dialogue: proxyDialogue(proxy, remote, address, random),
      server: { address: server ?? address, port },
    },
  };
}
