/** Several parts may use the TCP of one interface: what happens to a connection is told to its `user`. */
import type { Tcp } from "../../netstack/tcp/tcp.ts";

export interface TcpUser {
  /** The connection has events (Connection.takeEvents). */
  handleEvents(now: number): void;
}

/** Tells everybody. It is called by one part for each interface, at a time that suits all. */
export function tellTcpUsers(now: number, tcp: Tcp): void {
  // One that still waits in its listener is nobody's yet.
  for (let c = tcp.pollReady(); c !== undefined; c = tcp.pollReady())
    (c.user as TcpUser | undefined)?.handleEvents(now);
}
