/** One client of a server, from its first packet that counts: where it is, its session, and what it was given. */
import { PathMtu } from "../../lib/path-mtu.ts";
import type { LinkEnd, ServerSessionEnd } from "../session/events.ts";
import type { ServerSession } from "../session/server.ts";
import type { Guest } from "./guest.ts";
import type { PeerLink } from "./peer-link.ts";

/** Of a peer over TCP, in the place of the number of its socket. */
export const STREAM = -1;

/** Why somebody is a client no longer. */
export type PeerEnd =
  | ServerSessionEnd
  | LinkEnd
  /** A newer session of the same name, or at the same address, has taken its place. */
  | { readonly kind: "replaced" }
  /** By command. */
  | { readonly kind: "killed" }
  /** Of another configuration, by which it may not stay. */
  | { readonly kind: "expelled"; readonly cause: string }
  /** Too many that had not logged in yet: it was the oldest of those that came most often. */
  | { readonly kind: "crowded-out" }
  /** A connection over which no packet came in time, or first one that no client sends. */
  | { readonly kind: "stream-silent" }
  | { readonly kind: "stream-stranger"; readonly drop: string }
  /** What this end did wrong; logged on its own. */
  | { readonly kind: "fault" };

export class Peer {
  /** What its data packets carry, and rows in batches. */
  readonly id: number;
  /** The number of the socket that its datagrams come to, or STREAM. */
  readonly socket: number;
  readonly since: number;
  link: PeerLink;
  /** undefined: a connection over which nothing came yet. */
  session: ServerSession | undefined;
  /** What it was given, from when its login was accepted until it leaves. */
  guest: Guest | undefined;
  /** Its tunnel is up. */
  isUp = false;
  /** What the network has said of the way to where it is: what goes to it is to fit. */
  readonly pathMtu = new PathMtu();
  /** It was refused, and that was said. */
  isRefused = false;
  /** Why it is told to go, once it is. */
  farewell: PeerEnd | undefined;
  /** When its auth-token is due to be renewed. */
  tokenAt = Number.POSITIVE_INFINITY;
  /** By which state of the server's certificates and lists the handshake that it began last is judged. */
  authority = 0;
  /** Takes the question of its password back that is being looked into: an answer to an earlier one has no meaning. */
  takeBack: (() => void) | undefined;

  constructor(id: number, socket: number, link: PeerLink, now: number) {
    this.id = id;
    this.socket = socket;
    this.link = link;
    this.since = now;
  }

  /** The largest packet that gets to it whole, as far as is known. */
  get mtu(): number {
    return Math.min(this.link.mtu, this.pathMtu.mtu);
  }

  /** Believes what the IP below knows of the way. */
  learnPath(now: number): void {
    const known = this.link.pathMtu?.(now);
    if (known !== undefined) this.narrow(now, known);
  }

  /** The network has said that the way takes packets of no more than `mtu` bytes. @returns whether less gets through now */
  narrow(now: number, mtu: number): boolean {
    return this.pathMtu.lower(now, this.link.endpoint.address, mtu, this.link.mtu);
  }

  /** Forgets what the network has said of the way, but not what is known below. @returns whether more gets through now */
  forgetPath(now: number): boolean {
    const before = this.mtu;
    this.pathMtu.forget();
    this.learnPath(now);
    return this.mtu !== before;
  }
}
