/** IPv4 routes by longest prefix (RFC 1812 5.2.4.3). All of them lead into the tunnel; what differs is the metric. */
import { type Cidr, prefixMask } from "../lib/cidr.ts";

export interface Route {
  readonly network: Cidr;
  readonly metric: number;
}

export class RouteTable {
  /** One table for each prefix length that occurs, the longest first. */
  #lengths: number[] = [];
  #masks: number[] = [];
  #tables: Map<number, number>[] = [];

  /** Of two routes to one network the lower metric wins. */
  add(route: Route): void {
    const length = route.network.prefix;
    const mask = prefixMask(length);
    let i = this.#lengths.indexOf(length);
    if (i < 0) {
      i = this.#lengths.findIndex((prefix) => prefix < length);
      if (i < 0) i = this.#lengths.length;
      this.#lengths.splice(i, 0, length);
      this.#masks.splice(i, 0, mask);
      this.#tables.splice(i, 0, new Map());
    }
    const table = this.#tables[i] as Map<number, number>;
    const network = route.network.address.w3 & mask;
    const known = table.get(network);
    if (known === undefined || route.metric < known) table.set(network, route.metric);
  }

  /** The metric of the longest route to `dst`, or -1 when there is none. */
  lookup(dst: number): number {
    for (let i = 0; i < this.#masks.length; i++) {
      const metric = (this.#tables[i] as Map<number, number>).get(dst & (this.#masks[i] as number));
      if (metric !== undefined) return metric;
    }
    return -1;
  }

  has(dst: number): boolean {
    return this.lookup(dst) >= 0;
  }

  get size(): number {
    return this.#tables.reduce((n, table) => n + table.size, 0);
  }

  clear(): void {
    this.#lengths = [];
    this.#masks = [];
    this.#tables = [];
  }
}
