/** The WAN in both families, as one: what they amount to is in families.ts. */
import type { Counters } from "../lib/counters.ts";
import { Families, type NetworkEvents } from "./families.ts";
import { Uplink, type UplinkOptions } from "./uplink.ts";
import { Uplink6, type Uplink6Options } from "./uplink6.ts";

export interface UplinksOptions extends Omit<UplinkOptions, "events"> {
  /** Undefined: no IPv6 on the WAN. */
  readonly ipv6: Omit<Uplink6Options, "events"> | undefined;
  /** Whether the tunnel leaves by IPv6, or tries to. */
  readonly usesIpv6: () => boolean;
  readonly events: NetworkEvents;
}

export class Uplinks {
  readonly #families: Families;
  readonly #v4: Uplink;
  readonly #v6: Uplink6 | undefined;

  constructor(options: UplinksOptions) {
    const { settings, usesIpv6, events, ipv6 } = options;
    this.#families = new Families(settings.wan.dns, usesIpv6, events);
    this.#v4 = new Uplink({ ...options, events: this.#families.v4 });
    this.#v6 = ipv6 && new Uplink6({ ...ipv6, events: this.#families.v6 });
  }

  /** Whether there is a network. */
  get isUp(): boolean {
    return this.#families.isUp;
  }

  /** Of IPv6: what was heard and what of it was ignored. */
  get counters(): Readonly<Record<string, number>> {
    return this.#v6?.counters ?? {};
  }

  /** What the DHCP client ignored; undefined: the address is static. */
  get drops(): Counters | undefined {
    return this.#v4.drops;
  }

  /** The link is there. */
  start(now: number): void {
    this.#v4.start(now);
    this.#v6?.start(now);
  }

  /** The link is gone. */
  stop(now: number, reason: string): void {
    this.#v6?.stop(now, reason);
    this.#v4.stop(now, reason);
  }

  /** The end: leased addresses are given back. */
  leave(now: number): void {
    this.#v4.leave(now);
    this.#v6?.leave(now);
  }

  pollAt(): number {
    return Math.min(this.#v4.pollAt(), this.#v6?.pollAt() ?? Number.POSITIVE_INFINITY);
  }

  handleTimeout(now: number): void {
    if (this.#v4.pollAt() <= now) this.#v4.handleTimeout(now);
    if (this.#v6 !== undefined && this.#v6.pollAt() <= now) this.#v6.handleTimeout(now);
  }
}
