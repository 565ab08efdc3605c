/** The plain side of a server: the appliance's router, or a tun device of the kernel. */
import type { Batch } from "../lib/batch.ts";
import type { Cidr } from "../lib/cidr.ts";

/** The tunnel as it is for the server itself. */
export interface ServedTunnel {
  /** Its own addresses in the tunnel, with the prefixes of the tunnel's subnets. */
  readonly address: Cidr | undefined;
  readonly address6: Cidr | undefined;
  readonly mtu: number;
  /** Networks that are behind clients (route): where none has them, nobody is there. */
  readonly routes: readonly Cidr[];
  readonly clientToClient: boolean;
}

/** The way to one client, and what is behind it. */
export interface ServedClient {
  /** Its packets come from these alone, and those to these are its own. */
  readonly networks: readonly Cidr[];
  /** The largest packet to it: the tunnel's MTU, or less where the way to it is narrow. With dev tap it does not count. */
  readonly mtu: number;
  /** The largest TCP payload that mssfix allows; 0: only the MTU limits it. */
  readonly mssClamp: number;
  /** Seals the rows in place (IP packets with HEADROOM in front, no larger than the tunnel's MTU) and sends them. */
  send(now: number, rows: Batch): void;
}

export interface ServerSide {
  /** @returns why it cannot be, in words: it overlaps the LAN */
  open(now: number, tunnel: ServedTunnel): string | undefined;
  close(now: number): void;
  /** A client is in, or has become another under the same number. @param peer from 0 on, less than 65,536 */
  join(now: number, peer: number, client: ServedClient): void;
  leave(now: number, peer: number): void;
  /** Packets of clients; `rows.peer` says of which. They are the side's until it returns, to be changed in place. */
  deliver(now: number, rows: Batch): void;
}
