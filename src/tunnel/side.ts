/** The plain side of a tunnel: the appliance's router, or a tun device of the kernel. */
import type { Batch } from "../lib/batch.ts";
import type { Cidr } from "../lib/cidr.ts";
import type { Tunnel } from "../protocol/push/tunnel-options.ts";

/** A tunnel that is open: what it is, and the way in. */
export interface OpenTunnel {
  readonly options: Tunnel;
  readonly mtu: number;
  /** The largest TCP payload that mssfix allows; 0: only the MTU limits it. */
  readonly mssClamp: number;
  /** Seals the rows in place (IP packets with HEADROOM in front, no larger than the MTU) and sends them. */
  send(now: number, rows: Batch): void;
}

export interface TunnelSide {
  /** The networks that are on this side, of both families, which win over the tunnel's routes. */
  readonly lan: readonly Cidr[];
  /** It is a host with networks of its own, to which there is a way around the tunnel. */
  readonly isHost?: boolean;
  /** A tunnel is open. It takes the place of the one before, which may be open still. @returns why it cannot be used, in words */
  up(now: number, tunnel: OpenTunnel): string | undefined;
  /** There is no tunnel any more. */
  down(now: number): void;
  /** Packets out of the tunnel: rows that are the side's until it returns, to be changed in place. */
  deliver(now: number, rows: Batch): void;
}
