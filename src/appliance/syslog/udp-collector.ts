/** A collector over UDP: its sender (netstack/syslog/datagrams.ts) on an interface. */
import type { Endpoint } from "../../lib/endpoint.ts";
import type { Slab } from "../../lib/slab.ts";
import type { Interface } from "../../netstack/interface.ts";
import type { UdpError } from "../../netstack/socket/udp-socket.ts";
import { SyslogDatagrams } from "../../netstack/syslog/datagrams.ts";
import type { SyslogEvent, SyslogLines } from "../../netstack/syslog/lines.ts";
import { ICMP_UNREACHABLE, UNREACHABLE_PORT } from "../../netstack/wire/icmpv4.ts";
import { ICMPV6_UNREACHABLE, UNREACHABLE6_PORT } from "../../netstack/wire/icmpv6.ts";
import { ServiceHost } from "../service-host.ts";
import type { Collector } from "./collector.ts";

export type UdpFace = Pick<Interface, "bindUdp" | "closeUdp" | "sendUdp" | "output">;

export class UdpCollector implements Collector {
  readonly #service: SyslogDatagrams;
  readonly #host: ServiceHost;
  #refused = 0;

  constructor(iface: UdpFace, slab: Pick<Slab, "bytes">, to: Endpoint, lines: SyslogLines) {
    this.#service = new SyslogDatagrams(to, lines, (now) => iface.output.reaches(now, to.address));
    const onError = (now: number, error: UdpError): void => {
      if (!isRefusal(error) || error.dstPort !== to.port || !error.dst.equals(to.address)) return;
      this.#refused++;
      this.#service.handleRefusal(now);
    };
    this.#host = new ServiceHost({ iface, slab, service: this.#service, onEvents: () => {}, onError });
  }

  get isBusy(): boolean {
    return this.#service.isBusy;
  }

  get counts(): Readonly<Record<string, number>> {
    return { sent: this.#service.sent };
  }

  get drops() {
    return { refused: this.#refused };
  }

  pollAt(): number {
    return this.#host.pollAt();
  }

  poll(now: number): void {
    if (this.#host.pollAt() <= now) this.#host.poll(now);
  }

  pollEvent(): SyslogEvent | undefined {
    return this.#service.pollEvent();
  }

  close(now: number, isEnd: boolean): void {
    if (isEnd) {
      this.#service.hurry();
      this.#host.poll(now);
    }
    this.#service.stop();
    this.#host.poll(now);
  }
}

const isRefusal = ({ type, code, dst }: UdpError): boolean =>
  dst.isIpv4
    ? type === ICMP_UNREACHABLE && code === UNREACHABLE_PORT
    : type === ICMPV6_UNREACHABLE && code === UNREACHABLE6_PORT;
