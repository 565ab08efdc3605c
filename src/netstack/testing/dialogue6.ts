/** For tests: an Ethernet interface with IPv6 in a dialogue: frames and time in, lines out. */
import { total } from "../../../test/support/total.ts";
import type { Batch } from "../../lib/batch.ts";
import type { IpAddress } from "../../lib/ip.ts";
import { formatMac, type Mac } from "../../lib/mac.ts";
import type { EthernetInterface } from "../interface.ts";
import { INTERFACE_COUNTERS, RECEIVED_BYTES } from "../interface-counters.ts";
import type { Ip6Config, OwnAddress } from "../ip6/addressing.ts";
import { printFrame } from "../wire/print.ts";
import { Bed, cidr, type RecordingOutlet, ROUTER_MAC, type Sent, side } from "./bed.ts";
import { ROUTER_LL } from "./bed6.ts";

export class Dialogue6 {
  readonly bed: Bed;
  readonly it: EthernetInterface;
  readonly outlet: RecordingOutlet;
  /** What the interface told of addresses, one word first. */
  readonly events: string[] = [];
  now = 1000;

  constructor(name: "lan" | "wan" = "lan", mtu = 1500) {
    this.bed = new Bed();
    const { it, outlet } = side(this.bed, name, mtu);
    this.it = it;
    this.outlet = outlet;
    const tell =
      (word: string) =>
      (_now: number, { value }: OwnAddress, mac?: Mac): number =>
        this.events.push(`${word} ${value}${mac === undefined ? "" : ` ${formatMac(mac)}`}`);
    it.link.nd.events = {
      onUsable: tell("usable"),
      onTaken: tell("taken"),
      onConflict: tell("conflict"),
      onNeighborConflict: (_now: number, address: IpAddress, kept: Mac, other: Mac) =>
        this.events.push(`two ${address} ${formatMac(kept)} ${formatMac(other)}`),
      onUnreachable: (_now: number, address: IpAddress) => this.events.push(`unreachable ${address}`),
    };
  }

  /** Addresses of which nobody else says anything: usable at once. */
  up(...addresses: string[]): this {
    const own = addresses.length === 0 ? [`${ROUTER_LL}/64`, "2001:db8::1/64"] : addresses;
    this.configure({
      addresses: own.map((text) => ({ address: cidr(text) })),
      onLink: own.filter((text) => !text.startsWith("fe80")).map((text) => cidr(text).network),
    });
    this.advance(2000);
    this.outlet.take();
    this.events.length = 0;
    return this;
  }

  configure(config: Ip6Config): void {
    this.it.configure6(this.now, config);
  }

  /** Frames come in; what leaves. */
  push(...frames: Uint8Array[]): string[] {
    this.ingest(this.bed.receive(...frames));
    return this.sent();
  }

  ingest(rx: Batch): void {
    this.it.ingest(this.now, rx);
  }

  /** Time passes, deadline by deadline; what leaves. */
  advance(ms: number): string[] {
    const end = this.now + ms;
    for (let at = this.it.pollAt(); at <= end; at = this.it.pollAt()) {
      this.now = Math.max(this.now, at);
      this.it.handleTimeout(this.now);
    }
    this.now = end;
    return this.sent();
  }

  sent(): string[] {
    return this.frames().map(({ view, bytes }) => printFrame(view, 0, bytes.length).replace(`${ROUTER_MAC} > `, ""));
  }

  frames(): Sent[] {
    return this.outlet.take();
  }

  drops(): Record<string, number> {
    return this.it.drops.snapshot();
  }

  /** received = handled + drops. */
  get accounts(): boolean {
    const { values } = this.it.counters;
    const handled = INTERFACE_COUNTERS.reduce((sum, _name, i) => (i > RECEIVED_BYTES ? sum + values[i]! : sum), 0);
    return values[0] === handled + total(this.it.drops);
  }
}
