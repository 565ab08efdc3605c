/**
 * What a listener needs of the network below: ports that anybody can send to, and connections. Where one client's packets go is
 * a PeerLink; of UDP that is an address of a port, of TCP a connection. Rows are batches of the slab, as those of a Link.
 */
import type { Batch } from "../lib/batch.ts";
import type { Endpoint } from "../lib/endpoint.ts";
import type { ListenConfig } from "../protocol/config/server-types.ts";
import type { LinkFacts } from "../protocol/session/association.ts";
import type { LinkEnd } from "../protocol/session/events.ts";

/** Where the rows of a batch came from: of row i the four words of an IpAddress at 4 * i, and the port. */
export interface Sources {
  readonly words: Int32Array;
  readonly port: Uint16Array;
}

/** The way to one client. */
export interface PeerLink extends LinkFacts {
  /** The largest packet that the network below takes, its own headers included; Infinity: it has no such bound. */
  readonly mtu: number;
  readonly endpoint: Endpoint;
  /** As {@link Link.admit}. */
  admit(rows: Batch, overhead: number): number;
  /** As {@link Link.send}. */
  send(now: number, rows: Batch): void;
  /** Sends one packet, which is copied. */
  sendPacket(now: number, packet: Uint8Array): void;
  /** Of TCP: the connection ends, when what was said to it last has gone. */
  close(): void;
}

/** A UDP port that is listened on. */
export interface DatagramPort {
  readonly config: ListenConfig;
  /** Answers somebody of whom nothing is kept. */
  answer(now: number, to: Endpoint, packet: Uint8Array): void;
  /** The way to an address that has proved to be a client's. It holds nothing that has to be given back. */
  peer(endpoint: Endpoint): PeerLink;
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
  /** Somebody has connected. @returns undefined: it is not wanted, and is closed by the caller */
  accepted(now: number, link: PeerLink): StreamReceiver | undefined;
}

/** An open place: closing it closes its connections too. */
export interface OpenPort {
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
