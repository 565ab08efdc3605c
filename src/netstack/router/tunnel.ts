/** The tunnel as the router is told of it. */
import type { Cidr } from "../../lib/cidr.ts";

/** A network behind the tunnel. */
export interface RouterTunnelRoute {
  readonly network: Cidr;
  readonly metric: number;
}

/** What a tunnel has whose other end is not one, but many. */
export interface ServedPeers {
  /** Networks that are behind peers: where none of them has joined with it, nobody is there. The tunnel's own are among them. */
  readonly networks: readonly Cidr[];
  /** Peers reach each other. */
  readonly peerToPeer: boolean;
}

export interface RouterTunnel {
  /** Our own IPv4 address, with the prefix of the tunnel's subnet; 32 where there is only a peer. Undefined: the tunnel has none. */
  readonly address: Cidr | undefined;
  /** Our own IPv6 address, with the prefix of the tunnel's subnet; undefined: no IPv6 goes through the tunnel. */
  readonly address6?: Cidr | undefined;
  /** Largest IP packet into the tunnel, at least 68, and 1280 with IPv6. */
  readonly mtu: number;
  /** Largest TCP payload by configuration (mssfix), 0: what follows from the MTU. */
  readonly mssClamp: number;
  /** What is behind the one peer of a client. */
  readonly routes: readonly RouterTunnelRoute[];
  /** A server's tunnel, whose peers join; undefined: there is one peer, 0, which sends from any address that is not of another side. */
  readonly served?: ServedPeers | undefined;
}

/** A peer of the tunnel. */
export interface RouterPeer {
  /** Its packets come from these alone, and those to these are its own. */
  readonly networks: readonly Cidr[];
  /** Largest packet to it; undefined: the tunnel's MTU. */
  readonly mtu?: number | undefined;
  /** Largest TCP payload by configuration (mssfix), 0: what follows from the tunnel's MTU. */
  readonly mssClamp: number;
}

/** A network that a peer does not get, or not as long as another one has it. */
export interface RefusedNetwork {
  readonly network: Cidr;
  /** Who has it: the LAN, or another peer. */
  readonly of: "lan" | number;
}
