/** The addresses of a remote given by name: the DNS client over UDP sockets of the WAN. */
import type { IpAddress } from "../lib/ip.ts";
import type { Random } from "../lib/random.ts";
import type { Slab } from "../lib/slab.ts";
import { DnsClient } from "../netstack/dns/client.ts";
import type { Interface } from "../netstack/interface.ts";
import type { AddressFamily } from "../protocol/config/types.ts";
import type { Resolution, Resolver } from "../tunnel/resolve.ts";
import { ServiceHost } from "./service-host.ts";

export interface RemoteResolverOptions {
  readonly wan: Interface;
  readonly slab: Slab;
  readonly random: Random;
  /** Why an address cannot be a remote's, in words that follow "is"; undefined: it can. */
  readonly refuse: (address: IpAddress) => string | undefined;
}

export class RemoteResolver implements Resolver {
  readonly #dns: DnsClient;
  readonly #host: ServiceHost;
  #wanted: { readonly id: number; readonly done: (now: number, result: Resolution) => void } | undefined;

  constructor({ wan, slab, random, refuse }: RemoteResolverOptions) {
    this.#dns = new DnsClient({ random, refuse });
    this.#host = new ServiceHost({ iface: wan, slab, service: this.#dns, onEvents: (now) => this.#handleEvents(now) });
  }

  setServers(servers: readonly IpAddress[]): void {
    this.#dns.setServers(servers);
  }

  /** Asks for IPv4 addresses: a remote that has to be IPv6 does not get past the profile. */
  resolve(now: number, name: string, _family: AddressFamily, done: (now: number, result: Resolution) => void): void {
    this.cancel();
    this.#wanted = { id: this.#dns.query(now, name), done };
    this.#host.wake();
  }

  /** Forgets the question under way, and its port. */
  cancel(): void {
    if (this.#wanted === undefined) return;
    this.#dns.cancel(this.#wanted.id);
    this.#wanted = undefined;
    this.#host.wake();
  }

  pollAt(): number {
    return this.#host.pollAt();
  }

  poll(now: number): void {
    this.#host.poll(now);
  }

  #handleEvents(now: number): void {
    for (let event = this.#dns.pollEvent(); event !== undefined; event = this.#dns.pollEvent()) {
      const wanted = this.#wanted;
      if (wanted?.id !== event.id) continue;
      this.#wanted = undefined;
      if (event.kind === "failed") wanted.done(now, { ok: false, text: event.text });
      else if (event.ipv4.length > 0) wanted.done(now, { ok: true, addresses: event.ipv4, note: event.stale });
      else
        wanted.done(now, { ok: false, text: `${event.name} has only IPv6 addresses, which this version cannot use` });
    }
  }
}
