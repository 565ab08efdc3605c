/**
 * Datagrams over the relay of a SOCKS proxy (RFC 1928 7): each has a header in front that says where to, or where from.
 *
 *     0 (2)  fragment: 0 (1)  kind of address (1)  address (4, 16)  port (2)  packet
 */
import type { Batch } from "../../lib/batch.ts";
import { concat } from "../../lib/bytes.ts";
import type { Endpoint } from "../../lib/endpoint.ts";
import type { Slab } from "../../lib/slab.ts";
import { ATYP_IPV4, ATYP_IPV6, addressLen, writeAddress } from "./socks-address.ts";

/** In front of the address: two zeros, fragment, kind. */
const FIXED = 4;
const FRAGMENT_AT = 2;
const PORT_LEN = 2;

export class SocksDatagrams {
  /** Datagrams of the relay without a header that can be right. */
  malformed = 0;
  readonly #slab: Slab;
  /** What is put in front of each packet. */
  readonly #header: Uint8Array;

  /** @param server where the relay sends to */
  constructor(slab: Slab, server: Endpoint) {
    this.#slab = slab;
    this.#header = Uint8Array.of(0, 0, 0, ...writeAddress(server));
  }

  /** Bytes in front of each packet. */
  get overhead(): number {
    return this.#header.length;
  }

  /** Puts the header into the HEADROOM of the rows. */
  wrap(rows: Batch): void {
    const header = this.#header;
    const { bytes } = this.#slab;
    for (let i = 0; i < rows.count; i++) {
      rows.at[i]! -= header.length;
      rows.len[i]! += header.length;
      bytes.set(header, rows.at[i]!);
    }
  }

  /** A copy of the packet behind its header. */
  wrapPacket(packet: Uint8Array): Uint8Array {
    return concat(this.#header, packet);
  }

  /** Takes the headers off the rows; those without leave, and are counted. */
  unwrap(rows: Batch): void {
    const { bytes } = this.#slab;
    const { at, len, count } = rows;
    let kept = 0;
    for (let i = 0; i < count; i++) {
      const kind = bytes[at[i]! + FIXED - 1]!;
      const headerLen = FIXED + addressLen(kind) + PORT_LEN;
      const isKnown = kind === ATYP_IPV4 || kind === ATYP_IPV6;
      if (!isKnown || len[i]! < headerLen || bytes[at[i]! + FRAGMENT_AT] !== 0) {
        this.malformed++;
        continue;
      }
      at[kept] = at[i]! + headerLen;
      len[kept] = len[i]! - headerLen;
      kept++;
    }
    rows.count = kept;
  }
}
