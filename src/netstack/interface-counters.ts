/** What became of the packets that an interface received, by name. received = the sum of the others + the sum of its drops. */
import { Counters } from "../lib/counters.ts";

export const INTERFACE_COUNTERS = [
  "received",
  "receivedBytes",
  "arp",
  "echo",
  "icmpErrors",
  "udp",
  "tcpReset",
  "fragments",
  "answeredUnreachable",
  "forwarded",
  "tcp",
  "neighborDiscovery",
  "listeners",
] as const;
export type InterfaceCounter = (typeof INTERFACE_COUNTERS)[number];

export const RECEIVED = 0;
export const RECEIVED_BYTES = 1;
export const ARP = 2;
export const ECHO = 3;
export const ICMP_ERRORS = 4;
export const UDP = 5;
export const TCP_RESET = 6;
/** Kept until the rest of their packet comes. */
export const FRAGMENTS = 7;
export const ANSWERED_UNREACHABLE = 8;
/** Handed to the forwarder, which counts what becomes of them. */
export const FORWARDED = 9;
/** For a connection or a listener. */
export const TCP = 10;
/** Solicitations and advertisements of neighbours and routers. */
export const NEIGHBOR_DISCOVERY = 11;
/** Questions what groups we listen to. */
export const LISTENERS = 12;

export const interfaceCounters = (): Counters<InterfaceCounter> => new Counters(INTERFACE_COUNTERS);
