/** One session with one address of a remote, and the link that it goes over. */
import { formatEndpoint } from "../lib/endpoint.ts";
import { DROP_CONTROL_AUTHENTICATION } from "../protocol/drop.ts";
import type { DialSession } from "../protocol/session/dial-session.ts";
import type { Place } from "../protocol/session/explain.ts";
import type { Sightings } from "../protocol/session/sightings.ts";
import type { Link } from "./link.ts";
import type { Way } from "./remote-finder.ts";

const NEVER = Number.POSITIVE_INFINITY;

export class Attempt {
  /** Where a person goes on with the login. */
  loginPage: string | undefined;
  readonly way: Way;
  readonly link: Link;
  readonly session: DialSession;
  readonly startedAt: number;
  /** Where the server is: another one than 0 once it has floated. */
  path = 0;
  /** The side knows of it. */
  isOpen = false;
  /** When the link has to be open; infinite: it is. */
  openBy = NEVER;
  /** What the server pushed, once the side knows of it. */
  options: readonly string[] | undefined;
  /** The network has said that it takes less than an ordinary packet. */
  isNarrow = false;

  constructor({ way, link, session, startedAt }: Pick<Attempt, "way" | "link" | "session" | "startedAt">) {
    this.way = way;
    this.link = link;
    this.session = session;
    this.startedAt = startedAt;
  }

  /** Its link has been open. */
  get isLinked(): boolean {
    return this.openBy === NEVER;
  }

  pollAt(): number {
    return Math.min(this.openBy, this.session.pollAt());
  }

  transmit(now: number): void {
    const { session, link, path } = this;
    for (let packet = session.pollTransmit(now); packet !== undefined; packet = session.pollTransmit(now))
      link.sendPacket(now, path, packet);
  }

  /** For the log: where it goes. */
  where(): Record<string, string | undefined> {
    const { remote, config, address } = this.way;
    const { host, port } = remote;
    if (config.proxy === undefined) return { server: formatEndpoint(this.link.endpoint(this.path)), host };
    return { server: `${host}:${port}`, host, proxy: formatEndpoint({ address, port: config.proxy.port }) };
  }

  /** For explanations: what it reached, and how. */
  place(unixSeconds: number): Place {
    const { remote, config, address } = this.way;
    const { proxy } = config;
    const server = this.link.endpoint(this.path);
    return {
      address: proxy ? remote.host : `${server.address}`,
      port: proxy ? remote.port : server.port,
      protocol: remote.protocol,
      proxy: proxy && { kind: proxy.kind, address: `${address}`, port: proxy.port, isPassed: this.isLinked },
      isAnswered: this.session.isAnswered,
      unixSeconds,
    };
  }

  seen(): Sightings {
    const otherKey = this.session.drops.values[~DROP_CONTROL_AUTHENTICATION]! > 0;
    return { ...this.link.sightings(), otherKey };
  }
}
