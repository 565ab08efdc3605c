/**
 * What a listener needs of the network below: ports that anybody can send to, and connections. Where one client's packets go is
 * a PeerLink; of UDP that is an address of a port, of TCP a connection. Rows are batches of the slab, as those of a Link.
 */
import type { Batch } from "../lib/batch.ts";
import type { Endpoint } from "../lib/endpoint.ts";
import type { ListenConfig } from "../protocol/config/server-types.ts";
import type { DatagramSource, PeerLink, Sources } from "../protocol/server/peer-link.ts";
import type { LinkEnd } from "../protocol/session/events.ts";

export type { PeerLink, Sources } from "../protocol/server/peer-link.ts";

/** A UDP port that is listened on. */
export interface DatagramPort extends DatagramSource {
  readonly config: ListenConfig;
}

/** Who takes what comes over one connection. */
export interface StreamReceiver {
  /** Packets in their order; they are the receiver's, to be opened in place, until it returns. */
  handleRows(now: number, rows: Batch): void;
  /** There is no connection any more. Not called once it was closed from here. */
  ended(now: number, end: LinkEnd): void;
}

export interface ListenReceiver {
  /** Datagrams of one turn, whoever sent them, in the order of their arrival; the receiver's until it returns. */
  handleDatagrams(now: number, port: DatagramPort, rows: Batch, from: Sources): void;
  /**
   * A router has said that the way from a port to somebody takes packets of no more than `mtu` bytes, about a datagram that this host may
   * have sent there. Anybody can say so.
   */
  narrowed(now: number, port: DatagramPort, to: Endpoint, mtu: number): void;
  /** Somebody has connected. @returns undefined: it is not wanted, and is closed by the caller */
  accepted(now: number, link: PeerLink): StreamReceiver | undefined;
}

/** An open place: closing it closes its connections too. */
export interface OpenPort {
  /** UDP: the way to somebody who has not been heard of yet. A port without it is for those who come. */
  dial?(endpoint: Endpoint): PeerLink;
  /** What it dropped, by name. */
  drops(): Record<string, number>;
  close(): void;
}

export interface ListenPorts {
  /**
   * Listens, whatever addresses there are now or later.
   * @param longest bytes of the longest packet that can be right @returns why it cannot, in words
   */
  listen(now: number, config: ListenConfig, longest: number, receiver: ListenReceiver): OpenPort | string;
}
