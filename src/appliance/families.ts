/**
 * What the two families of the WAN amount to: there is a network while one of them has an address with a way out. A tunnel begins
 * anew when the family that it leaves by has changed or is gone; what the other one does is no concern of it.
 */
import type { IpAddress } from "../lib/ip.ts";
import type { UplinkEvents } from "./uplink.ts";
import type { Uplink6Events } from "./uplink6.ts";

/** What the owner does about the WAN. */
export interface NetworkEvents {
  /** There is a network (again), or another one: everything that used the old one starts anew. */
  up(now: number): void;
  /** Other DNS servers; told before up(). */
  resolvers(servers: readonly IpAddress[]): void;
  /** A family is gone, and why; told once where both go for one reason. */
  lost(reason: string): void;
  /** There is no network any more. */
  down(now: number, reason: string): void;
}

export class Families {
  readonly v4: UplinkEvents;
  readonly v6: Uplink6Events;
  #isUp4 = false;
  #isUp6 = false;
  #dns4: readonly IpAddress[] = [];
  #dns6: readonly IpAddress[] = [];
  /** What was told last, and when. */
  #lost = { at: Number.NEGATIVE_INFINITY, reason: "" };

  /**
   * @param fixed the DNS servers of the file, which count alone
   * @param usesIpv6 whether the tunnel leaves by IPv6, or tries to
   */
  constructor(fixed: readonly IpAddress[], usesIpv6: () => boolean, events: NetworkEvents) {
    const tell = (dns4: readonly IpAddress[], dns6: readonly IpAddress[]): void => {
      this.#dns4 = dns4;
      this.#dns6 = dns6;
      events.resolvers(fixed.length > 0 ? fixed : [...dns4, ...dns6]);
    };
    const lost = (at: number, reason: string): void => {
      if (this.#lost.at !== at || this.#lost.reason !== reason) events.lost(reason);
      this.#lost = { at, reason };
    };
    this.v4 = {
      up: (now, dns) => {
        this.#isUp4 = true;
        tell(dns, this.#dns6);
        if (!this.#isUp6 || !usesIpv6()) events.up(now);
      },
      resolvers: (dns) => tell(dns, this.#dns6),
      down: (now, reason) => {
        this.#isUp4 = false;
        tell([], this.#dns6);
        lost(now, reason);
        if (!this.#isUp6) events.down(now, reason);
        else if (!usesIpv6()) events.up(now);
      },
    };
    this.v6 = {
      up: (now) => {
        this.#isUp6 = true;
        if (!this.#isUp4 || usesIpv6()) events.up(now);
      },
      resolvers: (dns) => tell(this.#dns4, dns),
      down: (now, reason) => {
        this.#isUp6 = false;
        lost(now, reason);
        if (!this.#isUp4) events.down(now, reason);
        else if (usesIpv6()) events.up(now);
      },
    };
  }

  /** Whether there is a network. */
  get isUp(): boolean {
    return this.#isUp4 || this.#isUp6;
  }
}
