/** The way to a client, and the ways to strangers: what a server needs of the network below it. Rows are batches of the slab. */
import type { Batch } from "../../lib/batch.ts";
import type { Endpoint } from "../../lib/endpoint.ts";
import { IpAddress } from "../../lib/ip.ts";
import type { LinkFacts } from "../session/start.ts";

/** Where the rows of a batch came from: of row i the four words of an IpAddress at 4 * i, and the port. */
export interface Sources {
  readonly words: Int32Array;
  readonly port: Uint16Array;
}

/** Where row `i` came from. */
export const sourceOf = ({ words, port }: Sources, i: number): Endpoint => ({
  address: new IpAddress(words[4 * i]!, words[4 * i + 1]!, words[4 * i + 2]!, words[4 * i + 3]!),
  port: port[i]!,
});

/** The way to one client. */
export interface PeerLink extends LinkFacts {
  /** The largest packet that the network below takes, its own headers included; Infinity: it has no such bound. */
  readonly mtu: number;
  readonly endpoint: Endpoint;
  /** What the IP below knows of the way already, from before or of itself; Infinity: nothing. It sends larger ones in fragments. */
  pathMtu?(now: number): number;
  /**
   * How many of the rows it takes now, from the first on, when each is `overhead` bytes longer. The others are dropped and
   * counted here: a packet that is not sealed costs nothing, and leaves no gap in the ids.
   */
  admit(rows: Batch, overhead: number): number;
  /** Sends the rows, sealed in place and with HEADROOM in front; their bytes are the link's until it is flushed. */
  send(now: number, rows: Batch): void;
  /** Sends one packet, which is copied. */
  sendPacket(now: number, packet: Uint8Array): void;
  /** Of TCP: the connection ends, when what was said to it last has gone. */
  close(): void;
}

/** A place where datagrams of anybody arrive. */
export interface DatagramSource {
  /** Answers somebody of whom nothing is kept. */
  answer(now: number, to: Endpoint, packet: Uint8Array): void;
  /** The way to an address that has proved to be a client's. It holds nothing that has to be given back. */
  peer(endpoint: Endpoint): PeerLink;
}
