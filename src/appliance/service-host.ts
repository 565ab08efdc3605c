/**
 * Joins a service (netstack/service.ts) to an interface: binds the sockets that it needs, copies what arrives for it, sends
 * what it has to send, and tells the loop when it is due. Whoever owns the service gives it commands, says so with wake(),
 * and gets its events from poll().
 */
import type { Mac } from "../lib/mac.ts";
import type { Slab } from "../lib/slab.ts";
import type { Interface } from "../netstack/interface.ts";
import type { Datagram, UdpService } from "../netstack/service.ts";
import type { UdpError, UdpSocket } from "../netstack/socket/udp-socket.ts";

export interface ServiceHostOptions {
  readonly iface: Pick<Interface, "bindUdp" | "closeUdp" | "sendUdp">;
  readonly slab: Pick<Slab, "bytes">;
  readonly service: UdpService;
  /** The neighbour with a MAC, for a service that sends to some. */
  readonly station?: (mac: Mac) => number;
  /** Looks at the service's events. It comes before what the service sends, which may depend on what is done about them. */
  readonly onEvents: (now: number) => void;
  /** Told of datagrams that the service ignored, and why. */
  readonly onIgnored?: (now: number, datagram: Datagram, reason: string) => void;
  /** Told of ICMP errors about what the service has sent. */
  readonly onError?: (now: number, error: UdpError) => void;
}

export class ServiceHost {
  readonly #options: ServiceHostOptions;
  readonly #bound = new Map<number, UdpSocket>();
  #isFresh = false;

  constructor(options: ServiceHostOptions) {
    this.#options = options;
    this.#bind();
  }

  /** The service was given a command: poll() is due. */
  wake(): void {
    this.#isFresh = true;
  }

  /** When poll is due: at once after a datagram or a command. */
  pollAt(): number {
    return this.#isFresh ? Number.NEGATIVE_INFINITY : this.#options.service.pollAt();
  }

  /** Lets the service do what is due, and sends what it has. */
  poll(now: number): void {
    const { iface, service, station, onEvents } = this.#options;
    this.#isFresh = false;
    if (service.pollAt() <= now) service.handleTimeout(now);
    onEvents(now);
    this.#bind();
    for (let datagram = service.pollTransmit(); datagram !== undefined; datagram = service.pollTransmit()) {
      const { peer, mac, payload } = datagram;
      const socket = this.#bound.get(datagram.socket);
      const neighbour = mac && station?.(mac);
      // Without a free port it is lost, as on the way; the service repeats it.
      if (socket !== undefined) iface.sendUdp(now, socket, peer.address, peer.port, payload, neighbour);
    }
  }

  /** Opens and closes sockets as the service needs them. */
  #bind(): void {
    const { iface, service } = this.#options;
    for (const [number, socket] of this.#bound) {
      if (service.sockets.has(number)) continue;
      iface.closeUdp(socket);
      this.#bound.delete(number);
    }
    for (const [number, port] of service.sockets) {
      if (this.#bound.has(number)) continue;
      const socket = iface.bindUdp(port, {
        onDatagram: (now, address, from, at, len) => {
          const payload = this.#options.slab.bytes.slice(at, at + len);
          this.#receive(now, { socket: number, peer: { address, port: from }, payload });
        },
        onError: (now, error) => this.#options.onError?.(now, error),
      });
      if (socket !== undefined) this.#bound.set(number, socket);
    }
  }

  #receive(now: number, datagram: Datagram): void {
    this.#isFresh = true;
    const reason = this.#options.service.handle(now, datagram);
    if (reason !== undefined) this.#options.onIgnored?.(now, datagram, reason);
  }
}
