/** What was seen on the way to a server that does not answer, most of it dropped: what it tells a person. */
import { type Endpoint, formatEndpoint } from "../../lib/endpoint.ts";
import type { ControlWrap } from "../config/types.ts";

export interface Sightings {
  /** What has the looks of the server's answer to us came from there, which is not where the server is. */
  readonly stranger: Endpoint | undefined;
  /** Datagrams to our port from elsewhere, whatever they were: anybody on the internet sends such. */
  readonly others: number;
  /** What the network says of packets to the server (ICMP, RFC 1812 5.2.7.1). Anybody can forge it: a hint. */
  readonly unreachable: "network" | "host" | "port" | "prohibited" | undefined;
  /** Datagrams with a wrong checksum. */
  readonly damaged: number;
  /** Datagrams for ports that nobody here has. */
  readonly otherPort: number;
  /** Packets came that the key of tls-auth or tls-crypt does not fit. */
  readonly otherKey: boolean;
}

export const NOTHING_SEEN: Sightings = {
  stranger: undefined,
  others: 0,
  unreachable: undefined,
  damaged: 0,
  otherPort: 0,
  otherKey: false,
};

const UNREACHABLE: Readonly<Record<NonNullable<Sightings["unreachable"]>, string>> = {
  network:
    "a router on the way reports that it knows no way to that network; check the remote, and what connects the WAN to the internet",
  host: "a router on the way reports that it cannot reach that host: it is switched off, or the remote is wrong",
  port: "that host reports that nothing listens on that port: the server does not run, or has another port",
  prohibited: "a firewall on the way reports that it lets nothing through to it",
};

/** What explains the silence; undefined: nothing that was seen does. */
export function explainSighting(seen: Sightings, wrap: ControlWrap): string | undefined {
  if (seen.otherKey && wrap.kind !== "none")
    return `what comes does not fit the ${wrap.kind} key (${wrap.material.label}): take the key that this server has`;
  if (seen.stranger !== undefined) {
    const { address } = seen.stranger;
    return (
      `an answer comes from ${formatEndpoint(seen.stranger)} instead: if that is another address of the server, add float to ` +
      `the profile, or name ${address} as remote`
    );
  }
  return seen.unreachable && UNREACHABLE[seen.unreachable];
}

/** What may have to do with it; empty: nothing. */
export function aside({ others, damaged, otherPort }: Sightings): string {
  const said: string[] = [];
  if (others > 0) said.push(`; ${others} datagrams came from others than the server, and were no answer of it`);
  if (damaged > 0) said.push(`; ${damaged} datagrams came damaged (wrong checksum)`);
  if (otherPort > 0) said.push(`; ${otherPort} datagrams came for ports that nobody here has`);
  return said.join("");
}
