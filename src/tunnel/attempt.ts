/** One session with one address of a remote, and the link that it goes over. */
import { formatEndpoint } from "../lib/endpoint.ts";
import type { IpAddress } from "../lib/ip.ts";
import { PathMtu } from "../lib/path-mtu.ts";
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
  /** What the network has said of the way to where the server is. */
  readonly pathMtu = new PathMtu();

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
    return Math.min(this.openBy, this.session.pollAt(), this.pathMtu.forgetAt);
  }

  /** The largest packet that gets to the server whole, as far as is known. */
  get mtu(): number {
    return Math.min(this.link.mtu, this.pathMtu.mtu);
  }

  /** Forgets what the network has said of the way, but not what is known below. @returns whether more gets through now */
  forgetPath(now: number): boolean {
    const before = this.mtu;
    this.pathMtu.forget();
    this.learnPath(now);
    return this.mtu !== before;
  }

  /** Believes what the IP below knows of the way. */
  learnPath(now: number): void {
    const known = this.link.pathMtu?.(now);
    if (known !== undefined) this.narrow(now, this.link.endpoint(this.path).address, known);
  }

  /** The network has said so. @returns whether less gets through now */
  narrow(now: number, to: IpAddress, mtu: number): boolean {
    return this.pathMtu.lower(now, to, mtu, this.link.mtu);
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
