/** The addresses of a remote given by name: the DNS client over UDP sockets of the WAN, and over its TCP for what fits no datagram. */
import type { IpAddress } from "../lib/ip.ts";
import type { Random } from "../lib/random.ts";
import type { Slab } from "../lib/slab.ts";
import { DnsClient } from "../netstack/dns/client.ts";
import type { Interface } from "../netstack/interface.ts";
import type { Tcp } from "../netstack/tcp/tcp.ts";
import type { AddressFamily } from "../protocol/config/types.ts";
import type { Resolution, Resolver } from "../tunnel/resolve.ts";
import { DnsDials } from "./dns-dials.ts";
import { ServiceHost } from "./service-host.ts";

export interface RemoteResolverOptions {
  readonly wan: Interface;
  /** Of the WAN; its owner tells its users. */
  readonly tcp: Tcp;
  readonly slab: Slab;
  readonly random: Random;
  /** Why an address cannot be a remote's, in words that follow "is"; undefined: it can. */
  readonly refuse: (address: IpAddress) => string | undefined;
}

interface Wanted {
  readonly id: number;
  readonly family: AddressFamily;
  readonly done: (now: number, result: Resolution) => void;
}

export class RemoteResolver implements Resolver {
  readonly #dns: DnsClient;
  readonly #host: ServiceHost;
  readonly #dials: DnsDials;
  #wanted: Wanted | undefined;

  constructor({ wan, tcp, slab, random, refuse }: RemoteResolverOptions) {
    const dns = new DnsClient({ random, refuse });
    this.#dns = dns;
    this.#host = new ServiceHost({ iface: wan, slab, service: this.#dns, onEvents: (now) => this.#handleEvents(now) });
    const wake = (): void => this.#host.wake();
    const events = {
      message: (now: number, id: number, message: Uint8Array): void => {
        dns.handleMessage(now, id, message);
        wake();
      },
      ended: (now: number, id: number): void => {
        dns.handleDialEnd(now, id);
        wake();
      },
    };
    // Nothing is kept open: on the WAN the router is silent.
    this.#dials = new DnsDials(tcp, events, 0);
  }

  setServers(servers: readonly IpAddress[]): void {
    this.#dns.setServers(servers);
  }

  /** The addresses come in turn of IPv6 and IPv4, so that a family that leads nowhere costs one attempt (RFC 8305 4). */
  resolve(now: number, name: string, family: AddressFamily, done: (now: number, result: Resolution) => void): void {
    this.cancel();
    this.#wanted = { id: this.#dns.query(now, name), family, done };
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
    return Math.min(this.#host.pollAt(), this.#dials.pollAt());
  }

  poll(now: number): void {
    this.#dials.poll(now);
    this.#host.poll(now);
  }

  #handleEvents(now: number): void {
    const dns = this.#dns;
    for (let id = dns.pollHangUp(); id !== undefined; id = dns.pollHangUp()) this.#dials.hangUp(now, id);
    for (let dial = dns.pollDial(); dial !== undefined; dial = dns.pollDial()) this.#dials.dial(now, dial);
    for (let event = this.#dns.pollEvent(); event !== undefined; event = this.#dns.pollEvent()) {
      const wanted = this.#wanted;
      if (wanted?.id !== event.id) continue;
      this.#wanted = undefined;
      if (event.kind === "failed") {
        wanted.done(now, { ok: false, text: event.text });
        continue;
      }
      const addresses = inTurn(wanted.family === "ipv4" ? [] : event.ipv6, wanted.family === "ipv6" ? [] : event.ipv4);
      if (addresses.length > 0) wanted.done(now, { ok: true, addresses, note: event.stale });
      else wanted.done(now, { ok: false, text: `${event.name} has no address of the family that proto asks for` });
    }
  }
}

/** One of the first list, one of the second, and so on. */
function inTurn(first: readonly IpAddress[], second: readonly IpAddress[]): IpAddress[] {
  const all: IpAddress[] = [];
  for (let i = 0; i < Math.max(first.length, second.length); i++)
    for (const address of [first[i], second[i]]) if (address !== undefined) all.push(address);
  return all;
}
