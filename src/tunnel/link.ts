/**
 * A link moves OpenVPN packets to and from paths. A path is the index of a remote address that the link has admitted; what
 * comes from elsewhere costs no memory. The packets of a turn are rows of the slab, so a link is given batches and gives
 * batches; control packets are few and go one by one. Framing is the business of the links over streams (protocol/stream.ts).
 */
import type { Batch } from "../lib/batch.ts";
import type { Endpoint } from "../lib/endpoint.ts";
import type { IpAddress } from "../lib/ip.ts";
import type { LinkProtocol } from "../protocol/config/types.ts";
import type { LinkEnd } from "../protocol/session/events.ts";
import type { Sightings } from "../protocol/session/sightings.ts";
import type { LinkFacts } from "../protocol/session/start.ts";
import type { ProxyDialogue } from "./proxy/dialogue.ts";

/** Bytes of IP and UDP in front of every datagram. */
export const UDP_OVERHEAD = { ipv4: 28, ipv6: 48 };
/** IP, TCP and the length in front of every packet, as openvpn counts them (mtu.c, datagram_overhead; mss.c). */
export const TCP_OVERHEAD = { ipv4: 42, ipv6: 62 };

export interface Link extends LinkFacts {
  /** The largest packet that the network below takes, its own headers included; Infinity: it has no such bound. */
  readonly mtu: number;
  /** What the IP below knows of the way to the peer already, from before or of itself; Infinity: nothing. It sends larger ones in fragments. */
  pathMtu?(now: number): number;
  /** Packets can be sent. Where they cannot yet, {@link LinkReceiver.opened} follows, or the end. */
  readonly isOpen: boolean;
  /**
   * How many of the rows it takes now, from the first on, when each is `overhead` bytes longer. The others are dropped and
   * counted here: a packet that is not sealed costs nothing, and leaves no gap in the ids.
   */
  admit(rows: Batch, overhead: number): number;
  /** Sends the rows, sealed in place and with HEADROOM in front, to a path; their bytes are the link's until it is flushed. */
  send(now: number, path: number, rows: Batch): void;
  /** Sends one packet, which is copied. Those of the control channel have room of their own. */
  sendPacket(now: number, path: number, packet: Uint8Array): void;
  /** The peer has proved that it is at this path: what comes from there is expected from now on. */
  settle(path: number): void;
  /** The remote address of a path. */
  endpoint(path: number): Endpoint;
  /** What was seen of the network since the link was made, and dropped: hints for a person. */
  sightings(): Omit<Sightings, "otherKey">;
  /** What it dropped, by name. */
  drops(): Record<string, number>;
  /** The receiver hears no more of it. What waits to be sent is dropped, but for a goodbye. */
  close(): void;
}

export interface LinkReceiver {
  /** The link is open now. Not called within {@link LinkFactory.open}. */
  opened(now: number): void;
  /**
   * The network has said that the way to an address, where the peer is, takes packets of no more than `mtu` bytes, their own headers
   * included. Anybody can forge it.
   */
  narrowed(now: number, to: IpAddress, mtu: number): void;
  /** The network says that nothing gets to the remote, or that nobody listens there: {@link Link.sightings}. Anybody can forge it. */
  unreachable(now: number): void;
  /** There is no link any more. */
  ended(now: number, end: LinkEnd): void;
  /** Packets of one path, in the order of their arrival. They are the receiver's, to be opened in place, until it returns. */
  handleRows(now: number, path: number, rows: Batch): void;
  /**
   * Whether a packet that is not from the remote, `len` bytes at `at` of the slab, has the looks of its answer. Asked without
   * float, for a hint; the packet is dropped whatever is said.
   */
  looksLikeAnswer(at: number, len: number): boolean;
}

export interface LinkRequest {
  readonly protocol: LinkProtocol;
  /** Where the connection or the datagrams go: the server, or the proxy in front of it. */
  readonly remote: Endpoint;
  /** What is said to the proxy there, and where it is to lead: the address of the server where datagrams go through a relay. */
  readonly proxy?: { readonly dialogue: ProxyDialogue; readonly server: Endpoint } | undefined;
  /** undefined: any. */
  readonly localPort: number | undefined;
  /** Packets from other addresses go to the receiver as well, as another path. */
  readonly float: boolean;
  /** Bytes of the longest packet that can be right. */
  readonly longest: number;
}

export interface LinkFactory {
  /** Path 0 is the remote. @returns why there is no link, in words */
  open(now: number, request: LinkRequest, receiver: LinkReceiver): Link | string;
  /** There may be a server, or the near end of another tunnel to one, on this host's own loopback addresses. */
  readonly hasLoopback?: boolean;
  /** Why nothing can be sent to an address, in words that follow "is"; undefined: it can. */
  refusal(address: Endpoint["address"]): string | undefined;
}
