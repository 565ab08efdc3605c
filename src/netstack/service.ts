/**
 * The shape of the control plane's services over UDP (DHCP, DNS, ...): pure machines, which a host joins to an interface
 * (appliance/service-host.ts). Times are monotonic ms; after handle(), handleTimeout() and the service's own commands
 * there may be something in pollTransmit() and in its events, if it has any.
 */
import type { Endpoint } from "../lib/endpoint.ts";
import type { Mac } from "../lib/mac.ts";

export interface Datagram {
  /** Through which of the service's sockets. */
  readonly socket: number;
  /** Where it comes from, or goes to. */
  readonly peer: Endpoint;
  /** Of one to send: the MAC of its receiver, where the address is not to be asked for, as the host does not have it yet. */
  readonly mac?: Mac;
  /** The receiver's own. */
  readonly payload: Uint8Array;
}

export interface UdpService {
  /** The sockets that it needs now, by numbers of its own: the local port of each, 0 for a random one. */
  readonly sockets: ReadonlyMap<number, number>;
  /** A datagram that arrived. @returns why it was ignored, undefined when it was used */
  handle(now: number, datagram: Datagram): string | undefined;
  /** A datagram to send, or undefined. */
  pollTransmit(): Datagram | undefined;
  /** When handleTimeout is due next, Infinity when nothing is. */
  pollAt(): number;
  handleTimeout(now: number): void;
}
