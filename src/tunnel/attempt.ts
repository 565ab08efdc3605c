/** One attempt to reach a server: by which way, with which session, and what is known of it. */
import { formatEndpoint } from "../lib/endpoint.ts";
import type { IpAddress } from "../lib/ip.ts";
import type { DialConfig, Remote } from "../protocol/config/types.ts";
import { DROP_CONTROL_AUTHENTICATION } from "../protocol/drop.ts";
import type { DialSession } from "../protocol/session/dial-session.ts";
import type { Place } from "../protocol/session/explain.ts";
import type { Sightings } from "../protocol/session/sightings.ts";
import type { Link } from "./link.ts";

export const NEVER = Number.POSITIVE_INFINITY;

/** What an attempt goes by. */
export interface Way {
  readonly remote: Remote;
  /** As it is for this remote. */
  readonly config: DialConfig;
  /** The server's address, where it is known although a proxy is between. */
  readonly server: IpAddress | undefined;
  /** Which of the addresses is due. */
  readonly index: number;
}

/** One session with one address of a remote, and the link that it goes over. */
export class Attempt {
  readonly remote: Remote;
  /** The profile as it is for this remote. */
  readonly config: DialConfig;
  /** Of the server, or of the proxy in front of it. */
  readonly address: IpAddress;
  readonly link: Link;
  readonly session: DialSession;
  readonly startedAt: number;
  /** Where the server is: another one than 0 once it has floated. */
  path = 0;
  /** The side knows of it. */
  isOpen = false;
  /** When the link has to be open; NEVER: it is. */
  openBy = NEVER;
  /** What the server pushed, once the side knows of it. */
  options: readonly string[] | undefined;
  /** The network has said that it takes less than an ordinary packet. */
  isNarrow = false;

  constructor(parts: Pick<Attempt, "remote" | "config" | "address" | "link" | "session" | "startedAt">) {
    this.remote = parts.remote;
    this.config = parts.config;
    this.address = parts.address;
    this.link = parts.link;
    this.session = parts.session;
    this.startedAt = parts.startedAt;
  }

  pollAt(): number {
    return Math.min(this.openBy, this.session.pollAt());
  }

  transmit(now: number): void {
    const { session, link, path } = this;
    for (let packet = session.pollTransmit(now); packet !== undefined; packet = session.pollTransmit(now))
      link.sendPacket(now, path, packet);
  }

  where(): Record<string, string | undefined> {
    const { remote, config, link, path } = this;
    const { host, port } = remote;
    if (config.proxy === undefined) return { server: formatEndpoint(link.endpoint(path)), host };
    return {
      server: `${host}:${port}`,
      host,
      proxy: formatEndpoint({ address: this.address, port: config.proxy.port }),
    };
  }

  seen(): Sightings {
    const otherKey = this.session.drops.values[~DROP_CONTROL_AUTHENTICATION]! > 0;
    return { ...this.link.sightings(), otherKey };
  }

  /** Where it goes, for whoever explains what became of it. */
  place(unixSeconds: number): Place {
    const { remote, session, config, link, path, address, openBy } = this;
    const { proxy } = config;
    const through = proxy && { kind: proxy.kind, address: `${address}`, port: proxy.port, isPassed: openBy === NEVER };
    const server = link.endpoint(path);
    return {
      address: proxy ? remote.host : `${server.address}`,
      port: proxy ? remote.port : server.port,
      protocol: remote.protocol,
      proxy: through,
      isAnswered: session.isAnswered,
      unixSeconds,
    };
  }
}
