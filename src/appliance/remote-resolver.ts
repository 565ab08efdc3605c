/** The addresses of a remote given by name: the DNS client over UDP sockets of the WAN, one port a query (RFC 5452 9.2). */
import type { IpAddress } from "../lib/ip.ts";
import type { Random } from "../lib/random.ts";
import type { Slab } from "../lib/slab.ts";
import { DnsClient } from "../netstack/dns/client.ts";
import type { Interface } from "../netstack/interface.ts";
import type { UdpSocket } from "../netstack/socket/udp-socket.ts";
import { DNS_PORT } from "../netstack/wire/dns.ts";

export type Resolution =
  | { readonly ok: true; readonly addresses: readonly IpAddress[]; readonly note: string | undefined }
  | { readonly ok: false; readonly text: string };

export class RemoteResolver {
  readonly #wan: Interface;
  readonly #slab: Slab;
  readonly #dns: DnsClient;
  readonly #sockets = new Map<number, UdpSocket>();
  /** There is something to send or to tell since the last poll(). */
  #isFresh = false;
  #wanted: { readonly id: number; readonly done: (now: number, result: Resolution) => void } | undefined;

  constructor(wan: Interface, slab: Slab, random: Random) {
    this.#wan = wan;
    this.#slab = slab;
    this.#dns = new DnsClient({ random });
  }

  setServers(servers: readonly IpAddress[]): void {
    this.#dns.setServers(servers);
  }

  /** Asks for the IPv4 addresses of a name; one question at a time, a newer one replaces it. `done` comes from poll(). */
  resolve(now: number, name: string, done: (now: number, result: Resolution) => void): void {
    this.cancel();
    this.#wanted = { id: this.#dns.query(now, name), done };
    this.#isFresh = true;
  }

  /** Forgets the question under way, and its port. */
  cancel(): void {
    if (this.#wanted === undefined) return;
    this.#dns.cancel(this.#wanted.id);
    this.#close(this.#wanted.id);
    this.#wanted = undefined;
  }

  pollAt(): number {
    if (this.#wanted === undefined) return Number.POSITIVE_INFINITY;
    return this.#isFresh ? Number.NEGATIVE_INFINITY : this.#dns.pollAt();
  }

  poll(now: number): void {
    this.#isFresh = false;
    if (this.#dns.pollAt() <= now) this.#dns.handleTimeout(now);
    this.#transmit(now);
    for (let event = this.#dns.pollEvent(); event !== undefined; event = this.#dns.pollEvent()) {
      this.#close(event.id);
      const wanted = this.#wanted;
      if (wanted?.id !== event.id) continue;
      this.#wanted = undefined;
      if (event.kind === "failed") wanted.done(now, { ok: false, text: event.text });
      else if (event.ipv4.length > 0) wanted.done(now, { ok: true, addresses: event.ipv4, note: event.text });
      else
        wanted.done(now, { ok: false, text: `${event.name} has only IPv6 addresses, which this version cannot use` });
    }
  }

  #transmit(now: number): void {
    for (let message = this.#dns.pollTransmit(now); message !== undefined; message = this.#dns.pollTransmit(now)) {
      const { socket: id, server, payload } = message;
      const socket = this.#sockets.get(id) ?? this.#bind(id);
      if (socket !== undefined) this.#wan.sendUdp(now, socket, server, DNS_PORT, payload);
    }
  }

  #close(id: number): void {
    const socket = this.#sockets.get(id);
    if (socket !== undefined) this.#wan.closeUdp(socket);
    this.#sockets.delete(id);
  }

  #bind(id: number): UdpSocket | undefined {
    const socket = this.#wan.bindUdp(0, {
      onDatagram: (now, src, srcPort, at, len) => {
        if (srcPort === DNS_PORT) this.#dns.handleMessage(now, src, this.#slab.bytes.slice(at, at + len), id);
      },
    });
    if (socket !== undefined) this.#sockets.set(id, socket);
    return socket;
  }
}
